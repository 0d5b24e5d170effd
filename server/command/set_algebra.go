package command

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/understudy-db/understudy/server/store"
)

// members is a list of byte strings in one piece of memory, for what a command keeps while it writes to the store.
type members struct {
	buf []byte
	n   int
}

func (l *members) add(m []byte) {
	l.buf = append(binary.AppendUvarint(l.buf, uint64(len(m))), m...)
	l.n++
}

func (l *members) each(fn func(m []byte)) {
	for b := l.buf; len(b) > 0; {
		var m []byte
		m, b = firstMember(b)
		fn(m)
	}
}

// firstMember takes a member off the bytes of a list that is not empty.
func firstMember(b []byte) (m, rest []byte) {
	n, w := binary.Uvarint(b)
	return b[w : w+int(n)], b[w+int(n):]
}

// operand is a set that takes part in an operation: of a missing key it is empty.
type operand struct {
	set   store.Set
	copy  *copiedSet // takes the place of set
	key   []byte
	there bool
}

// copiedSet is a copy of a set, in which members are found as soon as somebody looks for one: to make a set takes longer than to copy it.
type copiedSet struct {
	copied
	set  store.Set
	made bool
}

func (k *copiedSet) has(m []byte) bool {
	if !k.made {
		k.set, k.made = newSet(), true
		k.copied.each(func(m []byte, _ float64) bool { k.set.Add(m); return true })
	}
	return k.set.Has(m)
}

func (o *operand) size() int {
	switch {
	case !o.there:
		return 0
	case o.copy != nil:
		return o.copy.n
	}
	return o.set.Len()
}

func (o *operand) has(m []byte) bool {
	switch {
	case !o.there:
		return false
	case o.copy != nil:
		return o.copy.has(m)
	}
	return o.set.Has(m)
}

func (o *operand) each(fn func(m []byte) bool) {
	switch {
	case !o.there:
	case o.copy != nil:
		o.copy.each(func(m []byte, _ float64) bool { return fn(m) })
	default:
		o.set.Each(fn)
	}
}

func (o *operand) same(p *operand) bool { return bytes.Equal(o.key, p.key) }

// operands finds the sets at keys; ok is false after an error reply. Commands that write delete expired keys first,
// as they would not exist on a replica either.
func (c *Ctx) operands(keys [][]byte) (sets []operand, ok bool) {
	lookup := c.LookupRead
	if c.Cmd.IsWrite() {
		lookup = c.lookupCounted
	}
	sets = make([]operand, len(keys))
	for i, key := range keys {
		e, found := lookup(key)
		if found && e.Kind() != store.SetKind {
			c.Out.Error(errWrongType)
			return nil, false
		}
		sets[i] = operand{key: key, there: found}
	}
	for i := range sets { // only now, since a lookup may have deleted a key, which makes handles stale
		if o := &sets[i]; o.there {
			e, _ := c.DB.Peek(o.key)
			o.set = e.Set()
		}
	}
	return sets, true
}

// storeMembers makes key a set of a command's results, or deletes it when there are none, and replies with their
// number. noInts: the set went through one that was no intset.
func (c *Ctx) storeMembers(key []byte, list *members, event string, noInts bool) {
	if list.n == 0 {
		c.Out.Int(0)
		if c.DB.Delete(key) {
			c.touched(EventGeneric, "del", key)
		}
		return
	}
	_, found := c.LookupWrite(key)
	if !c.attach(key) {
		c.DB.Delete(key)
		s, _ := c.DB.SetForWrite(key)
		if noInts {
			s.NoInts()
		}
		list.each(func(m []byte) { s.Add(m) })
	}
	c.born(found, key)
	c.touched(EventSet, event, key)
	c.Out.Int(int64(list.n))
}

