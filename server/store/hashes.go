package store

// Hash is a handle on a hash, valid until the next write of its DB that does not go through it.
type Hash struct {
	handle
	obj *tableObject // nil for a pack
}

// Hash returns the hash at key. Expired keys are hidden. Safe under a shared lock.
func (d *DB) Hash(key []byte, now int64) (h Hash, found, wrongType bool) {
	e, ok := d.Get(key, now)
	if !ok {
		return Hash{}, false, false
	}
	if e.Kind() != HashKind {
		return Hash{}, false, true
	}
	return e.Hash(), true, false
}

// Hash is a handle for reading an entry's hash.
func (e Entry) Hash() (h Hash) {
	h.read(e)
	h.open()
	return h
}

// ForWrite makes h a handle for writing the hash at key, an empty new one when there is none. The caller deletes the key when
// it leaves the hash empty.
func (h *Hash) ForWrite(d *DB, key []byte) (wrongType bool) {
	if h.forWrite(d, key, HashKind, typeHashPack, packHeader) {
		return true
	}
	h.open()
	return false
}

// ForWriteMet is ForWrite of a hash that the latest Use of d has found at key, when nothing was written since.
func (h *Hash) ForWriteMet(d *DB, key []byte) {
	h.forWriteMet(d, key)
	h.open()
}

// HashForWrite is ForWrite where the copy of the handle does not matter.
func (d *DB) HashForWrite(key []byte) (h Hash, wrongType bool) {
	wrongType = h.ForWrite(d, key)
	return h, wrongType
}

// open finds the object of a big hash.
func (h *Hash) open() {
	h.obj = nil
	if o := h.object(); o != nil {
		h.obj = o.(*tableObject)
	}
}

// Len is the number of fields.
func (h *Hash) Len() int {
	h.check()
	if h.obj != nil {
		return h.obj.fields.count
	}
	return packLen(h.bytes())
}

// Encoding is "listpack" or "hashtable".
func (h *Hash) Encoding() string {
	if h.obj != nil {
		return "hashtable"
	}
	return "listpack"
}

// Get returns a field's value, which points into the store.
func (h *Hash) Get(field []byte) ([]byte, bool) {
	h.check()
	if h.obj != nil {
		return h.obj.get(field)
	}
	b := h.bytes()
	it, ok := packFind(b, field)
	if !ok {
		return nil, false
	}
	return b[it.value:it.end:it.end], true
}

// FieldLen is the length of a field's value, 0 when it is missing.
func (h *Hash) FieldLen(field []byte) int {
	v, _ := h.Get(field)
	return len(v)
}

// Set stores a field and reports whether it is new. field and value must not point into the store.
func (h *Hash) Set(field, value []byte) (created bool) {
	h.check()
	h.wrote()
	if h.obj != nil {
		return h.obj.set(field, value)
	}
	b := h.bytes()
	it, ok := packFind(b, field)
	if h.outgrows(b, ok, field, value) {
		h.convert()
		return h.obj.set(field, value)
	}
	item := packItemLen(len(field), len(value))
	if ok {
		packPut(h.splice(it.start, it.end, item)[it.start:], field, value)
		return false
	}
	end := len(b)
	b = h.resize(end+item, typeHashPack)
	packPut(b[end:], field, value)
	packSetLen(b, packLen(b)+1)
	return true
}

func (h *Hash) outgrows(b []byte, exists bool, field, value []byte) bool {
	c := &h.p.space.store.Config
	if len(field) > c.HashMaxListpackValue || len(value) > c.HashMaxListpackValue {
		return true
	}
	return !exists && packLen(b) >= min(c.HashMaxListpackEntries, packMax)
}

// convert turns a pack into a table.
func (h *Hash) convert() {
	o := h.p.newTable(typeHashTable)
	b := h.bytes()
	for at := packHeader; at < len(b); {
		it := packAt(b, at)
		o.set(b[it.field:it.fieldEnd], b[it.value:it.end])
		at = it.end
	}
	h.become(o)
	h.obj = o
}

// Del removes a field and reports whether it was there.
func (h *Hash) Del(field []byte) bool {
	h.check()
	if h.obj != nil {
		return h.delField(field)
	}
	it, ok := packFind(h.bytes(), field)
	if !ok {
		return false
	}
	h.wrote()
	b := h.splice(it.start, it.end, 0)
	packSetLen(b, packLen(b)-1)
	return true
}

func (h *Hash) delField(field []byte) bool {
	hash, at, ok := h.obj.find(field)
	if !ok {
		return false
	}
	h.wrote()
	h.obj.removeAt(hash, at)
	return true
}

// Each calls fn for every field until it returns false. Arguments point into the store; fn must not write.
func (h *Hash) Each(fn func(field, value []byte) bool) {
	h.check()
	if h.obj != nil {
		h.obj.each(fn)
		return
	}
	b := h.bytes()
	for at := packHeader; at < len(b); {
		it := packAt(b, at)
		if !fn(b[it.field:it.fieldEnd:it.fieldEnd], b[it.value:it.end:it.end]) {
			return
		}
		at = it.end
	}
}

// Scan is HSCAN: about count fields from a cursor, and the next cursor, 0 at the end. A pack is returned whole.
func (h *Hash) Scan(cursor uint64, count int, fn func(field, value []byte)) uint64 {
	h.check()
	if h.obj == nil {
		h.Each(func(f, v []byte) bool { fn(f, v); return true })
		return 0
	}
	return h.obj.scan(cursor, count, fn)
}

// Random returns a field, chosen by rnd with equal chances. The hash must not be empty.
func (h *Hash) Random(rnd uint64) (field, value []byte) {
	h.check()
	if h.obj != nil {
		return h.obj.home.pair(h.obj.fields.random(rnd))
	}
	b := h.bytes()
	it := packAt(b, packHeader)
	for n := splitmix(&rnd) % uint64(packLen(b)); n > 0; n-- {
		it = packAt(b, it.end)
	}
	return b[it.field:it.fieldEnd], b[it.value:it.end]
}
