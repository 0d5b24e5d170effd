package store

import (
	"encoding/binary"
	"strconv"
	"sync/atomic"
)

// lookup finds a key without any side effect.
func (d *DB) lookup(key []byte) (p *part, h uint64, at spot, ok bool) {
	d.store.noDraft()
	h = d.store.hash.sum(key)
	if p = d.space.partOf(h); p == nil {
		return nil, h, spot{}, false
	}
	at, ok = p.keys.find(p, h, key)
	return p, h, at, ok
}

// open prepares a write of a key: cuts get their image first, handles become stale.
func (d *DB) open(key []byte) (p *part, h uint64, at spot, ok bool) {
	d.store.noDraft()
	sp := d.space
	if m := &sp.met; m.holds(key) {
		m.p.beforeWrite(m.h)
		sp.gen++
		return m.p, m.h, m.at, true
	}
	h = d.store.hash.sum(key)
	p = d.space.partFor(h)
	p.beforeWrite(h)
	d.space.gen++
	at, ok = p.keys.find(p, h, key)
	return p, h, at, ok
}

// Get returns a key that is there at the given time. It mutates nothing but the access clock; an expired key is hidden
// and hinted to ExpireStep. Safe under a shared lock.
func (d *DB) Get(key []byte, now int64) (Entry, bool) {
	p, h, at, ok := d.lookup(key)
	if !ok {
		return Entry{}, false
	}
	e := p.entry(at.ref)
	if e.Expired(now) {
		p.hint(h)
		return Entry{}, false
	}
	e.hit(h, now)
	return e, true
}

// Use is Peek for a command that is about to change the key, which is an access. Where it found the key is remembered for
// that change and the next ones, so it needs the lock alone.
func (d *DB) Use(key []byte, now int64) (Entry, bool) {
	m := &d.space.met
	if !m.holds(key) {
		p, h, at, ok := d.lookup(key)
		if !ok {
			return Entry{}, false
		}
		m.note(p, h, at, key)
	}
	e := m.p.entry(m.at.ref)
	e.hit(m.h, now)
	return e, true
}

// Peek returns a key even when it has expired, and leaves the access clock alone.
func (d *DB) Peek(key []byte) (Entry, bool) {
	p, _, at, ok := d.lookup(key)
	if !ok {
		return Entry{}, false
	}
	return p.entry(at.ref), true
}

// SetString sets a key to a string with the given expiry: unix ms, 0 for none, KeepTTL. key and val must not point
// into the store.
func (d *DB) SetString(key, val []byte, expireAt int64) {
	if n, ok := canonicalInt(val); ok {
		d.SetInt(key, n, expireAt)
		return
	}
	d.SetText(key, val, expireAt)
}

// SetText is SetString for a value that stays text even where it reads as an integer, as INCRBYFLOAT's result does.
func (d *DB) SetText(key, val []byte, expireAt int64) {
	p, h, at, ok := d.open(key)
	copyValue(p.put(&p.keys, h, at, ok, key, form{typ: typeEmbstr, vlen: len(val), expire: expireAt, clock: d.store.clock.Load()}), val)
}

// SetInt sets a key to the string that n reads as.
func (d *DB) SetInt(key []byte, n, expireAt int64) {
	p, h, at, ok := d.open(key)
	b := p.put(&p.keys, h, at, ok, key, form{typ: typeInt, vlen: 8, expire: expireAt, clock: d.store.clock.Load()})
	binary.LittleEndian.PutUint64(b, uint64(n))
}

