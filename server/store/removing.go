package store

import (
	"bytes"
	"cmp"
	"slices"
	"sync/atomic"
)

// What takes very many elements out of a table waits for memory: an entry and a bucket for each. So the loads of many are
// begun together, before anything is removed.

// removeRefs takes elements out by their refs.
func (o *tableObject) removeRefs(refs []uint32) {
	var room [maxLeaf]uint64
	p, hashes := o.home, room[:0]
	for _, ref := range refs {
		p.slab.touch(ref)
	}
	for _, ref := range refs {
		h, _ := p.rehash(ref)
		seg := o.fields.segmentFor(p, h)
		atomic.LoadUint32(&seg.buckets[seg.home(h)].shift) // for the sake of loading the bucket
		hashes = append(hashes, h)
	}
	for i, ref := range refs {
		o.removeAt(hashes[i], o.fields.findRef(p, hashes[i], ref))
	}
}

// leaving is a member that is to go from a sorted set.
type leaving struct {
	score float64
	hash  uint64
	ref   uint32
}

// delAllFrom is the number of members from which it pays to put them in order first.
const delAllFrom = 8

// delAll removes members in one pass through their order, and returns how many were there.
func (o *zsetObject) delAll(members [][]byte) (removed int) {
	list := o.listed(members)
	if len(o.readings) > 0 {
		for _, x := range list {
			member, score := o.home.scored(x.ref)
			o.leaves(member, score)
		}
	}
	for rest := list; len(rest) > 0; {
		rest = rest[o.order.removeListed(o.home, rest):]
	}
	for i, x := range list {
		if i%WarmGroup == 0 {
			o.warmListed(list[i:min(i+WarmGroup, len(list))])
		}
		o.removeAt(x.hash, o.fields.findRef(o.home, x.hash, x.ref))
	}
	return len(list)
}

// listed lists those members that are there, each once, in order.
func (o *zsetObject) listed(members [][]byte) []leaving {
	p, list := o.home, make([]leaving, 0, len(members))
	for i, m := range members {
		if i%WarmGroup == 0 {
			o.warm(members[i:])
		}
		if h, at, ok := o.find(m); ok {
			_, score := p.scored(at.ref)
			list = append(list, leaving{score, h, at.ref})
		}
	}
	slices.SortFunc(list, func(a, b leaving) int {
		if c := cmp.Compare(a.score, b.score); c != 0 {
			return c
		}
		x, _ := p.pair(a.ref)
		y, _ := p.pair(b.ref)
		return bytes.Compare(x, y)
	})
	return slices.CompactFunc(list, func(a, b leaving) bool { return a.ref == b.ref })
}

func (o *zsetObject) warmListed(group []leaving) {
	for _, x := range group {
		seg := o.fields.segmentFor(o.home, x.hash)
		atomic.LoadUint32(&seg.buckets[seg.home(x.hash)].shift)
		o.home.slab.touch(x.ref)
	}
}

// take removes n elements, every choice of them being equally likely, and gives each to fn before it goes. It walks the
// table, so it costs as much for few as for many.
func (o *tableObject) take(n int, rnd func() uint64, fn func(field []byte)) {
	var room [segBuckets * bucketSlots]spot
	t, left := &o.fields, o.fields.count
	for i := uint64(0); i < uint64(len(t.dir)) && n > 0; {
		seg := t.dir[i]
		_, span := seg.span(t.depth)
		i += span
		chosen := room[:0]
		for j := range seg.buckets {
			b := &seg.buckets[j]
			for slot, tag := range b.tags {
				if tag == 0 {
					continue
				}
				if rnd()%uint64(left) < uint64(n) {
					chosen = append(chosen, spot{seg, uint32(j), uint32(slot), b.refs[slot]})
					n--
				}
				left--
			}
		}
		o.removeSpots(chosen, fn)
	}
}

// removeSpots takes elements out by their places.
func (o *tableObject) removeSpots(list []spot, fn func(field []byte)) {
	p := o.home
	for _, at := range list {
		p.slab.touch(at.ref)
	}
	for _, at := range list {
		if len(p.space.store.cuts) > 0 {
			b := &at.seg.buckets[at.bucket]
			home := (at.bucket - b.shiftOf(at.slot)) & uint32(len(at.seg.buckets)-1)
			p.deliver(&o.fields, at.seg, home, p.space.store.epoch, o)
		}
		field, _ := p.pair(at.ref)
		fn(field)
		o.fields.remove(at)
		p.dropEntry(at.ref)
	}
}

// Take removes n members, every choice of them being equally likely, and gives each to fn, which must not write and in
// which alone it is valid. n is at most Len.
func (s *Set) Take(n int, rnd func() uint64, fn func(member []byte)) {
	s.check()
	if s.obj != nil {
		s.wrote()
		s.obj.take(n, rnd, fn)
		return
	}
	var scratch []byte
	for ; n > 0; n-- {
		scratch = append(scratch[:0], s.Random(rnd(), scratch)...)
		fn(scratch)
		s.Remove(scratch)
	}
}
