package abuse

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
)

const (
	memoryLimit   = 48 << 20
	memoryWriters = 4
	memoryBatch   = 64
)

// TestMaxMemoryHolds: clients write three times of what may be there, values of very different sizes, and at no instant is
// more than 2 % above maxmemory used, whatever the policy.
func TestMaxMemoryHolds(t *testing.T) {
	for _, policy := range []string{"noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"} {
		t.Run(policy, func(t *testing.T) {
			s := servertest.Start(t, "--maxmemory", strconv.Itoa(memoryLimit), "--maxmemory-policy", policy)
			var writers sync.WaitGroup
			for i := range memoryWriters {
				w := dial(t, s.Port())
				writers.Go(func() { overrun(t, w, uint64(i)) })
			}
			done := make(chan struct{})
			go func() { writers.Wait(); close(done) }()
			highest, seen := int64(0), 0
			for over := false; !over; seen++ {
				select {
				case <-done:
					over = true
				case <-time.After(time.Millisecond):
				}
				s.Engine.Exclusive(func() { highest = max(highest, s.Engine.MemoryUse().Counted()) })
			}
			t.Logf("at most %.2f %% of maxmemory, in %d looks", float64(highest)/memoryLimit*100, seen)
			if highest > memoryLimit*102/100 || highest < memoryLimit*95/100 {
				t.Errorf("%d bytes were used at most, %.2f %% of maxmemory", highest, float64(highest)/memoryLimit*100)
			}
			if evicted := s.Info("evicted_keys"); (evicted == "0") != (policy == "noeviction") {
				t.Errorf("%s keys were evicted", evicted)
			}
		})
	}
}

// overrun writes its share in batches. A full server may refuse, which ends nothing.
func overrun(t *testing.T, w *wire, seed uint64) {
	r, random, text := resp.NewReader(w), rand.New(rand.NewPCG(5, seed)), strings.Repeat("0123456789abcdef", 1<<10)
	var buf []byte
	for sent := 0; sent < 3*memoryLimit/memoryWriters; sent += len(buf) {
		buf = buf[:0]
		for range memoryBatch {
			n := 10 << random.IntN(11)
			key, life := "key:"+strconv.Itoa(random.IntN(1e7)), strconv.Itoa(1000+random.IntN(1000))
			buf = resp.AppendCommandStrings(buf, "SET", key, text[:n+random.IntN(n/2)], "EX", life)
		}
		if _, err := w.Write(buf); err != nil {
			t.Error(err)
			return
		}
		for range memoryBatch {
			if v, err := r.Read(); err != nil || v.IsError() && !strings.HasPrefix(v.Err().Error(), "OOM") {
				t.Errorf("%v %v", v, err)
				return
			}
		}
	}
}
