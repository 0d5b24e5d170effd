package command

import (
	"bytes"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// LongFrom is the number of elements from which a read does not run to its end in one hold of the lock: about a
// millisecond's work.
const LongFrom = 8 << 10

// longStep is the number of elements between two looks at the clock.
const longStep = 64

// Long is what is left of a command whose handler has returned without a reply. It pinned what it reads, so the reply is
// that of the instant at which the handler ran, whatever is written meanwhile. Its client waits; everybody else goes on.
//
// The engine calls Step under its shared lock, in short holds, until it answers true, then End under the exclusive one,
// then Rest without any, and sends Reply. When nobody waits for the reply any more only End is called.
type Long struct {
	Reply *resp.Pieces
	Step  func() (done bool)
	End   func()
	Rest  func() // may be nil
	// Between is called once, without any lock, when Step first answers true, which goes on then; or before the first Piece. It may
	// be nil.
	Between func()
	// Made is what a command that stores a result makes instead of a reply: see there what follows Rest.
	Made *Made
	// Piece does a part of a command that changes very much little by little, and answers true when that was the last. It
	// runs like a handler, on a context that has the command's (copied) arguments, and whose Out is Reply's: what it
	// changes is seen, and in the log, at the end of its hold. Of the other functions only End is called then, under the same lock
	// behind the last piece, or when there will be no more.
	Piece func(c *Ctx) (done bool)
	// Left is the engine's: nobody waits for the reply any more. Rest may ask it where it has much to do. It may be nil.
	Left func() bool
}

// left tells whether nobody waits for the reply any more.
func (l *Long) left() bool { return l.Left != nil && l.Left() }

// long begins what begin makes when the command may go on after its handler: not in a transaction or a script, nor
// without a client. Else it answers false, and the handler does the work. begin may decline with nil. What it keeps of arguments
// that were read before it copies; those in Args then are copies already.
func (c *Ctx) long(begin func() *Long) bool { return c.Env.GoOn(c, begin) }

// isLong tells whether n elements are so many that long is worth trying.
func (c *Ctx) isLong(n int) bool { return n >= c.longFrom() && c.Env != nil && !c.NoBlocking }

func (c *Ctx) longFrom() int {
	if c.Conf != nil && c.Conf.LongFrom > 0 {
		return c.Conf.LongFrom
	}
	return LongFrom
}

// image receives a narrow cut.
type image struct {
	entry func(e store.Entry)
	field func(id uint64, f store.Entry)
	chunk func(id uint64, c store.Chunk)
	part  func(p *store.StreamPart)
}

var _ store.Visitor = (*image)(nil)

func (v *image) Entry(_ int, e store.Entry)               { v.entry(e) }
func (v *image) BigPinned(uint64, int, store.Entry, int)  {}
func (v *image) BigOpen(uint64)                           {}
func (v *image) BigField(id uint64, f store.Entry)        { v.field(id, f) }
func (v *image) BigChunk(id uint64, c store.Chunk)        { v.chunk(id, c) }
func (v *image) StreamPart(_ uint64, p *store.StreamPart) { v.part(p) }
func (v *image) BigClose(uint64)                          {}

func cutSteps(cut *store.Cut) (step func() bool, end func()) {
	return func() bool { return cut.Step(longStep) }, cut.End
}

// rangeSteps are the steps and the end of a Long that copies what r reads.
func rangeSteps(r *store.ZSetReading) (got *copied, step func() bool, end func()) {
	got = &copied{}
	return got, func() bool { return r.Step(longStep, got.add) }, r.End
}

// longKeys is KEYS of a big database.
func (c *Ctx) longKeys() *Long {
	reply, n := resp.NewPieces(c.Out.Proto()), 0
	pattern, now := bytes.Clone(c.Args[1]), c.Now
	all := string(pattern) == "*"
	l := &Long{Reply: reply}
	cut := c.DB.CutKeys(&image{entry: func(e store.Entry) {
		key := e.Key()
		switch {
		case !all && !Match(pattern, key):
		case e.Expired(now):
			e.MetExpired()
		default:
			reply.Next().Bulk(key)
			n++
		}
	}})
	l.Step, l.End = cutSteps(cut)
	l.Rest = func() { reply.Head().Array(n) }
	return l
}

// longTable replies with all of a big hash or set: what of an element emit writes.
func (c *Ctx) longTable(e store.Entry, header func(w *resp.Writer, n int), emit func(w *resp.Writer, f store.Entry)) bool {
	return c.long(func() *Long {
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		header(l.Reply.Head(), e.Size())
		cut := c.DB.CutValues(&image{field: func(_ uint64, f store.Entry) { emit(l.Reply.Next(), f) }}, e)
		l.Step, l.End = cutSteps(cut)
		return l
	})
}

func emitName(w *resp.Writer, f store.Entry) { w.Bulk(f.Key()) }

func emitValue(w *resp.Writer, f store.Entry) {
	v := f.Bytes(nil)
	if len(v) >= blobFrom {
		if b := f.Blob(); b != nil {
			w.BulkRef(b)
			return
		}
	}
	w.Bulk(v)
}

func emitBoth(w *resp.Writer, f store.Entry) {
	emitName(w, f)
	emitValue(w, f)
}

// longList replies with n elements of a big list.
func (c *Ctx) longList(e store.Entry, from, n int) bool {
	return c.long(func() *Long {
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		l.Reply.Head().Array(n)
		cut := c.DB.CutValues(&image{chunk: func(_ uint64, chunk store.Chunk) {
			if from >= chunk.Elements || n == 0 {
				from -= chunk.Elements
				return
			}
			chunk.Each(func(x store.Elem) bool {
				if from--; from < 0 {
					writeElement(l.Reply.Next(), x)
					n--
				}
				return n > 0
			})
		}}, e)
		l.Step = func() bool { return cut.Step(longStep) || n == 0 }
		l.End = cut.End
		return l
	})
}

// longZRange replies with n members of a sorted set, from a rank on. A small one it leaves to others.
func (c *Ctx) longZRange(z store.ZSet, rank, n int, down, withScores bool) bool {
	return c.long(func() *Long {
		r := z.Reading(rank, n, down)
		if r == nil {
			return nil
		}
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: r.End}
		membersHeader(l.Reply.Head(), int64(n), withScores)
		emit := func(m []byte, score float64) { writeScored(l.Reply.Next(), m, score, withScores) }
		l.Step = func() bool { return r.Step(longStep, emit) }
		return l
	})
}

// longXRange replies with at most count entries of a stream, all when count is not positive.
func (c *Ctx) longXRange(s store.Stream, start, end store.StreamID, reverse bool, count int64) bool {
	return c.long(func() *Long {
		n := int64(0)
		r := s.Reading(start, end, reverse)
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: r.End}
		emit := func(id store.StreamID, entry *store.StreamRange) bool {
			writeStreamEntry(l.Reply.Next(), id, entry)
			n++
			return n != count
		}
		l.Step = func() bool { return r.Step(longStep, emit) }
		l.Rest = func() { l.Reply.Head().Array(int(n)) }
		return l
	})
}
