package command

import (
	"math/rand/v2"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// longSpop pops very many members of a set: it copies the set, draws without the lock, and makes anew what stays. What is left
// to the last hold are the effects, which are encoded before.
func (c *Ctx) longSpop(key []byte, count, size int64) bool {
	n, e := int(min(count, size)), store.Entry{}
	if c.made != nil || !c.isLong(n) {
		return false
	}
	if e, _ = c.DB.Peek(key); e.Size() == 0 {
		return false
	}
	stay := int(size) - n
	few := stay <= flatMost(store.SetKind, &c.Store.Config)
	if few && int64(stay)*popFactor > count {
		return false // they stay in a table, however few
	}
	began := c.longMade(key, [][]byte{key}, func(m *Made) *Long {
		t, got := &taken{n: n, reply: resp.NewPieces(c.Out.Proto())}, &copied{}
		m.kind, m.taken = store.SetKind, t
		rnd := rand.New(rand.NewPCG(c.Random(), c.Random()))
		l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
		l.Step, l.End = cutSteps(c.DB.CutValues(&image{field: func(_ uint64, f store.Entry) { got.add(f.Key(), 0) }}, e))
		l.Rest = func() {
			all := make([][]byte, 0, got.n)
			got.each(func(member []byte, _ float64) bool {
				all = append(all, member)
				return true
			})
			t.draw(m.key, all, rnd)
			if !few {
				t.build = addAll(all[n:])
			}
		}
		return l
	})
	if began && stay == 0 {
		c.Hits++
	}
	return began
}

// draw moves n members to the front of all, every choice of them being equally likely, and makes reply and effects of them.
func (t *taken) draw(key []byte, all [][]byte, rnd *rand.Rand) {
	t.reply.Head().Set(t.n)
	for i := range all[:t.n] {
		at := i + rnd.IntN(len(all)-i)
		all[i], all[at] = all[at], all[i]
		t.reply.Next().Bulk(all[i])
	}
	t.stay = all[t.n:]
	if len(t.stay) == 0 {
		return
	}
	for gone := all[:t.n]; len(gone) > 0; {
		k := min(len(gone), sremBatch)
		t.effects = append(t.effects, resp.AppendCommand(nil, append([][]byte{verbSRem, key}, gone[:k]...)...))
		gone = gone[k:]
	}
}

// addAll builds a set of members.
func addAll(list [][]byte) func(*store.DB, *store.Loose) bool {
	return func(_ *store.DB, v *store.Loose) bool {
		k := min(len(list), longStep)
		for _, member := range list[:k] {
			v.Add(member)
		}
		list = list[k:]
		return len(list) == 0
	}
}

// popTaken pops what was drawn, and leaves some.
func (c *Ctx) popTaken(key []byte, s *store.Set, t *taken) {
	t.reply.MoveTo(c.Out)
	for _, b := range t.effects {
		c.propagateEncoded(b)
	}
	if c.replace(key) {
		return
	}
	s.Clear()
	for _, member := range t.stay {
		s.Add(member)
	}
}
