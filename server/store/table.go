package store

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// A table is an extendible hash table of refs. The directory, indexed by the hash's high bits, names segments; a
// segment splits alone when an entry finds no room, so that growth never stalls a batch and never doubles memory. A
// young table has one segment of few buckets, which doubles up to segBuckets before it first splits.
//
// An entry lives in its home bucket or, when that is full, in one of the maxShift next ones of its segment. The home
// counts the entries that it sent away, so a miss usually reads one cache line.
//
// Invariants: an entry's home within its segment depends on the hash alone (its low homeBits, of which a small
// segment uses the high ones); entries never move between slots except when their segment grows. So the set of
// entries with one home is the unit of SCAN and of cuts.
const (
	bucketSlots = 12
	homeBits    = 6
	segBuckets  = 1 << homeBits
	minBits     = 2
	minBuckets  = 1 << minBits
	maxShift    = 3
	maxDepth    = 32 // bits of directory; also the resolution of a scan cursor
	awayUnit    = 1 << 24
	awayMax     = 255
)

// bucket is one cache line. A tag of 0 marks a free slot.
type bucket struct {
	tags  [bucketSlots]uint8
	shift uint32 // 2 bits per slot: how far behind its home the entry is; the top byte: entries of this home elsewhere
	refs  [bucketSlots]uint32
}

type segment struct {
	buckets []bucket
	depth   uint8  // of the prefix that its entries share
	coarse  uint8  // home bits that it leaves out, having few buckets: segBuckets >> coarse of them
	prefix  uint32 // that prefix, left aligned
	moves   uint32 // of entries that left their places or came to other slots
	seen    uint32 // the epoch up to which cuts have got its homes
	count   int
	vol     int        // entries with an expiry
	due     int64      // no entry of it expires before
	holdOff int64      // the expiry cycle leaves it alone until then
	seenAt  *seenArray // the same as seen per home, where they differ: see cut.go
}

type table struct {
	dir   []*segment
	depth uint8
	count int
	bytes int64 // of buckets, segments and directory, counted in its partition too
}

// spot is an entry's place in a table.
type spot struct {
	seg    *segment
	bucket uint32
	slot   uint32
	ref    uint32
}

const (
	segBytes    = int64(unsafe.Sizeof(segment{}))
	bucketBytes = int64(unsafe.Sizeof(bucket{}))
)

func (t *table) charge(p *part, n int64) {
	t.bytes += n
	p.tables += n
}

func tagOf(h uint64) uint8 {
	if t := uint8(h >> homeBits); t != 0 {
		return t
	}
	return 1
}

// prefixOf is the hash behind the partition's bits, of which a directory uses the high ones.
func (p *part) prefixOf(h uint64) uint64 { return h << p.space.store.partBits }

func (t *table) segmentFor(p *part, h uint64) *segment {
	return t.dir[p.prefixOf(h)>>(64-t.depth)]
}

// home is the home bucket of hash h.
func (s *segment) home(h uint64) uint32 {
	return uint32(h) & (segBuckets - 1) >> s.coarse
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
	fourLow  = 0x01010101
	fourHigh = 0x80808080
)

func (b *bucket) words() (uint64, uint32) {
	return binary.LittleEndian.Uint64(b.tags[:8]), binary.LittleEndian.Uint32(b.tags[8:])
}

// free returns the number of free slots and the first of them.
func (b *bucket) free() (n int, first uint32) {
	w, v := b.words()
	// The high bit of each byte of full is set for a non-zero byte, exactly.
	fullW := (w&^highBits + 0x7f7f7f7f7f7f7f7f | w) & highBits
	fullV := (v&^fourHigh + 0x7f7f7f7f | v) & fourHigh
	n = bucketSlots - bits.OnesCount64(fullW) - bits.OnesCount32(fullV)
	if fullW != highBits {
		return n, uint32(bits.TrailingZeros64(fullW^highBits)) / 8
	}
	return n, 8 + uint32(bits.TrailingZeros32(fullV^fourHigh))/8
}

// seek returns the slot at which key stands in b.
func (b *bucket) seek(p *part, tag uint8, key []byte) (uint32, bool) {
	w, v := b.words()
	w ^= lowBits * uint64(tag)
	for m := (w - lowBits) &^ w & highBits; m != 0; m &= m - 1 {
		i := uint32(bits.TrailingZeros64(m)) / 8
		if b.tags[i] == tag && p.keyIs(b.refs[i], key) {
			return i, true
		}
	}
	v ^= fourLow * uint32(tag)
	for m := (v - fourLow) &^ v & fourHigh; m != 0; m &= m - 1 {
		i := 8 + uint32(bits.TrailingZeros32(m))/8
		if b.tags[i] == tag && p.keyIs(b.refs[i], key) {
			return i, true
		}
	}
	return 0, false
}

