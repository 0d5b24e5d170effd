package app

import (
	"syscall"
	"testing"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

// TestWholeAfterACleanShutdownOnly: a member that ended in order with a file has lost nothing and says so at once; after
// kill -9 it says so no more, although the same file is there, until it has caught up (rules 4, 6).
func TestWholeAfterACleanShutdownOnly(t *testing.T) {
	ca := pki.New(t)
	a, b := startPod(t, ca, "a", "--save", ""), startPod(t, ca, "b", "--save", "3600", "1")
	la, lb := a.meet(""), b.meet("")
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(1)}))
	promote(la, 1, roster(1, "a", "b"))
	follow := func() {
		t.Helper()
		mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
		lb.eventually("whole by catching up", func(r member.Report) bool { return r.Data.Whole && r.Link != nil && r.Link.InSync })
	}
	follow()
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	c := a.client()
	c.do("SELECT", "3")
	c.do("SET", "k", "1")
	if got := c.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Fatalf("WAIT: %s", got)
	}

	// While b is away it cannot catch up: what it says then is what it knows from its own start.
	apart := func() {
		t.Helper()
		if err := syscall.Kill(a.child(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		waitStopped(t, a.child())
	}
	together := func() {
		t.Helper()
		if err := syscall.Kill(a.child(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	b.stop()
	apart()
	b.start()
	lb = b.meet(lb.inc())
	if r := lb.report(); !r.Data.Whole || r.Data.Offset == 0 {
		t.Errorf("after a clean shutdown: %+v", r.Data)
	}
	if err := syscall.Kill(b.child(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lb = b.meet(lb.inc())
	if r := lb.report(); r.Data.Whole || r.Data.Offset == 0 {
		t.Errorf("after kill -9, with the file of before: %+v", r.Data)
	}
	together()
	follow()
	c.do("SET", "k", "2")
	if got := c.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Fatalf("WAIT: %s", got)
	}
	if r := lb.report(); r.FullSyncs != 0 {
		t.Errorf("%d full syncs", r.FullSyncs)
	}
	cb := b.client()
	cb.do("SELECT", "3")
	if got := cb.do("GET", "k"); got != `"2"` {
		t.Errorf("b holds %s", got)
	}
}

// TestMemoryIsNeverWholeAfterARestart: without a file there is nothing to come back with, in order or not.
func TestMemoryIsNeverWholeAfterARestart(t *testing.T) {
	b := startPod(t, pki.New(t), "b", "--save", "")
	l := b.meet("")
	mustBe[member.Adopted](t, l.ask(member.Adopt{Order: l.order(1)}))
	promote(l, 1, roster(1, "b"))
	l.eventually("writable", func(r member.Report) bool { return r.Writable })
	b.client().do("SET", "k", "v")
	mustBe[member.Adopted](t, l.ask(member.Adopt{Order: l.order(2)}))
	b.stop()
	b.start()
	l = b.meet(l.inc())
	if r := l.report(); r.Data.Whole || !r.Data.Empty() {
		t.Errorf("back without its memory: %+v", r.Data)
	}
}
