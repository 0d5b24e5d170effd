package rdb

import "math"

// LZF, the byte format:
//
//	000LLLLL <L+1 bytes>                literals
//	LLLooooo oooooooo                   copy L+2 bytes from o+1 back, L in 1..6
//	111ooooo LLLLLLLL oooooooo          copy L+9 bytes from o+1 back
const (
	lzfMaxOffset  = 1 << 13
	lzfMaxMatch   = 264 // 255 + 9
	lzfMaxLiteral = 32
	lzfHashBits   = 13
)

// lzfTable maps the hash of three bytes to where they were last seen; it is kept by the caller so that
// compressing allocates nothing. Positions are stored above base, which passes all that earlier
// strings stored: so the table, larger than most strings, needs no clearing between them.
type lzfTable struct {
	base uint32
	seen [1 << lzfHashBits]uint32
}

// begin answers the base for a string of n bytes.
func (t *lzfTable) begin(n int) uint32 {
	if uint64(t.base)+uint64(n)+1 > math.MaxUint32 {
		*t = lzfTable{}
	}
	base := t.base + 1
	t.base += uint32(n) + 1
	return base
}

func lzfHash(a, b, c byte) uint32 {
	return (uint32(a)<<16 | uint32(b)<<8 | uint32(c)) * 2654435761 >> (32 - lzfHashBits)
}

// lzfCompress appends the compressed form of src to dst; it answers false, and dst as it was, when that
// would take more than limit bytes.
func lzfCompress(dst, src []byte, limit int, table *lzfTable) ([]byte, bool) {
	base, seen := table.begin(len(src)), &table.seen
	start := len(dst)
	literal, i := 0, 0 // src[literal:i] waits to be written
	for i+2 < len(src) {
		h := lzfHash(src[i], src[i+1], src[i+2])
		ref := int(int64(seen[h]) - int64(base))
		seen[h] = base + uint32(i)
		if ref < 0 || i-ref > lzfMaxOffset || src[ref] != src[i] || src[ref+1] != src[i+1] || src[ref+2] != src[i+2] {
			i++
			continue
		}
		n := 3
		for n < lzfMaxMatch && i+n < len(src) && src[ref+n] == src[i+n] {
			n++
		}
		dst = lzfLiterals(dst, src[literal:i])
		dst = lzfMatch(dst, i-ref-1, n)
		if len(dst)-start > limit {
			return dst[:start], false
		}
		i += n
		literal = i
	}
	dst = lzfLiterals(dst, src[literal:])
	if len(dst)-start > limit {
		return dst[:start], false
	}
	return dst, true
}

func lzfLiterals(dst, p []byte) []byte {
	for len(p) > 0 {
		n := min(len(p), lzfMaxLiteral)
		dst = append(append(dst, byte(n-1)), p[:n]...)
		p = p[n:]
	}
	return dst
}

func lzfMatch(dst []byte, offset, n int) []byte {
	if n-2 < 7 {
		return append(dst, byte((n-2)<<5|offset>>8), byte(offset))
	}
	return append(dst, byte(7<<5|offset>>8), byte(n-9), byte(offset))
}

// lzfExpand appends exactly size expanded bytes to dst; it answers false when src is not the
// compressed form of that many bytes. dst grows with the bytes written, so that a wrong size costs
// nothing.
func lzfExpand(dst, src []byte, size int) ([]byte, bool) {
	start := len(dst)
	for len(src) > 0 {
		ctrl := int(src[0])
		src = src[1:]
		if ctrl < lzfMaxLiteral {
			n := ctrl + 1
			if n > len(src) || len(dst)-start+n > size {
				return dst, false
			}
			dst = append(dst, src[:n]...)
			src = src[n:]
			continue
		}
		n := ctrl >> 5
		if n == 7 {
			if len(src) == 0 {
				return dst, false
			}
			n += int(src[0])
			src = src[1:]
		}
		n += 2
		if len(src) == 0 {
			return dst, false
		}
		from := len(dst) - (ctrl&31<<8 | int(src[0])) - 1
		src = src[1:]
		if from < start || len(dst)-start+n > size {
			return dst, false
		}
		dst = lzfCopy(dst, from, n)
	}
	return dst, len(dst)-start == size
}

// lzfCopy appends n bytes that begin at from; source and target may overlap.
func lzfCopy(dst []byte, from, n int) []byte {
	for n > 0 {
		part := min(n, len(dst)-from)
		dst = append(dst, dst[from:from+part]...)
		from += part
		n -= part
	}
	return dst
}
