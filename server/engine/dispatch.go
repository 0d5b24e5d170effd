package engine

import (
	"github.com/understudy-db/understudy/server/command"
)

// dispatch is what Redis calls processCommand: the checks that are alike for all commands, then the queue of a
// transaction or the call.
func (l *Lane) dispatch(c *Client, it *Item) Outcome {
	cmd := it.Cmd
	c.LastUse = l.wallBase / 1e9
	if cmd == nil || !cmd.ArityOK(len(it.Args)) || cmd.Handler == nil {
		return l.refuseShape(c, it)
	}
	if (c.Flags|c.guards)&special == 0 && l.st&blocking == 0 && !l.busy && l.quick(cmd) {
		if !cmd.Aloof() {
			l.flushFor(c) // it may look at the log's offset, and at the client's (WAIT)
		}
		out := l.call(c, it)
		if c.Has(skipNext) {
			c.Clear(skipNext)
			c.Set(replySkip)
		}
		return out
	}
	return l.careful(c, it)
}

// quick tells whether the command passes every check when state and client are ordinary.
func (l *Lane) quick(cmd *command.Cmd) bool {
	if cmd.Flags&command.Write == 0 {
		return true
	}
	return l.gateOpen && l.st&(Replica|ReadOnly) != Replica|ReadOnly
}

// careful makes all checks.
func (l *Lane) careful(c *Client, it *Item) Outcome {
	cmd := it.Cmd
	mark := l.Out.Len()
	it.Untold = true
	l.e.judge(c, cmd, it.Args)
	switch {
	case (c.Flags|c.guards)&NeedAuth != 0 && cmd.Flags&command.NoAuth == 0:
		l.refuse(c, cmd, errNoAuth)
	case c.Has(InMulti) && cmd.Flags&command.NoMulti != 0:
		l.refuse(c, cmd, errNoMulti)
	default:
		why := c.Forbidden(cmd, it.Args, c.place())
		if why == "" && l.busy && cmd.Flags&command.AllowBusy == 0 {
			why = l.e.busy.why
			if l.st&Loading != 0 && cmd.Flags&command.Loading == 0 {
				why = errLoading
			}
		}
		if why == "" && cmd.Flags&command.Protected != 0 && l.e.protected != nil {
			why = l.e.protected(c, cmd) // before a transaction takes it; the handler refuses it by itself
		}
		if why == "" {
			why = l.refusal(c, cmd, l.st)
		}
		if why != "" {
			l.refuse(c, cmd, why)
			break
		}
		if c.paused(cmd, l.st) {
			l.held = c
			return Postponed
		}
		if c.queues(cmd) {
			before := c.multi.bytes
			c.multi.add(cmd, c.flagsOf(cmd), it.Args)
			l.e.AddClientBytes(int64(c.multi.bytes - before))
			l.Out.RawString("+QUEUED\r\n")
			break
		}
		l.flushFor(c)
		it.Untold = false
		shown := l.st&monitored != 0
		if shown {
			l.show(c, cmd, it.Args, true)
		}
		out := l.call(c, it)
		if shown {
			l.show(c, cmd, it.Args, false)
		}
		if c.Has(Remembers) && readsKeys(cmd) {
			l.e.remember(c, cmd, it.Args)
		}
		c.afterCaching(cmd)
		l.mute(c, mark)
		return out
	}
	c.afterCaching(cmd)
	l.mute(c, mark)
	return Done
}

// mute takes the reply back when CLIENT REPLY says so.
func (l *Lane) mute(c *Client, mark int) {
	if c.Has(ReplyOff|replySkip) && !c.keepReply {
		l.Out.Truncate(mark)
	}
	c.keepReply = false
	c.Clear(replySkip)
	if c.Has(skipNext) {
		c.Clear(skipNext)
		c.Set(replySkip)
	}
}

