// Package listpack reads and writes Redis' listpack, a flat sequence of strings and integers:
//
//	total bytes (4, LE)  number of elements (2, LE; 65535: unknown)  elements...  0xFF
//
// An element is its encoding, its data, and the length of both written so that it can be read backwards (listpack.c).
// Only Check looks at bytes that come from outside; the other functions take what it accepted.
package listpack

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

const (
	// Header is the size of what precedes the first element.
	Header  = 6
	end     = 0xFF
	unknown = math.MaxUint16
)

// Value is an element: a string or, when IsInt, an integer. Str points into the listpack.
type Value struct {
	Str   []byte
	Int   int64
	IsInt bool
}

// Append appends the element's text.
func (v *Value) Append(dst []byte) []byte {
	if v.IsInt {
		return strconv.AppendInt(dst, v.Int, 10)
	}
	return append(dst, v.Str...)
}

// Is tells whether the element reads as s.
func (v *Value) Is(s []byte) bool {
	if v.IsInt {
		n, ok := ParseInt(s)
		return ok && n == v.Int
	}
	return string(v.Str) == string(s)
}

// Begin appends the header of a listpack, which Finish completes.
func Begin(dst []byte) []byte { return append(dst, 0, 0, 0, 0, 0, 0) }

// Finish closes the listpack that begins at start and has a number of elements.
func Finish(dst []byte, start, elements int) []byte {
	dst = append(dst, end)
	seal(dst[start:], elements)
	return dst
}

func seal(lp []byte, elements int) {
	binary.LittleEndian.PutUint32(lp, uint32(len(lp)))
	binary.LittleEndian.PutUint16(lp[4:], uint16(min(elements, unknown)))
}

// AppendString appends an element; the decimal form of an integer is stored as such.
func AppendString(dst, s []byte) []byte {
	if n, ok := ParseInt(s); ok {
		return AppendInt(dst, n)
	}
	from := len(dst)
	switch n := len(s); {
	case n < 64:
		dst = append(dst, 0x80|byte(n))
	case n < 4096:
		dst = append(dst, 0xE0|byte(n>>8), byte(n))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, 0xF0), uint32(n))
	}
	dst = append(dst, s...)
	return appendBack(dst, len(dst)-from)
}

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte {
	from := len(dst)
	switch {
	case n >= 0 && n <= 127:
		return append(dst, byte(n), 1)
	case n >= -4096 && n <= 4095:
		u := uint16(n) & 0x1FFF
		dst = append(dst, 0xC0|byte(u>>8), byte(u))
	case n >= math.MinInt16 && n <= math.MaxInt16:
		dst = append(dst, 0xF1, byte(n), byte(n>>8))
	case n >= -1<<23 && n < 1<<23:
		dst = append(dst, 0xF2, byte(n), byte(n>>8), byte(n>>16))
	case n >= math.MinInt32 && n <= math.MaxInt32:
		dst = binary.LittleEndian.AppendUint32(append(dst, 0xF3), uint32(n))
	default:
		dst = binary.LittleEndian.AppendUint64(append(dst, 0xF4), uint64(n))
	}
	return append(dst, byte(len(dst)-from))
}

// BackSize is the number of bytes in which an element's length stands behind it. It has Redis' own borders: 16383 already takes three bytes.
func BackSize(n int) int {
	switch {
	case n <= 127:
		return 1
	case n < 16383:
		return 2
	case n < 2097151:
		return 3
	case n < 268435455:
		return 4
	}
	return 5
}

// IsBack tells whether b, of BackSize(n) bytes, is what stands behind an element of n bytes.
func IsBack(b []byte, n int) bool {
	if len(b) == 1 {
		return int(b[0]) == n
	}
	var room [5]byte
	return string(appendBack(room[:0], n)) == string(b)
}

func appendBack(dst []byte, n int) []byte {
	size := BackSize(n)
	for i := size - 1; i >= 0; i-- {
		b := byte(n>>(7*i)) & 127
		if i != size-1 {
			b |= 128
		}
		dst = append(dst, b)
	}
	return dst
}

// Len is the number of bytes that the header announces.
func Len(lp []byte) int { return int(binary.LittleEndian.Uint32(lp)) }

// Count is the number of elements, -1 when the header does not know.
func Count(lp []byte) int {
	if n := int(binary.LittleEndian.Uint16(lp[4:])); n != unknown {
		return n
	}
	return -1
}

// Grown rewrites the header of a listpack after elements were added at its end or changed.
func Grown(lp []byte, added int) {
	n := int(binary.LittleEndian.Uint16(lp[4:]))
	if n != unknown {
		n += added
	}
	seal(lp, n)
}

// AtEnd tells whether there is no element at off.
func AtEnd(lp []byte, off int) bool { return lp[off] == end }

