package store

// SCAN walks a table in the order of (home, directory prefix). A cursor is a point in that order. An element's point
// depends on its hash alone, and a step returns all elements of the points that it passes: whatever splits or grows
// between two steps, an element that is there throughout stands either before the cursor, and was returned, or behind
// it, and will be. (Elements may come twice: a point inside a bucket that has not split yet returns the whole bucket.)
//
//	cursor: | partition | home (6) | prefix (32) |
const (
	scanBits = homeBits + maxDepth
	scanMask = 1<<scanBits - 1
)

// scan visits buckets from a point until count refs were given to fn, and returns the next point, 0 at the end, and
// the number of refs given. It passes at most ten buckets per ref asked for.
func (t *table) scan(point uint64, count int, fn func(ref uint32)) (next uint64, given int) {
	if t.count == 0 {
		return 0, 0
	}
	var buf [(maxShift + 1) * bucketSlots]uint32
	home, prefix := uint32(point>>maxDepth), uint32(point)
	for buckets := 10 * max(count, 1); buckets > 0; buckets-- {
		seg := t.at(prefix)
		b := home >> seg.coarse
		refs := seg.refsOf(buf[:0], b)
		for _, ref := range refs {
			fn(ref)
		}
		given += len(refs)
		if after := seg.after(); after < 1<<maxDepth {
			prefix = uint32(after)
		} else {
			home, prefix = (b+1)<<seg.coarse, 0
			if home == segBuckets {
				return 0, given
			}
		}
		if given >= count {
			break
		}
	}
	return uint64(home)<<maxDepth | uint64(prefix), given
}

// each calls fn for every ref until it returns false.
func (t *table) each(fn func(ref uint32) bool) {
	for prefix := uint64(0); prefix < 1<<maxDepth && t.dir != nil; {
		seg := t.at(uint32(prefix))
		for i := range seg.buckets {
			b := &seg.buckets[i]
			for j, tag := range b.tags {
				if tag != 0 && !fn(b.refs[j]) {
					return
				}
			}
		}
		prefix = seg.after()
	}
}

// random returns a ref with equal chances for all. The table must not be empty.
func (t *table) random(rnd uint64) uint32 {
	for range 1000 {
		r := splitmix(&rnd)
		i := r >> 32 & uint64(len(t.dir)-1)
		seg := t.dir[i]
		if from, _ := seg.span(t.depth); from != i {
			continue // a shallow segment stands in several places: count it once
		}
		r = uint64(uint32(r)) * uint64(len(seg.buckets)*bucketSlots) >> 32
		b := &seg.buckets[r/bucketSlots]
		if b.tags[r%bucketSlots] != 0 {
			return b.refs[r%bucketSlots]
		}
	}
	return t.firstFrom(uint32(splitmix(&rnd))) // nearly empty after deletions
}

// firstFrom returns the first ref at or behind a prefix, going round.
func (t *table) firstFrom(prefix uint32) uint32 {
	for {
		seg := t.at(prefix)
		for i := range seg.buckets {
			for j, tag := range seg.buckets[i].tags {
				if tag != 0 {
					return seg.buckets[i].refs[j]
				}
			}
		}
		prefix = uint32(seg.after())
	}
}

// Scan is SCAN: it gives about count entries from a cursor to fn, expired ones too, and returns the next cursor, 0 at
// the end. fn must not write.
func (d *DB) Scan(cursor uint64, count int, fn func(key []byte, e Entry)) uint64 {
	index, point := cursor>>scanBits, cursor&scanMask
	for count = max(count, 1); index < uint64(len(d.space.parts)); index, point = index+1, 0 {
		p := d.space.parts[index]
		if p == nil {
			continue
		}
		next, given := p.keys.scan(point, count, func(ref uint32) {
			e := p.entry(ref)
			fn(e.Key(), e)
		})
		if next != 0 {
			return index<<scanBits | next
		}
		if count -= given; count <= 0 && index+1 < uint64(len(d.space.parts)) {
			return (index + 1) << scanBits
		}
	}
	return 0
}

// EachKey calls fn for every entry, expired ones too, until it returns false. fn must not write.
func (d *DB) EachKey(fn func(key []byte, e Entry) bool) {
	for _, p := range d.space.parts {
		if p == nil {
			continue
		}
		more := true
		p.keys.each(func(ref uint32) bool {
			e := p.entry(ref)
			more = fn(e.Key(), e)
			return more
		})
		if !more {
			return
		}
	}
}

// RandomKey returns a key that has not expired, chosen by rnd with equal chances; ok is false for an empty DB. When
// every try meets an expired key it returns one of them, as Redis does on a replica.
func (d *DB) RandomKey(rnd uint64, now int64) (e Entry, ok bool) {
	n := d.Len()
	if n == 0 {
		return Entry{}, false
	}
	for range 100 {
		i := int(splitmix(&rnd) % uint64(n))
		for _, p := range d.space.parts {
			if p == nil {
				continue
			}
			if i >= p.keys.count {
				i -= p.keys.count
				continue
			}
			e = p.entry(p.keys.random(splitmix(&rnd)))
			break
		}
		if !e.Expired(now) {
			return e, true
		}
		e.MetExpired()
	}
	return e, true
}
