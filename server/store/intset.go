package store

import (
	"encoding/binary"
	"math"
)

// An intset is a small set of integers as flat bytes:
//
//	u8 width of an integer in bytes: 2, 4 or 8 (0 while there is none); then the integers, ascending, little endian
//
// Functions here take well-formed intsets: they are never read from outside.
const intsetHeader = 1

// intsetMax bounds set-max-intset-entries, as in Redis.
const intsetMax = 1 << 30

func intWidth(n int64) int {
	switch {
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return 2
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return 4
	}
	return 8
}

func intsetLen(b []byte) int {
	if b[0] == 0 {
		return 0
	}
	return (len(b) - intsetHeader) / int(b[0])
}

func intsetAt(b []byte, i int) int64 {
	switch b[0] {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b[intsetHeader+2*i:])))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b[intsetHeader+4*i:])))
	}
	return int64(binary.LittleEndian.Uint64(b[intsetHeader+8*i:]))
}

func intsetPut(b []byte, i int, n int64) {
	switch b[0] {
	case 2:
		binary.LittleEndian.PutUint16(b[intsetHeader+2*i:], uint16(n))
	case 4:
		binary.LittleEndian.PutUint32(b[intsetHeader+4*i:], uint32(n))
	default:
		binary.LittleEndian.PutUint64(b[intsetHeader+8*i:], uint64(n))
	}
}

// intsetFind returns the place of n, or where it belongs.
func intsetFind(b []byte, n int64) (i int, found bool) {
	low, high := 0, intsetLen(b)
	for low < high {
		mid := int(uint(low+high) / 2)
		switch v := intsetAt(b, mid); {
		case v == n:
			return mid, true
		case v < n:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// addInt adds an integer to the intset at a handle and reports whether it is new.
func (h *handle) addInt(n int64) bool {
	b := h.bytes()
	at, found := intsetFind(b, n)
	if found {
		return false
	}
	width := int(b[0])
	if w := intWidth(n); w > width {
		h.widenInts(w)
		width = w
	}
	place := intsetHeader + at*width
	intsetPut(h.splice(place, place, width), at, n)
	return true
}

// widenInts gives every integer w bytes.
func (h *handle) widenInts(w int) {
	count := intsetLen(h.bytes())
	b := h.resize(intsetHeader+count*w, typeIntset)
	old := b[0]
	for i := count - 1; i >= 0; i-- { // from the end, so that nothing is overwritten before it is read
		b[0] = old
		n := intsetAt(b, i)
		b[0] = byte(w)
		intsetPut(b, i, n)
	}
	b[0] = byte(w)
}

// removeInt takes an integer out of the intset at a handle and reports whether it was there.
func (h *handle) removeInt(n int64) bool {
	b := h.bytes()
	at, found := intsetFind(b, n)
	if !found {
		return false
	}
	width := int(b[0])
	h.splice(intsetHeader+at*width, intsetHeader+(at+1)*width, 0)
	return true
}