// refuseShape refuses a command that is unknown or has the wrong number of arguments.
func (l *Lane) refuseShape(c *Client, it *Item) Outcome {
	mark := l.Out.Len()
	cmd := it.Cmd
	it.Untold = true
	switch {
	case cmd == nil && isAttack(it.Args[0]):
		l.e.logf("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. Connection from %s aborted.", c.Owner.RemoteAddr())
		c.Set(CloseAfter)
		return Done
	case cmd == nil:
		l.refuse(c, nil, l.e.Table.UnknownError(it.Args))
	case !cmd.ArityOK(len(it.Args)):
		l.refuse(c, cmd, cmd.ArityError())
	default: // a container without its subcommand, or a row that nobody attached
		l.refuse(c, cmd, l.e.Table.UnknownError(it.Args))
	}
	c.afterCaching(cmd)
	l.mute(c, mark)
	return Done
}

// refuse answers with an error and makes a transaction fail; a refused EXEC ends it, as in Redis even where none was begun.
func (l *Lane) refuse(c *Client, cmd *command.Cmd, why string) {
	l.stats.refused++
	if cmd != nil {
		l.stats.commands[cmd.Index].Rejected++
		if isExec(cmd) {
			c.discard(l.e)
			if why[0] == '-' {
				why = why[1:]
			} else {
				why = "ERR " + why
			}
			l.Out.Error("-EXECABORT Transaction discarded because of: " + why)
			l.countError()
			return
		}
	}
	if c.Has(InMulti) {
		c.Set(DirtyExec)
	}
	l.Out.Error(why)
	l.countError()
}

// call executes a command that passed the checks and closes its unit of effects.
func (l *Lane) call(c *Client, it *Item) Outcome {
	cmd := it.Cmd
	switch {
	case isExec(cmd):
		it.Wrote = l.exec(c)
	default:
		it.Wrote = l.invoke(c, cmd, it.Args)
	}
	if it.Wrote {
		c.wrote = true
		if l.ticket.epoch == 0 {
			l.ticket = l.entry
		}
	}
	l.endUnit()
	waits := c.waiter.Load() != nil
	if len(l.e.waits.ready) > 0 && !l.busy { // not what a script in the middle of its work has made ready
		l.serveReady()
	}
	if !cmd.Aloof() {
		l.flushAll()
		l.look() // it may have changed the role, or brought a reader to the log
	}
	if waits {
		l.held = c // its answer may come from elsewhere before this Run is over: what it sent behind waits for that
		return Waiting
	}
	return Done
}

// runFor makes a client the one for which commands run.
func (l *Lane) runFor(c *Client) { l.ctx.Client, l.ctx.NoTouch = c, c.Has(NoTouch) }

// invoke runs one handler, measures it, and reports whether it changed the data set.
func (l *Lane) invoke(c *Client, cmd *command.Cmd, args [][]byte) bool {
	ctx := &l.ctx
	if !l.inExec {
		ctx.Now = l.nowMS()
	}
	l.runFor(c)
	ctx.DBIndex = c.DB
	ctx.DB = l.e.store.DB(c.DB)
	c.LastCmd = cmd
	errors := l.Out.Errors()
	ctx.Begin(cmd, args)
	cmd.Handler(ctx)
	ctx.Finish()
	if ctx.TooLong() && c.Owner != nil {
		c.Owner.Kill("the reply reaches the output limit") // it may be cut, so it must not be all that the client gets
	}
	changed := ctx.IsDirty()
	if changed && ctx.WritableReplica {
		l.noteOwn(cmd, args)
	}
	took := l.clock() + l.nested
	l.nested = 0
	if c.waiter.Load() != nil {
		c.waiter.Load().spent = took
		return changed // counted when the wait is over
	}
	s := &l.stats.commands[cmd.Index]
	s.Calls++
	s.Nanos += int64(took)
	if l.tracked {
		l.trackLatency(cmd, took)
	}
	if l.Out.Errors() != errors {
		s.Failed++
		if !l.counted {
			l.countError()
		}
	}
	l.counted = false
	if took >= l.e.stats.slow() {
		l.e.stats.noteSlow(l, c, cmd, args, took)
	}
	return changed
}

func isExec(cmd *command.Cmd) bool { return cmd.Flags&command.Write == 0 && cmd.FullName == "exec" }

// isAttack recognizes an HTTP request aimed at the server by a browser.
func isAttack(name []byte) bool {
	return equalFold(name, "post") || equalFold(name, "host:")
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
