package store

import "sync/atomic"

// Active expiry. Every segment knows a time before which none of its entries expires (due) and how many have an expiry
// at all (vol), so the cycle reads only segments that may have something to give. A segment that gave little for its
// reading is left alone for holdOffMS; clients do not see its expired keys meanwhile.
const (
	holdOffMS = 500
	// littleShare is what is little, at effort 0: one of so many entries. Each step of effort makes it less.
	littleShare = 16
)

// hintRing holds hashes of expired keys that readers met. Readers share the lock: a lost hint is found by the cycle.
type hintRing struct {
	next  atomic.Uint32
	hash  [8]atomic.Uint64
	armed atomic.Bool
}

func (r *hintRing) add(h uint64) {
	r.hash[r.next.Add(1)%uint32(len(r.hash))].Store(h)
	r.armed.Store(true)
}

func (p *part) hint(h uint64) {
	p.hints.add(h)
	if s := p.space.store; !s.hinted.Load() {
		s.hinted.Store(true)
	}
}

// MetExpired hints that a reader met this expired entry. It may run under a shared lock.
func (e Entry) MetExpired() { e.p.hint(e.p.space.store.hash.sum(e.Key())) }

// Hinted tells whether readers met expired keys since the latest ExpireHinted.
func (s *Store) Hinted() bool { return s.hinted.Load() }

// ExpireHinted gives the expired keys that readers met, copied, to fn, which deletes them, with their databases. Of many
// only the latest are remembered: the others are left to ExpireStep.
func (s *Store) ExpireHinted(now int64, fn func(db int, key []byte)) {
	s.hinted.Store(false)
	for i, d := range s.dbs {
		for _, p := range d.space.parts {
			if p != nil && p.expires > 0 {
				p.expireHinted(now, func(key []byte) { fn(i, key) })
			}
		}
	}
}

func (p *part) expireHinted(now int64, fn func(key []byte)) (found int) {
	if !p.hints.armed.Swap(false) {
		return 0
	}
	for i := range p.hints.hash {
		if h := p.hints.hash[i].Swap(0); h != 0 && p.keys.count > 0 {
			seg := p.keys.segmentFor(p, h)
			n, _ := p.expireHome(seg, seg.home(h), now, fn)
			found += n
		}
	}
	return found
}

// expireWalk is where the cycle stands in a partition.
type expireWalk struct {
	prefix uint32
}

// ExpireStep finds keys that have expired at now and gives each, copied, to fn, which deletes it (and writes nothing
// else). It does work for about budget entries, goes on next time where it stopped, and reports how many it found and
// whether the budget ended it. effort, from 0 on, says how little a segment may give and be read again at once.
func (d *DB) ExpireStep(now int64, budget, effort int, fn func(key []byte)) (found int, more bool) {
	sp := d.space
	for range sp.parts {
		p := sp.parts[sp.walk%len(sp.parts)]
		if p != nil && p.expires > 0 {
			n, done := p.expireStep(now, &budget, effort, fn)
			found += n
			if !done {
				return found, true
			}
		}
		sp.walk++
	}
	return found, false
}

func (p *part) expireStep(now int64, budget *int, effort int, fn func(key []byte)) (found int, done bool) {
	found = p.expireHinted(now, fn)
	for {
		if *budget <= 0 {
			return found, false
		}
		seg := p.keys.at(p.walk.prefix)
		*budget--
		if seg.vol > 0 && past(seg.due, now) && seg.holdOff <= now {
			*budget -= seg.count
			found += p.expireSegment(seg, now, effort, fn)
		}
		p.walk.prefix = uint32(seg.after())
		if p.walk.prefix == 0 {
			return found, true
		}
	}
}

func (p *part) expireSegment(seg *segment, now int64, effort int, fn func(key []byte)) (found int) {
	due := never
	for home := range uint32(len(seg.buckets)) {
		n, next := p.expireHome(seg, home, now, fn)
		found += n
		due = min(due, next)
	}
	seg.due = due
	if found*littleShare*(1+effort) < seg.count {
		seg.holdOff = now + holdOffMS
	}
	return found
}

// expireHome gives the expired keys of one home to fn and returns the next expiry there.
func (p *part) expireHome(seg *segment, home uint32, now int64, fn func(key []byte)) (found int, next int64) {
	var buf [(maxShift + 1) * bucketSlots]uint32
	next = never
	for _, ref := range seg.refsOf(buf[:0], home) {
		b := p.slab.at(ref)
		s := shapeOf(b)
		at := expiryOf(b, s.meta)
		switch {
		case at == 0:
		case !past(at, now):
			next = min(next, at)
		default:
			found++
			next = min(next, at) // stays due if fn leaves it
			p.space.key = append(p.space.key[:0], p.keyBytes(b, s)...)
			fn(p.space.key)
		}
	}
	return found, next
}
