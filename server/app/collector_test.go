package app

import (
	"testing"
	"time"
)

func TestGarbageIsBoundedInBytes(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 4 << 20: 400, 16 << 20: 100, 64 << 20: 25, 1 << 30: 5} {
		if got := garbageGoal(live); got != want {
			t.Errorf("a live heap of %d MiB may grow by %d %%, want %d", live>>20, got, want)
		}
	}
}

// TestGarbageOfTheIdleGoes wants a collection when much garbage lies there and none came for long, and only one.
func TestGarbageOfTheIdleGoes(t *testing.T) {
	c, begin := &collector{}, time.Unix(1000, 0)
	for _, step := range []struct {
		after         time.Duration
		live, objects uint64
		cycles        uint64
		want          bool
	}{
		{0, 20 << 20, 21 << 20, 5, false},
		{9 * time.Second, 20 << 20, 21 << 20, 5, false},
		{10 * time.Second, 20 << 20, 21 << 20, 5, true},  // it lived then
		{11 * time.Second, 20 << 20, 21 << 20, 5, false}, // asked for already
		{12 * time.Second, 5 << 20, 6 << 20, 6, false},
		{30 * time.Second, 5 << 20, 8 << 20, 6, false}, // little
		{31 * time.Second, 5 << 20, 44 << 20, 6, true},
		{32 * time.Second, 40 << 20, 41 << 20, 7, false},
		{60 * time.Second, 40 << 20, 43 << 20, 7, false}, // it lives indeed
		{61 * time.Second, 10 << 20, 12 << 20, 8, false}, // no more
		{75 * time.Second, 10 << 20, 16 << 20, 8, true},
	} {
		if got := c.stale(begin.Add(step.after), step.live, step.objects, step.cycles); got != step.want {
			t.Errorf("after %v: %v", step.after, got)
		}
	}
}
