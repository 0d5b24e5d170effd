package command

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A HyperLogLog is a string:
//
//	"HYLL"; u8 encoding; 3 bytes 0; u64 cached cardinality, little endian, its top bit set when it is stale; registers
//
// It has 16384 registers of 6 bits: register i is the longest run of zeros met in the hashes that end in i. Dense, they
// lie in 12288 bytes from the lowest bit up. Sparse, they are a sequence of runs:
//
//	00llllll           l+1 registers of 0
//	01llllll llllllll  l+1 registers of 0
//	1vvvvvll           l+1 registers of v+1
//
// The bytes are Redis' own (hyperloglog.c), also in how runs are split and joined: equal commands make equal strings.
const (
	hllHeader    = 16
	hllBits      = 14
	hllRegisters = 1 << hllBits
	hllRanks     = 64 - hllBits // the longest run of zeros
	hllDenseSize = hllHeader + hllRegisters*6/8
	hllDense     = 0
	hllSparse    = 1

	hllRunMax  = 64 // registers that one byte of zeros spans
	hllValMax  = 32 // highest value of a sparse register
	hllValRuns = 4  // registers that one byte of a value spans
)

var hllMagic = []byte("HYLL")

// newHLL is an empty one.
func newHLL() []byte {
	dst := append([]byte(nil), hllMagic...)
	dst = append(dst, hllSparse, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	return appendZeros(dst, hllRegisters)
}

// isHLL checks all that can be told without reading the registers.
func isHLL(b []byte) bool {
	return len(b) >= hllHeader && string(b[:4]) == string(hllMagic) && b[4] <= hllSparse && (b[4] == hllSparse || len(b) == hllDenseSize)
}

func hllInvalidate(b []byte) { b[15] |= 0x80 }

// hllCached is the cached cardinality.
func hllCached(b []byte) (n uint64, valid bool) {
	return binary.LittleEndian.Uint64(b[8:]), b[15]&0x80 == 0
}

func hllCache(b []byte, n uint64) { binary.LittleEndian.PutUint64(b[8:], n) }

// murmur64 is MurmurHash64A of Austin Appleby.
func murmur64(p []byte, seed uint64) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(p))*m
	for ; len(p) >= 8; p = p[8:] {
		k := binary.LittleEndian.Uint64(p) * m
		k ^= k >> r
		h ^= k * m
		h *= m
	}
	if len(p) > 0 {
		for i, b := range p {
			h ^= uint64(b) << (8 * i)
		}
		h *= m
	}
	h ^= h >> r
	h *= m
	return h ^ h>>r
}

// hllPlace is the register of an element and the length of its run of zeros with the one behind it.
func hllPlace(element []byte) (register int, rank uint8) {
	h := murmur64(element, 0xadc83b19)
	return int(h & (hllRegisters - 1)), uint8(bits.TrailingZeros64(h>>hllBits|1<<hllRanks)) + 1
}

// denseGet reads a register of the dense form.
func denseGet(b []byte, i int) uint8 {
	at, shift := hllHeader+i*6/8, i*6&7
	w := uint16(b[at])
	if at+1 < len(b) {
		w |= uint16(b[at+1]) << 8
	}
	return uint8(w>>shift) & 63
}

// densePut sets a register of the dense form.
func densePut(b []byte, i int, v uint8) {
	at, shift := hllHeader+i*6/8, i*6&7
	b[at] = b[at]&^(63<<shift) | v<<shift
	if shift > 2 {
		b[at+1] = b[at+1]&^(63>>(8-shift)) | v>>(8-shift)
	}
}

// run is one item of the sparse form.
type run struct {
	size  int   // in bytes
	n     int   // registers that it spans
	value uint8 // of each
}

// runAt reads the item at the head of p, which is not empty. A byte that is missing counts as 0.
func runAt(p []byte) run {
	switch c := p[0]; {
	case c&0x80 != 0:
		return run{1, int(c&3) + 1, c>>2&31 + 1}
	case c&0x40 == 0:
		return run{1, int(c) + 1, 0}
	case len(p) == 1:
		return run{2, int(c&63)<<8 + 1, 0}
	default:
		return run{2, int(c&63)<<8 | int(p[1]) + 1, 0}
	}
}

func valueRun(value uint8, n int) byte { return 0x80 | (value-1)<<2 | byte(n-1) }

func appendZeros(dst []byte, n int) []byte {
	switch {
	case n == 0:
		return dst
	case n <= hllRunMax:
		return append(dst, byte(n-1))
	}
	return append(dst, 0x40|byte((n-1)>>8), byte(n-1))
}

func appendValue(dst []byte, value uint8, n int) []byte {
	if n == 0 {
		return dst
	}
	return append(dst, valueRun(value, n))
}

// hllEach gives every run of registers that are not 0 to fn; false when the sparse form is corrupt.
func hllEach(b []byte, fn func(from, n int, value uint8)) bool {
	if b[4] == hllDense {
		for i := range hllRegisters {
			if v := denseGet(b, i); v != 0 {
				fn(i, 1, v)
			}
		}
		return true
	}
	i := 0
	for p := b[hllHeader:]; len(p) > 0; {
		r := runAt(p)
		if r.value != 0 {
			if i+r.n > hllRegisters {
				return false
			}
			fn(i, r.n, r.value)
		}
		i += r.n
		p = p[min(r.size, len(p)):]
	}
	return i == hllRegisters
}

