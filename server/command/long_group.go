package command

import (
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Reading and claiming of very many entries of a consumer group happens in pieces (Long.Piece): as if the client asked for
// some at a time. Every entry is somebody's at any instant, and is in one consumer's reply; what others do in between with
// entries that are not delivered yet is what they would have done between two commands. To make all of them pending at one
// instant would mean to begin anew whenever another consumer acknowledges something.

const (
	// groupCost is how many elements that are read take the time of an entry that becomes pending.
	groupCost = 8
	// groupStep is the number of entries of a piece, fewer when they have many bytes.
	groupStep  = 64
	claimLooks = 8 * groupStep // entries that a piece looks at to find those that may be claimed
)

// manyPending tells whether n entries are worth pieces.
func (c *Ctx) manyPending(n int) bool { return n > 0 && c.isLong(n*groupCost) }

// groupRead is a XREADGROUP in pieces.
type groupRead struct {
	*readCall
	l       *Long
	streams []groupPart
	at      int
}

// groupPart is a stream's part in it.
type groupPart struct {
	reply  *resp.Pieces // nil: it has nothing for the client
	n      int64
	top    store.StreamID // the last one when the command, or the history, began: what comes later is for the next
	behind store.StreamID // of the history: what was shown last
}

// longReadgroup is xread of a group that has very many entries to give.
func (c *Ctx) longReadgroup(r *readCall) bool {
	reach, most := 0, c.longFrom()
	parts := make([]groupPart, r.n)
	for i := range parts {
		s, g, ok := c.peekGroup(c.Args[r.first+i], c.Args[r.group])
		if !ok || c.Env == nil || c.NoBlocking {
			return false
		}
		n := 0
		if p := &parts[i]; !r.fresh[i] {
			p.behind = r.ids[i]
			if no, there := g.Consumer(c.Args[r.group+1]); there {
				n = g.PendingOf(no)
			}
		} else if p.top = s.LastID(); hasFresh(s, &g) {
			n = s.Ahead(g.LastID(), most)
		}
		if r.count > 0 {
			n = int(min(r.count, int64(n)))
		}
		reach += n
	}
	if !c.manyPending(reach) {
		return false
	}
	began := c.long(func() *Long {
		g := &groupRead{readCall: r, streams: parts, l: &Long{Reply: resp.NewPieces(c.Out.Proto()), End: func() {}}}
		g.l.Piece = g.piece
		return g.l
	})
	for i := 0; began && i < r.n; i++ { // they are looked up for their entries, after their IDs
		c.Hits++
	}
	return began
}

// peekGroup finds a group without counting that, nor saying what is wrong.
func (c *Ctx) peekGroup(key, group []byte) (s *store.Stream, g store.StreamGroup, ok bool) {
	e, found := c.LookupWrite(key)
	if !found || e.Kind() != store.StreamKind {
		return nil, g, false
	}
	stream, _ := c.DB.StreamForWrite(key)
	g, ok = stream.Group(group)
	return &stream, g, ok
}

// piece is Long.Piece.
func (g *groupRead) piece(c *Ctx) (done bool) {
	if !g.stream(c, g.at, &g.streams[g.at]) {
		return false
	}
	if g.at++; g.at < g.n {
		return false
	}
	served := 0
	for _, p := range g.streams {
		if p.reply != nil {
			served++
		}
	}
	if served == 0 {
		g.l.Reply.Head().NullArray()
		return true
	}
	beginStreams(g.l.Reply.Head(), served)
	for i, p := range g.streams {
		if p.reply != nil {
			beginStream(p.reply.Head(), c.Args[g.first+i])
			p.reply.Head().Array(int(p.n))
			g.l.Reply.Join(p.reply)
		}
	}
	return true
}

// stream does some of what a stream has to give, and answers true when that was all. A stream or a group that has gone
// meanwhile has given what it had.
func (g *groupRead) stream(c *Ctx, i int, p *groupPart) (done bool) {
	c.NoPropagate() // what is delivered propagates itself
	key := c.Args[g.first+i]
	s, group, ok := c.peekGroup(key, c.Args[g.group])
	if !ok || g.fresh[i] && (!hasFresh(s, &group) || group.LastID().Compare(p.top) >= 0) {
		return true
	}
	no := c.reader(g.readCall, &group, key)
	c.Dirty(1)
	if p.reply == nil {
		p.reply = resp.NewPieces(c.Out.Proto())
		if !g.fresh[i] {
			p.top, _ = group.Last()
		}
	}
	most, out := int64(groupStep), c.Out
	if g.count > 0 {
		most = min(most, g.count-p.n)
	}
	c.Out = p.reply.Next()
	n := int64(0)
	if g.fresh[i] {
		n = c.deliverUpTo(p.top, most, g.readCall, s, &group, no, key)
	} else if ids := pendingBehind(&group, no, p.behind, most); len(ids) > 0 {
		n, p.behind = int64(len(ids)), ids[len(ids)-1]
		c.showAgain(s, &group, ids)
		done = p.behind.Compare(p.top) >= 0
	}
	c.Out = out
	p.n += n
	return done || n < most || p.n == g.count
}

// longAutoclaim is XAUTOCLAIM of very many entries.
func (c *Ctx) longAutoclaim(cl *claim, start store.StreamID, count int64) bool {
	if !c.manyPending(int(min(count, int64(cl.g.Len())))) {
		return false
	}
	minIdle, justID := cl.minIdle, cl.justID
	attempts, next, n, began := count*claimAttempts, start, 0, false
	var gone []store.StreamID
	return c.long(func() *Long {
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: func() {}}
		l.Piece = func(c *Ctx) (done bool) {
			c.NoPropagate()
			if _, _, ok := c.peekGroup(c.Args[1], c.Args[2]); ok || !began {
				e, found := c.LookupWrite(c.Args[1])
				cl := &claim{}
				c.openClaim(cl, e, found)
				cl.minIdle, cl.justID = minIdle, justID
				ids, to, left := c.claimable(cl, next, min(count, groupStep), min(attempts, claimLooks))
				k, lost := c.claimAll(cl, ids)
				began, next, n, gone = true, to, n+k, append(gone, lost...)
				attempts -= min(attempts, claimLooks) - left
				if count -= int64(len(ids)); !next.IsZero() && count > 0 && attempts > 0 {
					return false
				}
			} else {
				next = store.StreamID{} // it is gone, with what was left of it
			}
			var room [41]byte
			l.Reply.Head().Array(3)
			l.Reply.Head().Bulk(appendStreamID(room[:0], next))
			l.Reply.Head().Array(n)
			c.Out.Array(len(gone))
			for _, id := range gone {
				c.streamID(id)
			}
			return true
		}
		return l
	})
}

// longClaim is XCLAIM of very many entries. All are idle up to, and delivered at, the time of the beginning, so that the same
// ID in two pieces is claimed as often as in one.
func (c *Ctx) longClaim(cl *claim, ids []store.StreamID, last store.StreamID) bool {
	if !c.manyPending(len(ids)) {
		return false
	}
	given, n, began := *cl, 0, false
	return c.long(func() *Long {
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: func() {}}
		texts := c.Args[5:]
		l.Piece = func(c *Ctx) (done bool) {
			c.NoPropagate()
			if _, _, ok := c.peekGroup(c.Args[1], c.Args[2]); ok || !began {
				cl := given
				e, found := c.LookupWrite(c.Args[1])
				c.openClaim(&cl, e, found)
				cl.minIdle, cl.now, cl.time, cl.retries = given.minIdle, given.now, given.time, given.retries
				k := min(groupStep, len(ids))
				n += c.claimNamed(&cl, ids[:k], texts[:k], last)
				began, ids, texts, last = true, ids[k:], texts[k:], store.StreamID{}
			} else {
				ids = nil // it is gone, with what was left of it
			}
			if len(ids) == 0 {
				l.Reply.Head().Array(n)
			}
			return len(ids) == 0
		}
		return l
	})
}
