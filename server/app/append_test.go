package app

import (
	"syscall"
	"testing"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

// TestMembersWithAnAppendOnlyFile: under appendfsync always a member is whole after kill -9, its lineage is in the file
// though the base is older than its reign, from the first write on, and everybody continues with a partial resync (S8).
func TestMembersWithAnAppendOnlyFile(t *testing.T) {
	ca := pki.New(t)
	args := []string{"--save", "", "--appendonly", "yes", "--appendfsync", "always"}
	a, b := startPod(t, ca, "a", args...), startPod(t, ca, "b", args...)
	la, lb := a.meet(""), b.meet("")
	both := roster(1, "a", "b")
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(1)}))
	promote(la, 1, both)
	mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	lb.eventually("in sync and on disk", func(r member.Report) bool { return r.Persists && r.Persisted && r.Link != nil && r.Link.InSync })
	c := a.client()
	c.do("SELECT", "3")
	for range 20 {
		c.do("INCR", "n")
	}
	if got := c.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Fatalf("WAIT: %s", got)
	}

	if err := syscall.Kill(a.child(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	la2 := a.meet(la.inc())
	ra, rb := la2.report(), lb.report()
	if !ra.Data.Whole || !ra.Persisted || ra.Role != member.RoleParked {
		t.Errorf("the master after kill -9: %+v", ra)
	}
	if len(ra.Data.History) != len(rb.Data.History) || ra.Data.History[len(ra.Data.History)-1] != rb.Data.History[len(rb.Data.History)-1] {
		t.Errorf("its lineage %v, the replica's %v", ra.Data.History, rb.Data.History)
	}
	mustBe[member.Adopted](t, lb.ask(member.Adopt{Order: lb.order(2)}))
	promote(lb, 2, both)
	mustBe[member.Done](t, la2.ask(member.Follow{Order: la2.order(2), Upstream: lb.upstream(), Master: lb.inc(), MasterPod: "uid-b"}))
	la2.eventually("in sync", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	lb.eventually("writable", func(r member.Report) bool { return r.Writable })
	cb := b.client()
	cb.do("SELECT", "3")
	cb.do("INCR", "n")
	if got := cb.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Fatalf("WAIT: %s", got)
	}
	epochs := len(lb.report().Data.History)
	if err := syscall.Kill(b.child(), syscall.SIGSTOP); err != nil { // a cannot catch up
		t.Fatal(err)
	}
	waitStopped(t, b.child())
	if err := syscall.Kill(a.child(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	la3 := a.meet(la2.inc())
	if r := la3.report(); !r.Data.Whole || r.Data.Offset == 0 || len(r.Data.History) != epochs {
		t.Errorf("the replica after kill -9: %+v", r.Data)
	}
	if err := syscall.Kill(b.child(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	mustBe[member.Done](t, la3.ask(member.Follow{Order: la3.order(2), Upstream: lb.upstream(), Master: lb.inc(), MasterPod: "uid-b"}))
	la3.eventually("in sync", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	if r := la3.report(); r.FullSyncs != 0 {
		t.Errorf("%d full syncs", r.FullSyncs)
	}
	ca3 := a.client()
	ca3.do("SELECT", "3")
	if got := ca3.do("GET", "n"); got != `"21"` {
		t.Errorf("a holds %s", got)
	}
}

// TestLineageStandsWhileAMemberStarts: on a slow disk a start takes long, and what looks after the append-only file meanwhile neither
// loses the lineage that the file tells nor meets a driver that is being made, which the race detector would tell at the end.
func TestLineageStandsWhileAMemberStarts(t *testing.T) {
	a := startPod(t, pki.New(t), "a", "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	l := a.meet("")
	mustBe[member.Adopted](t, l.ask(member.Adopt{Order: l.order(1)}))
	promote(l, 1, roster(1, "a"))
	l.eventually("writable", func(r member.Report) bool { return r.Writable })
	a.client().must("OK", "SET", "k", "v")
	a.cut()
	for _, slow := range []string{"clean-shutdown.json", ""} {
		a.slow = slow
		a.start()
		l = a.meet(l.inc())
		if r := l.report(); r.Data.Position().Term != 1 {
			t.Errorf("after a start, slow on %q: %+v", slow, r.Data)
		}
		a.stop()
	}
}

// TestEverySecondIsWholeAfterACleanEndOnly: appendfsync everysec proves nothing after kill -9, an orderly end does.
func TestEverySecondIsWholeAfterACleanEndOnly(t *testing.T) {
	ca := pki.New(t)
	args := []string{"--save", "", "--appendonly", "yes"}
	a, b := startPod(t, ca, "a", args...), startPod(t, ca, "b", args...)
	la, lb := a.meet(""), b.meet("")
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(1)}))
	promote(la, 1, roster(1, "a", "b"))
	follow := func() {
		t.Helper()
		mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
		lb.eventually("whole by catching up", func(r member.Report) bool { return r.Data.Whole && r.Persisted && r.Link != nil && r.Link.InSync })
	}
	follow()
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	a.client().do("SET", "k", "1")
	signal := func(s syscall.Signal) { // while b is away it cannot catch up: what it says is what it knows from its own start
		t.Helper()
		if err := syscall.Kill(a.child(), s); err != nil {
			t.Fatal(err)
		}
		if s == syscall.SIGSTOP {
			waitStopped(t, a.child())
		}
	}
	b.stop()
	signal(syscall.SIGSTOP)
	b.start()
	lb = b.meet(lb.inc())
	if r := lb.report(); !r.Data.Whole || r.Data.Offset == 0 {
		t.Errorf("after a clean end: %+v", r.Data)
	}
	signal(syscall.SIGCONT)
	follow()
	signal(syscall.SIGSTOP)
	if err := syscall.Kill(b.child(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lb = b.meet(lb.inc())
	if r := lb.report(); r.Data.Whole || r.Data.Offset == 0 {
		t.Errorf("after kill -9: %+v", r.Data)
	}
	signal(syscall.SIGCONT)
	follow()
	if r := lb.report(); r.FullSyncs != 0 {
		t.Errorf("%d full syncs", r.FullSyncs)
	}
}
