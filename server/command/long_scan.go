package command

import (
	"bytes"
	"strconv"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// A cursor command with a huge COUNT is as many small ones as make it up: a step needs nothing but the cursor of the one
// before, so nothing is pinned.

// longScan goes on as long as step gives a cursor, for about count elements of size.
func (c *Ctx) longScan(cursor uint64, o *scanOptions, size int, step func(cursor uint64, n int, emit func(parts ...[]byte)) (next uint64)) bool {
	count := int(min(o.count, maxScan))
	if !c.isLong(min(count, size)) {
		return false
	}
	return c.long(func() *Long {
		o.pattern, o.kind = bytes.Clone(o.pattern), bytes.Clone(o.kind)
		l, n := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: func() {}}, 0
		emit := func(parts ...[]byte) {
			for _, p := range parts {
				l.Reply.Next().Bulk(p)
			}
			n += len(parts)
		}
		l.Step = func() bool {
			cursor = step(cursor, min(count, longStep), emit)
			count -= longStep
			return cursor == 0 || count <= 0
		}
		l.Rest = func() {
			head := l.Reply.Head()
			head.Array(2)
			head.Bulk(strconv.AppendUint(nil, cursor, 10))
			head.Array(n)
		}
		return l
	})
}

// longScanKeys is longScan over a database.
func (c *Ctx) longScanKeys(cursor uint64, o *scanOptions) bool {
	db, now := c.DB, c.Now
	return c.longScan(cursor, o, db.Len(), func(cursor uint64, n int, emit func(parts ...[]byte)) uint64 {
		return db.Scan(cursor, n, func(key []byte, e store.Entry) {
			switch {
			case !o.matches(key) || o.kind != nil && !IsWord(o.kind, e.Kind().String()):
			case e.Expired(now):
				e.MetExpired()
			default:
				emit(key)
			}
		})
	})
}

// longScanIn is longScan over a value, which is looked up anew in every step; when it is gone the walk is over.
func (c *Ctx) longScanIn(cursor uint64, o *scanOptions, size int, scan func(e store.Entry, cursor uint64, n int, emit func(parts ...[]byte)) uint64) bool {
	db, now, key := c.DB, c.Now, bytes.Clone(c.Args[1])
	e, _ := db.Peek(key)
	kind := e.Kind()
	return c.longScan(cursor, o, size, func(cursor uint64, n int, emit func(parts ...[]byte)) uint64 {
		e, ok := db.Peek(key)
		if !ok || e.Expired(now) || e.Kind() != kind {
			return 0
		}
		return scan(e, cursor, n, emit)
	})
}
