package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// A command that reads very much goes on after its handler (command.Long), in a goroutine of its own that takes the shared
// lock for short holds. Its client waits as a blocked one does, but that nobody sees it blocked.

const (
	longHold  = 150 * time.Microsecond // of the lock, while nobody wants it
	shortHold = 50 * time.Microsecond  // while lanes wait for it
)

// longReads are the commands that go on.
type longReads struct {
	// begins lets one command at a time pin what it reads: under the shared lock there may be several.
	begins sync.Mutex
	// turn lets one of them at a time compete with the lanes for the lock.
	turn sync.Mutex

	begun atomic.Int64
	now   atomic.Int64
	// looks are those whose results come from more keys than are listed; guarded by the engine's lock.
	looks []*making
	// longest is the longest hold of the lock after a handler, in nanoseconds, by the watch of whoever measures; nil: nobody does.
	longest atomic.Int64
	watch   func() time.Duration
}

// longRead is one of them.
type longRead struct {
	e    *Engine
	w    *Waiter
	cmd  *command.Cmd
	args [][]byte // for the slow log
	long *command.Long
	gone atomic.Bool // nobody waits for the reply; it becomes so under the engine's lock
	over func() bool // tells it too, under the lock, where no client waits; may be nil
	// held: replies waited for holders of what they tell of (S6), in a stream of this reign.
	held  bool
	reign uint64
	// spent is what the work took after the handler.
	spent time.Duration
	// between is what comes before the next step.
	between func()
	// making is of a command that stores what it made.
	making *making
	// ticket is of what the pieces changed (pieces.go).
	ticket Ticket
	db     int
}

// GoOn implements command.Env.
func (v *env) GoOn(ctx *command.Ctx, begin func() *command.Long) bool {
	e, c := v.e, Of(ctx)
	switch l := v.l; {
	case l.making != nil:
		return l.making.begin(ctx, begin)
	case l.applying:
		return l.makes(ctx, begin)
	}
	if !e.CanBlock(ctx) || c.Flags&special != 0 || v.l.busy || v.l.standIn || c.waiter.Load() != nil || e.closed() {
		return false
	}
	args := copyArgs(ctx.Args)
	ctx.Args = args
	long, making := e.beginLong(ctx, begin)
	if long == nil {
		return false
	}
	if long.Piece != nil && long.Between == nil && firstPiece(ctx, long) {
		return true
	}
	r := &longRead{e: e, cmd: ctx.Cmd, args: args, long: long, db: ctx.DBIndex, making: making}
	if ctx.IsDirty() {
		r.ticket = v.l.entry
	}
	if e.commit.need.Load() > 0 {
		r.held, r.reign = true, e.commit.reign.Load()
	}
	r.w = &Waiter{e: e, c: c, started: time.Now(), long: true, gone: func() { r.gone.Store(true) }}
	c.waiter.Store(r.w)
	long.Left = r.left
	e.longs.begun.Add(1)
	e.longs.now.Add(1)
	e.work.Add(1)
	go r.run()
	return true
}

// beginLong pins, or begins to watch, what a command reads.
func (e *Engine) beginLong(ctx *command.Ctx, begin func() *command.Long) (*command.Long, *making) {
	e.longs.begins.Lock()
	defer e.longs.begins.Unlock()
	long := begin()
	if long == nil || long.Made == nil {
		return long, nil
	}
	m := &making{e: e}
	m.begin(ctx, func() *command.Long { return long })
	return long, m
}

// measured runs what holds the lock and notes how long it does.
func (l *longReads) measured(hold func()) {
	if l.watch == nil {
		hold()
		return
	}
	runtime.LockOSThread() // the watch may be the thread's
	defer runtime.UnlockOSThread()
	from := l.watch()
	hold()
	took := l.watch() - from
	for was := l.longest.Load(); int64(took) > was && !l.longest.CompareAndSwap(was, int64(took)); was = l.longest.Load() {
	}
}

