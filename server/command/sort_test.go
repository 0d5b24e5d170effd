package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestArrange compares with a stable sort of the items themselves.
func TestArrange(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 400 {
		o := sortOptions{alpha: round&1 > 0, desc: round&2 > 0}
		if round&4 > 0 {
			o.by = []byte("w_*")
		}
		items := make([]sortItem, r.IntN(200))
		for i := range items {
			items[i].element = fmt.Appendf(nil, "%d", r.IntN(60))
			switch {
			case !o.alpha:
				items[i].score = float64(r.IntN(20))
			case o.by != nil && r.IntN(4) > 0:
				items[i].by, items[i].found = fmt.Appendf(nil, "%d", r.IntN(20)), true
			}
		}
		want := slices.Clone(items)
		slices.SortStableFunc(want, func(a, b sortItem) int {
			n := o.compare(&a, &b)
			if a.score < b.score {
				n = -1
			} else if a.score > b.score {
				n = 1
			}
			if o.desc {
				return -n
			}
			return n
		})
		o.arrange(items)
		if text := fmt.Sprint(want); text != fmt.Sprint(items) {
			t.Fatalf("round %d, %+v: %v, want %v", round, o, items, text)
		}
	}
}
