package status

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/plan"
)

// ConditionPaused tells that spec.paused holds everything but leases.
const ConditionPaused = "Paused"

// row says how a condition speaks to people.
type row struct {
	kind string
	// bad is the status that needs attention; "" for conditions that only tell a choice.
	bad metav1.ConditionStatus
	// event: a turn to bad is worth a warning event.
	event bool
}

// rows in the order of urgency: the first bad one is the set's phase. Documented in docs/operator.md.
var rows = []row{
	{plan.ConditionDataLost, metav1.ConditionTrue, true},
	{plan.ConditionGuardTripped, metav1.ConditionTrue, true},
	{plan.ConditionStalled, metav1.ConditionTrue, true},
	{ConditionPaused, metav1.ConditionTrue, false},
	{plan.ConditionReady, metav1.ConditionFalse, false},
	{plan.ConditionReconciling, metav1.ConditionTrue, false},
	{plan.ConditionDataSetAside, metav1.ConditionTrue, true},
	{plan.ConditionMemoryOnly, "", false},
	{plan.ConditionUnfenced, "", false},
}

// warns tells whether a condition that turned is worth a warning event.
func warns(c metav1.Condition) bool {
	for _, r := range rows {
		if r.kind == c.Type {
			return r.event && c.Status == r.bad
		}
	}
	return false
}

func conditions(rs *v1alpha1.ReplicaSet, d plan.Decision, f Facts) []metav1.Condition {
	out := append([]metav1.Condition(nil), rs.Status.Conditions...)
	put := func(kind string, on bool, reason, message string) {
		c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: clip(message), ObservedGeneration: rs.Generation,
			LastTransitionTime: metav1.NewTime(f.Now)}
		if on {
			c.Status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&out, c)
	}
	for _, c := range d.Conditions {
		if c.Type == plan.ConditionStalled && f.Refusal != "" {
			continue
		}
		put(c.Type, c.True, c.Reason, c.Message)
	}
	if f.Refusal != "" {
		put(plan.ConditionStalled, true, "CannotApply", f.Refusal)
	}
	if rs.Spec.Paused {
		put(ConditionPaused, true, "Asked", "spec.paused: no failover, no repair, no rollout; leases go on")
	} else {
		put(ConditionPaused, false, "Running", "")
	}
	return out
}

// clip keeps a message within the API's limit (32768) and a screen's patience.
func clip(s string) string {
	if len(s) > 1024 {
		return s[:1021] + "..."
	}
	return s
}

// phase is the most urgent condition, in one word.
func phase(rs *v1alpha1.ReplicaSet) string {
	for _, r := range rows {
		c := meta.FindStatusCondition(rs.Status.Conditions, r.kind)
		if c == nil || r.bad == "" || c.Status != r.bad {
			continue
		}
		if r.kind == plan.ConditionReady {
			return c.Reason
		}
		return r.kind
	}
	return plan.ConditionReady
}
