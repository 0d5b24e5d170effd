package engine

import (
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// Nest executes commands inside of a running one: those of a script. It belongs to the lane that runs the outer command
// and is good until End.
type Nest struct {
	l       *Lane
	outer   command.Outer
	caller  *Client
	cmd     *command.Cmd // the outer command and its arguments
	args    [][]byte
	stopped bool
}

// NestIn opens a nest in the running command. The lock must be held exclusively.
func (e *Engine) NestIn(ctx *command.Ctx) *Nest {
	v, ok := ctx.Env.(*env)
	if !ok {
		panic("engine: this context belongs to no lane")
	}
	return &Nest{l: v.l, caller: Of(ctx), cmd: ctx.Cmd, args: ctx.Args, outer: ctx.Enter()}
}

// End closes the nest.
func (n *Nest) End() { n.l.ctx.Leave(n.outer) }

// LetScripts lets scripts run every command, those that are not meant for them too: for tests. The lock must be held
// exclusively.
func (e *Engine) LetScripts(on bool) { e.scriptsMayAll = on }

// MayAll tells whether LetScripts is on.
func (n *Nest) MayAll() bool { return n.l.e.scriptsMayAll }

// State is what stood between the outer command and its execution, as of the start of the hold.
func (n *Nest) State() State {
	st := n.l.st
	if !n.l.gateOpen && st&Replica == 0 {
		st |= Parked // without the right to write
	}
	return st
}

// Skip keeps the effects of what follows from some readers of the log.
func (n *Nest) Skip(s command.Skip) { n.l.ctx.Skip = s }

// Applying reports whether the outer command comes from the master's stream or from a file.
func (n *Nest) Applying() bool { return n.l.applying }

// Call executes a command that passed all checks, for a client without a connection.
func (n *Nest) Call(c *Client, cmd *command.Cmd, args [][]byte, out *resp.Writer) {
	l, ctx := n.l, &n.l.ctx
	c.caller = n.caller
	ctx.Client, ctx.DBIndex, ctx.DB, ctx.Out = c, c.DB, l.e.store.DB(c.DB), out
	out.SetProto(c.Proto)
	errors := out.Errors()
	took := l.clock() // what the script itself took is not the command's
	ctx.Begin(cmd, args)
	cmd.Handler(ctx)
	ctx.FinishInner()
	if ctx.IsDirty() && ctx.WritableReplica {
		l.noteOwn(cmd, args)
	}
	if n.caller != nil && n.caller.Has(Remembers) && readsKeys(cmd) {
		l.e.remember(n.caller, n.cmd, n.args) // as in Redis all keys that the script was given
	}
	if l.st&monitored != 0 && cmd.Flags&(command.Admin|command.SkipMonitor) == 0 {
		l.e.monitor(Shown{Source: "lua", DB: c.DB, Cmd: cmd, Args: args})
	}
	inner := l.clock()
	n.l.nested += took + inner
	s := &l.stats.commands[cmd.Index]
	s.Calls++
	s.Nanos += int64(inner)
	if l.tracked {
		l.trackLatency(cmd, inner)
	}
	if out.Errors() != errors {
		s.Failed++
		l.countErrorOf(out)
	}
}

// Refused counts an inner command that was not executed, and its error.
func (n *Nest) Refused(cmd *command.Cmd, why string) {
	w := resp.NewWriter(nil)
	w.Error(why)
	n.l.countErrorOf(w)
	if cmd != nil {
		n.l.stats.commands[cmd.Index].Rejected++
	}
}

// Breathe lets the server answer while a command goes on for long: every other command is refused with the text, but for
// those that are allowed then (SCRIPT KILL). The engine's lock is given up meanwhile to lanes only: nobody else, no
// cycle and no replica's link, sees the data in between. Call it repeatedly; the end of the outer command ends it.
func (n *Nest) Breathe(why string) {
	e := n.l.e
	if !n.stopped {
		n.stopped = true
		n.l.flushUnits()
		e.beginBusy(why)
	}
	if n.l.WhileBusy != nil {
		n.l.WhileBusy()
	}
	e.mu.Unlock()
	e.yield()
	e.mu.Lock()
}

// Resume ends what Breathe began.
func (n *Nest) Resume() {
	if n.stopped {
		n.stopped = false
		n.l.e.endBusy()
	}
}

// ErrorCounted says that the outer command's error is one that an inner command was counted for.
func (n *Nest) ErrorCounted() { n.l.counted = true }
