package store

import (
	"encoding/binary"
	"strconv"
)

// Set is a handle on a set, valid until the next write of its DB that does not go through it.
//
// A set of integers is an intset (intset.go) up to set-max-intset-entries. Others are packs of members up to
// setPackEntries and setPackMember, then tables; clients see a hashtable in both. What has become a pack or a table
// never becomes an intset again, except by Clear.
type Set struct {
	handle
	obj *tableObject // nil for an intset or a pack
}

const (
	setPackEntries = 64 // a look at 128 took more than redis-server's whole SADD
	setPackMember  = 64
)

// Set returns the set at key. Expired keys are hidden. Safe under a shared lock.
func (d *DB) Set(key []byte, now int64) (s Set, found, wrongType bool) {
	e, ok := d.Get(key, now)
	if !ok {
		return Set{}, false, false
	}
	if e.Kind() != SetKind {
		return Set{}, false, true
	}
	return e.Set(), true, false
}

// Set is a handle for reading an entry's set.
func (e Entry) Set() (s Set) {
	s.read(e)
	s.open()
	return s
}

// ForWrite makes s a handle for writing the set at key, an empty new one when there is none. The caller deletes the key when
// it leaves the set empty.
func (s *Set) ForWrite(d *DB, key []byte) (wrongType bool) {
	if s.forWrite(d, key, SetKind, typeIntset, intsetHeader) {
		return true
	}
	s.open()
	return false
}

// ForWriteMet is ForWrite of a set that the latest Use of d has found at key, when nothing was written since.
func (s *Set) ForWriteMet(d *DB, key []byte) {
	s.forWriteMet(d, key)
	s.open()
}

// SetForWrite is ForWrite where the copy of the handle does not matter.
func (d *DB) SetForWrite(key []byte) (s Set, wrongType bool) {
	wrongType = s.ForWrite(d, key)
	return s, wrongType
}

// open finds the object of a big set.
func (s *Set) open() {
	s.obj = nil
	if o := s.object(); o != nil {
		s.obj = o.(*tableObject)
	}
}

func (s *Set) isInts() bool { return s.obj == nil && s.typ() == typeIntset }

// Len is the number of members.
func (s *Set) Len() int {
	s.check()
	switch {
	case s.obj != nil:
		return s.obj.size()
	case s.isInts():
		return intsetLen(s.bytes())
	}
	return packLen(s.bytes())
}

// Encoding is "intset" or "hashtable".
func (s *Set) Encoding() string { return kinds[s.typ()].encoding }

// Has tells whether the set has a member.
func (s *Set) Has(member []byte) (found bool) {
	s.check()
	if s.obj != nil {
		_, _, found = s.obj.find(member)
		return found
	}
	b := s.bytes()
	if s.isInts() {
		n, ok := canonicalInt(member)
		if ok {
			_, found = intsetFind(b, n)
		}
		return found
	}
	_, _, found = setPackFind(b, member)
	return found
}

// Add adds a member, which must not point into the store, and reports whether it is new.
func (s *Set) Add(member []byte) (added bool) {
	s.check()
	s.wrote()
	if s.obj != nil {
		return s.obj.set(member, nil)
	}
	if s.isInts() {
		if n, ok := canonicalInt(member); ok {
			added = s.addInt(n)
			if added && intsetLen(s.bytes()) > min(s.p.space.store.Config.SetMaxIntsetEntries, intsetMax) {
				s.leaveInts(0)
			}
			return added
		}
		s.leaveInts(len(member))
		return s.Add(member)
	}
	b := s.bytes()
	if _, _, found := setPackFind(b, member); found {
		return false
	}
	if packLen(b) >= setPackEntries || len(member) > setPackMember {
		s.convert()
		return s.obj.set(member, nil)
	}
	setPackAdd(s.resize(len(b)+varintLen(len(member))+len(member), typeSetPack), len(b), member)
	return true
}

// leaveInts turns an intset into a pack, or into a table when it has many members or will get one of n bytes that no
// pack takes.
func (s *Set) leaveInts(n int) {
	if n <= setPackMember && intsetLen(s.bytes()) == 0 {
		packSetLen(s.resize(packHeader, typeSetPack), 0)
		return
	}
	ints := append([]byte(nil), s.bytes()...)
	count := intsetLen(ints)
	if n > setPackMember || count >= setPackEntries {
		s.convert()
		return
	}
	var digits [20]byte
	size := packHeader
	for i := range count {
		size += 1 + len(strconv.AppendInt(digits[:0], intsetAt(ints, i), 10))
	}
	b := s.resize(size, typeSetPack)
	packSetLen(b, 0)
	for at, i := packHeader, 0; i < count; i++ {
		at += setPackAdd(b, at, strconv.AppendInt(digits[:0], intsetAt(ints, i), 10))
	}
}

// convert turns a small set into a table.
func (s *Set) convert() {
	o := s.p.newTable(typeSetTable)
	s.small(func(m []byte) bool { o.set(m, nil); return true })
	s.become(o)
	s.obj = o
}

