package command

import (
	"fmt"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// readCall is a call of XREAD or XREADGROUP.
type readCall struct {
	block   bool
	timeout int64 // milliseconds
	count   int64
	noAck   bool
	group   int // the group's argument, the consumer's follows it; 0 for XREAD
	first   int // the first key's argument
	n       int // keys
	ids     []store.StreamID
	fresh   []bool   // XREADGROUP: ">"
	fed     []uint64 // while it waits: Stream.Fed when the key was last looked at
}

func cmdXread(c *Ctx) { c.xread(false) }

func cmdXreadgroup(c *Ctx) { c.xread(true) }

func (c *Ctx) xread(grouped bool) {
	c.NoPropagate() // what is delivered propagates itself
	r, ok := c.parseRead(grouped)
	if !ok || !c.readIDs(r) {
		return
	}
	if r.group == 0 && c.longXread(r) || r.group != 0 && c.longReadgroup(r) {
		return
	}
	mark, served := c.Out.DeferArray(), 0
	for i := range r.n {
		if c.readStream(r, i) {
			served++
		}
	}
	switch {
	case served > 0 && c.Out.Proto() == 2:
		c.Out.SetArrayLen(mark, served)
	case served > 0:
		c.Out.SetMapLen(mark, served)
	case !r.block || !c.blockRead(r):
		c.Out.NullArray()
	}
}

// parseRead reads the arguments up to the IDs; ok is false after an error reply.
func (c *Ctx) parseRead(grouped bool) (r *readCall, ok bool) {
	r = &readCall{}
	for i := 1; i < len(c.Args) && r.first == 0; i++ {
		more := len(c.Args) - i - 1
		switch {
		case more > 0 && c.is(i, "block"):
			if c.NoBlocking {
				c.Out.Error(cText(c.Args[0]) + " command is not allowed with BLOCK option from scripts")
				return r, false
			}
			i++
			r.block = true
			if r.timeout, ok = c.millisecondsArg(i); !ok {
				return r, false
			}
		case more > 0 && c.is(i, "count"):
			i++
			if r.count, ok = c.intArg(i); !ok {
				return r, false
			}
			r.count = max(r.count, 0)
		case more > 0 && c.is(i, "streams"):
			r.first, r.n = i+1, more/2
			if more%2 == 1 {
				c.Out.Error("Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")
				return r, false
			}
		case more > 1 && c.is(i, "group"):
			if !c.onlyGrouped(grouped, "GROUP") {
				return r, false
			}
			r.group = i + 1
			i += 2
		case c.is(i, "noack"):
			if !c.onlyGrouped(grouped, "NOACK") {
				return r, false
			}
			r.noAck = true
		default:
			c.Out.Error(errSyntax)
			return r, false
		}
	}
	switch {
	case r.first == 0:
		c.Out.Error(errSyntax)
		return r, false
	case grouped && r.group == 0:
		c.Out.Error("Missing GROUP option for XREADGROUP")
		return r, false
	}
	return r, true
}

func (c *Ctx) onlyGrouped(grouped bool, option string) bool {
	if !grouped {
		c.Out.Error("The " + option + " option is only supported by XREADGROUP. You called XREAD instead.")
	}
	return grouped
}

// readIDs reads the IDs and checks streams and groups; it answers false after an error reply.
func (c *Ctx) readIDs(r *readCall) bool {
	r.ids, r.fresh = make([]store.StreamID, r.n), make([]bool, r.n)
	for i := range r.n {
		key, arg := c.Args[r.first+i], r.first+r.n+i
		s, found, ok := c.readable(r, key)
		if !ok {
			return false
		}
		if r.group != 0 {
			if found {
				_, found = s.Group(c.Args[r.group])
			}
			if !found {
				c.Out.Error(fmt.Sprintf("-NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option",
					cText(key), cText(c.Args[r.group])))
				return false
			}
		}
		switch string(c.Args[arg]) {
		case "$":
			if r.group != 0 {
				c.Out.Error("The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.")
				return false
			}
			if found {
				r.ids[i] = s.LastID()
			}
		case ">":
			if r.group == 0 {
				c.Out.Error("The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
				return false
			}
			r.fresh[i] = true
		default:
			if r.ids[i], ok = c.streamIDArg(arg); !ok {
				return false
			}
			r.fresh[i] = r.group != 0 && r.ids[i] == store.MaxStreamID
		}
	}
	return true
}

// readable finds a stream, for writing when there is a group.
func (c *Ctx) readable(r *readCall, key []byte) (s store.Stream, found, ok bool) {
	if r.group != 0 {
		return c.streamCounted(key)
	}
	return c.streamToRead(key)
}

// readStream replies with what stream i has for the client and answers false when that is nothing.
func (c *Ctx) readStream(r *readCall, i int) bool {
	key := c.Args[r.first+i]
	s, found, ok := c.readable(r, key)
	if !found || !ok {
		return false
	}
	if r.group != 0 {
		g, _ := s.Group(c.Args[r.group])
		return c.readGroup(r, i, &s, &g)
	}
	top, ok := s.Edge(false, true)
	if !ok || top.Compare(r.ids[i]) <= 0 {
		return false
	}
	beginStream(c.Out, key)
	from, _ := r.ids[i].Next()
	c.entries(s.Range(from, store.MaxStreamID, false), r.count)
	return true
}

// streamRead is a stream's part in a long XREAD.
type streamRead struct {
	key     []byte
	reading *store.StreamReading
	reply   *resp.Pieces
	n       int64
}

// readAtOnce is how many entries of a stream take no longer to read than it takes to hold the stream so that they can be read later.
const readAtOnce = 4

// longXread is xread of streams that have very many entries to give.
func (c *Ctx) longXread(r *readCall) bool {
	if 0 < r.count && r.count <= readAtOnce {
		return false
	}
	var streams []store.Stream
	var places []int
	reach := 0
	for i := range r.n {
		e, found := c.DB.Peek(c.Args[r.first+i])
		if !found || e.Kind() != store.StreamKind || c.hides(e) {
			continue
		}
		s := e.Stream()
		if top, ok := s.Edge(false, true); ok && top.Compare(r.ids[i]) > 0 {
			streams, places, reach = append(streams, s), append(places, i), reach+streamReach(&s, r.count)
		}
	}
	if !c.isLong(reach) || reach <= readAtOnce*len(streams) {
		return false
	}
	began := c.long(func() *Long {
		var reads []*streamRead
		for j, i := range places {
			from, _ := r.ids[i].Next()
			reads = append(reads, &streamRead{
				key: append([]byte{}, c.Args[r.first+i]...), reading: streams[j].Reading(from, store.MaxStreamID, false),
				reply: resp.NewPieces(c.Out.Proto()),
			})
		}
		return longStreams(reads, r.count, c.ReplyLimit, c.Out.Proto())
	})
	for i := 0; began && i < r.n; i++ { // they are looked up for their entries, after their IDs
		c.readable(r, c.Args[r.first+i])
	}
	return began
}

// longStreams gives at most count entries of each stream, all when count is 0.
func longStreams(reads []*streamRead, count, limit int64, proto int) *Long {
	l, at, size := &Long{Reply: resp.NewPieces(proto)}, 0, int64(0)
	l.Step = func() bool {
		s := reads[at]
		done := s.reading.Step(longStep, func(id store.StreamID, entry *store.StreamRange) bool {
			writeStreamEntry(s.reply.Next(), id, entry)
			s.n++
			return s.n != count
		})
		if done {
			at, size = at+1, size+s.reply.Len()
		}
		return at == len(reads) || limit > 0 && size+s.reply.Len() >= limit
	}
	l.End = func() {
		for _, s := range reads {
			s.reading.End()
		}
	}
	l.Rest = func() {
		beginStreams(l.Reply.Head(), len(reads))
		for _, s := range reads {
			beginStream(s.reply.Head(), s.key)
			s.reply.Head().Array(int(s.n))
			l.Reply.Join(s.reply)
		}
	}
	return l
}

// beginStream begins a stream's part of the reply: its name, which its entries follow.
func beginStream(w *resp.Writer, key []byte) {
	if w.Proto() == 2 {
		w.Array(2)
	}
	w.Bulk(key)
}

// beginStreams begins the reply with the parts of n streams.
func beginStreams(w *resp.Writer, n int) {
	if w.Proto() == 2 {
		w.Array(n)
	} else {
		w.Map(n)
	}
}

// readGroup is readStream for a group; a consumer that gets nothing is not made.
func (c *Ctx) readGroup(r *readCall, i int, s *store.Stream, g *store.StreamGroup) bool {
	key := c.Args[r.first+i]
	if r.fresh[i] && !hasFresh(s, g) {
		c.saw(g, c.Args[r.group+1])
		return false
	}
	no := c.reader(r, g, key)
	beginStream(c.Out, key)
	if r.fresh[i] {
		c.deliver(r, s, g, no, key)
	} else {
		c.history(r, s, g, no, r.ids[i])
	}
	c.Dirty(1)
	return true
}

// hasFresh tells whether a stream has entries that a group has not seen.
func hasFresh(s *store.Stream, g *store.StreamGroup) bool {
	top, ok := s.Edge(false, true)
	return ok && top.Compare(g.LastID()) > 0
}

// reader is the consumer that reads, made if need be.
func (c *Ctx) reader(r *readCall, g *store.StreamGroup, key []byte) (no uint32) {
	no, created := c.consumer(g, key, c.Args[r.group+1])
	if created && r.noAck {
		c.Propagate(verbXGroup, wordCreateCons, key, c.Args[r.group], c.Args[r.group+1])
	}
	return no
}

// history replies with entries that are pending for a consumer already, those that were deleted since included.
func (c *Ctx) history(r *readCall, s *store.Stream, g *store.StreamGroup, no uint32, behind store.StreamID) {
	ids := pendingBehind(g, no, behind, r.count)
	c.Out.Array(len(ids))
	c.showAgain(s, g, ids)
}

// pendingBehind lists IDs that are pending for a consumer: at most count, all with 0.
func pendingBehind(g *store.StreamGroup, no uint32, behind store.StreamID, count int64) (ids []store.StreamID) {
	from, ok := behind.Next()
	if ok {
		g.Each(from, no, func(id store.StreamID, _ store.Pending) bool {
			ids = append(ids, id)
			return count == 0 || int64(len(ids)) < count
		})
	}
	return ids
}

// showAgain replies with pending entries once more.
func (c *Ctx) showAgain(s *store.Stream, g *store.StreamGroup, ids []store.StreamID) {
	entries := s.Finder()
	for _, id := range ids {
		entry, there := entries.Find(id)
		if !there {
			c.Out.Array(2)
			c.streamID(id)
			c.Out.NullArray()
			continue
		}
		c.streamEntry(id, entry)
		p, _ := g.Find(id)
		p.Time = c.Now
		p.Count++
		g.Assign(id, p)
	}
}

// deliver replies with entries that the group has not seen, which become pending for the consumer unless NOACK is set.
func (c *Ctx) deliver(r *readCall, s *store.Stream, g *store.StreamGroup, no uint32, key []byte) {
	mark := c.Out.DeferArray()
	n := c.deliverUpTo(store.MaxStreamID, r.count, r, s, g, no, key)
	c.Out.SetArrayLen(mark, int(n))
}

// deliverUpTo replies with the entries up to an ID, at most count of them, all with 0.
func (c *Ctx) deliverUpTo(top store.StreamID, count int64, r *readCall, s *store.Stream, g *store.StreamGroup, no uint32, key []byte) (n int64) {
	from, _ := g.LastID().Next()
	for it := s.Range(from, top, false); count == 0 || n < count; n++ {
		id, ok := it.Next()
		if !ok {
			break
		}
		read := g.Read()
		if read != -1 && !s.HasTombstones(id) {
			read++
		} else if s.Added() > 0 {
			read = s.EntriesBefore(id)
		}
		g.Set(id, read)
		c.streamEntry(id, &it)
		if !r.noAck {
			p := store.Pending{Time: c.Now, Count: 1, Consumer: no}
			g.Assign(id, p)
			c.propagateClaim(g, key, c.Args[r.group], idText(id), p)
		}
	}
	if n > 0 {
		if !r.noAck {
			g.Served(no, c.Now)
		}
		c.propagateGroupID(g, key, c.Args[r.group])
	}
	return n
}

// blockedCount is how many entries a client that waited gets when it did not say.
const blockedCount = 1000

// blockRead lets the client wait for entries; false where nothing may wait.
func (c *Ctx) blockRead(r *readCall) bool {
	if r.count == 0 {
		r.count = blockedCount
	}
	r.fed = make([]uint64, r.n)
	for i := range r.n {
		if e, ok := c.DB.Peek(c.Args[r.first+i]); ok && e.Kind() == store.StreamKind {
			s := e.Stream()
			r.fed[i] = s.Fed()
		}
	}
	return c.Block(Wait{
		Keys: c.Args[r.first : r.first+r.n], Kind: "stream", Timeout: r.timeout, Bereft: r.group != 0,
		Expired: func(out *resp.Writer) { out.NullArray() },
		Serve:   func(c *Ctx, key []byte) bool { return c.serveRead(r, key) },
	})
}

// serveRead serves a client that waits, when a key has changed.
func (c *Ctx) serveRead(r *readCall, key []byte) bool {
	c.NoPropagate()
	i := 0
	for string(c.Args[r.first+i]) != string(key) {
		i++
	}
	e, found := c.LookupWrite(key)
	if !found || e.Kind() != store.StreamKind {
		if r.group != 0 {
			c.Out.Error("-UNBLOCKED the stream key no longer exists")
		}
		return r.group != 0
	}
	s, _ := c.DB.StreamForWrite(key)
	after := r.ids[i]
	var g store.StreamGroup
	if r.group != 0 {
		if g, found = s.Group(c.Args[r.group]); !found {
			c.Out.Error("-NOGROUP the consumer group this client was blocked on no longer exists")
			return true
		}
		after = g.LastID()
	}
	fed := s.Fed()
	if fed == r.fed[i] || s.LastID().Compare(after) <= 0 { // other changes than entries added serve nobody
		r.fed[i] = fed
		return false
	}
	beginStreams(c.Out, 1)
	if r.group == 0 {
		beginStream(c.Out, key)
		from, _ := after.Next()
		c.entries(s.Range(from, store.MaxStreamID, false), r.count)
		return true
	}
	no := c.reader(r, &g, key)
	beginStream(c.Out, key)
	c.deliver(r, &s, &g, no, key)
	c.Dirty(1)
	return true
}
