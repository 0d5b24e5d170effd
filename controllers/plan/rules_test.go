package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

const sec = time.Second

// world builds an Observed by hand: members m-0, m-1, ... of pods "a", "b", ...
type world struct{ Observed }

var hist = member.History{{Term: 1, ReplID: "r1", Start: 0}}

func inc(v member.Voter, seq uint64) member.Incarnation {
	return member.NewIncarnation(seq, uint64(v[0]))
}

func uid(i int) member.Voter { return member.Voter(rune('a' + i)) }

// settled is n members, m-0 master of term 1, all in sync at offset 100, at time 100s.
func settled(n int) *world {
	w := &world{}
	w.Now = 100 * sec
	w.Leader = Leadership{Since: 10 * sec, Leads: true, StatusRead: 99 * sec, LastLease: 99 * sec}
	w.Spec = Spec{Name: "m", UID: "set", Members: n, Shape: Star, Persist: PersistNone, Lease: 2 * sec, Automatic: true,
		Strict: true, Revision: "r1", ColdStart: 30 * sec, SwitchTimeout: sec}
	reign := &Reign{Term: 1, Name: "m-0", Voter: "a", Incarnation: inc("a", 1), ReplID: "r1"}
	r := member.Roster{Version: 1}
	for i := range n {
		r.Voters = append(r.Voters, uid(i))
	}
	w.Status = Status{Version: "7", Term: TermRecord{Number: 1, Master: reign, Rosters: member.Rosters{New: r}, Lease: 2 * sec, Lineage: hist}}
	for i := range n {
		v := uid(i)
		rep := &member.Report{Identity: member.Identity{SetUID: "set", Voter: v, Incarnation: inc(v, 1)}, Term: 1, Role: member.RoleReplica,
			Data: member.Data{History: hist, Offset: 100, Whole: true}}
		if i == 0 {
			rep.Role, rep.Reign, rep.Writable = member.RoleMaster, 1, true
			rosters := w.Status.Term.Rosters.Clone()
			rep.Rosters, rep.RosterHeld = &rosters, true
		} else {
			rep.Link = &member.Link{Upstream: member.Upstream{Name: "m-0", Addr: "a:1", Voter: "a", Incarnation: inc("a", 1)}, Up: true, InSync: true}
		}
		w.Members = append(w.Members, Member{Name: fmt.Sprintf("m-%d", i), Ordinal: i, Connected: true, MetAt: 11 * sec, Report: rep, ReportAt: w.Now,
			Pod: Pod{UID: v, Addr: string(v) + ":1", Revision: "r1", Ready: true}})
	}
	w.Service = ServiceState{Master: "a", Readers: r.Voters[1:]}
	return w
}

// deposing is the same set in term 2 without a master, m-0 silent, nobody having answered yet.
func deposing(n int) *world {
	w := settled(n)
	t := &w.Status.Term
	t.Unfenced, t.Master, t.Number = t.Master, nil, 2
	w.Members[0].Connected, w.Members[0].LostAt = false, 90*sec
	for i := 1; i < n; i++ {
		w.Members[i].Report.Role, w.Members[i].Report.Link, w.Members[i].Report.Term = member.RoleParked, nil, 2
	}
	return w
}

// handing is a settled set in which term 2 is recorded with m-1 appointed, just now.
func handing() *world {
	w := settled(3)
	w.Spec.Request = "m-1"
	t := &w.Status.Term
	t.Number, t.Unfenced, t.Master, t.Target = 2, t.Master, nil, "b"
	t.Appointed = &Reign{Term: 2, Name: "m-1", Voter: "b", Incarnation: inc("b", 1), ReplID: "r2"}
	w.Leader.TermSeen = w.Now - 10*time.Millisecond
	return w
}

// adopts lets member i answer at time at with its data as reported.
func (w *world) adopts(i int, at time.Duration) *world {
	m := &w.Members[i]
	m.Answer, m.AnswerAt = &member.Adopted{Term: w.Status.Term.Number, Voter: m.Pod.UID, Incarnation: m.Report.Identity.Incarnation, Data: m.Report.Data}, at
	return w
}

func (w *world) holds(i int, offset int64, h member.History) *world {
	w.Members[i].Report.Data.Offset, w.Members[i].Report.Data.History = offset, h
	return w
}

func (w *world) whole(i int, on bool) *world {
	w.Members[i].Report.Data.Whole = on
	return w
}