func (t *table) find(p *part, h uint64, key []byte) (spot, bool) {
	if t.count == 0 {
		return spot{}, false
	}
	seg := t.segmentFor(p, h)
	home, mask, tag := seg.home(h), uint32(len(seg.buckets)-1), tagOf(h)
	b := &seg.buckets[home]
	if i, ok := b.seek(p, tag, key); ok {
		return spot{seg, home, i, b.refs[i]}, true
	}
	if b.shift < awayUnit {
		return spot{}, false
	}
	for d := uint32(1); d <= maxShift; d++ {
		at := (home + d) & mask
		b := &seg.buckets[at]
		if i, ok := b.seek(p, tag, key); ok {
			return spot{seg, at, i, b.refs[i]}, true
		}
	}
	return spot{}, false
}

// findRef finds the place of a ref that is known to be in the table.
func (t *table) findRef(p *part, h uint64, ref uint32) spot {
	seg := t.segmentFor(p, h)
	home, mask := seg.home(h), uint32(len(seg.buckets)-1)
	for d := uint32(0); d <= maxShift; d++ {
		at := (home + d) & mask
		for i, r := range seg.buckets[at].refs {
			if r == ref && seg.buckets[at].tags[i] != 0 {
				return spot{seg, at, uint32(i), ref}
			}
		}
	}
	panic("store: an entry is not in its table")
}

// insert adds a ref whose key is not in the table.
func (t *table) insert(p *part, h uint64, ref uint32) spot {
	if t.dir == nil {
		t.start(p)
	}
	for {
		seg := t.segmentFor(p, h)
		if bucket, slot, ok := seg.place(h, ref); ok {
			t.count++
			return spot{seg, bucket, slot, ref}
		}
		t.grow(p, seg)
	}
}

// start gives the table its first segment, which no cut that is under way needs to see.
func (t *table) start(p *part) {
	seg := &segment{buckets: make([]bucket, minBuckets), coarse: homeBits - minBits, due: never, seen: p.space.store.epoch}
	t.dir, t.depth = []*segment{seg}, 0
	t.charge(p, segBytes+minBuckets*bucketBytes+8)
}

// reserve gives an empty table 1 << depth segments.
func (t *table) reserve(p *part, depth uint8) {
	t.dir, t.depth = make([]*segment, 1<<depth), depth
	for i := range t.dir {
		t.dir[i] = &segment{
			buckets: make([]bucket, segBuckets), depth: depth, prefix: uint32(i) << (32 - depth),
			due: never, seen: p.space.store.epoch,
		}
	}
	t.charge(p, int64(len(t.dir))*(8+segBytes+segBuckets*bucketBytes))
}

// place puts ref into its home or, when that is full, into the emptiest of the next buckets.
func (s *segment) place(h uint64, ref uint32) (bucket, slot uint32, ok bool) {
	home, mask := s.home(h), uint32(len(s.buckets)-1)
	n, slot := s.buckets[home].free()
	if n > 0 {
		s.buckets[home].put(slot, tagOf(h), 0, ref)
		s.count++
		return home, slot, true
	}
	best, shift := 0, uint32(0)
	for d := uint32(1); d <= maxShift; d++ {
		if n, i := s.buckets[(home+d)&mask].free(); n > best {
			best, slot, shift = n, i, d
		}
	}
	if best == 0 || s.buckets[home].shift>>24 == awayMax {
		return 0, 0, false
	}
	bucket = (home + shift) & mask
	s.buckets[bucket].put(slot, tagOf(h), shift, ref)
	s.buckets[home].shift += awayUnit
	s.count++
	return bucket, slot, true
}

func (b *bucket) put(slot uint32, tag uint8, shift uint32, ref uint32) {
	b.tags[slot], b.refs[slot] = tag, ref
	b.shift |= shift << (2 * slot)
}

// shiftOf is how far behind its home the entry in slot is.
func (b *bucket) shiftOf(slot uint32) uint32 { return b.shift >> (2 * slot) & 3 }

