package store

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Elements of lists are kept in the encoding of Redis' listpacks, one behind the other without the listpack's frame: so
// a snapshot copies them as they are, and integers are short. An element is its encoding, its data, and the length of
// both written so that it can be read backwards.

// Elem is an element of a list: an integer in canonical form or bytes. The bytes point into the store and are good until
// the next write of the DB.
type Elem struct {
	b    []byte // nil for an integer
	n    int64
	blob *Blob // holds b, when the element has one
}

// Run is some elements that lie one behind the other, from the first that was not taken yet.
type Run struct {
	data []byte
	blob *Blob // the one element is data, in a blob
}

// Text takes the next element when it is a short text, which most are. It is small enough to become part of its caller.
func (r *Run) Text() (text []byte, ok bool) {
	if r.blob != nil || len(r.data) == 0 || r.data[0]>>6 != 2 {
		return nil, false
	}
	n := 1 + int(r.data[0]&63)
	text, r.data = r.data[1:n:n], r.data[n+1:]
	return text, true
}

// Next takes the next element; ok is false when there is none.
func (r *Run) Next() (e Elem, ok bool) {
	switch {
	case len(r.data) == 0 && r.blob == nil:
		return Elem{}, false
	case r.blob != nil:
		e = Elem{b: r.data, blob: r.blob}
		*r = Run{}
		return e, true
	}
	e = elemAt(r.data)
	r.data = r.data[elemSize(r.data):]
	return e, true
}

// Int is the element's value when it is an integer.
func (e Elem) Int() (int64, bool) { return e.n, e.b == nil }

// Append appends the element's text.
func (e Elem) Append(dst []byte) []byte {
	if e.b == nil {
		return strconv.AppendInt(dst, e.n, 10)
	}
	return append(dst, e.b...)
}

// Bytes are the element's text; an integer is written into scratch.
func (e Elem) Bytes(scratch []byte) []byte {
	if e.b == nil {
		return strconv.AppendInt(scratch[:0], e.n, 10)
	}
	return e.b
}

// Len is the length of the element's text.
func (e Elem) Len() int {
	if e.b == nil {
		var digits [20]byte
		return len(strconv.AppendInt(digits[:0], e.n, 10))
	}
	return len(e.b)
}

// Blob is the element's blob with a reference for the caller, or nil when it is not kept in one.
func (e Elem) Blob() *Blob {
	if e.blob != nil {
		e.blob.Retain()
	}
	return e.blob
}

// Needle is what elements are compared with.
type Needle struct {
	b     []byte
	n     int64
	isInt bool
}

// NeedleOf prepares a text for comparisons.
func NeedleOf(v []byte) Needle {
	n, ok := canonicalInt(v)
	return Needle{v, n, ok}
}

// Is compares the element with a text.
func (e Elem) Is(n *Needle) bool {
	if e.b == nil {
		return n.isInt && e.n == n.n
	}
	return string(e.b) == string(n.b)
}

// packedElem is an element on its way into a list.
type packedElem struct {
	v     []byte
	n     int64
	isInt bool
	size  int // encoded
}

// pack makes p the element of text v. It fills p where it is: to copy it right afterwards would wait for its fields.
func (p *packedElem) pack(v []byte) {
	p.v = v
	if p.n, p.isInt = canonicalInt(v); p.isInt {
		p.size = intSize(p.n)
	} else {
		switch {
		case len(v) < 64:
			p.size = 1 + len(v)
		case len(v) < 4096:
			p.size = 2 + len(v)
		default:
			p.size = 5 + len(v)
		}
	}
	p.size += backSize(p.size)
}

func packElem(v []byte) (p packedElem) {
	p.pack(v)
	return p
}

func intSize(n int64) int {
	switch {
	case n >= 0 && n <= 127:
		return 1
	case n >= -4096 && n <= 4095:
		return 2
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return 3
	case n >= -1<<23 && n < 1<<23:
		return 4
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return 5
	}
	return 9
}

// backSize has Redis' own borders: 16383 already takes three bytes.
func backSize(n int) int {
	switch {
	case n <= 127:
		return 1
	case n < 16383:
		return 2
	}
	return 3
}

