package resp

import (
	"math"
	"strconv"
)

// Blob is a big immutable value that a reply refers to instead of copying. Release is called exactly once, when the
// last byte has left or the connection is gone.
type Blob interface {
	Bytes() []byte
	Release()
}

// ref is a blob whose bytes belong between buf[:at] and buf[at:].
type ref struct {
	at   int
	blob Blob
}

// Writer appends replies. Its zero value writes RESP2. One Writer may serve many connections in turn: a connection's
// replies are the bytes between two Marks.
//
// Invariant: refs are ordered by at, and no at exceeds len(buf).
type Writer struct {
	buf   []byte
	refs  []ref
	proto int
	errs  int // errors written since Reset
	errAt int // where the latest error starts, for error statistics
}

// NewWriter returns a RESP2 writer that appends to buf.
func NewWriter(buf []byte) *Writer { return &Writer{buf: buf[:0], proto: 2} }

// Reset forgets all replies and keeps the memory.
func (w *Writer) Reset() {
	w.dropRefs(0)
	w.buf = w.buf[:0]
	w.errs = 0
}

// SetProto chooses the protocol version, 2 or 3, of what is written from now on.
func (w *Writer) SetProto(v int) { w.proto = v }

// Proto returns the protocol version in use.
func (w *Writer) Proto() int {
	if w.proto == 3 {
		return 3
	}
	return 2
}

// Bytes returns what was written. It is complete only when HasRefs is false; see Segments.
func (w *Writer) Bytes() []byte { return w.buf }

// Len is the length of the plain bytes; it is also the mark that Truncate takes.
func (w *Writer) Len() int { return len(w.buf) }

// Grow makes room for n bytes.
func (w *Writer) Grow(n int) {
	if cap(w.buf)-len(w.buf) < n {
		w.buf = append(make([]byte, 0, 2*cap(w.buf)+n), w.buf...)
	}
}

// Swap installs buf as the memory to append to and returns the old bytes. It must not be called while HasRefs.
func (w *Writer) Swap(buf []byte) []byte {
	old := w.buf
	w.buf = buf
	return old
}

// Truncate takes back everything after mark n.
func (w *Writer) Truncate(n int) {
	i := len(w.refs)
	for i > 0 && w.refs[i-1].at > n {
		i--
	}
	w.dropRefs(i)
	w.buf = w.buf[:n]
}

func (w *Writer) dropRefs(from int) {
	for i := from; i < len(w.refs); i++ {
		if w.refs[i].blob != nil {
			w.refs[i].blob.Release()
		}
		w.refs[i] = ref{}
	}
	w.refs = w.refs[:from]
}

// HasRefs reports whether blobs are waiting between the plain bytes.
func (w *Writer) HasRefs() bool { return len(w.refs) > 0 }

// Segments calls fn for each piece between two marks, in order: plain bytes with a nil blob (valid until the next write
// to w), or a blob, whose release is fn's duty from then on.
func (w *Writer) Segments(from, to int, fn func(plain []byte, blob Blob)) {
	at := from
	for i := range w.refs {
		r := &w.refs[i]
		if r.at < from || r.blob == nil {
			continue
		}
		if r.at >= to {
			break
		}
		if r.at > at {
			fn(w.buf[at:r.at], nil)
		}
		fn(nil, r.blob)
		at, r.blob = r.at, nil
	}
	if at < to {
		fn(w.buf[at:to], nil)
	}
}

// Take moves the replies of o, blobs included, behind what w holds.
func (w *Writer) Take(o *Writer) {
	base := len(w.buf)
	for i, r := range o.refs {
		w.refs = append(w.refs, ref{base + r.at, r.blob})
		o.refs[i] = ref{}
	}
	w.buf = append(w.buf, o.buf...)
	w.errs += o.errs
	w.errAt = base + o.errAt
	o.refs, o.buf, o.errs = o.refs[:0], o.buf[:0], 0
}

