package engine

import (
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// Waiter is a blocked client. Whoever can answer claims it under the exclusive lock, so that an answer goes to exactly
// one place: a client whose connection closes, or whose time is up, cannot be claimed any more and swallows nothing.
type Waiter struct {
	e       *Engine
	c       *Client
	timer   *time.Timer
	started time.Time
	expired func(w *resp.Writer)
	gone    func()
	spent   time.Duration // executing, before the wait
	long    bool          // works, in truth: see longRead
	ended   bool          // by CLIENT UNBLOCK
	anew    []byte        // the command that BlockAnew holds back
	// Kind names the reason, as CLIENT UNBLOCK and CLIENT LIST need it.
	Kind string
}

// Block lets the running client wait: its later commands stay unread until Wake. It must not be called within EXEC.
// After timeout (0: never) the client gets what expired writes. gone runs, under the lock, when the wait ends without
// Wake: the owner takes the waiter out of its lists there.
func (e *Engine) Block(c *Client, kind string, timeout time.Duration, expired func(w *resp.Writer), gone func()) *Waiter {
	if c.waiter.Load() != nil {
		panic("engine: client is blocked already by " + c.waiter.Load().Kind)
	}
	w := &Waiter{e: e, c: c, started: time.Now(), expired: expired, gone: gone, Kind: kind}
	c.waiter.Store(w)
	e.stats.blocked.Add(1)
	if timeout > 0 {
		w.timer = time.AfterFunc(timeout, w.timeout)
	}
	return w
}

// BlockAnew is Block for a command that waits for nothing but to be executed once more (Again); nil when the client's owner cannot
// do that.
func (e *Engine) BlockAnew(c *Client, kind string, args [][]byte) *Waiter {
	if _, ok := c.Owner.(Requeuer); !ok {
		return nil
	}
	w := e.Block(c, kind, 0, func(w *resp.Writer) { w.Error(errChanged) }, nil)
	w.anew = resp.AppendCommand(nil, args...)
	return w
}

// Again ends the wait that BlockAnew began: the command is executed now. The lock must be held exclusively.
func (w *Waiter) Again() {
	if w.c.waiter.Load() == w {
		w.release()
		w.c.Owner.(Requeuer).Requeue(w.anew)
	}
}

// Wake claims the client and delivers the reply that write makes. It answers false when somebody else was first. The
// lock must be held exclusively.
func (w *Waiter) Wake(write func(w *resp.Writer)) bool {
	if w.c.waiter.Load() != w {
		return false
	}
	w.release()
	w.c.Owner.Deliver(Ticket{}, write)
	return true
}

func (w *Waiter) release() {
	w.c.waiter.Store(nil)
	if !w.long {
		w.e.stats.blocked.Add(-1)
	}
	if cmd := w.c.LastCmd; cmd != nil {
		s := &w.e.bg.stats.commands[cmd.Index]
		s.Calls++
		s.Nanos += int64(w.spent)
		if !w.e.stats.untracked.Load() {
			w.e.bg.trackLatency(cmd, w.spent)
		}
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *Waiter) timeout() {
	w.e.Exclusive(func() {
		if w.c.waiter.Load() != w {
			return
		}
		w.giveUp()
		w.c.Owner.Deliver(Ticket{}, w.expired)
	})
}

func (w *Waiter) giveUp() {
	w.release()
	if w.gone != nil {
		w.gone()
	}
}

// Unblock ends a client's wait from outside (CLIENT UNBLOCK): as if its time were up, or with an error. The lock must be
// held exclusively.
func (e *Engine) Unblock(c *Client, withError string) bool {
	w := c.waiter.Load()
	if w == nil || w.long {
		return false
	}
	w.ended = true
	w.giveUp()
	if withError == "" {
		c.Owner.Deliver(Ticket{}, w.expired)
		return true
	}
	out := resp.NewWriter(nil)
	out.Error(withError)
	if c.LastCmd != nil {
		e.bg.stats.commands[c.LastCmd.Index].Failed++
	}
	e.bg.countErrorOf(out)
	c.Owner.Deliver(Ticket{}, func(w *resp.Writer) { w.Take(out) })
	return true
}

// Unblocked reports whether CLIENT UNBLOCK has ended the wait: what goes on for the client is to end, too. The lock must be held.
func (w *Waiter) Unblocked() bool { return w.ended }

// Abandon takes a client that is about to be closed out of its wait, so that it swallows nothing any more. The lock must
// be held exclusively.
func (e *Engine) Abandon(c *Client) {
	if c.waiter.Load() != nil {
		c.waiter.Load().giveUp()
	}
}

// Forget takes a client whose connection is gone out of everything. The lock must be held exclusively.
func (e *Engine) Forget(c *Client) {
	if c.waiter.Load() != nil {
		c.waiter.Load().giveUp()
	}
	c.discard(e)
	e.Untrack(c)
}

// Bare reports whether Forget has nothing to do for c, so that closing an idle connection needs no lock. Only the
// client's owner may ask, outside of a batch.
func (c *Client) Bare() bool {
	return c.waiter.Load() == nil && len(c.watches) == 0 && !c.Has(InMulti) && c.track == nil
}

// CanBlock reports whether the running command may block its client: not inside MULTI, nor without a connection.
func (e *Engine) CanBlock(ctx *command.Ctx) bool {
	c := Of(ctx)
	return c != nil && c.Owner != nil && !c.inExec
}
