package store

import (
	"bytes"
	"encoding/binary"
	"math"
)

// A small sorted set is a pack of its own, flat bytes in the entry, its members in order (score, then bytes):
//
//	u16 number of members; then per member: varint, member, score
//
// A score is one byte for an integer up to zpackDigit, else a byte that says what follows it: an int16, int32, float32
// or float64, whichever is the shortest that says it exactly. A negative zero loses its sign, as it does in Redis.
const (
	zpackDigit = 239 + iota
	zpackInt16
	zpackInt32
	zpackFloat32
	zpackFloat64
)

// zpackItem is a member's place in a pack: the whole item is b[start:end].
type zpackItem struct {
	start, member, memberEnd, end int
	score                         float64
}

func (it *zpackItem) bytes(b []byte) []byte { return b[it.member:it.memberEnd:it.memberEnd] }

func zpackAt(b []byte, start int) zpackItem {
	n, w := varint(b[start:])
	it := zpackItem{start: start, member: start + w, memberEnd: start + w + n}
	score, n := zpackScore(b[it.memberEnd:])
	it.score, it.end = score, it.memberEnd+n
	return it
}

func zpackScore(b []byte) (score float64, n int) {
	switch c := b[0]; c {
	case zpackInt16:
		return float64(int16(binary.LittleEndian.Uint16(b[1:]))), 3
	case zpackInt32:
		return float64(int32(binary.LittleEndian.Uint32(b[1:]))), 5
	case zpackFloat32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b[1:]))), 5
	case zpackFloat64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b[1:])), 9
	default:
		return float64(c), 1
	}
}

// zpackScoreLen is the length of a score that begins with c.
func zpackScoreLen(c byte) int {
	if c < zpackInt16 {
		return 1
	}
	return int([...]uint8{3, 5, 5, 9}[(c-zpackInt16)&3])
}

func appendZpackItem(dst, member []byte, score float64) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(member))), member...)
	if n := int32(score); float64(n) == score {
		switch {
		case n >= 0 && n <= zpackDigit:
			return append(dst, byte(n))
		case n == int32(int16(n)):
			return binary.LittleEndian.AppendUint16(append(dst, zpackInt16), uint16(n))
		}
		return binary.LittleEndian.AppendUint32(append(dst, zpackInt32), uint32(n))
	}
	if f := float32(score); float64(f) == score {
		return binary.LittleEndian.AppendUint32(append(dst, zpackFloat32), math.Float32bits(f))
	}
	return binary.LittleEndian.AppendUint64(append(dst, zpackFloat64), math.Float64bits(score))
}

func zpackFind(b, member []byte) (zpackItem, bool) {
	for at := packHeader; at < len(b); {
		it := zpackAt(b, at)
		if string(b[it.member:it.memberEnd]) == string(member) {
			return it, true
		}
		at = it.end
	}
	return zpackItem{}, false
}

// zpackPlace finds a member and, in the same pass, the place among the other members where it belongs with a score.
func zpackPlace(b, member []byte, score float64) (old zpackItem, exists bool, at int) {
	for start := packHeader; start < len(b); {
		n, width := int(b[start]), 1
		if n >= 0x80 {
			n, width = varint(b[start:])
		}
		end := start + width + n
		name := b[end-n : end]
		switch {
		case n == len(member) && same(name, member):
			old, exists = zpackAt(b, start), true
		case at == 0:
			if s, _ := zpackScore(b[end:]); s > score || s == score && bytes.Compare(name, member) > 0 {
				at = start
			}
		}
		start = end + zpackScoreLen(b[end])
	}
	if at == 0 {
		at = len(b)
	}
	return old, exists, at
}

// zpackBefore returns the number of members before a border, and where it lies.
func zpackBefore(b []byte, k *border) (rank, at int) {
	for at = packHeader; at < len(b); rank++ {
		it := zpackAt(b, at)
		before := k.score > it.score
		if k.lex || k.score == it.score {
			before = k.whole && k.behind || !k.whole && k.admits(it.bytes(b))
		}
		if !before {
			break
		}
		at = it.end
	}
	return rank, at
}

// zpackRank returns the item of a rank.
func zpackRank(b []byte, rank int) zpackItem {
	it := zpackAt(b, packHeader)
	for ; rank > 0; rank-- {
		it = zpackAt(b, it.end)
	}
	return it
}

// setPacked stores a member of a small sorted set b at a place. Its item is old, when there is one.
func (z *ZSet) setPacked(b []byte, old zpackItem, exists bool, at int, member []byte, score float64) {
	s := z.p.space.store
	s.scratch = appendZpackItem(s.scratch[:0], member, score)
	size := len(s.scratch)
	if !exists {
		b = z.splice(at, at, size)
		copy(b[at:], s.scratch)
		packSetLen(b, packLen(b)+1)
		return
	}
	// What lies between the old place and the new one moves to the other side of the item.
	if at <= old.start {
		s.scratch = append(s.scratch, b[at:old.start]...)
		copy(z.splice(at, old.end, len(s.scratch))[at:], s.scratch)
		return
	}
	s.scratch = append(s.scratch, b[old.end:at]...)
	between := len(s.scratch) - size
	b = z.splice(old.start, at, len(s.scratch))[old.start:]
	copy(b, s.scratch[size:])
	copy(b[between:], s.scratch[:size])
}

// cutPacked takes n members from a rank on out of a small sorted set.
func (z *ZSet) cutPacked(rank, n int) {
	b := z.bytes()
	start := zpackRank(b, rank).start
	end := start
	for range n {
		end = zpackAt(b, end).end
	}
	b = z.splice(start, end, 0)
	packSetLen(b, packLen(b)-n)
}
