package manage

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

func TestStrangersAreRefused(t *testing.T) {
	w := newWorld(t, nil, nil)
	c := w.dial("understudy://" + setUID + "/operator")
	c.say(member.Hello{Oldest: 1, Newest: 1, SetUID: "set-2"})
	if no, ok := c.next().Message.(member.Refusal); !ok || no.Code != member.RefusedForeign {
		t.Errorf("a hello of another set: %+v", no)
	}
	c = w.dial("understudy://" + setUID + "/operator")
	c.say(member.Hello{Oldest: 9, Newest: 9, SetUID: setUID})
	if no, ok := c.next().Message.(member.Refusal); !ok || no.Code != member.RefusedVersion {
		t.Errorf("a version of the future: %+v", no)
	}
	c = w.dial("understudy://" + setUID + "/member/b")
	c.say(member.Hello{Oldest: 1, Newest: 1, SetUID: setUID})
	c.next()
	if no, ok := c.ask(member.Adopt{Order: order1(1)}).(member.Refusal); !ok || no.Code != member.RefusedRole {
		t.Errorf("an order by a member: %+v", no)
	}
	if _, ok := c.ask(member.Ask{}).(member.Report); !ok {
		t.Error("a member may ask")
	}
	for name, config := range map[string]*tls.Config{"another set": w.ca.Client("understudy://set-2/operator"), "no certificate": w.ca.Client(""), "another authority": func() *tls.Config {
		foreign := pki.New(t).Client("understudy://" + setUID + "/operator")
		foreign.RootCAs = w.ca.Client("").RootCAs
		return foreign
	}()} {
		nc, err := tls.Dial("tcp", w.addr, config)
		if err == nil {
			_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
			_, err = nc.Read(make([]byte, 1)) // with TLS 1.3 the refusal comes with the first read
			nc.Close()
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A flood of connections that say nothing: an operator still gets through.
func TestSilentStrangersKeepNobodyOut(t *testing.T) {
	w := newWorld(t, nil, nil)
	for range 3 * maxStrangers {
		nc, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	op := w.operator()
	if _, ok := op.ask(member.Ask{}).(member.Report); !ok {
		t.Fatal("no report")
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if n := len(w.d.strangers); n > maxStrangers {
		t.Fatalf("%d strangers are held, at most %d should be", n, maxStrangers)
	}
}
