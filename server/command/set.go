package command

import (
	"bytes"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// setToRead finds a set. found is false for a missing key; ok is false after an error reply.
func (c *Ctx) setToRead(key []byte) (s store.Set, found, ok bool) {
	e, found := c.LookupRead(key)
	switch {
	case !found:
		return s, false, true
	case e.Kind() != store.SetKind:
		c.Out.Error(errWrongType)
		return s, true, false
	}
	return e.Set(), true, true
}

// setToChange makes s the set to take members from; found is false for a missing key, ok is false after an error reply.
func (c *Ctx) setToChange(key []byte, s *store.Set) (found, ok bool) {
	e, found := c.LookupWrite(key)
	if found && e.Kind() != store.SetKind {
		c.Out.Error(errWrongType)
		return true, false
	}
	if found {
		s.ForWriteMet(c.DB, key)
	}
	return found, true
}

func cmdSadd(c *Ctx) {
	key := c.Args[1]
	e, found := c.LookupWrite(key)
	if found && e.Kind() != store.SetKind {
		c.Out.Error(errWrongType)
		return
	}
	var s store.Set
	if found && len(c.Args) == 3 {
		s.ForWriteMet(c.DB, key)
	} else {
		s.Draft(c.DB, key)
	}
	added := 0
	members := c.Args[2:]
	for i, m := range members {
		if i%store.WarmGroup == 0 {
			s.Warm(members[i:])
		}
		if s.Add(m) {
			added++
		}
	}
	s.Store()
	c.born(found, key)
	if added > 0 {
		c.touched(EventSet, "sadd", key)
		c.Dirty(added - 1)
	}
	c.Out.Int(int64(added))
}

func cmdSrem(c *Ctx) {
	key := c.Args[1]
	var s store.Set
	found, ok := c.setToChange(key, &s)
	if !ok {
		return
	}
	removed, emptied := 0, false
	members := c.Args[2:]
	for i := 0; found && i < len(members) && !emptied; i++ {
		if i%store.WarmGroup == 0 {
			s.Warm(members[i:])
		}
		if s.Remove(members[i]) {
			removed++
			emptied = s.Len() == 0
		}
	}
	if emptied {
		c.DB.Delete(key)
	}
	if removed > 0 {
		c.touched(EventSet, "srem", key)
		c.Dirty(removed - 1)
		if emptied {
			c.Notify(EventGeneric, "del", key)
		}
	}
	c.Out.Int(int64(removed))
}

func cmdSmove(c *Ctx) {
	from, to, member := c.Args[1], c.Args[2], c.Args[3]
	source, found := c.LookupWrite(from)
	target, there := c.LookupWrite(to)
	if found { // the second lookup may have deleted its key, which makes the first one's entry stale
		source, _ = c.DB.Peek(from)
	}
	switch {
	case !found:
		c.Out.Int(0)
		return
	case source.Kind() != store.SetKind || there && target.Kind() != store.SetKind:
		c.Out.Error(errWrongType)
		return
	case bytes.Equal(from, to):
		s := source.Set()
		c.Out.Int(boolInt(s.Has(member)))
		return
	}
	s, _ := c.DB.SetForWrite(from)
	if !s.Remove(member) {
		c.Out.Int(0)
		return
	}
	c.Notify(EventSet, "srem", from)
	if s.Len() == 0 {
		c.DB.Delete(from)
		c.Notify(EventGeneric, "del", from)
	}
	s, _ = c.DB.SetForWrite(to)
	c.born(there, to)
	c.Modified(from)
	c.Dirty(1)
	if s.Add(member) {
		c.touched(EventSet, "sadd", to)
	}
	c.Out.Int(1)
}

func cmdSismember(c *Ctx) {
	s, found, ok := c.setToRead(c.Args[1])
	if ok {
		c.Out.Int(boolInt(found && s.Has(c.Args[2])))
	}
}

func cmdSmismember(c *Ctx) {
	c.readNamed(store.SetKind, func(w *resp.Writer) { w.Int(0) }, writeMemberships)
}

// writeMemberships writes 1 for each member of a set that there is, 0 for the others.
func writeMemberships(w *resp.Writer, e store.Entry, members [][]byte) {
	s := e.Set()
	for i, m := range members {
		if i%store.WarmGroup == 0 {
			s.Warm(members[i:])
		}
		w.Int(boolInt(s.Has(m)))
	}
}

func cmdScard(c *Ctx) {
	s, found, ok := c.setToRead(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Int(0)
	default:
		c.Out.Int(int64(s.Len()))
	}
}

func cmdSmembers(c *Ctx) {
	c.wholeSetOf(c.Args[1])
}

func (c *Ctx) wholeSetOf(key []byte) {
	e, found := c.LookupRead(key)
	switch {
	case !found:
		c.Out.Set(0)
	case e.Kind() != store.SetKind:
		c.Out.Error(errWrongType)
	case c.isLong(e.Size()) && c.longTable(e, (*resp.Writer).Set, emitName):
	default:
		s := e.Set()
		c.wholeSet(&s)
	}
}

// wholeSet replies with all members.
func (c *Ctx) wholeSet(s *store.Set) {
	c.Out.Set(s.Len())
	s.Each(func(m []byte) bool {
		c.Out.Bulk(m)
		return true
	})
}

func cmdSscan(c *Ctx) {
	cursor, ok := c.cursorArg(2)
	if !ok {
		return
	}
	s, found, ok := c.setToRead(c.Args[1])
	if !ok {
		return
	}
	if !found {
		c.emptyScan()
		return
	}
	o, ok := c.parseScan(3, false)
	if !ok {
		return
	}
	scan := func(s *store.Set, cursor uint64, n int, emit func(parts ...[]byte)) uint64 {
		return s.Scan(cursor, n, func(m []byte) {
			if o.matches(m) {
				emit(m)
			}
		})
	}
	if c.longScanIn(cursor, &o, s.Len(), func(e store.Entry, cursor uint64, n int, emit func(parts ...[]byte)) uint64 {
		s := e.Set()
		return scan(&s, cursor, n, emit)
	}) {
		return
	}
	c.Out.Array(2)
	c.scanReply(func(emit func(parts ...[]byte)) uint64 { return scan(&s, cursor, int(min(o.count, maxScan)), emit) })
}
