package command

import (
	"bytes"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// goesOn tells whether a command of set algebra that looks at so many members is to go on with copies of its inputs.
func (c *Ctx) goesOn(o *zalgebra, work int) bool { return c.isLong(work) && o.all()/work < longCopies }

// longZlist is zlist on copies of the inputs.
func (c *Ctx) longZlist(o *zalgebra, how zmethod) bool {
	return c.long(func() *Long {
		l, ready := c.copySources(o)
		l.Rest = func() {
			ready()
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
		l, ready := c.copySources(o)
		l.Rest = func() {
			ready()
			o.budget = 0
			n, _ := o.number()
			l.Reply.Head().Int(n)
		}
		return l
	})
}

// copySources makes a Long that copies the inputs. After its last step ready puts the copies in their place.
func (c *Ctx) copySources(o *zalgebra) (l *Long, ready func()) {
	copies := make([]*copied, len(o.list))
	var big []store.Entry
	var into []int // of the cut's values, in order
	for i := range o.list {
		s := &o.list[i]
		if s.len() == 0 {
			continue
		}
		if j := o.twin(i); j < i {
			copies[i] = copies[j]
			continue
		}
		k := &copied{}
		copies[i] = k
		if e, _ := c.DB.Peek(s.key); e.Size() > 0 {
			big, into = append(big, e), append(into, i)
			continue
		}
		s.each(func(m []byte, score float64) bool { k.add(m, score); return true })
	}
	sets := make([]bool, len(o.list))
	for i := range o.list {
		sets[i] = o.list[i].set != nil
	}
	cut := c.DB.CutValues(&image{field: func(id uint64, f store.Entry) {
		i := into[id-1]
		score := 1.0
		if !sets[i] {
			score = f.Score()
		}
		copies[i].add(f.Key(), score)
	}}, big...)
	for i := range o.list { // what they name may go at any time from here on
		s := &o.list[i]
		s.key, s.z, s.set = nil, nil, nil
	}
	l = &Long{Reply: resp.NewPieces(c.Out.Proto())}
	l.Step, l.End = cutSteps(cut)
	return l, func() {
		made := map[*copied]*scoredList{}
		for i, k := range copies {
			if k == nil {
				continue
			}
			if made[k] == nil {
				made[k] = k.indexed()
			}
			o.list[i].copy = made[k]
		}
	}
}

// twin is the place of the first input with the key of another.
func (o *zalgebra) twin(i int) int {
	for j := range o.list {
		if bytes.Equal(o.list[j].key, o.list[i].key) {
			return j
		}
	}
	panic("unreachable")
}

// indexed makes a list in which members are found.
func (l *copied) indexed() *scoredList {
	list := &scoredList{}
	l.each(func(m []byte, score float64) bool {
		list.merge(m, score, sumScores)
		return true
	})
	return list
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