// Errors is the number of error replies since Reset.
func (w *Writer) Errors() int { return w.errs }

// LastError is the text of the latest error reply without the leading dash; valid until the next write.
func (w *Writer) LastError() []byte {
	if w.errs == 0 || w.errAt >= len(w.buf) {
		return nil
	}
	end := w.errAt
	for end < len(w.buf) && w.buf[end] != '\r' {
		end++
	}
	return w.buf[w.errAt+1 : end]
}

// Raw appends bytes that are protocol already.
func (w *Writer) Raw(p []byte) { w.buf = append(w.buf, p...) }

// RawString is Raw for a string.
func (w *Writer) RawString(s string) { w.buf = append(w.buf, s...) }

// OK writes +OK.
func (w *Writer) OK() { w.buf = append(w.buf, "+OK\r\n"...) }

// Simple writes a simple string; s must not hold CR or LF.
func (w *Writer) Simple(s string) {
	w.buf = append(w.buf, '+')
	w.buf = append(w.buf, s...)
	w.crlf()
}

// Error writes an error. As in Redis, a msg without a leading dash gets the code ERR; "-WRONGTYPE ..." is sent as is.
// Line breaks become spaces, so that a message that quotes a client's bytes cannot break the protocol.
func (w *Writer) Error(msg string) {
	w.beginError(len(msg) > 0 && msg[0] == '-')
	for i := 0; i < len(msg); i++ {
		w.errByte(msg[i])
	}
	w.crlf()
}

// ErrorBytes is Error for bytes.
func (w *Writer) ErrorBytes(msg []byte) {
	w.beginError(len(msg) > 0 && msg[0] == '-')
	for _, c := range msg {
		w.errByte(c)
	}
	w.crlf()
}

func (w *Writer) beginError(coded bool) {
	w.errs++
	w.errAt = len(w.buf)
	if !coded {
		w.buf = append(w.buf, "-ERR "...)
	}
}

func (w *Writer) errByte(c byte) {
	if c == '\r' || c == '\n' {
		c = ' '
	}
	w.buf = append(w.buf, c)
}

// Int writes an integer.
func (w *Writer) Int(n int64) { w.header(':', n) }

// digitPairs are the numbers from 00 to 99.
var digitPairs = func() (p [200]byte) {
	for i := range 100 {
		p[2*i], p[2*i+1] = byte('0'+i/10), byte('0'+i%10)
	}
	return p
}()

// longestHeader is room for a kind, any number and the end of the line.
const longestHeader = 1 + 20 + 2

// count appends a kind, a number from 0 to 99,999,999 and the end of the line, in one piece.
func (w *Writer) count(kind byte, n uint32) {
	if cap(w.buf)-len(w.buf) < longestHeader {
		w.Grow(longestHeader)
	}
	width := 1
	for most := uint32(10); width < 8 && n >= most; most *= 10 {
		width++
	}
	end := len(w.buf)
	p := w.buf[end : end+width+3]
	at := 1 + width
	p[0], p[at], p[at+1] = kind, '\r', '\n'
	for n >= 100 {
		pair := n % 100 * 2
		n /= 100
		at -= 2
		p[at], p[at+1] = digitPairs[pair], digitPairs[pair+1]
	}
	if n >= 10 {
		p[at-2] = digitPairs[2*n]
	}
	p[at-1] = digitPairs[2*n+1]
	w.buf = w.buf[:end+width+3]
}

// Bulk writes a bulk string; b is copied.
func (w *Writer) Bulk(b []byte) {
	if len(b) < 100 {
		w.shortBulk(b)
		return
	}
	w.header('$', int64(len(b)))
	w.buf = append(w.buf, b...)
	w.crlf()
}

