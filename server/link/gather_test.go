package link

import (
	"testing"
	"time"
)

func TestTrickle(t *testing.T) {
	var k trickle
	now := time.Hour
	piece := func(gap time.Duration, n int) bool {
		now += gap
		return k.came(now, n)
	}
	for i := range trickleRow * 3 { // one at a time, far from each other: each counts at once
		if piece(trickleGap, 100) {
			t.Fatalf("waits after piece %d of a slow stream", i)
		}
	}
	for i := range trickleRow * 3 { // large ones, as of a payload
		if piece(0, trickleSize) {
			t.Fatalf("waits after large piece %d", i)
		}
	}
	for i := range trickleRow {
		if got, want := piece(trickleGap/10, 100), i == trickleRow-1; got != want {
			t.Fatalf("piece %d of a trickle: waits %v", i, got)
		}
	}
	if !piece(gatherFor, 64<<10) || !piece(2*gatherFor, trickleLeft) {
		t.Error("what was gathered ends the trickle")
	}
	if piece(gatherFor, readSize) || piece(0, readSize) {
		t.Error("waits while more lies there: the stream gets no more than a buffer for each wait")
	}
	if !piece(0, 10) { // the rest of it
		t.Error("a filled buffer ended the trickle")
	}
	if piece(gatherFor, trickleLeft-1) || piece(0, 100) {
		t.Error("waits when nothing comes any more")
	}
}
