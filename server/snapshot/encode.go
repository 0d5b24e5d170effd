package snapshot

import (
	"sync/atomic"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// inlineMax is the longest string that is encoded under the lock; longer ones are copied or pinned there, and encoded
// by the writer.
const inlineMax = 1 << 10

// encoder turns a cut's image into RDB bytes; once the queue has failed it does nothing. It runs under the engine's
// exclusive lock, now in the walk's goroutine, now in a client's.
//
// An RDB object is contiguous, but while a big value is open other keys' pre-images arrive: they wait aside. So do
// elements of values whose turn has not come.
type encoder struct {
	q         *queue
	compress  bool
	keys      atomic.Int64
	values    map[uint64]*bigValue
	open      uint64 // 0: none
	listpack  []byte
	part      rdb.StreamPart
	image     store.StreamImage
	into      *stream // what imagePart appends to
	imagePart func(p *store.StreamPart)
	effort    effort
	walking   bool // what comes is the walk's, and not a write's pre-image
	ages      bool // each key's access clock is told
	lfu       bool
}

// bigValue is a pinned value: its header and the elements that came early.
type bigValue struct {
	kind   store.Kind
	db     int
	expire int64
	age    []byte // what tells the access clock
	key    []byte
	n      int
	nodes  int // of a list
	early  stream
}

func newEncoder(q *queue, compress bool) *encoder {
	c := &encoder{q: q, compress: compress, values: map[uint64]*bigValue{}}
	c.imagePart = func(p *store.StreamPart) { c.streamPart(c.into, p) }
	return c
}

// at is the stream on which complete entries go.
func (c *encoder) at() *stream {
	if c.open != 0 {
		return &c.q.aside
	}
	return &c.q.main
}

// begin precedes an entry: its database, its expiry and what age says.
func (c *encoder) begin(s *stream, db int, expire int64, e store.Entry) {
	c.place(s, db, expire)
	if c.ages {
		s.tail = c.age(s.tail, e)
	}
}

// age tells an entry's access clock, as Redis does while the policy of maxmemory looks at it.
func (c *encoder) age(dst []byte, e store.Entry) []byte {
	idle, frequency := e.Age()
	if c.lfu {
		return rdb.AppendFreq(dst, frequency)
	}
	return rdb.AppendIdle(dst, uint64(idle))
}

func (c *encoder) place(s *stream, db int, expire int64) {
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
	switch {
	case s.tail != nil:
	case s.early:
		s.tail = make([]byte, 0, earlySize/8)
	default:
		s.tail = c.q.buffer()
	}
}

// finish makes a piece when there is enough for one.
func (c *encoder) finish(s *stream) {
	if len(s.tail) >= pieceSize || s.early && len(s.tail) >= earlySize {
		c.q.cut(s)
	}
}

// Entry implements store.Visitor.
func (c *encoder) Entry(db int, e store.Entry) {
	if c.q.failed.Load() {
		return
	}
	s := c.at()
	if !c.small(s, db, e) {
		return // a command is about to delete it; readers refuse an empty value
	}
	c.keys.Add(1)
	c.finish(s)
}

// small encodes a whole value and reports whether there was anything to encode.
func (c *encoder) small(s *stream, db int, e store.Entry) bool {
	if t, ok := e.Text(); ok {
		c.text(s, db, e, &t)
		return true
	}
	if e.Big() {
		return c.little(s, db, e)
	}
	switch k := e.Kind(); k {
	case store.HashKind:
		return c.smallHash(s, db, e)
	case store.ListKind:
		return c.smallList(s, db, e)
	case store.SetKind:
		return c.smallSet(s, db, e)
	case store.ZSetKind:
		return c.smallZSet(s, db, e)
	default:
		panic("snapshot: a small " + k.String() + " in the store, which nothing encodes")
	}
}

// little encodes a whole big value that is little, as the walk would, and reports whether there was anything to encode.
func (c *encoder) little(s *stream, db int, e store.Entry) bool {
	k, n := e.Kind(), e.Size()
	if n == 0 && k != store.StreamKind {
		return false
	}
	c.begin(s, db, e.ExpireAt(), e)
	switch k {
	case store.HashKind:
		s.tail = rdb.AppendHashEntry(s.tail, e.Key(), n, c.compress)
		h := e.Hash()
		h.Each(func(f, v []byte) bool {
			c.copied(s, f)
			c.copied(s, v)
			return true
		})
	case store.SetKind:
		s.tail = rdb.AppendSetEntry(s.tail, e.Key(), n, c.compress)
		set := e.Set()
		set.Each(func(m []byte) bool {
			c.copied(s, m)
			return true
		})
	case store.ZSetKind:
		s.tail = rdb.AppendZSetEntry(s.tail, e.Key(), n, c.compress)
		z := e.ZSet()
		z.Each(func(member []byte, score float64) bool {
			c.copied(s, member)
			c.ready(s)
			s.tail = rdb.AppendScore(s.tail, score)
			return true
		})
	case store.ListKind:
		l := e.List()
		s.tail = rdb.AppendListEntry(s.tail, e.Key(), l.Chunks(), c.compress)
		l.EachChunk(func(chunk store.Chunk) { c.packedNode(s, chunk.Data, chunk.Elements) })
	case store.StreamKind:
		s.tail = rdb.AppendStreamEntry(s.tail, e.Key(), c.compress)
		x := e.Stream()
		c.into = s
		c.image.Each(&x, c.imagePart)
	default:
		panic("snapshot: a big " + k.String() + " in the store, which nothing encodes")
	}
	return true
}

func (c *encoder) text(s *stream, db int, e store.Entry, t *store.Text) {
	c.begin(s, db, t.ExpireAt, e)
	switch {
	case t.IsInt:
		s.tail = rdb.AppendIntEntry(s.tail, t.Key, t.Int, c.compress)
	case len(t.Value) <= inlineMax:
		s.tail = append(s.tail, byte(rdb.TypeString))
		s.tail = rdb.AppendString(s.tail, t.Key, c.compress)
		from := len(s.tail)
		try := c.compress && c.effort.pays()
		s.tail = rdb.AppendString(s.tail, t.Value, try)
		if try {
			c.effort.result(len(s.tail)-from < len(t.Value))
		}
	default:
		s.tail = append(s.tail, byte(rdb.TypeString))
		s.tail = rdb.AppendString(s.tail, t.Key, c.compress)
		c.long(s, e, t.Value)
	}
}

// effort decides whether to try compressing the next short string. Trying costs more than all the rest of an entry,
// and often a data set's values are alike: after a row of failures only one string of many is tried, until one gives.
type effort struct{ failures, passed int }

const (
	failuresInRow = 64
	passAfterRow  = 31
)

func (f *effort) pays() bool {
	if f.failures < failuresInRow || f.passed >= passAfterRow {
		f.passed = 0
		return true
	}
	f.passed++
	return false
}

func (f *effort) result(shorter bool) {
	f.failures++
	if shorter {
		f.failures = 0
	}
}

// long adds a string that the writer encodes.
func (c *encoder) long(s *stream, e store.Entry, v []byte) {
	c.q.cut(s)
	if b := e.Blob(); b != nil {
		c.q.add(s, &piece{data: b.Bytes(), blob: b, encode: true, pinned: c.walking, size: len(v)})
		return
	}
	c.q.add(s, &piece{data: append([]byte(nil), v...), encode: true, size: len(v)})
}

func (c *encoder) smallHash(s *stream, db int, e store.Entry) bool {
	h := e.Hash()
	if h.Len() == 0 {
		return false
	}
	c.begin(s, db, e.ExpireAt(), e)
	lp, n := listpack.Begin(c.listpack[:0]), 0
	h.Each(func(f, v []byte) bool {
		lp = listpack.AppendString(lp, f)
		lp = listpack.AppendString(lp, v)
		n += 2
		return true
	})
	c.listpack = listpack.Finish(lp, 0, n)
	c.packed(s, rdb.TypeHashListpack, e.Key(), c.listpack)
	return true
}

// packed adds an entry whose value is one string, which is copied.
func (c *encoder) packed(s *stream, t rdb.Type, key, value []byte) {
	s.tail = append(s.tail, byte(t))
	s.tail = rdb.AppendString(s.tail, key, c.compress)
	c.copied(s, value)
}

// copied adds a string that stays where it is only for the moment.
func (c *encoder) copied(s *stream, v []byte) {
	c.ready(s)
	if len(v) <= inlineMax {
		s.tail = rdb.AppendString(s.tail, v, c.compress)
		return
	}
	c.q.cut(s)
	c.q.add(s, &piece{data: append([]byte(nil), v...), encode: true, size: len(v)})
}

// BigPinned implements store.Visitor.
func (c *encoder) BigPinned(id uint64, db int, key store.Entry, n int) {
	v := &bigValue{
		kind: key.Kind(), db: db, expire: key.ExpireAt(), key: append([]byte(nil), key.Key()...), n: n,
		early: stream{db: -1, early: true},
	}
	if v.kind == store.ListKind {
		l := key.List()
		v.nodes = l.Chunks()
	}
	if c.ages {
		v.age = c.age(nil, key)
	}
	c.values[id] = v
}

// BigOpen implements store.Visitor.
func (c *encoder) BigOpen(id uint64) {
	if c.q.failed.Load() {
		return
	}
	v, s := c.values[id], &c.q.main
	c.open = id
	if v.n == 0 && v.kind != store.StreamKind {
		return
	}
	c.place(s, v.db, v.expire)
	s.tail = append(s.tail, v.age...)
	switch v.kind {
	case store.HashKind:
		s.tail = rdb.AppendHashEntry(s.tail, v.key, v.n, c.compress)
	case store.ListKind:
		s.tail = rdb.AppendListEntry(s.tail, v.key, v.nodes, c.compress)
	case store.SetKind:
		s.tail = rdb.AppendSetEntry(s.tail, v.key, v.n, c.compress)
	case store.StreamKind:
		s.tail = rdb.AppendStreamEntry(s.tail, v.key, c.compress)
	case store.ZSetKind:
		s.tail = rdb.AppendZSetEntry(s.tail, v.key, v.n, c.compress)
	default:
		panic("snapshot: a big " + v.kind.String() + " in the store, which nothing encodes")
	}
	s.append(c.q, &v.early)
}

// BigField implements store.Visitor.
func (c *encoder) BigField(id uint64, f store.Entry) {
	if c.q.failed.Load() {
		return
	}
	v, s := c.values[id], &c.q.main
	if c.open != id {
		s = &v.early
	}
	c.copied(s, f.Key())
	switch v.kind {
	case store.HashKind:
		c.value(s, f)
	case store.ZSetKind:
		c.ready(s)
		s.tail = rdb.AppendScore(s.tail, f.Score())
	}
	c.finish(s)
}

// value adds the value of a hash's field.
func (c *encoder) value(s *stream, f store.Entry) {
	if v := f.Bytes(nil); len(v) > inlineMax {
		c.long(s, f, v)
	} else {
		c.copied(s, v)
	}
}

// BigChunk implements store.Visitor.
func (c *encoder) BigChunk(id uint64, chunk store.Chunk) {
	if c.q.failed.Load() {
		return
	}
	switch k := c.values[id].kind; k {
	case store.ListKind:
		c.listChunk(chunk)
	default:
		panic("snapshot: a chunk of a " + k.String() + ", which nothing encodes")
	}
	c.finish(&c.q.main)
}

// BigClose implements store.Visitor.
func (c *encoder) BigClose(id uint64) {
	if c.q.failed.Load() {
		return
	}
	delete(c.values, id)
	c.open = 0
	c.keys.Add(1)
	c.q.main.append(c.q, &c.q.aside)
}
