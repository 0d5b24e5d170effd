package command

import (
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Made is the result of a command that stores it, made before the command's last hold of the lock. The command is executed
// anew then, with what was made (Ctx.With), at the place in the log where it belongs: if nothing that it was made of has
// changed meanwhile, the result is that of an execution at that place. The engine sees to that.
type Made struct {
	// Sources are the keys that it was made of.
	Sources [][]byte

	key    []byte
	kind   store.Kind
	set    *members
	noInts bool
	zset   *scoredList // in order
	list   *members
	// looked is of a SORT that looks up other keys; noScore that it, or another one, met an element without a number.
	looked  *looked
	noScore bool
	copy    *copiedCursor // COPY: of a hash fields and values in turn
	stream  *copiedStream // COPY, of a stream
	bits    *madeBits     // BITCOUNT, BITPOS: they store nothing
	named   *namedReply   // HMGET and its kin, which store nothing either
	lookups *lookups      // MGET and its kin
	union   *hllUnion     // PFCOUNT, PFMERGE: with lookups
	value   *madeValue    // RESTORE
	text    *store.Blob   // RESTORE of a string, BITOP
	taken   *taken        // of what takes elements out: the others are the value

	elsewhere bool // COPY: the result belongs to another database than the sources
	target    int
	loose     *store.Loose // of a big result
	rest      []byte       // of set or list: what Step has still to add
	next      int          // of zset
}

// With gives the command that Begin was called for a result, or none.
func (c *Ctx) With(m *Made) { c.made = m }

// Step makes some of the value that is to be put in place, and reports whether that is all. It needs the exclusive lock,
// and the database where the command was begun.
func (m *Made) Step(db *store.DB) (done bool) {
	if m.taken != nil {
		return m.stepTaken(db)
	}
	if m.elsewhere {
		db = db.Store().DB(m.target)
	}
	if m.loose == nil {
		if !m.big(db) {
			return true
		}
		m.loose = db.NewLoose(m.key, m.kind)
	}
	if m.stream != nil && m.loose.Good() {
		return m.stream.step(m.loose)
	}
	if !m.loose.Good() { // a second SWAPDB would make a part of the value good again
		m.loose.Drop()
		m.loose = nil
		return true
	}
	step := longStep
	if m.kind == store.StreamKind {
		step = chunkStep
	}
	for range step {
		switch {
		case m.copy != nil:
			if !m.copyOne() {
				return true
			}
		case m.value != nil:
			if !m.readOne(db) {
				return true
			}
		case m.zset != nil && m.next < len(m.zset.items):
			it := m.zset.items[m.next]
			m.loose.Set(m.zset.member(it), it.score)
			m.next++
		case len(m.rest) > 0 && m.set != nil:
			m.loose.Add(m.pop())
		case len(m.rest) > 0:
			m.loose.Push(m.pop())
		default:
			return true
		}
	}
	return false
}

func (m *Made) copyOne() (more bool) {
	e, score, ok := m.copy.next()
	switch {
	case !ok:
		return false
	case m.kind == store.ZSetKind:
		m.loose.Set(e, score)
	case m.kind == store.HashKind:
		value, _, _ := m.copy.next()
		m.loose.SetField(e, value)
	default:
		m.loose.Add(e)
	}
	return true
}

func (m *Made) pop() []byte {
	e, rest := firstMember(m.rest)
	m.rest = rest
	return e
}

// big tells whether the value is of many elements, and of a kind that only many have: others are made where they belong.
func (m *Made) big(db *store.DB) bool {
	conf := &db.Store().Config
	switch {
	case m.copy != nil, m.stream != nil:
		return true
	case m.value != nil:
		return m.value.in != nil
	case m.zset != nil:
		m.kind = store.ZSetKind
		return len(m.zset.items) > flatMost(m.kind, conf)
	case m.set != nil:
		m.kind, m.rest = store.SetKind, m.set.buf
		return m.set.n > flatMost(m.kind, conf)
	case m.list != nil:
		m.kind, m.rest = store.ListKind, m.list.buf
		return m.list.n > flatMost(m.kind, conf) && len(m.list.buf) > 4<<10
	}
	return false
}

// Drop gives up what was made. It needs the exclusive lock.
func (m *Made) Drop() {
	if m.taken != nil && m.taken.reply != nil {
		m.taken.reply.Drop() // it holds the blobs that are its elements, unless the command has taken it
	}
	if m.named != nil {
		m.named.reply.Drop()
	}
	if m.text != nil {
		m.text.Release()
		m.text = nil
	}
	if m.loose != nil {
		m.loose.Drop()
	}
	if m.stream != nil {
		m.stream.end()
	}
}

// Stale tells whether a source has changed in a way that WATCH is not told of, or will have at a time in unix milliseconds (0:
// that is not asked for yet). It needs the lock.
func (m *Made) Stale(db *store.DB, now int64) bool {
	switch {
	case m.stream != nil:
		return m.stream.stale(db, m.Sources[0])
	case m.looked != nil:
		return m.looked.stale(now)
	case m.lookups != nil && m.lookups.expires > 0 && now >= m.lookups.expires:
		return true
	}
	return m.named != nil && !m.named.whole || m.union != nil && !m.union.whole
}

// Looks tells whether there are sources that no list names, but Sees.
func (m *Made) Looks() bool { return m.looked != nil || m.lookups != nil }

// Sees tells whether a key that has changed, of the database where the command was begun, is such a source. It needs the
// exclusive lock.
func (m *Made) Sees(key []byte) bool {
	if m.lookups != nil {
		return m.lookups.sees(key)
	}
	return m.looked.sees(key)
}

// Counts tells whether the command counts the keys that it finds in its last hold, not in its first.
func (m *Made) Counts() bool { return m.lookups != nil }

// attach puts a big result that was made at a key. It answers false when there is none.
func (c *Ctx) attach(key []byte) bool { return c.attachIn(c.DB, key) }

func (c *Ctx) attachIn(db *store.DB, key []byte) bool {
	if c.made == nil || c.made.loose == nil || !c.made.loose.Good() || c.made.loose.Len() == 0 {
		return false
	}
	db.Attach(key, c.made.loose)
	return true
}

// attachText makes a string that was made the value at a key, raw bytes or text. It answers false when there is none.
func (c *Ctx) attachText(key []byte, raw bool) bool {
	if c.made == nil || c.made.text == nil {
		return false
	}
	c.DB.SetBlob(key, c.made.text, raw)
	c.made.text = nil
	return true
}

// longMade is long for a command that stores a result at key: begin makes what copies the sources, make the result of
// the copies.
func (c *Ctx) longMade(key []byte, sources [][]byte, begin func(m *Made) *Long) bool {
	if c.made != nil {
		return false
	}
	return c.long(func() *Long {
		m := &Made{key: append([]byte{}, key...)}
		for _, s := range sources {
			m.Sources = append(m.Sources, append([]byte{}, s...))
		}
		l := begin(m)
		if l != nil {
			l.Made = m
		}
		return l
	})
}

// longSetStore makes the result of set algebra on copies of the sets.
func (c *Ctx) longSetStore(sets []operand, compute func(sets []operand, into *members) (noInts bool)) bool {
	return c.longMade(c.Args[1], c.Args[2:], func(m *Made) *Long {
		l, copies := c.copySets(sets)
		l.Rest = func() {
			set := &members{}
			m.noInts = compute(copies, set)
			m.set = set
		}
		return l
	})
}

// longZstore is zstore on copies of the inputs.
func (c *Ctx) longZstore(o *zalgebra, how zmethod) bool {
	var sources [][]byte
	for i := range o.list {
		sources = append(sources, o.list[i].key)
	}
	return c.longMade(c.Args[1], sources, func(m *Made) *Long {
		l := c.copySources(o)
		l.Rest = func() {
			list := how.compute(o)
			list.sort()
			m.zset = list
		}
		return l
	})
}

// longZrangestore copies n members of a sorted set, from a rank on.
func (c *Ctx) longZrangestore(z store.ZSet, rank, n int, down bool) bool {
	return c.longMade(c.Args[1], c.Args[2:3], func(m *Made) *Long {
		r := z.Reading(rank, n, down)
		if r == nil {
			return nil
		}
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		got, step, end := rangeSteps(r)
		l.Step, l.End = step, end
		l.Rest = func() {
			list := &scoredList{}
			got.each(func(member []byte, score float64) bool {
				list.add(member, score)
				return true
			})
			list.sort()
			m.zset = list
		}
		return l
	})
}

// longCopy copies a big table to a database; other kinds take no time to speak of.
func (c *Ctx) longCopy(e store.Entry, from, to []byte, target int) bool {
	kind := e.Kind()
	if kind != store.SetKind && kind != store.HashKind && kind != store.ZSetKind {
		return false
	}
	return c.longMade(to, [][]byte{from}, func(m *Made) *Long {
		got := &copied{}
		cut := c.DB.CutValues(&image{field: func(_ uint64, f store.Entry) {
			switch kind {
			case store.ZSetKind:
				got.add(f.Key(), f.Score())
			case store.HashKind:
				got.add(f.Key(), 0)
				got.add(f.Bytes(nil), 0)
			default:
				got.add(f.Key(), 0)
			}
		}}, e)
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		l.Step, l.End = cutSteps(cut)
		l.Rest = func() { m.kind, m.copy = kind, &copiedCursor{l: got} }
		m.elsewhere, m.target = target != c.DBIndex, target
		return l
	})
}
