package store

import (
	"fmt"
	"sync"
	"testing"
)

// TestShardsFillAStoreTogether: stores that are filled by a goroutine each become one, with big values, blobs and
// expiries, that serves a cut and every operation.
func TestShardsFillAStoreTogether(t *testing.T) {
	const n, keys = 3, 6000
	s := New(Options{Seed: 9, Databases: 2})
	c := s.BeginCut(nil) // an epoch has gone by
	c.End()
	shards := s.Shards(n)
	var work sync.WaitGroup
	for i, shard := range shards {
		work.Go(func() {
			shard.DB(1).Reserve(keys)
			for k := range keys {
				key := fmt.Appendf(nil, "key:%d", k)
				if s.ShardOf(s.Hash(key), n) != i {
					continue
				}
				shard.DB(1).SetString(key, make([]byte, 10+k%20000), int64(k%3)*1000)
				if k%100 == 0 {
					h, _ := shard.DB(0).HashForWrite(key)
					for f := range 300 {
						h.Set(fmt.Append(nil, f), key)
					}
					shard.DB(0).Delete(key) // what it held is freed by Reclaim, later
					h, _ = shard.DB(0).HashForWrite(key)
					for f := range 200 {
						h.Set(fmt.Append(nil, f), key)
					}
				}
			}
		})
	}
	work.Wait()
	s.Join(shards)
	if a, b := s.DB(0).Len(), s.DB(1).Len(); a != keys/100 || b != keys {
		t.Fatalf("%d and %d keys", a, b)
	}
	for k := range keys {
		key := fmt.Appendf(nil, "key:%d", k)
		e, ok := s.DB(1).Peek(key)
		if !ok || e.StrLen() != 10+k%20000 || e.ExpireAt() != int64(k%3)*1000 {
			t.Fatalf("key %d is wrong", k)
		}
		if k%100 == 0 {
			if h, found, _ := s.DB(0).Hash(key, 1); !found || h.Len() != 200 {
				t.Fatalf("hash %d is wrong", k)
			}
		}
		if k%7 == 0 {
			s.DB(1).Rename(key, fmt.Appendf(nil, "renamed:%d", k))
		}
	}
	audit(t, s)
	s.FlushAll()
	for s.Reclaim(1000) {
	}
	if used := s.UsedBytes(); used != 0 {
		t.Fatalf("%d bytes are lost", used)
	}
}

func TestJoinRefusesWhatIsNotItsOwn(t *testing.T) {
	for name, spoil := range map[string]func(s *Store, shards []*Store) []*Store{
		"a key":          func(s *Store, shards []*Store) []*Store { s.DB(0).SetInt([]byte("k"), 1, 0); return shards },
		"a cut":          func(s *Store, shards []*Store) []*Store { s.BeginCut(nil); return shards },
		"the order":      func(_ *Store, shards []*Store) []*Store { return []*Store{shards[1], shards[0]} },
		"another's":      func(*Store, []*Store) []*Store { return New(Options{Seed: 2}).Shards(2) },
		"a foreign key":  func(s *Store, shards []*Store) []*Store { both(shards); return shards },
		"only a part":    func(_ *Store, shards []*Store) []*Store { return shards[:1] },
		"a plain sister": func(s *Store, _ []*Store) []*Store { return []*Store{s.Sibling(), s.Sibling()} },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			s := New(Options{Seed: 1})
			s.Join(spoil(s, s.Shards(2)))
		}()
	}
}

// both gives every shard the same keys, so that one of them is a foreign one.
func both(shards []*Store) {
	for _, sh := range shards {
		for k := range 100 {
			sh.DB(0).SetInt(fmt.Append(nil, k), 1, 0)
		}
	}
}
