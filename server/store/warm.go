package store

import (
	"math/bits"
	"sync/atomic"
)

// WarmGroup is the number of keys or elements whose memory is fetched together: about what a processor keeps in flight.
const WarmGroup = 16

// warmFrom is the number from which that pays.
const warmFrom = 4

// Warm brings what lookups of the keys will need into the processor's caches: the loads of different keys overlap,
// while lookups one after the other wait for memory twice each. It changes nothing and may run under a shared lock. The
// result has no meaning; it keeps the loads from being optimized away.
func (d *DB) Warm(keys [][]byte) (sum uint32) {
	for len(keys) > WarmGroup {
		sum += d.warm(keys[:WarmGroup])
		keys = keys[WarmGroup:]
	}
	return sum + d.warm(keys)
}

// WarmNext is Warm for the first WarmGroup of args that stand step apart, when they are some.
func (d *DB) WarmNext(args [][]byte, step int) {
	var room [WarmGroup][]byte
	if keys := apart(room[:0], args, step); len(keys) >= warmFrom {
		d.warm(keys)
	}
}

// apart appends the first WarmGroup of args that stand step apart.
func apart(dst, args [][]byte, step int) [][]byte {
	for i := 0; i < len(args) && len(dst) < WarmGroup; i += step {
		dst = append(dst, args[i])
	}
	return dst
}

func (d *DB) warm(keys [][]byte) (sum uint32) {
	var g warming
	for _, key := range keys {
		h := d.store.hash.sum(key)
		if p := d.space.partOf(h); p != nil {
			g.add(p, &p.keys, h)
		}
	}
	return g.fetch()
}

// WarmElements is Warm for elements of one big hash, set or sorted set.
func (d *DB) WarmElements(key []byte, elements [][]byte) (sum uint32) {
	o := d.tableAt(key)
	for o != nil && len(elements) > 0 {
		sum += o.warm(elements)
		elements = elements[min(WarmGroup, len(elements)):]
	}
	return sum
}

// warm fetches the memory of the first WarmGroup of elements.
func (o *tableObject) warm(elements [][]byte) (sum uint32) {
	var g warming
	for _, e := range elements[:min(WarmGroup, len(elements))] {
		g.add(o.home, &o.fields, o.home.space.store.hash.sum(e))
	}
	return g.fetch()
}

// Warm fetches the memory of the first WarmGroup of fields that are looked up next. It changes nothing.
func (h *Hash) Warm(fields [][]byte) {
	if h.obj != nil && len(fields) >= warmFrom {
		h.obj.warm(fields)
	}
}

// WarmNext is Warm of those of args that stand step apart.
func (h *Hash) WarmNext(args [][]byte, step int) {
	var room [WarmGroup][]byte
	if h.obj != nil && len(args) > step {
		h.Warm(apart(room[:0], args, step))
	}
}

// Warm fetches the memory of the first WarmGroup of members that are looked up next. It changes nothing.
func (s *Set) Warm(members [][]byte) {
	if s.obj != nil && len(members) >= warmFrom {
		s.obj.warm(members)
	}
}

// Warm fetches the memory of the first WarmGroup of members that are looked up next. It changes nothing.
func (z *ZSet) Warm(members [][]byte) {
	if z.obj != nil && len(members) >= warmFrom {
		z.obj.warm(members)
	}
}

// WarmNext is Warm of those of args that stand step apart.
func (z *ZSet) WarmNext(args [][]byte, step int) {
	var room [WarmGroup][]byte
	if z.obj != nil && len(args) > step {
		z.Warm(apart(room[:0], args, step))
	}
}

// tableAt is the table of the value at key, nil when it has none.
func (d *DB) tableAt(key []byte) *tableObject {
	p, _, at, ok := d.lookup(key)
	if !ok {
		return nil
	}
	b := p.slab.at(at.ref)
	s := shapeOf(b)
	if !isObject(s.meta) {
		return nil
	}
	switch o := p.space.object(b[s.val:]).(type) {
	case *tableObject:
		return o
	case *zsetObject:
		return &o.tableObject
	}
	return nil
}

// warming is a group of entries that are fetched together.
type warming struct {
	parts   [WarmGroup]*part
	buckets [WarmGroup]*bucket
	tags    [WarmGroup]uint64
	n       int
}

// add looks for the bucket of a hash. There must be room for it.
func (g *warming) add(p *part, t *table, h uint64) {
	if t.count == 0 {
		return
	}
	seg := t.segmentFor(p, h)
	g.parts[g.n], g.buckets[g.n], g.tags[g.n] = p, &seg.buckets[seg.home(h)], uint64(tagOf(h))
	g.n++
}

// fetch loads the buckets and the entries. It does so without branches on what was loaded, so that the loads of the next
// need not wait: where the tag is not among the first eight the ninth slot's entry is fetched, which harms nobody.
func (g *warming) fetch() (sum uint32) {
	for i := range g.n {
		b := g.buckets[i]
		w, _ := b.words()
		w ^= lowBits * g.tags[i]
		ref := b.refs[bits.TrailingZeros64((w-lowBits)&^w&highBits)/8]
		sum += g.parts[i].slab.touch(ref)
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
