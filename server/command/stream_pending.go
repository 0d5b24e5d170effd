package command

import (
	"fmt"
	"math"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// pendingCall is a call of XPENDING with a range.
type pendingCall struct {
	minIdle    int64
	start, end store.StreamID
	count      int64
	consumer   []byte // nil: all
}

func cmdXpending(c *Ctx) {
	if n := len(c.Args); n != 3 && (n < 6 || n > 9) {
		c.Out.Error(errSyntax)
		return
	}
	var p pendingCall
	if len(c.Args) > 3 {
		var ok bool
		if p, ok = c.parsePending(); !ok {
			return
		}
	}
	s, found, ok := c.streamToRead(c.Args[1])
	if !ok {
		return
	}
	var g store.StreamGroup
	if found {
		g, found = s.Group(c.Args[2])
	}
	switch {
	case !found:
		c.noGroup(c.Args[1], c.Args[2])
	case len(c.Args) == 3:
		c.pendingSummary(&g)
	default:
		c.pendingRange(&g, &p)
	}
}

func (c *Ctx) parsePending() (p pendingCall, ok bool) {
	at := 3
	if c.is(3, "idle") {
		if p.minIdle, ok = c.intArg(4); !ok {
			return p, false
		}
		if len(c.Args) < 8 {
			c.Out.Error(errSyntax)
			return p, false
		}
		at = 5
	}
	if p.count, ok = c.intArg(at + 2); !ok {
		return p, false
	}
	p.count = max(p.count, 0)
	if p.start, ok = c.rangeStart(at); !ok {
		return p, false
	}
	if p.end, ok = c.rangeEnd(at + 1); !ok {
		return p, false
	}
	if at+3 < len(c.Args) {
		p.consumer = c.Args[at+3]
	}
	return p, true
}

func (c *Ctx) pendingSummary(g *store.StreamGroup) {
	c.Out.Array(4)
	c.Out.Int(int64(g.Len()))
	if g.Len() == 0 {
		c.Out.Null()
		c.Out.Null()
		c.Out.NullArray()
		return
	}
	g.Each(store.StreamID{}, 0, func(first store.StreamID, _ store.Pending) bool {
		c.streamID(first)
		return false
	})
	last, _ := g.Last()
	c.streamID(last)
	mark, n := c.Out.DeferArray(), 0
	g.EachConsumer(func(_ uint32, name string, _ int64, pending int) {
		if pending > 0 {
			c.Out.Array(2)
			c.Out.BulkString(name)
			c.Out.BulkInt(int64(pending))
			n++
		}
	})
	c.Out.SetArrayLen(mark, n)
}

func (c *Ctx) pendingRange(g *store.StreamGroup, p *pendingCall) {
	no := uint32(0)
	if p.consumer != nil {
		var ok bool
		if no, ok = g.Consumer(p.consumer); !ok {
			c.Out.Array(0)
			return
		}
	}
	if c.isLong(g.Len()) && (p.minIdle != 0 || p.count >= int64(c.longFrom())) && c.longPending(g, *p, no) {
		return
	}
	mark, n := c.Out.DeferArray(), int64(0)
	g.Each(p.start, no, func(id store.StreamID, e store.Pending) bool {
		if c.TooLong() {
			return false
		}
		return p.write(c.Out, id, e, g.ConsumerName(e.Consumer), c.Now, &n)
	})
	c.Out.SetArrayLen(mark, int(n))
}

// write replies with an entry when it is asked for, and counts it. It answers false when no more is.
func (p *pendingCall) write(w *resp.Writer, id store.StreamID, e store.Pending, consumer string, now int64, n *int64) bool {
	idle := now - e.Time
	switch {
	case *n >= p.count || id.Compare(p.end) > 0:
		return false
	case p.minIdle != 0 && idle < p.minIdle:
		return true
	}
	*n++
	w.Array(4)
	var room [41]byte
	w.Bulk(appendStreamID(room[:0], id))
	w.BulkString(consumer)
	w.Int(max(idle, 0))
	w.Int(int64(e.Count))
	return true
}

// longPending is pendingRange of a group with very many entries.
func (c *Ctx) longPending(g *store.StreamGroup, p pendingCall, no uint32) bool {
	return c.long(func() *Long {
		r, n, now := g.Reading(p.start, no), int64(0), c.Now
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: r.End}
		emit := func(id store.StreamID, e store.Pending, consumer string) bool {
			return p.write(l.Reply.Next(), id, e, consumer, now, &n)
		}
		l.Step = func() bool { return r.Step(longStep, emit) }
		l.Rest = func() { l.Reply.Head().Array(int(n)) }
		return l
	})
}

// claim is a call of XCLAIM or XAUTOCLAIM under way.
type claim struct {
	s        store.Stream
	entries  store.StreamFinder // of s
	g        store.StreamGroup
	key      []byte
	group    []byte
	name     []byte // of the consumer
	consumer uint32 // 0 until the first entry is claimed
	minIdle  int64
	now      int64 // entries are idle up to then
	time     int64 // of delivery
	retries  int64 // -1: not given
	force    bool
	justID   bool
	done     bool         // an XCLAIM has told replicas the group's last ID
	moves    *store.Moves // of a claim of several; nil: entries move at once
}

