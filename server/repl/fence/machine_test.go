package fence

import (
	"slices"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

func TestParkedBoot(t *testing.T) {
	rec := &Record{SetUID: "set", Term: 3}
	m := New(Config{ID: ident("a", 2)}, Boot{Record: rec})
	if m.Role() != member.RoleParked || m.WriteDeadline() != 0 || len(m.Rejoin()) != 0 {
		t.Fatalf("boots as %s", m.Role())
	}
	up := upstreamA()
	rec.Upstream = &up
	b := New(Config{ID: ident("b", 2)}, Boot{Record: rec})
	if _, ok := has[BecomeReplica](b.Rejoin()); !ok {
		t.Fatal("a replica that kept its term does not rejoin")
	}
	b.Joined()
	if v, ok := b.Voucher(0, 7); !ok || v.Term != 3 || v.Incarnation != b.id.Incarnation {
		t.Fatalf("it vouches again under its term: %+v %v", v, ok)
	}
	if f := New(Config{ID: ident("a", 2)}, Boot{Record: &Record{SetUID: "other", Term: 9}}); f.Term() != 0 {
		t.Fatal("the record of another set was taken")
	}
}

func TestOneReignPerTerm(t *testing.T) {
	m := reigning(Mutation{}, three())
	again := m.Handle(2*time.Second, member.Promote{Order: order(m, 1), Voter: "a", Rosters: three(), ReplID: "r1", Lease: lease})
	if _, ok := has[BecomeMaster](again); ok {
		t.Fatal("the second copy of a promotion began a reign")
	}
	m.Handle(2*time.Second, member.Adopt{Order: order(m, 2)})
	if code := refused(m.Handle(2*time.Second, member.Promote{Order: order(m, 1), Voter: "a", Rosters: three(), ReplID: "r1", Lease: lease})); code != member.RefusedTerm {
		t.Fatalf("a late promotion of term 1: %q", code)
	}
	if code := refused(m.Handle(2*time.Second, member.Promote{Order: order(m, 3), Voter: "a", Rosters: three(), ReplID: "r3", Lease: lease})); code != member.RefusedRole {
		t.Fatalf("a promotion to a term never adopted: %q", code)
	}
	if _, ok := has[BecomeMaster](m.Handle(2*time.Second, member.Promote{Order: order(m, 2), Voter: "a", Rosters: three(), ReplID: "r2", Lease: lease})); !ok {
		t.Fatal("re-appointment in the adopted term is refused")
	}
	if m.WriteDeadline() != 0 {
		t.Fatal("promises of the last reign opened the gate of this one")
	}
}

func TestMasterIsEndedByAHigherTermOnly(t *testing.T) {
	m := reigning(Mutation{}, three())
	for _, msg := range []member.Message{
		member.Park{Order: order(m, 1)},
		member.Follow{Order: order(m, 1), Upstream: member.Upstream{Voter: "b", Incarnation: "1-b"}},
		member.Adopt{Order: order(m, 1)},
	} {
		if code := refused(m.Handle(0, msg)); code != member.RefusedRole || m.Role() != member.RoleMaster {
			t.Errorf("%s: %q, now %s", msg.Kind(), code, m.Role())
		}
	}
	up := member.Upstream{Voter: "b", Incarnation: "1-b"}
	if out := m.HearPeer(member.Report{Identity: ident("b", 1), Term: 9, Master: &up}); out != nil {
		t.Error("hearsay ended a reign")
	}
	out := m.Handle(0, member.Follow{Order: order(m, 2), Upstream: up})
	stop, ok := has[StopWrites](out)
	persist, ok2 := has[Persist](out)
	closed, ok3 := has[CloseClients](out)
	if !ok || !ok2 || !ok3 || stop > persist || persist > closed {
		t.Fatalf("demotion: %#v", out)
	}
}

func TestSetOfOneNeedsNoVoucher(t *testing.T) {
	if m := reigning(Mutation{}, member.Rosters{New: roster(1, 0, "a")}); m.WriteDeadline() != Never {
		t.Fatal("a set of one voter waits for vouchers")
	}
}

func TestVouchersOfAQuorum(t *testing.T) {
	m := reigning(Mutation{}, member.Rosters{New: roster(1, 0, "a", "b", "c", "d", "e")})
	m.Acked(time.Second, voucher("b", 1, 100))
	m.Acked(time.Second, voucher("b", 1, 100))
	if m.WriteDeadline() != 0 {
		t.Fatal("one voucher of five voters opened the gate")
	}
	m.Appended(200, 3*time.Second)
	m.Acked(3*time.Second, voucher("c", 1, 200))
	if got, want := m.WriteDeadline(), time.Second+lease*9/10; got != want {
		t.Fatalf("deadline %v, want that of the older voucher %v", got, want)
	}
	m.Acked(3*time.Second, voucher("c", 1, 900))
	m.Acked(3*time.Second, voucher("d", 2, 200))
	if got, want := m.WriteDeadline(), time.Second+lease*9/10; got != want {
		t.Fatalf("an offset never written, or another term, moved the deadline to %v", got)
	}
}

func TestCommittedNeedsKVoters(t *testing.T) {
	old := roster(1, 1, "a", "b", "c")
	m := reigning(Mutation{}, member.Rosters{New: roster(2, 2, "a", "b", "c", "d"), Old: &old})
	m.Acked(time.Second, voucher("b", 1, 80))
	if m.Committed() != 0 {
		t.Fatalf("committed %d with one of two holders", m.Committed())
	}
	m.Acked(time.Second, voucher("d", 1, 90))
	if m.Committed() != 80 {
		t.Fatalf("committed %d", m.Committed())
	}
	m.Acked(time.Second, Voucher{Voter: "b", Incarnation: member.NewIncarnation(2, 1), Term: 1, Offset: 0})
	if m.Committed() != 0 {
		t.Fatal("a voter that came back empty still counts as a holder")
	}
	m.Acked(time.Second, voucher("b", 1, 100))
	if m.Committed() != 0 {
		t.Fatal("a late word of its dead incarnation counts")
	}
}

func TestRosterChange(t *testing.T) {
	m := reigning(Mutation{}, three())
	one, two := roster(1, 0, "a", "b", "c"), roster(2, 1, "a", "b", "d")
	take := func(r member.Rosters) member.RefusalCode {
		return refused(m.Handle(time.Second, member.TakeRoster{Order: order(m, 1), Rosters: r}))
	}
	if take(member.Rosters{New: two}) != member.RefusedInvalid {
		t.Fatal("a roster replaced another without a joint time")
	}
	if take(member.Rosters{New: two, Old: &one}) != "" || m.rosterOffset != 100 {
		t.Fatalf("joint roster at %d", m.rosterOffset)
	}
	if r := m.Report(time.Second); r.RosterHeld {
		t.Fatal("held by nobody, reported as held")
	}
	m.Acked(time.Second, voucher("d", 1, 100))
	if r := m.Report(time.Second); !r.RosterHeld {
		t.Fatal("one of k=1 holds it")
	}
	aim := roster(3, 0, "a", "b", "e")
	if take(member.Rosters{New: aim, Old: &one}) != "" {
		t.Fatal("a change under way cannot be aimed elsewhere")
	}
	if take(member.Rosters{New: two}) != member.RefusedInvalid {
		t.Fatal("a late final roster was taken")
	}
	if take(member.Rosters{New: aim}) != "" || m.rosters.Old != nil {
		t.Fatal("the final roster is refused")
	}
}

func TestPauseLetsTheStreamEnd(t *testing.T) {
	m := reigning(Mutation{}, three())
	m.Tick(1100 * time.Millisecond)
	m.Handle(1200*time.Millisecond, member.Pause{Order: order(m, 1), Length: time.Second})
	if _, beats := has[Heartbeat](m.Tick(2 * time.Second)); beats {
		t.Fatal("a heartbeat during the pause: nobody could become equal")
	}
	out := m.Tick(2300 * time.Millisecond)
	if _, ok := has[ResumeClients](out); !ok {
		t.Fatal("the pause does not expire by itself")
	}
	if _, beats := has[Heartbeat](out); !beats {
		t.Fatal("no heartbeat after the pause")
	}
}

func TestHandoverKeepsPausedClients(t *testing.T) {
	m := reigning(Mutation{}, three())
	out := m.Handle(time.Second, member.Adopt{Order: order(m, 2), Handover: true})
	i, ok := has[StopWrites](out)
	if !ok || !out[i].(StopWrites).KeepPaused {
		t.Fatalf("%#v", out)
	}
}

func TestRepeatedAdoptionIsAnsweredAgain(t *testing.T) {
	m := reigning(Mutation{}, three())
	m.Handle(time.Second, member.Adopt{Order: order(m, 2)})
	out := m.Handle(time.Second, member.Adopt{Order: order(m, 2)})
	i, ok := has[AnswerAdopted](out)
	if !ok || !out[i].(AnswerAdopted).Adopted.WasMaster || len(out) != 1 {
		t.Fatalf("%#v", out)
	}
}

func TestGuard(t *testing.T) {
	m := following(Mutation{})
	own := data(120, 1, 0)
	for _, c := range []struct {
		name  string
		own   member.Data
		offer SyncOffer
		sync  Sync
		code  member.RefusalCode
	}{
		{"prefix", own, offerA(data(150, 1, 0)), Partial, ""},
		{"equal", own, offerA(data(120, 1, 0)), Partial, ""},
		{"nothing held", member.Data{}, offerA(data(150, 1, 0)), Full, ""},
		{"half loaded", member.Data{Loading: true, Offset: 3}, offerA(data(150, 1, 0)), Full, ""},
		{"older", own, offerA(data(90, 1, 0)), Refuse, member.RefusedGuard},
		{"empty", own, offerA(member.Data{}), Refuse, member.RefusedGuard},
		{"no history to take", member.Data{}, offerA(member.Data{Offset: 9}), Refuse, member.RefusedInvalid},
		{"a later reign began before the own end", own, offerA(data(100, 1, 0, 2, 100)), Full, ""},
		{"foreign set", own, SyncOffer{Identity: member.Identity{SetUID: "x"}, Term: 1, Data: own}, Refuse, member.RefusedForeign},
		{"another process at the address", own, SyncOffer{Identity: ident("a", 2), Term: 1, Master: true, Data: own}, Refuse, member.RefusedIncarnation},
		{"another term", own, SyncOffer{Identity: ident("a", 1), Term: 2, Master: true, Data: own}, Refuse, member.RefusedTerm},
	} {
		v := m.MayLoad(c.own, c.offer)
		if v.Sync != c.sync || v.Code != c.code || (v.Sync == Refuse) != (v.Why != "") {
			t.Errorf("%s: %+v", c.name, v)
		}
		if c.name == "older" || c.name == "prefix" || c.name == "empty" {
			feeder := reigning(Mutation{}, three())
			if f := feeder.MayFeed(c.offer.Data, request(feeder, c.own)); f.Sync != c.sync {
				t.Errorf("%s: the feeder says %+v, the replica %+v", c.name, f, v)
			}
		}
	}
	unjoined := born(Mutation{}, "b")
	unjoined.Handle(0, member.Follow{Order: order(unjoined, 1), Upstream: upstreamA()})
	if v := unjoined.MayFeed(own, request(unjoined, own)); v.Sync != Refuse {
		t.Error("a replica that has not joined feeds others")
	}
	if _, ok := unjoined.Voucher(0, 5); ok {
		t.Error("a replica that has not joined vouches")
	}
}

// TestDataThatAPersonGaveUpGivesWay, and no other, and only when both sides know (S2).
func TestDataThatAPersonGaveUpGivesWay(t *testing.T) {
	m, feeder := following(Mutation{}), reigning(Mutation{}, three())
	lost, other, begun := data(120, 1, 0), data(120, 7, 0), data(5, 9, 0)
	m.rec.GivenUp = slices.Concat(data(0, 3, 0).History, lost.History)
	if v := m.MayLoad(lost, offerA(begun)); v.Sync != Full || !v.SetAside || !v.Unrelated {
		t.Errorf("given up: %+v", v)
	}
	if v := m.MayLoad(other, offerA(begun)); v.Code != member.RefusedGuard {
		t.Errorf("of another origin: %+v", v)
	}
	if v := feeder.MayFeed(begun, request(feeder, lost)); v.Code != member.RefusedGuard {
		t.Errorf("the feeder's record does not say so: %+v", v)
	}
	feeder.rec.GivenUp = m.rec.GivenUp
	if v := feeder.MayFeed(begun, request(feeder, lost)); v.Sync != Full || !v.Unrelated {
		t.Errorf("the feeder: %+v", v)
	}
	m.mut.GiveUpAll = true
	if v := m.MayLoad(other, offerA(begun)); v.Sync != Full {
		t.Errorf("the rule is off, and still: %+v", v)
	}
}

func TestHearsay(t *testing.T) {
	m := born(Mutation{}, "b")
	up := upstreamA()
	told := member.Report{Identity: ident("a", 1), Term: 4, Master: &up}
	if _, ok := has[BecomeReplica](m.HearPeer(told)); !ok || m.Term() != 0 {
		t.Fatal("does not follow the master its peers report, or took a term from them")
	}
	if out := m.HearPeer(told); len(out) != 0 {
		t.Fatal("follows again")
	}
	o := order(m, 3)
	if code := refused(m.Handle(0, member.Adopt{Order: o})); code != member.RefusedTerm {
		t.Fatalf("an order below the term heard: %q", code)
	}
	out := m.Handle(0, member.Follow{Order: order(m, 4), Upstream: up, Master: up.Incarnation, MasterPod: up.Voter})
	if _, again := has[BecomeReplica](out); again {
		t.Fatal("the link was opened again for the same upstream")
	}
	m.Joined()
	if _, ok := m.Voucher(0, 1); !ok {
		t.Fatal("no voucher after the operator spoke")
	}
}

// TestWhereClientsFindTheMaster: only while what was told still holds.
func TestWhereClientsFindTheMaster(t *testing.T) {
	m := reigning(Mutation{}, three())
	expect := func(when, want string) {
		t.Helper()
		if got := m.Primary(); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	expect("as master", "")
	m.Handle(0, member.Adopt{Order: order(m, 2), Handover: true, Next: "b:1"})
	expect("in a planned handover", "b:1")
	up := member.Upstream{Name: "b", Voter: "b", Incarnation: ident("b", 1).Incarnation}
	m.Handle(0, member.Follow{Order: order(m, 2), Upstream: up, Master: up.Incarnation, MasterPod: "b", Primary: "b:2"})
	expect("as replica", "b:2")
	m.Handle(0, member.Adopt{Order: order(m, 3)})
	expect("once that master is deposed", "")
	out := m.Handle(0, member.Follow{Order: order(m, 3), Upstream: up, Master: up.Incarnation, MasterPod: "b", Primary: "b:3"})
	i, ok := has[Persist](out)
	if !ok || out[i].(Persist).Record.Primary != "b:3" {
		t.Errorf("following: %#v", out)
	}
	rec := out[i].(Persist).Record
	n := New(Config{ID: ident("a", 2)}, Boot{Record: &rec})
	n.Rejoin()
	if got := n.Primary(); got != "b:3" {
		t.Errorf("the next process, which rejoins: %q", got)
	}
	m.Handle(0, member.Park{Order: order(m, 3)})
	expect("parked", "")
}
