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
		{9 * time.Second, 20 << 20, 44 << 20, 5, false},
		{11 * time.Second, 20 << 20, 22 << 20, 5, false}, // little
		{12 * time.Second, 20 << 20, 44 << 20, 5, true},
		{13 * time.Second, 20 << 20, 44 << 20, 5, false}, // asked for already
		{14 * time.Second, 5 << 20, 6 << 20, 6, false},   // done
		{23 * time.Second, 5 << 20, 44 << 20, 6, false},
		{24 * time.Second, 5 << 20, 44 << 20, 6, true},
	} {
		if got := c.stale(begin.Add(step.after), step.live, step.objects, step.cycles); got != step.want {
			t.Errorf("after %v: %v", step.after, got)
		}
	}
}
