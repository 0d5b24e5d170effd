package store

import "sync/atomic"

// A cut is the image of all databases at the instant of BeginCut, delivered while writes go on. It copies nothing at
// its start. Two things deliver the entries of a home (table.go: the entries whose hash gives them the same home
// bucket): the cut's own walk, and a write to that home which comes before the walk, which delivers first and then
// changes it.
//
// Every home remembers the epoch up to which cuts have got it (seen); a cut's number is the epoch at its start.
//
//   - Invariant 1: a home with seen < e was not changed since cut e began. So it is delivered at most once to every
//     cut, and what is delivered is the image at the cut's instant.
//   - A delivery serves every cut under way with a number in (seen, upto], so several cuts need no copies of their own.
//   - Splits and doublings hand seen down; new tables start with the present epoch; the walk's place is a directory
//     prefix, which no split moves. Segments do not merge while a cut is under way.
//   - Invariant 2: a keyspace is in a cut if it was visible when the cut began (born < e and not detached before).
//     FLUSHALL and SWAPDB move keyspaces, whose pins keep them for the walk.
//   - Invariant 3: a big value is pinned when its key's home is delivered, hence before its first change. From then on
//     the homes of a table (tables.go) follow the same rules towards every cut that pinned it; other objects keep what
//     the cut pinned in their own way. Elements may come in pieces, their number is known at once. A deleted value is
//     freed when the last pin goes.
//   - A big value that is little is not pinned but delivered at once, as small ones are: a pin takes more memory than it
//     saves. What pins hold is counted, and above pinnedMost writes walk on through what waits before they pin more.

// Visitor receives a cut's image, in no particular order, under the exclusive lock, while the store may be in the
// middle of a write: it must only read what it is given, before it returns, and never fail towards the store. Big
// strings need not be copied: Entry.Blob pins them.
type Visitor interface {
	// Entry gives a key with its whole value, which may be a big one that is little (Entry.Big). db is the database's number
	// at the cut's instant.
	Entry(db int, e Entry)
	// BigPinned announces a big value of n elements, of the kind that key.Kind() tells; it follows as BigField or
	// BigChunk calls. Of tables (hashes, sets, sorted sets) some fields may come before BigOpen; chunks do not.
	BigPinned(id uint64, db int, key Entry, n int)
	// BigOpen says that the walk turns to this value: one at a time, until BigClose.
	BigOpen(id uint64)
	// BigField gives an element of a table: its name is f.Key(), its value f.Bytes(nil) or f.Blob().
	BigField(id uint64, f Entry)
	// BigChunk gives the next piece of an ordered value, in the layout of its kind.
	BigChunk(id uint64, c Chunk)
	// StreamPart gives the next piece of a stream.
	StreamPart(id uint64, p *StreamPart)
	BigClose(id uint64)
}

// Chunk is a piece of an ordered value. When it has a blob, that holds the data and may be retained instead of copying.
type Chunk struct {
	Data     []byte
	Blob     *Blob
	Elements int
}

// Cut is a cut under way. Its methods need the exclusive lock.
type Cut struct {
	store   *Store
	epoch   uint32
	visitor Visitor
	spaces  []cutSpace
	keys    int

	space, part int // where the walk stands
	at          tableWalk
	pinned      map[*objectBase]*pinnedObject
	waiting     []*pinnedObject
	open        *pinnedObject
	ids         uint64
	narrow      narrowness
	ended       bool
	touched     uint32 // without meaning: keeps the loads of touch from being optimized away
}

type cutSpace struct {
	*space
	db int
}

type pinnedObject struct {
	id   uint64
	obj  object
	walk objectWalk
	told int // bytes of elements that came before its turn, up to some
}

// tableWalk is a place in a table: a prefix, and a home of its segment as long as the segment keeps its shape.
type tableWalk struct {
	prefix uint64
	home   uint32
	depth  uint8
	size   int
}

type seenArray = [segBuckets]uint32

const seenBytes = 4 * segBuckets

// BeginCut starts a cut of the present contents.
func (s *Store) BeginCut(v Visitor) *Cut {
	s.epoch++
	c := &Cut{store: s, epoch: s.epoch, visitor: v, pinned: map[*objectBase]*pinnedObject{}}
	for i, d := range s.dbs {
		d.space.pins++
		c.spaces = append(c.spaces, cutSpace{d.space, i})
		c.keys += d.Len()
	}
	s.cuts = append(s.cuts, c)
	return c
}

// Cuts is the number of cuts under way, whole ones and narrow ones.
func (s *Store) Cuts() int { return len(s.cuts) }

// Keys is the number of keys in the image.
func (c *Cut) Keys() int { return c.keys }

// Step delivers about n entries or fields, and reports whether the image is complete. A home is delivered whole, so
// one step may exceed n by some forty.
func (c *Cut) Step(n int) (done bool) {
	if c.narrow != 0 {
		return c.stepNarrow(n)
	}
	for n > 0 {
		switch {
		case c.ended:
			return true
		case c.turn():
			n -= c.stepObject(n)
		case c.space == len(c.spaces):
			return true
		default:
			n -= c.stepKeys(n)
		}
	}
	return false
}

