package link

import (
	"sync"
	"testing"

	"github.com/understudy-db/understudy/server/store"
)

// TestLoadedDataOfAnEndedLinkIsFreed: a load that ends when its link does is delivered to nobody. The pages that it has filled
// are not the collector's to free.
func TestLoadedDataOfAnEndedLinkIsFreed(t *testing.T) {
	for range 300 {
		u := &upstream{loaded: make(chan loadResult, 1), done: make(chan struct{})}
		s := store.New(store.Options{})
		into := s.Sibling()
		for i := range 100 {
			into.DB(0).SetString([]byte{byte(i)}, make([]byte, 1000), 0)
		}
		if into.UsedBytes() < 100_000 {
			t.Fatalf("%d bytes", into.UsedBytes())
		}
		var work sync.WaitGroup
		work.Go(func() { u.deliver(loadResult{into: into}) })
		work.Go(func() { // as at the end of run
			close(u.done)
			u.disposeLoaded()
		})
		work.Wait()
		if n := into.UsedBytes(); n > 50_000 {
			t.Fatalf("%d bytes are left", n)
		}
	}
}