// does runs the plan and tells which steps begin with one of the words.
func (w *world) does(m Mutation, word string) []string {
	var out []string
	for _, s := range PlanMutated(w.Observed, m).Steps {
		if strings.HasPrefix(s.Action.String(), word) {
			out = append(out, s.Action.String())
		}
	}
	return out
}

// appoints names whom the pass records as master, "" if nobody.
func (w *world) appoints(m Mutation) string {
	for _, s := range PlanMutated(w.Observed, m).Steps {
		if r, ok := s.Action.(RecordTerm); ok && r.Next.Master != nil && r.Next.Master.Term == r.Next.Number && w.Status.Term.Master == nil {
			return r.Next.Master.Name
		}
	}
	return ""
}

// TestRules: every rule holds, and the same check fails when that one rule is turned off.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		rule  string
		off   Mutation
		holds func(Mutation) bool
	}{
		{"5: no promotion before promises ran out", Mutation{NoWait: true}, func(x Mutation) bool {
			early := deposing(3).adopts(1, 99*sec).adopts(2, 99*sec).appoints(x)
			late := deposing(3).adopts(1, 98*sec).adopts(2, 98*sec)
			late.Leader.LastLease = 97 * sec
			return early == "" && late.appoints(x) == "m-1"
		}},
		{"5: promises count from when the voter was asked last, as it tells", Mutation{NoWait: true}, func(x Mutation) bool {
			told := func(ages ...time.Duration) string {
				w := deposing(3).adopts(1, 99*sec).adopts(2, 99*sec)
				w.Leader.LastLease = 97 * sec
				for i, age := range ages {
					w.Members[i+1].Answer.Quiet = age
				}
				return w.appoints(x)
			}
			return told(1*sec, 1*sec) == "m-1" && told(1*sec, 0) == "" && told(900*time.Millisecond, 2*sec) == ""
		}},
		{"5: n-q+1 voters other than the master", Mutation{NoCount: true}, func(x Mutation) bool {
			w := deposing(3).adopts(1, 50*sec)
			w.Leader.LastLease = 20 * sec
			return w.appoints(x) == ""
		}},
		{"3: a recreated pod is no voter", Mutation{NamesNotPods: true}, func(x Mutation) bool {
			w := deposing(3)
			w.Members[2].Pod.UID = "z"
			w.Members[2].Report.Identity.Voter = "z"
			w.adopts(1, 50*sec).adopts(2, 50*sec).Leader.LastLease = 20 * sec
			return w.appoints(x) == ""
		}},
		{"3: counts hold in both rosters", Mutation{NewRosterOnly: true}, func(x Mutation) bool {
			w := deposing(5)
			old := member.Roster{Version: 1, Voters: []member.Voter{"a", "b", "c", "d", "e"}}
			w.Status.Term.Rosters = member.Rosters{New: member.Roster{Version: 2, Voters: []member.Voter{"a", "b", "c"}}, Old: &old}
			w.adopts(1, 50*sec).adopts(2, 50*sec).Leader.LastLease = 20 * sec
			return w.appoints(x) == ""
		}},
		{"3: a roster is final when the master says so", Mutation{FinalAtOnce: true}, func(x Mutation) bool {
			w := settled(3)
			old := member.Roster{Version: 1, Voters: []member.Voter{"a", "b"}}
			w.Status.Term.Rosters.New.Version, w.Status.Term.Rosters.Old = 2, &old
			w.Members[0].Report.Rosters = &member.Rosters{New: old}
			return len(w.does(x, "RecordTerm")) == 0 && len(w.does(x, "TakeRoster")) == 1
		}},
		{"4: leases stop before the record", Mutation{KeepLeasing: true}, func(x Mutation) bool {
			w := settled(3)
			w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
			order := ""
			for _, st := range PlanMutated(w.Observed, x).Steps {
				order += strings.Fields(st.Action.String())[0] + " "
			}
			return strings.HasPrefix(order, "StopLeases RecordTerm Adopt ")
		}},
		{"6: all that can be heard may answer", Mutation{Impatient: true}, func(x Mutation) bool {
			w := deposing(3).holds(2, 150, hist).adopts(1, w0)
			w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
			return w.appoints(x) == ""
		}},
		{"13: only the old master's own end tells that nobody holds more", Mutation{AnyLast: true}, func(x Mutation) bool {
			w := deposing(3).holds(2, 150, hist).adopts(1, w0).adopts(0, w0) // c, which holds more, has not answered
			w.Status.Term.Target = "b"
			w.Members[0].Report.Identity.Incarnation = inc("a", 2) // it died, and came back from its file
			w.Members[0].Answer.Incarnation = inc("a", 2)
			return w.appoints(x) == ""
		}},
		{"6: with k, so many whole adopters that one holds every acknowledged write", Mutation{NoHold: true}, func(x Mutation) bool {
			w := deposing(3).adopts(1, 50*sec)
			w.Status.Term.Rosters.New.K = 1
			w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
			return w.appoints(x) == ""
		}},
		{"6: who lost data is not counted as whole", Mutation{NotWhole: true}, func(x Mutation) bool {
			w := deposing(3).whole(2, false).adopts(1, 50*sec).adopts(2, 50*sec)
			w.Status.Term.Rosters.New.K = 1
			w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
			return w.appoints(x) == ""
		}},
		{"6: an answer dies with its incarnation", Mutation{StaleAnswers: true}, func(x Mutation) bool {
			w := deposing(3).adopts(1, 50*sec).adopts(2, 50*sec)
			w.Members[1].Report.Identity.Incarnation = inc("b", 2)
			w.Members[2].Report.Identity.Incarnation = inc("c", 2)
			w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
			return w.appoints(x) == ""
		}},
		{"9: a leader says truly whom it met before reading status", Mutation{NoMet: true}, func(x Mutation) bool {
			w := deposing(3)
			w.Members[1].MetAt = 99*sec + 1 // after the read began
			for _, s := range PlanMutated(w.Observed, x).Steps {
				if a, ok := s.Action.(Adopt); ok && a.Target.Name == "m-1" {
					return !a.Target.Met
				}
			}
			return false
		}},
		{"12: a lost status begins far above every term seen", Mutation{NoJump: true}, func(x Mutation) bool {
			w := settled(3)
			w.Status = Status{Version: "9", Lost: true}
			r := w.does(x, "RecordTerm")
			return len(r) == 1 && strings.HasPrefix(r[0], fmt.Sprintf("RecordTerm %d no master", 1+member.LostStatusJump))
		}},
		{"12: an unknown master must be waited for", Mutation{LostNoWait: true}, func(x Mutation) bool {
			w := deposing(3).adopts(1, 99*sec).adopts(2, 99*sec)
			w.Status.Term.Unfenced = nil
			return w.appoints(x) == ""
		}},
		{"12: nobody's data is taken for lost unheard", Mutation{LossIsNoMatter: true}, func(x Mutation) bool {
			w := deposing(3).holds(1, 0, nil).adopts(1, 50*sec)
			w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
			return w.appoints(x) == ""
		}},
		{"12: a person's word gives nobody up that is about to answer", Mutation{HastyLoss: true}, func(x Mutation) bool {
			w := deposing(3).holds(1, 0, nil).adopts(1, 50*sec)
			w.Spec.AcceptLoss, w.Leader.TermSeen = true, 40*sec
			w.Members[0].Pod, w.Members[0].Report = Pod{}, nil
			w.Members[2].MetAt = 99 * sec // a process met just now: it has not been asked yet
			return w.appoints(x) == ""
		}},
		{"13: clients are held before a switchover", Mutation{NoPause: true}, func(x Mutation) bool {
			w := settled(3)
			w.Spec.Request = "m-1"
			return len(w.does(x, "PauseClients")) == 1 && len(w.does(x, "Adopt")) == 0
		}},
		{"13: the successor is promoted only after the old master itself adopted", Mutation{HastyTakeover: true}, func(x Mutation) bool {
			w := handing()
			w.Members[0].Report.Paused = true
			return len(w.does(x, "Promote")) == 0 && len(w.does(x, "Adopt m-0")) == 1
		}},
		{"13: the successor is promoted only when it has all that the old master had", Mutation{BlindSwitch: true}, func(x Mutation) bool {
			w := handing().holds(0, 101, hist).adopts(0, 99*sec)
			return len(w.does(x, "Promote")) == 0
		}},
		{"4: whom a switchover had appointed stays unfenced", Mutation{ForgetAppoint: true}, func(x Mutation) bool {
			w := handing().adopts(0, 99*sec)
			w.Members[1].Connected, w.Members[1].LostAt = false, 90*sec // it may reign already
			for _, s := range PlanMutated(w.Observed, x).Steps {
				if r, ok := s.Action.(RecordTerm); ok {
					w.Status.Term = r.Next
				}
			}
			for i := range w.Members {
				w.Members[i].Report.Term, w.Members[i].Report.Role = 3, member.RoleParked
			}
			w.adopts(0, 99*sec).adopts(2, 99*sec)
			return w.Status.Term.Number == 3 && w.appoints(x) == ""
		}},
		{"13: the target is promoted only when it has all", Mutation{BlindSwitch: true}, func(x Mutation) bool {
			w := deposing(3)
			w.Status.Term.Target = "b"
			w.Members[0].Connected = true
			w.holds(0, 101, hist).adopts(0, 99*sec).adopts(1, 99*sec).adopts(2, 99*sec)
			return w.appoints(x) == "m-0"
		}},
		{"S4: a dead master is not appointed again without an election", Mutation{RestartMaster: true}, func(x Mutation) bool {
			w := settled(3)
			w.Members[0].Report = &member.Report{Identity: member.Identity{Voter: "a", Incarnation: inc("a", 2)}, Term: 1, Role: member.RoleParked}
			return len(w.does(x, "Promote")) == 0 && len(w.does(x, "RecordTerm 2 no master")) == 1
		}},
		{"S5: the term of the last write before the offset", Mutation{OffsetOnly: true}, func(x Mutation) bool {
			w := deposing(3)
			w.Status.Term.Number, w.Status.Term.Lineage = 3, hist.Reign(2, "r2", 90)
			w.holds(1, 95, hist.Reign(2, "r2", 90)).holds(2, 120, hist).adopts(1, 50*sec).adopts(2, 50*sec)
			w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
			return w.appoints(x) == "m-1"
		}},
		{"S5: never across unrelated histories", Mutation{AnyHistory: true}, func(x Mutation) bool {
			w := deposing(3).holds(2, 900, member.History{{Term: 9, ReplID: "zz", Start: 0}}).adopts(1, 50*sec).adopts(2, 50*sec)
			w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
			return w.appoints(x) == "m-1"
		}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if !c.holds(Mutation{}) {
				t.Error("the rule does not hold")
			}
			if c.holds(c.off) {
				t.Error("turning the rule off changes nothing: the test cannot fail")
			}
		})
	}
}

