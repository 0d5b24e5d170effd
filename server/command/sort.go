package command

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/understudy-db/understudy/server/store"
)

const errNoScore = "One or more scores can't be converted into double"

// sortOptions are the options of SORT and SORT_RO.
type sortOptions struct {
	desc, alpha  bool
	start, count int64
	by           []byte   // pattern of the keys whose values order the elements; nil: the elements themselves
	asIs         bool     // BY without "*": the order is the value's own
	gets         [][]byte // patterns of what is returned for each element; none: the elements themselves
	store        []byte   // nil: reply
}

// alone tells that the value's elements are all that is looked at.
func (o *sortOptions) alone() bool { return o.by == nil && !o.asIs && len(o.gets) == 0 }

func cmdSort(c *Ctx) { c.sort(true) }

func cmdSortRo(c *Ctx) { c.sort(false) }

func (c *Ctx) parseSort(mayStore bool) (o sortOptions, ok bool) {
	o.count = -1
	for i := 2; i < len(c.Args); i++ {
		left := len(c.Args) - i - 1
		switch {
		case c.is(i, "asc"):
			o.desc = false
		case c.is(i, "desc"):
			o.desc = true
		case c.is(i, "alpha"):
			o.alpha = true
		case c.is(i, "limit") && left >= 2:
			if o.start, ok = c.intArg(i + 1); !ok {
				return o, false
			}
			if o.count, ok = c.intArg(i + 2); !ok {
				return o, false
			}
			i += 2
		case mayStore && c.is(i, "store") && left >= 1:
			i++
			o.store = c.Args[i]
		case c.is(i, "by") && left >= 1:
			i++
			o.by = c.Args[i]
			o.asIs = o.asIs || bytes.IndexByte(o.by, '*') < 0
			if bytes.IndexByte(o.by, '*') >= 0 && !c.readsAll() {
				c.Out.Error("BY option of SORT denied due to insufficient ACL permissions.")
				return o, false
			}
		case c.is(i, "get") && left >= 1:
			i++
			o.gets = append(o.gets, c.Args[i])
			if !c.readsAll() {
				c.Out.Error("GET option of SORT denied due to insufficient ACL permissions.")
				return o, false
			}
		default:
			c.Out.Error(errSyntax)
			return o, false
		}
	}
	return o, true
}

// readsAll tells whether the caller may read the keys that patterns lead to.
func (c *Ctx) readsAll() bool { return c.Client == nil || c.Client.ReadsAll(c.Cmd, c.Args) }

// sortItem is an element with what orders it.
type sortItem struct {
	element []byte
	score   float64
	by      []byte
	found   bool // by was found
}

func (c *Ctx) sort(mayStore bool) {
	o, ok := c.parseSort(mayStore)
	if !ok {
		return
	}
	e, found := c.sortLookup(c.Args[1])
	if found && e.Kind() != store.ListKind && e.Kind() != store.SetKind && e.Kind() != store.ZSetKind {
		c.Out.Error(errWrongType)
		return
	}
	if script := c.NoBlocking; o.asIs && (o.store != nil || script) && found && e.Kind() == store.SetKind {
		o.asIs, o.alpha, o.by = false, true, nil // a set has no order of its own that a replica would share
	}
	switch m := c.made; {
	case m != nil && m.noScore:
		c.Out.Error(errNoScore)
		return
	case m != nil && m.list != nil:
		c.storeList(o.store, m.list)
		return
	}
	if found && c.isLong(o.reach(e)) && c.sortsLong(o, e) {
		return
	}
	var items []sortItem
	if found {
		items = o.load(e)
	}
	if !o.asIs {
		if !o.order(items, c.follow) {
			c.Out.Error(errNoScore)
			return
		}
		start, end := o.window(len(items))
		items = items[start:end]
	}
	if o.store != nil {
		c.sortStore(&o, items)
		return
	}
	c.Out.Array(len(items) * max(len(o.gets), 1))
	c.sorted(&o, items, func(v []byte, found bool) {
		if found {
			c.Out.Bulk(v)
		} else {
			c.Out.Null()
		}
	})
}

