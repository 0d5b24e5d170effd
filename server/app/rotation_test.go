package app

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

// accepts tries a password on a connection of its own.
func (p *pod) accepts(password string) bool {
	p.t.Helper()
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.dataPort))
	if err != nil {
		p.t.Fatal(err)
	}
	defer nc.Close()
	return (&client{p.t, nc, resp.NewReader(nc)}).do("AUTH", password) == "OK"
}

func (p *pod) mustAccept(when string, old, latest bool) {
	p.t.Helper()
	if got := p.accepts("pw"); got != old {
		p.t.Errorf("%s, %s: the old password is accepted: %v", when, p.name, got)
	}
	if got := p.accepts("a longer one"); got != latest {
		p.t.Errorf("%s, %s: the new password is accepted: %v", when, p.name, got)
	}
	if p.accepts("neither") {
		p.t.Errorf("%s, %s: any password is accepted", when, p.name)
	}
}

// TestRestartInTheMidstOfARotation: the mounted file has only the new password, others still use the old one. A member that
// starts at that time accepts both until the operator drops the old one, and not after that, whenever it starts again.
func TestRestartInTheMidstOfARotation(t *testing.T) {
	ca := pki.New(t)
	a, b := startPod(t, ca, "a", "--save", ""), startPod(t, ca, "b", "--save", "")
	la, lb := a.meet(""), b.meet("")
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(1)}))
	promote(la, 1, roster(1, "a", "b"))
	mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(1), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	restart := func() {
		t.Helper()
		if err := syscall.Kill(b.child(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		lb = b.meet(lb.inc())
	}
	rotate := func(step member.Rotation) {
		t.Helper()
		version := la.report().AuthFile
		for _, l := range []*leader{la, lb} {
			mustBe[member.Done](t, l.ask(member.Rotate{Order: l.order(1), Step: step, Version: version}))
		}
	}
	before := la.report().AuthFile
	for _, p := range []*pod{a, b} {
		p.mount("password", "a longer one\n")
	}
	for _, l := range []*leader{la, lb} {
		l.eventually("tells the new file", func(r member.Report) bool { return r.AuthFile != before && r.AuthFile != "" })
	}
	restart()
	b.mustAccept("before the first step", true, true)
	rotate(member.RotateAccept)
	lb.eventually("in sync: its upstream accepts what it presents", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	restart()
	b.mustAccept("after accept", true, true)
	lb.eventually("in sync", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	rotate(member.RotateUse)
	restart()
	b.mustAccept("after use", true, true)
	rotate(member.RotateDrop)
	b.mustAccept("after drop", false, true)
	restart()
	b.mustAccept("started after drop", false, true)
	lb.eventually("in sync after all", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	text, err := os.ReadFile(filepath.Join(b.state, "password.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "pw") || strings.Contains(string(text), "longer") {
		t.Errorf("a password is kept in plain: %s", text)
	}
}