// findClaim finds stream and group; ok is false after an error reply.
func (c *Ctx) findClaim(cl *claim) (ok bool) {
	e, found := c.lookupCounted(c.Args[1])
	return c.openClaim(cl, e, found)
}

// openClaim is findClaim for a key that was looked up.
func (c *Ctx) openClaim(cl *claim, e store.Entry, found bool) (ok bool) {
	cl.key, cl.group, cl.name = c.Args[1], c.Args[2], c.Args[3]
	cl.retries, cl.now, cl.time = -1, c.Now, c.Now
	s, found, ok := c.streamOf(e, found)
	if !ok {
		return false
	}
	if found {
		s, _ = c.DB.StreamForWrite(cl.key)
	}
	if cl.s = s; found {
		cl.g, found = cl.s.Group(cl.group)
	}
	if !found {
		c.noGroup(cl.key, cl.group)
	}
	cl.entries = cl.s.Finder()
	return found
}

// intOption reads an integer, or replies with an error of its own text.
func (c *Ctx) intOption(i int, errText string) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok {
		c.Out.Error(errText)
	}
	return n, ok
}

func cmdXclaim(c *Ctx) {
	c.NoPropagate()
	var cl claim
	if !c.findClaim(&cl) {
		return
	}
	var ok bool
	if cl.minIdle, ok = c.intOption(4, "Invalid min-idle-time argument for XCLAIM"); !ok {
		return
	}
	var ids []store.StreamID
	i := 5
	for ; i < len(c.Args); i++ {
		id, ok := parseStreamID(c.Args[i], idForm{})
		if !ok {
			break
		}
		ids = append(ids, id.StreamID)
	}
	last, ok := c.claimOptions(&cl, i)
	if !ok {
		return
	}
	c.saw(&cl.g, cl.name)
	if c.longClaim(&cl, ids, last) {
		return
	}
	mark := c.Out.DeferArray()
	c.Out.SetArrayLen(mark, c.claimNamed(&cl, ids, c.Args[5:], last))
}

// claimNamed claims entries by their IDs, with their texts, replies with those that it may claim and returns their number. A
// greater last ID becomes the group's.
func (c *Ctx) claimNamed(cl *claim, ids []store.StreamID, texts [][]byte, last store.StreamID) (n int) {
	advanced := last.Compare(cl.g.LastID()) > 0
	if advanced {
		cl.g.Set(last, cl.g.Read())
	}
	cl.beginMoves(len(ids))
	for i, id := range ids {
		if c.claimOne(cl, id, texts[i]) {
			n++
		}
	}
	cl.endMoves()
	if advanced && !cl.done {
		c.propagateGroupID(&cl.g, cl.key, cl.group)
		c.Dirty(1)
	}
	return n
}

// claimOptions reads what follows XCLAIM's IDs.
func (c *Ctx) claimOptions(cl *claim, i int) (last store.StreamID, ok bool) {
	given := int64(-1)
	for ; i < len(c.Args); i++ {
		more := i+1 < len(c.Args)
		ok := true
		switch {
		case c.is(i, "force"):
			cl.force = true
		case c.is(i, "justid"):
			cl.justID = true
		case more && c.is(i, "idle"):
			i++
			given, ok = c.intOption(i, "Invalid IDLE option argument for XCLAIM")
			given = c.Now - given
		case more && c.is(i, "time"):
			i++
			given, ok = c.intOption(i, "Invalid TIME option argument for XCLAIM")
		case more && c.is(i, "retrycount"):
			i++
			cl.retries, ok = c.intOption(i, "Invalid RETRYCOUNT option argument for XCLAIM")
		case more && c.is(i, "lastid"):
			i++
			last, ok = c.streamIDArg(i)
		default:
			c.Out.Error(fmt.Sprintf("Unrecognized XCLAIM option '%s'", cText(c.Args[i])))
			ok = false
		}
		if !ok {
			return last, false
		}
	}
	if given >= 0 && given <= c.Now {
		cl.time = given // else somebody's clock is wrong: now is a sane choice
	}
	return last, true
}

// claimOne claims an entry, replies with it and answers true, unless it may not be claimed or is gone.
func (c *Ctx) claimOne(cl *claim, id store.StreamID, text []byte) bool {
	p, pending := cl.g.Find(id)
	if !cl.has(id) {
		if pending {
			c.claimGone(cl, id, text, p)
		}
		return false
	}
	switch {
	case !pending && !cl.force:
		return false
	case !pending:
		p = store.Pending{Count: 1}
	case cl.minIdle > 0 && cl.now-p.Time < cl.minIdle:
		return false
	}
	c.takeOver(cl, id, text, p)
	return true
}

