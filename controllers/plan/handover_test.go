package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

const ms = time.Millisecond

// steps is what a pass does, by the first words of its actions, without leases and events.
func steps(d Decision) string {
	var out []string
	for _, s := range d.Steps {
		f := strings.Fields(s.Action.String())
		if f[0] != "GrantLeases" && f[0] != "Event" {
			out = append(out, f[0]+" "+strings.Split(f[1], "/")[0])
		}
	}
	return strings.Join(out, ", ")
}

// TestHandover: a switchover from each of its states goes on, whoever leads.
func TestHandover(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(w *world)
		want string
		held bool
	}{
		{"clients are about to be held", func(w *world) {}, "", true},
		{"the pause was lost, or another leader recorded the term", func(w *world) { w.Leader.TermSeen = w.Now - 200*ms }, "PauseClients m-0", false},
		{"the successor lacks the end", func(w *world) { w.paused().holds(0, 101, hist) }, "", true},
		{"the successor holds all", func(w *world) { w.paused() }, "Adopt m-0", true},
		{"the old master adopted", func(w *world) { w.paused().adopts(0, w.Now) }, "Promote m-1", true},
		{"it adopted, but its answer was lost", func(w *world) { w.Members[0].Report.Term, w.Members[0].Report.Role = 2, member.RoleParked }, "Adopt m-0", true},
		{"the successor is of an older build", func(w *world) {
			w.adopts(0, w.Now).Members[1].Refused = &member.Refusal{Code: member.RefusedRole, Term: 1}
		}, "Adopt m-1", true},
		{"and has adopted", func(w *world) { w.adopts(0, w.Now).adopts(1, w.Now) }, "Promote m-1", true},
		{"and lacks the end", func(w *world) { w.holds(0, 101, hist).adopts(0, w.Now).adopts(1, w.Now) }, "StopLeases term, RecordTerm 3, Adopt m-0, Adopt m-1, Adopt m-2", false},
		{"the successor reigns", func(w *world) { w.adopts(0, w.Now).reigns(1) }, "Follow m-0, Follow m-2, RecordTerm 2", false},
		{"the successor reigns, though nobody knows of the old master's adoption", func(w *world) { w.reigns(1) }, "Follow m-0, Follow m-2, RecordTerm 2", false},
		{"the successor does not come up in time", func(w *world) {
			w.paused().holds(0, 101, hist).Leader.TermSeen = w.Now - handoverLimit
		}, "StopLeases term, RecordTerm 3, Adopt m-0, Adopt m-1, Adopt m-2", false},
		{"nor while clients were not held", func(w *world) { w.Leader.TermSeen = w.Now - handoverLimit }, "PauseClients m-0", false},
		{"the old master adopted long ago, its answer was lost, and the successor is not heard", func(w *world) {
			w.Members[0].Report.Term, w.Members[0].Report.Role, w.Members[1].Connected = 2, member.RoleParked, false
		}, "StopLeases term, RecordTerm 3, Adopt m-0, Adopt m-2", false},
		{"the successor is another process", func(w *world) {
			w.paused().Members[1].Report.Identity.Incarnation = inc("b", 2)
		}, "StopLeases term, RecordTerm 3, Adopt m-0, Adopt m-1, Adopt m-2", false},
		{"the old master died", func(w *world) { w.Deaths = []Death{died("a", 1, false)} }, "StopLeases term, RecordTerm 3, Adopt m-0, Adopt m-1, Adopt m-2", false},
		{"the old master is not heard, its replicas hear it", func(w *world) { w.Members[0].Connected, w.Members[0].LostAt = false, 50*sec }, "", false},
		{"nobody hears the old master", func(w *world) {
			w.Members[0].Connected, w.Members[0].LostAt = false, 50*sec
			w.Members[1].Report.Link.Up, w.Members[2].Report.Link.Up = false, false
		}, "StopLeases term, RecordTerm 3, Adopt m-1, Adopt m-2", false},
		{"a person pauses the set", func(w *world) { w.Spec.Paused = true; w.paused() }, "Adopt m-0", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := handing()
			c.set(w)
			d := Plan(w.Observed)
			if got := steps(d); got != c.want || d.Held != c.held {
				t.Errorf("does %q, held %v; want %q, held %v", got, d.Held, c.want, c.held)
			}
		})
	}
}

