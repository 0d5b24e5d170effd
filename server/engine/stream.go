package engine

import (
	"fmt"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// Applier executes a master's stream or the commands of a file. What it executes is not propagated: the stream's own
// bytes are the log's (link appends them in commit), and a file's are there already.
type Applier struct {
	lane *Lane
	c    Client
	name string // of the source, for the log

	stopped bool // guarded by the engine's lock
}

// NewApplier makes an applier for one source. Close it when the source ends.
func (e *Engine) NewApplier(name string) *Applier {
	a := &Applier{lane: e.NewLane(), name: name}
	a.lane.applying, a.lane.exclusive = true, true
	a.lane.ctx.FromMaster = true
	a.c = Client{Flags: Internal, Proto: 2}
	return a
}

// NewApplierIn makes an applier for a source that a running command executes, with the lock it has: ApplyHeld is called, and
// CloseHeld in the end. Where a script goes on for long, others are answered as in the middle of that command.
func (e *Engine) NewApplierIn(ctx *command.Ctx, name string) *Applier {
	a := e.NewApplier(name)
	if v, ok := ctx.Env.(*env); ok {
		a.lane.WhileBusy = v.l.WhileBusy
	}
	return a
}

// CloseHeld is Close with the lock held exclusively.
func (a *Applier) CloseHeld() { a.lane.closeHeld() }

// DB is the database that the stream has selected.
func (a *Applier) DB() int { return a.c.DB }

// SelectDB sets it: after a full sync, or for a stream that goes on (repl-stream-db).
// The lock must be held exclusively.
func (a *Applier) SelectDB(db int) {
	a.c.DB = db
	a.lane.e.Log.SetSelected(db)
}

// Stop makes Apply do nothing from here on: the source is no longer this server's master. The lock must be held
// exclusively, so that nothing of the source is executed after whatever comes next under the same hold.
func (a *Applier) Stop() { a.stopped = true }

// Close gives the applier's counters back.
func (a *Applier) Close() { a.lane.Close() }

// StreamError is a command of the stream that could not be executed: the replica's data may differ from its master's.
type StreamError struct {
	Source, Command, Text string
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("== CRITICAL == This replica is sending an error to its master: '%s' after processing the command '%s' (source %s)", e.Text, e.Command, e.Source)
}

// Apply executes commands in holds of the lock. Transactions must be whole: when MULTI is among cmds, its EXEC is too,
// and no hold ends between them. After each hold's commands, still under the lock, commit is called with the number of
// commands executed so far; link appends their raw bytes to the log there, so that offset and data move together.
// Errors of single commands are given to report and do not stop the stream.
func (a *Applier) Apply(cmds [][][]byte, commit func(done int), report func(err *StreamError)) {
	a.lane.mayMake = true
	for done := 0; done < len(cmds); {
		done = a.hold(cmds, done, commit, report)
		if a.lane.making != nil {
			a.make()
		}
	}
	a.lane.mayMake = false
	a.lane.e.wake()
}

// makes lets a command of the stream go on: the hold ends before it, and it is executed anew in the next. Nobody but the
// stream writes on most replicas, so nothing changes in between, while readers go on.
func (l *Lane) makes(ctx *command.Ctx, begin func() *command.Long) bool {
	if !l.mayMake || l.inExec || l.st&Loading != 0 || l.e.closed() {
		return false
	}
	m := &making{e: l.e}
	if !m.begin(ctx, begin) {
		return false
	}
	l.making = m
	l.e.longs.begun.Add(1)
	return true
}

// make makes the result of the command that has just gone on.
func (a *Applier) make() {
	m, e := a.lane.making, a.lane.e
	e.longs.now.Add(1)
	defer e.longs.now.Add(-1)
	stopped := func() bool { return a.stopped || e.closed() }
	r := &longRead{e: e, long: m.long, over: stopped}
	if r.holds(); !a.given(stopped) {
		r.rest()
		m.fillAll(stopped)
		a.given(stopped)
	}
}

// given gives up what is being made when the source is not the master any more.
func (a *Applier) given(stopped func() bool) (up bool) {
	e := a.lane.e
	e.lock()
	defer e.mu.Unlock()
	if up = stopped(); up {
		a.lane.making.drop()
		a.lane.making = nil
	}
	return up
}

func (a *Applier) hold(cmds [][][]byte, at int, commit func(int), report func(*StreamError)) int {
	a.lane.e.lock()
	defer a.lane.e.mu.Unlock()
	if a.stopped {
		return len(cmds)
	}
	return a.held(cmds, at, commit, report)
}

// ApplyHeld is Apply for a caller that has the lock to itself, and keeps it (DEBUG LOADAOF).
func (a *Applier) ApplyHeld(cmds [][][]byte, report func(err *StreamError)) {
	for done := 0; done < len(cmds); {
		done = a.held(cmds, done, nil, report)
	}
}

func (a *Applier) held(cmds [][][]byte, at int, commit func(int), report func(*StreamError)) int {
	l := a.lane
	l.enter()
	if len(cmds)-at >= warmFrom {
		a.warm(cmds[at:min(len(cmds), at+holdCommands)])
	}
	end, from := l.monoBase+holdTime, at
	inMulti := false
	for n := 0; at < len(cmds) && !(n > 0 && l.making != nil); n++ {
		if !inMulti && (n >= holdCommands || l.mono > end) {
			break
		}
		args := cmds[at]
		at++
		switch {
		case len(args) == 0:
		case equalFold(args[0], "multi"):
			inMulti = true
			l.ctx.Now = l.nowMS()
			l.inExec = true
		case equalFold(args[0], "exec"):
			inMulti, l.inExec = false, false
		default:
			a.one(args, report)
			if l.making != nil {
				at--
			}
		}
	}
	l.inExec = false
	if commit != nil && at > from {
		commit(at)
		l.e.Log.SetSelected(a.c.DB)
	}
	l.e.serveLocked()
	l.e.bg.flushAll()
	return at
}

// warm fetches the memory of the commands' keys, which nearly always are the first argument, in the database where the
// stream is now.
func (a *Applier) warm(cmds [][][]byte) {
	l := a.lane
	keys := l.keys[:0]
	for _, args := range cmds {
		if len(args) > 1 {
			keys = append(keys, args[1])
		}
	}
	l.warmed += l.e.store.DB(a.c.DB).Warm(keys)
	clear(keys)
	l.keys = keys[:0]
}

func (a *Applier) one(args [][]byte, report func(*StreamError)) {
	l := a.lane
	if equalFold(args[0], "select") && len(args) == 2 {
		db, ok := resp.ParseInt(args[1])
		if ok && db >= 0 && int(db) < l.e.store.Databases() {
			a.c.DB = int(db)
			return
		}
		a.fail(args, "ERR DB index is out of range", report)
		return
	}
	cmd := l.e.Table.ResolveCanonical(args)
	switch {
	case cmd == nil || cmd.Handler == nil:
		a.fail(args, l.e.Table.UnknownError(args), report)
		return
	case !cmd.ArityOK(len(args)):
		a.fail(args, cmd.ArityError(), report)
		return
	case cmd.Flags&(command.Write|command.MayReplicate) == 0:
		return // PING, REPLCONF GETACK: the link has seen them
	}
	before := l.Out.Errors()
	l.invokeStream(&a.c, cmd, args)
	if l.making != nil {
		return
	}
	if l.st&monitored != 0 && cmd.Flags&(command.Admin|command.SkipMonitor) == 0 {
		l.e.monitor(Shown{Source: a.name, DB: a.c.DB, Cmd: cmd, Args: args})
	}
	if l.Out.Errors() != before {
		a.fail(args, string(l.Out.LastError()), report)
	}
	l.Out.Reset()
}

func (a *Applier) fail(args [][]byte, text string, report func(*StreamError)) {
	if report != nil {
		report(&StreamError{Source: a.name, Command: string(args[0]), Text: text})
	}
}

// invokeStream is invoke without a client: nobody is answered, watched keys are touched all the same.
func (l *Lane) invokeStream(c *Client, cmd *command.Cmd, args [][]byte) {
	ctx := &l.ctx
	if !l.inExec {
		ctx.Now = l.nowMS()
	}
	ctx.Client, ctx.NoTouch = nil, false
	ctx.DBIndex = c.DB
	ctx.DB = l.e.store.DB(c.DB)
	ctx.Begin(cmd, args)
	m := l.making
	var made *command.Made
	if m != nil {
		m.again = false
		made = m.result(l)
		ctx.With(made)
	}
	cmd.Handler(ctx)
	if made != nil {
		ctx.With(nil)
		made.Drop() // what the command did not take after all
	}
	if l.making != nil {
		if l.making.again {
			return
		}
		l.making = nil
	}
	ctx.Finish()
	ctx.ResetEffects()
	s := &l.stats.commands[cmd.Index]
	s.Calls++
	s.Nanos += int64(l.clock())
}
