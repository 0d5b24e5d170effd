package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/api/member"
)

// What the simulation found, kept as small cases.

func died(v member.Voter, seq uint64, final bool) Death {
	return Death{Voter: v, Incarnation: inc(v, seq), Proof: ProofKubelet, Final: final}
}

// A joint roster whose new voter vanished could never become final.
func TestFoundRosterWhoseNewVoterVanished(t *testing.T) {
	w := settled(3)
	old := member.Roster{Version: 1, Voters: []member.Voter{"a", "b", "c"}}
	w.Status.Term.Rosters = member.Rosters{New: member.Roster{Version: 2, Voters: []member.Voter{"a", "b", "x"}, K: 1}, Old: &old}
	w.Spec.K = 1
	rosters := w.Status.Term.Rosters.Clone()
	w.Members[0].Report.Rosters, w.Members[0].Report.RosterHeld = &rosters, false
	got := w.does(Mutation{}, "RecordTerm")
	if len(got) != 1 || got[0] != "RecordTerm 1 m-0/1-0000000000000061 #1[a b c]k0=>#3[a b c]k1" {
		t.Fatalf("%v", got)
	}
}

// With all voters lost, a member not yet admitted that holds the data had not been waited for.
func TestFoundNonVoterWithTheOnlyCopy(t *testing.T) {
	w := deposing(3)
	w.Status.Term.Rosters.New.Voters = []member.Voter{"a", "b"}
	w.holds(1, 0, nil).adopts(1, 50*sec)
	w.Deaths = []Death{died("a", 1, true)}
	w.Status.Term.Gone = []member.Voter{"a"}
	w.Members[0].Pod.UID, w.Members[0].Report = "", nil
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("%s begins anew while m-2 has not answered", got)
	}
	if got := w.adopts(2, 50*sec).appoints(Mutation{}); got != "m-2" {
		t.Fatalf("the only copy is on m-2, appointed is %q", got)
	}
}

// A disk outlives its pod: its next pod had not been waited for.
func TestFoundDiskWithoutAPod(t *testing.T) {
	w := deposing(2)
	w.Spec.Persist = PersistAll
	for i := range w.Members {
		w.Members[i].Pod.Persists = true
	}
	w.holds(1, 0, nil).adopts(1, 50*sec)
	w.Deaths = []Death{died("a", 1, true)}
	w.Members[0].Pod = Pod{}
	w.Members[0].Report = nil
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("%s begins anew while the disk of m-0 is unread", got)
	}
	w.Members[0].Pod = Pod{UID: "z", NeverRan: true, Persists: true}
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("%s begins anew while the new pod of m-0 has not started", got)
	}
}

// A set was made smaller and then lost everybody: the disks of voters that are not wanted any more had not been read.
func TestFoundDisksOfASetMadeSmaller(t *testing.T) {
	w := deposing(3)
	w.Spec.Persist = PersistReplicas
	for i := range w.Members {
		w.Members[i].Pod.Persists = true
	}
	w.Spec.Members = 1
	w.Deaths = []Death{died("a", 1, true), died("b", 1, true), died("c", 1, true)}
	w.Status.Term.Gone = []member.Voter{"a", "b", "c"}
	w.Members = w.Members[:1]
	w.Members[0].Pod = Pod{UID: "z", Persists: true}
	w.Members[0].Connected = true
	w.holds(0, 0, nil).adopts(0, 50*sec)
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("%s begins anew, and nobody has read the disks of m-1 and m-2", got)
	}
	if got := w.does(Mutation{}, "CreatePod"); len(got) != 2 || got[0] != "CreatePod m-1" || got[1] != "CreatePod m-2" {
		t.Errorf("makes %v", got)
	}
	w.Status.Term.Disks = []string{"m-7"} // ordinals need not be without gaps
	if got := w.does(Mutation{}, "CreatePod"); len(got) != 3 || got[2] != "CreatePod m-7" {
		t.Errorf("makes %v", got)
	}
}

