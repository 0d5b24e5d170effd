package snapshot

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/store"
)

// TestRoomOfWhatWaits: behind a sink that takes nothing the heap has grown by little more than what waits there has bytes, which is
// what the limits count, whatever the sizes of strings and in however many values elements come early.
func TestRoomOfWhatWaits(t *testing.T) {
	long := bytes.Repeat([]byte("long"), 400) // longer than inlineMax: a piece of its own, with a few bytes before it
	other := bytes.Repeat([]byte("else"), 400)
	strings := func(d *store.DB, v []byte) {
		for i := range 10_000 {
			d.SetString(fmt.Append(nil, "string:", i), v, 0)
		}
	}
	hashes := func(d *store.DB, fields int, v string) {
		for i := range 200 {
			h, _ := d.HashForWrite(fmt.Append(nil, "hash:", i))
			for f := range fields {
				h.Set(fmt.Append(nil, "field:", f), []byte(v))
			}
		}
	}
	for _, c := range []struct {
		name       string
		fill, meet func(d *store.DB)
		most       int // bytes of heap beside what waits
	}{
		{"walk", func(d *store.DB) { strings(d, long) }, func(*store.DB) {}, 2 << 20},
		{"strings that a write meets", func(d *store.DB) { strings(d, long) }, func(d *store.DB) { strings(d, other) }, 8 << 20},
		{"a field each of many hashes", func(d *store.DB) { hashes(d, 1000, "before") }, func(d *store.DB) { hashes(d, 1, "after!") }, 3 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := store.New(store.Options{Seed: 5, Databases: 1})
			c.fill(s.DB(0))
			before := heapInUse()
			gate := gated{make(chan struct{})}
			var lock mutex
			lock.Lock()
			snap := StartLocked(&lock, s, gate, Options{SpillAt: 1 << 30, Limit: 1 << 30})
			c.meet(s.DB(0))
			lock.Unlock()
			for end := time.Now().Add(20 * time.Second); !full(snap.q); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the walk does not fill the queue")
				}
			}
			lock.Lock()
			grown, waiting := heapInUse()-before, snap.Progress().Waiting
			lock.Unlock()
			close(gate.opened)
			if err := snap.Wait(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d KiB wait, the heap has %d KiB more", waiting>>10, grown>>10)
			if grown > waiting+c.most {
				t.Errorf("the heap grew by %d KiB for %d KiB that wait, allowed are %d more", grown>>10, waiting>>10, c.most>>10)
			}
		})
	}
}

// gated is a sink that takes nothing before it is opened.
type gated struct{ opened chan struct{} }

func (g gated) Write(b []byte) (int, error) {
	<-g.opened
	return len(b), nil
}

// full tells whether the walk waits for the sink.
func full(q *queue) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.main.size >= q.opts.Buffer
}

func heapInUse() int {
	runtime.GC()
	runtime.GC() // the first one sweeps what the one before found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
