package store

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"sync/atomic"
	"unsafe"
)

const (
	flagExpire   = 1 << 4
	flagValBlob  = 1 << 5
	flagKeyBlob  = 1 << 6
	headerBytes  = 4
	maxInlineKey = 4 << 10
	embstrMax    = 44
)

// KeepTTL as an expiry keeps the one that the key has.
const KeepTTL int64 = -1

const never int64 = math.MaxInt64

// Entry is a handle on a key and its value, valid until the next write of its DB.
type Entry struct {
	p   *part
	ref uint32
	gen uint32
}

// shape says where the parts of an entry lie in its slot. It has four fields, which is what the compiler keeps in registers;
// it goes by value for the same reason.
type shape struct {
	meta      uint8
	key       int // offset; the key ends where the value begins, and is 4 bytes for a blob's index
	val, vlen int // offset and length
}

// width is in how many bytes, right before the key, the value's length stands; 0 for values of a fixed size.
func (s shape) width() int {
	if sized(s.meta) {
		return varintLen(s.vlen)
	}
	return 0
}

func (p *part) entry(ref uint32) Entry { return Entry{p, ref, p.space.gen} }

func (e Entry) slot() []byte {
	if debug && e.gen != e.p.space.gen {
		panic("store: an Entry was used after a write of its DB")
	}
	return e.p.slab.at(e.ref)
}

func header(b []byte) *uint32 { return (*uint32)(unsafe.Pointer(unsafe.SliceData(b))) }

// varint reads a varint of at most 5 bytes.
func varint(b []byte) (n, width int) {
	if c := b[0]; c < 0x80 {
		return int(c), 1
	}
	v, w := binary.Uvarint(b)
	return int(v), w
}

func varintLen(n int) int {
	w := 1
	for n >= 0x80 {
		n >>= 7
		w++
	}
	return w
}

// sized reports whether entries of this header carry a value length.
func sized(meta uint8) bool {
	return meta&typeMask != typeInt && !isObject(meta) && meta&flagValBlob == 0
}

func shapeOf(b []byte) (s shape) {
	s.meta = uint8(atomic.LoadUint32(header(b)))
	at := headerBytes
	if s.meta&flagExpire != 0 {
		at += 8
	}
	klen, w := varint(b[at:])
	at += w
	if s.meta&flagKeyBlob != 0 {
		klen = 4
	}
	switch {
	case sized(s.meta):
		s.vlen, w = varint(b[at:])
		at += w
	case s.meta&flagValBlob == 0 && s.meta&typeMask == typeInt:
		s.vlen = 8
	default:
		s.vlen = 4
	}
	s.key, s.val = at, at+klen
	return s
}

// keyIs compares the key of an entry. It is shapeOf reduced to what a lookup needs.
func (p *part) keyIs(ref uint32, key []byte) bool {
	b := p.slab.at(ref)
	meta := uint8(atomic.LoadUint32(header(b)))
	at := headerBytes
	if meta&flagExpire != 0 {
		at += 8
	}
	n, w := varint(b[at:])
	if n != len(key) {
		return false
	}
	if at += w; sized(meta) {
		for b[at] >= 0x80 {
			at++
		}
		at++
	}
	if meta&flagKeyBlob != 0 {
		return bytes.Equal(p.blobAt(b[at:]).data, key)
	}
	return string(b[at:at+n]) == string(key)
}

func (p *part) blobAt(b []byte) *Blob { return p.blobs[binary.LittleEndian.Uint32(b)] }

func (p *part) keyBytes(b []byte, s shape) []byte {
	if s.meta&flagKeyBlob != 0 {
		return p.blobAt(b[s.key:]).data
	}
	return b[s.key:s.val:s.val]
}

func (p *part) valueBytes(b []byte, s shape) []byte {
	if s.meta&flagValBlob != 0 {
		return p.blobAt(b[s.val:]).data
	}
	return b[s.val : s.val+s.vlen : s.val+s.vlen]
}

// rehash computes an entry's hash again and tells whether it has an expiry.
func (p *part) rehash(ref uint32) (h uint64, exp bool) {
	b := p.slab.at(ref)
	s := shapeOf(b)
	return p.space.store.hash.sum(p.keyBytes(b, s)), s.meta&flagExpire != 0
}

func expiryOf(b []byte, meta uint8) int64 {
	if meta&flagExpire == 0 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(b[headerBytes:]))
}

