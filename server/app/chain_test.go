package app

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

// TestSynchronousChain: with k = 2 the master of a chain of three waits for the member at the end, whose voucher comes up through the one
// between (S6). Real processes: the end is stopped, and no write is acknowledged until it goes on.
func TestSynchronousChain(t *testing.T) {
	ca := pki.New(t)
	a, b, c := startPod(t, ca, "a", "--save", "", "--synchronous-timeout", "60000"), startPod(t, ca, "b", "--save", ""), startPod(t, ca, "c", "--save", "")
	la, lb, lc := a.meet(""), b.meet(""), c.meet("")
	for _, l := range []*leader{la, lb, lc} {
		mustBe[member.Adopted](t, l.ask(member.Adopt{Order: l.order(1)}))
	}
	all := roster(1, "a", "b", "c")
	all.New.K = 2
	promote(la, 1, all)
	mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	mustBe[member.Done](t, lc.ask(member.Follow{Order: lc.order(1), Upstream: lb.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	writer, end := a.client(), c.client()
	for i := 0; ; i++ { // until both vouch it says that there are too few
		got := writer.do("SET", "n", "0")
		if got == "OK" {
			break
		}
		if i == 1000 {
			t.Fatalf("SET: %s", got)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for i := range 200 {
		want := fmt.Sprint(i)
		if got := writer.do("SET", "n", want); got != "OK" {
			t.Fatalf("SET: %s", got)
		}
		if got := end.do("GET", "n"); got != `"`+want+`"` {
			t.Fatalf("write %s is acknowledged, and the end of the chain holds %s", want, got)
		}
	}
	pid := c.child()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitStopped(t, pid)
	if _, err := writer.nc.Write(resp.AppendCommandStrings(nil, "SET", "n", "last")); err != nil {
		t.Fatal(err)
	}
	_ = writer.nc.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := writer.nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write is answered that only the middle of the chain holds (%v)", err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	_ = writer.nc.SetReadDeadline(time.Now().Add(patience))
	if v, err := writer.r.Read(); err != nil || v.String() != "OK" {
		t.Errorf("the answer, when the end goes on: %v, %v", v, err)
	}
	if got := end.do("GET", "n"); got != `"last"` {
		t.Errorf("the end holds %s", got)
	}
}