// A member that ended for good takes the word of its disk with it, before its pod goes.
func TestFoundDiskIsNotedBeforeThePodGoes(t *testing.T) {
	for _, persists := range []bool{true, false} {
		w := deposing(3)
		w.Members[2].Pod.Ended, w.Members[2].Pod.Persists = true, persists
		var noted []string
		for _, s := range Plan(w.Observed).Steps {
			if r, ok := s.Action.(RecordTerm); ok {
				noted = r.Next.Disks
			}
		}
		if (len(noted) == 1) != persists {
			t.Errorf("persists %v: noted %v", persists, noted)
		}
	}
}

// A proof for one incarnation was taken for the end of its pod.
func TestFoundProofOfAnEarlierIncarnation(t *testing.T) {
	w := deposing(3).holds(1, 0, nil).adopts(1, 50*sec)
	w.Members = w.Members[:2]
	w.Members[0].Pod, w.Members[0].Report = Pod{}, nil
	w.Deaths = []Death{died("a", 1, true), died("c", 1, false)}
	w.Status.Term.Gone = []member.Voter{"a"}
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("%s begins anew; pod c was deleted by force and may run on", got)
	}
	w.Deaths[1].Final = true
	if got := w.appoints(Mutation{}); got != "m-1" {
		t.Fatalf("everybody is accounted for, appointed is %q", got)
	}
}

// With k, a member that is no voter was appointed though acknowledged writes were on voters only.
func TestFoundNonVoterWithK(t *testing.T) {
	w := deposing(3)
	w.Status.Term.Rosters.New = member.Roster{Version: 1, Voters: []member.Voter{"a", "c"}, K: 1}
	w.holds(1, 60, hist).adopts(1, 50*sec)
	w.Members = w.Members[:2]
	w.Members[0].Pod, w.Members[0].Report = Pod{}, nil
	w.Deaths = []Death{died("a", 1, true), died("c", 1, true)}
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("%s is appointed without a person's word", got)
	}
	w.Spec.AcceptLoss = true
	if got := w.appoints(Mutation{}); got != "m-1" {
		t.Fatalf("accepted, appointed is %q", got)
	}
}

// A person's word began a new history while the pod with the data was being made; and then its data was refused for ever.
func TestFoundNewHistoryByAPersonsWord(t *testing.T) {
	w := deposing(3).holds(1, 0, nil).adopts(1, 50*sec)
	w.Spec.Persist, w.Spec.AcceptLoss = PersistAll, true
	w.Members[0].Pod, w.Members[0].Report = Pod{}, nil
	w.Members[2].Pod = Pod{UID: "z", NeverRan: true, Persists: true}
	w.Members[2].Report, w.Members[2].Connected = nil, false
	w.Status.Term.GivenUp = member.History{{Term: 1, ReplID: "r0"}}
	w.Leader.TermSeen = w.Now - w.Spec.ColdStart + sec
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("%s begins anew while the new pod of m-2 has not started", got)
	}
	if d := Plan(w.Observed); d.Again != w.Now+sec {
		t.Fatalf("looks again at %v, it is %v", d.Again, w.Now)
	}
	w.Now += sec
	for _, s := range Plan(w.Observed).Steps {
		r, ok := s.Action.(RecordTerm)
		if !ok || r.Next.Master == nil {
			continue
		}
		if r.Next.Master.Name != "m-1" || fmt.Sprint(r.Next.GivenUp) != fmt.Sprint(append(w.Status.Term.GivenUp, hist...)) {
			t.Errorf("%s is appointed, given up is [%s]", r.Next.Master.Name, r.Next.GivenUp)
		}
		return
	}
	t.Fatal("nobody is appointed")
}

