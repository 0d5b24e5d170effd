package store

import "encoding/binary"

// Deletions leave holes in pages, and segments that are nearly empty. Defrag moves the entries of the sparsest pages
// into the holes of others, so that whole pages go back, and joins segments; so what is resident stays near what is
// used. An entry is found again by the hash of its key; a field names its owner.

// fragShare is the part of a partition's touched bytes that may be holes; fragSlack more is let be.
const (
	fragShare = 16 // one in
	fragSlack = 128 << 10
)

// defragWalk is where Defrag stands in a partition.
type defragWalk struct {
	page    int32  // being emptied; 0 none
	slot    uint16 // next slot of it
	prefix  uint32 // next segment to look at
	deepest uint8  // segment since the walk's start
	idle    bool   // nothing to do until the partition changes
	at      int64  // slab.used when that was found
}

// Defrag does work for about n entries and reports whether it found any to do. Call it from time to time.
func (s *Store) Defrag(n int) (more bool) {
	for _, d := range s.dbs {
		sp := d.space
		for i, p := range sp.parts {
			if p == nil {
				continue
			}
			if p.empty() && sp.pins == 0 {
				p.slab.release(len(p.slab.pages))
				sp.parts[i] = nil
				continue
			}
			more = p.defrag(&n) || more
			if n <= 0 {
				return true
			}
		}
	}
	return more
}

// empty reports whether the partition holds nothing. A big value whose key was renamed into another partition may be
// at home in one that has no key any more, and have no slot while it has no elements, as a stream may.
func (p *part) empty() bool {
	return p.keys.count == 0 && p.slab.used == 0 && len(p.objs) == len(p.noObj)
}

func (p *part) defrag(n *int) (more bool) {
	w := &p.compact
	if w.idle && w.at == p.slab.used {
		return false
	}
	w.idle = false
	p.space.gen++
	joined := p.joinSegments(n)
	for *n > 0 {
		if w.page == 0 && !p.pickPage() {
			if !joined {
				w.idle, w.at = true, p.slab.used
			}
			return joined
		}
		*n -= p.emptyPage(*n)
	}
	return true
}

// pickPage chooses the sparsest page of the class with most free bytes, when holes are worth the work.
func (p *part) pickPage() bool {
	s := &p.slab
	if holes := s.touched - s.used; holes < p.space.store.fragSlack || holes < s.touched/fragShare {
		return false
	}
	var free [256]int64
	var sparsest [256]int32
	for no := range s.info {
		pi := &s.info[no]
		if s.pages[no] == nil || !pi.listed {
			continue
		}
		free[pi.class] += int64(pi.bump-pi.used) * int64(classSize[pi.class])
		if pi.used == 0 {
			continue // the one that its class keeps: nothing is to be moved
		}
		if best := sparsest[pi.class]; best == 0 || pi.used < s.info[best].used {
			sparsest[pi.class] = int32(no)
		}
	}
	best := 0
	for c := range free {
		if no := sparsest[c]; no == 0 || free[c]-int64(s.info[no].bump-s.info[no].used)*int64(classSize[c]) < int64(s.info[no].used)*int64(classSize[c]) {
			continue // the others' holes do not take its entries
		}
		if free[c] > free[best] || sparsest[best] == 0 {
			best = c
		}
	}
	no := sparsest[best]
	if no == 0 || free[best] < PageSize/2 {
		return false
	}
	s.unlist(no)
	s.info[no].leaving = true
	p.compact.page, p.compact.slot = no, 0
	return true
}

// emptyPage moves entries off the chosen page and returns the work done.
func (p *part) emptyPage(n int) (work int) {
	s, w := &p.slab, &p.compact
	no, size := w.page, classSize[s.info[w.page].class]
	for ; work < n && s.info[no].leaving && w.slot < s.info[no].bump; w.slot++ {
		work++
		b := s.pages[no][uint32(w.slot)*size:][:size]
		if head := binary.LittleEndian.Uint32(b); head != 0 {
			p.relocate(uint32(no)<<pageBits|uint32(w.slot)*size/unit, b, head)
		}
	}
	if !s.info[no].leaving || w.slot >= s.info[no].bump {
		s.stay(no)
		w.page = 0
	}
	return max(work, 1)
}

// relocate moves one entry to another page of its class.
func (p *part) relocate(ref uint32, b []byte, head uint32) {
	if head&typeMask != typeField {
		p.moveSlot(&p.keys, ref, b)
		return
	}
	o := p.objs[head>>8]
	if base := o.base(); !base.gone || base.pins > 0 { // else it is being freed
		o.relocate(ref, b)
	}
}

// moveSlot moves a table's entry.
func (p *part) moveSlot(t *table, ref uint32, b []byte) {
	h, _ := p.rehash(ref)
	at := t.findRef(p, h, ref)
	to := p.slab.alloc(len(b))
	copy(p.slab.at(to)[:len(b)], b)
	at.replace(to)
	p.slab.free(ref)
}

// joinSegments looks at some segments of a table that is less than 3/16 full, when there must be neighbours to join.
// Cuts under way forbid it: the two may have been delivered to different extents.
func (p *part) joinSegments(n *int) (joined bool) {
	t, w := &p.keys, &p.compact
	sparse := int64(t.count)*bucketBytes/bucketSlots < t.bytes*3/16
	if len(t.dir) < 2 || len(p.space.store.cuts) > 0 || !sparse {
		return false
	}
	for *n > 0 {
		seg := t.at(w.prefix)
		*n--
		if seg.depth > 0 && p.join(seg) {
			*n -= seg.count
			joined = true
		}
		w.deepest = max(w.deepest, seg.depth)
		w.prefix = uint32(seg.after())
		if w.prefix == 0 {
			if w.deepest < t.depth {
				t.halve(p)
				joined = true
			}
			w.deepest = 0
			return joined
		}
	}
	return true
}

// join takes the other half of a segment's parent prefix into it, when both together fill less than 3/8.
func (p *part) join(seg *segment) bool {
	t := &p.keys
	bit := uint32(1) << (32 - seg.depth)
	other := t.at(seg.prefix ^ bit)
	if other.depth != seg.depth || seg.count+other.count > segBuckets*bucketSlots*3/8 {
		return false
	}
	var room [segBuckets * bucketSlots]hashed
	moved := other.drain(p, room[:0])
	for _, s := range []*segment{seg, other} {
		if s.seenAt != nil {
			s.seenAt = nil
			t.charge(p, -seenBytes)
		}
	}
	seg.seen = p.space.store.epoch
	seg.due, seg.holdOff = min(seg.due, other.due), min(seg.holdOff, other.holdOff)
	seg.prefix &^= bit
	seg.depth--
	from, n := seg.span(t.depth)
	for i := from; i < from+n; i++ {
		t.dir[i] = seg
	}
	t.charge(p, -(segBytes + int64(len(other.buckets))*bucketBytes))
	t.count -= len(moved)
	for _, m := range moved {
		at := t.insert(p, m.h, m.ref)
		if m.exp {
			at.seg.vol++
		}
	}
	return true
}

// halve drops the directory's last bit, which no segment needs.
func (t *table) halve(p *part) {
	dir := make([]*segment, len(t.dir)/2)
	for i := range dir {
		dir[i] = t.dir[2*i]
	}
	t.charge(p, -int64(len(dir))*8)
	t.dir, t.depth = dir, t.depth-1
}
