package store

import (
	"fmt"
	"math/rand"
	"testing"
)

// Draws give every element the same chance, different ones only once, and as many as were asked for.
func TestDraws(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	s := New(Options{Seed: 1})
	d := s.DB(0)
	const n = 3000
	set, _ := d.SetForWrite([]byte("set"))
	for i := range 2 * n {
		set.Add(fmt.Appendf(nil, "m%d", i))
	}
	for i := n; i < 2*n; i++ { // half of the room is free
		set.Remove(fmt.Appendf(nil, "m%d", i))
	}
	counts, rounds := map[string]int{}, 400
	for range rounds {
		seen := map[string]bool{}
		if !set.Draw(n/4, r.Uint64, false, func(m []byte) bool { seen[string(m)] = true; counts[string(m)]++; return true }) {
			t.Fatal("few of many are not drawn")
		}
		if len(seen) != n/4 {
			t.Fatalf("%d different members, want %d", len(seen), n/4)
		}
	}
	got := 0
	chi := 0.0
	for i := range n {
		k := counts[fmt.Sprint("m", i)]
		got += k
		diff := float64(k) - float64(rounds)/4
		chi += diff * diff / (float64(rounds) / 4)
	}
	if got != rounds*n/4 {
		t.Errorf("%d of what was drawn were members, of %d", got, rounds*n/4)
	}
	if chi > 1.15*n { // without putting back it is three quarters of n
		t.Errorf("chi square is %.0f of %d members", chi, n)
	}
	if set.Draw(n, r.Uint64, false, nil) {
		t.Error("all of them are drawn one by one")
	}
	alike := 0
	set.Draw(5*n, r.Uint64, true, func([]byte) bool { alike++; return alike < 4*n })
	if alike != 4*n {
		t.Errorf("%d were drawn, want %d", alike, 4*n)
	}
	var small Set
	small.ForWrite(d, []byte("small"))
	small.Add([]byte("x"))
	if small.Draw(1, r.Uint64, true, nil) {
		t.Error("a small set is drawn from")
	}
}

// A table that is nearly empty is drawn from too.
func TestDrawsFromNearlyEmptyTables(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	d := New(Options{Seed: 1}).DB(0)
	h, _ := d.HashForWrite([]byte("hash"))
	for i := range 20_000 {
		h.Set(fmt.Appendf(nil, "f%d", i), []byte("v"))
	}
	for i := range 19_997 {
		h.Del(fmt.Appendf(nil, "f%d", i))
	}
	seen := map[string]int{}
	h.Draw(300, r.Uint64, true, func(f, _ []byte) bool { seen[string(f)]++; return true })
	if len(seen) == 0 || seen["f19997"]+seen["f19998"]+seen["f19999"] != 300 {
		t.Errorf("drawn: %v", seen)
	}
}
