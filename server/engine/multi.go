package engine

import (
	"github.com/understudy-db/understudy/server/command"
)

// transaction is what MULTI queues. Arguments are copied: the request's buffer is reused before EXEC comes.
type transaction struct {
	queue []queued
	any   command.Flags // set in at least one queued command
	all   command.Flags // set in every queued command
	bytes int
}

type queued struct {
	cmd  *command.Cmd
	args [][]byte
}

func (t *transaction) add(cmd *command.Cmd, flags command.Flags, args [][]byte) {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	buf := make([]byte, 0, size)
	kept := make([][]byte, len(args))
	for i, a := range args {
		from := len(buf)
		buf = append(buf, a...)
		kept[i] = buf[from:len(buf):len(buf)]
	}
	if len(t.queue) == 0 {
		t.all = flags
	}
	t.all &= flags
	t.any |= flags
	t.bytes += size + perArgument*len(args) + queuedSize
	t.queue = append(t.queue, queued{cmd, kept})
}

// MultiBytes is the memory of the queued commands, for CLIENT LIST.
func (c *Client) MultiBytes() int { return c.multi.bytes }

// queues tells whether the command would be queued instead of executed.
func (c *Client) queues(cmd *command.Cmd) bool {
	if !c.Has(InMulti) {
		return false
	}
	switch cmd.FullName {
	case "exec", "discard", "multi", "watch", "quit", "reset":
		return false
	}
	return true
}

func (e *Engine) attach() {
	for name, h := range map[string]command.Handler{
		"multi": e.multi, "exec": unreachableExec, "discard": e.discard, "watch": e.watchKeys, "unwatch": e.unwatch,
	} {
		if c := e.Table.Canonical([]byte(name)); c != nil && c.Handler == nil {
			e.Table.Attach(name, h)
		}
	}
}

// unreachableExec stands in the table: EXEC is executed by the lane, which needs more than a context.
func unreachableExec(*command.Ctx) { panic("engine: EXEC must go through Lane.call") }

func (e *Engine) multi(ctx *command.Ctx) {
	c := Of(ctx)
	if c.Has(InMulti) {
		ctx.Out.Error("MULTI calls can not be nested")
		return
	}
	c.Set(InMulti)
	ctx.Out.OK()
}

func (e *Engine) discard(ctx *command.Ctx) {
	c := Of(ctx)
	if !c.Has(InMulti) {
		ctx.Out.Error("DISCARD without MULTI")
		return
	}
	c.discard(e)
	ctx.Out.OK()
}

// discard forgets transaction and watched keys.
func (c *Client) discard(e *Engine) {
	e.AddClientBytes(-int64(c.multi.bytes))
	c.multi = transaction{}
	c.Clear(InMulti | DirtyExec)
	e.forgetWatches(c)
}

// Reset brings the client back to the state of a new connection, as RESET does. The lock must be held exclusively.
func (e *Engine) Reset(c *Client) {
	c.discard(e)
	e.Untrack(c)
	c.DB, c.Proto = 0, 2
	c.Clear(ReplyOff | replySkip | skipNext | NoTouch | NoEvict | IsMonitor | Subscribed | DebugsScripts)
}

// exec runs the queued commands as one unit and reports whether any changed the data set. The time is that of EXEC for
// all of them.
func (l *Lane) exec(c *Client) (wrote bool) {
	cmd := l.e.Table.Canonical([]byte("exec"))
	l.ctx.Now = l.nowMS()
	l.stats.commands[cmd.Index].Calls++
	switch {
	case !c.Has(InMulti):
		l.Out.Error("EXEC without MULTI")
		l.stats.commands[cmd.Index].Failed++
		l.countError()
		return false
	case c.Has(DirtyExec):
		c.discard(l.e)
		l.Out.Error("-EXECABORT Transaction discarded because of previous errors.")
		l.stats.commands[cmd.Index].Failed++
		l.countError()
		return false
	case l.watchBroken(c):
		c.discard(l.e)
		l.Out.NullArray()
		return false
	}
	queue := c.multi.queue
	c.discard(l.e)
	l.inExec, c.inExec, l.e.inExec = true, true, true
	c.LastCmd = cmd
	l.Out.Array(len(queue))
	for _, q := range queue {
		if why := c.Forbidden(q.cmd, q.args, AtExec); why != "" {
			l.Out.Error(why)
			l.countError()
			continue
		}
		if l.watched(c, q.cmd, q.args) {
			wrote = true
		}
		if c.Has(Remembers) && readsKeys(q.cmd) {
			l.e.remember(c, q.cmd, q.args)
		}
	}
	l.inExec, c.inExec, l.e.inExec = false, false, false
	c.LastCmd = cmd
	return wrote
}
