package engine

import (
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// Resume goes on with the command of a client that Block let wait while work was done without the lock: fn runs like a
// handler, under the lock, in the database that was the client's then. refused is the error for which a write cannot run
// now (the role may have changed meanwhile), "" for none. When fn answers true the wait ends and the client gets what fn
// replied; when the client is gone, nobody does. It answers false, and runs nothing, while writes are held back: come
// again. The lock must not be held.
func (e *Engine) Resume(w *Waiter, cmd *command.Cmd, db int, fn func(ctx *command.Ctx, refused string) (over bool)) (ran bool) {
	e.Exclusive(func() {
		if writes, all := e.Held(); writes || all {
			return
		}
		ran = true
		l := e.bg
		l.enter()
		l.resume(w, cmd, db, fn)
	})
	return ran
}

func (l *Lane) resume(w *Waiter, cmd *command.Cmd, db int, fn func(ctx *command.Ctx, refused string) (over bool)) {
	c, ctx := w.c, &l.ctx
	out := resp.NewWriter(nil)
	out.SetProto(c.Proto)
	ctx.Out = out
	l.runFor(c)
	ctx.DBIndex, ctx.DB = db, l.e.store.DB(db)
	ctx.Now = l.nowMS()
	ctx.Begin(cmd, nil)
	over := fn(ctx, l.refusal(c, cmd, l.st))
	ctx.Finish()
	ctx.Out = l.Out
	var ticket Ticket
	if ctx.IsDirty() {
		c.wrote = true
		ticket = l.entry
	}
	l.endUnit()
	if !over || c.waiter.Load() != w {
		return
	}
	if out.Errors() > 0 {
		l.stats.commands[cmd.Index].Failed++
		l.countErrorOf(out)
	}
	w.release()
	c.Owner.Deliver(ticket, func(w *resp.Writer) { w.Take(out) })
}
