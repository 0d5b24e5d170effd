package store

import (
	"fmt"
	"testing"
)

// Warm must stand whatever the tables look like: empty, growing, emptied again, with keys that are not there.
func TestWarmOnAnyTable(t *testing.T) {
	s := New(Options{Databases: 2, Partitions: 4, Seed: 1})
	db := s.DB(0)
	keys := make([][]byte, 0, 100)
	for i := range 100 {
		keys = append(keys, fmt.Appendf(nil, "key:%d", i))
	}
	db.Warm(nil)
	db.Warm(keys)
	for i := range 3000 {
		db.SetString(fmt.Appendf(nil, "key:%d", i), []byte("value"), 0)
		if i%50 == 0 {
			db.Warm(keys)
		}
	}
	for i := range 3000 {
		db.Delete(fmt.Appendf(nil, "key:%d", i))
		if i%50 == 0 {
			db.Warm(keys)
		}
	}
	s.FlushAll()
	db.Warm(keys)
	db.WarmElements([]byte("nothing"), keys)
	if db.Len() != 0 {
		t.Fatalf("%d keys", db.Len())
	}
}

// WarmElements must stand whatever is at the key, small or big, growing or shrinking.
func TestWarmElementsOfAnyValue(t *testing.T) {
	s := New(Options{Partitions: 4, Seed: 1})
	db := s.DB(0)
	var names [][]byte
	for i := range 100 {
		names = append(names, fmt.Appendf(nil, "name:%d", i))
	}
	warm := func() {
		for _, key := range []string{"string", "hash", "set", "zset", "list", "missing"} {
			db.WarmElements([]byte(key), names)
		}
	}
	db.SetString([]byte("string"), []byte("value"), 0)
	for i := range 3000 {
		name := fmt.Appendf(nil, "name:%d", i)
		h, _ := db.HashForWrite([]byte("hash"))
		h.Set(name, name)
		m, _ := db.SetForWrite([]byte("set"))
		m.Add(name)
		z, _ := db.ZSetForWrite([]byte("zset"))
		z.Set(name, float64(i))
		l, _ := db.ListForWrite([]byte("list"))
		l.Push(true, name)
		if i%50 == 0 {
			warm()
		}
	}
	for i := range 3000 {
		h, _ := db.HashForWrite([]byte("hash"))
		h.Del(fmt.Appendf(nil, "name:%d", i))
		if i%50 == 0 {
			warm()
		}
		if h.Len() != 2999-i {
			t.Fatalf("%d fields behind %d deletions", h.Len(), i+1)
		}
	}
	warm()
}