// At returns the element at off and where the next one begins.
func At(lp []byte, off int) (v Value, next int) {
	c := lp[off]
	if c < 0x80 {
		return Value{Int: int64(c), IsInt: true}, off + 2
	}
	head, data := size(lp[off:])
	p := lp[off+head : off+head+data : off+head+data]
	next = off + head + data + BackSize(head+data)
	switch {
	case c < 0xC0, c >= 0xE0 && c <= 0xF0:
		return Value{Str: p}, next
	case c < 0xE0:
		n := int64(c&31)<<8 | int64(lp[off+1])
		return Value{Int: n << 51 >> 51, IsInt: true}, next
	}
	return Value{Int: littleInt(p), IsInt: true}, next
}

// Int is the integer at off, 0 for a string, and where the next element begins.
func Int(lp []byte, off int) (n int64, next int) {
	v, next := At(lp, off)
	return v.Int, next
}

// Skip is where the element behind the one at off begins.
func Skip(lp []byte, off int) int {
	if lp[off] < 0x80 {
		return off + 2
	}
	head, data := size(lp[off:])
	return off + head + data + BackSize(head+data)
}

// Before is where the element before off begins.
func Before(lp []byte, off int) int {
	off--
	n, at := int(lp[off]&127), off
	for shift := 7; lp[at]&128 != 0; shift += 7 {
		at--
		n |= int(lp[at]&127) << shift
	}
	return at - n
}

// End is where the closing byte stands.
func End(lp []byte) int { return len(lp) - 1 }

// size returns the lengths of an element's head and of what follows it; data is -1 for an encoding that there is not.
func size(p []byte) (head, data int) {
	switch c := p[0]; {
	case c < 0x80:
		return 1, 0
	case c < 0xC0:
		return 1, int(c & 63)
	case c < 0xE0:
		return 2, 0
	case c < 0xF0:
		return 2, int(c&15)<<8 | int(p[1])
	case c == 0xF0:
		return 5, int(binary.LittleEndian.Uint32(p[1:]))
	case c <= 0xF4:
		return 1, [...]int{2, 3, 4, 8}[c-0xF1]
	}
	return 1, -1
}

// littleInt reads a signed integer of 1 to 8 bytes, least byte first.
func littleInt(p []byte) int64 {
	var u uint64
	for i, b := range p {
		u |= uint64(b) << (8 * i)
	}
	shift := 64 - 8*len(p)
	return int64(u<<shift) >> shift
}

// ParseInt parses exactly the form that printing the number gives back.
func ParseInt(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	digits, negative := s, s[0] == '-'
	if negative {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || (digits[0] == '0' && (len(digits) > 1 || negative)) {
		return 0, false
	}
	var u uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0') // 19 digits fit 64 bits without sign
	}
	if negative {
		return int64(-u), u <= 1<<63
	}
	return int64(u), u < 1<<63
}

// PutInt replaces the element at off by an integer and returns the listpack, which may have become longer or shorter.
func PutInt(lp []byte, off int, n int64) []byte {
	var room [16]byte
	e := AppendInt(room[:0], n)
	next, total := Skip(lp, off), len(lp)
	switch grow := len(e) - (next - off); {
	case grow > 0:
		lp = append(lp, e[:grow]...) // any bytes: they are overwritten
		copy(lp[next+grow:], lp[next:total])
	case grow < 0:
		copy(lp[next+grow:], lp[next:])
		lp = lp[:total+grow]
	}
	copy(lp[off:], e)
	binary.LittleEndian.PutUint32(lp, uint32(len(lp)))
	return lp
}

var errDamaged = errors.New("a listpack is damaged")

// Check tells whether lp is a whole, well-formed listpack, and counts its elements. It takes any bytes.
func Check(lp []byte) (elements int, err error) {
	if len(lp) < Header+1 || Len(lp) != len(lp) {
		return 0, errors.New("a listpack is damaged: its size is wrong")
	}
	off, last := Header, len(lp)-1
	for off < last {
		rest := lp[off:last]
		if need := headSize(rest[0]); rest[0] == end || need > len(rest) {
			return 0, errDamaged
		}
		head, data := size(rest)
		if data < 0 || data > len(rest)-head {
			return 0, errDamaged
		}
		n := head + data
		back := appendBack(make([]byte, 0, 5), n)
		if len(rest) < n+len(back) || string(rest[n:n+len(back)]) != string(back) {
			return 0, errDamaged
		}
		off += n + len(back)
		elements++
	}
	if lp[last] != end {
		return 0, errDamaged
	}
	if n := Count(lp); n >= 0 && n != elements {
		return 0, errors.New("a listpack is damaged: its number of elements is wrong")
	}
	return elements, nil
}

// headSize is the number of bytes that size looks at.
func headSize(c byte) int {
	switch {
	case c < 0xC0:
		return 1
	case c < 0xF0:
		return 2
	case c == 0xF0:
		return 5
	}
	return 1
}
