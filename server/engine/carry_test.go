package engine

import (
	"strings"
	"testing"
)

// TestWhoWantsTheMasterIsServedByItAlone: S1. A client of the primary port executes nothing where it would reach a member that
// is not the master, and no write where the right to it has lapsed.
func TestWhoWantsTheMasterIsServedByItAlone(t *testing.T) {
	b := newBench(t)
	c, other := b.client(), b.client()
	c.Set(WantsMaster)
	b.run(c, "set k 1")
	outcomes := func(lines ...string) (list []Outcome, replies string) {
		items := b.items(c, lines...)
		b.lane.Out.Reset()
		b.lane.Run(items)
		for i := range items {
			list = append(list, items[i].Outcome)
		}
		return list, string(b.lane.Out.Bytes())
	}
	expect := func(what string, lines []string, want ...Outcome) string {
		t.Helper()
		got, replies := outcomes(lines...)
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %s became %d, want %d", what, lines[i], got[i], want[i])
			}
		}
		return replies
	}
	expect("master", []string{"incr k", "get k"}, Done, Done)
	b.e.gate.Close()
	expect("lapsed", []string{"get k", "incr k", "get k"}, Done, Elsewhere, Postponed)
	if b.e.Serving() || b.e.Led() {
		t.Error("a lapsed master serves, or is led")
	}
	b.e.gate.Grant(Forever)
	b.e.SetState(Parked|Replica|LinkDown, 0)
	if got := expect("parked", []string{"get k", "incr k", "nosuch"}, Elsewhere, Postponed, Postponed); got != "" {
		t.Errorf("parked: answered %q", got)
	}
	if got := b.run(other, "incr k"); !strings.HasPrefix(got, "-READONLY") {
		t.Errorf("a client of the ordinary port: %q", got)
	}
	c.Set(NeedAuth)
	expect("not authenticated", []string{"get k"}, Elsewhere)
	c.Clear(NeedAuth)
	c.Set(Subscribed)
	expect("a subscriber", []string{"ping", "get k"}, Done, Elsewhere)
	c.Clear(Subscribed)
	b.e.SetState(0, Parked|Replica|LinkDown)
	if got := b.run(c, "get k"); got != "$1\r\n2\r\n" {
		t.Errorf("as master again: %q", got)
	}
}

// TestStateIsPackedWhole, and nothing is unpacked that a client could not have reached by commands.
func TestStateIsPackedWhole(t *testing.T) {
	b := newBench(t)
	c, d := b.client(), b.client()
	b.run(c, "select 3", "set k 1", "watch k", "multi", "incr k", "get k")
	k := c.Pack()
	if k.DB != 3 || !k.Wrote || !k.Watched || len(k.Queue) != 2 {
		t.Fatalf("%+v", k)
	}
	k.Watched = false
	b.e.Exclusive(func() {
		if !b.e.Unpack(d, k) {
			t.Fatal("it is not unpacked")
		}
	})
	if got := b.run(d, "exec"); got != "*2\r\n:2\r\n$1\r\n2\r\n" {
		t.Errorf("the transaction: %q", got)
	}
	k.Watched = true
	e := b.client()
	b.e.Exclusive(func() { b.e.Unpack(e, k) })
	if got := b.run(e, "exec", "get k"); got != "*-1\r\n$1\r\n2\r\n" {
		t.Errorf("a transaction that had watched: %q", got)
	}
	queue := func(words ...string) Carried {
		var args [][]byte
		for _, w := range words {
			args = append(args, []byte(w))
		}
		return Carried{Proto: 2, Flags: InMulti, Queue: [][][]byte{args}}
	}
	for what, bad := range map[string]Carried{
		"a database that is not there": {Proto: 2, DB: 99}, "a negative one": {Proto: 2, DB: -1}, "no protocol": {},
		"EXEC in a transaction": queue("exec"), "WATCH in it": queue("watch", "k"), "nothing in it": queue(),
		"a queue outside of MULTI": {Proto: 2, Queue: queue("get", "k").Queue},
	} {
		b.e.Exclusive(func() {
			if b.e.Unpack(b.client(), bad) {
				t.Errorf("%s was unpacked", what)
			}
		})
	}
	f := b.client()
	b.e.Exclusive(func() { b.e.Unpack(f, Carried{Proto: 3, Flags: IsReplica | Internal | IsMonitor | NoTouch}) })
	if f.Flags != NoTouch {
		t.Errorf("flags %b", f.Flags)
	}
}
