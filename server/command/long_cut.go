package command

import (
	"bytes"
	"math"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Commands that take very many elements out of a value. They hold nothing: the value is watched as the source of a result
// (making.go in the engine), so what they look at in short holds is of one instant, or of no use. Before the last hold there
// is the reply, and when much is taken and much stays, a new value of what stays, which takes the old one's place there.

// taken is what such a command has before its last hold.
type taken struct {
	n     int          // of elements that go
	reply *resp.Pieces // the elements, without what goes before them
	// build adds some of what stays to the new value. It is nil where the old one is changed in place.
	build   func(db *store.DB, v *store.Loose) (done bool)
	stay    [][]byte // SPOP: what stays, and the effects
	effects [][]byte
	at      []int // of a list: the positions of what goes, in order; LINSERT's pivot, none when it is missing
}

// takenFrom is what was made for the value at a key, nil when there is nothing.
func (c *Ctx) takenFrom(key []byte) *taken {
	if c.made == nil || c.made.taken == nil || !bytes.Equal(c.made.key, key) {
		return nil
	}
	return c.made.taken
}

// replace puts what stays in the place of the value at a key. It answers false when nothing was built.
func (c *Ctx) replace(key []byte) bool {
	if c.takenFrom(key) == nil || c.made.loose == nil || c.made.loose.Len() == 0 {
		return false
	}
	c.DB.Replace(key, c.made.loose)
	return true
}

func (m *Made) stepTaken(db *store.DB) (done bool) {
	if m.taken.build == nil {
		return true
	}
	if m.loose == nil {
		m.loose = db.NewLoose(m.key, m.kind)
	}
	return !m.loose.Good() || m.taken.build(db, m.loose)
}

// longTake is longMade for the value at the last of some keys, all of which are watched: step looks at it.
func (c *Ctx) longTake(keys [][]byte, kind store.Kind, t *taken, step func(e store.Entry) (done bool), rest func()) bool {
	key := keys[len(keys)-1]
	return c.longMade(key, keys, func(m *Made) *Long {
		db, key := c.DB, m.key
		m.kind, m.taken = kind, t
		t.reply = resp.NewPieces(c.Out.Proto())
		return &Long{
			Reply: resp.NewPieces(c.Out.Proto()), End: func() {}, Rest: rest,
			Step: func() bool {
				e, found := db.Peek(key)
				return !found || e.Kind() != kind || step(e) // it has changed, so what was seen is of no use
			},
		}
	})
}

// buildShare: when more than so many members stay for one that goes, it takes too long to make anew what stays.
const buildShare = 16

// longZSetCut takes n members from a rank on out of the sorted set at the last of keys, with the reply of a command that
// pops them when pop is given.
func (c *Ctx) longZSetCut(z *store.ZSet, keys [][]byte, rank, n int, pop *zpopping) bool {
	size := z.Len()
	fast := z.CutsFast(n) && size-n < c.longFrom()
	builds := !fast && n >= 2*c.longFrom() && size-n <= n*buildShare
	if !c.isLong(n) || pop == nil && !builds {
		return false
	}
	t, key := &taken{n: n}, bytes.Clone(keys[len(keys)-1])
	if next := 0; builds {
		t.build = func(db *store.DB, v *store.Loose) bool {
			if next == rank {
				next += n
			}
			e, found := db.Peek(key)
			if !found || e.Kind() != store.ZSetKind || next >= size {
				return true
			}
			k := min(longStep, size-next)
			if next < rank {
				k = min(k, rank-next)
			}
			z := e.ZSet()
			z.Range(next, k, false, func(member []byte, score float64) bool { v.Set(member, score); return true })
			next += k
			return false
		}
	}
	at, left := rank, n
	if pop != nil && pop.highest {
		at = rank + n - 1
	}
	return c.longTake(keys, store.ZSetKind, t, func(e store.Entry) bool {
		if pop == nil || left == 0 {
			return true
		}
		z, k := e.ZSet(), min(longStep, left)
		z.Range(at, k, pop.highest, func(member []byte, score float64) bool {
			pop.write(t.reply.Next(), member, score)
			return true
		})
		if left -= k; pop.highest {
			at -= k
		} else {
			at += k
		}
		return left == 0
	}, nil)
}

// zsetCut removes n members from a rank on. z is valid afterwards.
func (c *Ctx) zsetCut(z *store.ZSet, key []byte, rank, n int) {
	if !c.replace(key) {
		z.Cut(rank, n)
		return
	}
	*z, _ = c.DB.ZSetForWrite(key)
}

// longPop takes n elements from an end of the list at the last of keys.
func (c *Ctx) longPop(l *store.List, keys [][]byte, head bool, n int) bool {
	if !c.isLong(n) {
		return false
	}
	t, at, left := &taken{n: n}, 0, n
	if !head {
		at = l.Len() - 1
	}
	return c.longTake(keys, store.ListKind, t, func(e store.Entry) bool {
		l, k := e.List(), min(longStep, left)
		if at < 0 || at >= l.Len() {
			return true
		}
		left -= k
		from := at
		if at += k; !head {
			at -= 2 * k
		}
		l.Each(from, !head, func(x store.Elem) bool {
			writeElement(t.reply.Next(), x)
			k--
			return k > 0
		})
		return left == 0
	}, nil)
}

// removeOneByOne is the number of elements up to which LREM takes them out of a long list where they are.
const removeOneByOne = 1024

// longLrem looks for elements of a long list that LREM removes. What is near the end where it begins is left to others.
func (c *Ctx) longLrem(l *store.List, count int, back bool) bool {
	size := l.Len()
	if count == 0 {
		count = math.MaxInt
	}
	if !c.isLong(size) || c.nearby(l, c.Args[3], count, back) {
		return false
	}
	key, needle := bytes.Clone(c.Args[1]), store.NeedleOf(bytes.Clone(c.Args[3]))
	t := &taken{}
	at, limit := 0, count
	if back {
		limit = math.MaxInt // the last ones are known in the end
	}
	return c.longTake(c.Args[1:2], store.ListKind, t, func(e store.Entry) bool {
		at = seek(e, &needle, at, func(pos int) bool {
			t.at = append(t.at, pos)
			return len(t.at) < limit
		})
		return at >= size || len(t.at) == limit
	}, func() {
		if t.at = t.at[max(len(t.at)-count, 0):]; len(t.at) <= min(removeOneByOne, c.longFrom()) || len(t.at) == size {
			return
		}
		next, gone := 0, t.at
		t.build = func(db *store.DB, v *store.Loose) bool {
			e, found := db.Peek(key)
			if !found || e.Kind() != store.ListKind {
				return true
			}
			var digits [24]byte
			l, end := e.List(), next+longStep
			if next >= l.Len() {
				return true
			}
			l.Each(next, false, func(x store.Elem) bool {
				if len(gone) > 0 && gone[0] == next {
					gone = gone[1:]
				} else {
					v.Push(x.Bytes(digits[:0]))
				}
				next++
				return next < end
			})
			return next >= size
		}
	})
}

// seek gives the positions of some elements of a list that are equal to a needle to fn, until it answers false, and returns
// where to go on.
func seek(e store.Entry, needle *store.Needle, at int, fn func(pos int) bool) (next int) {
	l, end := e.List(), at+4*longStep
	if at >= l.Len() {
		return at + 4*longStep
	}
	l.Each(at, false, func(x store.Elem) bool {
		if x.Is(needle) && !fn(at) {
			return false
		}
		at++
		return at < end
	})
	return at
}

// nearby tells whether so many elements equal to a needle are among the first ones of a list, or the last ones.
func (c *Ctx) nearby(l *store.List, needle []byte, count int, back bool) bool {
	is, from, left := store.NeedleOf(needle), 0, c.longFrom()
	if back {
		from = l.Len() - 1
	}
	l.Each(from, back, func(x store.Elem) bool {
		if x.Is(&is) {
			count--
		}
		left--
		return count > 0 && left > 0
	})
	return count <= 0
}

// removeTaken removes what longLrem has found. l is valid afterwards.
func (c *Ctx) removeTaken(l *store.List, key []byte, t *taken) (removed int) {
	if c.replace(key) {
		*l, _ = c.DB.ListForWrite(key)
		return len(t.at)
	}
	if len(t.at) == l.Len() {
		l.Remove(0, l.Len())
		return len(t.at)
	}
	for i := len(t.at) - 1; i >= 0; i-- {
		l.Remove(t.at[i], 1)
	}
	return len(t.at)
}

// longLinsert looks for the pivot of LINSERT in a long list, unless it is near.
func (c *Ctx) longLinsert(l *store.List) bool {
	size := l.Len()
	if !c.isLong(size) || c.nearby(l, c.Args[3], 1, false) {
		return false
	}
	t, at, needle := &taken{}, 0, store.NeedleOf(bytes.Clone(c.Args[3]))
	return c.longTake(c.Args[1:2], store.ListKind, t, func(e store.Entry) bool {
		at = seek(e, &needle, at, func(pos int) bool {
			t.at = append(t.at, pos)
			return false
		})
		return at >= size || len(t.at) > 0
	}, nil)
}

// longLpos is LPOS of a long list.
func (c *Ctx) longLpos(e store.Entry, o *lposOptions) bool {
	size := e.Size()
	if !c.isLong(size) || o.maxLen > 0 && o.maxLen < int64(c.longFrom()) {
		return false
	}
	needle := store.NeedleOf(bytes.Clone(c.Args[2]))
	return c.long(func() *Long {
		all, pos, r := []int(nil), 0, *o
		wanted := math.MaxInt
		if r.rank > 0 && r.count != 0 {
			wanted = int(min(r.rank-1, math.MaxInt/4) + min(max(r.count, 1), math.MaxInt/4))
		}
		first, end := 0, size
		switch {
		case r.maxLen > 0 && r.maxLen < int64(size) && r.rank > 0:
			end = int(r.maxLen)
		case r.maxLen > 0 && r.maxLen < int64(size):
			first = size - int(r.maxLen)
		}
		cut := c.DB.CutValues(&image{chunk: func(_ uint64, chunk store.Chunk) {
			chunk.Each(func(x store.Elem) bool {
				if pos >= first && pos < end && len(all) < wanted && x.Is(&needle) {
					all = append(all, pos)
				}
				pos++
				return true
			})
		}}, e)
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: cut.End}
		l.Step = func() bool { return cut.Step(longStep) || pos >= end || len(all) >= wanted }
		l.Rest = func() { r.reply(l.Reply, all) }
		return l
	})
}

// reply replies with what is asked for of the positions of all matches.
func (o *lposOptions) reply(p *resp.Pieces, all []int) {
	rank := o.rank
	if rank < 0 {
		for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
			all[i], all[j] = all[j], all[i]
		}
		rank = max(-rank, 1)
		if o.rank == math.MinInt64 {
			rank = math.MaxInt64
		}
	}
	all = all[min(rank-1, int64(len(all))):]
	switch {
	case o.count < 0 && len(all) == 0:
		p.Head().Null()
	case o.count < 0:
		p.Head().Int(int64(all[0]))
	default:
		if o.count > 0 {
			all = all[:min(o.count, int64(len(all)))]
		}
		p.Head().Array(len(all))
		for _, pos := range all {
			p.Next().Int(int64(pos))
		}
	}
}
