package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
)

// TestStreamFinder asks for entries in order, with leaps and back, some of them deleted or never there.
func TestStreamFinder(t *testing.T) {
	d := New(Options{}).DB(0)
	s, _ := d.StreamForWrite([]byte("s"))
	const n = 2000
	r := rand.New(rand.NewPCG(1, 2))
	there := map[uint64]bool{}
	for i := uint64(1); i <= n; i++ {
		s.Append(StreamID{Ms: i * 2}, [][]byte{[]byte("f"), fmt.Append(nil, i*2)})
		there[i*2] = true
	}
	for range n / 5 {
		id := 2 * (1 + r.Uint64N(n))
		s.Delete(StreamID{Ms: id})
		delete(there, id)
	}
	s.CreateGroup([]byte("g"), StreamID{}, 0)
	g, _ := s.Group([]byte("g"))
	no := g.AddConsumer([]byte("c"), 1)
	f := s.Finder()
	for at, i := uint64(0), 0; i < 20_000; i++ {
		switch step := r.IntN(50); {
		case step == 0:
			at = r.Uint64N(2*n + 20)
		case step == 1:
			at += r.Uint64N(300)
		case step < 10: // the same once more
		default:
			at += r.Uint64N(4)
		}
		if at > 2*n+50 {
			at = 0
		}
		entry, found := f.Find(StreamID{Ms: at})
		if found != there[at] {
			t.Fatalf("step %d: entry %d: found %v, want %v", i, at, found, there[at])
		}
		if !found {
			continue
		}
		text := ""
		entry.Each(func(_, value *listpack.Value) {
			if text = string(value.Str); value.IsInt {
				text = fmt.Sprint(value.Int)
			}
		})
		if text != fmt.Sprint(at) {
			t.Fatalf("step %d: entry %d has %s", i, at, text)
		}
		g.Assign(StreamID{Ms: at}, Pending{Time: 1, Count: 1, Consumer: no}) // what is pending does not disturb it
	}
}
