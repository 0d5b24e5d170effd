// Package resources builds the Kubernetes objects that a set should have: pods, claims, Services,
// EndpointSlices, ConfigMap, Secrets, PodDisruptionBudget and NetworkPolicy.
//
// Every function is a pure mapping from the resource (and an Env of facts about this operator) to an
// object; golden YAML in testdata shows what comes out (REWRITE=1 writes it again). Only the functions
// that make passwords and certificates draw randomness, from the reader that they are given. The
// package must not talk to the API server: package apply does that.
package resources
