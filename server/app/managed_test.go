package app

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

// TestCrashOfAMemoryOnlyMaster is the accident that the project exists for: master without a file, killed, back at once and
// empty. Its replica must keep everything, become master, and fill it again by exactly one full sync (S2, S3, S4, S8).
func TestCrashOfAMemoryOnlyMaster(t *testing.T) {
	ca := pki.New(t)
	a, b := startPod(t, ca, "a", "--save", ""), startPod(t, ca, "b", "--save", "")
	la, lb := a.meet(""), b.meet("")
	if r := la.report(); r.Role != member.RoleParked || r.Writable {
		t.Fatalf("a member just started: %+v", r)
	}
	if got := a.client().do("SET", "k", "v"); !strings.Contains(got, "READONLY") {
		t.Errorf("a parked member takes a write: %s", got)
	}
	if a.status("/livez") != 200 || a.status("/readyz") != 503 {
		t.Errorf("parked: livez %d readyz %d", a.status("/livez"), a.status("/readyz"))
	}

	// Term 1: a leads, b follows. Its vouchers alone let a write: no lease is granted here.
	both := roster(1, "a", "b")
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(1)}))
	mustBe[member.Adopted](t, lb.ask(member.Adopt{Order: lb.order(1)}))
	promote(la, 1, both)
	mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	la.eventually("writable by the replica's vouchers", func(r member.Report) bool { return r.Writable })
	ca1 := a.client()
	for i := range 100 {
		if got := ca1.do("SET", fmt.Sprint("key:", i), "v"); got != "OK" {
			t.Fatalf("write %d: %s", i, got)
		}
	}
	if got := ca1.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Fatalf("WAIT: %s", got)
	}
	if a.status("/readyz") != 200 || b.status("/readyz") != 200 {
		t.Errorf("readyz a %d b %d", a.status("/readyz"), b.status("/readyz"))
	}

	la2 := killMaster(t, a, la)
	// An operator that made it master of its old term again would be refused: it is parked, and b's guard holds.
	if got := b.client().do("DBSIZE"); got != "(integer) 100" {
		t.Fatalf("the replica holds %s keys after its master came back empty", got)
	}

	// Term 2: b leads, a follows.
	ad := mustBe[member.Adopted](t, lb.ask(member.Adopt{Order: lb.order(2)}))
	if ad.Data.Empty() {
		t.Fatalf("b answers %+v", ad)
	}
	mustBe[member.Adopted](t, la2.ask(member.Adopt{Order: la2.order(2)}))
	promote(lb, 2, both)
	mustBe[member.Done](t, la2.ask(member.Follow{Order: la2.order(2), Upstream: lb.upstream(), Master: lb.inc(), MasterPod: "uid-b"}))
	la2.eventually("in sync", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	if r := la2.report(); r.FullSyncs != 1 {
		t.Errorf("%d full syncs for the member that lost its memory", r.FullSyncs)
	}
	if got := a.client().do("DBSIZE"); got != "(integer) 100" {
		t.Errorf("a holds %s", got)
	}
	lb.eventually("writable", func(r member.Report) bool { return r.Writable })
	if got := b.client().do("SET", "after", "failover"); got != "OK" {
		t.Errorf("a write to the new master: %s", got)
	}
	if n := lb.report().FullSyncs; n != 1 {
		t.Errorf("b loaded %d full syncs, want the one at its start", n)
	}
}

