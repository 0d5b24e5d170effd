package store

// A narrow cut is the image of a part of the data, for reads that go on for long. Writes deliver to it what they are about
// to change, as they do to every cut, but its own walk changes nothing: it marks no home and delivers to no other cut, so
// that its steps need the shared lock only, and a read of all keys does not press the whole data set on a snapshot that is
// under way. Instead it passes whole segments, and tells by its place what it has got already.
//
//   - Invariant 4: a narrow cut has got a home when the home's seen has reached its number, or its walk has passed the
//     home's segment. The walk stands between segments, which splits only refine.
type narrowness uint8

const (
	keysOnly   narrowness = iota + 1 // of one database; big values are not pinned
	valuesOnly                       // of big values; no keys
)

// CutKeys starts a cut of a database's keys alone: the visitor gets Entry calls, for big values too, whose elements it
// must not look at. Unlike BeginCut it may be called under a shared lock, by one caller at a time: reads do not look at
// what it changes.
func (d *DB) CutKeys(v Visitor) *Cut {
	c := d.store.newNarrow(keysOnly, v)
	c.hold(d)
	c.keys = d.Len()
	return c
}

// CutValues starts a cut of the big values among some entries of a database: the visitor gets BigPinned for each at once,
// numbered from 1 in their order, small ones left out, then its elements. It may be called as CutKeys may.
func (d *DB) CutValues(v Visitor, entries ...Entry) *Cut {
	c := d.store.newNarrow(valuesOnly, v)
	c.hold(d)
	for _, e := range entries {
		b := e.p.slab.at(e.ref)
		if s := shapeOf(b); isObject(s.meta) {
			o := e.p.space.object(b[s.val:])
			if c.pinned[o.base()] == nil {
				c.pin(c.spaces[0].db, e, o)
			}
		}
	}
	return c
}

func (s *Store) newNarrow(n narrowness, v Visitor) *Cut {
	s.epoch++
	c := &Cut{store: s, epoch: s.epoch, visitor: v, pinned: map[*objectBase]*pinnedObject{}, narrow: n}
	s.cuts = append(s.cuts, c)
	return c
}

func (c *Cut) hold(d *DB) {
	d.space.pins++
	c.spaces = append(c.spaces, cutSpace{d.space, d.index})
}

// awaits tells whether a home that is being delivered, of the keys or of a big value, is for this cut and new to it.
func (c *Cut) awaits(p *part, seg *segment, owner *tableObject) bool {
	if owner != nil {
		h := c.pinned[owner.base()]
		return h != nil && seg.after() > h.walk.(*narrowPin).at.prefix
	}
	if c.narrow != keysOnly || p.space != c.spaces[0].space || int(p.index) < c.part {
		return false
	}
	return int(p.index) > c.part || seg.after() > c.at.prefix
}

// stepNarrow is Step. It needs the shared lock.
func (c *Cut) stepNarrow(n int) (done bool) {
	for n > 0 {
		switch {
		case c.ended:
			return true
		case c.narrow == keysOnly:
			if c.part == len(c.spaces[0].parts) {
				return true
			}
			n -= c.stepPart(n)
		case c.open != nil:
			work, last := c.open.walk.step(n)
			if n -= work; last {
				c.open = nil // stays pinned to the end
			}
		case len(c.waiting) > 0:
			c.open, c.waiting = c.waiting[0], c.waiting[1:]
		default:
			return true
		}
	}
	return false
}

// stepPart walks on through the keys of a partition.
func (c *Cut) stepPart(n int) (work int) {
	p := c.spaces[0].parts[c.part]
	if p == nil {
		c.part++
		return 1
	}
	work, done := c.stepTable(&c.at, &p.keys, p, n, func(ref uint32) { c.visitor.Entry(c.spaces[0].db, p.entry(ref)) })
	if done {
		c.part, c.at = c.part+1, tableWalk{}
	}
	return work
}

// stepTable gives the entries of whole segments to fn, about n.
func (c *Cut) stepTable(w *tableWalk, t *table, p *part, n int, fn func(ref uint32)) (work int, done bool) {
	var buf [(maxShift + 1) * bucketSlots]uint32
	for work < n {
		if t.dir == nil || w.prefix == 1<<maxDepth {
			return work + 1, true
		}
		seg := t.at(uint32(w.prefix))
		for home := range uint32(len(seg.buckets)) {
			work++
			if seg.seenBy(home) >= c.epoch {
				continue
			}
			refs := seg.refsOf(buf[:0], home)
			for _, ref := range refs { // so that they come from memory together, not one after the other
				c.touched += p.slab.touchWhole(ref)
			}
			for _, ref := range refs {
				fn(ref)
			}
			work += len(refs)
		}
		w.prefix = seg.after()
	}
	return work, false
}

// narrowPin is a narrow cut's walk through a table.
type narrowPin struct {
	cut *Cut
	id  uint64
	obj *tableObject
	at  tableWalk
}

func (w *narrowPin) step(n int) (work int, done bool) {
	p := w.obj.home
	return w.cut.stepTable(&w.at, &w.obj.fields, p, n, func(ref uint32) { w.cut.visitor.BigField(w.id, p.entry(ref)) })
}

func (w *narrowPin) end() {}

// Big tells whether the value is kept as an object of its own, however little it is.
func (e Entry) Big() bool { return isObject(shapeOf(e.p.slab.at(e.ref)).meta) }

// Size is the number of elements of a big value, 0 for others: what it costs to look at all of it. The number of a
// stream's entries is not told.
func (e Entry) Size() int {
	b := e.p.slab.at(e.ref)
	if s := shapeOf(b); isObject(s.meta) {
		return e.p.space.object(b[s.val:]).size()
	}
	return 0
}

// Each calls fn for the elements of a list's piece, until it returns false.
func (c Chunk) Each(fn func(Elem) bool) {
	if c.Blob != nil {
		fn(Elem{b: c.Data, blob: c.Blob})
		return
	}
	eachIn(c.Data, 0, false, fn)
}

// Changed tells whether the home of a key of the database has been written to since the cut of keys began: what it held
// was delivered then.
func (c *Cut) Changed(key []byte) bool {
	sp := c.spaces[0].space
	h := sp.store.hash.sum(key)
	p := sp.partFor(h)
	if p.keys.dir == nil {
		return true
	}
	seg := p.keys.segmentFor(p, h)
	return seg.seenBy(seg.home(h)) >= c.epoch
}
