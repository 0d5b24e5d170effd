package command

import (
	"slices"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// sortSteps is the number of items between two looks at the clock.
const sortSteps = 16

// longSortBy is SORT with BY or GET: it copies the value, looks up what orders the items, orders them without the lock, then
// looks up what is asked for, all as of the instant at which it began.
func (c *Ctx) longSortBy(o sortOptions, e store.Entry) bool {
	args := make([][]byte, len(c.Args))
	for i := range args {
		args[i] = append([]byte{}, c.Args[i]...)
	}
	again := &Ctx{Cmd: c.Cmd, Args: args, Store: c.Store, DB: c.DB, DBIndex: c.DBIndex, Now: c.Now, Conf: c.Conf, Client: c.Client, Replica: true, NoBlocking: true}
	proto := c.Out.Proto()
	return c.long(func() *Long {
		r := &sortRun{o: o, again: again, proto: proto, items: make([]sortItem, 0, e.Size())}
		r.o.by = append([]byte(nil), o.by...)
		r.o.gets = nil
		for _, g := range o.gets {
			r.o.gets = append(r.o.gets, append([]byte{}, g...))
		}
		if o.by == nil {
			r.o.by = nil
		}
		if !r.copy(c, e) {
			return nil
		}
		r.past = c.newPast(append(slices.Clone(r.o.gets), r.o.by))
		r.l = &Long{Reply: resp.NewPieces(proto), Step: r.step, End: r.end, Between: r.between}
		return r.l
	})
}

// sortRun is one such SORT.
type sortRun struct {
	o       sortOptions
	l       *Long
	again   *Ctx // to do all of it in one hold
	proto   int
	items   []sortItem
	copies  func() (done bool) // a step of copying the value
	copyEnd func()
	copied  bool
	inOrder bool // the copy is what LIMIT and DESC leave
	past    *past
	at      int
	noScore bool
	ordered bool
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
		got := &copied{}
		r.inOrder, r.copyEnd = true, reading.End
		r.copies = func() bool {
			return reading.Step(longStep, func(member []byte, _ float64) {
				r.items = append(r.items, sortItem{element: got.keep(member)})
			})
		}
		return true
	}
	r.copies, r.copyEnd = cutSteps(c.copyElements(e, &r.items))
	return true
}

func (r *sortRun) end() {
	r.copyEnd()
	r.past.cut.End()
}

func (r *sortRun) step() (done bool) {
	switch {
	case !r.past.whole():
		r.l.Between = nil
		r.l.Reply.Drop()
		r.l.Reply = resp.NewPieces(r.proto)
		r.again.Out = r.l.Reply.Head()
		r.again.sort(false)
		return true
	case !r.copied:
		r.copied = r.copies()
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
		r.noScore = !r.o.weigh(&r.items[r.at], r.past.follow) || r.noScore
		r.at++
	}
	return false
}

// between needs no lock.
func (r *sortRun) between() {
	r.ordered, r.at = true, 0
	switch {
	case r.noScore:
		r.items = nil
		r.l.Reply.Head().Error(errNoScore)
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
	r.l.Reply.Head().Array(len(r.items) * max(len(r.o.gets), 1))
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
			r.l.Reply.Next().Bulk(element)
		}
		for _, pattern := range r.o.gets {
			if v, found := r.past.follow(pattern, element); found {
				r.l.Reply.Next().Bulk(v)
			} else {
				r.l.Reply.Next().Null()
			}
		}
	}
	return false
}
