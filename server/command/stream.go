package command

import (
	"strconv"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// streamToRead finds a stream. found is false for a missing key; ok is false after an error reply.
func (c *Ctx) streamToRead(key []byte) (s store.Stream, found, ok bool) {
	e, found := c.LookupRead(key)
	return c.streamOf(e, found)
}

// streamCounted is streamToRead for commands that write: they find the key as writes do, and count it as reads do.
func (c *Ctx) streamCounted(key []byte) (s store.Stream, found, ok bool) {
	e, found := c.lookupCounted(key)
	if s, found, ok = c.streamOf(e, found); found && ok {
		s, _ = c.DB.StreamForWrite(key)
	}
	return s, found, ok
}

// streamToWrite finds a stream for writing.
func (c *Ctx) streamToWrite(key []byte) (s store.Stream, found, ok bool) {
	e, found := c.LookupWrite(key)
	if s, found, ok = c.streamOf(e, found); found && ok {
		s, _ = c.DB.StreamForWrite(key)
	}
	return s, found, ok
}

func (c *Ctx) streamOf(e store.Entry, there bool) (s store.Stream, found, ok bool) {
	switch {
	case !there:
		return s, false, true
	case e.Kind() != store.StreamKind:
		c.Out.Error(errWrongType)
		return s, true, false
	}
	return e.Stream(), true, true
}

// newStream makes an empty stream at a key that is free.
func (c *Ctx) newStream(key []byte) store.Stream {
	s, _ := c.DB.StreamForWrite(key)
	c.born(false, key)
	return s
}

// trimming is what XADD and XTRIM take alike.
type trimming struct {
	store.StreamTrim
	by    trimKind
	at    int // the threshold's argument
	limit bool
}

type trimKind uint8

const (
	noTrim trimKind = iota
	byMaxLen
	byMinID
)

// addArgs are XADD's arguments up to the ID.
type addArgs struct {
	trimming
	noCreate bool
	id       parsedID
	idGiven  bool // else "*"
	next     int  // the ID's argument
}

// parseAdd reads the options of XADD or, with add false, of XTRIM; ok is false after an error reply.
func (c *Ctx) parseAdd(add bool) (a addArgs, ok bool) {
	i := 2
options:
	for ; i < len(c.Args); i++ {
		more := i+1 < len(c.Args)
		switch {
		case add && string(c.Args[i]) == "*":
			break options
		case more && c.is(i, "maxlen"):
			i, ok = c.parseThreshold(i, byMaxLen, &a.trimming)
		case more && c.is(i, "minid"):
			i, ok = c.parseThreshold(i, byMinID, &a.trimming)
		case more && c.is(i, "limit"):
			i++
			if a.Limit, ok = c.intArg(i); ok && a.Limit < 0 {
				c.Out.Error("The LIMIT argument must be >= 0.")
				ok = false
			}
			a.limit = true
		case add && c.is(i, "nomkstream"):
			a.noCreate, ok = true, true
		case add:
			if a.id, ok = parseStreamID(c.Args[i], idForm{auto: true}); !ok {
				c.Out.Error(errStreamID)
				return a, false
			}
			a.idGiven = true
			break options
		default:
			c.Out.Error(errSyntax)
			return a, false
		}
		if !ok {
			return a, false
		}
	}
	a.next = i
	return a, c.finishTrim(&a.trimming, add)
}

// parseThreshold reads [=|~] and the threshold behind MAXLEN or MINID.
func (c *Ctx) parseThreshold(i int, by trimKind, t *trimming) (at int, ok bool) {
	if t.by != noTrim {
		c.Out.Error("syntax error, MAXLEN and MINID options at the same time are not compatible")
		return i, false
	}
	t.Whole = false
	i++
	if op := string(c.Args[i]); i+1 < len(c.Args) && (op == "~" || op == "=") {
		t.Whole = op == "~"
		i++
	}
	t.by, t.at = by, i
	if by == byMinID {
		id, ok := c.streamIDArg(i)
		t.MinID = &id
		return i, ok
	}
	n, ok := c.intArg(i)
	if ok && n < 0 {
		c.Out.Error("The MAXLEN argument must be >= 0.")
		return i, false
	}
	t.MaxLen = uint64(n)
	return i, ok
}

// finishTrim checks how the options go together and sets the limit of approximate trimming.
func (c *Ctx) finishTrim(t *trimming, add bool) bool {
	switch {
	case t.Limit != 0 && t.by == noTrim:
		c.Out.Error("syntax error, LIMIT cannot be used without specifying a trimming strategy")
		return false
	case !add && t.by == noTrim:
		c.Out.Error("syntax error, XTRIM must be called with a trimming strategy")
		return false
	case c.FromMaster: // the threshold is the result of the master's trimming
		t.Limit = 0
	case t.limit && !t.Whole:
		c.Out.Error("syntax error, LIMIT cannot be used without the special ~ option")
		return false
	case !t.limit && t.Whole:
		t.Limit = 100 * c.Store.Config.StreamNodeMaxEntries
		if t.Limit <= 0 {
			t.Limit = 10000
		}
		t.Limit = min(t.Limit, 1000000)
	}
	return true
}

// exact makes the arguments of a trimming say what came of it.
func (t *trimming) exact(args [][]byte, s *store.Stream) [][]byte {
	args = append([][]byte(nil), args...)
	args[t.at-1] = []byte("=")
	if t.by == byMaxLen {
		args[t.at] = strconv.AppendInt(nil, int64(s.Len()), 10)
		return args
	}
	first, found := s.Edge(true, false)
	if !found {
		first = store.MaxStreamID
	}
	args[t.at] = idText(first)
	return args
}

// canonical gives rewritten arguments the command's own name, when clients call it by another.
func (c *Ctx) canonical(args [][]byte) [][]byte {
	if c.Cmd.renamed() {
		args[0] = c.Cmd.canonicalBytes
	}
	return args
}

// maxEntryBytes is what the fields of an entry may have together.
const maxEntryBytes = 1 << 30

func cmdXadd(c *Ctx) {
	a, ok := c.parseAdd(true)
	if !ok {
		return
	}
	key, first := c.Args[1], a.next+1
	switch n := len(c.Args) - first; {
	case n < 2 || n%2 == 1:
		c.Out.Error(c.Cmd.ArityError())
		return
	case a.idGiven && !a.id.auto && a.id.IsZero():
		c.Out.Error("The ID specified in XADD must be greater than 0-0")
		return
	}
	s, found, ok := c.streamToWrite(key)
	if !ok {
		return
	}
	if !found && a.noCreate {
		c.Out.Null()
		return
	}
	var last store.StreamID
	if found {
		last = s.LastID()
	}
	id, ok := c.nextStreamID(last, &a, c.Args[first:])
	if !ok {
		return
	}
	if !found {
		s = c.newStream(key)
	}
	s.Append(id, c.Args[first:])
	c.streamID(id)
	c.touched(EventStream, "xadd", key)
	args := c.Args
	if a.by != noTrim {
		if s.Trim(&a.StreamTrim) > 0 {
			c.Notify(EventStream, "xtrim", key)
		}
		if a.Whole && !c.Unheard {
			args = a.exact(args, &s)
		}
	}
	exact := a.idGiven && !a.id.auto
	if c.Unheard || exact && !a.Whole {
		return
	}
	if !exact {
		args = append([][]byte(nil), args...)
		args[a.next] = idText(id)
	}
	c.Propagate(c.canonical(args)...)
}

// nextStreamID is the ID of the entry that XADD adds; ok is false after an error reply.
func (c *Ctx) nextStreamID(last store.StreamID, a *addArgs, fields [][]byte) (id store.StreamID, ok bool) {
	if last == store.MaxStreamID {
		c.Out.Error("The stream has exhausted the last possible ID, unable to add more items")
		return id, false
	}
	id = a.id.StreamID
	switch {
	case !a.idGiven:
		if id = (store.StreamID{Ms: uint64(c.Now)}); id.Ms <= last.Ms {
			id, _ = last.Next()
		}
	case a.id.auto && id.Ms == last.Ms:
		id, _ = last.Next()
		if id.Ms != last.Ms {
			id = last // no number is left in this millisecond
		}
	}
	if id.Compare(last) <= 0 {
		c.Out.Error("The ID specified in XADD is equal or smaller than the target stream top item")
		return id, false
	}
	total := 0
	for _, f := range fields {
		total += len(f)
	}
	if total > maxEntryBytes {
		c.Out.Error("Elements are too large to be stored")
		return id, false
	}
	return id, true
}

func cmdXtrim(c *Ctx) {
	key := c.Args[1]
	a, ok := c.parseAdd(false)
	if !ok {
		return
	}
	s, found, ok := c.streamToWrite(key)
	if !ok {
		return
	}
	if !found {
		c.Out.Int(0)
		return
	}
	n := s.Trim(&a.StreamTrim)
	if n > 0 {
		c.touched(EventStream, "xtrim", key)
		if a.Whole && !c.Unheard {
			c.Propagate(c.canonical(a.exact(c.Args, &s))...)
		}
		c.Dirty(int(n) - 1)
	}
	c.Out.Int(n)
}

func cmdXlen(c *Ctx) {
	s, found, ok := c.streamToRead(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Int(0)
	default:
		c.Out.Int(int64(s.Len()))
	}
}

func cmdXrange(c *Ctx) { c.xrange(2, 3, false) }

func cmdXrevrange(c *Ctx) { c.xrange(3, 2, true) }

func (c *Ctx) xrange(startArg, endArg int, reverse bool) {
	start, ok := c.rangeStart(startArg)
	if !ok {
		return
	}
	end, ok := c.rangeEnd(endArg)
	if !ok {
		return
	}
	count := int64(-1)
	for i := 4; i < len(c.Args); i += 2 {
		if !c.is(i, "count") || i+1 == len(c.Args) {
			c.Out.Error(errSyntax)
			return
		}
		if count, ok = c.intArg(i + 1); !ok {
			return
		}
		count = max(count, 0)
	}
	s, found, ok := c.streamToRead(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Array(0)
	case count == 0:
		c.Out.NullArray()
	case c.isLong(streamReach(&s, count)) && c.longXRange(s, start, end, reverse, count):
	default:
		c.entries(s.Range(start, end, reverse), count)
	}
}

// streamReach is the number of entries that a range may have at most.
func streamReach(s *store.Stream, count int64) int {
	if count > 0 {
		return int(min(count, int64(s.Len())))
	}
	return s.Len()
}

// entries replies with at most count entries, all when count is not positive.
func (c *Ctx) entries(r store.StreamRange, count int64) {
	mark, n := c.Out.DeferArray(), int64(0)
	for ; (count <= 0 || n < count) && !c.TooLong(); n++ {
		id, ok := r.Next()
		if !ok {
			break
		}
		c.streamEntry(id, &r)
	}
	c.Out.SetArrayLen(mark, int(n))
}

// streamEntry replies with an entry: its ID and its fields.
func (c *Ctx) streamEntry(id store.StreamID, r *store.StreamRange) { writeStreamEntry(c.Out, id, r) }

func writeStreamEntry(w *resp.Writer, id store.StreamID, r *store.StreamRange) {
	var room [41]byte
	w.Array(2)
	w.Bulk(appendStreamID(room[:0], id))
	w.Array(2 * r.Fields())
	r.Each(func(name, value *listpack.Value) {
		streamText(w, name)
		streamText(w, value)
	})
}

// streamText replies with an element of a listpack.
func streamText(w *resp.Writer, v *listpack.Value) {
	if v.IsInt {
		w.BulkInt(v.Int)
	} else {
		w.Bulk(v.Str)
	}
}

// oneEntry replies with an entry, or with nothing and false when there is none.
func (c *Ctx) oneEntry(s *store.Stream, id store.StreamID) bool {
	r := s.Range(id, id, false)
	_, ok := r.Next()
	if ok {
		c.streamEntry(id, &r)
	}
	return ok
}

func cmdXdel(c *Ctx) {
	key := c.Args[1]
	s, found, ok := c.streamToWrite(key)
	if !ok {
		return
	}
	if !found {
		c.Out.Int(0)
		return
	}
	ids, ok := c.streamIDArgs(2, len(c.Args))
	if !ok {
		return
	}
	first, last := s.FirstID(), store.StreamID{}
	firstGone := false
	deleted := s.DeleteAll(store.SortIDs(ids), func(id store.StreamID) {
		firstGone, last = firstGone || id == first, id
	})
	if deleted > 0 {
		if last.Compare(s.MaxDeletedID()) > 0 {
			s.SetMaxDeletedID(last)
		}
		if firstGone || s.Len() == 0 {
			s.FixFirstID()
		}
		c.touched(EventStream, "xdel", key)
		c.Dirty(deleted - 1)
	}
	c.Out.Int(int64(deleted))
}

func cmdXsetid(c *Ctx) {
	id, ok := c.streamIDArg(2)
	if !ok {
		return
	}
	added, deleted := int64(-1), store.StreamID{}
	for i := 3; i < len(c.Args); i += 2 {
		more := i+1 < len(c.Args)
		switch {
		case more && c.is(i, "entriesadded"):
			if added, ok = c.intArg(i + 1); ok && added < 0 {
				c.Out.Error("entries_added must be positive")
				return
			}
		case more && c.is(i, "maxdeletedid"):
			if deleted, ok = c.streamIDArg(i + 1); ok && id.Compare(deleted) < 0 {
				c.Out.Error("The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
				return
			}
		default:
			c.Out.Error(errSyntax)
			return
		}
		if !ok {
			return
		}
	}
	s, found, ok := c.streamToWrite(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Error(errNoKey)
	default:
		c.xsetid(&s, id, deleted, added)
	}
}

func (c *Ctx) xsetid(s *store.Stream, id, deleted store.StreamID, added int64) {
	if s.Len() > 0 {
		top, _ := s.Edge(false, true)
		switch {
		case id.Compare(top) < 0:
			c.Out.Error("The ID specified in XSETID is smaller than the target stream top item")
			return
		case added != -1 && int64(s.Len()) > added:
			c.Out.Error("The entries_added specified in XSETID is smaller than the target stream length")
			return
		}
	}
	if deleted.IsZero() {
		deleted = s.MaxDeletedID()
	}
	if added == -1 {
		added = int64(s.Added())
	}
	s.SetCounters(id, deleted, uint64(added))
	c.Out.OK()
	c.Dirty(1)
	c.Notify(EventStream, "xsetid", c.Args[1])
}