// put writes the element to the start of dst.
func (p *packedElem) put(dst []byte) {
	var at int
	if p.isInt {
		at = putInt(dst, p.n)
	} else {
		switch n := len(p.v); {
		case n < 64:
			dst[0] = 0x80 | byte(n)
			at = 1
		case n < 4096:
			dst[0], dst[1] = 0xE0|byte(n>>8), byte(n)
			at = 2
		default:
			dst[0] = 0xF0
			binary.LittleEndian.PutUint32(dst[1:], uint32(n))
			at = 5
		}
		at += copy(dst[at:], p.v)
	}
	n := at
	size := backSize(n)
	for i := size - 1; i >= 0; i-- {
		b := byte(n>>(7*i)) & 127
		if i != size-1 {
			b |= 128
		}
		dst[at] = b
		at++
	}
}

func putInt(dst []byte, n int64) int {
	size := intSize(n)
	switch size {
	case 1:
		dst[0] = byte(n)
	case 2:
		u := uint16(n) & 0x1FFF
		dst[0], dst[1] = 0xC0|byte(u>>8), byte(u)
	case 3, 4, 5:
		dst[0] = 0xF1 + byte(size-3)
		for i := 1; i < size; i++ {
			dst[i] = byte(n >> (8 * (i - 1)))
		}
	default:
		dst[0] = 0xF4
		binary.LittleEndian.PutUint64(dst[1:], uint64(n))
	}
	return size
}

// elemSize is the whole size of the element at the start of b.
func elemSize(b []byte) int {
	n := elemData(b)
	return n + backSize(n)
}

// elemData is elemSize without the length at the element's end.
func elemData(b []byte) int {
	switch c := b[0]; {
	case c < 0x80:
		return 1
	case c < 0xC0:
		return 1 + int(c&63)
	case c < 0xE0:
		return 2
	case c < 0xF0:
		return 2 + (int(c&15)<<8 | int(b[1]))
	case c == 0xF0:
		return 5 + int(binary.LittleEndian.Uint32(b[1:]))
	default:
		return 1 + [...]int{2, 3, 4, 8}[c-0xF1]
	}
}

// elemBefore is the start of the element that ends at end.
func elemBefore(b []byte, end int) int {
	n, shift, at := 0, 0, end-1
	for {
		c := b[at]
		n |= int(c&127) << shift
		if c < 128 {
			return at - n
		}
		shift += 7
		at--
	}
}

// elemAt decodes the element at the start of b.
func elemAt(b []byte) Elem {
	switch c := b[0]; {
	case c < 0x80:
		return Elem{n: int64(c)}
	case c < 0xC0:
		n := 1 + int(c&63)
		return Elem{b: b[1:n:n]}
	case c < 0xE0:
		return Elem{n: (int64(c&31)<<8 | int64(b[1])) << 51 >> 51}
	case c < 0xF0:
		n := 2 + (int(c&15)<<8 | int(b[1]))
		return Elem{b: b[2:n:n]}
	case c == 0xF0:
		n := 5 + int(binary.LittleEndian.Uint32(b[1:]))
		return Elem{b: b[5:n:n]}
	default:
		size := [...]int{2, 3, 4, 8}[c-0xF1]
		var u uint64
		for i := range size {
			u |= uint64(b[1+i]) << (8 * i)
		}
		shift := 64 - 8*size
		return Elem{n: int64(u<<shift) >> shift}
	}
}

// elemText is elemAt for those who want the text alone, nil for the integer n.
func elemText(b []byte) (text []byte, n int64) {
	if c := b[0]; c >= 0x80 && c < 0xC0 {
		end := 1 + int(c&63)
		return b[1:end:end], 0
	}
	e := elemAt(b)
	return e.b, e.n
}

// elemOffset is where element i of the n in b begins; i == n gives the end.
func elemOffset(b []byte, i, n int) int {
	if i > n/2 {
		at := len(b)
		for ; n > i; n-- {
			at = elemBefore(b, at)
		}
		return at
	}
	at := 0
	for ; i > 0; i-- {
		at += elemSize(b[at:])
	}
	return at
}
