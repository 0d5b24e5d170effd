package resources

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

// Shared are the objects of a set that are the same whatever its members do: all but pods, claims,
// Secrets and EndpointSlices.
func Shared(rs *v1alpha1.ReplicaSet, env Env) []client.Object {
	out := []client.Object{ConfigMap(rs)}
	for _, s := range Services(rs, env) {
		out = append(out, s)
	}
	return append(out, Budget(rs), NetworkPolicy(rs, env))
}
