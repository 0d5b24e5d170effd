package command

import (
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// copiedStream is a stream that COPY makes of another's image, which a cut holds.
type copiedStream struct {
	cut     *store.Cut
	copier  store.StreamCopier
	into    *store.Loose
	failed  error
	changes uint64
	over    bool
}

// streamCost is the number of entries of a stream that are copied in the time of an element that is read: they lie in chunks.
// What is pending takes the time of two.
const streamCost = 16

// longCopyStream is COPY of a stream with very much in it. A change of a group, of which WATCH is not told, makes the copy stale.
func (c *Ctx) longCopyStream(e store.Entry, from, to []byte, target int) bool {
	s := e.Stream()
	n := s.Len() / streamCost
	for i := range s.Groups() {
		g := s.GroupAt(i)
		n += 2 * g.Len()
	}
	if !c.isLong(n) {
		return false
	}
	return c.longMade(to, [][]byte{from}, func(m *Made) *Long {
		k := &copiedStream{changes: s.Changes()}
		k.cut = c.DB.CutValues(&image{part: k.add}, e)
		m.kind, m.stream = store.StreamKind, k
		m.elsewhere, m.target = target != c.DBIndex, target
		return &Long{Reply: resp.NewPieces(c.Out.Proto()), Step: func() bool { return true }, End: func() {}}
	})
}

func (k *copiedStream) add(p *store.StreamPart) {
	if k.failed == nil {
		k.failed = k.copier.Add(k.into, p)
	}
}

// step makes some of the copy. It needs the exclusive lock.
func (k *copiedStream) step(into *store.Loose) (done bool) {
	k.into = into
	if !k.cut.Step(longStep) {
		return false
	}
	k.end()
	return true
}

// end gives up what is held. It needs the exclusive lock.
func (k *copiedStream) end() {
	if !k.over {
		k.over = true
		k.cut.End()
	}
}

func (k *copiedStream) stale(db *store.DB, key []byte) bool {
	e, found := db.Peek(key)
	if !found || e.Kind() != store.StreamKind || k.failed != nil {
		return true
	}
	s := e.Stream()
	return s.Changes() != k.changes
}

// streamTour is XINFO STREAM FULL of a stream with very much in it: what is told of it as a whole is written at once, and its
// entries come from what is held.
type streamTour struct {
	l     *Long
	parts []tourPart
	at    int
}

// tourPart is a stretch of the reply and the entries behind it.
type tourPart struct {
	text *resp.Writer
	step func() (done bool)
	end  func()
}

// longFullStream shows at most count entries of everything.
func (c *Ctx) longFullStream(s *store.Stream, count int64) bool {
	shown := func(n int) int { return int(min(count, int64(n))) }
	n := shown(s.Len())
	for i := range s.Groups() {
		g := s.GroupAt(i)
		n += shown(g.Len())
		g.EachConsumer(func(_ uint32, _ string, _ int64, pending int) { n += shown(pending) })
	}
	if !c.isLong(n) {
		return false
	}
	return c.long(func() *Long {
		out := c.Out
		defer func() { c.Out = out }()
		t := &streamTour{l: &Long{Reply: resp.NewPieces(out.Proto())}}
		t.open(c)
		c.fullStream(s, func() {
			r := s.Reading(store.StreamID{}, store.MaxStreamID, false)
			t.add(c, shown(s.Len()), func(n int) bool {
				return r.Step(n, func(id store.StreamID, entry *store.StreamRange) bool {
					writeStreamEntry(t.l.Reply.Next(), id, entry)
					return true
				})
			}, r.End)
		}, func(g *store.StreamGroup, no uint32, n int) {
			r := g.Reading(store.StreamID{}, no)
			t.add(c, shown(n), func(n int) bool {
				return r.Step(n, func(id store.StreamID, p store.Pending, consumer string) bool {
					writePending(t.l.Reply.Next(), id, p, consumer, no)
					return true
				})
			}, r.End)
		})
		t.l.Step, t.l.End = t.step, t.end
		return t.l
	})
}

// open begins a stretch of the reply.
func (t *streamTour) open(c *Ctx) {
	c.Out = resp.NewWriter(nil)
	c.Out.SetProto(t.l.Reply.Proto())
	t.parts = append(t.parts, tourPart{text: c.Out, step: func() bool { return true }, end: func() {}})
}

// add ends a stretch with n entries that read gives, some at a time.
func (t *streamTour) add(c *Ctx, n int, read func(n int) (done bool), end func()) {
	c.Out.Array(n)
	p := &t.parts[len(t.parts)-1]
	p.end = end
	p.step = func() bool {
		k := min(n, longStep)
		n -= k
		return read(k) || n == 0
	}
	t.open(c)
}

func (t *streamTour) step() (done bool) {
	p := &t.parts[t.at]
	if p.text != nil {
		t.l.Reply.Next().Take(p.text)
		p.text = nil
	}
	if p.step() {
		t.at++
	}
	return t.at == len(t.parts)
}

func (t *streamTour) end() {
	for _, p := range t.parts {
		p.end()
	}
}