// stepKeys walks on through the keyspaces, at most until a big value waits, and returns the work done.
func (c *Cut) stepKeys(n int) (work int) {
	sp := c.spaces[c.space]
	if c.part == len(sp.parts) {
		sp.unpin()
		c.space, c.part = c.space+1, 0
		return 1
	}
	p := sp.parts[c.part]
	if p == nil || p.keys.dir == nil {
		c.part++
		return 1
	}
	for work < n && len(c.waiting) == 0 {
		seg, home, ok := c.at.next(&p.keys, p)
		if !ok {
			c.part, c.at = c.part+1, tableWalk{}
			break
		}
		work += 1 + p.deliver(&p.keys, seg, home, c.epoch, nil)
	}
	return work
}

// turn opens the next big value unless one is open, and reports whether one is.
func (c *Cut) turn() bool {
	if c.open == nil && len(c.waiting) > 0 {
		c.open = c.waiting[0]
		c.waiting = c.waiting[1:]
		c.visitor.BigOpen(c.open.id)
	}
	return c.open != nil
}

func (c *Cut) stepObject(n int) (work int) {
	work, done := c.open.walk.step(n)
	if done {
		c.visitor.BigClose(c.open.id)
		c.unpin(c.open)
		c.open = nil
	}
	return max(work, 1)
}

// next steps to the next home. A segment that changed its shape since is walked again from its start; what was
// delivered is passed over.
func (w *tableWalk) next(t *table, p *part) (seg *segment, home uint32, ok bool) {
	if t.dir == nil || w.prefix == 1<<maxDepth {
		return nil, 0, false
	}
	seg = t.at(uint32(w.prefix))
	if seg.depth != w.depth || len(seg.buckets) != w.size {
		w.home, w.depth, w.size = 0, seg.depth, len(seg.buckets)
	}
	if int(w.home) == len(seg.buckets) {
		seg.settle(t, p)
		w.prefix, w.home = seg.after(), 0
		return w.next(t, p)
	}
	w.home++
	return seg, w.home - 1, true
}

// End gives up what the cut holds. It may come at any time and more than once.
func (c *Cut) End() {
	if c.ended {
		return
	}
	c.ended = true
	for _, h := range c.pinned {
		c.unpin(h)
	}
	for ; c.space < len(c.spaces); c.space++ {
		c.spaces[c.space].unpin()
	}
	kept := c.store.cuts[:0]
	for _, other := range c.store.cuts {
		if other != c {
			kept = append(kept, other)
		}
	}
	clear(c.store.cuts[len(kept):])
	c.store.cuts = kept
}

func (sp *space) unpin() { sp.pins-- }

func (c *Cut) unpin(h *pinnedObject) {
	delete(c.pinned, h.obj.base())
	h.walk.end()
	if c.narrow == 0 {
		c.store.kept -= pinBytes
	}
	c.store.unpinned(h.obj)
}

// unpinned is called when a cut, or a reading, is done with an object.
func (s *Store) unpinned(o object) {
	b := o.base()
	if b.pins--; b.pins > 0 {
		return
	}
	s.kept -= b.kept
	b.kept = 0
	if b.gone {
		s.discard(o)
	}
}

const (
	// littleBytes and littleCount are the size of a big value up to which it is delivered at once: about what a small one of the
	// greatest size takes, so that a write waits no longer for the one than for the other.
	littleBytes, littleCount = 8 << 10, 128
	// pinBytes is what a pin takes, about, here and at its visitor.
	pinBytes = 1 << 10
	// pinnedMost is what pins, and what is kept because of them, may take before writes do something about it: in one write
	// so much as pinnedWork fields would be.
	pinnedMost, pinnedWork = 4 << 20, 512
)

// keeps counts bytes that are there because something has the object pinned: what a write copied instead of changing it in
// its place, or took out.
func (o *objectBase) keeps(bytes int) {
	if o.pins > 0 {
		o.kept += int64(bytes)
		o.home.space.store.kept += int64(bytes)
	}
}

// beforeWrite delivers the home of a key that is about to change.
func (p *part) beforeWrite(h uint64) {
	s := p.space.store
	if len(s.cuts) == 0 {
		return
	}
	if p.keys.dir != nil {
		seg := p.keys.segmentFor(p, h)
		p.deliver(&p.keys, seg, seg.home(h), s.epoch, nil)
	}
	if s.kept > s.pinned {
		s.unload()
	}
}

// unload walks on through the big values that cuts have pinned, as far as one write may be asked to.
func (s *Store) unload() {
	for _, c := range s.cuts {
		for n := pinnedWork; n > 0 && s.kept > s.pinned && c.narrow == 0 && c.turn(); {
			n -= c.stepObject(n)
		}
	}
}