// shortBulk is Bulk for less than a hundred bytes, which most are, in one piece.
func (w *Writer) shortBulk(b []byte) {
	const frame = len("$00\r\n\r\n")
	n, end := len(b), len(w.buf)
	if cap(w.buf)-end < n+frame {
		w.Grow(n + frame)
	}
	p := w.buf[end : end+n+frame]
	p[0] = '$'
	at := 1
	if n >= 10 {
		p[1] = byte('0' + n/10)
		at = 2
	}
	p[at], p[at+1], p[at+2] = byte('0'+n%10), '\r', '\n'
	at += 3 + copy(p[at+3:], b)
	p[at], p[at+1] = '\r', '\n'
	w.buf = w.buf[:end+at+2]
}

// BulkString is Bulk for a string.
func (w *Writer) BulkString(s string) {
	w.header('$', int64(len(s)))
	w.buf = append(w.buf, s...)
	w.crlf()
}

// BulkInt writes n in decimal as a bulk string.
func (w *Writer) BulkInt(n int64) {
	var tmp [20]byte
	w.Bulk(strconv.AppendInt(tmp[:0], n, 10))
}

// BeginBulk writes the header of a bulk string of n bytes and returns room for them; the caller fills it at once.
func (w *Writer) BeginBulk(n int) []byte {
	w.header('$', int64(n))
	w.Grow(n + 2)
	start := len(w.buf)
	w.buf = w.buf[:start+n]
	room := w.buf[start : start+n : start+n]
	w.crlf()
	return room
}

// BulkRef writes a bulk string whose bytes stay in b until they are sent.
func (w *Writer) BulkRef(b Blob) {
	w.header('$', int64(len(b.Bytes())))
	w.refs = append(w.refs, ref{at: len(w.buf), blob: b})
	w.crlf()
}

// Null writes the null of a missing value.
func (w *Writer) Null() {
	if w.proto == 3 {
		w.buf = append(w.buf, "_\r\n"...)
		return
	}
	w.buf = append(w.buf, "$-1\r\n"...)
}

// NullArray writes the null of a missing array.
func (w *Writer) NullArray() {
	if w.proto == 3 {
		w.buf = append(w.buf, "_\r\n"...)
		return
	}
	w.buf = append(w.buf, "*-1\r\n"...)
}

// Array starts an array of n elements.
func (w *Writer) Array(n int) { w.header('*', int64(n)) }

// Map starts a map of n pairs; in RESP2 an array of 2n.
func (w *Writer) Map(n int) {
	if w.proto == 3 {
		w.header('%', int64(n))
		return
	}
	w.header('*', int64(2*n))
}

// Set starts a set of n elements; in RESP2 an array.
func (w *Writer) Set(n int) { w.shape('~', n) }

// Push starts an out-of-band message of n elements; in RESP2 an array.
func (w *Writer) Push(n int) { w.shape('>', n) }

// Attribute starts an attribute of n pairs. RESP2 has no such thing: the caller must not ask for it there.
func (w *Writer) Attribute(n int) {
	if w.proto != 3 {
		panic("resp: attribute in RESP2")
	}
	w.header('|', int64(n))
}

func (w *Writer) shape(resp3 byte, n int) {
	if w.proto != 3 {
		resp3 = '*'
	}
	w.header(resp3, int64(n))
}

// Double writes a floating point number; in RESP2 a bulk string.
func (w *Writer) Double(f float64) {
	var tmp [32]byte
	text := AppendDouble(tmp[:0], f)
	if w.proto != 3 {
		w.Bulk(text)
		return
	}
	w.buf = append(w.buf, ',')
	w.buf = append(w.buf, text...)
	w.crlf()
}

// Bool writes a boolean; in RESP2 the integer 1 or 0.
func (w *Writer) Bool(b bool) {
	switch {
	case w.proto == 3 && b:
		w.buf = append(w.buf, "#t\r\n"...)
	case w.proto == 3:
		w.buf = append(w.buf, "#f\r\n"...)
	case b:
		w.Int(1)
	default:
		w.Int(0)
	}
}