// combineStore stores what compute makes of the sets at all keys but the first. work is the number of members that it
// looks at.
func (c *Ctx) combineStore(event string, work func(sets []operand) int, compute func(sets []operand, into *members) (noInts bool)) {
	sets, ok := c.operands(c.Args[2:])
	if !ok {
		return
	}
	if m := c.made; m != nil {
		c.storeMembers(c.Args[1], m.set, event, m.noInts)
		return
	}
	if n := work(sets); c.isLong(n) && allSizes(sets)/n < longCopies && c.longSetStore(sets, compute) {
		return
	}
	var list members
	noInts := compute(sets, &list)
	c.storeMembers(c.Args[1], &list, event, noInts)
}

// replySet writes what produce gives out as a reply.
func (c *Ctx) replySet(produce func(emit func(m []byte) bool)) {
	mark, n := c.Out.DeferArray(), 0
	produce(func(m []byte) bool {
		c.Out.Bulk(m)
		n++
		return !c.TooLong()
	})
	c.Out.SetSetLen(mark, n)
}

// combine replies with what compute makes of the sets at all keys. work is the number of members that it looks at.
func (c *Ctx) combine(work func(sets []operand) int, compute func(sets []operand, emit func(m []byte) bool)) {
	sets, ok := c.operands(c.Args[1:])
	if !ok {
		return
	}
	if n := work(sets); c.isLong(n) && allSizes(sets)/n < longCopies && c.longCombine(sets, compute) {
		return
	}
	c.replySet(func(emit func(m []byte) bool) { compute(sets, emit) })
}

// bySize orders sets by their sizes times sign; equal ones keep their order.
func bySize(sets []operand, sign int) {
	type sized struct {
		n int
		o operand
	}
	list := make([]sized, len(sets))
	for i := range sets {
		list[i] = sized{sign * sets[i].size(), sets[i]}
	}
	slices.SortStableFunc(list, func(a, b sized) int { return a.n - b.n })
	for i := range list {
		sets[i] = list[i].o
	}
}

func allSizes(sets []operand) (n int) {
	for i := range sets {
		n += sets[i].size()
	}
	return n
}

func firstSize(sets []operand) int { return sets[0].size() }

func leastSize(sets []operand) int {
	n := sets[0].size()
	for i := range sets {
		n = min(n, sets[i].size())
	}
	return n
}

func cmdSinter(c *Ctx) {
	c.combine(leastSize, intersect)
}

func cmdSinterstore(c *Ctx) {
	c.combineStore("sinterstore", leastSize, func(sets []operand, into *members) bool {
		intersect(sets, func(m []byte) bool { into.add(m); return true })
		return false
	})
}

func cmdSintercard(c *Ctx) {
	keys, ok := ParseInt(c.Args[1])
	if !ok || keys < 1 {
		c.Out.Error("numkeys should be greater than 0")
		return
	}
	if keys > int64(len(c.Args)-2) {
		c.Out.Error("Number of keys can't be greater than number of args")
		return
	}
	limit := int64(0)
	for i := 2 + int(keys); i < len(c.Args); i += 2 {
		if !c.is(i, "limit") || i+1 == len(c.Args) {
			c.Out.Error(errSyntax)
			return
		}
		if limit, ok = ParseInt(c.Args[i+1]); !ok || limit < 0 {
			c.Out.Error("LIMIT can't be negative")
			return
		}
	}
	sets, ok := c.operands(c.Args[2 : 2+keys])
	if !ok {
		return
	}
	least := leastSize(sets)
	long := c.isLong(least) && allSizes(sets)/least < longCopies
	if long && limit == 0 && c.longSetCard(sets, limit) {
		return
	}
	budget := 0
	if long {
		budget = c.longFrom() // LIMIT may end it soon
	}
	n, whole := intersectionCard(sets, limit, budget)
	if !whole {
		if c.longSetCard(sets, limit) {
			return
		}
		n, _ = intersectionCard(sets, limit, 0)
	}
	c.Out.Int(n)
}

// intersectionCard counts the members that all sets have, up to a limit that is not 0. It gives up after it has looked at
// so many members as the budget says; 0: never.
func intersectionCard(sets []operand, limit int64, budget int) (n int64, whole bool) {
	whole = intersectWithin(sets, budget, func([]byte) bool {
		n++
		return n != limit
	})
	return n, whole
}

