package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// A listpack: total bytes (4, LE), number of elements (2, LE; 65535: unknown), elements, 0xFF. An
// element is its encoding, its data and the length of both, written so that it can be read backwards.
const listpackHeader = 6

// BeginListpack appends an empty listpack's header; FinishListpack must be called with the same start,
// which is len(dst) before this call.
func BeginListpack(dst []byte) []byte { return append(dst, 0, 0, 0, 0, 0, 0) }

// AppendListpackElement adds an element; decimal numbers are stored as such.
func AppendListpackElement(dst, s []byte) []byte {
	mark := len(dst)
	if n, ok := canonicalInt64(s); ok {
		dst = appendListpackInt(dst, n)
	} else {
		dst = appendListpackString(dst, s)
	}
	return appendBacklen(dst, len(dst)-mark)
}

// FinishListpack closes the listpack that begins at start and holds the given number of elements.
func FinishListpack(dst []byte, start, elements int) []byte {
	dst = append(dst, 0xFF)
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	binary.LittleEndian.PutUint16(dst[start+4:], uint16(min(elements, math.MaxUint16)))
	return dst
}

func appendListpackInt(dst []byte, n int64) []byte {
	switch {
	case n >= 0 && n <= 127:
		return append(dst, byte(n))
	case n >= -4096 && n <= 4095:
		u := uint16(n) & 0x1FFF
		return append(dst, 0xC0|byte(u>>8), byte(u))
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return append(dst, 0xF1, byte(n), byte(n>>8))
	case n >= -1<<23 && n < 1<<23:
		return append(dst, 0xF2, byte(n), byte(n>>8), byte(n>>16))
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return binary.LittleEndian.AppendUint32(append(dst, 0xF3), uint32(n))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xF4), uint64(n))
}

func appendListpackString(dst, s []byte) []byte {
	switch {
	case len(s) < 64:
		dst = append(dst, 0x80|byte(len(s)))
	case len(s) < 4096:
		dst = append(dst, 0xE0|byte(len(s)>>8), byte(len(s)))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, 0xF0), uint32(len(s)))
	}
	return append(dst, s...)
}

// backlenSize has Redis' own borders: 16383 already takes three bytes.
func backlenSize(n int) int {
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

func appendBacklen(dst []byte, n int) []byte {
	size := backlenSize(n)
	for i := size - 1; i >= 0; i-- {
		b := byte(n>>(7*i)) & 127
		if i != size-1 {
			b |= 128
		}
		dst = append(dst, b)
	}
	return dst
}

// listpackNext reads the element at the head of p. num is scratch for numbers. It answers ok false
// when p is damaged, and end true at the closing byte.
func listpackNext(p, num []byte) (elem, rest []byte, end, ok bool) {
	if len(p) == 0 {
		return nil, nil, false, false
	}
	c := p[0]
	head := 1
	var data int
	switch {
	case c == 0xFF:
		return nil, nil, true, len(p) == 1
	case c < 0x80:
		return listpackCut(p, 1, 0, strconv.AppendInt(num[:0], int64(c), 10))
	case c < 0xC0:
		data = int(c & 63)
	case c < 0xE0 && len(p) > 1:
		n := int64(c&31)<<8 | int64(p[1])
		return listpackCut(p, 2, 0, strconv.AppendInt(num[:0], n<<51>>51, 10))
	case c >= 0xE0 && c < 0xF0 && len(p) > 1:
		head, data = 2, int(c&15)<<8|int(p[1])
	case c == 0xF0 && len(p) > 4:
		head, data = 5, int(binary.LittleEndian.Uint32(p[1:]))
	case c > 0xF0 && c <= 0xF4:
		size := [...]int{2, 3, 4, 8}[c-0xF1]
		if len(p) < 1+size {
			return nil, nil, false, false
		}
		return listpackCut(p, 1, size, strconv.AppendInt(num[:0], littleInt(p[1:1+size]), 10))
	default:
		return nil, nil, false, false
	}
	if len(p) < head+data {
		return nil, nil, false, false
	}
	return listpackCut(p, head, data, p[head:head+data])
}

func listpackCut(p []byte, head, data int, elem []byte) (_, rest []byte, end, ok bool) {
	size := head + data
	size += backlenSize(size)
	if len(p) < size {
		return nil, nil, false, false
	}
	return elem, p[size:], false, true
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
