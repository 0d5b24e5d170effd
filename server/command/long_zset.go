package command

import (
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// goesOn tells whether a command of set algebra that looks at so many members is to go on with copies of its inputs.
func (c *Ctx) goesOn(o *zalgebra, work int) bool { return c.isLong(work) && o.all()/work < longCopies }

// longZlist is zlist on copies of the inputs.
func (c *Ctx) longZlist(o *zalgebra, how zmethod) bool {
	return c.long(func() *Long {
		l := c.copySources(o)
		l.Rest = func() {
			list := how.compute(o)
			list.sort()
			membersHeader(l.Reply.Head(), int64(len(list.items)), o.withScores)
			for _, it := range list.items {
				writeScored(l.Reply.Next(), list.member(it), it.score, o.withScores)
			}
		}
		return l
	})
}

// longZcard is ZINTERCARD on copies of the inputs.
func (c *Ctx) longZcard(o *zalgebra) bool {
	return c.long(func() *Long {
		l := c.copySources(o)
		l.Rest = func() {
			o.budget = 0
			n, _ := o.number()
			l.Reply.Head().Int(n)
		}
		return l
	})
}

// copiedScores is a copy of an input, in which members are found as soon as somebody looks for one.
type copiedScores struct {
	copied
	list *scoredList
}

func (k *copiedScores) find(member []byte) (score float64, ok bool) {
	if k.list == nil {
		k.list = &scoredList{}
		k.each(func(m []byte, score float64) bool {
			k.list.merge(m, score, sumScores)
			return true
		})
	}
	return k.list.find(member)
}

// copySources makes a Long that copies the inputs and puts the copies in their place, where they are complete after its last step.
func (c *Ctx) copySources(o *zalgebra) *Long {
	seen := make(map[string]*copiedScores, len(o.list))
	var big []store.Entry
	var got []*copiedScores // of the cut's values, in order
	var sets []bool         // likewise
	for i := range o.list {
		s := &o.list[i]
		if k := seen[string(s.key)]; s.len() == 0 || k != nil {
			s.copy = k
			continue
		}
		k := &copiedScores{}
		s.copy, seen[string(s.key)] = k, k
		if e, _ := c.DB.Peek(s.key); e.Size() > 0 {
			big, got, sets = append(big, e), append(got, k), append(sets, s.set != nil)
			continue
		}
		s.each(func(m []byte, score float64) bool { k.add(m, score); return true })
	}
	cut := c.DB.CutValues(&image{field: func(id uint64, f store.Entry) {
		score := 1.0
		if !sets[id-1] {
			score = f.Score()
		}
		got[id-1].add(f.Key(), score)
	}}, big...)
	for i := range o.list { // what they name may go at any time from here on
		s := &o.list[i]
		s.key, s.z, s.set = nil, nil, nil
	}
	l := &Long{Reply: resp.NewPieces(c.Out.Proto())}
	l.Step, l.End = cutSteps(cut)
	return l
}

// longSearch is run on a copy of what lies in the shape.
func (s *geoSearch) longSearch(c *Ctx) bool {
	runs, all := s.shape.runs(&s.z)
	if !c.isLong(all) || s.any && s.count < int64(c.longFrom())/16 {
		return false
	}
	read := func(m *Made) *Long {
		var readings []*store.ZSetReading
		for _, r := range runs {
			if reading := s.z.Reading(r.rank, r.n, false); reading != nil {
				readings = append(readings, reading)
			}
		}
		if len(readings) == 0 {
			return nil
		}
		s.z = store.ZSet{}
		return s.collect(readings, c.Out.Proto(), m)
	}
	if s.dst != nil {
		return c.longMade(s.dst, [][]byte{s.key}, read)
	}
	return c.long(func() *Long { return read(nil) })
}

// collect goes on with what the readings give, to a reply or to what is stored.
func (s *geoSearch) collect(readings []*store.ZSetReading, proto int, m *Made) *Long {
	l, near, next := &Long{Reply: resp.NewPieces(proto)}, &copied{}, 0
	limit := 0
	if s.any {
		limit = int(s.count)
	}
	full := func() bool { return limit > 0 && near.n >= limit }
	l.Step = func() bool {
		done := readings[next].Step(longStep, func(m []byte, score float64) {
			if x, y := geoPosition(score); !full() {
				if _, ok := s.shape.distance(x, y); ok {
					near.add(m, score)
				}
			}
		})
		if done {
			next++
		}
		return next == len(readings) || full()
	}
	l.End = func() {
		for _, r := range readings {
			r.End()
		}
	}
	l.Rest = func() {
		p := &geoPoints{}
		near.each(func(m []byte, score float64) bool {
			p.consider(&s.shape, m, score)
			return true
		})
		s.choose(p)
		if m != nil {
			m.zset = s.scores(p)
			m.zset.sort()
			return
		}
		to := &Ctx{}
		l.Reply.Head().Array(len(p.found))
		for i := range p.found {
			to.Out = l.Reply.Next()
			s.reply(to, p, &p.found[i])
		}
	}
	return l
}
