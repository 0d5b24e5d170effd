package script

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	lua "github.com/yuin/gopher-lua"
)

// Options of a Host.
type Options struct {
	Engine *engine.Engine
	// Version is what redis.REDIS_VERSION says.
	Version string
	// BusyAfter is busy-reply-threshold; 0 or less: a script is never interrupted.
	BusyAfter func() time.Duration
	// Logf writes a line to the server's log at one of the levels LogDebug to LogWarning.
	Logf func(level int, text string)
}

// The names of the chunks, as errors show them.
const (
	scriptChunk   = "user_script"
	functionChunk = "user_function"
)

// Host runs scripts and functions. Everything but kill is guarded by the engine's exclusive lock.
type Host struct {
	o         Options
	e         *engine.Engine
	scripts   *state
	cache     map[string]*script // by digest
	functions *state
	lib       libraries
	now       *run        // the running script
	killed    atomic.Bool // the running one must end
}

// New makes a host and attaches its commands.
func New(o Options) *Host {
	if o.BusyAfter == nil {
		o.BusyAfter = func() time.Duration { return 0 }
	}
	if o.Logf == nil {
		o.Logf = func(int, string) {}
	}
	h := &Host{o: o, e: o.Engine}
	h.flushScripts()
	h.functions = newState(h, functionChunk)
	h.lib.reset()
	for name, fn := range map[string]command.Handler{
		"eval":        func(c *command.Ctx) { h.eval(c, false, false) },
		"eval_ro":     func(c *command.Ctx) { h.eval(c, false, true) },
		"evalsha":     func(c *command.Ctx) { h.eval(c, true, false) },
		"evalsha_ro":  func(c *command.Ctx) { h.eval(c, true, true) },
		"fcall":       func(c *command.Ctx) { h.fcall(c, false) },
		"fcall_ro":    func(c *command.Ctx) { h.fcall(c, true) },
		"script|load": h.scriptLoad, "script|exists": h.scriptExists, "script|flush": h.scriptFlush, "script|debug": scriptDebug, "script|help": scriptHelp,
		"script|kill":   func(c *command.Ctx) { h.kill(c, scriptChunk) },
		"function|kill": func(c *command.Ctx) { h.kill(c, functionChunk) },
		"function|load": h.functionLoad, "function|delete": h.functionDelete, "function|flush": h.functionFlush, "function|list": h.functionList,
		"function|stats": h.functionStats, "function|dump": h.functionDump, "function|restore": h.functionRestore, "function|help": functionHelp,
	} {
		h.e.Table.Attach(name, fn)
	}
	h.e.OnFlags(h.commandFlags)
	h.e.OnLibraries(h.Libraries, h.LoadLibraries)
	h.e.OnCodeCounts(func() (scripts, functions, libraries int) {
		scripts, functions, libraries, _ = h.Memory()
		return scripts, functions, libraries
	})
	return h
}

// flags of scripts and functions.
type flags uint8

const (
	noWrites flags = 1 << iota
	allowOOM
	allowStale
	noCluster
	allowCrossSlot
	compat // a script without a shebang: its commands are judged one by one
)

var flagNames = []struct {
	name string
	flag flags
}{{"no-writes", noWrites}, {"allow-oom", allowOOM}, {"allow-stale", allowStale}, {"no-cluster", noCluster}, {"allow-cross-slot-keys", allowCrossSlot}}

func flagByName(name string) flags {
	for _, f := range flagNames {
		if f.name == name {
			return f.flag
		}
	}
	return 0
}

// run is one execution.
type run struct {
	h       *Host
	s       *state
	fn      *lua.LFunction
	name    string // digest or function name
	flags   flags
	ro      bool
	nest    *engine.Nest
	debug   *debugger // nil: nobody debugs it
	client  engine.Client
	out     *resp.Writer // of the inner commands
	st      engine.State
	began   time.Time
	wrote   atomic.Bool
	args    [][]byte // of the outer command
	slow    bool     // the log was told that it goes on for long
	counted bool     // the uncaught error was counted with an inner command
}

const errUnkillable = "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."

// busyText is what other clients get while a script of this kind goes on for long.
func busyText(chunk string) string {
	word := "SCRIPT"
	if chunk == functionChunk {
		word = "FUNCTION"
	}
	return "-BUSY Redis is busy running a script. You can only call " + word + " KILL or SHUTDOWN NOSAVE."
}

