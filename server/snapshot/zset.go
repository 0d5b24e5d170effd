package snapshot

import (
	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// smallZSet encodes a small sorted set as Redis keeps one: a listpack of members and scores in order.
func (c *encoder) smallZSet(s *stream, db int, e store.Entry) bool {
	z := e.ZSet()
	if z.Len() == 0 {
		return false
	}
	c.begin(s, db, e.ExpireAt(), e)
	lp := listpack.Begin(c.listpack[:0])
	var text [32]byte
	z.Each(func(member []byte, score float64) bool {
		lp = listpack.AppendString(lp, member)
		lp = listpack.AppendString(lp, resp.AppendDouble(text[:0], score))
		return true
	})
	c.listpack = listpack.Finish(lp, 0, 2*z.Len())
	c.packed(s, rdb.TypeZsetListpack, e.Key(), c.listpack)
	return true
}

// scored stores members of the sorted set that is being read, as many as the batch still takes.
func (l *loader) scored(n *int) (done bool, err error) {
	z, _ := l.db.ZSetForWrite(l.key)
	for from := l.in.Pos(); l.room(*n, from); *n++ {
		member, score, ok, err := l.in.NextScored()
		if err != nil {
			return true, err
		}
		if !ok {
			l.finish(z.Len())
			return true, nil
		}
		if created, _ := z.Set(member, score); !created {
			return true, l.twice("zset fields", member)
		}
	}
	return false, nil
}
