package command

import (
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Commands that compute something of big values copy them, as they were at one instant, and compute without the lock.

// longSort is SORT of a value alone.
func (c *Ctx) longSort(o sortOptions, e store.Entry) bool {
	return c.long(func() *Long {
		reply, got := resp.NewPieces(c.Out.Proto()), &copied{}
		l := &Long{Reply: reply}
		l.Step, l.End = cutSteps(c.copyElements(e, got))
		l.Rest = func() {
			items := itemsOf(got)
			if !o.order(items, nil) {
				reply.Head().Error(errNoScore)
				return
			}
			start, end := o.window(len(items))
			reply.Head().Array(end - start)
			for _, it := range items[start:end] {
				reply.Next().Bulk(it.element)
			}
		}
		return l
	})
}

// longSortStore is SORT with STORE of a value alone: the list is made of a copy.
func (c *Ctx) longSortStore(o sortOptions, e store.Entry) bool {
	return c.longMade(o.store, c.Args[1:2], func(m *Made) *Long {
		got := &copied{}
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		l.Step, l.End = cutSteps(c.copyElements(e, got))
		l.Rest = func() {
			items := itemsOf(got)
			if m.noScore = !o.order(items, nil); m.noScore {
				return // to be said in the last hold
			}
			start, end := o.window(len(items))
			m.list = &members{}
			for _, it := range items[start:end] {
				m.list.add(it.element)
			}
		}
		return l
	})
}

// copyElements is a cut that copies the elements of a value.
func (c *Ctx) copyElements(e store.Entry, got *copied) *store.Cut {
	digits := make([]byte, 0, 24)
	return c.DB.CutValues(&image{
		field: func(_ uint64, f store.Entry) { got.add(f.Key(), 0) },
		chunk: func(_ uint64, chunk store.Chunk) {
			chunk.Each(func(x store.Elem) bool {
				got.add(x.Bytes(digits), 0)
				return true
			})
		},
	}, e)
}

// itemsOf makes items of elements that were copied.
func itemsOf(got *copied) []sortItem {
	items := make([]sortItem, 0, got.n)
	got.each(func(element []byte, _ float64) bool {
		items = append(items, sortItem{element: element})
		return true
	})
	return items
}

// longCopies is how many times the members that a command looks at it may have to copy; with more it is done in place.
const longCopies = 16

// longCombine is combine on copies of the sets.
func (c *Ctx) longCombine(sets []operand, compute func(sets []operand, emit func(m []byte) bool)) bool {
	return c.long(func() *Long {
		l, copies := c.copySets(sets)
		n, limit := 0, c.ReplyLimit
		l.Rest = func() {
			compute(copies, func(m []byte) bool {
				l.Reply.Next().Bulk(m)
				n++
				return limit <= 0 || l.Reply.Len() < limit
			})
			l.Reply.Head().Set(n)
		}
		return l
	})
}

// longSetCard is SINTERCARD on copies of the sets.
func (c *Ctx) longSetCard(sets []operand, limit int64) bool {
	return c.long(func() *Long {
		l, copies := c.copySets(sets)
		l.Rest = func() {
			n, _ := intersectionCard(copies, limit, 0)
			l.Reply.Head().Int(n)
		}
		return l
	})
}

// copySets makes a Long that copies sets; the copies are complete after its last step.
func (c *Ctx) copySets(sets []operand) (l *Long, copies []operand) {
	copies = make([]operand, len(sets))
	seen := make(map[string]*copiedSet, len(sets))
	var big []store.Entry
	var got []*copiedSet // of the cut's values, in order
	for i := range sets {
		key := string(sets[i].key)
		copies[i] = operand{key: []byte(key), there: sets[i].there, copy: seen[key]}
		if !sets[i].there || copies[i].copy != nil {
			continue
		}
		k := &copiedSet{}
		copies[i].copy, seen[key] = k, k
		if e, _ := c.DB.Peek(sets[i].key); e.Size() > 0 {
			big, got = append(big, e), append(got, k)
			continue
		}
		sets[i].each(func(m []byte) bool { k.add(m, 0); return true })
	}
	cut := c.DB.CutValues(&image{field: func(id uint64, f store.Entry) { got[id-1].add(f.Key(), 0) }}, big...)
	l = &Long{Reply: resp.NewPieces(c.Out.Proto())}
	l.Step, l.End = cutSteps(cut)
	return l, copies
}

// newSet makes a set in a store of its own, so that its handle outlives writes to others.
func newSet() store.Set {
	s := store.New(store.Options{Databases: 1, Partitions: 1})
	set, _ := s.DB(0).SetForWrite([]byte("set"))
	return set
}