// execute runs a function of Lua and writes its result as the reply.
func (h *Host) execute(c *command.Ctx, r *run, keys, argv [][]byte) {
	r.h, r.args, r.began, r.out = h, c.Args, time.Now(), resp.NewWriter(nil)
	out := c.Out
	r.nest = h.e.NestIn(c)
	r.st = r.nest.State()
	defer r.nest.End()
	if why := r.mayStart(); why != "" {
		out.Error(why)
		return
	}
	r.client = engine.Client{Flags: engine.Internal, Proto: 2, DB: c.DBIndex}
	r.client.ActFor(engine.Of(c))
	h.now = r
	h.killed.Store(false)
	v, err := r.protected(keys, argv)
	h.now = nil
	r.nest.Resume()
	var counted bool
	if err != "" {
		out.Error("-" + oneLine(err))
		counted = r.counted
	} else {
		w := writer{out: out, resp3: r.client.Proto == 3}
		w.value(v, 0)
		counted = w.counted
	}
	if counted {
		r.nest.ErrorCounted()
	}
	r.s.l.SetTop(0)
}

// protected calls the function and answers its value, or the error's text without the dash.
func (r *run) protected(keys, argv [][]byte) (lua.LValue, string) {
	s, l := r.s, r.s.l
	s.tick.start(r.look)
	if r.debug != nil {
		s.tick.start(func() error { return r.debug.look(r) })
		s.tick.each = true
	}
	defer s.tick.stop()
	l.SetTop(0)
	kt, at := s.list(keys), s.list(argv)
	l.Push(r.fn)
	n := 0
	if s.name == scriptChunk {
		s.globals.RawSetString("KEYS", kt)
		s.globals.RawSetString("ARGV", at)
	} else {
		l.Push(kt)
		l.Push(at)
		n = 2
	}
	var where string
	err := l.PCall(n, 1, l.NewFunction(func(l *lua.LState) int {
		where = s.position(l)
		l.Push(l.Get(1))
		return 1
	}))
	if err == nil {
		return l.Get(-1), ""
	}
	return nil, r.errorText(err, where)
}

// position is "@chunk:line" of the innermost Lua function.
func (s *state) position(l *lua.LState) string {
	for level := 1; level < 50; level++ {
		dbg, ok := l.GetStack(level)
		if !ok {
			break
		}
		if _, err := l.GetInfo("Sl", dbg, lua.LNil); err == nil && dbg.What != "G" && dbg.CurrentLine > 0 {
			return "@" + dbg.Source + ":" + itoa(dbg.CurrentLine)
		}
	}
	return ""
}

// errorText is what an uncaught error answers: with its code, the script and the place.
func (r *run) errorText(err error, where string) string {
	msg := "ERR " + strings.TrimPrefix(err.Error(), "context: ")
	var api *lua.ApiError
	if errors.As(err, &api) {
		switch o := api.Object.(type) {
		case lua.LString:
			msg = "ERR " + strings.Replace(string(o), "attempt to call a non-function object", "attempt to call a nil value", 1)
		case lua.LNumber:
			msg = "ERR " + number(float64(o), 14)
		case *lua.LTable:
			msg = "ERR unknown error"
			if s, ok := o.RawGetString("err").(lua.LString); ok {
				msg = string(s)
			}
			if lua.LVAsBool(o.RawGetString("ignore_error_stats_update")) {
				r.counted = true
			}
		default:
			if api.Type == lua.ApiErrorPanic {
				msg = "ERR " + panicText(api.Error())
			} else {
				msg = "ERR " + o.String()
			}
		}
	}
	if where != "" {
		msg += " script: " + r.name + ", on " + where + "."
	}
	return msg
}