// remove takes the entry at a spot out of the table.
func (t *table) remove(at spot) {
	s, b := at.seg, &at.seg.buckets[at.bucket]
	if d := b.shiftOf(at.slot); d != 0 {
		s.buckets[(at.bucket-d)&uint32(len(s.buckets)-1)].shift -= awayUnit
		b.shift &^= 3 << (2 * at.slot)
	}
	b.tags[at.slot], b.refs[at.slot] = 0, 0
	s.moves++
	s.count--
	t.count--
}

// replace points the entry at a spot to another slot.
func (at *spot) replace(ref uint32) {
	at.seg.buckets[at.bucket].refs[at.slot] = ref
	at.seg.moves++
	at.ref = ref
}

// refsOf appends the refs whose home is the given bucket.
func (s *segment) refsOf(dst []uint32, home uint32) []uint32 {
	mask := uint32(len(s.buckets) - 1)
	for d := uint32(0); d <= maxShift; d++ {
		b := &s.buckets[(home+d)&mask]
		for i := uint32(0); i < bucketSlots; i++ {
			if b.tags[i] != 0 && b.shiftOf(i) == d {
				dst = append(dst, b.refs[i])
			}
		}
		if s.buckets[home].shift < awayUnit {
			break
		}
	}
	return dst
}

// hashed is a ref on its way to another bucket.
type hashed struct {
	h   uint64
	ref uint32
	exp bool
}

// drain empties the segment and returns what was in it.
func (s *segment) drain(p *part, dst []hashed) []hashed {
	for i := range s.buckets {
		b := &s.buckets[i]
		if i+1 < len(s.buckets) { // the next ones come from memory together meanwhile
			next := &s.buckets[i+1]
			for j, tag := range next.tags {
				if tag != 0 {
					p.slab.touch(next.refs[j])
				}
			}
		}
		for j, tag := range b.tags {
			if tag != 0 {
				h, exp := p.rehash(b.refs[j])
				dst = append(dst, hashed{h, b.refs[j], exp})
			}
		}
		*b = bucket{}
	}
	s.count, s.vol = 0, 0
	s.moves++
	return dst
}

// grow makes room in a segment: it doubles a small one and splits a big one.
func (t *table) grow(p *part, seg *segment) {
	var room [segBuckets * bucketSlots]hashed
	moved := seg.drain(p, room[:0])
	if n := len(seg.buckets); n < segBuckets {
		seg.buckets = make([]bucket, 2*n)
		seg.coarse--
		t.charge(p, int64(n)*bucketBytes)
		seg.spreadSeen(n)
	} else {
		t.split(p, seg)
	}
	t.count -= len(moved)
	for _, m := range moved {
		at := t.insert(p, m.h, m.ref)
		if m.exp {
			at.seg.vol++
		}
	}
}

// split gives the upper half of a drained segment's prefixes to a new one.
func (t *table) split(p *part, seg *segment) {
	if seg.depth == maxDepth {
		panic("store: the hash does not spread keys")
	}
	if seg.depth == t.depth {
		dir := make([]*segment, 2*len(t.dir))
		for i, s := range t.dir {
			dir[2*i], dir[2*i+1] = s, s
		}
		t.charge(p, int64(len(t.dir))*8)
		t.dir, t.depth = dir, t.depth+1
	}
	seg.depth++
	upper := &segment{
		buckets: make([]bucket, segBuckets), depth: seg.depth, prefix: seg.prefix | 1<<(32-seg.depth),
		due: seg.due, holdOff: seg.holdOff, seen: seg.seen,
	}
	if seg.seenAt != nil {
		upper.seenAt = p.space.store.newSeen()
		*upper.seenAt = *seg.seenAt
		t.charge(p, seenBytes)
	}
	from, n := upper.span(t.depth)
	for i := from; i < from+n; i++ {
		t.dir[i] = upper
	}
	t.charge(p, segBytes+segBuckets*bucketBytes)
}

// span is the segment's range in a directory of the given depth.
func (s *segment) span(depth uint8) (from, n uint64) {
	return uint64(s.prefix) << 32 >> (64 - depth), 1 << (depth - s.depth)
}

// after is the first prefix behind the segment's, up to 1<<32.
func (s *segment) after() uint64 { return uint64(s.prefix) + 1<<(32-s.depth) }

// at returns the segment that holds a 32-bit prefix.
func (t *table) at(prefix uint32) *segment { return t.dir[uint64(prefix)<<32>>(64-t.depth)] }
