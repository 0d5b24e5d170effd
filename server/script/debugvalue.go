package script

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	lua "github.com/yuin/gopher-lua"
)

// What the debugger shows of variables and replies.

// atoi reads a number as C's atoi does: what is none is 0.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// eachLocal visits the local variables of a level, false when there is no such level.
func eachLocal(l *lua.LState, level int, fn func(name string, v lua.LValue)) bool {
	dbg, ok := l.GetStack(level)
	if !ok {
		return false
	}
	if f, err := l.GetInfo("f", dbg, lua.LNil); err != nil || f.(*lua.LFunction).IsG {
		return true
	}
	for i := 1; ; i++ {
		name, v := l.GetLocal(dbg, i)
		if name == "" {
			return true
		}
		if name[0] != '(' {
			fn(name, v)
		}
	}
}

func (d *debugger) print(r *run, args []string) {
	l := r.s.l
	if len(args) == 0 {
		n := 0
		eachLocal(l, 0, func(name string, v lua.LValue) {
			n++
			d.tell("<value> " + name + " = " + show(v, 0))
		})
		if n == 0 {
			d.say("No local variables in the current context.")
		}
		return
	}
	var found lua.LValue
	for level := 0; found == nil && eachLocal(l, level, func(name string, v lua.LValue) {
		if name == args[0] {
			found = v
		}
	}); level++ {
	}
	if found == nil && (args[0] == "KEYS" || args[0] == "ARGV") {
		found = r.s.globals.RawGetString(args[0])
	}
	if found == nil {
		d.say("No such variable.")
		return
	}
	d.tell("<value> " + show(found, 0))
}

// deepest is how far tables within tables are shown.
const deepest = 5

// show prints a value.
func show(v lua.LValue, depth int) string {
	switch v := v.(type) {
	case lua.LString:
		return repr(string(v))
	case lua.LNumber:
		return number(float64(v), 17)
	case *lua.LTable:
		return showTable(v, depth)
	case *lua.LFunction:
		return fmt.Sprintf("\"function@%p\"", v)
	case *lua.LUserData, *lua.LState:
		return fmt.Sprintf("\"%s@%p\"", v.Type(), v)
	}
	return v.String() // nil, true, false
}

func showTable(t *lua.LTable, depth int) string {
	if depth >= deepest {
		return "<max recursion level reached! Nested table?>"
	}
	var plain, keyed []string
	list := true
	t.ForEach(func(k, v lua.LValue) {
		text := show(v, depth+1)
		if n, ok := k.(lua.LNumber); !ok || int(n) != len(plain)+1 {
			list = false
		}
		plain = append(plain, text)
		keyed = append(keyed, "["+show(k, depth+1)+"]="+text)
	})
	if list {
		return "{" + strings.Join(plain, "; ") + "}"
	}
	return "{" + strings.Join(keyed, "; ") + "}"
}

