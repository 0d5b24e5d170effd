package observe

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
)

// service reads where the Services lead. What differs from what the operator would write for the same
// pods counts as leading nowhere, so that it is written again.
func (o *Observer) service(ctx context.Context, rs *v1alpha1.ReplicaSet, env resources.Env, pods map[string]*corev1.Pod) (plan.ServiceState, error) {
	if env.Routing == resources.RoutingLabel {
		return labelled(pods), nil
	}
	var out plan.ServiceState
	master, err := o.slice(ctx, rs, resources.ServiceName(rs.Name), pods)
	if err != nil {
		return out, err
	}
	if len(master) == 1 && master[0] != strange {
		out.Master = master[0]
	}
	out.Readers, err = o.slice(ctx, rs, resources.ReadServiceName(rs.Name), pods)
	return out, err
}

// strange stands for endpoints that the operator did not write, or not so: no pod has this UID, so they
// are written again.
const strange member.Voter = "written by somebody else"

func (o *Observer) slice(ctx context.Context, rs *v1alpha1.ReplicaSet, service string, pods map[string]*corev1.Pod) ([]member.Voter, error) {
	var live discoveryv1.EndpointSlice
	if err := o.Cache.Get(ctx, types.NamespacedName{Namespace: rs.Namespace, Name: service}, &live); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	var to []resources.Endpoint
	var voters []member.Voter
	for _, e := range live.Endpoints {
		if e.TargetRef == nil {
			return []member.Voter{strange}, nil
		}
		voters = append(voters, member.Voter(e.TargetRef.UID))
		if p := pods[e.TargetRef.Name]; p != nil && p.UID == e.TargetRef.UID {
			to = append(to, EndpointOf(p))
		}
	}
	slices.Sort(voters)
	if len(to) < len(voters) {
		return voters, nil // it names a pod that is gone
	}
	want := resources.Slice(rs, service, to)
	if !equality.Semantic.DeepEqual(want.Endpoints, live.Endpoints) || !equality.Semantic.DeepEqual(want.Ports, live.Ports) || !covers(live.Labels, want.Labels) {
		return []member.Voter{strange}, nil
	}
	return voters, nil
}

// EndpointOf is a pod behind a Service.
func EndpointOf(p *corev1.Pod) resources.Endpoint {
	return resources.Endpoint{Name: p.Name, UID: p.UID, IP: p.Status.PodIP, Node: p.Spec.NodeName, Primary: resources.HasPrimary(p)}
}

func labelled(pods map[string]*corev1.Pod) plan.ServiceState {
	var out plan.ServiceState
	for _, p := range pods {
		switch p.Labels[resources.LabelRole] {
		case resources.RoleMaster:
			if out.Master != "" {
				return plan.ServiceState{} // two carry the label: write it again
			}
			out.Master = member.Voter(p.UID)
		case resources.RoleReplica:
			out.Readers = append(out.Readers, member.Voter(p.UID))
		}
	}
	slices.Sort(out.Readers)
	return out
}