const w0 = 100*sec - 20*time.Millisecond // an answer that came just now

// TestNothingIsInferredFromSilence: what must not count as a proof of death (rule 10).
func TestNothingIsInferredFromSilence(t *testing.T) {
	for name, change := range map[string]func(*world){
		"refused connection": func(w *world) { w.Members[0].Connected, w.Members[0].LostAt = false, 10*sec },
		"no pod object":      func(w *world) { w.Members = w.Members[1:] },
		"recreated pod": func(w *world) {
			w.Members[0].Pod.UID = "z"
			w.Members[0].Report = &member.Report{Identity: member.Identity{Voter: "z", Incarnation: inc("z", 9)}, Role: member.RoleParked}
		},
		"not ready": func(w *world) {
			w.Members[0].Connected, w.Members[0].Pod.Ready, w.Members[0].LostAt = false, false, 10*sec
		},
		"being deleted": func(w *world) {
			w.Members[0].Connected, w.Members[0].Pod.Deleting, w.Members[0].LostAt = false, true, 10*sec
		},
		"death of an earlier": func(w *world) { w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 7), Proof: ProofSupervisor}} },
	} {
		w := settled(3)
		change(w)
		if got := w.does(Mutation{}, "RecordTerm 2"); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestProofsOfDeath(t *testing.T) {
	for name, change := range map[string]func(*world){
		"supervisor":        func(w *world) { w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}} },
		"kubelet":           func(w *world) { w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofKubelet}} },
		"newer incarnation": func(w *world) { w.Members[0].Report.Identity.Incarnation = inc("a", 2) },
		"node gone":         func(w *world) { w.Members[0].Pod.NodeGone = true },
		"ended for good":    func(w *world) { w.Members[0].Pod.Ended = true },
	} {
		w := settled(3)
		change(w)
		if got := w.does(Mutation{}, "RecordTerm 2 no master"); len(got) != 1 {
			t.Errorf("%s: %v", name, PlanMutated(w.Observed, Mutation{}))
		}
	}
}

