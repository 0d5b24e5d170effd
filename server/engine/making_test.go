package engine

import (
	"testing"

	"github.com/understudy-db/understudy/server/command"
)

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
