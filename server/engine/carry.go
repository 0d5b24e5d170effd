package engine

import (
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// Clients of the primary port want the master, whichever member that is. Where it is not, none of their commands is
// executed, and what they have reached so far goes with them to the server that is.

// Serving reports whether this server is a master that may write now.
func (e *Engine) Serving() bool {
	return !e.Led() && e.gate.Open()
}

// Led reports whether this server is no master: it follows one, or waits for a role.
func (e *Engine) Led() bool { return e.State()&(Replica|Parked) != 0 }

// masterFor tells whether this server is what c wants for cmd: the master, and for a write one that may write. A lapsed
// right may come back within a moment, and whoever is promoted gets it a moment after the role.
func (l *Lane) masterFor(c *Client, cmd *command.Cmd) bool {
	switch {
	case c.Has(Subscribed) && cmd != nil && allowedSubscribed(cmd):
		return true // what is published comes with the stream, without a gap
	case l.st&(Replica|Parked) != 0:
		return false
	case l.gateOpen || cmd == nil || c.Has(NeedAuth):
		return true
	}
	write, _, any := c.reach(cmd)
	return !write && (l.st&unfit == 0 || any&(command.ReadOnly|command.MayReplicate) == 0)
}

// Carried is what of a client's state goes with it to another server. Names are short: it travels.
type Carried struct {
	DB    int         `json:"db,omitempty"`
	Proto int         `json:"proto,omitempty"`
	Flags ClientFlags `json:"flags,omitempty"` // of those in carriedFlags
	// Wrote: WAIT must count from a place at which the client's last write is in the stream.
	Wrote bool `json:"wrote,omitempty"`
	// Watched: there were watched keys. Whether they have changed nobody knows, so EXEC answers null.
	Watched bool       `json:"watched,omitempty"`
	Queue   [][][]byte `json:"queue,omitempty"` // of MULTI
}

// carriedFlags go along; clingingFlags cannot, and keep a client from being carried.
const (
	carriedFlags  = InMulti | DirtyExec | ReplyOff | replySkip | skipNext | NoTouch | NoEvict
	clingingFlags = Subscribed | IsReplica | IsMonitor | CloseAfter | DebugsScripts
)

// Clings reports whether c has state that only this server can hold. What it has cached is such: that its connection ends
// tells it to forget.
func (c *Client) Clings() bool { return c.Has(clingingFlags) || c.track != nil }

// Pack reads c's state. Only its owner may ask, outside of a batch; c must not be blocked.
func (c *Client) Pack() Carried {
	k := Carried{DB: c.DB, Proto: c.Proto, Flags: c.Flags & carriedFlags, Wrote: c.WriteOffset != 0, Watched: c.casBroken || len(c.watches) > 0}
	for _, q := range c.multi.queue {
		k.Queue = append(k.Queue, q.args)
	}
	return k
}

// Unpack makes a new client what another server's was. It answers false when the state makes no sense here; c is of no use
// then. The lock must be held exclusively.
func (e *Engine) Unpack(c *Client, k Carried) bool {
	if k.DB < 0 || k.DB >= e.store.Databases() || (k.Proto != 2 && k.Proto != 3) || (len(k.Queue) > 0 && k.Flags&InMulti == 0) {
		return false
	}
	c.DB, c.Proto, c.casBroken = k.DB, k.Proto, k.Watched
	c.Set(k.Flags & carriedFlags)
	for _, words := range k.Queue {
		if len(words) == 0 {
			return false
		}
		cmd := e.Table.Resolve(words)
		switch {
		case cmd == nil || !cmd.ArityOK(len(words)) || cmd.Handler == nil:
			c.Set(DirtyExec) // unknown here: as if it had been refused
		case cmd.Flags&command.NoMulti != 0 || !c.queues(cmd):
			return false
		default:
			before := c.multi.bytes
			c.multi.add(cmd, cmd.Flags, words)
			e.AddClientBytes(int64(c.multi.bytes - before))
		}
	}
	if k.Wrote {
		c.wroteUpTo(e.Log)
	}
	return true
}

// Interrupt ends the wait of a blocked client that the role has left behind, as Redis does. The lock must be held
// exclusively.
func (e *Engine) Interrupt(c *Client) bool { return e.Unblock(c, errChanged) }

// Hearer is an Owner that knows the other clients' connections.
type Hearer interface {
	// Hear returns when what clients had sent before the call was read, at most after limit. No lock may be held.
	Hear(limit time.Duration)
}

// Requeuer is an Owner whose client need not know that it waited here.
type Requeuer interface {
	// Requeue ends the client's wait without a reply: its command stands before what it has sent since, unexecuted.
	Requeue(cmd []byte)
}

// waitElsewhere lets a client of the primary port wait with the master. A command that takes something has taken nothing
// while it waits, so it may be given anew, only that its time begins again. One that reads from "now on" (XREAD with $)
// would miss what comes in between.
func (e *Engine) waitElsewhere(kw *keyWaiter) bool {
	c := kw.w.c
	r, ok := c.Owner.(Requeuer)
	if !ok || !c.Has(WantsMaster) || !kw.cmd.IsWrite() {
		return false
	}
	kw.w.giveUp()
	r.Requeue(resp.AppendCommand(nil, kw.args...))
	return true
}
