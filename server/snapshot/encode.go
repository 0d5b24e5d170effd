package snapshot

import (
	"sync/atomic"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// inlineMax is the longest string that is encoded under the lock; longer ones are copied or pinned there, and encoded
// by the writer.
const inlineMax = 1 << 10

// encoder turns a cut's image into RDB bytes; once the queue has failed it does nothing. It runs under the engine's exclusive lock, now in the walk's goroutine,
// now in a client's.
//
// An RDB object is contiguous, but while a big hash is open other keys' pre-images arrive: they wait aside. So do
// fields of hashes whose turn has not come.
type encoder struct {
	q        *queue
	compress bool
	keys     atomic.Int64
	aside    stream
	hashes   map[uint64]*bigHash
	open     uint64 // 0: none
	listpack []byte
}

// bigHash is a pinned hash: its header and the fields that came early.
type bigHash struct {
	db     int
	expire int64
	key    []byte
	n      int
	early  stream
}

func newEncoder(q *queue, compress bool) *encoder {
	return &encoder{q: q, compress: compress, aside: stream{db: -1}, hashes: map[uint64]*bigHash{}}
}

// at is the stream on which complete entries go.
func (c *encoder) at() *stream {
	if c.open != 0 {
		return &c.aside
	}
	return &c.q.main
}

// begin precedes an entry: its database and its expiry.
func (c *encoder) begin(s *stream, db int, expire int64) {
	c.ready(s)
	if s.db != db {
		s.tail, s.db = rdb.AppendSelectDB(s.tail, db), db
	}
	if expire != 0 {
		s.tail = rdb.AppendExpireMS(s.tail, expire)
	}
}

// ready gives a stream a tail.
func (c *encoder) ready(s *stream) {
	if s.tail == nil {
		s.tail = c.q.buffer()
	}
}

// finish makes a piece when there is enough for one.
func (c *encoder) finish(s *stream) {
	if len(s.tail) >= pieceSize {
		c.q.cut(s)
	}
}

// Entry implements store.Visitor.
func (c *encoder) Entry(db int, e store.Entry) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	if c.q.fail != nil {
		return
	}
	s := c.at()
	if e.Kind() == store.HashKind {
		c.smallHash(s, db, e)
	} else {
		c.begin(s, db, e.ExpireAt())
		if n, ok := e.Int(); ok {
			s.tail = rdb.AppendIntEntry(s.tail, e.Key(), n, c.compress)
		} else if v := e.Bytes(nil); len(v) <= inlineMax {
			s.tail = rdb.AppendStringEntry(s.tail, e.Key(), v, c.compress)
		} else {
			s.tail = append(s.tail, byte(rdb.TypeString))
			s.tail = rdb.AppendString(s.tail, e.Key(), c.compress)
			c.long(s, e, v)
		}
	}
	c.keys.Add(1)
	c.finish(s)
}

// long adds a string that the writer encodes.
func (c *encoder) long(s *stream, e store.Entry, v []byte) {
	c.q.cut(s)
	if b := e.Blob(); b != nil {
		c.q.add(s, &piece{data: b.Bytes(), blob: b, encode: true, size: len(v)})
		return
	}
	c.q.add(s, &piece{data: append([]byte(nil), v...), encode: true, size: len(v)})
}

func (c *encoder) smallHash(s *stream, db int, e store.Entry) {
	h := e.Hash()
	if h.Len() == 0 {
		return // a command is about to delete it; readers refuse an empty one
	}
	c.begin(s, db, e.ExpireAt())
	lp, n := rdb.BeginListpack(c.listpack[:0]), 0
	h.Each(func(f, v []byte) bool {
		lp = rdb.AppendListpackElement(lp, f)
		lp = rdb.AppendListpackElement(lp, v)
		n += 2
		return true
	})
	c.listpack = rdb.FinishListpack(lp, 0, n)
	if len(c.listpack) <= inlineMax {
		s.tail = rdb.AppendHashListpackEntry(s.tail, e.Key(), c.listpack, c.compress)
		return
	}
	s.tail = append(s.tail, byte(rdb.TypeHashListpack))
	s.tail = rdb.AppendString(s.tail, e.Key(), c.compress)
	c.q.cut(s)
	c.q.add(s, &piece{data: append([]byte(nil), c.listpack...), encode: true, size: len(c.listpack)})
}

// HashPinned implements store.Visitor.
func (c *encoder) HashPinned(id uint64, db int, key store.Entry, n int) {
	c.hashes[id] = &bigHash{
		db: db, expire: key.ExpireAt(), key: append([]byte(nil), key.Key()...), n: n, early: stream{db: -1},
	}
}

// HashOpen implements store.Visitor.
func (c *encoder) HashOpen(id uint64) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	if c.q.fail != nil {
		return
	}
	h, s := c.hashes[id], &c.q.main
	c.open = id
	if h.n == 0 {
		return
	}
	c.begin(s, h.db, h.expire)
	s.tail = rdb.AppendHashEntry(s.tail, h.key, h.n, c.compress)
	s.append(c.q, &h.early)
}

// HashField implements store.Visitor.
func (c *encoder) HashField(id uint64, f store.Entry) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	if c.q.fail != nil {
		return
	}
	s := &c.q.main
	if c.open != id {
		s = &c.hashes[id].early
	}
	c.text(s, f, f.Key())
	c.text(s, f, f.Bytes(nil))
	c.finish(s)
}

// text adds a field's name or value.
func (c *encoder) text(s *stream, f store.Entry, v []byte) {
	switch {
	case len(v) <= inlineMax:
		c.ready(s)
		s.tail = rdb.AppendString(s.tail, v, c.compress)
	case len(v) == f.StrLen():
		c.long(s, f, v)
	default:
		c.q.cut(s)
		c.q.add(s, &piece{data: append([]byte(nil), v...), encode: true, size: len(v)})
	}
}

// HashClose implements store.Visitor.
func (c *encoder) HashClose(id uint64) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	if c.q.fail != nil {
		return
	}
	delete(c.hashes, id)
	c.open = 0
	c.keys.Add(1)
	c.q.main.append(c.q, &c.aside)
}