// repr quotes a string as Redis prints arguments.
func repr(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '\\' || c == '"':
			b.Write([]byte{'\\', c})
		case strings.IndexByte("\n\r\t\a\b", c) >= 0:
			b.Write([]byte{'\\', "nrtab"[strings.IndexByte("\n\r\t\a\b", c)]})
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// trace shows the calls that led here.
func (d *debugger) trace(l *lua.LState) {
	word := "In"
	for level := 0; ; level++ {
		dbg, ok := l.GetStack(level)
		if !ok {
			return
		}
		if _, err := l.GetInfo("Snl", dbg, lua.LNil); err != nil || dbg.Source != scriptChunk || dbg.CurrentLine <= 0 {
			continue
		}
		name := dbg.Name
		if dbg.What == "main" || name == "" || name == "?" {
			name = "top level"
		}
		d.say(word + " " + name + ":")
		d.list(dbg.CurrentLine, 0)
		word = "From"
	}
}

// eval runs code beside the script: it sees globals and nothing local.
func (d *debugger) eval(r *run, code string) {
	fn, _ := r.s.compile(r.s.l, "return "+code, "ldb_eval")
	if fn == nil {
		var problem string
		if fn, problem = r.s.compile(r.s.l, code, "ldb_eval"); fn == nil {
			d.tell("<error> " + problem)
			return
		}
	}
	d.inside = true
	defer func() { d.inside = false }()
	th, cancel := r.s.l.NewThread()
	if cancel != nil {
		defer cancel()
	}
	th.Push(fn)
	if err := th.PCall(0, 1, nil); err != nil {
		d.tell("<error> " + strings.TrimPrefix(r.errorText(err, ""), "ERR "))
		return
	}
	d.tell("<retval> " + show(th.Get(-1), 0))
}

// redis runs a command as the script could.
func (d *debugger) redis(r *run, words []string) {
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	d.tellCall(args)
	cmd := r.h.e.Table.Resolve(args)
	if why := r.refusal(cmd, args); why != "" {
		d.say("<error> " + strings.TrimPrefix(why, "-ERR "))
		return
	}
	if cmd.IsWrite() {
		r.wrote.Store(true)
	}
	r.out.Reset()
	r.nest.Call(&r.client, cmd, args, r.out)
	reply := r.bytes()
	if reply[0] == '-' {
		d.say("<error> " + strings.TrimSpace(string(reply)))
	}
	d.tellReply(reply)
}

func (d *debugger) tellCall(args [][]byte) {
	d.tell("<redis> " + string(bytes.Join(args, []byte{' '})))
}

// tellReply shows an inner reply.
func (d *debugger) tellReply(reply []byte) {
	v, err := resp.NewReader(bytes.NewReader(reply)).Read()
	if err != nil {
		panic("script: " + err.Error()) // our own reply
	}
	d.tell("<reply> " + showReply(v))
}

func showReply(v resp.Value) string {
	var parts []string
	for i := range v.Elems {
		parts = append(parts, showReply(v.Elems[i]))
	}
	switch v.Kind {
	case '+', '-':
		return repr(string(v.Kind) + string(v.Str))
	case ':':
		return strconv.FormatInt(v.Int, 10)
	case '*', '~', '>':
		if v.Null {
			return "NULL"
		}
		return "[" + strings.Join(parts, ",") + "]"
	case '%':
		var pairs []string
		for i := 0; i+1 < len(parts); i += 2 {
			pairs = append(pairs, parts[i]+" => "+parts[i+1])
		}
		return "{" + strings.Join(pairs, ",") + "}"
	case '$':
		if v.Null {
			return "NULL"
		}
		return repr(string(v.Str))
	case '_':
		return "(null)"
	}
	return v.String()
}

// redisDebug is redis.debug.
func (s *state) redisDebug(l *lua.LState) int {
	r := s.h.now
	if r == nil || r.debug == nil {
		return 0
	}
	var parts []string
	for i := 1; i <= l.GetTop(); i++ {
		parts = append(parts, show(l.Get(i), 0))
	}
	r.debug.tell("<debug> line " + strconv.Itoa(r.debug.line) + ": " + strings.Join(parts, ", "))
	return 0
}

// redisBreakpoint is redis.breakpoint: it tells whether somebody debugs.
func (s *state) redisBreakpoint(l *lua.LState) int {
	r := s.h.now
	if r != nil && r.debug != nil {
		r.debug.called = true
	}
	l.Push(lua.LBool(r != nil && r.debug != nil))
	return 1
}

// scriptDebug is SCRIPT DEBUG: the mode of the client's coming EVALs.
func scriptDebug(c *command.Ctx) {
	cl := engine.Of(c)
	switch {
	case cl == nil || cl.MultiLen() >= 0 || cl.Owner == nil:
		c.Out.Error("SCRIPT DEBUG must be called outside a pipeline")
		return
	case command.IsWord(c.Args[2], "no"):
		cl.Clear(engine.DebugsScripts)
	case command.IsWord(c.Args[2], "sync"):
		cl.Set(engine.DebugsScripts)
	case command.IsWord(c.Args[2], "yes"):
		c.Out.Error("SCRIPT DEBUG YES needs a copy of the data set, which takes a fork: use SCRIPT DEBUG SYNC (redis-cli --ldb-sync-mode)")
		return
	default:
		c.Out.Error("Use SCRIPT DEBUG YES/SYNC/NO")
		return
	}
	c.Out.OK()
}
