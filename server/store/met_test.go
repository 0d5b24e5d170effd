package store

import (
	"math/rand/v2"
	"testing"
)

// TestWritesAfterUse: what Use remembers never leads a write to another place than looking would, whatever happens between
// the two, also when other bytes stand where the key stood.
func TestWritesAfterUse(t *testing.T) {
	const seed = 1
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := New(Options{Seed: 1})
	want := []map[string]string{{}, {}}
	arena := make([]byte, 8)
	key := func() []byte { return arena[:copy(arena, k(r.IntN(300)))] }
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
			from, to := key(), k(r.IntN(300))
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
		case r.IntN(10) == 0:
			s.SwapDB(0, 1)
			want[0], want[1] = want[1], want[0]
		case r.IntN(100) == 0:
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
