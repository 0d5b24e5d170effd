package session

import (
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// digesting is the digest of a whole data set as it was at one instant, made of a cut while writes go on.
type digesting struct {
	cut *store.Cut
	dbs []digestOfDB
	big map[uint64]*digestOfBig
}

// digestOfDB is a database's part: the XOR of its keys' digests.
type digestOfDB struct {
	sum  digest
	some bool // it has keys
}

// digestOfBig is that of a key whose value comes in pieces.
type digestOfBig struct {
	sum     digest
	kind    store.Kind
	db      int
	expires bool
}

var _ store.Visitor = (*digesting)(nil)

// digestStep is the number of keys or elements that are looked at between two looks at the clock.
const digestStep = 64

// beginDigest begins the digest of a store's present contents. The lock must be held exclusively here and for each step; the
// cut must be ended.
func beginDigest(s *store.Store) *digesting {
	d := &digesting{dbs: make([]digestOfDB, s.Databases()), big: map[uint64]*digestOfBig{}}
	for i := range d.dbs {
		d.dbs[i].some = s.DB(i).Len() > 0
	}
	d.cut = s.BeginCut(d)
	return d
}

// total is the digest as DEBUG DIGEST of a redis-server with the same data answers it, when the cut is complete.
func (d *digesting) total() (sum digest) {
	for i := range d.dbs {
		if !d.dbs[i].some {
			continue
		}
		sum.mixInt(uint32(i))
		for j, b := range d.dbs[i].sum {
			sum[j] ^= b
		}
	}
	return sum
}

// long goes on outside of the hold in which the command was called.
func (d *digesting) long(proto int, write func(w *resp.Writer, sum digest)) *command.Long {
	l := &command.Long{Reply: resp.NewPieces(proto), End: d.cut.End}
	l.Piece = func(*command.Ctx) bool {
		if !d.cut.Step(digestStep) {
			return false
		}
		write(l.Reply.Head(), d.total())
		return true
	}
	return l
}

// Entry implements store.Visitor.
func (d *digesting) Entry(db int, e store.Entry) {
	var one digest
	one.mix(e.Key())
	one.mixEntry(e)
	d.dbs[db].sum.xor(one[:])
}

// BigPinned implements store.Visitor.
func (d *digesting) BigPinned(id uint64, db int, key store.Entry, _ int) {
	one := &digestOfBig{kind: key.Kind(), db: db, expires: key.ExpireAt() != 0}
	one.sum.mix(key.Key())
	one.sum.mixKind(one.kind)
	d.big[id] = one
}

// BigOpen implements store.Visitor.
func (d *digesting) BigOpen(uint64) {}

// BigField implements store.Visitor.
func (d *digesting) BigField(id uint64, f store.Entry) {
	switch one := d.big[id]; one.kind {
	case store.SetKind:
		one.sum.xor(f.Key())
	case store.HashKind:
		one.sum.mixPair(f.Key(), f.Bytes(nil))
	case store.ZSetKind:
		var room [32]byte
		one.sum.mixPair(f.Key(), resp.AppendDouble(room[:0], f.Score()))
	}
}

// BigChunk implements store.Visitor.
func (d *digesting) BigChunk(id uint64, c store.Chunk) {
	one, room := d.big[id], make([]byte, 0, 32)
	c.Each(func(x store.Elem) bool {
		one.sum.mix(x.Bytes(room))
		return true
	})
}

// StreamPart implements store.Visitor.
func (d *digesting) StreamPart(id uint64, p *store.StreamPart) {
	if p.Kind == store.StreamChunk {
		p.Entries(d.big[id].sum.mixStreamEntry)
	}
}

// BigClose implements store.Visitor.
func (d *digesting) BigClose(id uint64) {
	one := d.big[id]
	one.sum.mixExpiry(one.expires)
	d.dbs[one.db].sum.xor(one.sum[:])
	delete(d.big, id)
}
