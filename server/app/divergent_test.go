package app

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

// deposed makes a pod the master of term 1, lets it write keys that its replica does not get, deposes it, and tells what it reports when it
// follows the master of term 2.
func deposed(t *testing.T, keys ...string) (*pod, member.Report) {
	t.Helper()
	ca := pki.New(t)
	a, b := startPod(t, ca, "a", "--save", ""), startPod(t, ca, "b", "--save", "")
	la, lb := a.meet(""), b.meet("")
	both := roster(1, "a", "b")
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(1)}))
	promote(la, 1, both)
	mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	c := a.client()
	c.do("SELECT", "3")
	c.do("SET", "both", "1")
	if got := c.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Fatalf("WAIT: %s", got)
	}

	// b goes over to term 2; a, which does not hear of it, writes on for as long as its lease lasts, and is stopped then.
	mustBe[member.Adopted](t, lb.ask(member.Adopt{Order: lb.order(2)}))
	la.until("a lease request", true, func(f member.Frame) bool { _, ok := f.Message.(member.LeaseRequest); return ok })
	la.eventually("writable by lease", func(r member.Report) bool { return r.Writable })
	end := la.report().Data.Offset
	la.eventually("a heartbeat that b does not get", func(r member.Report) bool { return r.Data.Offset > end })
	for _, key := range keys {
		if got := c.do("SET", key, "alone"); got != "OK" {
			t.Fatalf("SET %s: %s", key, got)
		}
	}
	pid := a.child()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitStopped(t, pid)
	promote(lb, 2, both)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(2)}))
	mustBe[member.Done](t, la.ask(member.Follow{Order: la.order(2), Upstream: lb.upstream(), Master: lb.inc(), MasterPod: "uid-b"}))
	la.eventually("in sync", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	return a, la.report()
}

// TestHeartbeatsOfADeposedMaster: what it has alone are heartbeats, which go without a full sync (S8).
func TestHeartbeatsOfADeposedMaster(t *testing.T) {
	a, r := deposed(t)
	if r.FullSyncs != 0 || r.Divergent != "" {
		t.Errorf("the deposed master: %+v", r)
	}
	c := a.client()
	c.do("SELECT", "3")
	if got := c.do("GET", "both"); got != `"1"` {
		t.Errorf("a holds %s", got)
	}
}

// TestDeposedMasterKeepsItsTail: writes that only the old master has are in a file before its data gives way (rule 11).
func TestDeposedMasterKeepsItsTail(t *testing.T) {
	a, r := deposed(t, "x", "y", "z")
	if r.FullSyncs != 1 || r.Divergent == "" {
		t.Fatalf("the deposed master: %+v", r)
	}
	text, err := os.ReadFile(filepath.Join(a.dir, r.Divergent))
	if err != nil {
		t.Fatal(err)
	}
	_, stream, _ := strings.Cut(string(text), "\r\n")
	want := ""
	for _, words := range [][]string{{"SELECT", "3"}, {"SET", "x", "alone"}, {"SET", "y", "alone"}, {"SET", "z", "alone"}} {
		want += string(resp.AppendCommandStrings(nil, words...))
	}
	if got := strings.ReplaceAll(stream, "*1\r\n$4\r\nPING\r\n", ""); got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	again := a.client()
	if info := again.do("INFO", "understudy"); !strings.Contains(info, "divergent_tail_file:"+r.Divergent) {
		t.Errorf("INFO: %s", info)
	}
	again.do("SELECT", "3")
	if got := again.do("MGET", "both", "x"); got != `*["1" (nil)]` {
		t.Errorf("a holds %s after it gave way", got)
	}
}
