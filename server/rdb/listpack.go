package rdb

import (
	"encoding/binary"
	"strconv"

	"github.com/understudy-db/understudy/server/listpack"
)

// listpackHeader is the size of what precedes the first element.
const listpackHeader = listpack.Header

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
	back := listpack.BackSize(size)
	if len(p) < size+back || !listpack.IsBack(p[size:size+back], size) {
		return nil, nil, false, false
	}
	return elem, p[size+back:], false, true
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