// sortsLong tells that the command goes on after its handler.
func (c *Ctx) sortsLong(o sortOptions, e store.Entry) bool {
	switch {
	case o.store == nil && o.alone():
		return c.longSort(o, e)
	case o.store == nil:
		return c.longSortBy(o, e)
	case o.alone():
		return c.longSortStore(o, e)
	}
	return c.longSortStoreBy(o, e)
}

// reach is the number of elements of a big value that are looked at.
func (o *sortOptions) reach(e store.Entry) int {
	if !o.asIs || e.Size() == 0 {
		return e.Size()
	}
	start, end := o.window(e.Size())
	return end - start
}

// sortLookup is LookupRead; SORT is a command that writes, so it deletes what has expired.
func (c *Ctx) sortLookup(key []byte) (store.Entry, bool) {
	if c.Cmd.IsWrite() {
		return c.lookupCounted(key)
	}
	return c.LookupRead(key)
}

// window is the part of n elements that LIMIT leaves.
func (o *sortOptions) window(n int) (start, end int) {
	start = int(min(max(o.start, 0), int64(n)))
	if o.count < 0 {
		return start, n
	}
	return start, start + int(min(o.count, int64(n-start)))
}

// load copies the elements: all of them, or those that LIMIT leaves when the order is the value's own.
func (o *sortOptions) load(e store.Entry) []sortItem {
	var text []byte
	var items []sortItem
	add := func(v []byte) {
		from := len(text)
		text = append(text, v...) // what was cut from an earlier array stays valid
		items = append(items, sortItem{element: text[from:len(text):len(text)]})
	}
	back := o.asIs && o.desc
	switch e.Kind() {
	case store.SetKind:
		s := e.Set()
		s.Each(func(m []byte) bool { add(m); return true })
		if o.asIs {
			start, end := o.window(len(items))
			items = items[start:end]
		}
	case store.ListKind:
		l := e.List()
		var scratch [24]byte
		if from, n := o.span(l.Len()); n > 0 {
			l.Each(from, back, func(x store.Elem) bool {
				add(x.Bytes(scratch[:0]))
				return len(items) < n
			})
		}
	case store.ZSetKind:
		z := e.ZSet()
		if from, n := o.span(z.Len()); n > 0 {
			z.Range(from, n, back, func(m []byte, _ float64) bool { add(m); return true })
		}
	}
	return items
}

// span is where to begin in an ordered value of n elements, and how many to take: from the end backwards with DESC.
func (o *sortOptions) span(n int) (from, take int) {
	if !o.asIs {
		return 0, n
	}
	start, end := o.window(n)
	if o.desc {
		return n - 1 - start, end - start
	}
	return start, end - start
}

// order sorts all items; false when one has no number to sort by.
func (o *sortOptions) order(items []sortItem, follow func(pattern, element []byte) ([]byte, bool)) bool {
	numbers := true
	for i := range items {
		numbers = o.weigh(&items[i], follow) && numbers
	}
	if numbers {
		o.arrange(items)
	}
	return numbers
}

// weigh finds out what orders an item; false when that is no number, and has to be.
func (o *sortOptions) weigh(it *sortItem, follow func(pattern, element []byte) ([]byte, bool)) (ok bool) {
	by, found := it.element, true
	if o.by != nil {
		by, found = follow(o.by, it.element)
	}
	switch {
	case !found:
	case !o.alpha:
		it.score, ok = sortScore(by)
		return ok
	case o.by != nil:
		it.by, it.found = bytes.Clone(by), true
	}
	return true
}

// sortKey stands for an item while it is ordered: sorting moves it a score of times.
type sortKey struct {
	score float64
	at    int // of the item
}

// arrange puts items that were weighed into order; those that nothing tells apart stay in theirs.
func (o *sortOptions) arrange(items []sortItem) {
	keys := make([]sortKey, len(items))
	for i := range items {
		keys[i] = sortKey{items[i].score, i}
	}
	slices.SortFunc(keys, func(a, b sortKey) int {
		n := cmp.Compare(a.score, b.score)
		if n == 0 {
			n = o.compare(&items[a.at], &items[b.at])
		}
		if o.desc {
			n = -n
		}
		return cmp.Or(n, a.at-b.at)
	})
	permute(items, keys)
}

