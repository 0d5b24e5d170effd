package rdb

import (
	"encoding/binary"
	"strconv"
)

// intsetHeader: u32 bytes of an integer, u32 number of integers; they follow ascending, little endian.
const intsetHeader = 8

// AppendSetEntry begins a set of the given number of members, at least one; as many strings follow.
func AppendSetEntry(dst, key []byte, members int, compress bool) []byte {
	dst = AppendString(append(dst, byte(TypeSet)), key, compress)
	return AppendLen(dst, uint64(members))
}

// openSet begins a set, whose members NextMember gives.
func (r *Reader) openSet(t Type, ev *Event) error {
	r.pending, r.isOpen, r.width = t, true, 0
	if t == TypeSet {
		n, err := r.src.plainLength()
		r.left = n
		ev.Fields = int(min(n, 1<<31-1))
		return err
	}
	p, err := r.src.str(&r.blob)
	if err != nil {
		return err
	}
	r.blob = append(r.blob[:0], p...)
	p = r.blob
	if t == TypeSetListpack {
		if len(p) <= listpackHeader || int(binary.LittleEndian.Uint32(p)) != len(p) {
			return r.src.fail("a packed set is damaged: its size is wrong")
		}
		r.rest = p[listpackHeader:]
		return nil
	}
	if len(p) < intsetHeader {
		return r.src.fail("an intset is damaged: it has no header")
	}
	width, n := binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])
	if width != 2 && width != 4 && width != 8 || uint64(len(p)-intsetHeader) != uint64(width)*uint64(n) {
		return r.src.fail("an intset is damaged: its size is wrong")
	}
	r.width, r.rest, ev.Fields = int(width), p[intsetHeader:], int(n)
	return nil
}

// NextMember answers the next member of the set given out last, and false behind the last one. It is valid until the
// next call.
func (r *Reader) NextMember() (member []byte, ok bool, err error) {
	if !r.isOpen {
		return nil, false, nil
	}
	switch {
	case r.pending == TypeSet && r.left > 0:
		r.left--
		member, err = r.src.str(&r.val)
		return member, err == nil, err
	case r.pending == TypeSetListpack:
		var end, whole bool
		member, r.rest, end, whole = listpackNext(r.rest, r.fieldNum[:])
		if !whole {
			return nil, false, r.src.fail("a packed set is damaged")
		}
		if !end {
			return member, true, nil
		}
	case r.pending == TypeSetIntset && len(r.rest) > 0:
		n := littleInt(r.rest[:r.width])
		r.rest = r.rest[r.width:]
		return strconv.AppendInt(r.fieldNum[:0], n, 10), true, nil
	}
	r.isOpen = false
	return nil, false, nil
}

// skipSet passes over the rest of a set.
func (r *Reader) skipSet(t Type, isOpen bool) error {
	if t == TypeSet && isOpen {
		return r.src.skipStrings(r.left, 1)
	}
	return nil
}
