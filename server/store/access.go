package store

import "sync/atomic"

// Access clocks are 24 bits in an entry's header. LRU: seconds. LFU: minutes << 8 | logarithmic counter. Readers that
// share the lock set them with atomics; a lost update is a lost hint.

const (
	clockMask = 1<<24 - 1
	lfuInit   = 5 // a new key's counter, so that it is not the first to go
)

func lruClock(now int64) uint32 { return uint32(now/1000) & clockMask }

// Tick tells the store the time, in unix milliseconds, for the access clocks of keys that are created after it. It may
// run under a shared lock.
func (s *Store) Tick(now int64) {
	c := lruClock(now)
	if s.Config.LFU {
		c = uint32(now/60000)&0xffff<<8 | lfuInit
	}
	if s.clock.Load() != c {
		s.clock.Store(c)
	}
}

// Age is what a saved key tells of its access clock, as of the last Tick: seconds since the last access, or the LFU counter.
func (e Entry) Age() (idle int64, frequency uint8) {
	s := e.p.space.store
	clock, now := e.Access(), s.clock.Load()
	if s.Config.LFU {
		return 0, s.decayed(clock, int64(now>>8)*60000)
	}
	return int64((now - clock) & clockMask), 0
}

// Access is the entry's access clock.
func (e Entry) Access() uint32 { return atomic.LoadUint32(header(e.slot())) >> 8 }

// SetAccess sets the access clock. It may run under a shared lock.
func (e Entry) SetAccess(clock uint32) {
	w := header(e.slot())
	old := atomic.LoadUint32(w)
	if now := clock<<8 | old&0xff; now != old {
		atomic.CompareAndSwapUint32(w, old, now) // a lost race means that another reader has just set it
	}
}

// SetIdle sets the access clock to so many seconds before now, for LRU.
func (e Entry) SetIdle(seconds, now int64) {
	e.SetAccess(uint32(now/1000-min(seconds, clockMask)) & clockMask)
}

// SetFrequency sets the LFU counter.
func (e Entry) SetFrequency(f uint8, now int64) {
	e.SetAccess(uint32(now/60000)&0xffff<<8 | uint32(f))
}

// IdleSeconds is the time since the last access under LRU.
func (e Entry) IdleSeconds(now int64) int64 {
	return int64((lruClock(now) - e.Access()) & clockMask)
}

// Frequency is the LFU counter, decayed to now.
func (e Entry) Frequency(now int64) uint8 {
	return e.p.space.store.decayed(e.Access(), now)
}

func (s *Store) decayed(clock uint32, now int64) uint8 {
	counter := clock & 0xff
	if s.Config.LFUDecayTime <= 0 {
		return uint8(counter)
	}
	minutes := (uint32(now/60000) - clock>>8) & 0xffff
	return uint8(counter - min(counter, minutes/uint32(s.Config.LFUDecayTime)))
}

// draws count accesses under LFU, so that those of one instant have chances of their own. They are apart by the hash, for the
// sake of readers that share the lock.
type draws [64]struct {
	n atomic.Uint64
	_ [cacheLine - 8]byte
}

// hit records an access. The LFU counter's chance comes from the hash and from how many accesses came before.
func (e Entry) hit(h uint64, now int64) {
	s := e.p.space.store
	if !s.Config.LFU {
		e.SetAccess(lruClock(now))
		return
	}
	c := s.decayed(e.Access(), now)
	state := h ^ s.draws[h%uint64(len(s.draws))].n.Add(1)<<32
	base := max(0, int(c)-lfuInit)
	if c < 255 && splitmix(&state)%uint64(base*s.Config.LFULogFactor+1) == 0 {
		c++
	}
	e.SetAccess(uint32(now/60000)&0xffff<<8 | uint32(c))
}
