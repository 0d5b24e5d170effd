package app

import (
	"strings"
	"testing"
)

// TestUsersAreCarried: a client that is logged in as a user of the access list stays that user on the new master, under the new
// master's rules for it; one whose user the new master does not know, or has switched off, ends and becomes nobody else.
func TestUsersAreCarried(t *testing.T) {
	s := startSet(t, "a", "b")
	a, b := s.members[0], s.members[1]
	for _, p := range []*pod{a.p, b.p} {
		c := p.client()
		c.do("AUTH", "pw")
		c.must("OK", "ACL", "SETUSER", "reader", "on", ">rpw", "~r:*", "+get", "+multi", "+exec", "+acl|whoami")
	}
	admin := a.p.client()
	admin.do("AUTH", "pw")
	admin.must("OK", "SET", "r:1", "v")
	admin.must("OK", "SET", "w:1", "v")
	admin.must("OK", "ACL", "SETUSER", "narrowed", "on", ">npw", "~*", "+@all")
	admin.must("OK", "ACL", "SETUSER", "local", "on", ">lpw", "~*", "+@all")
	admin.must("OK", "ACL", "SETUSER", "banned", "on", ">bpw", "~*", "+@all")
	there := b.p.client()
	there.do("AUTH", "pw")
	there.must("OK", "ACL", "SETUSER", "narrowed", "on", ">npw", "~r:*", "+get")
	there.must("OK", "ACL", "SETUSER", "banned", "off", ">bpw", "~*", "+@all")
	login := func(user, password string) *client {
		c := a.p.wants()
		c.must("OK", "AUTH", user, password)
		return c
	}
	reader, narrowed, local, banned := login("reader", "rpw"), login("narrowed", "npw"), login("local", "lpw"), login("banned", "bpw")
	queued := login("reader", "rpw")
	queued.must("OK", "MULTI")
	queued.must("QUEUED", "GET", "r:1")

	s.switchOver(b)

	reader.must(`"reader"`, "ACL", "WHOAMI")
	reader.must(`"v"`, "GET", "r:1")
	queued.must(`*["v"]`, "EXEC")
	narrowed.must(`"v"`, "GET", "r:1")
	for _, c := range []struct {
		who *client
		cmd []string
	}{{reader, []string{"GET", "w:1"}}, {reader, []string{"SET", "r:1", "x"}}, {narrowed, []string{"GET", "w:1"}}, {narrowed, []string{"FLUSHALL"}}} {
		if got := c.who.do(c.cmd...); !strings.Contains(got, "NOPERM") {
			t.Errorf("%v answers %s", c.cmd, got)
		}
	}
	for name, c := range map[string]*client{"unknown there": local, "switched off there": banned} {
		if got := c.do("GET", "w:1"); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") && !strings.Contains(got, "MASTERDOWN") {
			t.Errorf("a user %s: %s", name, got)
		}
		if got := c.do("PING"); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") && !strings.Contains(got, "broken pipe") {
			t.Errorf("a user %s is still connected: %s", name, got)
		}
	}
}
