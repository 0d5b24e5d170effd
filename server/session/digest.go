package session

import (
	"crypto/sha1" //nolint:gosec // the algorithm is DEBUG DIGEST's
	"encoding/binary"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// digest is DEBUG DIGEST's sum (debug.c): a data set's is the XOR of its keys', so the order of the keys does not
// matter, and equal data sets have equal digests whatever server holds them.
type digest [sha1.Size]byte

// xor adds data without regard to order.
func (d *digest) xor(data []byte) {
	h := sha1.Sum(data) //nolint:gosec
	for i := range d {
		d[i] ^= h[i]
	}
}

// mix adds data in order.
func (d *digest) mix(data []byte) {
	d.xor(data)
	*d = sha1.Sum(d[:]) //nolint:gosec
}

func (d *digest) mixInt(n uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	d.mix(b[:])
}

// mixKind adds the type of a value.
func (d *digest) mixKind(k store.Kind) {
	kind := uint32(k)
	if k == store.StreamKind {
		kind++ // Redis counts modules before streams
	}
	d.mixInt(kind)
}

// mixExpiry adds that there is an expiry.
func (d *digest) mixExpiry(there bool) {
	if there {
		d.xor([]byte("!!expire!!"))
	}
}

// mixPair adds a field with its value, or a member with its score, without regard to the order of pairs.
func (d *digest) mixPair(name, value []byte) {
	var one digest
	one.mix(name)
	one.mix(value)
	d.xor(one[:])
}

// mixEntry adds a value and whether it has an expiry.
func (d *digest) mixEntry(e store.Entry) {
	d.mixKind(e.Kind())
	var scratch [32]byte
	switch e.Kind() {
	case store.String:
		d.mix(e.Bytes(scratch[:0]))
	case store.ListKind:
		l := e.List()
		l.Each(0, false, func(x store.Elem) bool {
			d.mix(x.Bytes(scratch[:0]))
			return true
		})
	case store.SetKind:
		s := e.Set()
		s.Each(func(member []byte) bool {
			d.xor(member)
			return true
		})
	case store.HashKind:
		h := e.Hash()
		h.Each(func(field, value []byte) bool {
			d.mixPair(field, value)
			return true
		})
	case store.ZSetKind:
		z := e.ZSet()
		z.Each(func(member []byte, score float64) bool {
			d.mixPair(member, resp.AppendDouble(scratch[:0], score))
			return true
		})
	case store.StreamKind:
		s := e.Stream()
		d.mixStream(&s)
	}
	d.mixExpiry(e.ExpireAt() != 0)
}
