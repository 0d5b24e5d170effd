package store

// StreamReading gives the entries of a range of a stream as it was at one instant, while writes go on. See Reading of a
// sorted set for the locks that it needs.
type StreamReading struct {
	o       *streamObject
	space   *space
	v       streamVersion
	lo, hi  StreamID
	reverse bool
	done    bool
}

// Reading begins to read the entries with IDs from lo to hi, perhaps backwards. End must follow.
func (s *Stream) Reading(lo, hi StreamID, reverse bool) *StreamReading {
	s.check()
	o := s.o
	r := &StreamReading{o: o, space: o.home.space, v: o.streamVersion, lo: lo, hi: hi, reverse: reverse}
	r.v.groups = nil // nothing reads them
	o.holdRoot(r.v.dir)
	o.tail = 0
	o.pins++
	r.space.pins++
	return r
}

// Step gives about n entries to fn, until it returns false, and reports whether there are no more.
func (r *StreamReading) Step(n int, fn func(id StreamID, entry *StreamRange) bool) (done bool) {
	if r.done {
		return true
	}
	it := rangeOf(&r.o.mem, &r.v.dir, r.lo, r.hi, r.reverse)
	for ; n > 0; n-- {
		id, ok := it.Next()
		if !ok || !fn(id, &it) {
			r.done = true
			return true
		}
		if r.reverse {
			r.hi, ok = id.Prev()
		} else {
			r.lo, ok = id.Next()
		}
		if !ok {
			r.done = true
			return true
		}
	}
	return false
}

// End gives up what the reading holds.
func (r *StreamReading) End() {
	o := r.o
	o.dropVersion(&r.v)
	o.sweepLater()
	r.space.unpin()
	r.space.store.unpinned(o)
}

// PendingReading gives a group's pending entries as they were at one instant, while writes go on. See StreamReading.
type PendingReading struct {
	held *StreamReading
	g    *streamGroup
	no   uint32
	from StreamID
	done bool
}

// Reading begins to read pending entries from an ID on, of a consumer, or of all with 0. End must follow.
func (g *StreamGroup) Reading(from StreamID, no uint32) *PendingReading {
	held := g.s.Reading(StreamID{}, MaxStreamID, false)
	held.v.groups = held.o.groups
	held.v.groups.refs++
	return &PendingReading{held: held, g: g.get(), no: no, from: from}
}

// Step gives about n entries with their consumers' names to fn, until it returns false, and reports whether there are no more.
func (r *PendingReading) Step(n int, fn func(id StreamID, p Pending, consumer string) bool) (done bool) {
	t, mem := &r.g.pending, &r.held.o.mem
	if r.no != 0 {
		t = &r.g.consumers.byNo[r.no].pending
	}
	for c := mem.from(t, r.from); !r.done && n > 0; n-- {
		if !c.valid() {
			r.done = true
			break
		}
		id, v := c.id(), c.val()
		if r.no != 0 {
			v = mem.find(&r.g.pending, id)
		}
		p := pendingOf(v)
		next, more := id.Next()
		r.from, r.done = next, !fn(id, p, r.g.consumers.byNo[p.Consumer].name) || !more
		c.next()
	}
	return r.done
}

// End gives up what the reading holds. It needs the exclusive lock.
func (r *PendingReading) End() { r.held.End() }
