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

// TestRoomOfTouchedValues: whatever is written to while the sink takes nothing, values of all kinds from little ones to ones of many
// pieces, the memory beside the data is what the queue and the pins may take, and does not grow with the number of values.
func TestRoomOfTouchedValues(t *testing.T) {
	const (
		data  = 16 << 20 // about
		spill = 2 << 20
		most  = spill + 10<<20 // what pins may take is 4 MiB; the rest are records of what is in the spill file, buffers, and pages that copies left
	)
	for _, size := range []int{200, 3000, 20_000, 200_000} {
		values, elements := data/size, max(size/50, 2)
		for kind, write := range map[string]func(d *store.DB, key []byte, i int, round byte){
			"hashes": func(d *store.DB, key []byte, i int, round byte) {
				h, _ := d.HashForWrite(key)
				h.Set(fmt.Append(nil, "field:", i), bytes.Repeat([]byte{'a' + round}, 65)) // too long for a listpack
			},
			"sets": func(d *store.DB, key []byte, i int, round byte) {
				s, _ := d.SetForWrite(key)
				if m := fmt.Appendf(nil, "%065d", i); round > 0 {
					s.Remove(m)
					s.Add(m)
				} else {
					s.Add(m)
				}
			},
			"sorted sets": func(d *store.DB, key []byte, i int, round byte) {
				z, _ := d.ZSetForWrite(key)
				z.Set(fmt.Appendf(nil, "%065d", i), float64(round))
			},
			"lists": func(d *store.DB, key []byte, i int, round byte) {
				l, _ := d.ListForWrite(key)
				if v := bytes.Repeat([]byte{'a' + round}, 50); round > 0 {
					l.Set(i, v)
				} else {
					l.Push(false, v)
				}
			},
			"streams": func(d *store.DB, key []byte, i int, round byte) {
				x, _ := d.StreamForWrite(key)
				id := x.LastID()
				id.Ms++
				x.Append(id, [][]byte{[]byte("field"), bytes.Repeat([]byte{'a' + round}, 40)})
				if round > 0 {
					x.Trim(&store.StreamTrim{MaxLen: uint64(elements)})
				}
			},
		} {
			t.Run(fmt.Sprint(kind, " of ", size, " bytes"), func(t *testing.T) {
				grown := func(beside bool) (heap int) {
					s := store.New(store.Options{Seed: 5, Databases: 1})
					s.Config.StreamNodeMaxBytes = 4096
					d := s.DB(0)
					for v := range values {
						key := fmt.Append(nil, "key:", v)
						for i := range elements {
							write(d, key, i, 0)
						}
					}
					before := heapInUse()
					var lock mutex
					gate := gated{make(chan struct{})}
					var snap *Snapshot
					lock.Lock()
					if beside {
						snap = StartLocked(&lock, s, gate, Options{SpillAt: spill, Buffer: 1 << 20, Spill: spillTo(t.TempDir())})
					}
					for round := byte(1); round < 4; round++ {
						for v := range values {
							key := fmt.Append(nil, "key:", v)
							for range 1 + elements/20 {
								write(d, key, (v*31+int(round)*7)%elements, round)
							}
							if v%64 == 0 { // others have their turn
								lock.Unlock()
								runtime.Gosched()
								lock.Lock()
							}
						}
					}
					lock.Unlock()
					if beside {
						for end := time.Now().Add(20 * time.Second); snap.Progress().Waiting > spill; time.Sleep(time.Millisecond) {
							if time.Now().After(end) {
								t.Fatal("what waits is not spilled")
							}
						}
					}
					lock.Lock()
					heap = heapInUse() - before
					lock.Unlock()
					if beside {
						close(gate.opened)
						if err := snap.Wait(); err != nil {
							t.Fatal(err)
						}
					}
					runtime.KeepAlive(s)
					return heap
				}
				alone := grown(false)
				beside := grown(true)
				t.Logf("%d values: %d KiB beside a snapshot, %d KiB alone", values, beside>>10, alone>>10)
				if beside-alone > most {
					t.Errorf("the heap grew by %d KiB more than without a snapshot, allowed are %d", (beside-alone)>>10, most>>10)
				}
			})
		}
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
