package store

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestWritesAfterUse: what Use remembers never leads a write to another place than looking would, whatever happens between
// the two, also when other bytes stand where the key stood.
func TestWritesAfterUse(t *testing.T) {
	const seed = 1
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := New(Options{Seed: 1, Partitions: 1})
	want := []map[string]string{{}, {}}
	arena := make([]byte, 100)
	few := 0 // so that the same key comes again soon
	name := func() string {
		i := r.IntN(2000)
		if r.IntN(2) == 0 {
			if i = few + r.IntN(4); r.IntN(50) == 0 {
				few = r.IntN(2000)
			}
		}
		return strings.Repeat("-", []int{0, 4, 37, 60}[i%4]) + string(k(i)) + strings.Repeat("+", i/4%3*5)
	}
	key := func() []byte { return arena[:copy(arena, name())] }
	for range 300_000 {
		db := r.IntN(2)
		d := s.DB(db)
		switch op := r.IntN(20); {
		case op < 8:
			name := key()
			_, there := want[db][string(name)]
			if e, ok := d.Use(name, 1); ok != there || ok && string(e.Bytes(nil)) != want[db][string(name)] {
				t.Fatalf("Use of %s: %v, want %v", name, ok, there)
			}
		case op < 14:
			name, v := key(), k(r.IntN(1<<20))
			d.SetString(name, v, 0)
			want[db][string(name)] = string(v)
		case op < 17:
			name := key()
			_, there := want[db][string(name)]
			if d.Delete(name) != there {
				t.Fatalf("Delete of %s: %v, want %v", name, !there, there)
			}
			delete(want[db], string(name))
		case op < 18:
			from, to := key(), []byte(name())
			v, there := want[db][string(from)]
			if d.Rename(from, to) != there {
				t.Fatalf("Rename of %s: %v, want %v", from, !there, there)
			}
			if there {
				delete(want[db], string(from))
				want[db][string(to)] = v
			}
		case op < 19:
			s.Defrag(10)
		case r.IntN(100) == 0: // nearly all go, so that segments are joined
			for _, name := range slices.Sorted(maps.Keys(want[db])) {
				if r.IntN(8) > 0 {
					d.Delete([]byte(name))
					delete(want[db], name)
				}
			}
			for range 20 {
				s.Defrag(1000)
			}
		case r.IntN(10) == 0:
			s.SwapDB(0, 1)
			want[0], want[1] = want[1], want[0]
		case r.IntN(99) == 0:
			s.FlushDB(db)
			clear(want[db])
		}
	}
	for db, keys := range want {
		if s.DB(db).Len() != len(keys) {
			t.Errorf("database %d has %d keys, want %d", db, s.DB(db).Len(), len(keys))
		}
		for name, v := range keys {
			if e, ok := s.DB(db).Peek([]byte(name)); !ok || string(e.Bytes(nil)) != v {
				t.Errorf("%s: %v", name, ok)
			}
		}
	}
}

// TestWritesAfterUseAndGrowth: between Use and the write another key makes the table grow, or leaves it, or takes the place of the
// first.
func TestWritesAfterUseAndGrowth(t *testing.T) {
	const keys = 4000
	r := rand.New(rand.NewPCG(1, 0))
	s := New(Options{Seed: 1, Partitions: 1})
	d := s.DB(0)
	for i := range keys {
		met := k(r.IntN(i + 1))
		d.SetString(met, met, 0)
		if _, ok := d.Use(met, 1); !ok {
			t.Fatalf("%s is not there", met)
		}
		d.SetString(k(i), k(i), 0)
		if !d.Delete(met) {
			t.Fatalf("%s was not deleted", met)
		}
		if _, ok := d.Use(met, 1); ok || d.Delete(met) {
			t.Fatalf("%s is still there", met)
		}
		d.SetString(met, met, 0)
	}
	for i := range keys {
		if e, ok := d.Peek(k(i)); !ok || string(e.Bytes(nil)) != string(k(i)) {
			t.Fatalf("%s: %v", k(i), ok)
		}
	}
	if d.Len() != keys {
		t.Fatalf("%d keys", d.Len())
	}
	for i := range keys { // with all of them gone but one the segments are joined
		if i%100 == 0 {
			if _, ok := d.Use(k(keys-1), 1); !ok {
				t.Fatal("the last key is not there")
			}
			for range 20 {
				s.Defrag(1000)
			}
			d.SetString(k(keys-1), make([]byte, i), 0)
		}
		if i < keys-1 && !d.Delete(k(i)) {
			t.Fatalf("%s is not there", k(i))
		}
	}
	if e, ok := d.Peek(k(keys - 1)); !ok || len(e.Bytes(nil)) != keys-100 || d.Len() != 1 {
		t.Fatalf("the last key: %v, of %d", ok, d.Len())
	}
	audit(t, s)
}
