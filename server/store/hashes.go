package store

import "encoding/binary"

// hashObject is a big hash: a table whose entries live in the slab of the partition where the hash first became big.
// A rename may carry its key to another partition of the keyspace; the object stays at home.
type hashObject struct {
	home   *part
	id     uint32 // index in home.objs; fields name their owner by it
	fields table
	pins   int  // cuts that have yet to walk it
	gone   bool // no key refers to it any more: freed when pins is 0
}

const maxObjects = 1 << 24 // a field's header has 24 bits for its owner

func (o *hashObject) globalID() uint32 { return o.home.index<<24 | o.id }

func (sp *space) object(id []byte) *hashObject {
	n := binary.LittleEndian.Uint32(id)
	return sp.parts[n>>24].objs[n&(maxObjects-1)]
}

func (p *part) newObject() *hashObject {
	o := &hashObject{home: p}
	if k := len(p.noObj); k > 0 {
		o.id = p.noObj[k-1]
		p.noObj = p.noObj[:k-1]
		p.objs[o.id] = o
		return o
	}
	if len(p.objs) == maxObjects {
		panic("store: a partition is full (2^24 big values)")
	}
	o.id = uint32(len(p.objs))
	p.objs = append(p.objs, o)
	return o
}

func (p *part) dropObject(o *hashObject) {
	p.tables -= o.fields.bytes
	o.fields = table{}
	p.objs[o.id] = nil
	p.noObj = append(p.noObj, o.id)
}

// freeAtOnce is the number of fields up to which a deleted hash is freed without waiting for Reclaim.
const freeAtOnce = 256

// discard is called when a big value lost its key.
func (s *Store) discard(o *hashObject) {
	o.gone = true
	if o.pins > 0 {
		return
	}
	if o.fields.count <= freeAtOnce {
		o.freeFields(freeAtOnce)
		o.home.dropObject(o)
		return
	}
	s.deadObjs = append(s.deadObjs, o)
}

// freeFields frees about n fields, whole segments at a time, and returns what is left of n. The table is not usable
// afterwards.
func (o *hashObject) freeFields(n int) int {
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
	return n
}

func (o *hashObject) find(field []byte) (h uint64, at spot, ok bool) {
	h = o.home.space.store.hash.sum(field)
	at, ok = o.fields.find(o.home, h, field)
	return h, at, ok
}

// set stores a field and reports whether it is new.
func (o *hashObject) set(field, value []byte) (created bool) {
	h := o.home.space.store.hash.sum(field)
	o.beforeWrite(h)
	at, ok := o.fields.find(o.home, h, field)
	copy(o.home.put(&o.fields, h, at, ok, field, form{typ: typeField, vlen: len(value), clock: o.id}), value)
	return !ok
}

func (o *hashObject) copyTo(p *part) *hashObject {
	twin := p.newObject()
	o.fields.each(func(ref uint32) bool {
		f, v := o.home.pair(ref)
		twin.set(f, v)
		return true
	})
	return twin
}

// pair returns the key and the value of an entry with bytes for a value.
func (p *part) pair(ref uint32) (key, value []byte) {
	b := p.slab.at(ref)
	s := shapeOf(b)
	return p.keyBytes(b, &s), p.valueBytes(b, &s)
}

// memoryUsage extrapolates from the fields of the first segment.
func (o *hashObject) memoryUsage() int64 {
	n, sum := 0, int64(0)
	o.fields.each(func(ref uint32) bool {
		sum += int64(o.home.slab.size(ref))
		n++
		return n < 64
	})
	return o.fields.bytes + sum*int64(o.fields.count)/int64(max(n, 1))
}

