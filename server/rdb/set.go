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
		if !r.pack.open(p, formListpack) {
			return r.damaged(t)
		}
		return nil
	}
	if len(p) < intsetHeader {
		return r.src.fail("an intset has no header: integrity check failed")
	}
	width, n := binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])
	if width != 2 && width != 4 && width != 8 || uint64(len(p)-intsetHeader) != uint64(width)*uint64(n) {
		return r.src.fail("an intset's size is wrong: integrity check failed")
	}
	r.width, r.rest, r.ordered, ev.Fields = int(width), p[intsetHeader:], false, int(n)
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
		member, end, whole = r.pack.next(r.fieldNum[:])
		if !whole {
			return nil, false, r.damaged(r.pending)
		}
		if !end {
			return member, true, nil
		}
	case r.pending == TypeSetIntset && len(r.rest) > 0:
		n := littleInt(r.rest[:r.width])
		if r.ordered && n <= r.last {
			return nil, false, r.src.fail("an intset is not in order: integrity check failed")
		}
		r.ordered, r.last = true, n
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
