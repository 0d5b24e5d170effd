package store

import "encoding/binary"

// met is where Use found a key last: for the write that follows, and for commands behind it that change the same key.
type met struct {
	p     *part // nil: nowhere
	h     uint64
	at    spot
	moves uint32 // the segment's
	n     int    // the key's length
	tail  uint64
	words [metKey / 8]uint64 // of a key of at most metKey bytes, but for its tail
}

const metKey = 48

// note remembers a key. It fills m field by field, and the key by words, as holds reads them: what is read right after it was written
// in other pieces has to reach memory first.
func (m *met) note(p *part, h uint64, at spot, key []byte) {
	m.p, m.h, m.moves = p, h, at.seg.moves
	m.at.seg, m.at.bucket, m.at.slot, m.at.ref = at.seg, at.bucket, at.slot, at.ref
	m.n, m.tail = len(key), tailOf(key)
	if len(key) <= metKey {
		for i := 0; 8*i+8 < len(key); i++ {
			m.words[i] = binary.LittleEndian.Uint64(key[8*i:])
		}
	}
}

// holds tells whether a key is there still, whatever was done meanwhile: nothing has left its place in the segment, and a segment
// that a table gives up is emptied.
func (m *met) holds(key []byte) bool {
	if m.p == nil || m.n != len(key) || m.tail != tailOf(key) || m.moves != m.at.seg.moves {
		return false
	}
	if len(key) > metKey {
		return m.p.keyIs(m.at.ref, key)
	}
	for i := 0; 8*i+8 < len(key); i++ {
		if m.words[i] != binary.LittleEndian.Uint64(key[8*i:]) {
			return false
		}
	}
	return true
}

// tailOf is the last eight bytes of a key, where keys that count differ, or all of a shorter one.
func tailOf(key []byte) uint64 {
	switch n := len(key); {
	case n >= 8:
		return binary.LittleEndian.Uint64(key[n-8:])
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(key)) | uint64(binary.LittleEndian.Uint32(key[n-4:]))<<32
	case n > 0:
		return uint64(key[0]) | uint64(key[n>>1])<<8 | uint64(key[n-1])<<16
	}
	return 0
}