// LongReads tells how many commands have gone on after their handlers since the start, and how many do now.
func (e *Engine) LongReads() (begun, now int64) { return e.longs.begun.Load(), e.longs.now.Load() }

func (e *Engine) closed() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

func (r *longRead) run() {
	defer r.e.work.Done()
	defer r.e.longs.now.Add(-1)
	if r.long.Piece != nil {
		if r.long.Between != nil {
			r.long.Between()
		}
		r.pieces()
		return
	}
	r.work()
	if r.making == nil {
		r.deliver()
		return
	}
	for r.install() {
		r.work()
	}
}

// work is what comes before the reply, or before a command's last hold.
func (r *longRead) work() {
	r.holds()
	if !r.wanted() {
		return
	}
	r.rest()
	if r.making != nil {
		r.making.fillAll(func() bool { return r.left() })
	}
}

// left tells whether nobody waits for the reply any more. It needs no lock: Rest may ask.
func (r *longRead) left() bool { return r.gone.Load() || r.e.closed() }

// holds is the work under the lock, and what comes between its halves.
func (r *longRead) holds() {
	for over := false; !over; {
		over = r.hold()
		r.e.yield()
		if r.between != nil {
			r.between()
			r.between = nil
		}
	}
}

// hold does a part of the work under the lock, shared with other readers, and reports whether nothing is left that needs
// it.
func (r *longRead) hold() (over bool) {
	e := r.e
	e.longs.turn.Lock()
	defer e.longs.turn.Unlock()
	e.lockShared()
	e.longs.measured(func() { over = r.steps() })
	if over && r.long.Between != nil && !r.left() && !r.tooLong() {
		r.between, r.long.Between, over = r.long.Between, nil, false
	}
	e.mu.RUnlock()
	if over {
		e.lock()
		e.longs.measured(r.long.End)
		e.mu.Unlock()
	}
	return over
}

// steps is the work of a hold.
func (r *longRead) steps() (over bool) {
	e, start := r.e, time.Now()
	for !over {
		if r.left() || r.over != nil && r.over() {
			over = true
		} else {
			over = r.long.Step() || r.tooLong()
		}
		took := time.Since(start)
		if took > longHold || took > shortHold && e.waiting.Load() > 0 {
			break
		}
	}
	r.spent += time.Since(start)
	return over
}

// tooLong tells whether the reply is so long that its client is closed anyway.
func (r *longRead) tooLong() bool {
	limit := r.e.stats.replyLimit.Load()
	return limit > 0 && r.long.Reply.Len() >= limit
}

func (r *longRead) wanted() (yes bool) {
	r.e.lock()
	defer r.e.mu.Unlock()
	return !r.left()
}

// rest does what needs no lock.
func (r *longRead) rest() {
	if r.long.Rest == nil {
		return
	}
	start := time.Now()
	r.long.Rest()
	r.spent += time.Since(start)
}

// deliver sends the reply, unless the client is gone, and counts the command.
func (r *longRead) deliver() {
	e, reply := r.e, r.long.Reply
	e.lock()
	defer e.mu.Unlock()
	c := r.w.c
	if r.left() {
		reply.Drop()
		return
	}
	switch {
	case r.held && r.reign != e.commit.reign.Load():
		c.Owner.Kill("what it reads will not be held by enough replicas any more")
	case r.tooLong():
		c.Owner.Kill("the reply reaches the output limit")
	}
	if reply.Errors() > 0 {
		e.bg.stats.commands[r.cmd.Index].Failed++
		e.bg.countErrorOf(reply.Head())
	}
	if r.w.spent += r.spent; r.w.spent >= e.stats.slow() {
		e.stats.noteSlow(e.bg, c, r.cmd, r.args, r.w.spent)
	}
	r.w.Wake(func(w *resp.Writer) { reply.MoveTo(w) })
}
