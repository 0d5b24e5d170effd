package store

import (
	"encoding/binary"
	"sync/atomic"
)

// form is what an entry is to become.
type form struct {
	typ    uint8
	vlen   int
	expire int64  // 0 none
	clock  uint32 // 24 bits; for a field, its owner
}

// measure returns the header byte and the slot bytes that an entry takes.
func measure(klen int, f form) (meta uint8, n int) {
	meta, n = f.typ, headerBytes
	if f.expire != 0 {
		meta |= flagExpire
		n += 8
	}
	n += varintLen(klen)
	if klen > maxInlineKey {
		meta |= flagKeyBlob
		klen = 4
	}
	n += klen
	switch {
	case f.typ == typeInt:
		return meta, n + 8
	case isObject(f.typ):
		return meta, n + 4
	case n+varintLen(f.vlen)+f.vlen <= maxSlot:
		return meta, n + varintLen(f.vlen) + f.vlen
	}
	return meta | flagValBlob, n + 4
}

// write lays an entry out in a fresh slot, all but its value. A key blob is made unless keyBlob names one.
func (p *part) write(key []byte, keyBlob uint32, hasBlob bool, f form) (ref uint32, s shape) {
	meta, n := measure(len(key), f)
	ref = p.slab.alloc(n)
	b := p.slab.at(ref)
	atomic.StoreUint32(header(b), f.clock<<8|uint32(meta))
	at := headerBytes
	if f.expire != 0 {
		binary.LittleEndian.PutUint64(b[at:], uint64(f.expire))
		at += 8
	}
	at += binary.PutUvarint(b[at:], uint64(len(key)))
	if sized(meta) {
		at += binary.PutUvarint(b[at:], uint64(f.vlen))
	}
	if meta&flagKeyBlob == 0 {
		copy(b[at:], key)
	} else {
		if !hasBlob {
			blob := p.space.store.newBlob(len(key), len(key))
			copy(blob.data, key)
			keyBlob = p.addBlob(blob)
		}
		binary.LittleEndian.PutUint32(b[at:], keyBlob)
	}
	return ref, shapeOf(b)
}

// dropValue releases what a value holds outside its slot.
func (p *part) dropValue(b []byte, s shape) {
	if s.meta&flagValBlob != 0 {
		p.dropBlob(binary.LittleEndian.Uint32(b[s.val:]))
	}
	if isObject(s.meta) {
		p.space.store.discard(p.space.object(b[s.val:]))
	}
}

// dropEntry frees an entry's slot and all that it holds.
func (p *part) dropEntry(ref uint32) {
	b := p.slab.at(ref)
	s := shapeOf(b)
	p.dropValue(b, s)
	if s.meta&flagKeyBlob != 0 {
		p.dropBlob(binary.LittleEndian.Uint32(b[s.key:]))
	}
	p.slab.free(ref)
}

// fits reports whether an entry of shape s in a slot of the given size can become f where it stands.
func (s shape) fits(klen, slot int, f form) bool {
	meta, n := measure(klen, f)
	const same = flagExpire | flagKeyBlob
	if (meta^s.meta)&same != 0 || meta&flagValBlob != 0 || s.meta&flagValBlob != 0 {
		return false
	}
	width := 0
	if sized(meta) {
		width = varintLen(f.vlen)
	}
	return width == s.width() && n <= slot && (slot-n < 16 || slotSize(n) == slot)
}

// put makes the entry at a spot (or a new one, when found is false) an f and returns the bytes for its value, whose
// contents are undefined. What the old value held is released. key must not lie in the store.
func (p *part) put(t *table, h uint64, at spot, found bool, key []byte, f form) []byte {
	if found {
		b := p.slab.at(at.ref)
		s := shapeOf(b)
		if f.expire == KeepTTL {
			f.expire = expiryOf(b, s.meta)
		}
		if s.meta&typeMask != typeField {
			f.clock = atomic.LoadUint32(header(b)) >> 8
			p.countExpiry(at.seg, s.meta&flagExpire != 0, f.expire)
		}
		if s.fits(len(key), p.slab.size(at.ref), f) {
			p.dropValue(b, s)
			return s.rewrite(b, f)
		}
		if v, ok := p.overwriteBlob(b, s, len(key), f); ok {
			return v
		}
		return p.replaceEntry(at, b, s, key, f)
	}
	_, v := p.create(t, h, key, f)
	return v
}

