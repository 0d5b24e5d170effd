package script

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	lua "github.com/yuin/gopher-lua"
)

// debugger is a session of SCRIPT DEBUG SYNC: a script that stops at its lines and does what its client says. The
// connection has left its loop; while the session lasts the script holds the engine's lock, as in Redis, so nobody else is
// served. What is said, and how, is redis-cli's (--ldb-sync-mode).
//
//	EVAL ->   loop: connection detached -> goroutine: lane runs EVAL -> before every instruction: stop? -> read, answer
//
// The interpreter tells the line of the instruction before the one to come: the script stops when the first step of a line
// is done, which for a line of one step (local a = 1) is after it.
type debugger struct {
	conn   net.Conn
	in     *resp.Reader
	source []string
	breaks []int
	step   bool
	called bool // redis.breakpoint()
	inside bool // evaluates something: nothing stops in there
	line   int
	maxLen int
	hinted bool // that long replies are cut
	said   []string
}

// What the protocol of redis-cli fixes.
const (
	debugContext = 5
	maxBreaks    = 64
	minMaxLen    = 60
	firstMaxLen  = 256
)

var errAborted = errors.New("script aborted for user request")

// debugged is the debugger whose client runs the command.
func debugged(c *command.Ctx) *debugger {
	if cl := engine.Of(c); cl != nil {
		d, _ := cl.Session.(*debugger)
		return d
	}
	return nil
}

// beginDebug takes the client's connection for a session.
func (h *Host) beginDebug(c *command.Ctx) {
	outer := engine.Of(c)
	args := make([][]byte, len(c.Args))
	for i, a := range c.Args {
		args[i] = bytes.Clone(a)
	}
	d := &debugger{source: strings.Split(string(args[1]), "\n"), step: true, maxLen: firstMaxLen}
	inner := &engine.Client{Flags: engine.Internal, DB: outer.DB, Proto: outer.Proto, Session: d}
	inner.ActFor(outer)
	outer.Owner.Detach(func(conn net.Conn, unread []byte) {
		d.conn, d.in = conn, resp.NewReader(io.MultiReader(bytes.NewReader(unread), conn))
		h.debug(d, inner, args)
	})
}

// debug runs the script; the connection ends with the session.
func (h *Host) debug(d *debugger, c *engine.Client, args [][]byte) {
	lane := h.e.NewLane()
	defer lane.Close()
	items := []engine.Item{{Client: c, Cmd: h.e.Table.Canonical(args[0]), Args: args}}
	if items[0].Cmd == nil { // renamed
		items[0].Cmd = h.e.Table.Resolve(args)
	}
	lane.Run(items)
	if !lane.MayLeave() {
		return
	}
	d.say("<endsession>")
	d.send()
	lane.Out.Segments(items[0].Start, items[0].End, func(plain []byte, blob resp.Blob) {
		_, _ = d.conn.Write(plain) // who has gone hears nothing
		if blob != nil {
			_, _ = d.conn.Write(blob.Bytes())
			blob.Release()
		}
	})
}

func (d *debugger) say(line string) { d.said = append(d.said, line) }

// tell says something that is cut when it is long.
func (d *debugger) tell(line string) {
	if d.maxLen == 0 || len(line) <= d.maxLen {
		d.say(line)
		return
	}
	d.say(line[:d.maxLen] + " ...")
	if !d.hinted {
		d.hinted = true
		d.say("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.")
	}
}

// send writes what was said as one reply.
func (d *debugger) send() {
	w := resp.NewWriter(nil)
	w.Array(len(d.said))
	for _, line := range d.said {
		w.Simple(oneLine(line))
	}
	d.said = d.said[:0]
	_, _ = d.conn.Write(w.Bytes()) // the next read will tell
}

// look is called before every instruction.
func (d *debugger) look(r *run) error {
	if d.inside {
		return nil
	}
	line, ok := r.s.lineToCome()
	if !ok || line == d.line {
		return nil
	}
	d.line = line
	reason := "step over"
	switch {
	case slices.Contains(d.breaks, line):
		reason = "break point"
	case d.called:
		reason = "redis.breakpoint() called"
	case !d.step:
		return nil
	}
	d.step, d.called = false, false
	d.say("* Stopped at " + itoa(line) + ", stop reason = " + reason)
	d.list(line, 0)
	return d.converse(r)
}

// lineToCome is where the innermost function of the script is.
func (s *state) lineToCome() (line int, ok bool) {
	dbg, ok := s.l.GetStack(0)
	if !ok {
		return 0, false
	}
	fn, err := s.l.GetInfo("Slf", dbg, lua.LNil)
	f, isFn := fn.(*lua.LFunction)
	if err != nil || !isFn || f.IsG || dbg.Source != scriptChunk {
		return 0, false
	}
	if dbg.CurrentLine == 0 && len(f.Proto.DbgSourcePositions) > 0 { // at its first instruction
		return f.Proto.DbgSourcePositions[0], true
	}
	return dbg.CurrentLine, dbg.CurrentLine > 0
}