func TestSuspicionNeedsThePeers(t *testing.T) {
	silent := func() *world {
		w := settled(3)
		w.Members[0].Connected, w.Members[0].LostAt = false, 90*sec
		return w
	}
	w := silent()
	w.Members[1].Report.Link.Up = false
	if got := w.does(Mutation{}, "RecordTerm 2"); len(got) > 0 {
		t.Errorf("one of two needed voters lost it: %v", got)
	}
	w.Members[2].Report.Link.Up = false
	if got := w.does(Mutation{}, "RecordTerm 2 no master"); len(got) != 1 {
		t.Errorf("all lost it: %v", got)
	}
	quiet := silent() // a dead node closes no connection: the links look up, but nothing comes
	quiet.Members[1].Report.Link.Silent, quiet.Members[2].Report.Link.Silent = true, true
	if got := quiet.does(Mutation{}, "RecordTerm 2 no master"); len(got) != 1 {
		t.Errorf("no peer hears it any more: %v", got)
	}
	w.Members[0].LostAt = 99 * sec
	if got := w.does(Mutation{}, "RecordTerm 2"); len(got) > 0 {
		t.Errorf("lost only just now: %v", got)
	}
	chain := silent()
	chain.Members[1].Report.Link.Up = false
	chain.Members[2].Report.Link.Upstream.Voter = "b" // hears only m-1, which hears nobody
	if got := chain.does(Mutation{}, "RecordTerm 2 no master"); len(got) != 1 {
		t.Errorf("in a chain: %v", got)
	}
}

