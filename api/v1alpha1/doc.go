// Package v1alpha1 holds the ReplicaSet resource of group understudy.dev.
//
// It describes what a user asks for (spec) and what the operator has recorded (status). Every default
// is a marker on the field, so that `kubectl explain` and the stored object tell the whole truth, and
// every rule that a single object can break is a validation marker or a CEL rule. status.term is more
// than a report: it is the operator's record of who may write, changed only by compare-and-set on the
// resource version. The package must import nothing but apimachinery and the core types it embeds.
//
// +kubebuilder:object:generate=true
// +groupName=understudy.dev
package v1alpha1