// NoInts makes the set one that is no intset, whatever its members.
func (s *Set) NoInts() {
	if s.isInts() {
		s.wrote()
		s.leaveInts(0)
	}
}

// Remove takes a member out and reports whether it was there.
func (s *Set) Remove(member []byte) (removed bool) {
	s.check()
	if s.obj != nil {
		h, at, ok := s.obj.find(member)
		if ok {
			s.wrote()
			s.obj.removeAt(h, at)
		}
		return ok
	}
	if s.isInts() {
		n, ok := canonicalInt(member)
		if !ok {
			return false
		}
		s.wrote()
		return s.removeInt(n)
	}
	start, end, ok := setPackFind(s.bytes(), member)
	if ok {
		s.wrote()
		b := s.splice(start, end, 0)
		packSetLen(b, packLen(b)-1)
	}
	return ok
}

// Clear empties the set, which is as if new then; its expiry stays.
func (s *Set) Clear() {
	s.check()
	s.wrote()
	if s.obj == nil {
		s.resize(intsetHeader, typeIntset)[0] = 0
		return
	}
	s.empty(typeIntset, intsetHeader)[0] = 0
	s.obj = nil
}

// Each calls fn for every member until it returns false. A member is valid until fn returns; fn must not write.
func (s *Set) Each(fn func(member []byte) bool) {
	s.check()
	if s.obj != nil {
		s.obj.each(func(m, _ []byte) bool { return fn(m) })
		return
	}
	s.small(fn)
}

// small is Each for a set that is no table.
func (s *Set) small(fn func(member []byte) bool) {
	b := s.bytes()
	if s.isInts() {
		var digits [20]byte
		for i := range intsetLen(b) {
			if !fn(strconv.AppendInt(digits[:0], intsetAt(b, i), 10)) {
				return
			}
		}
		return
	}
	for at := packHeader; at < len(b); {
		start, end := setPackAt(b, at)
		if !fn(b[start:end:end]) {
			return
		}
		at = end
	}
}

// Scan is SSCAN: about count members from a cursor, and the next cursor, 0 at the end. A small set is returned whole.
// Members stay valid until the next write.
func (s *Set) Scan(cursor uint64, count int, fn func(member []byte)) uint64 {
	s.check()
	if s.obj != nil {
		return s.obj.scan(cursor, count, func(m, _ []byte) { fn(m) })
	}
	b := s.bytes()
	if !s.isInts() {
		s.small(func(m []byte) bool { fn(m); return true })
		return 0
	}
	var text []byte
	for i := range intsetLen(b) {
		start := len(text)
		text = strconv.AppendInt(text, intsetAt(b, i), 10)
		fn(text[start:len(text):len(text)])
	}
	return 0
}

// Random returns a member, chosen by rnd with equal chances, which may be written into scratch. The set must not be
// empty.
func (s *Set) Random(rnd uint64, scratch []byte) []byte {
	s.check()
	if s.obj != nil {
		m, _ := s.obj.home.pair(s.obj.fields.random(rnd))
		return m
	}
	b := s.bytes()
	n := splitmix(&rnd) % uint64(s.Len())
	if s.isInts() {
		return strconv.AppendInt(scratch[:0], intsetAt(b, int(n)), 10)
	}
	start, end := setPackAt(b, packHeader)
	for ; n > 0; n-- {
		start, end = setPackAt(b, end)
	}
	return b[start:end:end]
}

// AppendInts appends an intset as Redis lays it out (u32 width, u32 number, integers, little endian); ok is false for
// other sets.
func (s *Set) AppendInts(dst []byte) (out []byte, ok bool) {
	s.check()
	if !s.isInts() {
		return dst, false
	}
	b := s.bytes()
	dst = binary.LittleEndian.AppendUint32(dst, uint32(max(b[0], 2)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(intsetLen(b)))
	return append(dst, b[intsetHeader:]...), true
}

// A pack of members is flat bytes too: u16 number of members; then per member varint, bytes, in the order of insertion.

// setPackAt returns where the bytes of the member at start stand; the next one begins at end.
func setPackAt(b []byte, start int) (from, end int) {
	n, w := varint(b[start:])
	return start + w, start + w + n
}

// setPackFind returns the place of a member with its length.
func setPackFind(b, member []byte) (start, end int, found bool) {
	for at := packHeader; at < len(b); {
		n, width := int(b[at]), 1
		if n >= 0x80 {
			n, width = varint(b[at:])
		}
		end := at + width + n
		if n == len(member) && same(b[end-n:end], member) {
			return at, end, true
		}
		at = end
	}
	return 0, 0, false
}

// setPackAdd writes a member at a place, counts it and returns the bytes that it takes.
func setPackAdd(b []byte, at int, member []byte) (n int) {
	n = binary.PutUvarint(b[at:], uint64(len(member)))
	n += copy(b[at+n:], member)
	packSetLen(b, packLen(b)+1)
	return n
}
