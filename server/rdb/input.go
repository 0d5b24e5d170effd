package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Error says at which byte of the stream reading failed and why.
type Error struct {
	Pos    int64 // bytes before the item that could not be read
	Reason string
	Err    error // of the underlying reader, nil when the bytes themselves are wrong
}

func (e *Error) Error() string {
	text := fmt.Sprintf("RDB: byte %d: %s", e.Pos, e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

const (
	inputSize = 128 << 10
	// growStep bounds what a length that turns out to be a lie can allocate.
	growStep = 1 << 20
)

// input buffers a stream, counts its bytes and sums them.
type input struct {
	r          io.Reader
	buf        []byte
	start, end int   // unread bytes
	summed     int   // buf[:summed] is in crc
	base       int64 // stream position of buf[0]
	crc        uint64
	checksum   bool
	tap        tap
}

func (in *input) pos() int64 { return in.base + int64(in.start) }

func (in *input) fail(reason string) error { return &Error{Pos: in.pos(), Reason: reason} }

func (in *input) failure(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &Error{Pos: in.base + int64(in.end), Reason: "the stream ends early", Err: err}
}

// sum brings the checksum up to the next unread byte.
func (in *input) sum() {
	if in.checksum {
		in.crc = CRC64(in.crc, in.buf[in.summed:in.start])
	}
	in.summed = in.start
}

// need makes n unread bytes available; n is at most inputSize.
func (in *input) need(n int) error {
	if in.end-in.start >= n {
		return nil
	}
	if in.r == nil { // the buffer is all there is, and not ours to change
		return in.failure(io.EOF)
	}
	if in.tap.on {
		if err := in.pour(); err != nil {
			return err
		}
		in.tap.from = 0
	}
	in.sum()
	copy(in.buf, in.buf[in.start:in.end])
	in.base += int64(in.start)
	in.end -= in.start
	in.start, in.summed = 0, 0
	got, err := io.ReadAtLeast(in.r, in.buf[in.end:], n-in.end)
	in.end += got
	if err != nil {
		return in.failure(err)
	}
	return nil
}

// take answers the next n bytes, valid until the next call; n is at most inputSize.
func (in *input) take(n int) ([]byte, error) {
	if err := in.need(n); err != nil {
		return nil, err
	}
	p := in.buf[in.start : in.start+n]
	in.start += n
	return p, nil
}

func (in *input) byte() (byte, error) {
	if in.start == in.end {
		if err := in.need(1); err != nil {
			return 0, err
		}
	}
	c := in.buf[in.start]
	in.start++
	return c, nil
}

// appendTo moves n bytes of the stream behind dst, growing it as they arrive.
func (in *input) appendTo(dst []byte, n int64) ([]byte, error) {
	for n > 0 {
		if in.start == in.end {
			if n >= inputSize && in.r != nil {
				return in.appendDirect(dst, n)
			}
			if err := in.need(1); err != nil {
				return dst, err
			}
		}
		part := int(min(n, int64(in.end-in.start)))
		dst = append(dst, in.buf[in.start:in.start+part]...)
		in.start += part
		n -= int64(part)
	}
	return dst, nil
}

// appendDirect reads a long string past the empty buffer.
func (in *input) appendDirect(dst []byte, n int64) ([]byte, error) {
	if in.tap.on {
		if err := in.pour(); err != nil {
			return dst, err
		}
		in.tap.from = 0
	}
	in.sum()
	in.base += int64(in.start)
	in.start, in.end, in.summed = 0, 0, 0
	for n > 0 {
		part := int(min(n, growStep))
		mark := len(dst)
		dst = append(dst, make([]byte, part)...)
		got, err := io.ReadFull(in.r, dst[mark:])
		in.base += int64(got)
		if in.checksum {
			in.crc = CRC64(in.crc, dst[mark:mark+got])
		}
		if err == nil && in.tap.on {
			if err := in.give(dst[mark:]); err != nil {
				return dst, err
			}
		}
		if err != nil {
			return dst[:mark+got], in.failure(err)
		}
		n -= int64(part)
	}
	return dst, nil
}

func (in *input) skip(n int64) error {
	for n > 0 {
		if in.start == in.end {
			if err := in.need(1); err != nil {
				return err
			}
		}
		part := min(n, int64(in.end-in.start))
		in.start += int(part)
		n -= part
	}
	return nil
}

// length reads a length, or (encoded true) one of the four special forms of a string.
func (in *input) length() (n uint64, encoded bool, err error) {
	c, err := in.byte()
	if err != nil {
		return 0, false, err
	}
	switch {
	case c>>6 == 0:
		return uint64(c), false, nil
	case c>>6 == 1:
		low, err := in.byte()
		return uint64(c&63)<<8 | uint64(low), false, err
	case c>>6 == 3:
		return uint64(c), true, nil
	case c == len32:
		p, err := in.take(4)
		if err != nil {
			return 0, false, err
		}
		return uint64(binary.BigEndian.Uint32(p)), false, nil
	case c == len64:
		p, err := in.take(8)
		if err != nil {
			return 0, false, err
		}
		return binary.BigEndian.Uint64(p), false, nil
	}
	return 0, false, in.fail(fmt.Sprintf("unknown length encoding 0x%02x", c))
}

// plainLength reads a length where a string's special form is not allowed.
func (in *input) plainLength() (uint64, error) {
	n, encoded, err := in.length()
	if err == nil && encoded {
		err = in.fail("a string stands where a length is expected")
	}
	return n, err
}

// stringSource reads strings; packed is scratch for compressed bytes.
type stringSource struct {
	input
	maxString int64
	packed    []byte
	num       [24]byte
}

func (s *stringSource) stringLength(n uint64) (int64, error) {
	if n > uint64(s.maxString) {
		return 0, s.fail(fmt.Sprintf("a string of %d bytes is longer than the limit of %d", n, s.maxString))
	}
	return int64(n), nil
}

// str reads a string; the result points into the read buffer, into num or into *room, and is valid
// until the next read.
func (s *stringSource) str(room *[]byte) ([]byte, error) {
	n, encoded, err := s.length()
	if err != nil {
		return nil, err
	}
	if encoded {
		return s.encodedString(byte(n), room)
	}
	size, err := s.stringLength(n)
	if err != nil {
		return nil, err
	}
	if size <= inputSize {
		return s.take(int(size))
	}
	*room, err = s.appendTo((*room)[:0], size)
	return *room, err
}

func (s *stringSource) encodedString(c byte, room *[]byte) ([]byte, error) {
	switch c {
	case encInt8, encInt16, encInt32:
		p, err := s.take(1 << (c & 3))
		if err != nil {
			return nil, err
		}
		return strconv.AppendInt(s.num[:0], littleInt(p), 10), nil
	case encLZF:
		return s.compressed(room)
	}
	return nil, s.fail(fmt.Sprintf("unknown string encoding 0x%02x", c))
}

func (s *stringSource) compressed(room *[]byte) ([]byte, error) {
	packed, err := s.plainLength()
	if err != nil {
		return nil, err
	}
	full, err := s.plainLength()
	if err != nil {
		return nil, err
	}
	packedSize, err := s.stringLength(packed)
	if err != nil {
		return nil, err
	}
	size, err := s.stringLength(full)
	if err != nil {
		return nil, err
	}
	var src []byte
	if packedSize <= inputSize {
		src, err = s.take(int(packedSize))
	} else {
		s.packed, err = s.appendTo(s.packed[:0], packedSize)
		src = s.packed
	}
	if err != nil {
		return nil, err
	}
	out, ok := lzfExpand((*room)[:0], src, int(size))
	*room = out
	if !ok {
		return nil, s.fail("a compressed string is damaged")
	}
	return out, nil
}

// skipString passes over a string without keeping it.
func (s *stringSource) skipString() error {
	n, encoded, err := s.length()
	if err != nil {
		return err
	}
	if !encoded {
		size, err := s.stringLength(n)
		if err != nil {
			return err
		}
		return s.skip(size)
	}
	switch byte(n) {
	case encInt8, encInt16, encInt32:
		return s.skip(1 << (n & 3))
	case encLZF:
		packed, err := s.plainLength()
		if err != nil {
			return err
		}
		if _, err := s.plainLength(); err != nil {
			return err
		}
		size, err := s.stringLength(packed)
		if err != nil {
			return err
		}
		return s.skip(size)
	}
	return s.fail(fmt.Sprintf("unknown string encoding 0x%02x", byte(n)))
}
