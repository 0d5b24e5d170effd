package store

import "encoding/binary"

// An object is a value too big for an entry, whose slot holds its id instead. Its elements live in slots of the
// partition where it first became big; a rename may carry its key to another partition of the keyspace, the object
// stays at home.
//
// Every slot that an object takes begins with a header word of typeField whose upper 24 bits are the owner's id, so
// that Defrag finds the owner of what it moves.
type object interface {
	base() *objectBase
	// entryType is the type of the entry that names the object.
	entryType() uint8
	// size is the number of elements.
	size() int
	// free gives back about n slots and returns what is left of n, and whether more slots are left; when not, nothing is
	// charged for the object any more. After the first call the object is good for further calls only.
	free(n int) (left int, more bool)
	// copyTo makes an equal object at home in p, perhaps of another keyspace or database.
	copyTo(p *part) object
	// memoryUsage is the bytes that it holds; an estimate from some elements will do.
	memoryUsage() int64
	// within tells whether all of it takes n bytes at most, none of them in blobs. It looks at a small value's slots only.
	within(n int) bool
	// relocate moves an element out of the slot ref, of which b are the bytes, if it can, and frees that slot.
	relocate(ref uint32, b []byte)
	// pin is called when a cut meets the object's key: the walk gives the object as it is now, whatever is written to it
	// later. Until the walk ends base().pins counts it.
	pin(c *Cut, id uint64) objectWalk
}

// objectWalk delivers one object to one cut as BigField or BigChunk, between the cut's BigOpen and BigClose.
type objectWalk interface {
	// step delivers about n elements and reports the work done and whether they were the last.
	step(n int) (work int, done bool)
	// end gives up what the walk holds: behind its last step, or early.
	end()
}

// objectBase is what all objects have.
type objectBase struct {
	home *part
	id   uint32 // index in home.objs; elements name their owner by it
	pins int32  // cuts and readings that have yet to walk it
	kept int64  // bytes that are there because of them, about; see keeps
	gone bool   // no key refers to it any more: freed when pins is 0
	lazy bool   // gone, and counted as lazily freed
}

func (o *objectBase) base() *objectBase { return o }

const maxObjects = 1 << 24 // an element's header has 24 bits for its owner

func (o *objectBase) globalID() uint32 { return o.home.index<<24 | o.id }

func (sp *space) object(id []byte) object {
	n := binary.LittleEndian.Uint32(id)
	return sp.parts[n>>24].objs[n&(maxObjects-1)]
}

// adopt makes p the home of a new object.
func (p *part) adopt(o object) {
	b := o.base()
	b.home = p
	if k := len(p.noObj); k > 0 {
		b.id = p.noObj[k-1]
		p.noObj = p.noObj[:k-1]
		p.objs[b.id] = o
		return
	}
	if len(p.objs) == maxObjects {
		panic("store: a partition is full (2^24 big values)")
	}
	b.id = uint32(len(p.objs))
	p.objs = append(p.objs, o)
}

// forget ends an object that was freed.
func (p *part) forget(o object) {
	id := o.base().id
	p.objs[id] = nil
	p.noObj = append(p.noObj, id)
}

// freeAtOnce is the number of elements up to which a deleted object is freed without waiting for Reclaim. Beyond countedFrom,
// which is Redis' limit, it counts as lazily freed where CountLazy says so.
const (
	freeAtOnce  = 256
	countedFrom = 64
)

// discard is called when a big value lost its key, and again when the last cut unpinned it.
func (s *Store) discard(o object) {
	b := o.base()
	n := o.size()
	if !b.gone {
		b.gone, b.lazy = true, s.countLazy && n > countedFrom
	}
	if b.pins > 0 {
		b.keeps(int(o.memoryUsage()))
		return
	}
	if n <= freeAtOnce {
		s.countFreed(b)
		for more := true; more; {
			_, more = o.free(freeAtOnce)
		}
		b.home.forget(o)
		return
	}
	s.deadObjs = append(s.deadObjs, o)
}

// reclaimObjects frees discarded objects and returns what is left of n.
func (s *Store) reclaimObjects(n int) (left int) {
	for len(s.deadObjs) > 0 && n > 0 {
		last := len(s.deadObjs) - 1
		o := s.deadObjs[last]
		if home := o.base().home; !home.space.gone { // else it goes with its keyspace
			rest, more := o.free(n)
			if more {
				return 0
			}
			n = rest
			home.forget(o)
		}
		s.deadObjs[last] = nil
		s.deadObjs = s.deadObjs[:last]
		s.countFreed(o.base())
	}
	return n
}

func (s *Store) countFreed(b *objectBase) {
	if b.lazy {
		s.freedLater++
	}
}

// handle is what the handles of all kinds but strings have: a place in the store, valid until the next write of its DB
// that does not go through it.
type handle struct {
	p     *part
	at    spot
	gen   uint32
	rw    bool   // made for writing
	draft *draft // where a small value's bytes are meanwhile; nil: in the store
}

