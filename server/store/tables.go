package store

// tableObject is a big hash, set or sorted set: a table whose entries are its elements, with the field, the member as
// key. The value of a set's member is empty.
type tableObject struct {
	objectBase
	typ    uint8  // of the entry that names it
	born   uint32 // the epoch in which a key got it, if it was made without one: older cuts have no interest in it
	fields table
}

// newTable makes an empty table for an entry of the given type.
func (p *part) newTable(typ uint8) *tableObject {
	o := &tableObject{typ: typ}
	p.adopt(o)
	return o
}

func (o *tableObject) entryType() uint8 { return o.typ }

func (o *tableObject) size() int { return o.fields.count }

// free implements object. It frees whole segments; the table is not usable afterwards.
func (o *tableObject) free(n int) (left int, more bool) {
	t := &o.fields
	for len(t.dir) > 0 && n > 0 {
		seg := t.dir[len(t.dir)-1]
		for i := range seg.buckets {
			b := &seg.buckets[i]
			for j, tag := range b.tags {
				if tag != 0 {
					o.home.dropEntry(b.refs[j])
				}
			}
		}
		n -= seg.count
		t.count -= seg.count
		t.charge(o.home, -(segBytes + int64(len(seg.buckets))*bucketBytes))
		if seg.seenAt != nil {
			t.charge(o.home, -seenBytes)
		}
		from, _ := seg.span(t.depth)
		clear(t.dir[from:])
		t.dir = t.dir[:from]
	}
	if t.count > 0 {
		return n, true
	}
	t.charge(o.home, -t.bytes)
	o.fields = table{}
	return n, false
}

func (o *tableObject) find(field []byte) (h uint64, at spot, ok bool) {
	h = o.home.space.store.hash.sum(field)
	at, ok = o.fields.find(o.home, h, field)
	return h, at, ok
}

// get returns an element's value, which points into the store.
func (o *tableObject) get(field []byte) ([]byte, bool) {
	_, at, ok := o.find(field)
	if !ok {
		return nil, false
	}
	_, v := o.home.pair(at.ref)
	return v, true
}

// set stores an element and reports whether it is new.
func (o *tableObject) set(field, value []byte) (created bool) {
	h := o.home.space.store.hash.sum(field)
	o.beforeWrite(h)
	at, ok := o.fields.find(o.home, h, field)
	copy(o.home.put(&o.fields, h, at, ok, field, form{typ: typeField, vlen: len(value), clock: o.id}), value)
	return !ok
}

// removeAt takes out the element that find found.
func (o *tableObject) removeAt(h uint64, at spot) {
	o.beforeWrite(h)
	o.fields.remove(at)
	o.home.dropEntry(at.ref)
}

// each calls fn for every element until it returns false.
func (o *tableObject) each(fn func(field, value []byte) bool) {
	o.fields.each(func(ref uint32) bool { return fn(o.home.pair(ref)) })
}

// scan is Store.Scan over the elements.
func (o *tableObject) scan(cursor uint64, count int, fn func(field, value []byte)) uint64 {
	next, _ := o.fields.scan(cursor&scanMask, count, func(ref uint32) { fn(o.home.pair(ref)) })
	return next
}

func (o *tableObject) copyTo(p *part) object {
	twin := p.newTable(o.typ)
	o.each(func(f, v []byte) bool {
		twin.set(f, v)
		return true
	})
	return twin
}

// pair returns the key and the value of an entry with bytes for a value.
func (p *part) pair(ref uint32) (key, value []byte) {
	b := p.slab.at(ref)
	s := shapeOf(b)
	return p.keyBytes(b, s), p.valueBytes(b, s)
}

// within implements object.
func (o *tableObject) within(n int) bool {
	if o.fields.count > littleCount {
		return false
	}
	o.fields.each(func(ref uint32) bool {
		n -= o.home.slab.size(ref)
		if shapeOf(o.home.slab.at(ref)).meta&(flagKeyBlob|flagValBlob) != 0 {
			n = -1
		}
		return n >= 0
	})
	return n >= 0
}

// memoryUsage extrapolates from the first elements.
func (o *tableObject) memoryUsage() int64 {
	n, sum := 0, int64(0)
	o.fields.each(func(ref uint32) bool {
		sum += int64(o.home.slab.size(ref))
		n++
		return n < 64
	})
	return o.fields.bytes + sum*int64(o.fields.count)/int64(max(n, 1))
}

func (o *tableObject) relocate(ref uint32, b []byte) { o.home.moveSlot(&o.fields, ref, b) }

// tablePin is a cut's walk through a table: the homes of its elements follow the same rules as those of keys, see
// cut.go.
type tablePin struct {
	cut *Cut
	id  uint64
	obj *tableObject
	at  tableWalk
}

func (o *tableObject) pin(c *Cut, id uint64) objectWalk {
	if c.narrow != 0 {
		return &narrowPin{cut: c, id: id, obj: o}
	}
	return &tablePin{cut: c, id: id, obj: o}
}

func (w *tablePin) step(n int) (work int, done bool) {
	o := w.obj
	for work < n {
		seg, home, ok := w.at.next(&o.fields, o.home)
		if !ok {
			return work + 1, true
		}
		work += 1 + o.home.deliver(&o.fields, seg, home, w.cut.epoch, o)
	}
	return work, false
}

func (w *tablePin) end() {}

// beforeWrite delivers the home of an element that is about to change.
func (o *tableObject) beforeWrite(h uint64) {
	if p := o.home; len(p.space.store.cuts) > 0 && o.fields.dir != nil {
		seg := o.fields.segmentFor(p, h)
		p.deliver(&o.fields, seg, seg.home(h), p.space.store.epoch, o)
	}
}
