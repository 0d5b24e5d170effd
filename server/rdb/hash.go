package rdb

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/understudy-db/understudy/server/listpack"
)

// openHash begins a hash, whose fields NextField gives.
func (r *Reader) openHash(t Type, ev *Event) error {
	r.earliest, r.fieldAt = 0, 0
	if t == TypeHashTimes || t == TypeHashTimesPack {
		p, err := r.src.take(8)
		if err != nil {
			return err
		}
		r.earliest = binary.LittleEndian.Uint64(p)
	}
	if t.packs() {
		err := r.openPacked(t)
		ev.Fields = r.announced()
		return err
	}
	n, err := r.src.plainLength()
	r.left, r.isOpen, r.pending = n, true, t
	ev.Fields = int(min(n, 1<<31-1))
	return err
}

// skipHash passes over the rest of a hash.
func (r *Reader) skipHash(t Type, isOpen bool) error {
	switch {
	case t.packs() || !isOpen:
		return nil
	case t.HasTimes():
		return r.src.skipTimed(r.left)
	}
	return r.src.skipStrings(r.left, 2)
}

// openPacked reads a small hash or sorted set held in one string.
func (r *Reader) openPacked(t Type) error {
	p, err := r.src.str(&r.blob)
	if err != nil {
		return err
	}
	r.blob = append(r.blob[:0], p...)
	if !r.pack.open(r.blob, t.form()) {
		return r.damaged(t)
	}
	r.isOpen, r.pending = true, t
	return nil
}

// announced is the number of pairs as the header of a packed value tells it, -1 when it does not.
func (r *Reader) announced() int {
	if r.pack.count < 0 {
		return -1
	}
	if r.pending.HasTimes() {
		return r.pack.count / 3
	}
	return r.pack.count / 2
}

// form is the layout of a type that packs its elements in strings.
func (t Type) form() packForm {
	switch t {
	case TypeHashZipmap:
		return formZipmap
	case TypeHashZiplist, TypeZsetZiplist, TypeListZiplist, TypeListQuicklist:
		return formZiplist
	}
	return formListpack
}

// damaged refuses a packed value, naming its layout as Redis' log does.
func (r *Reader) damaged(t Type) error {
	name := t.Name()
	layout := strings.ToUpper(name[:1]) + name[1:] + [...]string{formListpack: " listpack", formZiplist: " ziplist", formZipmap: ""}[t.form()]
	if t.form() == formZipmap {
		layout = "Zipmap"
	}
	return r.src.fail(layout + " integrity check failed")
}

// NextField answers the next field and value of the hash given out last, and false behind the last
// one. Both are valid until the next call.
func (r *Reader) NextField() (field, value []byte, ok bool, err error) {
	if !r.isOpen {
		return nil, nil, false, nil
	}
	if !r.pending.packs() {
		return r.nextPair()
	}
	field, end, ok := r.packed(false)
	if end {
		r.isOpen = false
		return nil, nil, false, nil
	}
	if ok {
		value, end, ok = r.packed(true)
	}
	if ok && !end && r.pending.HasTimes() {
		end, ok = r.packedTime()
	}
	if !ok || end {
		return nil, nil, false, r.damaged(r.pending)
	}
	return field, value, true, nil
}

// FieldAt is when the field that NextField has just answered expires, in unix milliseconds; 0: it does not.
func (r *Reader) FieldAt() int64 { return r.fieldAt }

func (r *Reader) packedTime() (end, ok bool) {
	var room [24]byte
	p, end, ok := r.pack.next(room[:])
	if end || !ok {
		return end, ok
	}
	r.fieldAt, ok = listpack.ParseInt(p)
	return false, ok && r.fieldAt >= 0
}

// pairTime reads the time before a pair.
func (r *Reader) pairTime() error {
	n, err := r.src.plainLength()
	switch {
	case err != nil:
		return err
	case n == 0:
		r.fieldAt = 0
		return nil
	case r.pending == TypeHashTimes:
		n--
		if n+r.earliest < n {
			return r.src.fail("a hash's field expires beyond all time")
		}
		n += r.earliest
	}
	if n > math.MaxInt64 {
		return r.src.fail("a hash's field expires beyond all time")
	}
	r.fieldAt = int64(n)
	return nil
}

func (r *Reader) packed(isValue bool) (elem []byte, end, ok bool) {
	num := r.fieldNum[:]
	if isValue {
		num = r.src.num[:]
	}
	elem, end, ok = r.pack.next(num)
	return elem, end && ok, ok
}

func (r *Reader) nextPair() (field, value []byte, ok bool, err error) {
	if r.left == 0 {
		r.isOpen = false
		return nil, nil, false, nil
	}
	if r.pending.HasTimes() {
		if err := r.pairTime(); err != nil {
			return nil, nil, false, err
		}
	}
	p, err := r.src.str(&r.val)
	if err != nil {
		return nil, nil, false, err
	}
	r.blob = append(r.blob[:0], p...)
	if value, err = r.src.str(&r.val); err != nil {
		return nil, nil, false, err
	}
	r.left--
	return r.blob, value, true, nil
}
