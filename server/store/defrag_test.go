package store

import "testing"

// A class keeps one empty page, so that a slot that comes and goes does not cost a page each time. There is nothing to move
// off it, and Defrag must not find work there for ever.
func TestDefragComesToRestBesideEmptyPages(t *testing.T) {
	s := New(Options{Partitions: 1, Seed: 1})
	s.fragSlack = 0
	d := s.DB(0)
	l, _ := d.ListForWrite([]byte("list"))
	const elements = 100000
	for range elements {
		l.Push(false, []byte("xxx"))
	}
	for range elements - 1 {
		l, _ := d.ListForWrite([]byte("list"))
		l.Remove(l.Len()-1, 1)
	}
	for steps := 0; s.Defrag(500); steps++ {
		if steps == 1000 {
			p := d.space.parts[0]
			t.Fatalf("it goes on and on: %d bytes touched, %d used", p.slab.touched, p.slab.used)
		}
	}
}