// create makes an entry whose key is not in the table, and returns its place and the bytes for its value.
func (p *part) create(t *table, h uint64, key []byte, f form) (spot, []byte) {
	f.expire = max(f.expire, 0)
	ref, s := p.write(key, 0, false, f)
	at := t.insert(p, h, ref)
	p.countExpiry(at.seg, false, f.expire)
	return at, p.openValue(ref, s, f.vlen)
}

// rewrite turns an entry that fits into f where it stands.
func (s shape) rewrite(b []byte, f form) []byte {
	meta := s.meta&^typeMask | f.typ
	atomic.StoreUint32(header(b), f.clock<<8|uint32(meta))
	if f.expire != 0 {
		binary.LittleEndian.PutUint64(b[headerBytes:], uint64(f.expire))
	}
	if sized(meta) {
		binary.PutUvarint(b[s.key-varintLen(f.vlen):], uint64(f.vlen)) // as wide as before
		return b[s.val : s.val+f.vlen]
	}
	return b[s.val:]
}

// overwriteBlob is put for a value that is a blob and stays one, in the slot as it is. So does the blob's memory, when it has
// the size and nobody else holds it: to map memory and to touch it for the first time costs more than to fill it.
func (p *part) overwriteBlob(b []byte, s shape, klen int, f form) (v []byte, ok bool) {
	const same = flagExpire | flagKeyBlob | flagValBlob
	if meta, _ := measure(klen, f); s.meta&flagValBlob == 0 || (meta^s.meta)&same != 0 {
		return nil, false
	}
	atomic.StoreUint32(header(b), f.clock<<8|uint32(s.meta&^typeMask|f.typ))
	if f.expire != 0 {
		binary.LittleEndian.PutUint64(b[headerBytes:], uint64(f.expire))
	}
	i := binary.LittleEndian.Uint32(b[s.val:])
	blob := p.blobs[i]
	if blob.refs.Load() == 1 && blob.takes(f.vlen) {
		blob.data = blob.whole[:f.vlen]
		return blob.data, true
	}
	blob.Release()
	p.blobs[i] = p.space.store.newBlob(f.vlen, f.vlen)
	return p.blobs[i].data, true
}

func (p *part) replaceEntry(at spot, b []byte, s shape, key []byte, f form) []byte {
	keyBlob := uint32(0)
	if s.meta&flagKeyBlob != 0 {
		keyBlob = binary.LittleEndian.Uint32(b[s.key:])
	}
	ref, n := p.write(key, keyBlob, s.meta&flagKeyBlob != 0, f)
	p.dropValue(b, s)
	p.slab.free(at.ref)
	at.replace(ref)
	return p.openValue(ref, n, f.vlen)
}

// openValue returns the bytes for the value of a fresh entry, in a new blob if need be.
func (p *part) openValue(ref uint32, s shape, vlen int) []byte {
	b := p.slab.at(ref)
	if s.meta&flagValBlob != 0 {
		blob := p.space.store.newBlob(vlen, vlen)
		binary.LittleEndian.PutUint32(b[s.val:], p.addBlob(blob))
		return blob.data
	}
	return b[s.val : s.val+s.vlen]
}

// payload is a value on its way from one slot to another. Bytes point to the old slot or blob.
type payload struct {
	bytes []byte
	blob  *Blob // holds bytes, when not nil; the receiver takes over its reference
}