// A member with data of before a new history counted as one of the set's: a reign that begins with nothing shares nothing.
func TestFoundDataOfBeforeANewHistory(t *testing.T) {
	w := deposing(3).holds(1, 900, hist).holds(2, 40, hist.Reign(2, "r2", 0)).adopts(1, 50*sec).adopts(2, 50*sec)
	w.Status.Term.Number, w.Status.Term.Lineage = 3, hist.Reign(2, "r2", 0)
	w.adopts(1, 50*sec).adopts(2, 50*sec)
	w.Deaths = []Death{died("a", 1, false)}
	if got := w.appoints(Mutation{OffsetOnly: true}); got != "m-2" {
		t.Fatalf("appointed is %q", got)
	}
}

// A switchover that gave the role back was tried again at once, for ever.
func TestFoundSwitchoverInALoop(t *testing.T) {
	w := settled(3)
	w.Members[0].Report.Terminates = true
	w.Leader.TermSeen = 99 * sec
	w.Status.History = []Failover{{Term: 1, From: "m-0", To: "m-0"}}
	if got := w.does(Mutation{}, "PauseClients"); len(got) != 0 {
		t.Fatalf("one second after the last attempt: %v", got)
	}
	w.Leader.TermSeen = 97 * sec
	if got := w.does(Mutation{}, "PauseClients"); len(got) != 1 {
		t.Fatalf("one lease later: %v", got)
	}
}

// A switchover whose target missed the last bytes gave the role back, and with it the person's wish was forgotten.
func TestFoundSwitchoverGivenBackIsNotSpent(t *testing.T) {
	for _, c := range []struct {
		behind int64
		spent  string
	}{{0, "m-1"}, {14, ""}} {
		w := deposing(3)
		w.Spec.Request, w.Status.Term.Target = "m-1", "b"
		w.Members[0].Connected, w.Members[0].LostAt = true, 0
		w.holds(0, 100+c.behind, hist)
		for i := range 3 {
			w.adopts(i, 100*sec)
		}
		if got := PlanMutated(w.Observed, Mutation{}).Status.SpentRequest; got != c.spent {
			t.Errorf("target %d bytes behind: spent request %q, want %q (master %s)", c.behind, got, c.spent, w.appoints(Mutation{}))
		}
	}
}

// Services that follow every wobble of a switchover make kube-proxy late for the one change that writers wait for.
func TestServicesMoveOnceWhenTheMasterDoes(t *testing.T) {
	w := settled(3)
	master := &w.Status.Term
	master.Number, master.Master = 2, &Reign{Term: 2, Name: "m-1", Voter: "b", Incarnation: inc("b", 1), ReplID: "r2"}
	for i := range w.Members { // nobody has joined the new master yet, which is not writable yet
		r := w.Members[i].Report
		r.Term, r.Role, r.Link, r.Writable = 2, member.RoleReplica, &member.Link{DownFor: sec / 10}, false
	}
	b := w.Members[1].Report
	b.Role, b.Reign, b.Link = member.RoleMaster, 2, nil
	if got := w.does(Mutation{}, "PointService"); len(got) != 0 {
		t.Fatalf("before the new master can write: %v", got)
	}
	b.Writable = true
	if got := w.does(Mutation{}, "PointService"); len(got) != 1 || got[0] != "PointService b readers [c]" {
		t.Fatalf("once it can: %v, want it to lead to b and to keep the reader c, whose link is only coming up", got)
	}
	w.Members[2].Report.Link.DownFor = 3 * sec
	if got := w.does(Mutation{}, "PointService"); len(got) != 1 || got[0] != "PointService b readers []" {
		t.Fatalf("a link that stays down: %v", got)
	}
}

// A new set with disks, of which one pod could not start, waited for ever.
func TestFoundFirstTermWithAPodThatCannotStart(t *testing.T) {
	w := deposing(3)
	w.Spec.Persist = PersistAll
	w.Status.Term = TermRecord{Number: 1, Rosters: w.Status.Term.Rosters, Lease: 2 * sec}
	for i := range w.Members {
		w.Members[i].Pod.Persists, w.Members[i].Report.Term = true, 1
	}
	w.Members[0].Report = nil
	w.holds(1, 0, nil).holds(2, 0, nil).adopts(1, 80*sec).adopts(2, 80*sec)
	w.Leader.LastLease = 0
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("%s begins before the start timeout", got)
	}
	w.Spec.ColdStart = 15 * sec
	if got := w.appoints(Mutation{}); got != "m-1" {
		t.Fatalf("after it, appointed is %q", got)
	}
	w.Status.Term.Number = 1 + member.LostStatusJump
	w.adopts(1, 80*sec).adopts(2, 80*sec)
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("status was lost, and %s begins a new history", got)
	}
}