// TestObservedIsSavable: a case read back from JSON is decided the same.
func TestObservedIsSavable(t *testing.T) {
	w := deposing(3).adopts(1, 98*sec).adopts(2, 98*sec)
	w.Leader.LastLease = 97 * sec
	b, err := json.Marshal(w.Observed)
	if err != nil {
		t.Fatal(err)
	}
	var back Observed
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	a, c := Plan(w.Observed), Plan(back)
	if a.String() != c.String() || len(a.Steps) == 0 {
		t.Fatalf("%s\nread back:\n%s", a, c)
	}
}

func TestManualFailoverWaitsForAPerson(t *testing.T) {
	w := settled(3)
	w.Spec.Automatic = false
	w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
	if got := w.does(Mutation{}, "RecordTerm"); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	w.Spec.Request = "m-2"
	if got := w.does(Mutation{}, "RecordTerm 2 no master"); len(got) != 1 {
		t.Fatalf("a person asks for m-2: %s", Plan(w.Observed))
	}
	d := deposing(3).adopts(1, 50*sec).adopts(2, 50*sec)
	d.Deaths, d.Status.Term.Target = w.Deaths, "c"
	if got := d.appoints(Mutation{}); got != "m-2" {
		t.Fatalf("both hold the same, appointed is %q", got)
	}
}

func TestWithoutLeadNothingIsDone(t *testing.T) {
	for name, change := range map[string]func(*world){
		"does not lead":   func(w *world) { w.Leader.Leads = false },
		"old status":      func(w *world) { w.Leader.StatusRead = 5 * sec },
		"status not read": func(w *world) { w.Leader.StatusRead = 0 },
		"deleting":        func(w *world) { w.Spec.Deleting = true },
	} {
		w := settled(3)
		w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
		change(w)
		if d := Plan(w.Observed); len(d.Steps) > 0 {
			t.Errorf("%s: %s", name, d)
		}
	}
	w := settled(3)
	w.Spec.Paused = true
	w.Deaths = []Death{{Voter: "a", Incarnation: inc("a", 1), Proof: ProofSupervisor}}
	if d := Plan(w.Observed); len(d.Steps) != 1 || len(w.does(Mutation{}, "GrantLeases")) != 1 {
		t.Errorf("paused: %s", d)
	}
}

// TestASwitchoverWaitsForNobodyElse: when the old master and its successor have adopted the term with the same end, a third
// member that has not answered yet holds up nobody; it does as long as the two differ.
func TestASwitchoverWaitsForNobodyElse(t *testing.T) {
	handed := func() *world {
		w := deposing(3).adopts(0, w0).adopts(1, w0)
		w.Status.Term.Target = "b"
		return w
	}
	if got := handed().appoints(Mutation{}); got != "m-1" {
		t.Errorf("appointed %q, want m-1", got)
	}
	behind := handed().holds(1, 90, hist).adopts(1, w0)
	if got := behind.appoints(Mutation{}); got != "" {
		t.Errorf("appointed %q, want nobody before the third had its moment", got)
	}
	unplanned := handed()
	unplanned.Status.Term.Target = ""
	if got := unplanned.appoints(Mutation{}); got != "" {
		t.Errorf("appointed %q without a plan, want nobody before the third had its moment", got)
	}
}