// intersect gives the members that all sets have to emit, until it returns false.
func intersect(sets []operand, emit func(m []byte) bool) { intersectWithin(sets, 0, emit) }

func intersectWithin(sets []operand, budget int, emit func(m []byte) bool) (whole bool) {
	for i := range sets {
		if !sets[i].there {
			return true
		}
	}
	bySize(sets, 1)
	first, looked := &sets[0], 0
	whole = true
	first.each(func(m []byte) bool {
		if looked++; budget > 0 && looked > budget {
			whole = false
			return false
		}
		for i := 1; i < len(sets); i++ {
			if o := &sets[i]; !o.same(first) && !o.has(m) {
				return true
			}
		}
		return emit(m)
	})
	return whole
}

func cmdSunion(c *Ctx) {
	c.combine(allSizes, unite)
}

func cmdSunionstore(c *Ctx) {
	c.combineStore("sunionstore", allSizes, func(sets []operand, into *members) bool {
		unite(sets, func(m []byte) bool { into.add(m); return true })
		return false
	})
}

// uniteByLookup is the number of sets up to which a member is looked up in the earlier ones rather than remembered.
const uniteByLookup = 4

// unite gives the members of all sets to emit, each once, until it returns false.
func unite(sets []operand, emit func(m []byte) bool) {
	var given map[string]struct{}
	if len(sets) > uniteByLookup {
		given = map[string]struct{}{}
	}
	for i, more := 0, true; i < len(sets) && more; i++ {
		sets[i].each(func(m []byte) bool {
			if given != nil {
				if _, again := given[string(m)]; again {
					return true
				}
				given[string(m)] = struct{}{}
			} else {
				for j := range i {
					if sets[j].has(m) {
						return true
					}
				}
			}
			more = emit(m)
			return more
		})
	}
}

func cmdSdiff(c *Ctx) {
	c.combine(firstSize, func(sets []operand, emit func(m []byte) bool) { subtract(sets, emit) })
}

func cmdSdiffstore(c *Ctx) {
	ints := c.Store.Config.SetMaxIntsetEntries
	c.combineStore("sdiffstore", firstSize, func(sets []operand, into *members) bool {
		noInts := subtract(sets, func(m []byte) bool { into.add(m); return true })
		return noInts || takesAway(sets) && sets[0].size() > ints
	})
}

// subtract gives the members of the first set that no other has to emit, until it returns false. noInts says that
// Redis would take members away from a copy of the first set, and that this would be no intset, for it has texts.
func subtract(sets []operand, emit func(m []byte) bool) (noInts bool) {
	first := &sets[0]
	for i := range sets {
		if !first.there || i > 0 && sets[i].same(first) {
			return false
		}
	}
	if takesAway(sets) {
		return subtractAll(sets, emit)
	}
	bySize(sets[1:], -1)
	first.each(func(m []byte) bool {
		for i := 1; i < len(sets); i++ {
			if sets[i].has(m) {
				return true
			}
		}
		return emit(m)
	})
	return false
}

// takesAway tells whether it is less work to go through all sets than to look every member of the first up in all
// others, as Redis reckons it.
func takesAway(sets []operand) bool {
	lookups, all := 0, 0
	for i := range sets {
		if sets[i].there {
			lookups += sets[0].size()
			all += sets[i].size()
		}
	}
	return lookups/2 > all
}

// subtractAll is subtract for many sets that are small beside the first: it remembers what they take away.
func subtractAll(sets []operand, emit func(m []byte) bool) (noInts bool) {
	first, gone := &sets[0], map[string]struct{}{}
	for i := range sets[1:] {
		sets[1+i].each(func(m []byte) bool {
			if first.has(m) {
				gone[string(m)] = struct{}{}
			}
			return true
		})
	}
	going, onlyInts := true, true
	first.each(func(m []byte) bool {
		if onlyInts {
			_, onlyInts = ParseInt(m)
		}
		if _, taken := gone[string(m)]; going && !taken {
			going = emit(m)
		}
		return going
	})
	return !onlyInts
}
