package rdb

import "encoding/binary"

// openHash begins a hash, whose fields NextField gives.
func (r *Reader) openHash(t Type, ev *Event) error {
	if t != TypeHash {
		err := r.openPacked(t)
		ev.Fields = r.fields
		return err
	}
	n, err := r.src.plainLength()
	r.left, r.isOpen, r.pending = n, true, t
	ev.Fields = int(min(n, 1<<31-1))
	return err
}

// skipHash passes over the rest of a hash.
func (r *Reader) skipHash(t Type, isOpen bool) error {
	if t == TypeHash && isOpen {
		return r.src.skipStrings(r.left, 2)
	}
	return nil
}

// openPacked reads a small hash or sorted set held in one string.
func (r *Reader) openPacked(t Type) error {
	p, err := r.src.str(&r.blob)
	if err != nil {
		return err
	}
	r.blob = append(r.blob[:0], p...)
	p = r.blob
	r.fields = -1
	header, count, total := 0, -1, -1
	switch t {
	case TypeHashListpack, TypeZsetListpack:
		header = listpackHeader
		if len(p) > header {
			total, count = int(binary.LittleEndian.Uint32(p)), int(binary.LittleEndian.Uint16(p[4:]))
		}
	case TypeHashZiplist, TypeZsetZiplist:
		header = ziplistHeader
		if len(p) > header {
			total, count = int(binary.LittleEndian.Uint32(p)), int(binary.LittleEndian.Uint16(p[8:]))
		}
	case TypeHashZipmap:
		header, total = 1, len(p)
	}
	if len(p) <= header || total != len(p) {
		return r.src.fail("a packed " + t.Name() + " is damaged: its size is wrong")
	}
	if count >= 0 && count != 65535 {
		r.fields = count / 2
	}
	r.rest, r.isOpen, r.pending = p[header:], true, t
	return nil
}

// NextField answers the next field and value of the hash given out last, and false behind the last
// one. Both are valid until the next call.
func (r *Reader) NextField() (field, value []byte, ok bool, err error) {
	if !r.isOpen {
		return nil, nil, false, nil
	}
	if r.pending == TypeHash {
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
	if !ok || end {
		return nil, nil, false, r.src.fail("a packed hash is damaged")
	}
	return field, value, true, nil
}

func (r *Reader) packed(isValue bool) (elem []byte, end, ok bool) {
	num := r.fieldNum[:]
	if isValue {
		num = r.src.num[:]
	}
	switch r.pending {
	case TypeHashListpack, TypeZsetListpack:
		elem, r.rest, end, ok = listpackNext(r.rest, num)
	case TypeHashZiplist, TypeZsetZiplist:
		elem, r.rest, end, ok = ziplistNext(r.rest, num)
	default:
		elem, r.rest, end, ok = zipmapNext(r.rest, isValue)
	}
	return elem, end && ok, ok
}

func (r *Reader) nextPair() (field, value []byte, ok bool, err error) {
	if r.left == 0 {
		r.isOpen = false
		return nil, nil, false, nil
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
