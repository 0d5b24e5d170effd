package engine

import (
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// A command that changes very much little by little (command.Long.Piece: XREADGROUP, XAUTOCLAIM, XCLAIM) is executed as clients
// execute it who ask for little at a time: each piece has its own place in the log, others come in between, and the reply
// has what all of them gave. When the client leaves, or the server may not write any more, it ends where it is.

// firstPiece executes the first piece where the handler runs, so that a command that found something has it. It answers true
// when that was all.
func firstPiece(ctx *command.Ctx, long *command.Long) (over bool) {
	out := ctx.Out
	ctx.Out = long.Reply.Next()
	over = long.Piece(ctx)
	if ctx.Out = out; over {
		long.Reply.MoveTo(out)
		long.End()
	}
	return over
}

// pieces executes what follows.
func (r *longRead) pieces() {
	for over := false; !over; {
		over = r.piece()
		r.e.wake()
		r.e.yield()
	}
}

// piece executes some pieces in one hold, once nothing holds them back, and reports whether the command is over.
func (r *longRead) piece() (over bool) {
	e := r.e
	e.longs.turn.Lock()
	defer e.longs.turn.Unlock()
	e.lock()
	for !r.left() && r.w.c.paused(r.cmd, e.State()) {
		e.mu.Unlock()
		e.longs.turn.Unlock()
		time.Sleep(pauseLook)
		e.longs.turn.Lock()
		e.lock()
	}
	defer e.mu.Unlock()
	e.longs.measured(func() { over = r.pieceLocked() })
	return over
}

func (r *longRead) pieceLocked() (over bool) {
	e, l, c := r.e, r.e.bg, r.w.c
	defer func() {
		if over {
			r.long.End()
		}
	}()
	if r.left() {
		r.long.Reply.Drop()
		return true
	}
	l.flushAll()
	l.enter()
	why := l.refusal(c, r.cmd, l.st&^OutOfMemory) // memory was asked for at the beginning
	if why != "" {
		r.long.Reply.Drop()
		r.long.Reply = resp.NewPieces(c.Proto)
		r.long.Reply.Head().Error(why)
		over = true
	} else {
		over = r.executePieces(l)
	}
	if over {
		r.deliverPieces(l)
	}
	l.serveReady()
	l.flushAll()
	e.settleTracking()
	e.askHolders()
	return over
}

// executePieces executes pieces as long as a hold lasts. Each is a unit.
func (r *longRead) executePieces(l *Lane) (over bool) {
	e, c, ctx := r.e, r.w.c, &l.ctx
	hits, misses, start := ctx.Hits, ctx.Misses, time.Now() // keys were counted at the beginning
	for !over {
		ctx.Out = r.long.Reply.Next()
		l.runFor(c)
		ctx.DBIndex, ctx.DB = r.db, e.store.DB(r.db)
		ctx.Now = l.nowMS()
		ctx.Begin(r.cmd, r.args)
		over = r.long.Piece(ctx) || r.tooLong()
		ctx.Finish()
		if ctx.IsDirty() {
			if c.wrote = true; r.ticket.epoch == 0 {
				r.ticket = l.entry // of the first: the reply has what was written under it, too
			}
			if ctx.WritableReplica {
				l.noteOwn(r.cmd, r.args)
			}
		}
		l.endUnit()
		r.spent += l.clock()
		if took := time.Since(start); took > longHold || took > shortHold && e.waiting.Load() > 0 {
			break
		}
	}
	ctx.Out = l.Out
	ctx.Hits, ctx.Misses = hits, misses
	return over
}

// deliverPieces sends the reply, and counts the command.
func (r *longRead) deliverPieces(l *Lane) {
	e, c, reply := r.e, r.w.c, r.long.Reply
	switch {
	case r.held && r.ticket.epoch == 0 && r.reign != e.commit.reign.Load():
		c.Owner.Kill("what it reads will not be held by enough replicas any more")
	case r.tooLong():
		c.Owner.Kill("the reply reaches the output limit")
	}
	if reply.Errors() > 0 {
		l.stats.commands[r.cmd.Index].Failed++
		l.countErrorOf(reply.Head())
	}
	if r.w.spent += r.spent; r.w.spent >= e.stats.slow() {
		e.stats.noteSlow(l, c, r.cmd, r.args, r.w.spent)
	}
	r.w.release()
	c.Owner.Deliver(r.ticket, func(w *resp.Writer) { reply.MoveTo(w) })
}
