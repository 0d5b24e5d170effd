// Package e2e runs the operator and the server on a real Kubernetes, as a user would have them: images built here,
// installed by Helm, sets applied, things broken, data counted. `make e2e` runs it; without the build tag e2e there is
// only a test that says so.
//
// One cluster of hack/cluster serves the whole run and stays up afterwards. Every spec has a namespace of its own; what it
// left is written to bin/e2e/<spec> when it fails. Labels choose: `make e2e LABELS=cluster` tests hack/cluster alone.
package e2e
