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

// mixEntry adds a value and whether it has an expiry.
func (d *digest) mixEntry(e store.Entry) {
	kind := uint32(e.Kind())
	if e.Kind() == store.StreamKind {
		kind++ // Redis counts modules before streams
	}
	d.mixInt(kind)
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
			var one digest
			one.mix(field)
			one.mix(value)
			d.xor(one[:])
			return true
		})
	case store.ZSetKind:
		z := e.ZSet()
		z.Each(func(member []byte, score float64) bool {
			var one digest
			one.mix(member)
			one.mix(resp.AppendDouble(scratch[:0], score))
			d.xor(one[:])
			return true
		})
	}
	if e.Kind() == store.StreamKind {
		s := e.Stream()
		d.mixStream(&s)
	}
	if e.ExpireAt() != 0 {
		d.xor([]byte("!!expire!!"))
	}
}

// Digest is the digest of a whole data set, as DEBUG DIGEST of a redis-server with the same data answers it. The lock
// must be held.
func Digest(s *store.Store) [sha1.Size]byte {
	var sum digest
	for i := range s.Databases() {
		db := s.DB(i)
		if db.Len() == 0 {
			continue
		}
		sum.mixInt(uint32(i))
		db.EachKey(func(key []byte, e store.Entry) bool {
			var one digest
			one.mix(key)
			one.mixEntry(e)
			sum.xor(one[:])
			return true
		})
	}
	return sum
}