// permute moves each item to where its key is. The keys are no good afterwards.
func permute(items []sortItem, keys []sortKey) {
	for i := range keys {
		first := items[i]
		to := i
		for from := keys[to].at; from != i; from = keys[to].at {
			items[to] = items[from]
			keys[to].at = to
			to = from
		}
		items[to] = first
		keys[to].at = to
	}
}

// compare tells which of two items of equal scores comes first.
func (o *sortOptions) compare(a, b *sortItem) int {
	switch {
	case !o.alpha, o.by == nil:
		return bytes.Compare(a.element, b.element)
	case !a.found || !b.found:
		return int(boolInt(a.found) - boolInt(b.found))
	}
	return bytes.Compare(a.by, b.by)
}

// follow looks up what a pattern leads to from an element: "#" is the element itself, the first "*" stands for it in
// a key, and what follows "->" behind that names a field of a hash. The bytes are valid until the next write.
func (c *Ctx) follow(pattern, element []byte) (value []byte, found bool) {
	if string(pattern) == "#" {
		return element, true
	}
	key, field, ok := leadsTo(pattern, element)
	if !ok {
		return nil, false
	}
	e, found := c.sortLookup(key)
	switch {
	case !found:
		return nil, false
	case field == nil && e.Kind() == store.String:
		return c.bytes(e), true
	case field != nil && e.Kind() == store.HashKind:
		h := e.Hash()
		return h.Get(field)
	}
	return nil, false
}

// leadsTo is the key, and perhaps the field, to which a pattern leads from an element.
func leadsTo(pattern, element []byte) (key, field []byte, ok bool) {
	before, after, field, ok := splitPattern(pattern)
	if !ok {
		return nil, nil, false
	}
	return slices.Concat(before, element, after), field, true
}

// splitPattern parts a pattern in what stands in a key before and behind an element, and a field.
func splitPattern(pattern []byte) (before, after, field []byte, ok bool) {
	if before, after, ok = bytes.Cut(pattern, []byte("*")); !ok {
		return nil, nil, nil, false
	}
	if i := bytes.Index(after, []byte("->")); i >= 0 && i+2 < len(after) {
		after, field = after[:i], after[i+2:]
	}
	return before, after, field, true
}

// sorted gives what is asked for of each item to emit.
func (c *Ctx) sorted(o *sortOptions, items []sortItem, emit func(v []byte, found bool)) {
	for i := range items {
		if len(o.gets) == 0 {
			emit(items[i].element, true)
		}
		for _, pattern := range o.gets {
			emit(c.follow(pattern, items[i].element))
		}
	}
}

// sortStore makes the result a list; what was not found is an empty string there.
func (c *Ctx) sortStore(o *sortOptions, items []sortItem) {
	var result members
	c.sorted(o, items, func(v []byte, _ bool) { result.add(v) })
	c.storeList(o.store, &result)
}

// storeList makes a list of elements, perhaps the one that was made of them before.
func (c *Ctx) storeList(key []byte, result *members) {
	c.Out.Int(int64(result.n))
	if result.n == 0 {
		if c.DB.Delete(key) {
			c.touched(EventGeneric, "del", key)
		}
		return
	}
	_, found := c.LookupWrite(key)
	if !c.attach(key) {
		c.DB.Delete(key)
		l, _ := c.DB.ListForWrite(key)
		result.each(func(v []byte) { l.Push(false, v) })
	}
	c.born(found, key)
	c.touched(EventList, "sortstore", key)
	c.Dirty(result.n - 1)
}

// sortScore reads a number as strtod does on a C string; an empty string is 0 to it, NaN and what a double cannot hold
// in full precision are errors.
func sortScore(s []byte) (float64, bool) {
	if i := bytes.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	if len(s) == 0 {
		return 0, true
	}
	if n, ok := ParseInt(s); ok && -1<<53 < n && n < 1<<53 {
		return float64(n), true
	}
	v, fits, ok := scanDouble(bytes.TrimLeft(s, " \t\n\v\f\r"))
	return v, ok && fits && (v == 0 || math.Abs(v) >= 0x1p-1022)
}
