package rdb

import (
	"encoding/binary"
	"strconv"
)

// A ziplist: total bytes (4, LE), offset of the tail (4, LE), number of entries (2, LE), entries, 0xFF.
// An entry is the length of the one before it (1 byte, or 0xFE and 4), its encoding and its data.
const ziplistHeader = 10

// ziplistNext reads the entry at the head of p, which follows one of prev bytes.
func ziplistNext(p []byte, prev int, num []byte) (elem, rest []byte, ok bool) {
	skip := 1
	if len(p) > 0 && p[0] == 0xFE {
		skip = 5
	}
	if len(p) <= skip {
		return nil, nil, false
	}
	told := int(p[0])
	if skip == 5 {
		told = int(binary.LittleEndian.Uint32(p[1:]))
	}
	if told != prev {
		return nil, nil, false
	}
	p = p[skip:]
	c := p[0]
	if c < 0xC0 {
		return ziplistString(p, c)
	}
	if c >= 0xF1 && c <= 0xFD {
		return strconv.AppendInt(num[:0], int64(c)-0xF1, 10), p[1:], true
	}
	size := 0
	switch c {
	case 0xC0:
		size = 2
	case 0xD0:
		size = 4
	case 0xE0:
		size = 8
	case 0xF0:
		size = 3
	case 0xFE:
		size = 1
	}
	if size == 0 || len(p) < 1+size {
		return nil, nil, false
	}
	return strconv.AppendInt(num[:0], littleInt(p[1:1+size]), 10), p[1+size:], true
}

func ziplistString(p []byte, c byte) (elem, rest []byte, ok bool) {
	head, n := 1, int(c&63)
	switch {
	case c>>6 == 1 && len(p) > 1:
		head, n = 2, int(c&63)<<8|int(p[1])
	case c>>6 == 2 && len(p) > 4:
		head, n = 5, int(binary.BigEndian.Uint32(p[1:]))
	case c>>6 != 0:
		return nil, nil, false
	}
	if len(p) < head+n {
		return nil, nil, false
	}
	return p[head : head+n], p[head+n:], true
}

// A zipmap: number of pairs (1, only a hint from 254 on), then per pair the length of the field (1, or
// 0xFE and 4 LE), the field, the length of the value, the count of unused bytes behind it (1), the
// value and the unused bytes; 0xFF ends it. zipmapNext reads fields and values in turn.
func zipmapNext(p []byte, isValue bool) (elem, rest []byte, end, ok bool) {
	if len(p) == 0 {
		return nil, nil, false, false
	}
	n, head := int(p[0]), 1
	switch {
	case p[0] == 0xFF:
		return nil, nil, true, len(p) == 1 && !isValue
	case p[0] == 0xFE && len(p) > 4:
		n, head = int(binary.LittleEndian.Uint32(p[1:])), 5
	case p[0] == 0xFE:
		return nil, nil, false, false
	}
	free := 0
	if isValue {
		if len(p) <= head {
			return nil, nil, false, false
		}
		free = int(p[head])
		head++
	}
	if len(p) < head+n+free {
		return nil, nil, false, false
	}
	return p[head : head+n], p[head+n+free:], false, true
}
