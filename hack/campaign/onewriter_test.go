package main

import (
	"testing"

	"github.com/understudy-db/understudy/server/engine"
)

func TestOverlapsAreFound(t *testing.T) {
	a := newAckRecords()
	a.byVoter["p"] = []engine.AckInterval{{Epoch: 1, First: 10, Last: 20}, {Epoch: 2, First: 50, Last: 60}}
	a.byVoter["q"] = []engine.AckInterval{{Epoch: 1, First: 21, Last: 49}}
	if got := a.overlaps(); len(got) != 0 {
		t.Fatalf("neighbours taken for overlaps: %v", got)
	}
	a.byVoter["q"][0].Last = 50
	if got := a.overlaps(); len(got) != 1 {
		t.Fatalf("an overlap of one instant was not found: %v", got)
	}
	a.byVoter["q"] = []engine.AckInterval{{Epoch: 1, First: 12, Last: 13}}
	if got := a.overlaps(); len(got) != 1 {
		t.Fatalf("an interval inside another's was not found: %v", got)
	}
	a.byVoter["p"] = []engine.AckInterval{{Epoch: 1, First: 10, Last: 11}, {Epoch: 1, First: 15, Last: 16}}
	if got := a.overlaps(); len(got) != 1 {
		t.Fatalf("two that take turns under one right each were not found: %v", got)
	}
}