// hllToDense answers the dense form with the same header; ok is false when the sparse one is corrupt.
func hllToDense(b []byte) (dense []byte, ok bool) {
	if b[4] == hllDense {
		return b, true
	}
	dense = make([]byte, hllDenseSize)
	copy(dense, b[:hllHeader])
	dense[4] = hllDense
	ok = hllEach(b, func(from, n int, value uint8) {
		for i := range n {
			densePut(dense, from+i, value)
		}
	})
	return dense, ok
}

// hllRaise makes a register at least v. It answers the new string, which may be b changed in place, and whether the
// register was lower; ok is false when the string is corrupt. A sparse string becomes dense when it would grow beyond
// limit, or for a value that it cannot hold.
func hllRaise(b []byte, register int, v uint8, limit int64) (out []byte, raised, ok bool) {
	if b[4] == hllDense {
		if raised = denseGet(b, register) < v; raised {
			densePut(b, register, v)
			hllInvalidate(b)
		}
		return b, raised, true
	}
	if v <= hllValMax {
		var fits bool
		if out, raised, fits, ok = sparseRaise(b, register, v, limit); fits || !ok {
			return out, raised, ok
		}
	}
	dense, ok := hllToDense(b)
	if !ok {
		return b, false, false
	}
	return hllRaise(dense, register, v, limit)
}

// sparseRaise is hllRaise for the sparse form; fits is false, and b unchanged, when it would grow beyond limit.
func sparseRaise(b []byte, register int, v uint8, limit int64) (out []byte, raised, fits, ok bool) {
	at, before, first := hllHeader, hllHeader, 0
	var r run
	for ; at < len(b); at += r.size {
		if r = runAt(b[at:]); register < first+r.n {
			break
		}
		before = at
		first += r.n
	}
	if at+r.size > len(b) || r.n == 0 {
		return b, false, true, false
	}
	if r.value >= v {
		return b, false, true, true
	}
	// One register of the run changes: the run becomes up to three.
	var room [5]byte
	left, right := register-first, first+r.n-1-register
	parts := room[:0]
	if r.value == 0 {
		parts = appendZeros(appendValue(appendZeros(parts, left), v, 1), right)
	} else {
		parts = appendValue(appendValue(appendValue(parts, r.value, left), v, 1), r.value, right)
	}
	grow := len(parts) - r.size
	if grow > 0 && int64(len(b)+grow) > limit {
		return b, false, false, true
	}
	b = replaceBytes(b, at, r.size, parts)
	b = joinRuns(b, before)
	hllInvalidate(b)
	return b, true, true, true
}

// replaceBytes puts p in the place of n bytes.
func replaceBytes(b []byte, at, n int, p []byte) []byte {
	old := len(b)
	if grow := len(p) - n; grow > 0 {
		b = append(b, p[:grow]...)
	}
	copy(b[at+len(p):], b[at+n:old])
	copy(b[at:], p)
	return b[:old+len(p)-n]
}

// joinRuns joins equal values that stand side by side, looking at five runs from a place on.
func joinRuns(b []byte, at int) []byte {
	for looks := 5; at < len(b) && looks > 0; looks-- {
		r := runAt(b[at:])
		if r.value != 0 && at+1 < len(b) {
			if next := runAt(b[at+1:]); next.value == r.value && r.n+next.n <= hllValRuns {
				b[at+1] = valueRun(r.value, r.n+next.n)
				b = append(b[:at], b[at+1:]...)
				continue
			}
		}
		at += r.size
	}
	return b
}

// hllCount estimates the cardinality; ok is false when the string is corrupt.
func hllCount(b []byte) (n uint64, ok bool) {
	var histogram [64]int
	zeros := hllRegisters
	if b[4] == hllDense {
		for i := range hllRegisters {
			histogram[denseGet(b, i)]++
		}
		return estimate(&histogram), true
	}
	ok = hllEach(b, func(_, n int, value uint8) {
		histogram[value] += n
		zeros -= n
	})
	histogram[0] = zeros
	return estimate(&histogram), ok
}

// estimate is the estimator of O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), from
// the number of registers that have each value. Products are rounded before they are added, on every processor.
func estimate(histogram *[64]int) uint64 {
	const m, alpha = float64(hllRegisters), 0.721347520444481703680 // 0.5/ln(2)
	z := m * tau((m-float64(histogram[hllRanks+1]))/m)
	for j := hllRanks; j >= 1; j-- {
		z += float64(histogram[j])
		z *= 0.5
	}
	z += float64(m * sigma(float64(histogram[0])/m))
	return uint64(math.Round(alpha * m * m / z))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	for y, z := 1.0, x; ; {
		x *= x
		last := z
		z += float64(x * y)
		y += y
		if z == last {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	for y, z := 1.0, 1-x; ; {
		x = math.Sqrt(x)
		last := z
		y *= 0.5
		z -= float64((1 - x) * (1 - x) * y)
		if z == last {
			return z / 3
		}
	}
}
