package command

import (
	"slices"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// sortSteps is the number of items between two looks at the clock.
const sortSteps = 16

// sortSource is where a long SORT looks up what orders its items and what is asked for of them.
type sortSource interface {
	// ready is called before the first lookup, under the lock.
	ready()
	// whole tells whether what was found so far is still of one instant.
	whole() bool
	follow(pattern, element []byte) (value []byte, found bool)
	end()
}

// sortRun is a SORT with BY or GET that goes on: it copies the value, looks up what orders the items, orders them without the
// lock, then looks up what is asked for.
type sortRun struct {
	o       sortOptions
	l       *Long
	from    sortSource
	got     *copied
	items   []sortItem
	copies  func() (done bool) // a step of copying the value
	copyEnd func()
	copied  bool
	isReady bool
	inOrder bool // the copy is what LIMIT and DESC leave
	at      int
	noScore bool
	ordered bool

	collected func() // the items are there; needs no lock
	header    func(n int)
	put       func(v []byte, found bool)
	fail      func() // one has no number to sort by
	torn      func()
}

// newSortRun begins to copy a value; nil when that is not worth it. Its last four functions, and from, must be set.
func (c *Ctx) newSortRun(o sortOptions, e store.Entry) *sortRun {
	r := &sortRun{o: o, l: &Long{Reply: resp.NewPieces(c.Out.Proto())}, got: &copied{}}
	r.o.by = slices.Clone(o.by)
	r.o.gets = nil
	for _, g := range o.gets {
		r.o.gets = append(r.o.gets, append([]byte{}, g...))
	}
	if !r.copy(c, e) {
		return nil
	}
	r.l.Step, r.l.End, r.l.Between = r.step, r.end, r.collect
	return r
}

// copy begins to copy the value. In its own order a sorted set is read by place; a set has none, and of a list all is copied.
func (r *sortRun) copy(c *Ctx, e store.Entry) (ok bool) {
	if r.o.asIs && e.Kind() == store.ZSetKind {
		z := e.ZSet()
		from, n := r.o.span(z.Len())
		reading := z.Reading(from, n, r.o.desc)
		if reading == nil {
			return false
		}
		r.inOrder, r.copyEnd = true, reading.End
		r.copies = func() bool { return reading.Step(longStep, r.got.add) }
		return true
	}
	r.copies, r.copyEnd = cutSteps(c.copyElements(e, r.got))
	return true
}

func (r *sortRun) end() {
	r.copyEnd()
	r.from.end()
}

func (r *sortRun) step() (done bool) {
	switch {
	case !r.from.whole():
		r.l.Between = nil
		r.torn()
		return true
	case !r.copied:
		r.copied = r.copies()
		return r.copied
	case !r.isReady:
		r.isReady = true
		r.from.ready()
		return false
	case r.ordered:
		return r.get()
	case r.o.asIs:
		return true
	}
	for range sortSteps {
		if r.at == len(r.items) {
			return true
		}
		r.noScore = !r.o.weigh(&r.items[r.at], r.from.follow) || r.noScore
		r.at++
	}
	return false
}

// collect needs no lock, nor does arrange.
func (r *sortRun) collect() {
	r.items = itemsOf(r.got)
	if r.collected != nil {
		r.collected()
	}
	r.l.Between = r.arrange
}

func (r *sortRun) arrange() {
	r.ordered, r.at = true, 0
	switch {
	case r.noScore:
		r.items = nil
		r.fail()
		return
	case !r.o.asIs:
		r.o.arrange(r.items)
	case r.o.desc && !r.inOrder:
		slices.Reverse(r.items)
	}
	if !r.inOrder {
		start, end := r.o.window(len(r.items))
		r.items = r.items[start:end]
	}
	r.header(len(r.items) * max(len(r.o.gets), 1))
}

// get looks up what is asked for of some items.
func (r *sortRun) get() (done bool) {
	for range sortSteps {
		if r.at == len(r.items) {
			return true
		}
		element := r.items[r.at].element
		r.at++
		if len(r.o.gets) == 0 {
			r.put(element, true)
		}
		for _, pattern := range r.o.gets {
			r.put(r.from.follow(pattern, element))
		}
	}
	return false
}

// longSortBy replies with what was at the instant at which it began.
func (c *Ctx) longSortBy(o sortOptions, e store.Entry) bool {
	return c.long(func() *Long {
		r := c.newSortRun(o, e)
		if r == nil {
			return nil
		}
		again := &Ctx{Cmd: c.Cmd, Args: c.Args, Store: c.Store, DB: c.DB, DBIndex: c.DBIndex, Now: c.Now, Conf: c.Conf, Client: c.Client, Replica: true, NoBlocking: true}
		r.from = c.newPast(append(slices.Clone(r.o.gets), r.o.by))
		r.header = func(n int) { r.l.Reply.Head().Array(n) }
		r.fail = func() { r.l.Reply.Head().Error(errNoScore) }
		r.put = func(v []byte, found bool) {
			if found {
				r.l.Reply.Next().Bulk(v)
			} else {
				r.l.Reply.Next().Null()
			}
		}
		r.torn = func() { // all of it in one hold
			r.l.Reply.Drop()
			r.l.Reply = resp.NewPieces(r.l.Reply.Proto())
			again.Out = r.l.Reply.Head()
			again.sort(false)
		}
		return r.l
	})
}

// longSortStoreBy makes a list of what is, and is of no use when something that it looked at changes.
func (c *Ctx) longSortStoreBy(o sortOptions, e store.Entry) bool {
	return c.longMade(o.store, c.Args[1:2], func(m *Made) *Long {
		r := c.newSortRun(o, e)
		if r == nil {
			return nil
		}
		k := c.newLooked(append(slices.Clone(r.o.gets), r.o.by))
		list := &copied{}
		r.from, m.looked = k, k
		r.collected = func() { k.expect(r.items) }
		r.header, r.torn = func(int) {}, func() {}
		r.fail = func() { m.noScore = true }
		r.put = func(v []byte, _ bool) { list.add(v, 0) } // what was not found is an empty string there
		r.l.Rest = func() {
			if !k.whole() || m.noScore {
				return // to be done, or said, in the last hold
			}
			m.list = &members{}
			list.each(func(v []byte, _ float64) bool {
				m.list.add(v)
				return true
			})
		}
		return r.l
	})
}