// deliver gives a home of a table (the keys', or owner's fields) to every cut numbered in (seen, upto] and returns the
// number of entries in it when there was such a cut.
func (p *part) deliver(t *table, seg *segment, home uint32, upto uint32, owner *tableObject) (n int) {
	seen := max(seg.seenBy(home), p.space.born)
	if owner != nil {
		seen = max(seen, owner.born)
	}
	if seen >= upto {
		return 0
	}
	var buf [(maxShift + 1) * bucketSlots]uint32
	refs := seg.refsOf(buf[:0], home)
	for _, c := range p.space.store.cuts {
		if seen < c.epoch && c.epoch <= upto {
			for _, ref := range refs { // so that they come from memory together, not one after the other
				c.touched += p.slab.touchWhole(ref)
			}
			c.take(p, seg, refs, owner)
			n = len(refs)
		}
	}
	seg.mark(t, p, home, upto)
	return n
}

func (c *Cut) take(p *part, seg *segment, refs []uint32, owner *tableObject) {
	if len(refs) == 0 || c.narrow != 0 && !c.awaits(p, seg, owner) {
		return
	}
	if owner != nil {
		h := c.pinned[owner.base()]
		if h == nil {
			panic("store: a big value changed before its cut pinned it (invariant 3)")
		}
		for _, ref := range refs {
			c.visitor.BigField(h.id, p.entry(ref))
			if h != c.open {
				h.early(p.slab.size(ref))
			}
		}
		return
	}
	db := c.dbOf(p.space)
	for _, ref := range refs {
		if b := p.slab.at(ref); c.narrow == 0 && isObject(uint8(atomic.LoadUint32(header(b)))) {
			s := shapeOf(b)
			c.takeBig(db, p.entry(ref), p.space.object(b[s.val:]))
		} else {
			c.visitor.Entry(db, p.entry(ref))
		}
	}
}

func (c *Cut) dbOf(sp *space) int {
	for _, s := range c.spaces {
		if s.space == sp {
			return s.db
		}
	}
	panic("store: a keyspace that a cut does not hold was delivered to it (invariant 2)")
}

// takeBig gives the visitor a big value, or pins it for the walk. Towards what has pinned it already it must stay a table
// whose homes are delivered one by one, so only one without pins is given at once: all cuts that are to get it have it then.
func (c *Cut) takeBig(db int, key Entry, o object) {
	if o.base().pins > 0 || !o.within(c.store.little) {
		c.pin(db, key, o)
		return
	}
	c.visitor.Entry(db, key)
	switch t := o.(type) {
	case *tableObject:
		t.born = max(t.born, c.epoch)
	case *zsetObject:
		t.born = max(t.born, c.epoch)
	}
}

// early counts what a visitor has of a value whose turn has not come.
func (h *pinnedObject) early(bytes int) {
	const most = 8 << 10 // beyond it the visitor has it in pieces, which count elsewhere
	if base := h.obj.base(); h.told < most {
		h.told += bytes
		base.keeps(bytes)
	}
}

func (c *Cut) pin(db int, key Entry, o object) {
	c.ids++
	h := &pinnedObject{id: c.ids, obj: o}
	o.base().pins++
	if c.narrow == 0 {
		c.store.kept += pinBytes
	}
	h.walk = o.pin(c, h.id)
	c.pinned[o.base()] = h
	c.waiting = append(c.waiting, h)
	c.visitor.BigPinned(h.id, db, key, o.size())
}

func (s *segment) seenBy(home uint32) uint32 {
	if s.seenAt != nil {
		return s.seenAt[home]
	}
	return s.seen
}

// mark records that cuts up to an epoch have got a home.
func (s *segment) mark(t *table, p *part, home, upto uint32) {
	if s.seenAt == nil {
		s.seenAt = p.space.store.newSeen()
		for i := range s.seenAt {
			s.seenAt[i] = s.seen
		}
		t.charge(p, seenBytes)
	}
	s.seenAt[home] = upto
}

// settle replaces the homes' marks of a segment by one for all, the lowest: a walk has just passed them.
func (s *segment) settle(t *table, p *part) {
	if s.seenAt == nil {
		return
	}
	first := s.seenAt[0]
	for _, e := range s.seenAt[:len(s.buckets)] {
		if e != first {
			return
		}
	}
	s.seen = first
	p.space.store.seenPool = append(p.space.store.seenPool, s.seenAt)
	s.seenAt = nil
	t.charge(p, -seenBytes)
}

// spreadSeen hands the marks of n buckets down to the twice as many that they became.
func (s *segment) spreadSeen(n int) {
	if s.seenAt == nil {
		return
	}
	for i := n - 1; i >= 0; i-- {
		s.seenAt[2*i], s.seenAt[2*i+1] = s.seenAt[i], s.seenAt[i]
	}
}

// newSeen takes an array that an earlier segment is done with, or makes one.
func (s *Store) newSeen() *seenArray {
	if k := len(s.seenPool); k > 0 {
		a := s.seenPool[k-1]
		s.seenPool = s.seenPool[:k-1]
		return a
	}
	return new(seenArray)
}
