package snapshot

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/store"
)

// TestValuesAboveTheLimit: a value that is larger than all that may wait goes through, whether the walk or a write delivers it,
// and takes no memory of the queue's while the store holds it anyway.
func TestValuesAboveTheLimit(t *testing.T) {
	const size = compressMax + 3*partSize + 17 // goes out in parts
	r := rand.NewChaCha8([32]byte{1})
	huge := make([]byte, size)
	r.Read(huge)
	for _, c := range []struct {
		name  string
		early bool // a write meets it before the walk
		opts  Options
	}{
		{name: "walk", opts: Options{Buffer: 1 << 10, SpillAt: 1 << 20, Limit: 1 << 20}},
		{name: "write", early: true, opts: Options{Buffer: 1 << 10, SpillAt: 1 << 30, Limit: 1 << 20}},
		{name: "write, spilled", early: true, opts: Options{Buffer: 1 << 10, SpillAt: 4 << 10, Limit: 1 << 20, Spill: spillTo(t.TempDir())}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := store.New(store.Options{Seed: 3, Databases: 4})
			d := s.DB(0)
			for i := range 3000 {
				d.SetString([]byte{'k', byte(i), byte(i >> 8)}, bytes.Repeat([]byte{byte(i)}, 100), 0)
			}
			d.SetString([]byte("huge"), huge, 0)
			want := image(s)
			var lock mutex
			out := sink{delay: 100 * time.Microsecond}
			snap := Start(&lock, s, &out, c.opts)
			if c.early {
				lock.Exclusive(func() { d.SetString([]byte("huge"), []byte("small"), 0) })
			}
			most := 0
			for done := false; !done; {
				select {
				case <-snap.Done():
					done = true
				case <-time.After(time.Millisecond):
					most = max(most, snap.Progress().Waiting)
				}
			}
			if err := snap.Wait(); err != nil {
				t.Fatal(err)
			}
			got, _ := load(t, out.Bytes())
			diff(t, got, want)
			if limit := 1 << 20; !c.early && most > limit {
				t.Errorf("%d bytes waited in memory, more than %d", most, limit)
			}
			if spilled := snap.Progress().Spilled; c.opts.Spill == nil && spilled != 0 {
				t.Errorf("%d bytes spilled", spilled)
			}
		})
	}
}