// read makes h, which is zero, a handle for reading e.
func (h *handle) read(e Entry) { h.p, h.at.ref, h.gen = e.p, e.ref, e.gen }

// forWrite opens the value of a kind at key, a new one of type empty with n zero bytes when there is none. It fills h where it
// is: a handle that is copied right after it was made waits until its fields have come to memory, several times for a command.
func (h *handle) forWrite(d *DB, key []byte, kind Kind, empty uint8, n int) (wrongType bool) {
	p, hash, at, ok := d.open(key)
	if !ok {
		var v []byte
		at, v = p.create(&p.keys, hash, key, form{typ: empty, vlen: n, clock: d.store.clock.Load()})
		clear(v)
	} else if p.entry(at.ref).Kind() != kind {
		return true
	}
	h.point(d, p, at)
	return false
}

// forWriteMet is forWrite of what the latest Use of d has found, which is of the right kind. Nothing was written since.
func (h *handle) forWriteMet(d *DB, key []byte) {
	sp := d.space
	m := &sp.met
	if debug && !m.holds(key) {
		panic("store: a key was written that Use has not found")
	}
	m.p.beforeWrite(m.h)
	sp.gen++
	h.point(d, m.p, m.at)
}

// point makes h a handle for writing what is at a spot.
func (h *handle) point(d *DB, p *part, at spot) {
	h.p, h.at, h.gen, h.rw, h.draft = p, at, d.space.gen, true, nil
}

// object is the object of a big value, nil for a small one.
func (h *handle) object() object {
	if h.draft != nil {
		return nil
	}
	b := h.p.slab.at(h.at.ref)
	if s := shapeOf(b); isObject(s.meta) {
		return h.p.space.object(b[s.val:])
	}
	return nil
}

func (h *handle) check() {
	if debug && h.gen != h.p.space.gen {
		panic("store: a handle was used after a write of its DB")
	}
}

// wrote makes other handles stale, not this one.
func (h *handle) wrote() {
	if !h.rw {
		panic("store: a write through a handle that was not made for writing")
	}
	h.p.space.gen++
	h.gen = h.p.space.gen
}

// typ is the type of the entry.
func (h *handle) typ() uint8 {
	if h.draft != nil {
		return h.draft.typ
	}
	return h.p.entry(h.at.ref).meta() & typeMask
}

// bytes are a small value's bytes. They may be a blob that a cut holds: writable is for writing.
func (h *handle) bytes() []byte {
	if h.draft != nil {
		return h.draft.b
	}
	b := h.p.slab.at(h.at.ref)
	s := shapeOf(b)
	return h.p.valueBytes(b, s)
}

// resize gives a small value n bytes and perhaps another type, and returns them for writing.
func (h *handle) resize(n int, typ uint8) []byte {
	if h.draft != nil {
		return h.draft.resize(n, typ)
	}
	return h.p.resize(&h.at, n, typ)
}

// writable returns a small value's bytes for writing: a blob that a cut holds is copied.
func (h *handle) writable() []byte { return h.resize(len(h.bytes()), h.typ()) }

// splice puts n bytes of undefined contents in the place of bytes [start, end) of a small value, and returns the whole
// value for writing.
func (h *handle) splice(start, end, n int) []byte {
	b, typ := h.bytes(), h.typ()
	total := len(b)
	switch grow := n - (end - start); {
	case grow > 0:
		b = h.resize(total+grow, typ)
		copy(b[end+grow:], b[end:total])
		return b
	case grow < 0:
		b = h.writable()
		copy(b[end+grow:], b[end:])
		return h.resize(total+grow, typ)
	}
	return h.writable()
}

// become makes the small value at a handle the object o, whose elements it has already.
func (h *handle) become(o object) {
	p := h.p
	if d := h.draft; d != nil {
		h.draft = nil
		if d.fresh {
			var v []byte
			h.at, v = p.create(&p.keys, d.hash, d.key, form{typ: o.entryType(), vlen: 4, clock: p.space.store.clock.Load()})
			binary.LittleEndian.PutUint32(v, o.base().globalID())
			d.end()
			return
		}
		d.end()
	}
	e := p.slab.at(h.at.ref)
	s := shapeOf(e)
	key := append([]byte(nil), p.keyBytes(e, s)...)
	v := p.put(&p.keys, 0, h.at, true, key, form{typ: o.entryType(), vlen: 4, expire: KeepTTL})
	binary.LittleEndian.PutUint32(v, o.base().globalID())
	h.at, _ = p.keys.find(p, p.space.store.hash.sum(key), key)
}

// empty makes the value at a handle a small one of n bytes, which it returns; their contents are undefined.
func (h *handle) empty(typ uint8, n int) []byte {
	key, p := append([]byte(nil), h.p.entry(h.at.ref).Key()...), h.p
	b := p.put(&p.keys, 0, h.at, true, key, form{typ: typ, vlen: n, expire: KeepTTL})
	h.at, _ = p.keys.find(p, p.space.store.hash.sum(key), key)
	return b
}
