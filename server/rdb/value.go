package rdb

import (
	"encoding/binary"
	"errors"
)

// footer: version (2), checksum (8).
const footerSize = 10

// AppendFooter ends what DUMP answers: dst[from:] is the type and the value.
func AppendFooter(dst []byte, from int) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, Version)
	return binary.LittleEndian.AppendUint64(dst, CRC64(0, dst[from:]))
}

// errFooter is for all that is wrong with a footer.
var errFooter = errors.New("DUMP payload version or checksum are wrong")

// CheckFooter tells whether p ends with a footer that says what the reader understands, and answers what precedes it.
// noChecksum takes any checksum.
func CheckFooter(p []byte, noChecksum bool) (value []byte, err error) {
	if len(p) < footerSize {
		return nil, errFooter
	}
	value = p[:len(p)-footerSize]
	footer := p[len(value):]
	version, sum := binary.LittleEndian.Uint16(footer), binary.LittleEndian.Uint64(footer[2:])
	if version > maxVersion {
		return nil, errFooter
	}
	if noChecksum || sum == CRC64(0, p[:len(p)-8]) {
		return value, nil
	}
	return nil, errFooter
}

// NewValueReader reads one value without a key, which Value opens. p must stay as it is as long as the Reader is used.
func NewValueReader(p []byte, lim Limits) *Reader {
	rd := &Reader{hasMagic: true}
	rd.src.buf, rd.src.end = p, len(p)
	rd.src.maxString = lim.maxString()
	return rd
}

// Value opens the value of a Reader made by NewValueReader, as Next opens that of an entry.
func (r *Reader) Value() (ev Event, err error) {
	ev = Event{Idle: -1, Freq: -1, Fields: -1}
	c, err := r.src.byte()
	if err != nil {
		return ev, err
	}
	if err := r.known(Type(c)); err != nil {
		return ev, err
	}
	ev.Kind, ev.Type = Entry, Type(c)
	return ev, r.open(Type(c), &ev)
}

// Into gives the Reader memory for a string that has to be copied or expanded, to be used where it is enough.
func (r *Reader) Into(room []byte) { r.val = room[:0] }

// HoldsString tells whether the value in p is a string.
func HoldsString(p []byte) bool { return len(p) > 0 && Type(p[0]) == TypeString }

// mostExpanded is how many bytes may come of one that is compressed.
const mostExpanded = 264 / 3

// ValueSize tells how many bytes there are to deal with: those of a string that is compressed in p, else those of p. What p
// says is not checked but for what cannot be.
func ValueSize(p []byte) int {
	in := &NewValueReader(p, Limits{}).src
	if c, err := in.byte(); err != nil || Type(c) != TypeString {
		return len(p)
	}
	if c, encoded, err := in.length(); err != nil || !encoded || byte(c) != encLZF {
		return len(p)
	}
	if _, err := in.plainLength(); err != nil {
		return len(p)
	}
	full, err := in.plainLength()
	if err != nil {
		return len(p)
	}
	return max(len(p), int(min(full, uint64(mostExpanded*len(p)))))
}
