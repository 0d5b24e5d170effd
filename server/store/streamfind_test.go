package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
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

// TestDeleteTheOnlyConsumer: a consumer that has all that is pending goes with it, and a snapshot's cut keeps what it met.
func TestDeleteTheOnlyConsumer(t *testing.T) {
	for _, others := range []int{0, 1} {
		d := New(Options{}).DB(0)
		s, _ := d.StreamForWrite([]byte("s"))
		s.CreateGroup([]byte("g"), StreamID{}, 0)
		g, _ := s.Group([]byte("g"))
		a, b := g.AddConsumer([]byte("a"), 1), g.AddConsumer([]byte("b"), 1)
		const n = 5000
		for i := uint64(1); i <= n; i++ {
			s.Append(StreamID{Ms: i}, [][]byte{[]byte("f"), []byte("v")})
			g.Assign(StreamID{Ms: i}, Pending{Time: 1, Count: 1, Consumer: a})
		}
		for i := range others {
			g.Assign(StreamID{Ms: uint64(7 + i)}, Pending{Time: 1, Count: 1, Consumer: b})
		}
		r := g.Reading(StreamID{}, 0)
		s, _ = d.StreamForWrite([]byte("s"))
		g, _ = s.Group([]byte("g"))
		g.DeleteConsumer(a)
		if g.Len() != others {
			t.Errorf("%d entries are pending, want %d", g.Len(), others)
		}
		met := 0
		for !r.Step(100, func(_ StreamID, _ Pending, consumer string) bool {
			if met++; consumer != "a" && consumer != "b" {
				t.Errorf("a reading meets the consumer %q", consumer)
			}
			return true
		}) {
		}
		r.End()
		if met != n {
			t.Errorf("a reading meets %d entries of %d", met, n)
		}
		d.Delete([]byte("s"))
		d.Store().FlushAll()
		for d.Store().Reclaim(1 << 20) {
		}
		if used := d.Store().UsedBytes(); used > 0 {
			t.Errorf("%d bytes are used by an empty store", used)
		}
	}
}

// TestDeleteOneOfManyConsumers: whatever share of what is pending a consumer has, the others keep theirs, in order, and what is
// pending afterwards can be acknowledged and added to.
func TestDeleteOneOfManyConsumers(t *testing.T) {
	for _, one := range []int{1, 2, 5, 15, 16, 17, 60} {
		s := New(Options{})
		stream, _ := s.DB(0).StreamForWrite([]byte("s"))
		stream.CreateGroup([]byte("g"), StreamID{}, 0)
		g, _ := stream.Group([]byte("g"))
		goes, stays := g.AddConsumer([]byte("goes"), 1), g.AddConsumer([]byte("stays"), 1)
		const n = 4001
		var want []uint64
		for i := uint64(1); i <= n; i++ {
			p := Pending{Time: int64(i), Count: i, Consumer: goes}
			if i*7919%60 >= uint64(60/one) {
				p.Consumer, want = stays, append(want, i)
			}
			g.Assign(StreamID{Ms: i}, p)
		}
		g.DeleteConsumer(goes)
		g.Assign(StreamID{Ms: n + 1}, Pending{Time: n + 1, Count: n + 1, Consumer: stays})
		want = append(want, n+1)
		for _, no := range []uint32{0, stays} {
			var got []uint64
			g.Each(StreamID{}, no, func(id StreamID, p Pending) bool {
				if p != (Pending{int64(id.Ms), id.Ms, stays}) {
					t.Fatalf("entry %d is pending as %v", id.Ms, p)
				}
				got = append(got, id.Ms)
				return true
			})
			if !slices.Equal(got, want) || g.Len() != len(want) {
				t.Fatalf("one in %d goes: %d entries of %d stay", one, len(got), len(want))
			}
		}
		audit(t, s)
		for _, ms := range want {
			if !g.Ack(StreamID{Ms: ms}) {
				t.Fatalf("one in %d goes: entry %d is not pending", one, ms)
			}
		}
		audit(t, s)
	}
}