// Hash is a handle on a hash, valid until the next write of its DB that does not go through it.
type Hash struct {
	p   *part
	at  spot
	obj *hashObject // nil for a pack
	gen uint32
	rw  bool // made by HashForWrite
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
func (e Entry) Hash() Hash {
	h := Hash{p: e.p, at: spot{ref: e.ref}, gen: e.gen}
	h.bind()
	return h
}

// HashForWrite returns the hash at key for writing, an empty new one when there is none. The caller deletes the key
// when it leaves the hash empty.
func (d *DB) HashForWrite(key []byte) (h Hash, wrongType bool) {
	p, hash, at, ok := d.open(key)
	if ok {
		if p.entry(at.ref).Kind() != HashKind {
			return Hash{}, true
		}
	} else {
		packSetLen(p.put(&p.keys, hash, spot{}, false, key, form{typ: typePack, vlen: packHeader, clock: d.store.clock.Load()}), 0)
		at, _ = p.keys.find(p, hash, key)
	}
	h = Hash{p: p, at: at, gen: d.space.gen, rw: true}
	h.bind()
	return h, false
}

// bind finds the object of a big hash.
func (h *Hash) bind() {
	b := h.p.slab.at(h.at.ref)
	if s := shapeOf(b); s.meta&typeMask == typeTable {
		h.obj = h.p.space.object(b[s.val:])
	}
}

func (h *Hash) check() {
	if debug && h.gen != h.p.space.gen {
		panic("store: a Hash was used after a write of its DB")
	}
}

func (h *Hash) pack() []byte {
	b := h.p.slab.at(h.at.ref)
	s := shapeOf(b)
	return h.p.valueBytes(b, &s)
}

// wrote makes other handles stale, not this one.
func (h *Hash) wrote() {
	if !h.rw {
		panic("store: a write through a Hash that was not made by HashForWrite")
	}
	h.p.space.gen++
	h.gen = h.p.space.gen
}

// Len is the number of fields.
func (h *Hash) Len() int {
	h.check()
	if h.obj != nil {
		return h.obj.fields.count
	}
	return packLen(h.pack())
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
		_, at, ok := h.obj.find(field)
		if !ok {
			return nil, false
		}
		_, v := h.obj.home.pair(at.ref)
		return v, true
	}
	b := h.pack()
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
	b := h.pack()
	it, ok := packFind(b, field)
	if h.outgrows(b, ok, field, value) {
		h.convert()
		return h.obj.set(field, value)
	}
	item := packItemLen(len(field), len(value))
	if ok {
		h.resizeItem(it, item)
		packPut(h.pack()[it.start:], field, value)
		return false
	}
	end := len(b)
	b = h.p.resize(&h.at, end+item, typePack)
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

// resizeItem gives an item of the pack n bytes; its contents become undefined.
func (h *Hash) resizeItem(it packItem, n int) {
	b := h.pack()
	total := len(b)
	switch grow := n - (it.end - it.start); {
	case grow > 0:
		b = h.p.resize(&h.at, total+grow, typePack)
		copy(b[it.end+grow:], b[it.end:total])
	case grow < 0:
		b = h.writable()
		copy(b[it.end+grow:], b[it.end:])
		h.p.resize(&h.at, total+grow, typePack)
	default:
		h.writable()
	}
}

// writable returns the pack's bytes for writing: a blob that a cut holds is copied.
func (h *Hash) writable() []byte { return h.p.resize(&h.at, len(h.pack()), typePack) }

// convert turns a pack into a table.
func (h *Hash) convert() {
	p := h.p
	o := p.newObject()
	b := h.pack()
	for at := packHeader; at < len(b); {
		it := packAt(b, at)
		o.set(b[it.field:it.fieldEnd], b[it.value:it.end])
		at = it.end
	}
	e := p.slab.at(h.at.ref)
	s := shapeOf(e)
	key := append([]byte(nil), p.keyBytes(e, &s)...)
	v := p.put(&p.keys, 0, h.at, true, key, form{typ: typeTable, vlen: 4, expire: KeepTTL})
	binary.LittleEndian.PutUint32(v, o.globalID())
	h.at, _ = p.keys.find(p, p.space.store.hash.sum(key), key)
	h.obj = o
}

// Del removes a field and reports whether it was there.
func (h *Hash) Del(field []byte) bool {
	h.check()
	if h.obj != nil {
		return h.delField(field)
	}
	it, ok := packFind(h.pack(), field)
	if !ok {
		return false
	}
	h.wrote()
	h.resizeItem(it, 0)
	b := h.pack()
	packSetLen(b, packLen(b)-1)
	return true
}

func (h *Hash) delField(field []byte) bool {
	o := h.obj
	hash, at, ok := o.find(field)
	if !ok {
		return false
	}
	h.wrote()
	o.beforeWrite(hash)
	o.fields.remove(at)
	o.home.dropEntry(at.ref)
	return true
}

// Each calls fn for every field until it returns false. Arguments point into the store; fn must not write.
func (h *Hash) Each(fn func(field, value []byte) bool) {
	h.check()
	if h.obj != nil {
		h.obj.fields.each(func(ref uint32) bool { return fn(h.obj.home.pair(ref)) })
		return
	}
	b := h.pack()
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
	next, _ := h.obj.fields.scan(cursor&scanMask, count, func(ref uint32) { fn(h.obj.home.pair(ref)) })
	return next
}

// Random returns a field, chosen by rnd with equal chances. The hash must not be empty.
func (h *Hash) Random(rnd uint64) (field, value []byte) {
	h.check()
	if h.obj != nil {
		return h.obj.home.pair(h.obj.fields.random(rnd))
	}
	b := h.pack()
	it := packAt(b, packHeader)
	for n := splitmix(&rnd) % uint64(packLen(b)); n > 0; n-- {
		it = packAt(b, it.end)
	}
	return b[it.field:it.fieldEnd], b[it.value:it.end]
}
