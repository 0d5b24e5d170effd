package session

import (
	"sync"
	"time"
)

// traffic is what has gone on since the start.
type traffic struct {
	in, out         int64 // bytes of clients
	linkIn, linkOut int64 // bytes of replication
	reads, writes   int64 // calls
	freed           int64 // values, lazily
}

func (srv *Server) traffic() (t traffic) {
	t.in, t.out = srv.net()
	t.linkIn, t.linkOut = srv.links()
	t.reads, t.writes = srv.calls()
	_, t.freed = srv.e.Store().Lazy()
	return t
}

func (t traffic) less(o traffic) traffic {
	return traffic{t.in - o.in, t.out - o.out, t.linkIn - o.linkIn, t.linkOut - o.linkOut, t.reads - o.reads, t.writes - o.writes, t.freed - o.freed}
}

// rates measures what goes on per second over the last samples, as INFO shows it.
type rates struct {
	mu      sync.Mutex
	samples [16]rateSample
	next    int
}

type rateSample struct {
	when time.Time
	ops  int64
	traffic
}

// perSecond is a rate of each of what is shown.
type perSecond struct{ ops, in, out, linkIn, linkOut float64 }

// note adds a reading of the counters; it is called several times a second.
func (r *rates) note(s rateSample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples[r.next%len(r.samples)] = s
	r.next++
}

func (r *rates) latest() perSecond {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next < 2 {
		return perSecond{}
	}
	last := r.samples[(r.next-1)%len(r.samples)]
	first := r.samples[max(r.next-len(r.samples), 0)%len(r.samples)]
	s := last.when.Sub(first.when).Seconds()
	if s <= 0 {
		return perSecond{}
	}
	d := last.less(first.traffic)
	per := func(n int64) float64 { return float64(n) / s }
	return perSecond{per(last.ops - first.ops), per(d.in), per(d.out), per(d.linkIn), per(d.linkOut)}
}

// Sample notes the counters for the rates of INFO. Call it about ten times a second, without the lock.
func (srv *Server) Sample() {
	s := rateSample{when: time.Now()}
	srv.e.Exclusive(func() {
		s.ops, s.traffic = srv.e.Totals().Commands, srv.traffic()
		srv.peakUsed = max(srv.peakUsed, srv.e.MemoryUse().Total())
	})
	srv.rates.note(s)
}
