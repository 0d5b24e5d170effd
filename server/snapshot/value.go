package snapshot

import (
	"errors"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// AppendValue writes one value as DUMP gives it, with its footer. It only reads, so that it may run under the shared lock.
func AppendValue(dst []byte, e store.Entry, compress bool) []byte {
	from := len(dst)
	a := valueAppender{dst: dst, compress: compress}
	switch e.Kind() {
	case store.String:
		a.text(e)
	case store.ListKind:
		a.list(e)
	case store.SetKind:
		a.set(e)
	case store.ZSetKind:
		a.zset(e)
	case store.HashKind:
		a.hash(e)
	case store.StreamKind:
		a.stream(e)
	}
	return rdb.AppendFooter(a.dst, from)
}

// valueAppender is encoder for one value that holds still: without pieces, streams and keys.
type valueAppender struct {
	dst      []byte
	compress bool
	room     []byte
}

func (a *valueAppender) begin(t rdb.Type)    { a.dst = append(a.dst, byte(t)) }
func (a *valueAppender) length(n int)        { a.dst = rdb.AppendLen(a.dst, uint64(n)) }
func (a *valueAppender) string(s []byte)     { a.dst = rdb.AppendString(a.dst, s, a.compress) }
func (a *valueAppender) score(s float64)     { a.dst = rdb.AppendScore(a.dst, s) }
func (a *valueAppender) packed(elements int) { a.string(listpack.Finish(a.room, 0, elements)) }

func (a *valueAppender) text(e store.Entry) {
	a.begin(rdb.TypeString)
	if n, ok := e.Int(); ok {
		a.dst = rdb.AppendInt(a.dst, n)
		return
	}
	a.string(e.Bytes(nil))
}

func (a *valueAppender) list(e store.Entry) {
	l := e.List()
	a.begin(rdb.TypeListQuicklist2)
	a.length(l.Chunks())
	l.EachChunk(func(c store.Chunk) {
		if c.Blob != nil {
			a.dst = rdb.AppendPlainNode(a.dst)
			a.string(c.Data)
			return
		}
		a.dst = rdb.AppendPackedNode(a.dst)
		a.room = append(listpack.Begin(a.room[:0]), c.Data...)
		a.packed(c.Elements)
	})
}

func (a *valueAppender) set(e store.Entry) {
	s := e.Set()
	ints, isInts := s.AppendInts(nil)
	if isInts {
		a.begin(rdb.TypeSetIntset)
		a.string(ints)
		return
	}
	a.begin(rdb.TypeSet)
	a.length(s.Len())
	s.Each(func(m []byte) bool {
		a.string(m)
		return true
	})
}

func (a *valueAppender) hash(e store.Entry) {
	h := e.Hash()
	if e.Encoding() != "listpack" {
		a.begin(rdb.TypeHash)
		a.length(h.Len())
		h.Each(func(f, v []byte) bool {
			a.string(f)
			a.string(v)
			return true
		})
		return
	}
	a.begin(rdb.TypeHashListpack)
	a.room = listpack.Begin(a.room[:0])
	h.Each(func(f, v []byte) bool {
		a.room = listpack.AppendString(listpack.AppendString(a.room, f), v)
		return true
	})
	a.packed(2 * h.Len())
}

func (a *valueAppender) zset(e store.Entry) {
	z := e.ZSet()
	if e.Encoding() != "listpack" {
		a.begin(rdb.TypeZset2)
		a.length(z.Len())
		z.Each(func(m []byte, score float64) bool {
			a.string(m)
			a.score(score)
			return true
		})
		return
	}
	a.begin(rdb.TypeZsetListpack)
	a.room = listpack.Begin(a.room[:0])
	var text [32]byte
	z.Each(func(m []byte, score float64) bool {
		a.room = listpack.AppendString(listpack.AppendString(a.room, m), resp.AppendDouble(text[:0], score))
		return true
	})
	a.packed(2 * z.Len())
}

func (a *valueAppender) stream(e store.Entry) {
	a.begin(rdb.TypeStreamListpacks2)
	s := e.Stream()
	var part rdb.StreamPart
	var image store.StreamImage
	image.Each(&s, func(p *store.StreamPart) {
		streamPart(&part, p)
		a.dst = rdb.AppendStreamPart(a.dst, &part, a.compress)
		if p.Kind == store.StreamChunk {
			a.string(p.Chunk)
		}
	})
}

var errEmptyValue = errors.New("snapshot: the value has no elements")

var errTimedFields = errors.New("snapshot: hash fields with a time to live are not supported")

// ReadValue makes a key of a value as AppendValue writes it, without the footer. key must not be there; on an error it is
// not there afterwards either. The exclusive lock is held.
func ReadValue(st *store.Store, db *store.DB, key, value []byte) error {
	in := rdb.NewValueReader(value, rdb.Limits{})
	ev, err := in.Value()
	if err != nil {
		return err
	}
	if ev.Type.HasTimes() { // what the times were would be forgotten, and nobody would learn of it
		return errTimedFields
	}
	ev.Key = key
	l := &loader{store: st, db: db, in: in, meta: newMeta()}
	if err := l.entry(&ev); err != nil {
		return err
	}
	for l.fill != nil {
		n := 0
		done, err := l.fill(&n)
		if err != nil {
			db.Delete(key)
			return err
		}
		if done {
			l.fill = nil
		}
	}
	if _, ok := db.Peek(key); !ok {
		return errEmptyValue
	}
	return nil
}
