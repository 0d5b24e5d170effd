package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/memberclient"
	"github.com/understudy-db/understudy/controllers/observe"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
	"github.com/understudy-db/understudy/controllers/status"
)

// FieldOwner is the operator's name in managed fields.
const FieldOwner = client.FieldOwner("understudy")

// Applier carries out decisions. Safe for concurrent use on different sets.
type Applier struct {
	Client     client.Client
	Live       client.Reader
	Events     events.EventRecorder
	Clock      func() time.Duration
	Leadership memberclient.Leadership
}

// pass is what the steps of one decision share.
type pass struct {
	*Applier
	view   observe.View
	set    *memberclient.Set
	writer *status.Writer
	d      plan.Decision
	facts  status.Facts
}

// ErrNotLeading ends a pass: another operator leads, or may.
var ErrNotLeading = errors.New("no longer the leader: nothing is recorded or ordered")

// Apply runs the steps. A member that cannot be reached does not end the pass: it shows in the next
// observation.
func (a *Applier) Apply(ctx context.Context, view observe.View, set *memberclient.Set, w *status.Writer, d plan.Decision, f status.Facts) error {
	p := &pass{Applier: a, view: view, set: set, writer: w, d: d, facts: f}
	for _, s := range d.Steps {
		if _, quiet := s.Action.(plan.GrantLeases); !quiet {
			log.FromContext(ctx).V(levelOf(s.Action)).Info("step", "do", s.Action.String(), "why", s.Why)
		}
		if err := p.step(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.Action, err)
		}
	}
	return nil
}

// levelOf keeps what is repeated until it takes hold out of the ordinary log.
func levelOf(a plan.Action) int {
	switch a.(type) {
	case plan.RecordTerm, plan.Promote, plan.CreatePod, plan.DeletePod, plan.StopLeases, plan.WriteObject, plan.PointService:
		return 0
	}
	return 1
}

func (p *pass) step(ctx context.Context, s plan.Step) error {
	switch a := s.Action.(type) {
	case plan.StopLeases:
		p.set.StopLeases()
	case plan.GrantLeases:
		p.set.GrantLeases(a.Reign, p.view.Leader.Since)
	case plan.RecordTerm:
		return p.record(ctx, a)
	case plan.CreatePod:
		return p.createPod(ctx, a)
	case plan.DeletePod:
		return p.deletePod(ctx, a)
	case plan.PointService:
		return p.pointService(ctx, a)
	case plan.WriteObject:
		return p.writeObject(ctx, a)
	case plan.Event:
		p.event(a)
	default:
		p.order(ctx, s.Action)
	}
	return nil
}

// record is rule 7: leadership, without a break since the observation, is checked once more, then the record, by compare-and-set.
func (p *pass) record(ctx context.Context, a plan.RecordTerm) error {
	if p.Clock() >= p.Leadership.Until() || p.Leadership.Since() != p.view.Leader.Since {
		return ErrNotLeading
	}
	if err := p.writer.Record(ctx, a.Expect, a.Next, p.d, p.facts); err != nil {
		// Whether it was written is not known: no lease on an assumption.
		p.set.StopLeases()
		return err
	}
	return nil
}

func (p *pass) event(e plan.Event) { p.Event(p.view.RS, e) }

// Event tells people (events.k8s.io).
func (a *Applier) Event(rs *v1alpha1.ReplicaSet, e plan.Event) {
	kind := corev1.EventTypeNormal
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	a.Events.Eventf(rs, nil, kind, e.Reason, e.Reason, "%s", clip(e.Note))
}

// clip keeps a note within the events API's limit of 1 kB.
func clip(s string) string {
	if len(s) > 1000 {
		return s[:997] + "..."
	}
	return s
}

// order sends what a member is told. See package member for the words.
func (p *pass) order(ctx context.Context, action plan.Action) {
	to, m := p.message(action)
	if m == nil {
		panic(fmt.Sprintf("apply: no function for action %T", action))
	}
	if err := p.set.Send(to, m); err != nil {
		log.FromContext(ctx).V(1).Info("order not sent", "order", action.String(), "error", err.Error())
	}
}

func (p *pass) message(action plan.Action) (plan.Target, member.Message) {
	under := func(t plan.Target, term member.Term) member.Order {
		return member.Order{Term: term, For: t.Incarnation, Met: t.Met, Leader: p.Leadership.Identity()}
	}
	switch a := action.(type) {
	case plan.Adopt:
		return a.Target, member.Adopt{Order: under(a.Target, a.Term), Handover: a.Handover, Next: a.Next}
	case plan.Promote:
		r := a.Record
		return a.Target, member.Promote{Order: under(a.Target, r.Number), Voter: r.Master.Voter, Rosters: r.Rosters,
			ReplID: r.Master.ReplID, GivenUp: r.GivenUp, Lease: r.Lease, After: a.After, Unfenced: a.Unfenced}
	case plan.Follow:
		return a.Target, member.Follow{Order: under(a.Target, a.Term), Upstream: a.Upstream, Master: a.Master.Incarnation,
			MasterPod: a.Master.Voter, GivenUp: a.GivenUp, Primary: a.Primary}
	case plan.TakeRoster:
		return a.Target, member.TakeRoster{Order: under(a.Target, a.Term), Rosters: a.Rosters}
	case plan.Park:
		return a.Target, member.Park{Order: under(a.Target, a.Term)}
	case plan.PauseClients:
		return a.Target, member.Pause{Order: under(a.Target, a.Term), Length: a.Length}
	case plan.ResumeClients:
		return a.Target, member.Resume{Order: under(a.Target, a.Term)}
	case plan.SetConfig:
		set, version := p.directives(a)
		return a.Target, member.Configure{Order: under(a.Target, a.Term), Set: set, Version: version}
	case plan.Rotate:
		return a.Target, member.Rotate{Order: under(a.Target, a.Term), Step: a.Step, Version: a.Version}
	case plan.SaveData:
		return a.Target, member.Save{Order: under(a.Target, a.Term)}
	}
	return plan.Target{}, nil
}

// directives are the changeable ones; a resting master of a set that persists by replicas does not save.
func (p *pass) directives(a plan.SetConfig) (map[string]string, string) {
	set := resources.Changeable(p.view.RS)
	for _, m := range p.view.Members {
		if m.Name == a.Target.Name && observe.MasterRests(p.view.Observed, m) {
			set["save"], set["appendonly"] = "", "no"
			return set, a.Version + observe.MasterVariant
		}
	}
	return set, a.Version
}
