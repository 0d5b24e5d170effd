//go:build !race

// Under the race detector resident memory says nothing: the detector's shadow of every touched page stays.

package offheap

import (
	"bytes"
	"fmt"
	"math/rand"
	"runtime/debug"
	"testing"

	"github.com/understudy-db/understudy/server/store"
)

// TestResidentStaysNearUsed holds the budget of DESIGN section 2: resident within 1.15 of used after churn.
func TestResidentStaysNearUsed(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 200_000
	}
	debug.FreeOSMemory()
	base := rss(t)
	s := store.New(store.Options{Seed: 1, Pages: New()})
	d := s.DB(0)
	r := rand.New(rand.NewSource(1))
	key, val := make([]byte, 0, 32), bytes.Repeat([]byte("v"), 600)
	set := func(i, size int) {
		key = fmt.Appendf(key[:0], "key:%012d", i)
		d.SetString(key, val[:size], 0)
	}
	check := func(what string) {
		for s.Reclaim(1000) || s.Defrag(10000) {
		}
		debug.FreeOSMemory()
		used, resident := s.UsedBytes(), rss(t)-base
		t.Logf("%-24s %8d keys, %6.1f bytes per key used, resident / used %.3f", what, d.Len(), float64(used)/float64(d.Len()), float64(resident)/float64(used))
		// Every partition may have a page partly used per size class: that is what the constant stands for.
		if float64(resident) > 1.15*float64(used)+20<<20 {
			t.Errorf("%s: %d MiB resident for %d MiB used", what, resident>>20, used>>20)
		}
	}
	for i := range n {
		set(i, 64)
	}
	check("fresh")
	for range n {
		set(r.Intn(n), 16+r.Intn(200))
	}
	check("other sizes")
	for i := range n {
		if r.Intn(4) > 0 {
			d.Delete(fmt.Appendf(key[:0], "key:%012d", i))
		}
	}
	check("three of four deleted")
	for i := range n {
		set(n+i, 100+i%7*80)
		if i >= n/4 {
			d.Delete(fmt.Appendf(nil, "key:%012d", n+i-n/4))
		}
	}
	check("moving window")
}
