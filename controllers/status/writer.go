package status

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
)

// Facts of a pass that status tells beside the decision.
type Facts struct {
	Image string
	Pods  map[string]types.UID // by member name
	Now   time.Time
	// Refusal is why the pass could not do its work, "" if it could: shown as Stalled.
	Refusal string
}

// Writer writes the status of one resource during one pass.
type Writer struct {
	Client client.Client
	// rs is the resource as read from a quorum at the pass's start; after a write, as written.
	rs *v1alpha1.ReplicaSet
}

// NewWriter begins a pass.
func NewWriter(c client.Client, rs *v1alpha1.ReplicaSet) *Writer {
	return &Writer{Client: c, rs: rs.DeepCopy()}
}

// Written is the resource as this pass wrote it last, or else as it was read.
func (w *Writer) Written() *v1alpha1.ReplicaSet { return w.rs }

// Record writes the term, and with it whatever else the decision says, by compare-and-set on expect.
// After any error the pass must end: the outcome may be unknown, and the next pass reads a quorum.
func (w *Writer) Record(ctx context.Context, expect string, next plan.TermRecord, d plan.Decision, f Facts) error {
	if w.rs.ResourceVersion != expect {
		return fmt.Errorf("record of term %d expects version %s, status is at %s: read again", next.Number, expect, w.rs.ResourceVersion)
	}
	rs := w.rs.DeepCopy()
	rs.Status = Render(w.rs, d, f)
	rs.Status.Term = writeTerm(next)
	rs.Status.Term.VacantSince = vacantSince(w.rs.Status.Term, next, f.Now)
	finish(rs)
	return w.write(ctx, rs)
}

// Finish writes what changed, if anything did. The term stays as recorded.
// The notices tell people what turned bad.
func (w *Writer) Finish(ctx context.Context, d plan.Decision, f Facts) ([]plan.Event, error) {
	rs := w.rs.DeepCopy()
	rs.Status = Render(w.rs, d, f)
	took(&rs.Status, f.Now)
	finish(rs)
	notices := turned(w.rs.Status, rs.Status)
	if equality.Semantic.DeepEqual(w.rs.Status, rs.Status) {
		return nil, nil
	}
	if err := w.write(ctx, rs); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return nil, nil // the change that came between wakes the next pass
		}
		return nil, err
	}
	return notices, nil
}

func (w *Writer) write(ctx context.Context, rs *v1alpha1.ReplicaSet) error {
	if err := w.Client.Status().Update(ctx, rs); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	w.rs = rs
	return nil
}

// Render is the status after a decision; the term is left as it is in rs.
func Render(rs *v1alpha1.ReplicaSet, d plan.Decision, f Facts) v1alpha1.ReplicaSetStatus {
	st := *rs.Status.DeepCopy()
	st.ObservedGeneration = rs.Generation
	st.Image = f.Image
	st.SpentMaster = d.Status.SpentRequest
	st.AuthVersion, st.AuthStep, st.AuthTarget = d.Status.AuthVersion, string(d.Status.AuthStep), d.Status.AuthTarget
	st.Selector = labels.SelectorFromSet(resources.PodSelector(rs)).String()
	st.Replicas = int32(len(f.Pods))
	st.Members = nil
	synced := 0
	for _, m := range d.Members {
		if m.Sync == plan.InSync {
			synced++
		}
		st.Members = append(st.Members, v1alpha1.MemberStatus{Name: m.Name, Role: string(m.Role), Upstream: m.Upstream, PodUID: f.Pods[m.Name],
			Incarnation: string(m.Incarnation), Sync: v1alpha1.SyncState(m.Sync), Persisted: m.Persisted, Reason: m.Reason})
	}
	st.InSync = fmt.Sprintf("%d/%d", synced, rs.Spec.Members)
	st.History = history(st.History, d.Status.History, f.Now)
	st.Conditions = conditions(rs, d, f)
	return st
}

// finish fills in what follows from the term, which Record may just have changed.
func finish(rs *v1alpha1.ReplicaSet) {
	rs.Status.Master = ""
	if t := rs.Status.Term; t != nil && t.Master != nil {
		rs.Status.Master = t.Master.Member
	}
	rs.Status.Phase = phase(rs)
}

// vacantSince is when the term now recorded, or the one before it, lost its master.
func vacantSince(before *v1alpha1.TermRecord, next plan.TermRecord, now time.Time) *metav1.MicroTime {
	if next.Master == nil && (before == nil || before.Master != nil) || before == nil {
		at := metav1.NewMicroTime(now)
		return &at
	}
	return before.VacantSince
}

// took fills in how long the last change of master took, once the new one accepts writes.
func took(st *v1alpha1.ReplicaSetStatus, now time.Time) {
	if len(st.History) == 0 || st.Term == nil || st.Term.VacantSince == nil {
		return
	}
	last := &st.History[0]
	if last.Duration != "" || last.Term != st.Term.Number || !meta.IsStatusConditionTrue(st.Conditions, plan.ConditionReady) {
		return
	}
	last.Duration = max(now.Sub(st.Term.VacantSince.Time), time.Millisecond).Round(time.Millisecond).String()
}

// history keeps the times of what was known and gives the newest entry its own.
func history(old []v1alpha1.Transition, now []plan.Failover, at time.Time) []v1alpha1.Transition {
	var out []v1alpha1.Transition
	for _, h := range slices.Backward(now) {
		t := v1alpha1.Transition{Term: int64(h.Term), From: h.From, To: h.To, Reason: h.Reason, Offset: h.Offset, Lost: h.Lost}
		i := slices.IndexFunc(old, func(o v1alpha1.Transition) bool { return o.Term == t.Term && o.To == t.To })
		if i >= 0 {
			t.At, t.Duration = old[i].At, old[i].Duration
		} else {
			stamp := metav1.NewTime(at.Truncate(time.Second))
			t.At = &stamp
		}
		out = append(out, t)
	}
	return out[:min(len(out), 10)]
}

// turned tells what became worth a warning: a condition that turned bad, a member with a new reason for
// not being in sync.
func turned(before, after v1alpha1.ReplicaSetStatus) []plan.Event {
	var out []plan.Event
	for _, c := range after.Conditions {
		old := meta.FindStatusCondition(before.Conditions, c.Type)
		told := old != nil && old.Status == c.Status && old.Reason == c.Reason &&
			(old.Message == c.Message || c.Type != plan.ConditionDataSetAside) // each file is news
		if warns(c) && !told {
			out = append(out, plan.Event{Warning: true, Reason: c.Type, Note: c.Message})
		}
	}
	for _, m := range after.Members {
		i := slices.IndexFunc(before.Members, func(o v1alpha1.MemberStatus) bool { return o.Name == m.Name })
		if strings.Contains(m.Reason, ":") && (i < 0 || before.Members[i].Reason != m.Reason) {
			out = append(out, plan.Event{Warning: true, Reason: "MemberNotRunning", Note: m.Name + ": " + m.Reason})
		}
	}
	return out
}
