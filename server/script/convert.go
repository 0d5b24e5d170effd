package script

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/resp"
	lua "github.com/yuin/gopher-lua"
)

// reader turns a reply into Lua values.
type reader struct {
	l *lua.LState
	p []byte
}

func (r *reader) line() string {
	i := bytes.IndexByte(r.p, '\r')
	line := string(r.p[:i])
	r.p = r.p[i+2:]
	return line
}

func (r *reader) bulk(n int) lua.LString {
	s := lua.LString(r.p[:n])
	r.p = r.p[n+2:]
	return s
}

// value reads one reply. What RESP2 calls nil is false; an error is a table with err.
func (r *reader) value() lua.LValue {
	kind := r.p[0]
	r.p = r.p[1:]
	line := r.line()
	switch kind {
	case '+':
		return r.field("ok", lua.LString(line))
	case '-':
		return r.failure(line)
	case ':':
		n, _ := strconv.ParseInt(line, 10, 64)
		return lua.LNumber(n)
	case '_':
		return lua.LNil
	case '#':
		return lua.LBool(line == "t")
	case ',':
		f, _ := strconv.ParseFloat(line, 64)
		return r.field("double", lua.LNumber(f))
	case '(':
		return r.field("big_number", lua.LString(line))
	}
	n, _ := strconv.Atoi(line)
	if n < 0 {
		return lua.LFalse
	}
	switch kind {
	case '$':
		return r.bulk(n)
	case '=':
		s := r.bulk(n)
		t := r.l.CreateTable(0, 2)
		t.RawSetString("format", s[:3])
		t.RawSetString("string", s[4:])
		return r.field("verbatim_string", t)
	case '%':
		t := r.l.NewTable()
		for range n {
			k := r.value()
			t.RawSet(k, r.value())
		}
		return r.field("map", t)
	case '~':
		t := r.l.NewTable()
		for range n {
			t.RawSet(r.value(), lua.LTrue)
		}
		return r.field("set", t)
	case '|':
		for range 2 * n {
			r.value() // attributes are not for scripts
		}
		return r.value()
	}
	t := r.l.CreateTable(n, 0)
	for i := 1; i <= n; i++ {
		t.RawSetInt(i, r.value())
	}
	return t
}

func (r *reader) field(name string, v lua.LValue) *lua.LTable {
	t := r.l.CreateTable(0, 1) // NewTable has room for 32 fields
	t.RawSetString(name, v)
	return t
}

func (r *reader) failure(line string) *lua.LTable {
	t := failure(r.l, "-"+line)
	t.RawSetString("ignore_error_stats_update", lua.LTrue) // it was counted with the command
	return t
}

// failure makes an error's table: "-CODE text" keeps its code, anything else gets ERR.
func failure(l *lua.LState, msg string) *lua.LTable {
	code, rest := "ERR", strings.TrimRight(msg, "\r\n")
	if strings.HasPrefix(rest, "-") {
		if i := strings.IndexByte(rest, ' '); i >= 0 {
			code, rest = rest[1:i], rest[i+1:]
		} else {
			rest = rest[1:]
		}
	}
	t := l.CreateTable(0, 2)
	t.RawSetString("err", lua.LString(code+" "+rest))
	return t
}

// writer turns Lua values into a reply.
type writer struct {
	out   *resp.Writer
	resp3 bool // the script asked for RESP3's kinds
	// counted: the error that is the reply was counted already.
	counted bool
}

// maxReplyDepth bounds tables in tables: a table may contain itself.
const maxReplyDepth = 1000

func oneLine(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }

func (w *writer) value(v lua.LValue, depth int) {
	switch v := v.(type) {
	case lua.LString:
		w.out.BulkString(string(v))
	case lua.LNumber:
		w.out.Int(toInteger(float64(v)))
	case lua.LBool:
		switch {
		case w.resp3:
			w.out.Bool(bool(v))
		case bool(v):
			w.out.Int(1)
		default:
			w.out.Null()
		}
	case *lua.LTable:
		if depth >= maxReplyDepth {
			w.out.Error("reached lua stack limit")
			return
		}
		w.table(v, depth)
	default:
		w.out.Null()
	}
}

// toInteger converts as C does on the usual machines: what does not fit becomes the lowest number.
func toInteger(f float64) int64 {
	if f >= -1<<63 && f < 1<<63 {
		return int64(f)
	}
	return -1 << 63
}

func (w *writer) table(t *lua.LTable, depth int) {
	get := t.RawGetString // as Redis: a metatable has no say in a reply
	if s, ok := get("err").(lua.LString); ok {
		w.counted = lua.LVAsBool(get("ignore_error_stats_update"))
		w.out.Error("-" + oneLine(string(s)))
		return
	}
	if s, ok := get("ok").(lua.LString); ok {
		w.out.Simple(oneLine(string(s)))
		return
	}
	if n, ok := get("double").(lua.LNumber); ok {
		w.out.Double(float64(n))
		return
	}
	if m, ok := get("map").(*lua.LTable); ok {
		w.pairs(m, depth)
		return
	}
	if m, ok := get("set").(*lua.LTable); ok {
		keys := keysOf(m)
		w.out.Set(len(keys))
		for _, k := range keys {
			w.value(k, depth+1)
		}
		return
	}
	if s, ok := get("big_number").(lua.LString); ok {
		w.out.BigNumber(oneLine(string(s)))
		return
	}
	if m, ok := get("verbatim_string").(*lua.LTable); ok {
		s, ok1 := m.RawGetString("string").(lua.LString)
		f, ok2 := m.RawGetString("format").(lua.LString)
		if ok1 && ok2 {
			ext := string(f) + "   "
			w.out.Verbatim(ext[:3], string(s))
			return
		}
	}
	mark, n := w.out.DeferArray(), 0
	for {
		v := t.RawGetInt(n + 1)
		if v == lua.LNil {
			break
		}
		n++
		w.value(v, depth+1)
	}
	w.out.SetArrayLen(mark, n)
}

func (w *writer) pairs(m *lua.LTable, depth int) {
	keys := keysOf(m)
	w.out.Map(len(keys))
	for _, k := range keys {
		w.value(k, depth+1)
		w.value(m.RawGet(k), depth+1)
	}
}

func keysOf(m *lua.LTable) (keys []lua.LValue) {
	each(m, func(k, _ lua.LValue) { keys = append(keys, k) })
	return keys
}

// each visits a table in an order that depends on nothing but how the table came to be.
func each(t *lua.LTable, fn func(k, v lua.LValue)) {
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		fn(k, v)
	}
}
