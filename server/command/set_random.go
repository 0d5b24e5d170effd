package command

import (
	"math"

	"github.com/understudy-db/understudy/server/store"
)

var verbSRem = []byte("SREM")

// cmdSpop is propagated as the SREMs of what it took, or as a DEL when that was all.
func cmdSpop(c *Ctx) {
	switch len(c.Args) {
	case 2:
		c.popOne(c.Args[1])
	case 3:
		c.popMany(c.Args[1])
	default:
		c.Out.Error(errSyntax)
	}
}

func (c *Ctx) popOne(key []byte) {
	var s store.Set
	found, ok := c.setToChange(key, &s)
	switch {
	case !ok:
		return
	case !found:
		c.Out.Null()
		return
	}
	m := c.takeRandom(&s)
	c.Notify(EventSet, "spop", key)
	c.Propagate(verbSRem, key, m)
	c.Out.Bulk(m)
	if s.Len() == 0 {
		c.DB.Delete(key)
		c.Notify(EventGeneric, "del", key)
	}
	c.Modified(key)
	c.Dirty(1)
}

// takeRandom removes a random member and returns it in the context's scratch memory.
func (c *Ctx) takeRandom(s *store.Set) []byte {
	c.scratch = append(c.scratch[:0], s.Random(c.Random(), c.scratch)...)
	s.Remove(c.scratch)
	return c.scratch
}

const (
	// takeFrom is the number of members from which they are drawn in a walk through the set, if it is takeShare times as
	// big at most.
	takeFrom  = 1024
	takeShare = 16
	// sremBatch is the most members that an effect of such a draw names.
	sremBatch = 1024
)

// popFactor: when at most one in this many members stays, those that stay are drawn instead of those that go.
const popFactor = 5

func (c *Ctx) popMany(key []byte) {
	count, ok := c.countArg(2)
	if !ok {
		return
	}
	var s store.Set
	found, ok := c.setToChange(key, &s)
	if !ok {
		return
	}
	if !found || count == 0 {
		c.Out.Set(0)
		return
	}
	size := int64(s.Len())
	if c.longSpop(key, count, size) {
		return
	}
	t := c.takenFrom(key)
	c.Notify(EventSet, "spop", key)
	c.Dirty(int(min(count, size)))
	switch stay := size - count; {
	case stay <= 0:
		if c.Hits++; t != nil {
			t.reply.MoveTo(c.Out)
		} else {
			c.wholeSet(&s)
		}
		c.DB.Delete(key)
		c.Notify(EventGeneric, "del", key)
		c.Propagate(verbDel, key)
	case t != nil:
		c.popTaken(key, &s, t)
	case stay*popFactor > count:
		c.Out.Set(int(count))
		if count >= takeFrom && size <= count*takeShare {
			p := popping{c: c, key: key}
			s.Take(int(count), c.Random, p.popped)
			p.end()
			break
		}
		for ; count > 0; count-- {
			c.popped(key, c.takeRandom(&s))
		}
	default:
		c.Out.Set(int(count))
		c.popAllBut(key, &s, stay)
	}
	c.Modified(key)
}

func (c *Ctx) popped(key, member []byte) {
	c.Out.Bulk(member)
	c.Propagate(verbSRem, key, member)
}

// popping replies with what is popped, and makes effects of many members each.
type popping struct {
	c    *Ctx
	key  []byte
	args [][]byte
	room []byte
}

func (p *popping) popped(member []byte) {
	p.c.Out.Bulk(member)
	if len(p.args) == 0 {
		p.args, p.room = append(p.args, verbSRem, p.key), p.room[:0]
	}
	p.room = append(p.room, member...)
	p.args = append(p.args, p.room[len(p.room)-len(member):])
	if len(p.args) == 2+sremBatch {
		p.end()
	}
}

func (p *popping) end() {
	if len(p.args) > 0 {
		p.c.Propagate(p.args...)
		p.args = p.args[:0]
	}
}

// popAllBut leaves n random members. They are added anew, so that the encoding becomes theirs.
func (c *Ctx) popAllBut(key []byte, s *store.Set, n int64) {
	var stay members
	s.Take(int(n), c.Random, stay.add)
	if s.Len() >= takeFrom {
		p := popping{c: c, key: key}
		s.Each(func(m []byte) bool {
			p.popped(m)
			return true
		})
		p.end()
	} else {
		s.Each(func(m []byte) bool {
			c.popped(key, m)
			return true
		})
	}
	s.Clear()
	stay.each(func(m []byte) { s.Add(m) })
}

// countArg reads a number that must not be negative, or replies with an error.
func (c *Ctx) countArg(i int) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok || n < 0 {
		c.Out.Error("value is out of range, must be positive")
		return 0, false
	}
	return n, true
}

func cmdSrandmember(c *Ctx) {
	switch len(c.Args) {
	case 2:
		s, found, ok := c.setToRead(c.Args[1])
		switch {
		case !ok:
		case !found:
			c.Out.Null()
		default:
			var scratch [24]byte
			c.Out.Bulk(s.Random(c.Random(), scratch[:0]))
		}
	case 3:
		c.randomMembers()
	default:
		c.Out.Error(errSyntax)
	}
}

func (c *Ctx) randomMembers() {
	count, ok := c.intArg(2)
	if !ok {
		return
	}
	if count == math.MinInt64 {
		c.Out.Error("value is out of range, value must between -9223372036854775807 and 9223372036854775807")
		return
	}
	s, found, ok := c.setToRead(c.Args[1])
	switch {
	case !ok:
	case !found || count == 0:
		c.Out.Array(0)
	case c.longDraw(c.Args[1], draw{n: max(count, -count), alike: count < 0}):
	case count < 0 || count == 1:
		count = max(count, -count)
		var scratch [24]byte
		c.Out.Array(int(count))
		if s.Draw(int(count), c.Random, true, c.bulks) {
			return
		}
		for ; count > 0 && !c.TooLong(); count-- {
			c.Out.Bulk(s.Random(c.Random(), scratch[:0]))
		}
	default:
		c.distinctMembers(&s, int(min(count, int64(s.Len()))))
	}
}

// bulks replies with what it is given as long as that is not too long.
func (c *Ctx) bulks(m []byte) bool {
	c.Out.Bulk(m)
	return !c.TooLong()
}

// distinctMembers picks n different members.
func (c *Ctx) distinctMembers(s *store.Set, n int) {
	c.Out.Array(n)
	size := s.Len()
	if s.Draw(n, c.Random, false, c.bulks) {
		return
	}
	if n*sampleFactor <= size {
		var scratch [24]byte
		seen := make(map[string]struct{}, n)
		for len(seen) < n {
			m := s.Random(c.Random(), scratch[:0])
			if _, again := seen[string(m)]; !again {
				seen[string(m)] = struct{}{}
				c.Out.Bulk(m)
			}
		}
		return
	}
	// Selection sampling, as in distinctFields.
	left := size
	s.Each(func(m []byte) bool {
		if c.Random()%uint64(left) < uint64(n) {
			c.Out.Bulk(m)
			n--
		}
		left--
		return n > 0
	})
}
