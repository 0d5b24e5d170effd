package command

import (
	"bytes"
	"hash/maphash"
	"math"
	"slices"

	"github.com/understudy-db/understudy/server/store"
)

// scoredList collects members with scores outside the store, without a pointer per member.
type scoredList struct {
	bytes   []byte
	items   []scoredItem
	longest int
	index   []uint32 // of a union: open addressing, 1 + the place in items; 0 is free
	seed    maphash.Seed
}

type scoredItem struct {
	score   float64
	at, len int
}

func (l *scoredList) member(it scoredItem) []byte { return l.bytes[it.at : it.at+it.len] }

// add appends a member that is not in the list.
func (l *scoredList) add(member []byte, score float64) {
	l.items = append(l.items, scoredItem{score, len(l.bytes), len(member)})
	l.bytes = append(l.bytes, member...)
	l.longest = max(l.longest, len(member))
}

// merge adds a member, or joins its score to that of the one in the list.
func (l *scoredList) merge(member []byte, score float64, how aggregate) {
	if len(l.items)*4 >= len(l.index)*3 {
		l.grow()
	}
	slot := l.slotOf(member)
	if i := l.index[slot]; i > 0 {
		l.items[i-1].score = how(l.items[i-1].score, score)
		return
	}
	l.add(member, score)
	l.index[slot] = uint32(len(l.items))
}

// find looks a member up in a list that merge made.
func (l *scoredList) find(member []byte) (score float64, ok bool) {
	if len(l.index) == 0 {
		return 0, false
	}
	i := l.index[l.slotOf(member)]
	if i == 0 {
		return 0, false
	}
	return l.items[i-1].score, true
}

// slotOf is where a member stands in the index, or the free slot where it belongs.
func (l *scoredList) slotOf(member []byte) uint64 {
	mask := uint64(len(l.index) - 1)
	for slot := maphash.Bytes(l.seed, member) & mask; ; slot = (slot + 1) & mask {
		if i := l.index[slot]; i == 0 || bytes.Equal(l.member(l.items[i-1]), member) {
			return slot
		}
	}
}

func (l *scoredList) grow() {
	if l.index == nil {
		l.seed = maphash.MakeSeed()
	}
	l.index = make([]uint32, max(64, 2*len(l.index)))
	for i, it := range l.items {
		l.index[l.slotOf(l.member(it))] = uint32(i + 1)
	}
}

// sort puts the list into the order of a sorted set.
func (l *scoredList) sort() {
	slices.SortFunc(l.items, func(a, b scoredItem) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return bytes.Compare(l.member(a), l.member(b))
	})
}

// aggregate joins two scores.
type aggregate func(a, b float64) float64

// sumScores adds; where infinities cancel out the sum is 0.
func sumScores(a, b float64) float64 { return numberOr0(a + b) }

