package session

import (
	"cmp"
	"slices"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/settings"
)

// evictAgain is how long nobody is looked for after nobody was found: all who are big are protected.
const evictAgain = 20 * time.Millisecond

// followClientLimit reads maxmemory-clients, bytes or a share of maxmemory.
func (srv *Server) followClientLimit() {
	limit := srv.cfg.Int(settings.MaxMemoryClients)
	if limit < 0 {
		limit = srv.cfg.Int(settings.MaxMemory) * -limit / 100
	}
	srv.clientLimit.Store(limit)
	srv.evictNext.Store(0)
	if srv.crowded() {
		srv.evictClients()
	}
}

func (srv *Server) crowded() bool {
	limit := srv.clientLimit.Load()
	return limit > 0 && srv.e.ClientBytes() > limit
}

// EvictIfCrowded closes the biggest clients until all together fit into maxmemory-clients. It must be called without the
// engine's lock.
func (srv *Server) EvictIfCrowded() {
	if srv.crowded() && time.Now().UnixNano() >= srv.evictNext.Load() && !srv.e.Busy() {
		srv.e.Exclusive(srv.evictClients)
	}
}

// evictClients is EvictIfCrowded for those who hold the lock exclusively.
func (srv *Server) evictClients() {
	total, limit := srv.e.ClientBytes(), srv.clientLimit.Load()
	var list []*Session
	for _, s := range srv.sorted() {
		switch {
		case s.gone:
			total -= s.memory() // on its way
		case s.evictable():
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b *Session) int { return cmp.Compare(b.memory(), a.memory()) })
	for _, s := range list {
		if total <= limit {
			return
		}
		total -= s.memory()
		srv.evict(s)
	}
	if total > limit {
		srv.evictNext.Store(time.Now().Add(evictAgain).UnixNano())
	}
}

func (s *Session) evictable() bool {
	return !s.gone && !s.Has(engine.NoEvict|engine.IsReplica|engine.IsMonitor)
}

// evict closes a client. The lock is held exclusively.
func (srv *Server) evict(s *Session) {
	srv.logf("Evicting client: %s", s.appendInfo(nil, time.Now()))
	s.gone = true
	srv.evicted.Add(1)
	srv.e.Abandon(&s.Client)
	s.Owner.Kill("maxmemory-clients")
}

// EvictAnnounced closes s, and reports it, when a command that has begun to come and has n bytes in all takes more than all clients
// together may: others need not wait for the bytes to see it gone, as with Redis, which makes room for them at once. It must
// be called without the engine's lock.
func (srv *Server) EvictAnnounced(s *Session, n int) (evicted bool) {
	limit := srv.clientLimit.Load()
	if limit == 0 || int64(n) <= limit || srv.e.Busy() {
		return false
	}
	srv.e.Exclusive(func() {
		if evicted = s.evictable(); evicted {
			srv.evict(s)
		}
	})
	return evicted
}
