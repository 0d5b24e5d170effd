package replicaset

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/apply"
	"github.com/understudy-db/understudy/controllers/memberclient"
	"github.com/understudy-db/understudy/controllers/observe"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
	"github.com/understudy-db/understudy/controllers/status"
)

// Reconciler does one pass over one set.
type Reconciler struct {
	Observer *observe.Observer
	Applier  *apply.Applier
	Secrets  *apply.Secrets
	Members  *memberclient.Pool
	Env      resources.Env // Image is the default for sets that name none and have none recorded
	Clock    func() time.Duration

	handovers handovers
}

// Reconcile is one pass.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if result, done := r.whileHeld(ctx, req); done {
		return result, nil
	}
	rs, since, err := r.Observer.Resource(ctx, req.NamespacedName)
	if apierrors.IsNotFound(err) {
		if set := r.Members.Known(req.NamespacedName); set != nil {
			r.Secrets.Forget(set.UID())
			r.Members.Forget(req.NamespacedName)
		}
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	set := r.Members.Set(req.NamespacedName, rs.UID)
	view, refusal, err := r.observe(ctx, rs, since, set)
	if err != nil {
		return reconcile.Result{}, err
	}
	decision := plan.Plan(view.Observed)
	writer := status.NewWriter(r.Applier.Client, rs)
	facts := status.Facts{Image: view.Env.Image, Pods: uids(view.Pods), Now: time.Now(), Refusal: refusal}
	failed := r.Applier.Apply(ctx, view, set, writer, decision, facts)
	if failed != nil {
		facts.Refusal = explain(failed)
	}
	r.handovers.note(req.NamespacedName, writer.Written(), view, decision, failed)
	if failed == nil && (decision.Held || decision.Appoints()) { // clients are held: what is left to tell can wait
		return r.again(ctx, set, decision, decision.Appoints(), nil)
	}
	notices, err := writer.Finish(ctx, decision, facts)
	for _, n := range notices {
		r.Applier.Event(rs, n)
	}
	return r.again(ctx, set, decision, progressed(view, decision), errors.Join(failed, err))
}

// observe makes what a set cannot be observed without (certificates), connects, and looks.
func (r *Reconciler) observe(ctx context.Context, rs *v1alpha1.ReplicaSet, since time.Duration, set *memberclient.Set) (observe.View, string, error) {
	env := r.Env
	env.Image = image(rs, r.Env.Image)
	pods, err := r.Observer.Pods(ctx, rs)
	if err != nil {
		return observe.View{}, "", err
	}
	creds, events, why, err := r.Secrets.Ensure(ctx, rs, env, members(rs, pods))
	if err != nil {
		return observe.View{}, "", err
	}
	for _, e := range events {
		r.Applier.Event(rs, e)
	}
	set.Connect(creds, rs.Spec.Failover.LeaseDuration.Duration, observe.Endpoints(pods))
	view, err := r.Observer.Observe(ctx, rs, env, since, pods, set)
	if err != nil {
		return view, "", err
	}
	view.AuthSeen = r.Secrets.AuthSeen(rs.UID)
	if !rs.Spec.Paused {
		err = r.Applier.NudgeMounts(ctx, view)
	}
	return view, why, err
}

// again says when to look next: at the plan's time, and for what is not watched (Secrets) in any case.
func (r *Reconciler) again(ctx context.Context, set *memberclient.Set, d plan.Decision, progressed bool, err error) (reconcile.Result, error) {
	if err != nil {
		if apierrors.IsConflict(err) || errors.Is(err, apply.ErrNotLeading) {
			log.FromContext(ctx).V(1).Info("pass ended early", "why", err.Error())
			return reconcile.Result{RequeueAfter: 10 * time.Millisecond}, nil
		}
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) { // the set goes with it; nothing can be made meanwhile
			log.FromContext(ctx).Info("the namespace is being deleted", "why", err.Error())
			return reconcile.Result{RequeueAfter: apply.SecretsEvery}, nil
		}
		return reconcile.Result{}, err
	}
	after := apply.SecretsEvery
	set.Eager(d.Again != 0 && (!d.Held || d.Offsets))
	if progressed {
		return reconcile.Result{RequeueAfter: time.Millisecond}, nil
	}
	if d.Again != 0 {
		after = min(after, max(d.Again-r.Clock(), time.Millisecond))
	}
	return reconcile.Result{RequeueAfter: after}, nil
}

// progressed tells whether the pass changed what the next one decides from in status, for which no event
// will come: changes of status wake nobody.
func progressed(v observe.View, d plan.Decision) bool {
	was, is := v.Status, d.Status
	return was.AuthStep != is.AuthStep || was.AuthTarget != is.AuthTarget || was.AuthVersion != is.AuthVersion || was.SpentRequest != is.SpentRequest ||
		slices.ContainsFunc(d.Steps, func(s plan.Step) bool { _, ok := s.Action.(plan.RecordTerm); return ok })
}

// image is the server image of a set. What was recorded stays, so that a newer operator restarts nothing.
func image(rs *v1alpha1.ReplicaSet, fallback string) string {
	switch {
	case rs.Spec.Image != "":
		return rs.Spec.Image
	case rs.Status.Image != "":
		return rs.Status.Image
	}
	return fallback
}

func members(rs *v1alpha1.ReplicaSet, pods map[string]*corev1.Pod) []string {
	out := slices.Collect(maps.Keys(pods))
	for i := range int(rs.Spec.Members) {
		if name := resources.MemberName(rs.Name, i); pods[name] == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func uids(pods map[string]*corev1.Pod) map[string]types.UID {
	out := map[string]types.UID{}
	for name, p := range pods {
		out[name] = p.UID
	}
	return out
}

// explain is a failure in words for status.
func explain(err error) string {
	if apierrors.IsConflict(err) || errors.Is(err, apply.ErrNotLeading) {
		return ""
	}
	return err.Error()
}
