package session

import (
	"sync"
	"time"
)

// rates measures what goes on per second over the last samples, as INFO shows it.
type rates struct {
	mu      sync.Mutex
	samples [16]rateSample
	next    int
}

type rateSample struct {
	when         time.Time
	ops, in, out int64
}

// note adds a reading of the counters; it is called several times a second.
func (r *rates) note(now time.Time, ops, in, out int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples[r.next%len(r.samples)] = rateSample{now, ops, in, out}
	r.next++
}

func (r *rates) latest() (ops int64, in, out float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next < 2 {
		return 0, 0, 0
	}
	last := r.samples[(r.next-1)%len(r.samples)]
	first := r.samples[max(r.next-len(r.samples), 0)%len(r.samples)]
	s := last.when.Sub(first.when).Seconds()
	if s <= 0 {
		return 0, 0, 0
	}
	return int64(float64(last.ops-first.ops) / s), float64(last.in-first.in) / s, float64(last.out-first.out) / s
}

// Sample notes the counters for the rates of INFO. Call it about ten times a second, without the lock.
func (srv *Server) Sample() {
	var ops int64
	srv.e.Exclusive(func() {
		ops = srv.e.Totals().Commands
		srv.peakUsed = max(srv.peakUsed, srv.e.MemoryUse().Total())
	})
	in, out := srv.net()
	srv.rates.note(time.Now(), ops, in, out)
}
