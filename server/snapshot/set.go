package snapshot

import (
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

func (c *encoder) smallSet(s *stream, db int, e store.Entry) bool {
	set := e.Set()
	n := set.Len()
	if n == 0 {
		return false
	}
	c.begin(s, db, e.ExpireAt(), e)
	ints, isInts := set.AppendInts(c.listpack[:0])
	c.listpack = ints
	if isInts {
		c.packed(s, rdb.TypeSetIntset, e.Key(), ints)
		return true
	}
	s.tail = rdb.AppendSetEntry(s.tail, e.Key(), n, c.compress)
	set.Each(func(m []byte) bool {
		c.copied(s, m)
		return true
	})
	return true
}

// members stores members of the set that is being read, as many as the batch still takes.
func (l *loader) members(n *int) (done bool, err error) {
	s, _ := l.db.SetForWrite(l.key)
	for from := l.in.Pos(); l.room(*n, from); *n++ {
		m, ok, err := l.in.NextMember()
		if err != nil {
			return true, err
		}
		if !ok {
			l.finish(s.Len())
			return true, nil
		}
		if !s.Add(m) {
			return true, l.twice("set members", m)
		}
	}
	return false, nil
}
