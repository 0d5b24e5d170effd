package store

import "testing"

// TestDraftIsNotSeen: what is done through a draft is nowhere before Store, and takes one slot then.
func TestDraftIsNotSeen(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	var h Hash
	h.Draft(d, []byte("h"))
	for i := range 20 {
		h.Set(k(i%10), k(i))
		if h.Len() != min(i+1, 10) {
			t.Fatalf("%d fields after %d", h.Len(), i+1)
		}
	}
	if d.Len() != 0 || s.UsedBytes() != 0 {
		t.Fatalf("%d keys, %d bytes before Store", d.Len(), s.UsedBytes())
	}
	h.Store()
	drafted := s.UsedBytes()
	if d.Len() != 1 || h.Len() != 10 {
		t.Fatalf("%d keys, %d fields after Store", d.Len(), h.Len())
	}
	h.Del(k(3)) // the handle goes on, in place
	if h, _, _ = d.Hash([]byte("h"), 0); h.Len() != 9 {
		t.Fatalf("%d fields after a deletion", h.Len())
	}
	d.Delete([]byte("h"))
	h, _ = d.HashForWrite([]byte("h"))
	for i := range 20 {
		h.Set(k(i%10), k(i))
	}
	if n := s.UsedBytes(); n != drafted {
		t.Errorf("%d bytes when stored once, %d when field by field", drafted, n)
	}
	audit(t, s)
}

// TestDraftLeftOpen does what a command must not: it leaves a draft open. The debug build finds it.
func TestDraftLeftOpen(t *testing.T) {
	s := New(Options{Seed: 1})
	var z ZSet
	z.Draft(s.DB(0), []byte("z"))
	z.Set([]byte("m"), 1)
	defer func() {
		if r := recover(); (r != nil) != debug {
			t.Errorf("recovered %v; debug build: %v", r, debug)
		}
	}()
	s.DB(0).Peek([]byte("z"))
}

// TestDraftMemory: no memory is allocated for a draft, and that of a long one is given back.
func TestDraftMemory(t *testing.T) {
	s := New(Options{Seed: 1})
	s.Config.HashMaxListpackEntries = 1 << 15
	d, key, v := s.DB(0), []byte("h"), []byte("value")
	fields := [][]byte{k(1), k(2), k(3), k(2)}
	fill := func() {
		var h Hash
		h.Draft(d, key)
		for _, f := range fields {
			h.Set(f, v)
		}
		h.Store()
	}
	fill()
	if n := testing.AllocsPerRun(100, fill); n != 0 && !debug {
		t.Errorf("%v allocations", n)
	}
	for i := range 4000 {
		fields = append(fields, k(i))
	}
	fill()
	if n := cap(s.draft.b); n > maxSlot {
		t.Errorf("%d bytes of scratch memory stay", n)
	}
}