// panicText shortens what the interpreter says when it runs out of something.
func panicText(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func (s *state) list(words [][]byte) *lua.LTable {
	t := s.l.CreateTable(len(words), 0)
	for i, w := range words {
		t.RawSetInt(i+1, lua.LString(w))
	}
	return t
}

// look is what a long script meets now and then.
func (r *run) look() error {
	if after := r.h.o.BusyAfter(); after > 0 && time.Since(r.began) > after {
		if !r.slow {
			r.slow = true
			r.h.o.Logf(LogWarning, fmt.Sprintf("Slow script detected: still in execution after %d milliseconds (%s).", time.Since(r.began).Milliseconds(), r.s.name))
		}
		r.nest.Breathe(busyText(r.s.name))
	}
	if r.h.killed.Load() {
		word := "SCRIPT"
		if r.s.name == functionChunk {
			word = "FUNCTION"
		}
		r.h.o.Logf(LogNotice, "Lua script killed by user with "+word+" KILL.")
		return errors.New("Script killed by user with " + word + " KILL...")
	}
	return nil
}

// bytes are those of the latest inner reply.
func (r *run) bytes() []byte {
	if !r.out.HasRefs() {
		return r.out.Bytes()
	}
	var flat []byte
	r.out.Segments(0, r.out.Len(), func(plain []byte, blob resp.Blob) {
		if flat = append(flat, plain...); blob != nil {
			flat = append(flat, blob.Bytes()...)
			blob.Release()
		}
	})
	return flat
}

// stale: a replica without its master that must not serve what it has.
func (r *run) stale() bool {
	return r.st&(engine.Replica|engine.LinkDown|engine.ServeStale) == engine.Replica|engine.LinkDown
}

// mayStart answers why the script as a whole must not run. Scripts without flags are judged command by command instead.
func (r *run) mayStart() string {
	const (
		errDown     = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
		errReplica  = "-READONLY You can't write against a read only replica."
		errRO       = "Can not execute a script with write flag using *_ro command."
		errMemory   = "-OOM command not allowed when used memory > 'maxmemory'."
		errReplicas = "-NOREPLICAS Not enough good replicas to write."
	)
	if r.flags&compat != 0 {
		if r.stale() {
			return errDown
		}
		return ""
	}
	master := r.st&engine.Replica == 0
	switch {
	case r.nest.Applying():
		return ""
	case r.stale() && r.flags&allowStale == 0:
		return errDown
	case r.flags&noWrites != 0:
		return ""
	case r.st&(engine.Replica|engine.ReadOnly) == engine.Replica|engine.ReadOnly || r.st&engine.Parked != 0:
		return errReplica
	case master && r.st&engine.DiskError != 0:
		return r.h.e.DiskRefusal()
	case r.ro:
		return errRO
	case master && r.st&engine.TooFewGood != 0:
		return errReplicas
	case r.st&engine.OutOfMemory != 0 && r.flags&allowOOM == 0:
		return errMemory
	}
	return ""
}

// refusal answers why an inner command must not run.
func (r *run) refusal(cmd *command.Cmd, args [][]byte) string {
	switch {
	case cmd == nil || cmd.Handler == nil && len(cmd.Subs) == 0:
		return "-ERR Unknown Redis command called from script"
	case !cmd.ArityOK(len(args)) || cmd.Handler == nil:
		return "-ERR Wrong number of args calling Redis command from script"
	case cmd.Flags&command.NoScript != 0 && !r.nest.MayAll():
		return "-ERR This Redis command is not allowed from script"
	}
	if why := r.client.Forbidden(cmd, args, engine.InScript); why != "" {
		return why
	}
	return r.untimely(cmd)
}

// untimely answers why an inner command must not run now.
func (r *run) untimely(cmd *command.Cmd) string {
	master := r.st&engine.Replica == 0
	switch {
	case r.stale() && cmd.Flags&command.Stale == 0:
		return "-ERR Can not execute the command on a stale replica"
	case (r.ro || r.flags&noWrites != 0) && cmd.Flags&(command.Write|command.MayReplicate) != 0:
		return "-ERR Write commands are not allowed from read-only scripts."
	case r.wrote.Load() || r.nest.Applying():
		return "" // half a script is worse than what the rules below prevent
	case cmd.IsWrite() && (r.st&(engine.Replica|engine.ReadOnly) == engine.Replica|engine.ReadOnly || r.st&engine.Parked != 0):
		return "-READONLY You can't write against a read only replica."
	case cmd.IsWrite() && master && r.st&engine.DiskError != 0:
		return r.h.e.DiskRefusal()
	case cmd.IsWrite() && master && r.st&engine.TooFewGood != 0:
		return "-NOREPLICAS Not enough good replicas to write."
	case cmd.Flags&command.DenyOOM != 0 && r.st&engine.OutOfMemory != 0 && r.flags&(allowOOM|noWrites) == 0:
		return "-OOM command not allowed when used memory > 'maxmemory'."
	}
	return ""
}

// kill is SCRIPT KILL and FUNCTION KILL.
func (h *Host) kill(c *command.Ctx, chunk string) {
	r := h.now
	switch {
	case r == nil:
		c.Out.Error("-NOTBUSY No scripts in execution right now.")
	case r.nest.Applying():
		c.Out.Error("-UNKILLABLE The busy script was sent by a master instance in the context of replication and cannot be killed.")
	case r.wrote.Load():
		c.Out.Error(errUnkillable)
	case r.s.name != chunk:
		c.Out.Error(busyText(r.s.name))
	default:
		h.killed.Store(true)
		c.Out.OK()
	}
}

var parserWords = regexp.MustCompile(`(?s)^(.*?) line:(\d+)\(column:\d+\) near '(.*)':\s*(.*?)\s*$`)
var atEOF = regexp.MustCompile(`(?s)^(.*?) at EOF:\s*(.*?)\s*$`)

// parseError gives the parser's words the shape of Lua's.
func parseError(name, msg string) string {
	if m := parserWords.FindStringSubmatch(msg); m != nil {
		return name + ":" + m[2] + ": " + m[4] + " near '" + strings.TrimSpace(m[3]) + "'"
	}
	if m := atEOF.FindStringSubmatch(msg); m != nil {
		return name + ":1: " + m[2] + " near '<eof>'"
	}
	return oneLine(strings.TrimSpace(msg))
}