// killMaster kills the process of a memory-only master of term 1: a proof names it, and a new one starts, parked.
func killMaster(t *testing.T, a *pod, la *leader) *leader {
	t.Helper()
	old, killed := la.inc(), time.Now()
	if err := syscall.Kill(a.child(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	la2 := a.meet(old)
	death := mustBe[member.Death](t, la2.until("the proof", false, func(f member.Frame) bool { _, ok := f.Message.(member.Death); return ok }))
	t.Logf("proof of death and a new process %v after the kill", time.Since(killed))
	if death.Identity.Incarnation != old || death.Identity.Voter != "uid-a" || !strings.Contains(death.Cause, "killed") {
		t.Errorf("proof %+v", death)
	}
	if !la2.inc().NewerThan(old) {
		t.Errorf("%s is not newer than %s", la2.inc(), old)
	}
	r := la2.report()
	if r.Role != member.RoleParked || r.Writable || !r.Data.Empty() || r.Term != 1 {
		t.Errorf("the restarted master: %+v", r)
	}
	return la2
}

// TestReplicaWithAFileContinues: a replica that saved and restarts rejoins by itself with a partial resync (S8).
func TestReplicaWithAFileContinues(t *testing.T) {
	ca := pki.New(t)
	a, b := startPod(t, ca, "a", "--save", ""), startPod(t, ca, "b")
	la, lb := a.meet(""), b.meet("")
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(1)}))
	promote(la, 1, roster(1, "a", "b"))
	mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	c := a.client()
	c.do("SET", "before", "1")
	if got := c.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Fatalf("WAIT: %s", got)
	}
	mustBe[member.Done](t, lb.ask(member.Save{Order: lb.order(1)}))
	if err := syscall.Kill(b.child(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lb2 := b.meet(lb.inc())
	lb2.eventually("in sync again without an order", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	if r := lb2.report(); r.FullSyncs != 0 || r.Term != 1 || !r.Persisted {
		t.Errorf("the restarted replica: %+v", r)
	}
	la.eventually("writable by the new incarnation's vouchers", func(r member.Report) bool { return r.Writable })
	c.do("SET", "after", "2")
	if got := c.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Errorf("WAIT after the restart: %s", got)
	}
	if got := b.client().do("MGET", "before", "after"); got != `*["1" "2"]` {
		t.Errorf("b holds %s", got)
	}
}

// waitStopped returns when every thread has stopped: the signal takes effect when one of them is scheduled, and the others
// run on until then.
func waitStopped(t *testing.T, pid int) {
	t.Helper()
	for range 4000 {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(tasks) == 0 {
			t.Fatalf("no threads of %d: %v", pid, err)
		}
		stopped := 0
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			if _, rest, ok := strings.Cut(string(text), ") "); ok && strings.HasPrefix(rest, "T") {
				stopped++
			}
		}
		if stopped == len(tasks) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the process does not stop")
}

// TestStoppedMasterLosesItsRight: SIGSTOP, the lease runs out, SIGCONT: nothing that was asked meanwhile is acknowledged
// (S1), while /livez answers all the time.
func TestStoppedMasterLosesItsRight(t *testing.T) {
	a := startPod(t, pki.New(t), "a", "--save", "")
	l := a.meet("")
	mustBe[member.Adopted](t, l.ask(member.Adopt{Order: l.order(1)}))
	const lease = 2 * time.Second
	promoteFor(l, 1, roster(1, "a", "b", "c"), lease)
	c := a.client()
	for end := time.Now().Add(patience); ; {
		l.until("a lease request", true, func(f member.Frame) bool { _, ok := f.Message.(member.LeaseRequest); return ok })
		got := c.do("SET", "k", "1")
		if got == "OK" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("with a lease: %s", got)
		}
	}
	pid := a.child()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitStopped(t, pid)
	if _, err := c.nc.Write(resp.AppendCommand(nil, []byte("SET"), []byte("k"), []byte("2"))); err != nil {
		t.Fatal(err)
	}
	if a.status("/livez") != 200 {
		t.Error("the supervisor does not answer /livez while the server is stopped")
	}
	time.Sleep(lease + lease/10)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	_ = c.nc.SetDeadline(time.Now().Add(patience))
	if v, err := c.r.Read(); err == nil && v.String() == "OK" {
		t.Error("a write was acknowledged after the lease had run out")
	}
}

