package rdb

import "encoding/binary"

// packed reads the elements of a small value that is held in one string: a listpack, a ziplist or a zipmap. It checks all
// that the header and the elements say of each other while it goes, so that nothing is believed of bytes that were not
// read; the end is the last thing it checks.
type packed struct {
	rest  []byte
	form  packForm
	count int // elements as the header tells, -1: not told
	seen  int
	tail  int // of a ziplist: where the last entry begins
	at    int // of a ziplist: where the next entry begins
	prev  int // of a ziplist: size of the entry before
}

// packForm is a layout.
type packForm uint8

const (
	formListpack packForm = iota
	formZiplist
	formZipmap
)

// open begins to read p, and is false when its header is wrong.
func (k *packed) open(p []byte, form packForm) bool {
	*k = packed{form: form, count: -1}
	header, total := 1, len(p)
	switch form {
	case formListpack:
		header = listpackHeader
	case formZiplist:
		header = ziplistHeader
	}
	if len(p) <= header {
		return false
	}
	switch form {
	case formListpack:
		total = int(binary.LittleEndian.Uint32(p))
		k.count = int(binary.LittleEndian.Uint16(p[4:]))
	case formZiplist:
		total = int(binary.LittleEndian.Uint32(p))
		k.count, k.tail, k.at = int(binary.LittleEndian.Uint16(p[8:])), int(binary.LittleEndian.Uint32(p[4:])), header
	case formZipmap:
		if p[0] < 254 {
			k.count = 2 * int(p[0])
		}
	}
	if k.count == 65535 {
		k.count = -1
	}
	k.rest = p[header:]
	return total == len(p)
}

// isOpen tells whether there is something to read.
func (k *packed) isOpen() bool { return k.rest != nil }

// close forgets what is unread.
func (k *packed) close() { k.rest = nil }

// next answers the next element, end behind the last one, or ok false when the bytes are damaged. num is scratch for a
// number.
func (k *packed) next(num []byte) (elem []byte, end, ok bool) {
	before := len(k.rest)
	switch k.form {
	case formListpack:
		elem, k.rest, end, ok = listpackNext(k.rest, num)
	case formZiplist:
		if end = before == 1 && k.rest[0] == 0xFF; end {
			return nil, true, k.atEnd() && (k.seen == 0 && k.tail == k.at || k.seen > 0 && k.tail == k.at-k.prev)
		}
		elem, k.rest, ok = ziplistNext(k.rest, k.prev, num)
		k.prev = before - len(k.rest)
		k.at += k.prev
	case formZipmap:
		elem, k.rest, end, ok = zipmapNext(k.rest, k.seen&1 == 1)
	}
	if end {
		return nil, true, ok && k.atEnd() && (k.form != formZipmap || k.seen > 0) // Redis refuses an empty zipmap
	}
	k.seen++
	return elem, false, ok
}

func (k *packed) atEnd() bool { return k.count < 0 || k.count == k.seen }