// A set applied with spec.master began with another master and took the wish for fulfilled.
func TestFoundFirstMasterOfAWish(t *testing.T) {
	w := deposing(3)
	w.Status.Term = TermRecord{Number: 1, Rosters: w.Status.Term.Rosters, Lease: 2 * sec}
	w.Spec.Request = "m-2"
	for i := range w.Members {
		w.Members[i].Report.Term = 1
		w.holds(i, 0, nil).adopts(i, 80*sec)
	}
	w.Leader.LastLease = 0
	d := Plan(w.Observed)
	if d.Status.Term.Master == nil || d.Status.Term.Master.Name != "m-2" || d.Status.SpentRequest != "m-2" {
		t.Fatalf("master %v, spent %q", d.Status.Term.Master, d.Status.SpentRequest)
	}
	w.Spec.ColdStart = 15 * sec
	w.Members[2].Report, w.Members[2].Answer = nil, nil
	d = Plan(w.Observed)
	if d.Status.Term.Master == nil || d.Status.SpentRequest != "" {
		t.Fatalf("the one asked for cannot start: master %v, spent %q", d.Status.Term.Master, d.Status.SpentRequest)
	}
}

// During a change of roster the only holder of acknowledged writes was a voter of the old one alone, and
// another was appointed.
func TestFoundHolderThatLeavesTheRoster(t *testing.T) {
	w := deposing(3)
	old := member.Roster{Version: 1, Voters: []member.Voter{"a", "b", "c"}, K: 1}
	w.Status.Term.Rosters = member.Rosters{New: member.Roster{Version: 2, Voters: []member.Voter{"a", "b"}, K: 1}, Old: &old}
	w.Deaths = []Death{died("a", 1, false)}
	w.holds(2, 120, hist).adopts(1, 50*sec).adopts(2, 50*sec)
	if got := w.appoints(Mutation{}); got != "m-2" {
		t.Fatalf("m-2 holds the most, appointed is %q", got)
	}
	if got := w.does(Mutation{}, "RecordTerm 2 m-2/1-0000000000000063 #3[a b c]k1"); len(got) != 1 {
		t.Fatalf("the change of roster is given up: %s", Plan(w.Observed))
	}
}

// A person accepted loss, and an empty voter was appointed though others held data.
func TestFoundAcceptedLossIsTheLeast(t *testing.T) {
	w := deposing(3).holds(1, 0, hist).adopts(1, 50*sec).adopts(2, 50*sec)
	w.Status.Term.Rosters.New.Voters = []member.Voter{"a", "b"}
	w.Deaths = []Death{died("a", 1, false)}
	w.Spec.AcceptLoss = true
	if got := w.appoints(Mutation{}); got != "m-2" {
		t.Fatalf("m-2 holds the data, appointed is %q", got)
	}
}

// A single member's stand-in was master when its pod went; its disk was not waited for.
func TestFoundDiskOfAMasterBeyondTheSet(t *testing.T) {
	w := deposing(2)
	w.Spec.Members, w.Spec.Persist = 1, PersistAll
	w.Status.Term.Unfenced.Name, w.Status.Term.Unfenced.Voter = "m-1", "b"
	w.Members = w.Members[:1]
	w.Members[0].Connected, w.Members[0].Pod.Persists = true, true
	w.Deaths = []Death{died("b", 1, true)}
	w.Members[0].Report.Term, w.Members[0].Report.Role = 2, member.RoleParked
	w.holds(0, 0, nil).adopts(0, 50*sec)
	if got := w.appoints(Mutation{}); got != "" {
		t.Fatalf("%s begins anew while the disk of m-1 is unread", got)
	}
	if got := w.does(Mutation{}, "CreatePod m-1"); len(got) != 1 {
		t.Fatalf("nobody brings the disk back: %s", Plan(w.Observed))
	}
}