// canonicalInt parses what strconv would print for an int64.
func canonicalInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	digits, neg := b, b[0] == '-'
	if neg {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && (neg || len(digits) > 1) {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	switch {
	case neg && n <= 1<<63:
		return -int64(n), true
	case !neg && n < 1<<63:
		return int64(n), true
	}
	return 0, false
}

// SetBlob is SetString, or with raw MakeString, of a blob's bytes; the reference is the store's then.
func (d *DB) SetBlob(key []byte, b *Blob, raw bool) {
	f := form{typ: typeEmbstr, vlen: len(b.data), clock: d.store.clock.Load()}
	if raw {
		f.typ = typeRaw
	}
	if meta, _ := measure(len(key), f); meta&flagValBlob == 0 || b.mem != d.store.mem {
		if raw {
			copy(d.MakeString(key, len(b.data)), b.data)
		} else {
			d.SetString(key, b.data, 0)
		}
		b.Release()
		return
	}
	if p, _, at, ok := d.open(key); ok { // the clock stays, as that of a key that is written to
		f.clock = atomic.LoadUint32(header(p.slab.at(at.ref))) >> 8
	}
	d.install(key, f, payload{bytes: b.data, blob: b})
}

// MakeString sets a key to a string of n bytes, which it returns to be filled: their contents are undefined.
func (d *DB) MakeString(key []byte, n int) []byte {
	p, h, at, ok := d.open(key)
	return p.put(&p.keys, h, at, ok, key, form{typ: typeRaw, vlen: n, clock: d.store.clock.Load()})
}

// EditString gives the string at key n bytes, zeroing what is new, and returns them for writing until the next write
// of the DB. A missing key is created; a key of another kind is the caller's error.
func (d *DB) EditString(key []byte, n int) []byte {
	p, h, at, ok := d.open(key)
	if !ok {
		at, b := p.create(&p.keys, h, key, form{typ: typeRaw, vlen: n, clock: d.store.clock.Load()})
		s := shapeOf(p.slab.at(at.ref))
		p.zeroAfter(s, b, 0)
		return b
	}
	switch e := p.entry(at.ref); e.meta() & typeMask {
	case typeInt:
		var digits [20]byte
		v, _ := e.Int()
		text := strconv.AppendInt(digits[:0], v, 10)
		b := p.put(&p.keys, h, at, true, key, form{typ: typeRaw, vlen: n, expire: KeepTTL})
		clear(b[copy(b, text):])
		return b
	case typeEmbstr, typeRaw:
		return p.resize(&at, n, typeRaw)
	}
	panic("store: EditString of a key that is not a string")
}

// Delete removes a key and reports whether it was there.
func (d *DB) Delete(key []byte) bool {
	p, _, at, ok := d.open(key)
	if ok {
		p.unlink(at)
		p.dropEntry(at.ref)
	}
	return ok
}

// unlink takes the entry at a spot out of the keys; its slot and value stay.
func (p *part) unlink(at spot) {
	b := p.slab.at(at.ref)
	p.countExpiry(at.seg, *header(b)&flagExpire != 0, 0)
	p.keys.remove(at)
}

// SetExpire gives a key an expiry (unix ms, > 0) and reports whether the key is there.
func (d *DB) SetExpire(key []byte, at int64) bool { return d.expire(key, at) }

// Persist takes a key's expiry away and reports whether it had one.
func (d *DB) Persist(key []byte) bool {
	if e, ok := d.Peek(key); !ok || e.ExpireAt() == 0 {
		return false
	}
	return d.expire(key, 0)
}

func (d *DB) expire(key []byte, expire int64) bool {
	p, _, at, ok := d.open(key)
	if !ok {
		return false
	}
	b := p.slab.at(at.ref)
	s := shapeOf(b)
	had := s.meta&flagExpire != 0
	p.countExpiry(at.seg, had, expire)
	if had == (expire != 0) {
		if had {
			binary.LittleEndian.PutUint64(b[headerBytes:], uint64(expire))
		}
		return true
	}
	f := p.formOf(b, s)
	f.expire = expire
	p.remake(&at, f)
	return true
}

// Rename moves a value with its expiry to another key of the DB, replacing what was there, and reports whether src was
// there. Big values are not copied.
func (d *DB) Rename(src, dst []byte) bool {
	if string(src) == string(dst) {
		_, ok := d.Peek(src)
		return ok
	}
	p, _, at, ok := d.open(src)
	if !ok {
		return false
	}
	b := p.slab.at(at.ref)
	s := shapeOf(b)
	f, v := p.formOf(b, s), p.peel(b, s)
	if v.blob != nil {
		v.blob.Retain()
	}
	d.install(dst, f, v)
	// The table may have grown: look again. The value has moved on, so only a blob's reference is dropped with the slot.
	p, _, at, _ = d.open(src)
	p.unlink(at)
	if isObject(s.meta) {
		p.dropShell(at.ref)
	} else {
		p.dropEntry(at.ref)
	}
	return true
}

// dropShell frees an entry whose value lives on elsewhere.
func (p *part) dropShell(ref uint32) {
	b := p.slab.at(ref)
	if s := shapeOf(b); s.meta&flagKeyBlob != 0 {
		p.dropBlob(binary.LittleEndian.Uint32(b[s.key:]))
	}
	p.slab.free(ref)
}

// install makes key an entry of form f with value v, replacing what was there.
func (d *DB) install(key []byte, f form, v payload) {
	p, h, at, ok := d.open(key)
	ref, s := p.write(key, 0, false, f)
	p.fill(ref, s, v, f.vlen)
	if ok {
		p.unlink(at)
		p.dropEntry(at.ref)
	}
	p.countExpiry(p.keys.insert(p, h, ref).seg, false, f.expire)
}

// Copy copies src with its expiry to dst in another or the same DB, replacing what is there, and reports whether src
// was there. Blobs are shared, big values are copied element by element.
func (d *DB) Copy(src, dst []byte, to *DB) bool {
	p, _, at, ok := d.lookup(src)
	if !ok {
		return false
	}
	if d == to && string(src) == string(dst) {
		return true
	}
	b := p.slab.at(at.ref)
	s := shapeOf(b)
	f, v := p.formOf(b, s), p.peel(b, s)
	f.clock = d.store.clock.Load()
	if v.blob != nil {
		v.blob.Retain()
	}
	if isObject(s.meta) {
		twin := p.space.object(v.bytes).copyTo(to.space.partFor(d.store.hash.sum(dst)))
		var id [4]byte
		binary.LittleEndian.PutUint32(id[:], twin.base().globalID())
		v.bytes = id[:]
	}
	to.install(dst, f, v)
	return true
}

// Move moves a key to another DB; false when it is missing here or present there.
func (d *DB) Move(key []byte, to *DB) bool {
	if _, there := to.Peek(key); there || !d.Copy(key, key, to) {
		return false
	}
	defer d.store.CountLazy(d.store.CountLazy(false)) // in Redis the value itself moves
	return d.Delete(key)
}
