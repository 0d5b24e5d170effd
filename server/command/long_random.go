package command

import (
	"math/rand/v2"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Random elements in great number: the value is copied as reads of all of it do, and they are drawn from the copy, without
// the lock.

// draw is what SRANDMEMBER, HRANDFIELD and ZRANDMEMBER ask for: n different elements, or n that may be alike.
type draw struct {
	n     int64
	alike bool
	both  bool // with values, or scores
}

// drawn is an element, with the value or the score that it may have.
type drawn struct {
	name, value []byte
	score       float64
}

// longDraw is a draw from a hash, a set or a sorted set. It answers false when it is not a long one.
func (c *Ctx) longDraw(key []byte, d draw) bool {
	e, _ := c.DB.Peek(key)
	size := e.Size()
	if !d.alike {
		d.n = min(d.n, int64(size))
	}
	if !c.isLong(int(min(d.n, 1<<40))) {
		return false
	}
	return c.long(func() *Long {
		from := &drawing{draw: d, kind: e.Kind(), rnd: rand.New(rand.NewPCG(c.Random(), c.Random())), limit: c.ReplyLimit}
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		if size > 0 {
			l.Step, l.End = cutSteps(c.DB.CutValues(&image{field: func(_ uint64, f store.Entry) { from.keep(f) }}, e))
		} else {
			from.keepSmall(e)
			l.Step, l.End = func() bool { return true }, func() {}
		}
		l.Rest = func() { from.reply(l) }
		return l
	})
}

// leftLook is the number of draws between two looks at whether the client is still there: there may be any number of them.
const leftLook = 1024

type drawing struct {
	draw
	kind  store.Kind
	room  copied
	all   []drawn
	rnd   *rand.Rand
	limit int64
}

func (d *drawing) keep(f store.Entry) {
	switch {
	case d.kind == store.ZSetKind:
		d.room.add(f.Key(), f.Score())
	case d.kind == store.HashKind:
		d.room.add(f.Key(), 0)
		d.room.add(f.Bytes(nil), 0)
	default:
		d.room.add(f.Key(), 0)
	}
}

func (d *drawing) keepSmall(e store.Entry) {
	add := func(name, value []byte, score float64) bool {
		d.room.add(name, score)
		if d.kind == store.HashKind {
			d.room.add(value, 0)
		}
		return true
	}
	switch d.kind {
	case store.HashKind:
		h := e.Hash()
		h.Each(func(f, v []byte) bool { return add(f, v, 0) })
	case store.SetKind:
		s := e.Set()
		s.Each(func(m []byte) bool { return add(m, nil, 0) })
	default:
		z := e.ZSet()
		z.Each(func(m []byte, score float64) bool { return add(m, nil, score) })
	}
}

// list makes what was kept one that can be drawn from.
func (d *drawing) list() {
	d.all = make([]drawn, 0, d.room.n)
	at := copiedCursor{l: &d.room}
	for name, score, ok := at.next(); ok; name, score, ok = at.next() {
		x := drawn{name: name, score: score}
		if d.kind == store.HashKind {
			x.value, _, _ = at.next()
		}
		d.all = append(d.all, x)
	}
}

// reply needs no lock.
func (d *drawing) reply(l *Long) {
	p := l.Reply
	d.list()
	membersHeader(p.Head(), d.n, d.both)
	for i := int64(0); i < d.n && (d.limit <= 0 || p.Len() < d.limit); i++ {
		if i%leftLook == 0 && l.left() {
			return
		}
		at := d.rnd.IntN(len(d.all))
		if !d.alike { // what is left begins at i
			at = int(i) + d.rnd.IntN(len(d.all)-int(i))
			d.all[i], d.all[at] = d.all[at], d.all[i]
			at = int(i)
		}
		d.write(p.Next(), &d.all[at])
	}
}

func (d *drawing) write(w *resp.Writer, x *drawn) {
	if d.both && d.kind == store.ZSetKind {
		writeScored(w, x.name, x.score, true)
		return
	}
	if d.both && w.Proto() > 2 {
		w.Array(2)
	}
	w.Bulk(x.name)
	if d.both {
		w.Bulk(x.value)
	}
}
