package engine

import (
	"testing"

	"github.com/understudy-db/understudy/server/command"
)

// A source that is not the master any more keeps nobody busy with what it has asked for.
func TestStoppedApplierMakesNothing(t *testing.T) {
	for _, stops := range []string{"", "while it copies", "while it computes"} {
		b := newBench(t)
		a, rest, between, steps := b.e.NewApplier("master"), false, false, 0
		long := &command.Long{Made: &command.Made{}, End: func() {}}
		long.Step = func() bool { steps++; a.stopped = a.stopped || stops == "while it copies"; return true }
		long.Between = func() { between = true }
		long.Rest = func() { rest = true; a.stopped = a.stopped || stops == "while it computes" }
		a.lane.making = &making{e: b.e, watch: &Client{}, place: b.e.store.DB(0).Place(), long: long}
		a.make()
		if want := stops != "while it copies"; rest != want || between != want && stops == "" {
			t.Errorf("stopped %q: the rest was done: %v, what comes between: %v", stops, rest, between)
		}
		if stopped := a.lane.making == nil; stopped != (stops != "") {
			t.Errorf("stopped %q: given up: %v", stops, stopped)
		}
	}
}

// What was given up because other contents stood in the database is a part of a value, and no result when they are gone again.
func TestResultIsNoneWhenDatabasesWereSwappedToAndFro(t *testing.T) {
	b := newBench(t)
	b.e.lock()
	defer b.e.mu.Unlock()
	m := &making{e: b.e, watch: &Client{}, place: b.e.store.DB(0).Place(), long: &command.Long{Made: &command.Made{}}}
	b.e.store.SwapDB(0, 1)
	if !m.steps(func() bool { return false }) {
		t.Fatal("a value is made in a database that has other contents")
	}
	b.e.store.SwapDB(0, 1)
	if m.result(b.e.bg) != nil {
		t.Fatal("a part of a value is a result")
	}
}
