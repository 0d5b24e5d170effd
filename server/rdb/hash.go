package rdb

import "strings"

// openHash begins a hash, whose fields NextField gives.
func (r *Reader) openHash(t Type, ev *Event) error {
	if t != TypeHash {
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
		return nil, nil, false, r.damaged(r.pending)
	}
	return field, value, true, nil
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