// converse answers the client until the script shall go on. A client that has gone lets it run to its end.
func (d *debugger) converse(r *run) error {
	d.send()
	for {
		v, err := d.in.Read()
		if err != nil {
			d.breaks = nil
			return nil //nolint:nilerr // the client has gone: nobody is left to tell
		}
		words := make([]string, len(v.Elems))
		for i := range v.Elems {
			words[i] = string(v.Elems[i].Str)
		}
		goOn, err := d.obey(r, words)
		if goOn || err != nil {
			return err
		}
		d.send()
	}
}

// obey follows one command of the client.
func (d *debugger) obey(r *run, words []string) (goOn bool, err error) {
	if len(words) == 0 {
		words = []string{""}
	}
	args := words[1:]
	is := func(short, long string) bool {
		return strings.EqualFold(words[0], short) || strings.EqualFold(words[0], long)
	}
	switch {
	case is("h", "help"):
		d.said = append(d.said, debuggerHelp...)
	case is("s", "step"), is("n", "next"):
		d.step = true
		return true, nil
	case is("c", "continue"):
		return true, nil
	case is("a", "abort"):
		return false, errAborted
	case is("t", "trace"):
		d.trace(r.s.l)
	case is("b", "break"):
		d.setBreaks(args)
	case is("p", "print"):
		d.print(r, args)
	case is("l", "list"):
		around, context := d.line, debugContext
		if len(args) > 0 && atoi(args[0]) != 0 {
			around = atoi(args[0])
		}
		if len(args) > 1 {
			context = atoi(args[1])
		}
		d.list(around, context)
	case is("w", "whole"):
		d.list(1, len(d.source))
	case is("e", "eval") && len(args) > 0:
		d.eval(r, strings.Join(args, " "))
	case is("r", "redis") && len(args) > 0:
		d.redis(r, args)
	case is("m", "maxlen") && len(args) <= 1:
		d.setMaxLen(args)
	default:
		d.say("<error> Unknown Redis Lua debugger command or wrong number of arguments.")
	}
	return false, nil
}

func (d *debugger) setMaxLen(args []string) {
	if len(args) == 1 {
		if d.maxLen, d.hinted = atoi(args[0]), true; d.maxLen != 0 {
			d.maxLen = max(d.maxLen, minMaxLen)
		}
	}
	if d.maxLen == 0 {
		d.say("<value> replies are unlimited.")
		return
	}
	d.say("<value> replies are truncated at " + itoa(d.maxLen) + " bytes.")
}

// list shows source lines.
func (d *debugger) list(around, context int) {
	for i := max(1, around-context); i <= around+context && i <= len(d.source); i++ {
		here, mark := "  ", " "
		if i == d.line {
			here = "->"
		}
		if slices.Contains(d.breaks, i) {
			mark = "#"
		}
		number := itoa(i)
		d.say(here + mark + number + strings.Repeat(" ", max(0, 3-len(number))) + " " + d.source[i-1])
	}
}

func (d *debugger) setBreaks(args []string) {
	if len(args) == 0 {
		if len(d.breaks) == 0 {
			d.say("No breakpoints set. Use 'b <line>' to add one.")
			return
		}
		d.say(itoa(len(d.breaks)) + " breakpoints set:")
		for _, line := range d.breaks {
			d.list(line, 0)
		}
		return
	}
	for _, a := range args {
		n, isInt := resp.ParseInt([]byte(a))
		d.setBreak(int(n), isInt, a)
	}
}

// setBreak sets a breakpoint, or removes one or all.
func (d *debugger) setBreak(n int, isInt bool, word string) {
	switch {
	case !isInt:
		d.say("Invalid argument:'" + word + "'")
	case n == 0:
		d.breaks = nil
		d.say("All breakpoints removed.")
	case n > 0 && n <= len(d.source) && len(d.breaks) == maxBreaks:
		d.say("Too many breakpoints set.")
	case n > 0 && n <= len(d.source):
		if !slices.Contains(d.breaks, n) {
			d.breaks = append(d.breaks, n)
		}
		d.list(n, 1)
	case n < 0 && slices.Contains(d.breaks, -n):
		d.breaks = slices.DeleteFunc(d.breaks, func(line int) bool { return line == -n })
		d.say("Breakpoint removed.")
	case n < 0:
		d.say("No breakpoint in the specified line.")
	default:
		d.say("Wrong line number.")
	}
}

var debuggerHelp = []string{
	"The debugger's commands, or their first letters:",
	"[h]elp               This text.",
	"[s]tep, [n]ext       Go on to the next line.",
	"[c]ontinue           Go on to the next breakpoint, or to the end.",
	"[l]ist [line [ctx]]  Lines around a line, or around the present one (0).",
	"[w]hole              All lines.",
	"[p]rint [var]        A variable, KEYS or ARGV; all local ones without a name.",
	"[b]reak [line ...]   Set breakpoints; -line removes one, 0 all; without a line: show them.",
	"[t]race              The calls that led here.",
	"[e]val <code>        Run Lua code, which sees no local variables.",
	"[r]edis <cmd>        Run a command as the script would.",
	"[m]axlen [len]       Where long values are cut; 0: nowhere.",
	"[a]bort              End the script; what it wrote stays.",
	"Scripts may call redis.debug() to print values and redis.breakpoint() to stop at the next line.",
}