func (p *part) peel(b []byte, s shape) payload {
	v := payload{bytes: p.valueBytes(b, s)}
	if s.meta&flagValBlob != 0 {
		v.blob = p.blobAt(b[s.val:])
	}
	return v
}

// fill gives a fresh entry its value; v may be longer or shorter than the entry's value, which is zeroed behind it.
func (p *part) fill(ref uint32, s shape, v payload, vlen int) []byte {
	if s.meta&flagValBlob != 0 && v.blob != nil && len(v.bytes) == vlen {
		binary.LittleEndian.PutUint32(p.slab.at(ref)[s.val:], p.addBlob(v.blob))
		return v.bytes
	}
	dst := p.openValue(ref, s, vlen)
	p.zeroAfter(s, dst, copy(dst, v.bytes))
	if v.blob != nil {
		v.blob.Release()
	}
	return dst
}

// remake moves the entry at a spot into another slot as f, with its key and value.
func (p *part) remake(at *spot, f form) []byte {
	b := p.slab.at(at.ref)
	s := shapeOf(b)
	v := p.peel(b, s)
	if v.blob != nil {
		i := binary.LittleEndian.Uint32(b[s.val:])
		p.blobs[i], p.noBlob = nil, append(p.noBlob, i)
	}
	keyBlob := uint32(0)
	if s.meta&flagKeyBlob != 0 {
		keyBlob = binary.LittleEndian.Uint32(b[s.key:])
	}
	ref, fresh := p.write(p.keyBytes(b, s), keyBlob, s.meta&flagKeyBlob != 0, f)
	dst := p.fill(ref, fresh, v, f.vlen)
	p.slab.free(at.ref)
	at.replace(ref)
	return dst
}

// formOf is the form that an entry has.
func (p *part) formOf(b []byte, s shape) form {
	return form{
		typ: s.meta & typeMask, vlen: len(p.valueBytes(b, s)), expire: expiryOf(b, s.meta),
		clock: atomic.LoadUint32(header(b)) >> 8,
	}
}

// resize gives the value at a spot n bytes, keeping its beginning and zeroing what is new. Integers must be turned
// into bytes first.
func (p *part) resize(at *spot, n int, typ uint8) []byte {
	b := p.slab.at(at.ref)
	s := shapeOf(b)
	f := p.formOf(b, s)
	old := f.vlen
	f.typ, f.vlen = typ, n
	klen := len(p.keyBytes(b, s))
	if s.fits(klen, p.slab.size(at.ref), f) {
		v := s.rewrite(b, f)
		if n > old {
			clear(v[old:])
		}
		return v
	}
	if meta, _ := measure(klen, f); meta&s.meta&flagValBlob != 0 {
		atomic.StoreUint32(header(b), f.clock<<8|uint32(s.meta&^typeMask|typ))
		return p.resizeBlob(binary.LittleEndian.Uint32(b[s.val:]), n)
	}
	return p.remake(at, f)
}

// resizeBlob grows or cuts a blob, in place when nobody else holds it and it has the room.
func (p *part) resizeBlob(i uint32, n int) []byte {
	blob := p.blobs[i]
	old := len(blob.data)
	if blob.refs.Load() == 1 && n <= len(blob.whole) && n >= len(blob.whole)/2 {
		blob.data = blob.whole[:n]
		if n > old {
			clear(blob.data[old:])
		}
		return blob.data
	}
	capacity := n
	if n > old {
		capacity = room(n)
	}
	fresh := p.space.store.newBlob(n, capacity)
	if kept := copy(fresh.data, blob.data); !p.space.store.zero {
		clear(fresh.data[kept:])
	}
	blob.Release()
	p.blobs[i] = fresh
	return fresh.data
}

// countExpiry keeps the counts of keys with an expiry and the segment's earliest one.
func (p *part) countExpiry(seg *segment, had bool, expire int64) {
	if had {
		p.expires--
		seg.vol--
	}
	if expire > 0 {
		p.expires++
		seg.vol++
		seg.due = min(seg.due, expire)
	}
}
