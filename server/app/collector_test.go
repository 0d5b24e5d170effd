package app

import "testing"

func TestGarbageIsBoundedInBytes(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 4 << 20: 400, 16 << 20: 100, 64 << 20: 25, 1 << 30: 5} {
		if got := garbageGoal(live); got != want {
			t.Errorf("a live heap of %d MiB may grow by %d %%, want %d", live>>20, got, want)
		}
	}
}
