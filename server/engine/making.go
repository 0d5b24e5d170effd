package engine

import (
	"slices"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// A command that stores a result of very much (SUNIONSTORE and its kin) makes it outside of the lock: it copies what it
// reads, computes, builds the value in short holds where no key has it yet, and is executed anew in one last hold, in which
// the value only gets its key. That hold is the command's place in the log, so the result must be that of an execution
// there: what it was made of is watched as by WATCH, and when it changed the result is made anew, after makeTries in place.
// So the log has the command as it was given, and a replica that executes it gets the same.

// makeTries is how often a result is made outside of the lock.
const makeTries = 3

// making is a command on its way to its last hold.
type making struct {
	e     *Engine
	db    int
	long  *command.Long
	watch *Client     // nobody: it watches the sources
	place store.Place // what the database had when it began
	tries int
	again bool // the handler has just gone on, perhaps once more
	moved bool // other contents stood in the database meanwhile, so the value may be a part of one, even if they went again
}

// begin takes what a handler goes on with. It answers false when it may not.
func (m *making) begin(ctx *command.Ctx, begin func() *command.Long) bool {
	if m.tries >= makeTries {
		return false
	}
	long := begin()
	switch {
	case long == nil:
		return false
	case long.Made == nil: // a reply, which a stream does not want
		long.End()
		return false
	}
	m.tries++
	m.again, m.moved, m.long, m.db = true, false, long, ctx.DBIndex
	m.place = ctx.DB.Place()
	m.watch = &Client{DB: ctx.DBIndex}
	for _, key := range long.Made.Sources {
		m.e.watchKey(m.watch, ctx, key)
	}
	if long.Made.Looks() {
		m.e.longs.looks = append(m.e.longs.looks, m)
	}
	return true
}

// changed breaks results that looked at a key which changes. Somebody watches a key of the database, as they all do.
func (l *longReads) changed(db int, key []byte) {
	for _, m := range l.looks {
		if m.db == db && m.long.Made.Sees(key) {
			m.watch.casBroken = true
		}
	}
}

// forget ends the watch over the sources.
func (m *making) forget() {
	m.e.forgetWatches(m.watch)
	m.e.longs.looks = slices.DeleteFunc(m.e.longs.looks, func(o *making) bool { return o == m })
}

// result is what was made, or nil when it may be wrong now. The sources are not watched any more. The lock must be held
// exclusively.
func (m *making) result(l *Lane) *command.Made {
	made := m.long.Made
	right := !l.watchBroken(m.watch) && !m.elsewhere() && !made.Stale(m.e.store.DB(m.db), l.ctx.Now)
	m.forget()
	if !right {
		made.Drop()
		return nil
	}
	return made
}

// elsewhere tells whether the database has, or was seen to have, other contents than when it began.
func (m *making) elsewhere() bool {
	m.moved = m.moved || m.place != m.e.store.DB(m.db).Place()
	return m.moved
}

// drop gives everything up. The lock must be held exclusively.
func (m *making) drop() {
	m.forget()
	m.long.Made.Drop()
}

// fill builds some of the value under the lock and reports whether it is complete, or of no use any more.
func (m *making) fill(over func() bool) (done bool) {
	e := m.e
	e.longs.turn.Lock()
	defer e.longs.turn.Unlock()
	e.lock()
	defer e.mu.Unlock()
	e.longs.measured(func() { done = m.steps(over) })
	return done
}

func (m *making) steps(over func() bool) (done bool) {
	e := m.e
	for start := time.Now(); !done; {
		done = over() || m.watch.casBroken || m.elsewhere() || m.long.Made.Stale(e.store.DB(m.db), 0) || m.long.Made.Step(e.store.DB(m.db))
		if took := time.Since(start); took > longHold || took > shortHold && e.waiting.Load() > 0 {
			break
		}
	}
	return done
}

// fillAll builds the whole value.
func (m *making) fillAll(over func() bool) {
	for !m.fill(over) {
		m.e.yield()
	}
}

// pauseLook is the time between two looks at a pause that holds a command back.
const pauseLook = 2 * time.Millisecond

// install executes a command that stores what it made, once nothing holds it back. It answers true when the result has to
// be made anew.
func (r *longRead) install() (again bool) {
	for {
		r.e.lock()
		c := r.w.c
		held := !r.left() && c.paused(r.cmd, r.e.State())
		if !held {
			r.e.longs.measured(func() { again = r.installLocked() })
			r.e.mu.Unlock()
			r.e.wake()
			return again
		}
		r.e.mu.Unlock()
		time.Sleep(pauseLook)
	}
}

func (r *longRead) installLocked() (again bool) {
	e, l, c := r.e, r.e.bg, r.w.c
	if r.left() {
		r.making.drop()
		return false
	}
	l.flushAll()
	l.enter()
	if c.Has(WantsMaster) && !l.masterFor(c, r.cmd) {
		if q, ok := c.Owner.(Requeuer); ok {
			r.making.drop()
			r.w.release()
			q.Requeue(resp.AppendCommand(nil, r.args...))
			return false
		}
	}
	out := resp.NewWriter(nil)
	out.SetProto(c.Proto)
	var ticket Ticket
	if why := l.refusal(c, r.cmd, l.st&^OutOfMemory); why != "" { // memory was asked for at the beginning
		r.making.drop()
		out.Error(why)
	} else if ticket, again = r.execute(l, out); again {
		return true
	}
	if out.Errors() > 0 {
		l.stats.commands[r.cmd.Index].Failed++
		l.countErrorOf(out)
	}
	if r.held && ticket.epoch == 0 && r.reign != e.commit.reign.Load() {
		c.Owner.Kill("what it reads will not be held by enough replicas any more")
	}
	if r.w.spent += r.spent; r.w.spent >= e.stats.slow() {
		e.stats.noteSlow(l, c, r.cmd, r.args, r.w.spent)
	}
	r.w.release()
	c.Owner.Deliver(ticket, func(w *resp.Writer) { w.Take(out) })
	l.serveReady()
	l.flushAll()
	e.settleTracking()
	e.askHolders()
	return false
}

// execute executes the command with what was made; again is true when it has gone on instead.
func (r *longRead) execute(l *Lane, out *resp.Writer) (ticket Ticket, again bool) {
	c, ctx, m := r.w.c, &l.ctx, r.making
	hits, misses := ctx.Hits, ctx.Misses // counted at the beginning
	ctx.Out = out
	l.runFor(c)
	ctx.DBIndex, ctx.DB = m.db, l.e.store.DB(m.db)
	ctx.Now = l.nowMS()
	made := m.result(l)
	ctx.Begin(r.cmd, r.args)
	ctx.With(made)
	l.making, m.again = m, false
	r.cmd.Handler(ctx)
	l.making = nil
	ctx.With(nil)
	if made != nil {
		made.Drop() // what the command did not take after all
	}
	ctx.Finish()
	ctx.Out = l.Out
	if !m.long.Made.Counts() {
		ctx.Hits, ctx.Misses = hits, misses
	}
	r.spent += l.clock()
	if again = m.again; again {
		r.long = m.long
		l.endUnit() // an expired key may have gone
		l.flushAll()
		return Ticket{}, true
	}
	if ctx.IsDirty() {
		c.wrote = true
		ticket = l.entry
		if ctx.WritableReplica {
			l.noteOwn(r.cmd, r.args)
		}
	}
	l.endUnit()
	return ticket, false
}
