package engine

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAckLogKeepsIntervalsAcrossProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acks")
	now := int64(1_000_000_000)
	open := func() *Gate {
		g := newGate(func() int64 { return now })
		if err := g.RecordAcks(path); err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := open()
	first, _ := g.enter()
	g.MayLeave(first)
	now += ackJoin / 2
	g.MayLeave(first) // joined
	now += 2 * ackJoin
	g.MayLeave(first) // a gap: an interval of its own
	g.Close()
	g.MayLeave(first) // the right is gone: nothing leaves, nothing is noted
	g.MayLeave(Ticket{})
	g = open() // the next process
	g.Grant(Forever)
	second, ok := g.enter()
	if !ok || !g.MayLeave(second) {
		t.Fatal("an open gate refuses")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseAcks(raw)
	if err != nil {
		t.Fatal(err)
	}
	start := int64(1_000_000_000)
	want := []AckInterval{{1 << 32, start, start + ackJoin/2}, {1 << 32, start + ackJoin/2 + 2*ackJoin, now}, {2<<32 | 1, now, now}}
	if len(got) != len(want) {
		t.Fatalf("intervals %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("interval %d is %v, want %v", i, got[i], want[i])
		}
	}
	if _, err := ParseAcks(raw[1:]); err == nil {
		t.Error("a damaged file was taken")
	}
}
