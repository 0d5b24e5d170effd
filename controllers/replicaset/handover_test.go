package replicaset

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/observe"
	"github.com/understudy-db/understudy/controllers/plan"
)

// What this process wrote itself is gone by only after an appointment that is known to be written, until anything else is.
func TestHandoversAreNotedAndForgotten(t *testing.T) {
	var h handovers
	key := types.NamespacedName{Name: "orders"}
	reign := &plan.Reign{Term: 2}
	appoints := plan.Decision{Steps: []plan.Step{{Action: plan.RecordTerm{Next: plan.TermRecord{Number: 2, Unfenced: reign, Appointed: reign}}}}}
	note := func(d plan.Decision, failed error) bool {
		h.note(key, &v1alpha1.ReplicaSet{}, observe.View{}, d, failed)
		_, ok := h.get(key)
		return ok
	}
	for i, c := range []struct {
		d      plan.Decision
		failed error
		want   bool
	}{
		{plan.Decision{}, nil, false},
		{appoints, errors.New("outcome unknown"), false},
		{appoints, nil, true},
		{plan.Decision{}, nil, false},
	} {
		if got := note(c.d, c.failed); got != c.want {
			t.Errorf("pass %d: noted %v", i, got)
		}
	}
}

func TestOrdersOfAHandoverAreNotRepeatedAtOnce(t *testing.T) {
	h := handover{sent: map[string]time.Duration{}}
	lease, adopt := plan.Step{Action: plan.GrantLeases{}}, plan.Step{Action: plan.Adopt{Term: 2}}
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{0, 2}, {sentAgain - 1, 1}, {sentAgain, 2}} {
		if got := h.fresh([]plan.Step{lease, adopt}, c.at); len(got) != c.want {
			t.Errorf("at %v: %v", c.at, got)
		}
	}
}