// What members keep aside stands in a condition until nobody keeps anything, and a member that restarts hides nothing.
func TestDataSetAside(t *testing.T) {
	w := settled(3)
	cond := func() string {
		for _, c := range Plan(w.Observed).Conditions {
			if c.Type == ConditionDataSetAside {
				return fmt.Sprint(c.True, " ", c.Message)
			}
		}
		return "left as it was"
	}
	if got := cond(); got != "false " {
		t.Error(got)
	}
	w.Members[2].Report.Divergent = "divergent-1-x-5.aof"
	if got := cond(); got != "true writes that no other member has are kept by m-2 in divergent-1-x-5.aof" {
		t.Error(got)
	}
	w.Members[2].Report = nil
	if got := cond(); got != "left as it was" {
		t.Error(got)
	}
}

// A password that changed while another one was being rotated in was put to use before anybody accepted it.
func TestFoundPasswordChangedDuringARotation(t *testing.T) {
	w := settled(3)
	w.Status.AuthVersion, w.Status.AuthTarget, w.Status.AuthStep, w.Spec.AuthVersion = "v1", "v2", member.RotateUse, "v3"
	for i := range w.Members {
		w.Members[i].Report.Auth, w.Members[i].Report.AuthStep = "v2", member.RotateUse
	}
	if got := w.does(Mutation{}, "Rotate"); len(got) != 3 || !strings.HasSuffix(got[0], "accept v3") {
		t.Errorf("%v", got)
	}
	d := Plan(w.Observed)
	if d.Status.AuthTarget != "v3" || d.Status.AuthStep != member.RotateAccept {
		t.Errorf("at %s of %s", d.Status.AuthStep, d.Status.AuthTarget)
	}
	w.Spec.AuthVersion = "v2"
	if got := w.does(Mutation{}, "Rotate"); len(got) != 0 {
		t.Errorf("everybody uses it: %v", got)
	}
}

// TestMembersLearnWhereClientsFindTheMaster: in a planned switchover already when they adopt its term, so that clients ask the
// next master in advance; unplanned only with the order to follow it, in every topology the master itself.
func TestMembersLearnWhereClientsFindTheMaster(t *testing.T) {
	primaries := func(w *world) *world {
		for i := range w.Members {
			w.Members[i].Pod.Primary = string(uid(i)) + ":primary"
		}
		return w
	}
	told := func(w *world) (next, follow map[string]string) {
		next, follow = map[string]string{}, map[string]string{}
		for _, s := range Plan(w.Observed).Steps {
			switch a := s.Action.(type) {
			case Adopt:
				next[a.Target.Name] = a.Next
			case Follow:
				follow[a.Target.Name] = a.Primary
			}
		}
		return next, follow
	}
	w := primaries(deposing(3))
	w.Status.Term.Target = "b"
	w.Members[0].Connected = true
	next, _ := told(w)
	if len(next) != 3 || next["m-0"] != "b:primary" || next["m-1"] != "" || next["m-2"] != "b:primary" {
		t.Errorf("in a switchover to m-1 the members are told %v", next)
	}
	next, _ = told(primaries(deposing(3)))
	if len(next) != 2 || next["m-1"] != "" || next["m-2"] != "" {
		t.Errorf("unplanned they are told %v", next)
	}
	w = primaries(settled(3))
	w.Spec.Shape = Chain
	for i := range 2 {
		r := w.Members[i+1].Report
		r.Role, r.Link = member.RoleParked, nil
	}
	if _, follow := told(w); len(follow) != 2 || follow["m-1"] != "a:primary" || follow["m-2"] != "a:primary" {
		t.Errorf("in a chain the members are told %v", follow)
	}
}
