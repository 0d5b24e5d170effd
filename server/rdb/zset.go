package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// AppendZSetEntry begins a sorted set of n members, at least one; as many follow, in any order, each as a string and
// AppendScore.
func AppendZSetEntry(dst, key []byte, n int, compress bool) []byte {
	dst = AppendString(append(dst, byte(TypeZset2)), key, compress)
	return AppendLen(dst, uint64(n))
}

// AppendScore writes the score of a member of a sorted set begun by AppendZSetEntry.
func AppendScore(dst []byte, score float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(score))
}

// openZSet begins a sorted set, whose members NextScored gives.
func (r *Reader) openZSet(t Type, ev *Event) error {
	if t == TypeZsetListpack || t == TypeZsetZiplist {
		err := r.openPacked(t)
		ev.Fields = r.announced()
		return err
	}
	n, err := r.src.plainLength()
	r.left, r.isOpen, r.pending = n, true, t
	ev.Fields = int(min(n, 1<<31-1))
	return err
}

// NextScored answers the next member of the sorted set given out last with its score, and false behind the last one. The
// member is valid until the next call.
func (r *Reader) NextScored() (member []byte, score float64, ok bool, err error) {
	if !r.isOpen {
		return nil, 0, false, nil
	}
	if r.pending == TypeZsetListpack || r.pending == TypeZsetZiplist {
		return r.nextPackedScore()
	}
	if r.left == 0 {
		r.isOpen = false
		return nil, 0, false, nil
	}
	p, err := r.src.str(&r.val)
	if err != nil {
		return nil, 0, false, err
	}
	r.blob = append(r.blob[:0], p...)
	if r.pending == TypeZset {
		score, err = r.src.oldDouble()
	} else if p, err = r.src.take(8); err == nil {
		score = math.Float64frombits(binary.LittleEndian.Uint64(p))
	}
	if err == nil && math.IsNaN(score) {
		err = r.src.fail("Zset with NAN score detected")
	}
	r.left--
	return r.blob, score, err == nil, err
}

func (r *Reader) nextPackedScore() (member []byte, score float64, ok bool, err error) {
	member, end, ok := r.packed(false)
	if end {
		r.isOpen = false
		return nil, 0, false, nil
	}
	if ok {
		var text []byte
		if text, end, ok = r.packed(true); ok && !end {
			score, err = strconv.ParseFloat(string(text), 64)
		}
	}
	if !ok || end || err != nil || math.IsNaN(score) {
		return nil, 0, false, r.damaged(r.pending)
	}
	return member, score, true, nil
}

// oldDouble reads the double of a TypeZset: a length and that many characters; 253 to 255 stand for NaN and the
// infinities.
func (s *stringSource) oldDouble() (float64, error) {
	c, err := s.byte()
	switch {
	case err != nil:
		return 0, err
	case c == 253:
		return math.NaN(), nil
	case c == 254:
		return math.Inf(1), nil
	case c == 255:
		return math.Inf(-1), nil
	}
	p, err := s.take(int(c))
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(p), 64)
	if err != nil {
		return 0, s.fail("a score is no number")
	}
	return f, nil
}

// skipZSet passes over the rest of a sorted set.
func (r *Reader) skipZSet(t Type, isOpen bool) error {
	if t == TypeZsetListpack || t == TypeZsetZiplist {
		return nil
	}
	for ; isOpen && r.left > 0; r.left-- {
		if err := r.src.skipString(); err != nil {
			return err
		}
		skip := r.src.skipOldDouble
		if t == TypeZset2 {
			skip = func() error { return r.src.skip(8) }
		}
		if err := skip(); err != nil {
			return err
		}
	}
	return nil
}