// drift lists the owned objects that are missing or are not as they should be.
func (o *Observer) drift(ctx context.Context, rs *v1alpha1.ReplicaSet, env resources.Env, pods map[string]*corev1.Pod) ([]plan.ObjectAction, error) {
	var out []plan.ObjectAction
	for _, want := range resources.Shared(rs, env) {
		why, err := o.compare(ctx, want)
		if err != nil {
			return nil, err
		}
		if why != "" {
			out = append(out, plan.ObjectAction{Kind: want.GetObjectKind().GroupVersionKind().Kind, Name: want.GetName(), Why: why})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		p := pods[name]
		if p.DeletionTimestamp == nil && !covers(p.Labels, resources.MemberLabels(rs, name)) {
			out = append(out, plan.ObjectAction{Kind: "Pod", Name: name, Why: "labels were changed"})
		}
		claim := resources.Claim(rs, name)
		if claim == nil {
			continue
		}
		why, err := o.compareClaim(ctx, claim)
		if err != nil {
			return nil, err
		}
		if why != "" {
			out = append(out, plan.ObjectAction{Kind: "PersistentVolumeClaim", Name: claim.Name, Why: why})
		}
	}
	return out, nil
}

// compare tells in what a live object falls short of the wanted one. Fields that the operator does not
// set are somebody else's.
func (o *Observer) compare(ctx context.Context, want client.Object) (why string, err error) {
	live := reflect.New(reflect.TypeOf(want).Elem()).Interface().(client.Object)
	err = o.Cache.Get(ctx, client.ObjectKeyFromObject(want), live)
	switch {
	case apierrors.IsNotFound(err):
		return "missing", nil
	case err != nil:
		return "", fmt.Errorf("read %s: %w", want.GetName(), err)
	case live.GetDeletionTimestamp() != nil:
		return "", nil
	case controllerOf(live) != controllerOf(want):
		return "not owned by the set", nil
	case !covers(live.GetLabels(), want.GetLabels()):
		return "labels were changed", nil
	}
	w, err := body(want)
	if err != nil {
		return "", err
	}
	l, err := body(live)
	if err != nil {
		return "", err
	}
	if path := differs("", w, l); path != "" {
		return path + " was changed", nil
	}
	return "", nil
}

// body is an object without what the API server writes.
func body(o client.Object) (map[string]any, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	for _, k := range []string{"metadata", "status", "kind", "apiVersion"} {
		delete(m, k)
	}
	return m, nil
}

// differs is the path of the first wanted value that live does not have, "" if it has all. Maps may
// hold more than is wanted, except the data of a ConfigMap; lists must be the same.
func differs(path string, want, live any) string {
	switch w := want.(type) {
	case nil:
		return ""
	case map[string]any:
		l, ok := live.(map[string]any)
		if !ok && len(w) > 0 {
			return path
		}
		if (path == ".data" || path == ".spec.selector") && len(l) != len(w) {
			return path
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			if at := differs(path+"."+k, w[k], l[k]); at != "" {
				return at
			}
		}
		return ""
	case []any:
		l, ok := live.([]any)
		if !ok || len(l) != len(w) {
			return path
		}
		for i := range w {
			if at := differs(fmt.Sprintf("%s[%d]", path, i), w[i], l[i]); at != "" {
				return at
			}
		}
		return ""
	default:
		if !reflect.DeepEqual(want, live) {
			return path
		}
		return ""
	}
}

func (o *Observer) compareClaim(ctx context.Context, want *corev1.PersistentVolumeClaim) (string, error) {
	var live corev1.PersistentVolumeClaim
	if err := o.Cache.Get(ctx, client.ObjectKeyFromObject(want), &live); err != nil {
		if apierrors.IsNotFound(err) {
			return "missing", nil
		}
		return "", err
	}
	wantSize, liveSize := want.Spec.Resources.Requests[corev1.ResourceStorage], live.Spec.Resources.Requests[corev1.ResourceStorage]
	switch {
	case live.DeletionTimestamp != nil:
		return "", nil
	case wantSize.Cmp(liveSize) > 0:
		return fmt.Sprintf("grows from %s to %s", liveSize.String(), wantSize.String()), nil
	case !covers(live.Labels, want.Labels):
		return "labels were changed", nil
	case !sameOwner(want.OwnerReferences, live.OwnerReferences):
		return "whenDeleted changed", nil
	}
	return "", nil
}

func sameOwner(want, live []metav1.OwnerReference) bool {
	owner := func(refs []metav1.OwnerReference) types.UID {
		for _, r := range refs {
			if r.Kind == "ReplicaSet" && r.APIVersion == v1alpha1.GroupVersion.String() {
				return r.UID
			}
		}
		return ""
	}
	return owner(want) == owner(live)
}

func covers(have, want map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}