// Key is the entry's key; it points into the store.
func (e Entry) Key() []byte {
	b := e.slot()
	s := shapeOf(b)
	return e.p.keyBytes(b, s)
}

func (e Entry) meta() uint8 { return uint8(atomic.LoadUint32(header(e.slot()))) }

// Kind is the value's type.
func (e Entry) Kind() Kind { return kinds[e.meta()&typeMask].kind }

// Encoding is the value's encoding under the name that OBJECT ENCODING gives it.
func (e Entry) Encoding() string {
	t := e.meta() & typeMask
	if t == typeEmbstr && e.StrLen() > embstrMax {
		t = typeRaw
	}
	return kinds[t].encoding
}

// ExpireAt is the expiry in unix milliseconds, 0 for none.
func (e Entry) ExpireAt() int64 {
	b := e.slot()
	return expiryOf(b, uint8(atomic.LoadUint32(header(b))))
}

// Expired tells whether the entry is past its time: it is still there in its last millisecond, as in Redis. This is the
// one place that decides.
func (e Entry) Expired(now int64) bool { return past(e.ExpireAt(), now) }

func past(at, now int64) bool { return at != 0 && at < now }

// Text is all that there is to know of a string, read at once: for walks over many keys.
type Text struct {
	Key, Value []byte // they point into the store, where they stand until the DB's next write
	Int        int64  // the value, when IsInt
	IsInt      bool   // then Value is nil
	ExpireAt   int64  // unix ms, 0 for none
}

// Text reads a string; ok is false for a key of another kind.
func (e Entry) Text() (t Text, ok bool) {
	b := e.slot()
	s := shapeOf(b)
	switch {
	case s.meta&typeMask == typeInt:
		t.Int, t.IsInt = int64(binary.LittleEndian.Uint64(b[s.val:])), true
	case isText(s.meta):
		t.Value = e.p.valueBytes(b, s)
	default:
		return Text{}, false
	}
	t.Key, t.ExpireAt = e.p.keyBytes(b, s), expiryOf(b, s.meta)
	return t, true
}

// Int is the value of a string in canonical integer form.
func (e Entry) Int() (int64, bool) {
	b := e.slot()
	s := shapeOf(b)
	if s.meta&typeMask == typeInt {
		return int64(binary.LittleEndian.Uint64(b[s.val:])), true
	}
	return 0, false
}

// StrLen is the length of a string in bytes.
func (e Entry) StrLen() int {
	b := e.slot()
	s := shapeOf(b)
	if s.meta&typeMask == typeInt {
		var digits [20]byte
		return len(strconv.AppendInt(digits[:0], int64(binary.LittleEndian.Uint64(b[s.val:])), 10))
	}
	return len(e.p.valueBytes(b, s))
}

// AppendString appends a string's bytes.
func (e Entry) AppendString(dst []byte) []byte {
	b := e.slot()
	s := shapeOf(b)
	if s.meta&typeMask == typeInt {
		return strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(b[s.val:])), 10)
	}
	return append(dst, e.p.valueBytes(b, s)...)
}

// Bytes are a string's bytes. They may point into the store, where they stand until the DB's next write; an integer is
// written into scratch.
func (e Entry) Bytes(scratch []byte) []byte {
	b := e.slot()
	s := shapeOf(b)
	if s.meta&typeMask == typeInt {
		return strconv.AppendInt(scratch[:0], int64(binary.LittleEndian.Uint64(b[s.val:])), 10)
	}
	return e.p.valueBytes(b, s)
}

// Blob is the string's blob with a reference for the caller, or nil when the value is not kept in one.
func (e Entry) Blob() *Blob {
	b := e.slot()
	s := shapeOf(b)
	if s.meta&flagValBlob == 0 || !isText(s.meta) {
		return nil
	}
	blob := e.p.blobAt(b[s.val:])
	blob.Retain()
	return blob
}

// MemoryUsage is the number of bytes that the key and its value hold, tables' buckets included.
func (e Entry) MemoryUsage() int64 {
	b := e.slot()
	s := shapeOf(b)
	n := int64(e.p.slab.size(e.ref)) + bucketBytes/bucketSlots
	if s.meta&flagKeyBlob != 0 {
		n += int64(len(e.p.blobAt(b[s.key:]).whole))
	}
	if s.meta&flagValBlob != 0 {
		n += int64(len(e.p.blobAt(b[s.val:]).whole))
	}
	if isObject(s.meta) {
		n += e.p.space.object(b[s.val:]).memoryUsage()
	}
	return n
}