// TestSIGTERMHandsOverSavesAndEnds: a master asks to be relieved, then saves, then exits with 0.
func TestSIGTERMHandsOverSavesAndEnds(t *testing.T) {
	a := startPod(t, pki.New(t), "a", "--save", "3600", "1")
	l := a.meet("")
	mustBe[member.Adopted](t, l.ask(member.Adopt{Order: l.order(1)}))
	promote(l, 1, roster(1, "a"))
	l.eventually("writable: a set of one", func(r member.Report) bool { return r.Writable })
	c := a.client()
	if got := c.do("SET", "k", "v"); got != "OK" {
		t.Fatal(got)
	}
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	l.until("the wish to be relieved", false, func(f member.Frame) bool { _, ok := f.Message.(member.Handover); return ok })
	if r := l.report(); !r.Terminates {
		t.Errorf("report %+v", r)
	}
	mustBe[member.Adopted](t, l.ask(member.Adopt{Order: l.order(2)}))
	a.mustEnd()
	if _, err := os.Stat(filepath.Join(a.dir, "dump.rdb")); err != nil {
		t.Errorf("nothing was saved: %v", err)
	}
}

// TestMasterWithAFileRejoins: the old master comes back from its file as a replica, by a partial resync: what it saved is a
// prefix of what its successor has (S8, S9).
func TestMasterWithAFileRejoins(t *testing.T) {
	ca := pki.New(t)
	a, b := startPod(t, ca, "a"), startPod(t, ca, "b")
	la, lb := a.meet(""), b.meet("")
	both := roster(1, "a", "b")
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(1)}))
	promote(la, 1, both)
	mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	c := a.client()
	c.do("SET", "before", "1")
	mustBe[member.Done](t, la.ask(member.Save{Order: la.order(1)}))
	c.do("SET", "between", "2")
	if got := c.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Fatalf("WAIT: %s", got)
	}
	if err := syscall.Kill(a.child(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	la2 := a.meet(la.inc())
	if r := la2.report(); r.Data.Empty() || !r.Persisted || r.Role != member.RoleParked {
		t.Errorf("back from the file: %+v", r)
	}
	mustBe[member.Adopted](t, lb.ask(member.Adopt{Order: lb.order(2)}))
	promote(lb, 2, both)
	mustBe[member.Done](t, la2.ask(member.Follow{Order: la2.order(2), Upstream: lb.upstream(), Master: lb.inc(), MasterPod: "uid-b"}))
	la2.eventually("in sync", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	if r := la2.report(); r.FullSyncs != 0 {
		t.Errorf("%d full syncs, the file was a prefix", r.FullSyncs)
	}
	if got := a.client().do("MGET", "before", "between"); got != `*["1" "2"]` {
		t.Errorf("a holds %s", got)
	}
}

// TestRotation changes the password of two members live: no link drops, no full sync, and in the end only the new one is
// accepted.
func TestRotation(t *testing.T) {
	ca := pki.New(t)
	a, b := startPod(t, ca, "a", "--save", ""), startPod(t, ca, "b", "--save", "")
	la, lb := a.meet(""), b.meet("")
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(1)}))
	promote(la, 1, roster(1, "a", "b"))
	mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	before := la.report().AuthFile
	for _, p := range []*pod{a, b} {
		p.mount("password", "a longer one\n")
	}
	la.eventually("tells the new file", func(r member.Report) bool { return r.AuthFile != before && r.AuthFile != "" })
	version := la.report().AuthFile
	login := func(p *pod, password string) string {
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.dataPort))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return (&client{t, nc, resp.NewReader(nc)}).do("AUTH", password)
	}
	for _, step := range []struct {
		step     member.Rotation
		old, new bool
	}{{member.RotateAccept, true, true}, {member.RotateUse, true, true}, {member.RotateDrop, false, true}} {
		for _, l := range []*leader{la, lb} {
			mustBe[member.Done](t, l.ask(member.Rotate{Order: l.order(1), Step: step.step, Version: version}))
		}
		for _, p := range []*pod{a, b} {
			if got := login(p, "pw") == "OK"; got != step.old {
				t.Errorf("%s, %s: the old password is accepted: %v", step.step, p.name, got)
			}
			if got := login(p, "a longer one") == "OK"; got != step.new {
				t.Errorf("%s, %s: the new password is accepted: %v", step.step, p.name, got)
			}
		}
	}
	if r := lb.report(); !r.Link.InSync || r.FullSyncs != 1 || r.Auth != version || r.AuthStep != member.RotateDrop {
		t.Errorf("the replica after the rotation: %+v", r)
	}
}