func minScore(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func maxScore(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

func numberOr0(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return f
}

// zsource is an input of set algebra: a sorted set, a set, whose members count as having score 1, or nothing.
type zsource struct {
	key    []byte
	z      *store.ZSet
	set    *store.Set
	copy   *copiedScores // of one of the two
	weight float64
}

func (s *zsource) len() int {
	switch {
	case s.z != nil:
		return s.z.Len()
	case s.set != nil:
		return s.set.Len()
	case s.copy != nil:
		return s.copy.n
	}
	return 0
}

func (s *zsource) find(member []byte) (score float64, ok bool) {
	switch {
	case s.z != nil:
		return s.z.Score(member)
	case s.set != nil:
		return 1, s.set.Has(member)
	case s.copy != nil:
		return s.copy.find(member)
	}
	return 0, false
}

func (s *zsource) each(fn func(member []byte, score float64) bool) {
	switch {
	case s.z != nil:
		s.z.Each(fn)
	case s.set != nil:
		s.set.Each(func(member []byte) bool { return fn(member, 1) })
	case s.copy != nil:
		s.copy.each(fn)
	}
}

// zsources reads "numkeys key [key ...]" from argument i on, or replies with an error. next is the argument behind them.
func (c *Ctx) zsources(i int) (list []zsource, next int, ok bool) {
	n, ok := c.intArg(i)
	switch {
	case !ok:
		return nil, 0, false
	case n < 1:
		c.Out.Error("at least 1 input key is needed for '" + c.Cmd.FullName + "' command")
		return nil, 0, false
	case n > int64(len(c.Args)-i-1):
		c.Out.Error(errSyntax)
		return nil, 0, false
	}
	list, next = make([]zsource, n), i+1+int(n)
	if c.Cmd.IsWrite() {
		for _, key := range c.Args[i+1 : next] {
			c.LookupWrite(key) // what has expired goes before handles are taken
		}
	}
	for j := range list {
		list[j].weight, list[j].key = 1, c.Args[i+1+j]
		e, found := c.LookupRead(c.Args[i+1+j])
		switch {
		case !found:
		case e.Kind() == store.ZSetKind:
			z := e.ZSet()
			list[j].z = &z
		case e.Kind() == store.SetKind:
			set := e.Set()
			list[j].set = &set
		default:
			c.Out.Error(errWrongType)
			return nil, 0, false
		}
	}
	return list, next, true
}

// zalgebra is a command of set algebra.
type zalgebra struct {
	list        []zsource
	how         aggregate
	withScores  bool
	limit       int64 // of ZINTERCARD: 0 none
	budget      int   // the members at which an intersection looks before it gives up; 0: all
	plain, card bool  // ZDIFF and ZINTERCARD take no weights, STORE forms and ZINTERCARD no WITHSCORES
	stores      bool
}

// parse reads keys from argument i on and the options behind them, or replies with an error.
func (o *zalgebra) parse(c *Ctx, i int) (ok bool) {
	if o.list, i, ok = c.zsources(i); !ok {
		return false
	}
	for o.how = sumScores; i < len(c.Args); {
		left := len(c.Args) - i
		switch {
		case !o.plain && left > len(o.list) && c.is(i, "weights"):
			for j := range o.list {
				if o.list[j].weight, ok = parseDouble(c.Args[i+1+j]); !ok {
					c.Out.Error("weight value is not a float")
					return false
				}
			}
			i += 1 + len(o.list)
		case !o.plain && left >= 2 && c.is(i, "aggregate"):
			if o.how = aggregateNamed(c.Args[i+1]); o.how == nil {
				c.Out.Error(errSyntax)
				return false
			}
			i += 2
		case !o.stores && !o.card && c.is(i, "withscores"):
			o.withScores = true
			i++
		case o.card && left >= 2 && c.is(i, "limit"):
			if o.limit, ok = c.leastArg(i+1, 0, "LIMIT can't be negative"); !ok {
				return false
			}
			i += 2
		default:
			c.Out.Error(errSyntax)
			return false
		}
	}
	return true
}

func aggregateNamed(name []byte) aggregate {
	switch {
	case IsWord(name, "sum"):
		return sumScores
	case IsWord(name, "min"):
		return minScore
	case IsWord(name, "max"):
		return maxScore
	}
	return nil
}

// smallestFirst orders the inputs by size; equal ones keep their order, which the sums of scores show.
func (o *zalgebra) smallestFirst() {
	slices.SortStableFunc(o.list, func(a, b zsource) int { return a.len() - b.len() })
}

func (o *zalgebra) union() *scoredList {
	o.smallestFirst()
	l := &scoredList{}
	for i := range o.list {
		s := &o.list[i]
		s.each(func(member []byte, score float64) bool {
			l.merge(member, numberOr0(s.weight*score), o.how)
			return true
		})
	}
	return l
}

// intersection calls fn for every member of all inputs until it returns false. whole is false when the budget was spent.
func (o *zalgebra) intersection(fn func(member []byte, score float64) bool) (whole bool) {
	o.smallestFirst()
	first, others, looked := &o.list[0], o.list[1:], 0
	whole = true
	first.each(func(member []byte, score float64) bool {
		if looked++; o.budget > 0 && looked > o.budget {
			whole = false
			return false
		}
		sum := numberOr0(first.weight * score)
		for i := range others {
			s := &others[i]
			other, ok := s.find(member)
			if !ok {
				return true
			}
			sum = o.how(sum, other*s.weight)
		}
		return fn(member, sum)
	})
	return whole
}

func (o *zalgebra) intersect() *scoredList {
	l := &scoredList{}
	o.intersection(func(member []byte, score float64) bool {
		l.add(member, score)
		return true
	})
	return l
}

func (o *zalgebra) diff() *scoredList {
	l := &scoredList{}
	o.list[0].each(func(member []byte, score float64) bool {
		for i := range o.list[1:] {
			if _, ok := o.list[1+i].find(member); ok {
				return true
			}
		}
		l.add(member, score)
		return true
	})
	return l
}

// zmethod is what makes a result of the inputs; work is the number of members at which it looks.
type zmethod struct {
	compute func(*zalgebra) *scoredList
	work    func(*zalgebra) int
}

var (
	zUnion = zmethod{(*zalgebra).union, (*zalgebra).all}
	zInter = zmethod{(*zalgebra).intersect, (*zalgebra).least}
	zDiff  = zmethod{(*zalgebra).diff, func(o *zalgebra) int { return o.list[0].len() }}
)

func (o *zalgebra) all() (n int) {
	for i := range o.list {
		n += o.list[i].len()
	}
	return n
}

func (o *zalgebra) least() int {
	n := o.list[0].len()
	for i := range o.list {
		n = min(n, o.list[i].len())
	}
	return n
}

func cmdZunion(c *Ctx) { c.zlist(&zalgebra{}, zUnion) }

func cmdZinter(c *Ctx) { c.zlist(&zalgebra{}, zInter) }

func cmdZdiff(c *Ctx) { c.zlist(&zalgebra{plain: true}, zDiff) }

func (c *Ctx) zlist(o *zalgebra, how zmethod) {
	if !o.parse(c, 1) || c.goesOn(o, how.work(o)) && c.longZlist(o, how) {
		return
	}
	l := how.compute(o)
	l.sort()
	c.randomHeader(int64(len(l.items)), o.withScores)
	for _, it := range l.items {
		c.scored(l.member(it), it.score, o.withScores)
	}
}

func cmdZunionstore(c *Ctx) { c.zstore(&zalgebra{}, zUnion, "zunionstore") }

func cmdZinterstore(c *Ctx) { c.zstore(&zalgebra{}, zInter, "zinterstore") }

func cmdZdiffstore(c *Ctx) { c.zstore(&zalgebra{plain: true}, zDiff, "zdiffstore") }

func (c *Ctx) zstore(o *zalgebra, how zmethod, event string) {
	o.stores = true
	if !o.parse(c, 2) {
		return
	}
	if c.made != nil {
		c.storeZSet(c.Args[1], c.made.zset, event)
		return
	}
	if c.goesOn(o, how.work(o)) && c.longZstore(o, how) {
		return
	}
	c.storeZSet(c.Args[1], how.compute(o), event)
}

// storeZSet makes key a sorted set of the listed members, or deletes it when there are none, and replies with their
// number.
func (c *Ctx) storeZSet(key []byte, l *scoredList, event string) {
	_, existed := c.LookupWrite(key)
	n := len(l.items)
	switch {
	case n > 0:
		if !c.attach(key) {
			l.sort()
			c.DB.Delete(key)
			z, _ := c.DB.ZSetForWrite(key)
			z.Reserve(n, l.longest)
			for _, it := range l.items {
				z.Set(l.member(it), it.score)
			}
		}
		c.born(existed, key)
		c.touched(EventZSet, event, key)
	case existed:
		c.DB.Delete(key)
		c.touched(EventGeneric, "del", key)
	}
	c.Out.Int(int64(n))
}

func cmdZintercard(c *Ctx) {
	o := &zalgebra{plain: true, card: true}
	if !o.parse(c, 1) {
		return
	}
	long := c.goesOn(o, o.least())
	if long && o.limit == 0 && c.longZcard(o) {
		return
	}
	if long {
		o.budget = c.longFrom() // LIMIT may end it soon
	}
	n, whole := o.number()
	if !whole {
		if c.longZcard(o) {
			return
		}
		o.budget = 0
		n, _ = o.number()
	}
	c.Out.Int(n)
}

// number is that of the intersection, up to the limit.
func (o *zalgebra) number() (n int64, whole bool) {
	whole = o.intersection(func([]byte, float64) bool {
		n++
		return n != o.limit
	})
	return n, whole
}
