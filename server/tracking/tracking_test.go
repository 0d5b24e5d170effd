package tracking

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A table says of each key exactly who read it since it was last taken, whatever else is in it.
func TestTableAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var table Table
	model := map[string]map[int64]bool{}
	taken := func(key string, told []int64) {
		if len(told) != len(model[key]) {
			t.Fatalf("%s was read by %v, the table tells %v", key, model[key], told)
		}
		for _, c := range told {
			if !model[key][c] {
				t.Fatalf("%s was not read by %d", key, c)
			}
		}
		delete(model, key)
	}
	for range 20000 {
		key := fmt.Sprint("k", rnd.IntN(40))
		var told []int64
		switch n := rnd.IntN(100); {
		case n < 70:
			client := rnd.Int64N(5) + 1
			table.Remember(client, []byte(key))
			if model[key] == nil {
				model[key] = map[int64]bool{}
			}
			model[key][client] = true
		case n < 90:
			table.Take([]byte(key), func(c int64) { told = append(told, c) })
			taken(key, told)
		case n < 99:
			some := ""
			if table.TakeAny(rnd.Uint64(), func(k string, c int64) { some = k; told = append(told, c) }) != (len(model) > 0) {
				t.Fatalf("a table of %d keys has none to give, or an empty one has", len(model))
			}
			taken(some, told)
		default:
			table.Clear()
			clear(model)
		}
		items := 0
		for _, clients := range model {
			items += len(clients)
		}
		if k, i, bytes := table.Len(); k != len(model) || i != items || (bytes > 0) != (k > 0) {
			t.Fatalf("the table counts %d keys, %d items and %d bytes; there are %d and %d", k, i, bytes, len(model), items)
		}
	}
}

func TestPrefixes(t *testing.T) {
	var p Prefixes
	p.Add(1, "a:")
	p.Add(2, "")
	p.Add(2, "a:")
	p.Add(3, "b:")
	p.Changed([]byte("a:2"), 1)
	p.Changed([]byte("a:1"), 1)
	p.Changed([]byte("a:1"), 2) // the last one counts
	p.Changed([]byte("c"), Nobody)
	p.Remove(3, "b:")
	p.Changed([]byte("b:1"), 1)
	settle := func(others ...int64) (got []string) {
		p.Settle(func(c int64, keys []string) { got = append(got, fmt.Sprint(c, keys)) }, func(c int64) bool { return slices.Contains(others, c) })
		return got
	}
	if got, want := settle(1), []string{"2 [a:1 a:2 b:1 c]", "1 [a:1]", "2 [a:1 a:2]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if p.Pending() || len(settle()) > 0 {
		t.Error("what was told is told again")
	}
	p.Remove(2, "")
	p.Changed([]byte("c"), 1)
	if p.Pending() || p.Len() != 1 {
		t.Errorf("%d prefixes are left, want 1", p.Len())
	}
}
