package session

import (
	"fmt"
	"testing"

	"github.com/understudy-db/understudy/server/store"
)

// digestAtOnce walks through a store that nobody changes.
func digestAtOnce(s *store.Store) (sum digest) {
	for i := range s.Databases() {
		db := s.DB(i)
		if db.Len() == 0 {
			continue
		}
		sum.mixInt(uint32(i))
		db.EachKey(func(key []byte, e store.Entry) bool {
			var one digest
			one.mix(key)
			one.mixEntry(e)
			sum.xor(one[:])
			return true
		})
	}
	return sum
}

// fillDigested gives two databases big and small values of every kind, with a mark that tells versions apart, and deletes
// elements of what an earlier version left.
func fillDigested(s *store.Store, mark string, n int) {
	word := func(format string, i int) []byte { return fmt.Appendf(nil, format, i) }
	for _, i := range []int{0, 3} {
		db := s.DB(i)
		for _, size := range []int{3, n} {
			key := func(kind string) []byte { return word(kind+":%d", size) }
			list, _ := db.ListForWrite(key("list"))
			for j := range size {
				list.Push(false, word(mark+":%d", j))
			}
			hash, _ := db.HashForWrite(key("hash"))
			for j := range size {
				hash.Set(word("field:%d", j), word(mark+":%d", j))
			}
			set, _ := db.SetForWrite(key("set"))
			for j := range size {
				set.Add(word(mark+":%d", j))
			}
			zset, _ := db.ZSetForWrite(key("zset"))
			for j := range size {
				zset.Set(word("member:%d", j), float64(len(mark)*j)+0.5)
			}
			stream, _ := db.StreamForWrite(key("stream"))
			last := stream.LastID()
			for j := range size {
				stream.Append(store.StreamID{Ms: last.Ms + uint64(j) + 1}, [][]byte{[]byte("f"), word(mark+":%d", j)})
				if j%3 == 1 {
					stream.Delete(store.StreamID{Ms: last.Ms + uint64(j) + 1})
				}
			}
		}
		for j := range n {
			db.SetString(word("string:%d", j), word(mark+":%d", j), 0)
		}
		db.SetExpire(word("string:%d", 1), 1<<50)
		db.SetExpire(word("set:%d", n), 1<<50)
	}
}

// TestDigestIsOfOneInstant: whatever is written after it has begun.
func TestDigestIsOfOneInstant(t *testing.T) {
	const n = 2000
	s := store.New(store.Options{})
	fillDigested(s, "a", n)
	want := digestAtOnce(s)
	d := beginDigest(s)
	for i := range 50 {
		if d.cut.Step(digestStep) {
			t.Fatal("too little to write meanwhile")
		}
		switch i {
		case 10:
			fillDigested(s, "later", n)
		case 20:
			s.DB(3).Delete(fmt.Appendf(nil, "zset:%d", n))
			s.DB(0).Delete([]byte("string:7"))
			s.DB(5).SetString([]byte("new"), []byte("x"), 0)
		}
	}
	for !d.cut.Step(digestStep) {
	}
	d.cut.End()
	if got := d.total(); got != want || s.Cuts() != 0 || len(d.big) != 0 {
		t.Errorf("digest %x, want %x; %d cuts under way", got, want, s.Cuts())
	}
	if digestAtOnce(s) == want {
		t.Error("nothing has changed")
	}
}
