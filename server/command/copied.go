package command

import (
	"encoding/binary"
	"math"
)

// copied collects elements with scores in pieces: nothing moves when it grows, so that a step under the lock stays short.
type copied struct {
	full       [][]byte
	now        []byte
	n, longest int
}

const (
	copiedPiece = 64 << 10
	firstPiece  = 256 // of many values each may be small
)

func (l *copied) add(m []byte, score float64) {
	if need := len(m) + binary.MaxVarintLen64 + 8; need > cap(l.now)-len(l.now) {
		if len(l.now) > 0 {
			l.full = append(l.full, l.now)
		}
		l.now = make([]byte, 0, max(min(2*cap(l.now), copiedPiece), firstPiece, need))
	}
	l.now = binary.LittleEndian.AppendUint64(l.now, math.Float64bits(score))
	l.now = append(binary.AppendUvarint(l.now, uint64(len(m))), m...)
	l.n++
	l.longest = max(l.longest, len(m))
}

// cursor is a place in what was copied.
type copiedCursor struct {
	l     *copied
	piece int
	at    []byte
}

// next gives the next element, which stays valid.
func (k *copiedCursor) next() (m []byte, score float64, ok bool) {
	for len(k.at) == 0 {
		switch {
		case k.piece < len(k.l.full):
			k.at = k.l.full[k.piece]
		case k.piece == len(k.l.full):
			k.at = k.l.now
		default:
			return nil, 0, false
		}
		k.piece++
	}
	b := k.at
	score = math.Float64frombits(binary.LittleEndian.Uint64(b))
	n, w := binary.Uvarint(b[8:])
	from := 8 + w
	to := from + int(n)
	k.at = b[to:]
	return b[from:to:to], score, true
}

func (l *copied) each(fn func(m []byte, score float64) bool) {
	k := copiedCursor{l: l}
	for m, score, ok := k.next(); ok && fn(m, score); m, score, ok = k.next() {
	}
}
