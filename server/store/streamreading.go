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
	if o.pins--; o.pins == 0 && o.gone {
		r.space.store.discard(o)
	}
}
