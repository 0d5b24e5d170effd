package store

// A draft is a small value on its way: a command that adds several elements changes its bytes in scratch memory, and
// Store puts them into a slot of the right size, once. Nothing else may look at the value meanwhile. A store has one
// draft, since it has one writer.
//
// A value that outgrows its flat form ends the draft: what becomes of it is in the store at once, and Store does nothing.
type draft struct {
	b     []byte // the bytes
	typ   uint8  // of the entry to be
	open  bool
	fresh bool   // there is no entry yet
	key   []byte // of the entry to be made, and its hash
	hash  uint64
}

func (d *draft) end() {
	d.key, d.fresh, d.open = nil, false, false
	if cap(d.b) > maxSlot {
		d.b = nil // a rare one; it does not stay
	}
}

// noDraft is called by all that look for a key.
func (s *Store) noDraft() {
	if debug && s.draft.open {
		panic("store: a key was looked for while a draft is open")
	}
}

// resize is handle.resize; what is new is undefined.
func (d *draft) resize(n int, typ uint8) []byte {
	if n > cap(d.b) {
		b := make([]byte, n, max(2*n, 1<<10))
		copy(b, d.b)
		d.b = b
	}
	d.b, d.typ = d.b[:n], typ
	return d.b
}

// begin makes room for n bytes of a new value.
func (d *draft) begin(n int, typ uint8) []byte {
	if d.open {
		panic("store: a draft was begun before the last one was stored")
	}
	d.b, d.open = d.b[:0], true
	return d.resize(n, typ)
}

// draftFor is forWrite for a command that adds several elements. Unless the value is a big one, nothing of what is done
// through the handle is in the store before Store, which must be called, with at least one element.
func (h *handle) draftFor(d *DB, key []byte, kind Kind, empty uint8, n int) (wrongType bool) {
	p, hash, at, ok := d.open(key)
	h.point(d, p, at)
	if !ok {
		h.draft = &d.store.draft
		clear(h.draft.begin(n, empty))
		h.draft.fresh, h.draft.key, h.draft.hash = true, key, hash
		return false
	}
	b := p.slab.at(at.ref)
	s := shapeOf(b)
	switch {
	case kinds[s.meta&typeMask].kind != kind:
		return true
	case isObject(s.meta):
		return false
	}
	h.draft = &d.store.draft
	v := p.valueBytes(b, s)
	copy(h.draft.begin(len(v), s.meta&typeMask), v)
	return false
}

// Store ends what a handle made by a Draft method began.
func (h *handle) Store() {
	d := h.draft
	if d == nil {
		return
	}
	h.check()
	h.draft = nil
	var v []byte
	if d.fresh {
		f := form{typ: d.typ, vlen: len(d.b), clock: h.p.space.store.clock.Load()}
		h.at, v = h.p.create(&h.p.keys, d.hash, d.key, f)
	} else {
		v = h.resize(len(d.b), d.typ)
	}
	copy(v, d.b)
	d.end()
}

// Draft is ForWrite for a command that sets several fields; see draftFor.
func (h *Hash) Draft(d *DB, key []byte) (wrongType bool) {
	if h.draftFor(d, key, HashKind, typeHashPack, packHeader) {
		return true
	}
	h.open()
	return false
}

// Draft is ForWrite for a command that adds several elements; see draftFor.
func (l *List) Draft(d *DB, key []byte) (wrongType bool) {
	if l.draftFor(d, key, ListKind, typeListPack, listHeader) {
		return true
	}
	l.open()
	return false
}

// Draft is ForWrite for a command that adds several members; see draftFor.
func (s *Set) Draft(d *DB, key []byte) (wrongType bool) {
	if s.draftFor(d, key, SetKind, typeIntset, intsetHeader) {
		return true
	}
	s.open()
	return false
}

// Draft is ForWrite for a command that adds several members; see draftFor.
func (z *ZSet) Draft(d *DB, key []byte) (wrongType bool) {
	if z.draftFor(d, key, ZSetKind, typeZSetPack, packHeader) {
		return true
	}
	z.open()
	return false
}
