package command

import (
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/snapshot"
	"github.com/understudy-db/understudy/server/store"
)

// DUMP of a big value copies it as reads of all of it do, or holds it if it is a string, and encodes what it has without
// the lock. RESTORE of one reads it into a loose value, which gets its key in the last hold.

// bytesRestored is how many bytes of what RESTORE is given count as an element.
const bytesRestored = 16

// chunkStep is the number of a stream's parts that RESTORE reads between two looks at the clock: chunks are looked through.
const chunkStep = 2

// whole is a reply's bytes that are sent as they are.
type whole []byte

func (w whole) Bytes() []byte { return w }
func (whole) Release()        {}

// longDump is cmdDump of a big value; false when it is none.
func (c *Ctx) longDump(e store.Entry, compress bool) bool {
	kind := e.Kind()
	switch {
	case kind == store.StreamKind:
		s := e.Stream()
		return c.isLong(s.Len()) && c.longDumpStream(e, compress)
	case kind == store.String:
		return c.isLong(e.StrLen()/bytesPerElement) && c.longDumpString(e, compress)
	case !c.isLong(e.Size()):
		return false
	case kind == store.ZSetKind:
		return c.longDumpZSet(e.ZSet(), compress)
	}
	return c.long(func() *Long {
		got, n := &copied{}, e.Size()
		see := &image{
			field: func(_ uint64, f store.Entry) {
				got.add(f.Key(), 0)
				if kind == store.HashKind {
					got.add(f.Bytes(nil), 0)
				}
			},
			chunk: func(_ uint64, chunk store.Chunk) {
				elements := chunk.Elements
				if chunk.Blob != nil {
					elements = 0
				}
				got.add(chunk.Data, float64(elements))
			},
		}
		cut := c.DB.CutValues(see, e)
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		l.Step, l.End = cutSteps(cut)
		l.Rest = func() {
			if kind == store.ListKind {
				n = got.n
			}
			d := snapshot.NewDump(kind, n, compress)
			got.each(func(b []byte, elements float64) bool {
				if kind == store.ListKind {
					d.Chunk(b, int(elements))
				} else {
					d.String(b)
				}
				return true
			})
			l.Reply.Next().BulkRef(whole(d.Finish()))
		}
		return l
	})
}

// longDumpStream keeps a stream's parts as they are encoded, but for the chunks, which may have to be compressed.
func (c *Ctx) longDumpStream(e store.Entry, compress bool) bool {
	return c.long(func() *Long {
		got, d := &copied{}, snapshot.NewDump(store.StreamKind, 0, compress)
		var room []byte
		cut := c.DB.CutValues(&image{part: func(p *store.StreamPart) {
			room = d.AppendPart(room[:0], p)
			got.add(room, 0)
			if p.Kind == store.StreamChunk {
				got.add(p.Chunk, 1)
			}
		}}, e)
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		l.Step, l.End = cutSteps(cut)
		l.Rest = func() {
			got.each(func(b []byte, chunk float64) bool {
				if chunk == 1 {
					d.String(b)
				} else {
					d.Encoded(b)
				}
				return true
			})
			l.Reply.Next().BulkRef(whole(d.Finish()))
		}
		return l
	})
}

func (c *Ctx) longDumpZSet(z store.ZSet, compress bool) bool {
	return c.long(func() *Long {
		r := z.Reading(0, z.Len(), false)
		if r == nil {
			return nil
		}
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		got, step, end := rangeSteps(r)
		l.Step, l.End = step, end
		l.Rest = func() {
			d := snapshot.NewDump(store.ZSetKind, got.n, compress)
			got.each(func(member []byte, score float64) bool {
				d.String(member)
				d.Score(score)
				return true
			})
			l.Reply.Next().BulkRef(whole(d.Finish()))
		}
		return l
	})
}

func (c *Ctx) longDumpString(e store.Entry, compress bool) bool {
	blob := e.Blob()
	if blob == nil {
		return false
	}
	began := c.long(func() *Long {
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), Step: func() bool { return true }}
		l.Between = func() {
			d := snapshot.NewDump(store.String, 0, compress)
			d.String(blob.Bytes())
			l.Reply.Next().BulkRef(whole(d.Finish()))
		}
		l.End = blob.Release
		return l
	})
	if !began {
		blob.Release()
	}
	return began
}

// madeValue is what RESTORE reads outside of its last hold.
type madeValue struct {
	in *snapshot.ValueReader // nil: it is a string, or has to be done in place, if only to say what is wrong
}

// longRestore reads a big value from what DUMP wrote, the third argument. What it cannot make is left to the last hold.
func (c *Ctx) longRestore() bool {
	if c.made != nil || !c.isLong(rdb.ValueSize(c.Args[3])/bytesRestored) {
		return false
	}
	anyChecksum, st := c.Conf != nil && c.Conf.AnyChecksum, c.Store
	return c.longMade(c.Args[1], nil, func(m *Made) *Long {
		m.value = &madeValue{}
		payload := c.Args[3]
		return &Long{
			Reply: resp.NewPieces(c.Out.Proto()), Step: func() bool { return true }, End: func() {},
			Rest: func() {
				value, err := rdb.CheckFooter(payload, anyChecksum)
				if err != nil {
					return
				}
				if rdb.HoldsString(value) {
					m.text = readText(st, value)
				} else if in, err := snapshot.NewValueReader(value, nil); err == nil {
					m.value.in, m.kind = in, in.Kind()
				}
			},
		}
	})
}

// readText makes a blob of a string that DUMP wrote, nil when there is something wrong with it.
func readText(st *store.Store, value []byte) *store.Blob {
	b := st.NewBlob(rdb.ValueSize(value))
	in, err := snapshot.NewValueReader(value, b.Bytes())
	if err != nil {
		b.Release()
		return nil
	}
	text := in.Text()
	if len(text) > len(b.Bytes()) {
		b.Release()
		b = st.NewBlob(len(text))
	}
	if room := b.Bytes(); len(text) > 0 && &text[0] != &room[0] {
		copy(room, text)
	}
	b.Cut(len(text))
	return b
}

// readOne adds the next element to the loose value, which it gives up when that is not what RESTORE would make in place.
func (m *Made) readOne(db *store.DB) (more bool) {
	more, err := m.value.in.AddTo(m.loose)
	if err != nil || !more && (m.loose.Len() == 0 || m.kind != store.StreamKind && m.loose.Len() <= flatMost(m.kind, &db.Store().Config)) {
		m.loose.Drop()
		m.loose = nil
		return false
	}
	return more
}

// flatMost is a number of elements above which no value of a kind is kept flat.
func flatMost(kind store.Kind, conf *store.Config) int {
	switch kind {
	case store.ZSetKind:
		return max(conf.ZSetMaxListpackEntries, longStep)
	case store.SetKind:
		return max(conf.SetMaxIntsetEntries, 2*longStep)
	case store.HashKind:
		return max(conf.HashMaxListpackEntries, longStep)
	}
	return 2 * longStep
}
