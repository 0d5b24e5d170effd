package store

import "encoding/binary"

// A pack is a small hash as flat bytes:
//
//	u16 number of fields; then per field: varint, field bytes, varint, value bytes
//
// in the order of first insertion. Functions here take well-formed packs: they are never read from outside.
const (
	packHeader = 2
	packMax    = 1<<16 - 1
)

func packLen(b []byte) int { return int(binary.LittleEndian.Uint16(b)) }

func packSetLen(b []byte, n int) { binary.LittleEndian.PutUint16(b, uint16(n)) }

// packItem is a field's place in a pack: the whole item is b[start:end].
type packItem struct {
	start, field, fieldEnd, value, end int
}

func packAt(b []byte, start int) packItem {
	n, w := varint(b[start:])
	it := packItem{start: start, field: start + w, fieldEnd: start + w + n}
	n, w = varint(b[it.fieldEnd:])
	it.value = it.fieldEnd + w
	it.end = it.value + n
	return it
}

func packFind(b, field []byte) (packItem, bool) {
	for at := packHeader; at < len(b); {
		from, width := at, 1
		n := int(b[at])
		if n >= 0x80 {
			n, width = varint(b[at:])
		}
		at += width + n
		if n == len(field) && same(b[at-n:at], field) {
			return packAt(b, from), true
		}
		n, width = int(b[at]), 1
		if n >= 0x80 {
			n, width = varint(b[at:])
		}
		at += width + n
	}
	return packItem{}, false
}

// same compares texts of equal length, their ends first, where names that count differ.
func same(a, b []byte) bool {
	last := len(a) - 1
	return last < 0 || a[last] == b[last] && string(a) == string(b)
}

func packItemLen(flen, vlen int) int { return varintLen(flen) + flen + varintLen(vlen) + vlen }

// packPut writes an item at the start of dst.
func packPut(dst, field, value []byte) {
	at := binary.PutUvarint(dst, uint64(len(field)))
	at += copy(dst[at:], field)
	at += binary.PutUvarint(dst[at:], uint64(len(value)))
	copy(dst[at:], value)
}
