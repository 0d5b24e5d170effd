package store

// Draws of many elements of a big value: each waits for memory twice, so those of a group wait together.

// drawGroup is the number of places that are looked at together; some of them are free.
const drawGroup = 2 * WarmGroup

// randomRefs appends some refs, each with equal chances for all and independent of the others. The table must not be empty.
func (t *table) randomRefs(p *part, dst []uint32, rnd uint64) []uint32 {
	var tags [drawGroup]uint8
	var refs [drawGroup]uint32
	n := 0
	for range drawGroup { // as in random; nothing here depends on what is loaded
		r := splitmix(&rnd)
		i := r >> 32 & uint64(len(t.dir)-1)
		seg := t.dir[i]
		if from, _ := seg.span(t.depth); from != i {
			continue
		}
		r = uint64(uint32(r)) * uint64(len(seg.buckets)*bucketSlots) >> 32
		b := &seg.buckets[r/bucketSlots]
		tags[n], refs[n] = b.tags[r%bucketSlots], b.refs[r%bucketSlots]
		n++
	}
	start := len(dst)
	for i := range n {
		if tags[i] != 0 {
			dst = append(dst, refs[i])
		}
	}
	if len(dst) == start {
		dst = append(dst, t.random(rnd))
	}
	for _, ref := range dst[start:] {
		p.slab.touch(ref)
	}
	return dst
}

// draw gives n random elements to fn, different ones unless they may be alike, until it answers false. Different ones must
// be few among all.
func (o *tableObject) draw(n int, rnd func() uint64, alike bool, fn func(ref uint32) bool) {
	var room [drawGroup]uint32
	var seen refSet
	if !alike {
		seen.begin(n)
	}
	for n > 0 {
		for _, ref := range o.fields.randomRefs(o.home, room[:0], rnd()) {
			if !alike && !seen.add(ref) {
				continue
			}
			if n--; !fn(ref) || n == 0 {
				return
			}
		}
	}
}

// refSet is a set of refs, a table with open addressing.
type refSet struct{ slots []uint32 }

// begin readies it for n refs.
func (s *refSet) begin(n int) {
	size := 16
	for size < 2*n {
		size *= 2
	}
	s.slots = make([]uint32, size)
}

// add reports whether a ref is new.
func (s *refSet) add(ref uint32) bool {
	for at := ref * 0x9e3779b1 >> 7; ; at++ {
		switch slot := &s.slots[at&uint32(len(s.slots)-1)]; *slot {
		case 0:
			*slot = ref
			return true
		case ref:
			return false
		}
	}
}

// drawShare: different elements are drawn one by one only when there are so many times as many.
const drawShare = 3

// draws tells whether n elements of a value, big or none, can be drawn.
func (o *tableObject) draws(n int, alike bool) bool {
	return o != nil && o.fields.count > 0 && (alike || n <= o.fields.count/drawShare)
}

// Draw gives n random fields to fn, different ones unless they may be alike, until it answers false. It answers false itself,
// having done nothing, where that is no good way: in a small hash, or when different fields are many of all.
func (h *Hash) Draw(n int, rnd func() uint64, alike bool, fn func(field, value []byte) bool) bool {
	h.check()
	if !h.obj.draws(n, alike) {
		return false
	}
	h.obj.draw(n, rnd, alike, func(ref uint32) bool { return fn(h.obj.home.pair(ref)) })
	return true
}

// Draw is Hash.Draw for members.
func (s *Set) Draw(n int, rnd func() uint64, alike bool, fn func(member []byte) bool) bool {
	s.check()
	if !s.obj.draws(n, alike) {
		return false
	}
	s.obj.draw(n, rnd, alike, func(ref uint32) bool {
		m, _ := s.obj.home.pair(ref)
		return fn(m)
	})
	return true
}

// Draw is Hash.Draw for members with their scores.
func (z *ZSet) Draw(n int, rnd func() uint64, alike bool, fn func(member []byte, score float64) bool) bool {
	z.check()
	if z.obj == nil || !z.obj.draws(n, alike) {
		return false
	}
	z.obj.draw(n, rnd, alike, func(ref uint32) bool { return fn(z.obj.home.scored(ref)) })
	return true
}
