package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/observe"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
)

// createPod makes a member's claim and pod. A pod of ours that has lost its labels gets them back; a
// stranger's pod of that name is left alone and reported.
func (p *pass) createPod(ctx context.Context, a plan.CreatePod) error {
	rs := p.view.RS
	if claim := resources.Claim(rs, a.Name); claim != nil {
		if err := p.put(ctx, claim); err != nil {
			return err
		}
	}
	pod := resources.Pod(rs, p.view.Env, a.Name)
	pod.Annotations[resources.AnnotationAuthSeen] = p.view.AuthSeen
	err := p.Client.Create(ctx, pod, FieldOwner)
	if err == nil {
		p.event(plan.Event{Reason: "MemberCreated", Note: "pod " + a.Name})
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	var live corev1.Pod
	if err := p.Live.Get(ctx, client.ObjectKeyFromObject(pod), &live); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !metav1.IsControlledBy(&live, rs) {
		if controlledByFormer(&live) {
			return nil // of a deleted set of this name: the collector is at it
		}
		return fmt.Errorf("a pod %s that is not the set's stands in its place: rename or remove it", a.Name)
	}
	return p.relabel(ctx, &live, resources.MemberLabels(rs, a.Name))
}

func controlledByFormer(p *corev1.Pod) bool {
	ref := metav1.GetControllerOf(p)
	return ref != nil && ref.Kind == "ReplicaSet" && ref.APIVersion == v1alpha1.GroupVersion.String()
}

// deletePod deletes this very pod.
func (p *pass) deletePod(ctx context.Context, a plan.DeletePod) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.view.RS.Namespace, Name: a.Name}}
	uid := types.UID(a.UID)
	err := p.Client.Delete(ctx, pod, client.Preconditions{UID: &uid})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // another pod by now, or none
	}
	if err == nil {
		p.event(plan.Event{Reason: "MemberDeleted", Note: "pod " + a.Name})
	}
	return err
}

// relabel sets labels and leaves the others.
func (p *pass) relabel(ctx context.Context, pod *corev1.Pod, labels map[string]string) error {
	for k, v := range labels {
		if pod.Labels[k] != v {
			data, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID, "labels": labels}})
			if err != nil {
				return err
			}
			target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
			return client.IgnoreNotFound(p.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, data), FieldOwner))
		}
	}
	return nil
}

// NudgeMounts marks pods after a change of the password Secret: their kubelets then mount the new file at
// once, not within their minute.
func (a *Applier) NudgeMounts(ctx context.Context, view observe.View) error {
	for _, pod := range view.Pods {
		if view.AuthSeen == "" || pod.DeletionTimestamp != nil || pod.Annotations[resources.AnnotationAuthSeen] == view.AuthSeen {
			continue
		}
		data, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{resources.AnnotationAuthSeen: view.AuthSeen}}})
		if err != nil {
			return err
		}
		target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
		if err := a.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, data), FieldOwner); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// pointService leads the Services to these pods. With slices the read-write one moves in one write,
// first; the role labels then only tell people.
func (p *pass) pointService(ctx context.Context, a plan.PointService) error {
	rs := p.view.RS
	role := map[types.UID]string{types.UID(a.Master): resources.RoleMaster}
	for _, r := range a.Readers {
		role[types.UID(r)] = resources.RoleReplica
	}
	if p.view.Env.Routing != resources.RoutingLabel {
		var master, readers []resources.Endpoint
		for _, pod := range p.view.Pods {
			if pod.Status.PodIP == "" {
				continue
			}
			switch role[pod.UID] {
			case resources.RoleMaster:
				master = append(master, observe.EndpointOf(pod))
			case resources.RoleReplica:
				readers = append(readers, observe.EndpointOf(pod))
			}
		}
		if err := p.put(ctx, resources.Slice(rs, resources.ServiceName(rs.Name), master)); err != nil {
			return err
		}
		if err := p.put(ctx, resources.Slice(rs, resources.ReadServiceName(rs.Name), readers)); err != nil {
			return err
		}
	}
	for _, pod := range p.view.Pods {
		if pod.DeletionTimestamp == nil && pod.Labels[resources.LabelRole] != role[pod.UID] {
			if err := p.relabel(ctx, pod, map[string]string{resources.LabelRole: role[pod.UID]}); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeObject puts an owned object into its wanted form.
func (p *pass) writeObject(ctx context.Context, a plan.WriteObject) error {
	rs := p.view.RS
	switch a.Kind {
	case "Pod":
		if pod := p.view.Pods[a.Name]; pod != nil {
			return p.relabel(ctx, pod, resources.MemberLabels(rs, a.Name))
		}
		return nil
	case "PersistentVolumeClaim":
		for name := range p.view.Pods {
			if resources.ClaimName(name) == a.Name {
				if claim := resources.Claim(rs, name); claim != nil {
					return p.put(ctx, claim)
				}
			}
		}
		return nil
	}
	for _, o := range resources.Shared(rs, p.view.Env) {
		if o.GetName() == a.Name && o.GetObjectKind().GroupVersionKind().Kind == a.Kind {
			return p.repair(ctx, o)
		}
	}
	return nil
}

// repair makes an object as wanted, lists and selectors included: server-side apply alone would merge a
// list entry changed by hand with the wanted one.
func (p *pass) repair(ctx context.Context, want client.Object) error {
	live := reflect.New(reflect.TypeOf(want).Elem()).Interface().(client.Object)
	err := p.Live.Get(ctx, client.ObjectKeyFromObject(want), live)
	if apierrors.IsNotFound(err) {
		return p.put(ctx, want)
	}
	if err != nil {
		return err
	}
	patch, err := repairPatch(want, live)
	if err != nil {
		return err
	}
	if err := p.Client.Patch(ctx, live, client.RawPatch(types.MergePatchType, patch), FieldOwner); err != nil {
		return fmt.Errorf("repair %s: %w", want.GetName(), err)
	}
	return nil
}

// repairPatch is a merge patch to the wanted body, labels and owner, that also removes strangers from a
// ConfigMap's data and a Service's selector.
func repairPatch(want, live client.Object) ([]byte, error) {
	w, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return nil, err
	}
	l, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return nil, err
	}
	delete(w, "status")
	w["metadata"] = map[string]any{"labels": want.GetLabels(), "ownerReferences": want.GetOwnerReferences()}
	for _, path := range [][]string{{"data"}, {"spec", "selector"}} {
		have, _, _ := unstructured.NestedMap(l, path...)
		for k := range have {
			if _, found, _ := unstructured.NestedFieldNoCopy(w, append(path, k)...); !found {
				if err := unstructured.SetNestedField(w, nil, append(path, k)...); err != nil {
					return nil, err
				}
			}
		}
	}
	return json.Marshal(w)
}

// put is server-side apply: what the operator sets becomes so, what others set stays.
func (p *pass) put(ctx context.Context, o client.Object) error { return Put(ctx, p.Client, o) }

// Put applies an object under the operator's name.
func Put(ctx context.Context, c client.Client, o client.Object) error {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return err
	}
	delete(m, "status")
	u := &unstructured.Unstructured{Object: m}
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), FieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("write %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return nil
}
