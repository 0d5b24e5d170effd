package command

import (
	"encoding/binary"
	"math/bits"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Strings of bits may have hundreds of megabytes, so they are read by words: four at a time, that the loads overlap.

const (
	bitBlock = 32 // bytes taken at a time

	// bytesPerElement is how many bytes of a string count as an element when it is decided whether a read is long.
	bytesPerElement = 256
	// bitStep is the number of bytes between two looks at the clock.
	bitStep = 128 << 10
)

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// popcount is the number of bits that are set.
func popcount(b []byte) int64 {
	var n0, n1, n2, n3 int
	for ; len(b) >= bitBlock; b = b[bitBlock:] {
		w := b[:bitBlock:bitBlock]
		n0 += bits.OnesCount64(word(w))
		n1 += bits.OnesCount64(word(w[8:]))
		n2 += bits.OnesCount64(word(w[16:]))
		n3 += bits.OnesCount64(word(w[24:]))
	}
	for _, x := range b {
		n0 += bits.OnesCount8(x)
	}
	return int64(n0 + n1 + n2 + n3)
}

// firstOther is the place of the first byte that is not the given one, which is 0 or 0xff; len(b) when there is none.
func firstOther(b []byte, than byte) (at int) {
	same := uint64(0)
	if than != 0 {
		same = ^same
	}
	for ; len(b)-at >= bitBlock; at += bitBlock {
		w := b[at : at+bitBlock : at+bitBlock]
		if (word(w)^same)|(word(w[8:])^same)|(word(w[16:])^same)|(word(w[24:])^same) != 0 {
			break
		}
	}
	for at < len(b) && b[at] == than {
		at++
	}
	return at
}

// find returns the position of the first bit with the given value inside the range, or -1.
func (r bitRange) find(b []byte, set bool) int64 {
	skip := byte(0xff) // what has no such bit
	if set {
		skip = 0
	}
	for i := r.start; i <= r.end; i++ {
		if i > r.start {
			if i += int64(firstOther(b[i:r.end+1], skip)); i > r.end {
				break
			}
		}
		x := b[i] ^ skip
		if i == r.start {
			x &^= r.first
		}
		if i == r.end {
			x &^= r.last
		}
		if x != 0 {
			return i<<3 + int64(bits.LeadingZeros8(x))
		}
	}
	return -1
}

// part is the range's part from a byte on, of at most n bytes.
func (r bitRange) part(from, n int64) bitRange {
	p := bitRange{start: from, end: r.end, last: r.last}
	if from == r.start {
		p.first = r.first
	}
	if p.end-from >= n {
		p.end, p.last = from+n-1, 0
	}
	return p
}

// longBytes is the number of bytes from which reading a string's bits does not run to its end in one hold of the lock.
func (c *Ctx) longBytes() int64 { return int64(c.longFrom()) * bytesPerElement }

// longBits looks at a range of a string part by part until look answers true. Nothing is pinned, since a write to a string
// of that size would have to copy it: the string is watched as the source of a result, and read anew when it has changed.
// The command is executed again in the end, with Ctx.made.bits.
func (c *Ctx) longBits(key []byte, r bitRange, look func(m *Made, b []byte, part bitRange) (done bool)) bool {
	if r.end-r.start < c.longBytes() || !c.isLong(int((r.end-r.start)/bytesPerElement)) {
		return false
	}
	return c.longMade(key, [][]byte{key}, func(m *Made) *Long {
		db, key, at := c.DB, m.Sources[0], r.start
		m.bits = &madeBits{pos: -1}
		return &Long{
			Reply: resp.NewPieces(c.Out.Proto()),
			Step: func() bool {
				e, found := db.Peek(key)
				if !found || e.Kind() != store.String || int64(e.StrLen()) <= r.end {
					return true // it has changed, so what was seen is of no use
				}
				part := r.part(at, bitStep)
				at = part.end + 1
				return look(m, e.Bytes(nil), part) || at > r.end
			},
			End: func() {},
		}
	})
}

// longBitop makes the result of BITOP part by part. The sources are watched, as by longBits.
func (c *Ctx) longBitop(op bitOp, size int) bool {
	if int64(size) < c.longBytes() || !c.isLong(size/bytesPerElement) {
		return false
	}
	return c.longMade(c.Args[2], c.Args[3:], func(m *Made) *Long {
		db, st, at := c.DB, c.Store, 0
		list := make([][]byte, len(m.Sources))
		return &Long{
			Reply: resp.NewPieces(c.Out.Proto()), End: func() {},
			Between: func() { m.text = st.NewBlob(size) },
			Step: func() bool {
				if m.text == nil {
					return true
				}
				to := min(at+bitStep, size)
				for i, key := range m.Sources {
					list[i] = nil
					if e, found := db.Peek(key); found && e.Kind() == store.String {
						b := e.Bytes(nil)
						list[i] = b[min(at, len(b)):min(to, len(b))]
					}
				}
				if op == nil && len(list[0]) < to-at {
					return true // it has changed
				}
				combine(m.text.Bytes()[at:to], op, list)
				at = to
				return at == size
			},
		}
	})
}

// madeBits is what was seen in a string.
type madeBits struct {
	ones int64 // so many bits are set
	pos  int64 // of the bit looked for, -1 when there is none
}

// A bitOp makes dst what comes of it and b, which is as long.
type bitOp func(dst, a, b []byte)

var bitOps = map[string]bitOp{
	"and": func(dst, a, b []byte) {
		for ; len(dst) >= bitBlock; dst, a, b = dst[bitBlock:], a[bitBlock:], b[bitBlock:] {
			d, x, y := dst[:bitBlock:bitBlock], a[:bitBlock:bitBlock], b[:bitBlock:bitBlock]
			binary.LittleEndian.PutUint64(d, word(x)&word(y))
			binary.LittleEndian.PutUint64(d[8:], word(x[8:])&word(y[8:]))
			binary.LittleEndian.PutUint64(d[16:], word(x[16:])&word(y[16:]))
			binary.LittleEndian.PutUint64(d[24:], word(x[24:])&word(y[24:]))
		}
		for i := range dst {
			dst[i] = a[i] & b[i]
		}
	},
	"or": func(dst, a, b []byte) {
		for ; len(dst) >= bitBlock; dst, a, b = dst[bitBlock:], a[bitBlock:], b[bitBlock:] {
			d, x, y := dst[:bitBlock:bitBlock], a[:bitBlock:bitBlock], b[:bitBlock:bitBlock]
			binary.LittleEndian.PutUint64(d, word(x)|word(y))
			binary.LittleEndian.PutUint64(d[8:], word(x[8:])|word(y[8:]))
			binary.LittleEndian.PutUint64(d[16:], word(x[16:])|word(y[16:]))
			binary.LittleEndian.PutUint64(d[24:], word(x[24:])|word(y[24:]))
		}
		for i := range dst {
			dst[i] = a[i] | b[i]
		}
	},
	"xor": func(dst, a, b []byte) {
		for ; len(dst) >= bitBlock; dst, a, b = dst[bitBlock:], a[bitBlock:], b[bitBlock:] {
			d, x, y := dst[:bitBlock:bitBlock], a[:bitBlock:bitBlock], b[:bitBlock:bitBlock]
			binary.LittleEndian.PutUint64(d, word(x)^word(y))
			binary.LittleEndian.PutUint64(d[8:], word(x[8:])^word(y[8:]))
			binary.LittleEndian.PutUint64(d[16:], word(x[16:])^word(y[16:]))
			binary.LittleEndian.PutUint64(d[24:], word(x[24:])^word(y[24:]))
		}
		for i := range dst {
			dst[i] = a[i] ^ b[i]
		}
	},
	"not": nil, // of one string
}

func invert(dst, a []byte) {
	for ; len(dst) >= bitBlock; dst, a = dst[bitBlock:], a[bitBlock:] {
		d, x := dst[:bitBlock:bitBlock], a[:bitBlock:bitBlock]
		binary.LittleEndian.PutUint64(d, ^word(x))
		binary.LittleEndian.PutUint64(d[8:], ^word(x[8:]))
		binary.LittleEndian.PutUint64(d[16:], ^word(x[16:]))
		binary.LittleEndian.PutUint64(d[24:], ^word(x[24:]))
	}
	for i := range dst {
		dst[i] = ^a[i]
	}
}

// combine fills dst, which is as long as the longest source, with what comes of all of them; shorter ones are padded with
// zero bytes. op is nil for BITOP NOT. It goes in pieces that stay in the processor's cache from one source to the next.
func combine(dst []byte, op bitOp, sources [][]byte) {
	const piece = 64 << 10
	var zero [piece]byte
	for from := 0; from < len(dst); from += piece {
		d := dst[from:min(from+piece, len(dst))]
		have := func(s []byte) []byte { return s[min(from, len(s)):min(from+len(d), len(s))] }
		first := have(sources[0])
		if op == nil {
			invert(d, first)
			continue
		}
		if len(first) < len(d) {
			clear(d[copy(d, first):])
			first = d
		}
		if len(sources) == 1 {
			copy(d, first)
		}
		for _, s := range sources[1:] {
			b := have(s)
			op(d[:len(b)], first, b)
			op(d[len(b):], first[len(b):], zero[:len(d)-len(b)])
			first = d
		}
	}
}
