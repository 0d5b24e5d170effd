package command

import (
	"math"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

const (
	errOutOfRange  = "index out of range"
	errNotPositive = "value is out of range, must be positive"
)

var (
	verbLPop      = []byte("LPOP")
	verbRPop      = []byte("RPOP")
	verbLMove     = []byte("LMOVE")
	verbRPopLPush = []byte("RPOPLPUSH")
	wordLeft      = []byte("left")
	wordRight     = []byte("right")
)

// isList checks the kind of a value that was found, or replies with an error.
func (c *Ctx) isList(e store.Entry) bool {
	if e.Kind() == store.ListKind {
		return true
	}
	c.Out.Error(errWrongType)
	return false
}

// listToRead finds a list. found is false for a missing key; ok is false after an error reply.
func (c *Ctx) listToRead(key []byte) (l store.List, found, ok bool) {
	e, found := c.LookupRead(key)
	if !found {
		return l, false, true
	}
	if !c.isList(e) {
		return l, true, false
	}
	return e.List(), true, true
}

// listToChange makes l a list that is there already; see listToRead.
func (c *Ctx) listToChange(key []byte, l *store.List) (found, ok bool) {
	e, found := c.LookupWrite(key)
	if !found {
		return false, true
	}
	if !c.isList(e) {
		return true, false
	}
	l.ForWriteMet(c.DB, key)
	return true, true
}

// element replies with an element of a list.
func (c *Ctx) element(e store.Elem) { writeElement(c.Out, e) }

func writeElement(w *resp.Writer, e store.Elem) {
	if n, ok := e.Int(); ok {
		w.BulkInt(n)
		return
	}
	b := e.Bytes(nil)
	if len(b) >= blobFrom {
		if blob := e.Blob(); blob != nil {
			w.BulkRef(resp.Blob(blob))
			return
		}
	}
	w.Bulk(b)
}

func cmdLpush(c *Ctx)  { c.push(true, false) }
func cmdRpush(c *Ctx)  { c.push(false, false) }
func cmdLpushx(c *Ctx) { c.push(true, true) }
func cmdRpushx(c *Ctx) { c.push(false, true) }

func (c *Ctx) push(head, onlyExisting bool) {
	key := c.Args[1]
	e, found := c.LookupWrite(key)
	if found && !c.isList(e) {
		return
	}
	if !found && onlyExisting {
		c.Out.Int(0)
		return
	}
	var l store.List
	if found && len(c.Args) == 3 {
		l.ForWriteMet(c.DB, key)
	} else {
		l.Draft(c.DB, key)
	}
	l.PushAll(head, c.Args[2:])
	l.Store()
	c.born(found, key)
	c.Out.Int(int64(l.Len()))
	c.touched(EventList, pushEvent(head), key)
	c.Dirty(len(c.Args) - 3)
}

func pushEvent(head bool) string {
	if head {
		return "lpush"
	}
	return "rpush"
}

func popEvent(head bool) string {
	if head {
		return "lpop"
	}
	return "rpop"
}

func cmdLpop(c *Ctx) { c.popCommand(true) }
func cmdRpop(c *Ctx) { c.popCommand(false) }

func (c *Ctx) popCommand(head bool) {
	if len(c.Args) > 3 {
		c.Out.Error(c.Cmd.ArityError())
		return
	}
	count, several := int64(1), len(c.Args) == 3
	if several {
		n, ok := ParseInt(c.Args[2])
		if !ok || n < 0 {
			c.Out.Error(errNotPositive)
			return
		}
		count = n
	}
	key := c.Args[1]
	var l store.List
	found, ok := c.listToChange(key, &l)
	switch {
	case !ok:
		return
	case !found && several:
		c.Out.NullArray()
		return
	case !found:
		c.Out.Null()
		return
	case count == 0:
		c.Out.Array(0)
		return
	}
	n := int(min(count, int64(l.Len())))
	if c.longPop(&l, c.Args[1:2], head, n) {
		return
	}
	if several {
		c.Out.Array(n)
	}
	c.take(&l, key, head, n)
	c.tookFrom(&l, key, head)
	c.Modified(key)
	c.Dirty(n)
}

// take replies with n elements from an end and removes them.
func (c *Ctx) take(l *store.List, key []byte, head bool, n int) {
	from, left := 0, n
	if !head {
		from = l.Len() - 1
	}
	if t := c.takenFrom(key); t != nil {
		t.reply.MoveTo(c.Out)
		left = 0
	} else if n == 1 && c.takeOne(l, head) {
		return
	}
	l.Each(from, !head, func(e store.Elem) bool {
		if left > 0 {
			c.element(e)
			left--
		}
		return left > 0
	})
	if !head {
		from = l.Len() - n
	}
	l.Remove(from, n)
}

// takeOne is take for one element that can be had without looking for it.
func (c *Ctx) takeOne(l *store.List, head bool) bool {
	text, n, ok := l.Pop(head)
	switch {
	case !ok:
		return false
	case text == nil:
		c.Out.BulkInt(n)
	default:
		c.Out.Bulk(text)
	}
	return true
}

// tookFrom announces what take did, and deletes the key with its last element.
func (c *Ctx) tookFrom(l *store.List, key []byte, head bool) {
	c.Notify(EventList, popEvent(head), key)
	c.dropEmpty(l, key)
}

func (c *Ctx) dropEmpty(l *store.List, key []byte) {
	if l.Len() == 0 {
		c.DB.Delete(key)
		c.Notify(EventGeneric, "del", key)
	}
}

func cmdLlen(c *Ctx) {
	l, found, ok := c.listToRead(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Int(0)
	default:
		c.Out.Int(int64(l.Len()))
	}
}

// position turns an index, negative from the end, into a position of a list of n elements.
func position(index int64, n int) (pos int, ok bool) {
	if index < 0 {
		index += int64(n)
	}
	return int(index), index >= 0 && index < int64(n)
}

func cmdLindex(c *Ctx) {
	l, found, ok := c.listToRead(c.Args[1])
	if !ok {
		return
	}
	if !found {
		c.Out.Null()
		return
	}
	index, ok := c.intArg(2)
	if !ok {
		return
	}
	if pos, ok := position(index, l.Len()); ok {
		c.element(l.At(pos))
	} else {
		c.Out.Null()
	}
}

func cmdLset(c *Ctx) {
	key := c.Args[1]
	var l store.List
	found, ok := c.listToChange(key, &l)
	if !ok {
		return
	}
	if !found {
		c.Out.Error(errNoKey)
		return
	}
	index, ok := c.intArg(2)
	if !ok {
		return
	}
	pos, ok := position(index, l.Len())
	if !ok {
		c.Out.Error(errOutOfRange)
		return
	}
	l.Set(pos, c.Args[3])
	c.Out.OK()
	c.touched(EventList, "lset", key)
}

func cmdLinsert(c *Ctx) {
	after := c.is(2, "after")
	if !after && !c.is(2, "before") {
		c.Out.Error(errSyntax)
		return
	}
	key := c.Args[1]
	var l store.List
	found, ok := c.listToChange(key, &l)
	if !ok {
		return
	}
	if !found {
		c.Out.Int(0)
		return
	}
	if c.longLinsert(&l) {
		return
	}
	pos, there := c.pivot(&l, key)
	if !there {
		c.Out.Int(-1)
		return
	}
	if after {
		pos++
	}
	l.Insert(pos, c.Args[4])
	c.touched(EventList, "linsert", key)
	c.Out.Int(int64(l.Len()))
}

// pivot is the position of LINSERT's pivot.
func (c *Ctx) pivot(l *store.List, key []byte) (pos int, there bool) {
	if t := c.takenFrom(key); t != nil {
		if len(t.at) == 0 {
			return 0, false
		}
		return t.at[0], true
	}
	pivot := store.NeedleOf(c.Args[3])
	l.Each(0, false, func(e store.Elem) bool {
		if there = e.Is(&pivot); !there {
			pos++
		}
		return !there
	})
	return pos, there
}

// listSpan cuts a range of indices, negative ones from the end, to a list of n elements.
func listSpan(start, stop int64, n int) (from, count int) {
	if start < 0 {
		start = max(start+int64(n), 0)
	}
	if stop < 0 {
		stop += int64(n)
	}
	stop = min(stop, int64(n)-1)
	if start > stop {
		return 0, 0
	}
	return int(start), int(stop - start + 1)
}

func (c *Ctx) rangeArgs() (start, stop int64, ok bool) {
	if start, ok = c.intArg(2); ok {
		stop, ok = c.intArg(3)
	}
	return start, stop, ok
}

func cmdLrange(c *Ctx) {
	start, stop, ok := c.rangeArgs()
	if !ok {
		return
	}
	e, found := c.LookupRead(c.Args[1])
	if !found {
		c.Out.Array(0)
		return
	}
	if !c.isList(e) {
		return
	}
	l := e.List()
	from, n := listSpan(start, stop, l.Len())
	if c.isLong(min(n, e.Size())) && c.longList(e, from, n) {
		return
	}
	c.Out.Array(n)
	if n == 0 {
		return
	}
	l.EachRun(from, func(r store.Run) bool {
		for ; n > 0 && !c.TooLong(); n-- {
			if text, ok := r.Text(); ok {
				c.Out.Bulk(text)
			} else if e, ok := r.Next(); ok {
				c.element(e)
			} else {
				return true
			}
		}
		return false
	})
}

func cmdLtrim(c *Ctx) {
	start, stop, ok := c.rangeArgs()
	if !ok {
		return
	}
	key := c.Args[1]
	var l store.List
	found, ok := c.listToChange(key, &l)
	if !ok {
		return
	}
	if !found {
		c.Out.OK()
		return
	}
	all := l.Len()
	from, n := listSpan(start, stop, all)
	if n == 0 {
		from = all
	}
	l.Remove(from+n, all-from-n)
	l.Remove(0, from)
	c.Notify(EventList, "ltrim", key)
	c.dropEmpty(&l, key)
	c.Modified(key)
	c.Dirty(all - n)
	c.Out.OK()
}

func cmdLrem(c *Ctx) {
	count, ok := c.intArg(2)
	if !ok {
		return
	}
	key := c.Args[1]
	var l store.List
	found, ok := c.listToChange(key, &l)
	if !ok {
		return
	}
	if !found {
		c.Out.Int(0)
		return
	}
	back := count < 0
	if back {
		count = max(-count, 0)
		if count == 0 { // the negative of the smallest number is no number
			count = math.MaxInt64
		}
	}
	if c.longLrem(&l, int(count), back) {
		return
	}
	var removed int
	if t := c.takenFrom(key); t != nil {
		removed = c.removeTaken(&l, key, t)
	} else {
		removed = l.RemoveEqual(c.Args[3], int(count), back)
	}
	if removed > 0 {
		c.Modified(key)
		c.Notify(EventList, "lrem", key)
		c.dropEmpty(&l, key)
		c.Dirty(removed)
	}
	c.Out.Int(int64(removed))
}

// lposOptions are those of LPOS.
type lposOptions struct {
	rank   int64 // 1 is the first match, -1 the last
	count  int64 // -1: not given; 0: all
	maxLen int64 // 0: no limit
}

func (c *Ctx) lposOptions() (o lposOptions, ok bool) {
	o = lposOptions{rank: 1, count: -1}
	for i := 3; i < len(c.Args); i += 2 {
		more := i+1 < len(c.Args)
		switch {
		case more && c.is(i, "rank"):
			if o.rank, ok = c.intArg(i + 1); !ok {
				return o, false
			}
			if o.rank == 0 {
				c.Out.Error("RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
				return o, false
			}
		case more && c.is(i, "count"):
			if o.count, ok = ParseInt(c.Args[i+1]); !ok || o.count < 0 {
				c.Out.Error("COUNT can't be negative")
				return o, false
			}
		case more && c.is(i, "maxlen"):
			if o.maxLen, ok = ParseInt(c.Args[i+1]); !ok || o.maxLen < 0 {
				c.Out.Error("MAXLEN can't be negative")
				return o, false
			}
		default:
			c.Out.Error(errSyntax)
			return o, false
		}
	}
	return o, true
}

func cmdLpos(c *Ctx) {
	o, ok := c.lposOptions()
	if !ok {
		return
	}
	l, found, ok := c.listToRead(c.Args[1])
	switch {
	case !ok:
		return
	case !found && o.count >= 0:
		c.Out.Array(0)
		return
	case !found:
		c.Out.Null()
		return
	}
	if far := o.count != -1 || !c.nearby(&l, c.Args[2], int(max(o.rank, -o.rank)), o.rank < 0); far {
		if e, _ := c.DB.Peek(c.Args[1]); c.longLpos(e, &o) {
			return
		}
	}
	if o.count < 0 {
		at := -1
		c.matches(&l, &o, func(pos int) bool { at = pos; return false })
		if at < 0 {
			c.Out.Null()
		} else {
			c.Out.Int(int64(at))
		}
		return
	}
	mark, n := c.Out.DeferArray(), 0
	c.matches(&l, &o, func(pos int) bool {
		c.Out.Int(int64(pos))
		n++
		return o.count == 0 || int64(n) < o.count
	})
	c.Out.SetArrayLen(mark, n)
}

// matches calls fn for the positions that LPOS seeks, from the rank on, until it returns false.
func (c *Ctx) matches(l *store.List, o *lposOptions, fn func(pos int) bool) {
	needle, pos, step, rank := store.NeedleOf(c.Args[2]), 0, 1, o.rank
	if rank < 0 {
		pos, step, rank = l.Len()-1, -1, -rank
	}
	looked, found := int64(0), int64(0)
	l.Each(pos, step < 0, func(e store.Elem) bool {
		if o.maxLen > 0 && looked == o.maxLen {
			return false
		}
		looked++
		if e.Is(&needle) {
			if found++; found >= rank && !fn(pos) {
				return false
			}
		}
		pos += step
		return true
	})
}
