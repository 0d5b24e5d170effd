package replicaset

import (
	"context"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/apply"
	"github.com/understudy-db/understudy/controllers/memberclient"
	"github.com/understudy-db/understudy/controllers/observe"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
)

// Options are what the controller needs besides a manager.
type Options struct {
	Env        resources.Env
	Leadership memberclient.Leadership
	Clock      func() time.Duration
	Workers    int
	// Name of the controller, for metrics; tests that run several in one process give each its own.
	Name string
}

// Add puts the controller into a manager.
func Add(mgr ctrl.Manager, o Options) error {
	wakes := &wakeSource{}
	pool := memberclient.NewPool(memberclient.Config{Clock: o.Clock, Leadership: o.Leadership, Wake: wakes.wake, Log: mgr.GetLogger().WithName("members")})
	if err := mgr.Add(closer(pool.Close)); err != nil {
		return err
	}
	live := mgr.GetAPIReader()
	r := &Reconciler{
		Observer: &observe.Observer{Cache: mgr.GetClient(), Live: live, Clock: o.Clock, Leadership: o.Leadership, Nodes: &observe.Nodes{Live: live, Clock: o.Clock}},
		Applier:  &apply.Applier{Client: mgr.GetClient(), Live: live, Events: mgr.GetEventRecorder("understudy"), Clock: o.Clock, Leadership: o.Leadership},
		Secrets:  &apply.Secrets{Client: mgr.GetClient(), Live: live, Clock: o.Clock, Now: time.Now},
		Members:  pool, Env: o.Env, Clock: o.Clock,
	}
	name := o.Name
	if name == "" {
		name = "replicaset"
	}
	ours := handler.EnqueueRequestsFromMapFunc(setOf)
	b := builder.ControllerManagedBy(mgr).Named(name).
		For(&v1alpha1.ReplicaSet{}, builder.WithPredicates(specOrNew())).
		Watches(&corev1.Pod{}, ours, builder.WithPredicates(lastWord(pool))).
		WatchesRawSource(wakes).
		WithOptions(controller.Options{MaxConcurrentReconciles: o.Workers,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](10*time.Millisecond, 5*time.Second)})
	for _, obj := range []client.Object{&corev1.PersistentVolumeClaim{}, &corev1.Service{}, &corev1.ConfigMap{}, &discoveryv1.EndpointSlice{},
		&policyv1.PodDisruptionBudget{}, &networkingv1.NetworkPolicy{}} {
		b = b.Watches(obj, ours)
	}
	return b.Complete(r)
}

// setOf finds the set of an owned object: by its controller, and by label for what outlives the set.
func setOf(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[resources.LabelSet]
	for _, ref := range o.GetOwnerReferences() {
		if ref.Controller != nil && *ref.Controller && ref.Kind == "ReplicaSet" && ref.APIVersion == v1alpha1.GroupVersion.String() {
			name = ref.Name
		}
	}
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// specOrNew leaves out changes of status: they are the operator's own.
func specOrNew() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
}

// lastWord takes the kubelet's proof of death from a pod as it was when it disappeared; the cache has
// nothing left of it by the time a pass looks.
func lastWord(pool *memberclient.Pool) predicate.Predicate {
	return predicate.Funcs{DeleteFunc: func(e event.DeleteEvent) bool {
		pod, ok := e.Object.(*corev1.Pod)
		if !ok {
			return true
		}
		for _, req := range setOf(context.Background(), pod) {
			set := pool.Known(req.NamespacedName)
			if set == nil {
				continue
			}
			_, inc := set.Container(member.Voter(pod.UID))
			if cause, dead := observe.KubeletProof(pod, set, inc); dead && inc != "" {
				set.Died(plan.Death{Voter: member.Voter(pod.UID), Incarnation: inc, Proof: plan.ProofKubelet, Cause: cause, Final: observe.Final(pod)})
			}
		}
		return true
	}}
}

// wakeSource lets member connections wake the controller without waiting.
type wakeSource struct {
	queue atomic.Pointer[workqueue.TypedRateLimitingInterface[reconcile.Request]]
}

// Start is called by the controller.
func (w *wakeSource) Start(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	w.queue.Store(&q)
	return nil
}

func (w *wakeSource) wake(key types.NamespacedName) {
	if q := w.queue.Load(); q != nil {
		(*q).Add(reconcile.Request{NamespacedName: key})
	}
}

var _ source.Source = &wakeSource{}

// closer ends the connections when the manager stops.
func closer(end func()) manager.Runnable {
	return manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		end()
		return nil
	})
}