func (w *world) paused() *world {
	w.Members[0].Report.Paused = true
	return w
}

// reigns lets member i report the reign that it was appointed to.
func (w *world) reigns(i int) *world {
	r := w.Members[i].Report
	r.Term, r.Role, r.Reign, r.Link = 2, member.RoleMaster, 2, nil
	r.Data.History = hist.Reign(2, "r2", r.Data.Offset)
	return w
}

// Who takes over is on record before anything is done, under the promise that it will get, and the old master goes on.
func TestHandoverIsRecordedFirst(t *testing.T) {
	w := settled(3)
	w.Spec.Request, w.Spec.Lease = "m-1", 3*sec
	d := Plan(w.Observed)
	if got := steps(d); got != "RecordTerm 2, PauseClients m-0" {
		t.Fatal(got)
	}
	next := d.Steps[1].Action.(RecordTerm).Next
	if a, u := next.Appointed, next.Unfenced; a.Name != "m-1" || a.Term != 2 || u.Name != "m-0" || u.Term != 1 || next.Master != nil || next.Lease != 3*sec || !d.Appoints() {
		t.Errorf("recorded %+v", next)
	}
	if d.Steps[0].Action.(GrantLeases).Reign.Name != "m-0" {
		t.Errorf("the old master gets no lease: %v", d.Steps[0])
	}
	w.Spec.Lease = sec // shorter than what the old master holds: one record cannot tell both
	if got := steps(Plan(w.Observed)); got != "PauseClients m-0" {
		t.Error(got)
	}
	w.paused()
	if d := Plan(w.Observed); steps(d) != "StopLeases term, RecordTerm 2, Adopt m-0, Adopt m-1, Adopt m-2" || d.Appoints() {
		t.Error(d)
	}
}

// What took over is recorded with its history, and the wish is spent.
func TestHandoverIsConfirmed(t *testing.T) {
	w := handing().reigns(1)
	d := Plan(w.Observed)
	next := d.Status.Term
	if next.Master == nil || next.Master.Name != "m-1" || next.Unfenced != nil || next.Appointed != nil || next.Target != "" || next.Lineage.String() != "1@0 2@100" {
		t.Errorf("recorded %+v", next)
	}
	if h := d.Status.History; len(h) != 1 || h[0].From != "m-0" || h[0].To != "m-1" || h[0].Offset != 100 || d.Status.SpentRequest != "m-1" {
		t.Errorf("history %+v, spent %q", h, d.Status.SpentRequest)
	}
}

// A switchover that was given up: both count until a master is recorded, also for synchronous replication.
func TestHandoverGivenUpCountsBoth(t *testing.T) {
	w := handing()
	w.Status.Term.Number, w.Status.Term.Target, w.Status.Term.Rosters.New.K = 3, "a", 1
	for i := range w.Members {
		w.Members[i].Report.Term, w.Members[i].Report.Role = 3, member.RoleParked
	}
	w.adopts(0, 99*sec)
	w.Deaths = []Death{died("b", 1, false)}
	w.whole(2, false).adopts(2, 99*sec)
	if got := w.appoints(Mutation{}); got != "" {
		t.Errorf("%s is appointed: m-1 may have acknowledged writes that m-2 alone held", got)
	}
	w.whole(2, true).adopts(2, 99*sec)
	if got := w.appoints(Mutation{}); got != "m-0" {
		t.Errorf("appointed is %q", got)
	}
	w.Deaths = nil
	w.holds(1, 150, hist.Reign(2, "r2", 100)).adopts(1, w.Now) // it had reigned
	if got := w.appoints(Mutation{}); got != "m-1" {
		t.Errorf("m-1 holds the most, appointed is %q", got)
	}
}