// beginMoves readies for a claim of n entries.
func (cl *claim) beginMoves(n int) {
	if n > 1 {
		cl.moves = &store.Moves{}
	}
}

func (cl *claim) endMoves() {
	if cl.moves != nil {
		cl.g.End(cl.moves)
		cl.moves = nil
	}
}

// claimGone forgets an entry that is pending but deleted.
func (c *Ctx) claimGone(cl *claim, id store.StreamID, text []byte, p store.Pending) {
	c.propagateClaim(&cl.g, cl.key, cl.group, text, p)
	cl.done = true
	cl.g.Ack(id)
	c.Dirty(1)
}

// takeOver makes a pending entry the consumer's and replies with it.
func (c *Ctx) takeOver(cl *claim, id store.StreamID, text []byte, p store.Pending) {
	if cl.consumer == 0 {
		cl.consumer, _ = c.consumer(&cl.g, cl.key, cl.name)
	}
	p.Time, p.Consumer = cl.time, cl.consumer
	switch {
	case cl.retries >= 0:
		p.Count = uint64(cl.retries)
	case !cl.justID:
		p.Count++
	}
	if cl.moves != nil {
		cl.g.AssignLater(cl.moves, id, p)
	} else {
		cl.g.Assign(id, p)
	}
	cl.g.Served(cl.consumer, c.Now)
	if cl.justID {
		c.streamID(id)
	} else if entry, there := cl.entries.Find(id); there {
		c.streamEntry(id, entry)
	}
	c.propagateClaim(&cl.g, cl.key, cl.group, text, p)
	cl.done = true
	c.Dirty(1)
}

// Limits of XAUTOCLAIM: entries looked at for each that is asked for, the greatest COUNT, and the greatest that the
// memory for its reply is believed to be there for.
const (
	claimAttempts  = 10
	maxClaimCount  = math.MaxInt64 / 16
	saneClaimCount = 1 << 42
)

func cmdXautoclaim(c *Ctx) {
	c.NoPropagate()
	e, found := c.lookupCounted(c.Args[1])
	minIdle, ok := c.intOption(4, "Invalid min-idle-time argument for XAUTOCLAIM")
	if !ok {
		return
	}
	start, ok := c.rangeStart(5)
	if !ok {
		return
	}
	cl, count := claim{}, int64(100)
	justID := false
	for i := 6; i < len(c.Args); i++ {
		switch {
		case c.is(i, "count") && i+1 < len(c.Args):
			i++
			if count, ok = c.intOption(i, "COUNT must be > 0"); !ok {
				return
			}
			if count < 1 || count > maxClaimCount {
				c.Out.Error("COUNT must be > 0")
				return
			}
		case c.is(i, "justid"):
			justID = true
		default:
			c.Out.Error(errSyntax)
			return
		}
	}
	if !c.openClaim(&cl, e, found) {
		return
	}
	if count > saneClaimCount {
		c.Out.Error("Insufficient memory, failed allocating transient memory, COUNT too high.")
		return
	}
	cl.minIdle, cl.justID = minIdle, justID
	c.saw(&cl.g, cl.name)
	if c.longAutoclaim(&cl, start, count) {
		return
	}
	ids, next, _ := c.claimable(&cl, start, count, count*claimAttempts)
	c.Out.Array(3)
	c.streamID(next)
	mark := c.Out.DeferArray()
	n, gone := c.claimAll(&cl, ids)
	c.Out.SetArrayLen(mark, n)
	c.Out.Array(len(gone))
	for _, id := range gone {
		c.streamID(id)
	}
}

// claimAll claims pending entries and replies with them, and forgets and returns those that are deleted.
func (c *Ctx) claimAll(cl *claim, ids []store.StreamID) (n int, gone []store.StreamID) {
	cl.beginMoves(len(ids))
	for _, id := range ids {
		p, _ := cl.g.Find(id)
		if cl.has(id) {
			c.takeOver(cl, id, idText(id), p)
			n++
		} else {
			c.claimGone(cl, id, idText(id), p)
			gone = append(gone, id)
		}
	}
	cl.endMoves()
	return n, gone
}

// has tells whether an entry is there.
func (cl *claim) has(id store.StreamID) bool {
	_, there := cl.entries.Find(id)
	return there
}

// claimable lists up to count pending entries from an ID on that may be claimed or are deleted, looking at some, and where to
// go on, 0-0 at the end, with what is left of the attempts.
func (c *Ctx) claimable(cl *claim, start store.StreamID, count, attempts int64) (ids []store.StreamID, next store.StreamID, left int64) {
	cl.g.Each(start, 0, func(id store.StreamID, p store.Pending) bool {
		if attempts == 0 || count == 0 {
			next = id
			return false
		}
		attempts--
		if cl.minIdle > 0 && c.Now-p.Time < cl.minIdle && cl.has(id) {
			return true
		}
		ids = append(ids, id)
		count--
		return true
	})
	return ids, next, attempts
}
