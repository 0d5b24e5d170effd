package store

import (
	"math/bits"
	"sync/atomic"
)

// warmGroup is the number of keys whose memory is fetched together: about what a processor keeps in flight.
const warmGroup = 16

// Warm brings what lookups of the keys will need into the processor's caches: the loads of different keys overlap,
// while lookups one after the other wait for memory twice each. It changes nothing and may run under a shared lock. The
// result has no meaning; it keeps the loads from being optimized away.
func (d *DB) Warm(keys [][]byte) (sum uint32) {
	for len(keys) > warmGroup {
		sum += d.warm(keys[:warmGroup])
		keys = keys[warmGroup:]
	}
	return sum + d.warm(keys)
}

func (d *DB) warm(keys [][]byte) (sum uint32) {
	var parts [warmGroup]*part
	var buckets [warmGroup]*bucket
	var tags [warmGroup]uint64
	n := 0
	for _, key := range keys {
		h := d.store.hash.sum(key)
		p := d.space.partOf(h)
		if p == nil || p.keys.count == 0 {
			continue
		}
		seg := p.keys.segmentFor(p, h)
		parts[n], buckets[n], tags[n] = p, &seg.buckets[seg.home(h)], uint64(tagOf(h))
		n++
	}
	// Without branches on what was loaded, so that the loads of the next keys need not wait: where the tag is not among
	// the first eight the ninth slot's entry is fetched, which harms nobody.
	for i := range n {
		b := buckets[i]
		w, _ := b.words()
		w ^= lowBits * tags[i]
		ref := b.refs[bits.TrailingZeros64((w-lowBits)&^w&highBits)/8]
		sum += parts[i].slab.touch(ref)
	}
	return sum
}

// WarmForInsert is Warm for keys that are expected not to be there yet, given by their hashes.
func (d *DB) WarmForInsert(hashes []uint64) (sum uint32) {
	for _, h := range hashes {
		if p := d.space.partOf(h); p != nil && p.keys.dir != nil {
			seg := p.keys.segmentFor(p, h)
			sum += seg.buckets[seg.home(h)].shift
		}
	}
	return sum
}

// touch loads the first word of a slot.
func (s *slab) touch(ref uint32) uint32 {
	if page := int(ref >> pageBits); page < len(s.pages) && s.pages[page] != nil {
		return atomic.LoadUint32(header(s.pages[page][(ref&(pageUnits-1))*unit:])) // readers set access clocks in it
	}
	return 0 // the ref is stale: its slot is free
}

const cacheLine = 64

// touchWhole loads a word of each of the first cache lines of an entry that is there: the processor goes on by itself
// with those that follow.
func (s *slab) touchWhole(ref uint32) (sum uint32) {
	b := s.pages[ref>>pageBits][(ref&(pageUnits-1))*unit:]
	for at := 0; at < min(s.size(ref), 3*cacheLine); at += cacheLine {
		sum += atomic.LoadUint32(header(b[at:])) // readers set access clocks
	}
	return sum
}
