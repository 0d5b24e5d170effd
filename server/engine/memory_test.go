package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/store"
)

// filled is a bench with 2,000 keys, every second with an expiry, and a limit that they just meet.
func filled(t *testing.T, policy string) (*bench, *Client) {
	b := newBench(t)
	b.e.Log.SetBacklogSize(16 << 10) // so that it has its full size soon, and what there is to evict does not depend on it
	c := b.client()
	for i := range 2000 {
		b.run(c, fmt.Sprintf("SET key:%d %s", i, strings.Repeat("v", 100)))
		if i%2 == 1 {
			b.run(c, fmt.Sprintf("EXPIRE key:%d %d", i, 10_000+i))
		}
	}
	b.stream()
	b.e.Exclusive(func() { b.e.SetEviction(NewEviction(policy, 5, 10)) })
	b.e.SetMaxMemory(b.counted())
	return b, c
}

// counted is what maxmemory limits.
func (b *bench) counted() (n int64) {
	b.e.Exclusive(func() { n = b.e.MemoryUse().Counted() })
	return n
}

func (b *bench) hasKey(i int) bool {
	_, ok := b.e.Store().DB(0).Peek(fmt.Appendf(nil, "key:%d", i))
	return ok
}

// TestEvictionKeepsTheLimitAndTellsReplicas: the data set stays within maxmemory, and what the log says leads a replica
// to the same keys.
func TestEvictionKeepsTheLimitAndTellsReplicas(t *testing.T) {
	for _, policy := range []string{"allkeys-random", "allkeys-lru", "allkeys-lfu", "volatile-random", "volatile-lru", "volatile-lfu", "volatile-ttl"} {
		t.Run(policy, func(t *testing.T) {
			b, c := filled(t, policy)
			limit := b.counted()
			for i := range 300 {
				want(t, b.run(c, fmt.Sprintf("SET new:%d %s", i, strings.Repeat("n", 100))), "+OK\r\n")
			}
			if used := b.counted(); used > limit+200 {
				t.Errorf("%d bytes used, the limit is %d", used, limit)
			}
			gone := map[string]bool{}
			for _, line := range strings.Split(b.stream(), ";") {
				if key, ok := strings.CutPrefix(strings.TrimSpace(line), "DEL "); ok {
					gone[key] = true
				}
			}
			left := 0
			for i := range 2000 {
				if b.hasKey(i) == gone[fmt.Sprintf("key:%d", i)] {
					t.Fatalf("key:%d: there %v, deleted in the log %v", i, b.hasKey(i), b.hasKey(i))
				}
				if b.hasKey(i) {
					left++
				} else if strings.HasPrefix(policy, "volatile") && i%2 == 0 {
					t.Fatalf("key:%d has no expiry and was evicted", i)
				}
			}
			var evicted int64
			b.e.Exclusive(func() { evicted = b.e.Totals().Evicted })
			if left == 2000 || evicted != int64(len(gone)) {
				t.Errorf("%d keys left, %d evicted, %d deletions in the log", left, evicted, len(gone))
			}
		})
	}
}

func TestNothingLeftToEvict(t *testing.T) {
	b, c := filled(t, "volatile-ttl")
	b.e.SetMaxMemory(b.counted() - b.e.Store().UsedBytes()*3/4)
	got := ""
	for range 200 { // each batch evicts for a limited time
		got = b.run(c, "SET more 1")
	}
	want(t, got, errOOM+"\r\n")
	for i := range 2000 {
		if b.hasKey(i) != (i%2 == 0) {
			t.Fatalf("key:%d is there: %v", i, b.hasKey(i))
		}
	}
	b.e.Exclusive(func() { b.e.SetEviction(NewEviction("noeviction", 5, 10)) })
	want(t, b.run(c, "SET more 1", "GET key:0", "DEL key:0"), errOOM+"\r\n$100\r\n"+strings.Repeat("v", 100)+"\r\n:1\r\n")
}

// TestEvictionChoosesWell: of old and new keys mostly the old go, of short and long lives the short.
func TestEvictionChoosesWell(t *testing.T) {
	for _, policy := range []string{"allkeys-lru", "volatile-ttl"} {
		b, c := filled(t, policy)
		old := func(i int) bool { return i%4 == 1 }
		b.e.Exclusive(func() {
			b.e.Store().DB(0).EachKey(func(key []byte, e store.Entry) bool {
				var i int
				fmt.Sscanf(string(key), "key:%d", &i)
				if old(i) {
					e.SetAccess(e.Access() - 1000)
				}
				return true
			})
		})
		if policy == "volatile-ttl" {
			for i := range 2000 {
				if old(i) {
					b.run(c, fmt.Sprintf("EXPIRE key:%d 500", i))
				}
			}
		}
		b.e.SetMaxMemory(b.counted() - b.e.Store().UsedBytes()*15/100)
		for range 300 {
			b.run(c, "SET more 1")
		}
		wrong, right := 0, 0
		for i := range 2000 {
			switch {
			case b.hasKey(i):
			case old(i):
				right++
			default:
				wrong++
			}
		}
		if right < 100 || wrong*4 > right {
			t.Errorf("%s evicted %d of the keys that should go first, and %d others", policy, right, wrong)
		}
	}
}

// TestReplicaIgnoresMaxMemory: its master evicts for it; with the directive off it limits itself.
func TestReplicaIgnoresMaxMemory(t *testing.T) {
	b, c := filled(t, "noeviction")
	b.e.SetMaxMemory(1000)
	b.e.SetState(Replica, ReadOnly)
	want(t, b.run(c, "SET a 1"), "+OK\r\n")
	b.e.SetReplicaIgnoresMaxMemory(false)
	want(t, b.run(c, "SET a 1"), errOOM+"\r\n")
	a := b.e.NewApplier("master")
	defer a.Close()
	a.Apply([][][]byte{{[]byte("SET"), []byte("a"), []byte("of the master")}}, nil, func(err *StreamError) { t.Errorf("the stream was refused: %v", err) })
	want(t, b.run(c, "GET a"), "$13\r\nof the master\r\n")
	b.e.SetReplicaIgnoresMaxMemory(true)
	b.e.Exclusive(func() { b.e.SetEviction(NewEviction("allkeys-random", 5, 10)) })
	b.run(c, "SET a 1")
	if n := b.e.Store().DB(0).Len(); n != 2001 {
		t.Errorf("a replica that ignores maxmemory evicted: %d keys, want 2001", n)
	}
}
