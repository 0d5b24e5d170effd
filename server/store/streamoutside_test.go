package store

import (
	"bytes"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
)

func TestStreamChunksFromOutside(t *testing.T) {
	id := StreamID{5, 1}
	lp := appendToChunk(newChunk([][]byte{[]byte("a"), []byte("1")}), id, id, [][]byte{[]byte("a"), []byte("1")})
	lp = appendToChunk(lp, id, StreamID{6, 0}, [][]byte{[]byte("b"), []byte("x"), []byte("c"), []byte("y")})
	if last, live, err := checkChunk(id, lp); err != nil || live != 2 || last != (StreamID{6, 0}) {
		t.Fatalf("a good chunk: %v %d %v", last, live, err)
	}
	for i := range lp {
		for bit := range 8 {
			bad := bytes.Clone(lp)
			bad[i] ^= 1 << bit
			last, live, err := checkChunk(id, bad)
			if err != nil {
				continue
			}
			// What is accepted must be walkable to its end, both ways.
			n, back := 0, 0
			e := entryReader{lp: bad, master: id}.first()
			for e.next() {
				if !e.isDeleted() {
					n++
				}
				e.each(func(_, _ *listpack.Value) {})
			}
			for e = (entryReader{lp: bad, master: id}).behind(); e.prev(); {
				if !e.isDeleted() {
					back++
				}
			}
			if n != live || back != live {
				t.Fatalf("byte %d bit %d: %d entries forward, %d back, said %d (%v)", i, bit, n, back, live, last)
			}
		}
	}
}

func FuzzStreamChunk(f *testing.F) {
	id := StreamID{5, 1}
	f.Add(appendToChunk(newChunk([][]byte{[]byte("a"), []byte("1")}), id, id, [][]byte{[]byte("a"), []byte("1")}))
	f.Fuzz(func(t *testing.T, lp []byte) {
		s := New(Options{Databases: 1, Partitions: 1})
		h, _ := s.DB(0).StreamForWrite([]byte("k"))
		if h.LoadChunk(id, lp) != nil {
			return
		}
		n := 0
		for it := h.Range(StreamID{}, MaxStreamID, false); ; n++ {
			if _, ok := it.Next(); !ok {
				break
			}
			fieldsOf(&it)
		}
		if n > h.Len() {
			t.Fatalf("%d entries of %d", n, h.Len())
		}
		h.Append(StreamID{1 << 60, 0}, [][]byte{[]byte("x"), []byte("y")})
		h.Trim(&StreamTrim{MaxLen: 1})
	})
}
