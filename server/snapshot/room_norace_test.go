//go:build !race

// Memory is what is measured here, and the race detector takes minutes to make it.

package snapshot

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/store"
)

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
