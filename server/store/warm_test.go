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
	if db.Len() != 0 {
		t.Fatalf("%d keys", db.Len())
	}
}
