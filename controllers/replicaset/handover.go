package replicaset

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/observe"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/status"
)

// heldFor is for how long an operator goes by what it wrote itself.
const heldFor = 3 * time.Second

// handovers keeps the resources of sets whose switchover is under way, as this process wrote them. Clients are held meanwhile, so
// passes that only give orders to members read nothing from the API server: what was written by compare-and-set is what a
// quorum held at that moment, and should another leader have written since, its members refuse orders of the older term.
type handovers struct {
	mu   sync.Mutex
	held map[types.NamespacedName]handover
}

type handover struct {
	view  observe.View // RS as written
	since time.Duration
	sent  map[string]time.Duration // orders, by what they say, and when: a set has one pass at a time
}

// sentAgain is after what time an order that did not take hold is sent once more. Each word of a member makes a pass, and an
// order that waits in a member's queue behind its own copies takes hold no sooner.
const sentAgain = 100 * time.Millisecond

// fresh leaves out what was sent just now.
func (h handover) fresh(steps []plan.Step, now time.Duration) (out []plan.Step) {
	for _, s := range steps {
		what := s.Action.String()
		if at, sent := h.sent[what]; sent && now < at+sentAgain {
			continue
		}
		if _, lease := s.Action.(plan.GrantLeases); !lease {
			h.sent[what] = now
		}
		out = append(out, s)
	}
	return out
}

func (h *handovers) get(key types.NamespacedName) (handover, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held, ok := h.held[key]
	return held, ok
}

// note remembers a set for which this pass recorded whom a switchover appoints, and forgets it once the pass wrote anything else.
func (h *handovers) note(key types.NamespacedName, rs *v1alpha1.ReplicaSet, v observe.View, d plan.Decision, failed error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if failed != nil || !d.Appoints() {
		delete(h.held, key)
		return
	}
	if h.held == nil {
		h.held = map[types.NamespacedName]handover{}
	}
	v.RS = rs
	h.held[key] = handover{v, v.Now, map[string]time.Duration{}}
}

// whileHeld is a pass of a switchover that needs nothing but the members; done is false when an ordinary one is needed.
func (r *Reconciler) whileHeld(ctx context.Context, req reconcile.Request) (result reconcile.Result, done bool) {
	h, ok := r.handovers.get(req.NamespacedName)
	set := r.Members.Known(req.NamespacedName)
	if !ok || set == nil || set.UID() != h.view.RS.UID || r.Clock() > h.since+heldFor {
		return result, false
	}
	view, err := r.Observer.Again(ctx, h.view, h.since, set)
	if err != nil || view.Leader.Since != h.view.Leader.Since {
		return result, false
	}
	decision := plan.Plan(view.Observed)
	if !decision.Held {
		return result, false
	}
	decision.Steps = h.fresh(decision.Steps, view.Now)
	writer := status.NewWriter(r.Applier.Client, h.view.RS)
	if err := r.Applier.Apply(ctx, view, set, writer, decision, status.Facts{}); err != nil {
		log.FromContext(ctx).V(1).Info("pass ended early", "why", err.Error())
		return result, false
	}
	result, _ = r.again(ctx, set, decision, false, nil)
	return result, true
}
