package main

import (
	"testing"

	"github.com/understudy-db/understudy/server/engine"
)

func TestOverlapsAreFound(t *testing.T) {
	a := newAckRecords()
	a.byVoter["p"] = []engine.AckInterval{{First: 10, Last: 20}, {First: 50, Last: 60}}
	a.byVoter["q"] = []engine.AckInterval{{First: 21, Last: 49}}
	if got := a.overlaps(); len(got) != 0 {
		t.Fatalf("neighbours taken for overlaps: %v", got)
	}
	a.byVoter["q"][0].Last = 50
	if got := a.overlaps(); len(got) != 1 {
		t.Fatalf("an overlap of one instant was not found: %v", got)
	}
	a.byVoter["q"] = []engine.AckInterval{{First: 12, Last: 13}}
	if got := a.overlaps(); len(got) != 1 {
		t.Fatalf("an interval inside another's was not found: %v", got)
	}
}