// BigNumber writes an integer of any size given in decimal; in RESP2 a bulk string.
func (w *Writer) BigNumber(s string) {
	if w.proto != 3 {
		w.BulkString(s)
		return
	}
	w.buf = append(w.buf, '(')
	w.buf = append(w.buf, s...)
	w.crlf()
}

// Verbatim writes text with a three-letter format ("txt", "mkd"); in RESP2 a bulk string without it.
func (w *Writer) Verbatim(ext, s string) {
	if w.proto != 3 {
		w.BulkString(s)
		return
	}
	w.BeginVerbatim(ext, len(s))
	w.buf = append(w.buf, s...)
	w.crlf()
}

// BeginVerbatim begins a Verbatim of n bytes, which the caller writes behind it, and the end of the line.
func (w *Writer) BeginVerbatim(ext string, n int) {
	if w.proto != 3 {
		w.header('$', int64(n))
		return
	}
	w.header('=', int64(n+4))
	w.buf = append(w.buf, ext[:3]...)
	w.buf = append(w.buf, ':')
}

// DeferArray reserves the place of an aggregate's header whose length is not known yet.
func (w *Writer) DeferArray() (mark int) { return len(w.buf) }

// SetArrayLen puts the array header at mark.
func (w *Writer) SetArrayLen(mark, n int) { w.insertHeader(mark, '*', n) }

// SetMapLen puts the header of a map of n pairs at mark.
func (w *Writer) SetMapLen(mark, n int) {
	if w.proto == 3 {
		w.insertHeader(mark, '%', n)
		return
	}
	w.insertHeader(mark, '*', 2*n)
}

// SetSetLen puts the header of a set at mark.
func (w *Writer) SetSetLen(mark, n int) {
	if w.proto == 3 {
		w.insertHeader(mark, '~', n)
		return
	}
	w.insertHeader(mark, '*', n)
}

func (w *Writer) insertHeader(mark int, kind byte, n int) {
	var tmp [24]byte
	head := appendHeader(tmp[:0], kind, int64(n))
	end := len(w.buf)
	w.buf = append(w.buf, head...)
	copy(w.buf[mark+len(head):], w.buf[mark:end])
	copy(w.buf[mark:], head)
	for i := len(w.refs) - 1; i >= 0 && w.refs[i].at >= mark; i-- {
		w.refs[i].at += len(head)
	}
	if w.errs > 0 && w.errAt >= mark {
		w.errAt += len(head)
	}
}

func (w *Writer) header(kind byte, n int64) {
	if uint64(n) < 100_000_000 {
		w.count(kind, uint32(n))
		return
	}
	w.buf = appendHeader(w.buf, kind, n)
}

func (w *Writer) crlf() { w.buf = append(w.buf, '\r', '\n') }

func appendHeader(dst []byte, kind byte, n int64) []byte {
	if n >= 0 && n < 10 {
		return append(dst, kind, byte('0'+n), '\r', '\n')
	}
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// AppendCommand encodes a command as clients, the replication stream and the append-only file carry it.
func AppendCommand(dst []byte, args ...[]byte) []byte {
	dst = appendHeader(dst, '*', int64(len(args)))
	for _, a := range args {
		dst = appendHeader(dst, '$', int64(len(a)))
		dst = append(dst, a...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// AppendCommandStrings is AppendCommand for strings.
func AppendCommandStrings(dst []byte, args ...string) []byte {
	dst = appendHeader(dst, '*', int64(len(args)))
	for _, a := range args {
		dst = appendHeader(dst, '$', int64(len(a)))
		dst = append(dst, a...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// AppendDouble prints f as Redis 7.0 does, C's %.17g: 17 digits, which always read back, without trailing zeros.
func AppendDouble(dst []byte, f float64) []byte {
	switch n := int64(f); {
	case float64(n) == f && n > -1e17 && n < 1e17 && (n != 0 || !math.Signbit(f)):
		return strconv.AppendInt(dst, n, 10)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	}
	return strconv.AppendFloat(dst, f, 'g', 17, 64)
}
