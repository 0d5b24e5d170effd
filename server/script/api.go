package script

import (
	"crypto/sha1"
	"encoding/hex"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	lua "github.com/yuin/gopher-lua"
)

// The levels of redis.log.
const (
	LogDebug = iota
	LogVerbose
	LogNotice
	LogWarning
)

const (
	replAOF     = 1
	replReplica = 2
)

// common are the functions of the table redis that a library may use while it loads, too.
func (s *state) common(t *lua.LTable) {
	for name, n := range map[string]int{"LOG_DEBUG": LogDebug, "LOG_VERBOSE": LogVerbose, "LOG_NOTICE": LogNotice, "LOG_WARNING": LogWarning} {
		t.RawSetString(name, lua.LNumber(n))
	}
	t.RawSetString("REDIS_VERSION", lua.LString(s.h.o.Version))
	t.RawSetString("REDIS_VERSION_NUM", lua.LNumber(versionNumber(s.h.o.Version)))
	t.RawSetString("log", s.l.NewFunction(s.log))
}

func versionNumber(v string) (n int) {
	part := 0
	for _, c := range v + "." {
		if c == '.' {
			n, part = n<<8|part, 0
		} else if c >= '0' && c <= '9' {
			part = part*10 + int(c-'0')
		}
	}
	return n
}

// api makes the table redis.
func (s *state) api() *lua.LTable {
	t := s.l.NewTable()
	s.common(t)
	for name, n := range map[string]int{"REPL_NONE": 0, "REPL_AOF": replAOF, "REPL_SLAVE": replReplica, "REPL_REPLICA": replReplica, "REPL_ALL": replAOF | replReplica} {
		t.RawSetString(name, lua.LNumber(n))
	}
	yes := func(l *lua.LState) int { l.Push(lua.LTrue); return 1 }
	functions := map[string]lua.LGFunction{
		"call": func(l *lua.LState) int { return s.call(l, true) }, "pcall": func(l *lua.LState) int { return s.call(l, false) },
		"error_reply": func(l *lua.LState) int { return s.single(l, true) }, "status_reply": func(l *lua.LState) int { return s.single(l, false) },
		"sha1hex": s.sha1hex, "setresp": s.setResp, "set_repl": s.setRepl, "acl_check_cmd": s.aclCheck,
	}
	if s.name == functionChunk {
		functions["register_function"] = func(l *lua.LState) int { // it exists while a library loads only
			l.RaiseError("attempt to call field 'register_function' (a nil value)")
			return 0
		}
	}
	if s.name == scriptChunk {
		functions["replicate_commands"], functions["breakpoint"], functions["debug"] = yes, s.redisBreakpoint, s.redisDebug
	}
	return s.l.SetFuncs(t, functions)
}

// raise ends the script with an error's table.
func raise(l *lua.LState, msg string) { l.Error(failure(l, msg), 1) }

func (s *state) single(l *lua.LState, isError bool) int {
	str, ok := l.Get(1).(lua.LString)
	switch {
	case l.GetTop() != 1 || !ok:
		l.Push(failure(l, "wrong number or type of arguments"))
	case isError:
		msg := string(str)
		if msg == "" || msg[0] != '-' {
			msg = "-" + msg
		}
		l.Push(failure(l, msg))
	default:
		t := l.NewTable()
		t.RawSetString("ok", str)
		l.Push(t)
	}
	return 1
}

func (s *state) sha1hex(l *lua.LState) int {
	if l.GetTop() != 1 {
		raise(l, "wrong number of arguments")
	}
	sum := sha1.Sum([]byte(wordOf(l.Get(1))))
	l.Push(lua.LString(hex.EncodeToString(sum[:])))
	return 1
}

// wordOf is a value as a string, as lua_tolstring has it; other types are empty.
func wordOf(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return number(float64(v), 14)
	}
	return ""
}

func (s *state) log(l *lua.LState) int {
	if l.GetTop() < 2 {
		raise(l, "redis.log() requires two arguments or more.")
	}
	level, ok := l.Get(1).(lua.LNumber)
	if !ok {
		raise(l, "First argument must be a number (log level).")
	}
	if level < LogDebug || level > LogWarning {
		raise(l, "Invalid debug level.")
	}
	line := ""
	for i := 2; i <= l.GetTop(); i++ {
		if i > 2 {
			line += " "
		}
		line += wordOf(l.Get(i))
	}
	s.h.o.Logf(int(level), line)
	return 0
}

func (s *state) setResp(l *lua.LState) int {
	if l.GetTop() != 1 {
		raise(l, "redis.setresp() requires one argument.")
	}
	n, ok := l.Get(1).(lua.LNumber)
	if !ok || n != 2 && n != 3 {
		raise(l, "RESP version must be 2 or 3.")
	}
	s.running(l).client.Proto = int(n)
	return 0
}

func (s *state) running(l *lua.LState) *run {
	r := s.h.now
	if r == nil || s.loading != nil {
		raise(l, "redis.call/pcall can only be called inside a script invocation")
	}
	return r
}

func (s *state) setRepl(l *lua.LState) int {
	if l.GetTop() != 1 {
		raise(l, "redis.set_repl() requires two arguments.")
	}
	n, _ := l.Get(1).(lua.LNumber)
	flags := int(n)
	if flags&^(replAOF|replReplica) != 0 {
		raise(l, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
	}
	var skip command.Skip
	if flags&replAOF == 0 {
		skip |= command.SkipFile
	}
	if flags&replReplica == 0 {
		skip |= command.SkipReplicas
	}
	s.running(l).nest.Skip(skip)
	return 0
}

func (s *state) aclCheck(l *lua.LState) int {
	r := s.running(l)
	args, ok := words(l)
	switch {
	case l.GetTop() == 0:
		raise(l, "Please specify at least one argument for this redis lib call")
	case !ok:
		raise(l, "Lua redis lib command arguments must be strings or integers")
	}
	cmd := s.h.e.Table.Resolve(args)
	if cmd == nil || cmd.Handler == nil {
		raise(l, "Invalid command passed to redis.acl_check_cmd()")
	}
	l.Push(lua.LBool(r.client.Forbidden(cmd, args, engine.JustAsked) == ""))
	return 1
}

// words are the arguments of redis.call. Numbers are printed with all their digits.
func words(l *lua.LState) (args [][]byte, ok bool) {
	args = make([][]byte, l.GetTop())
	for i := range args {
		switch v := l.Get(i + 1).(type) {
		case lua.LString:
			args[i] = []byte(v)
		case lua.LNumber:
			args[i] = []byte(number(float64(v), 17))
		default:
			return nil, false
		}
	}
	return args, true
}

// call is redis.call and redis.pcall.
func (s *state) call(l *lua.LState, raises bool) int {
	counted := false
	problem := func(msg string) int {
		t := failure(l, msg)
		if counted {
			t.RawSetString("ignore_error_stats_update", lua.LTrue)
		}
		if raises {
			l.Error(t, 1)
		}
		l.Push(t)
		return 1
	}
	r := s.h.now
	if r == nil || s.loading != nil {
		return problem("redis.call/pcall can only be called inside a script invocation")
	}
	if l.GetTop() == 0 {
		return problem("Please specify at least one argument for this redis lib call")
	}
	args, ok := words(l)
	if !ok {
		return problem("Lua redis lib command arguments must be strings or integers")
	}
	cmd := s.h.e.Table.Resolve(args)
	if why := r.refusal(cmd, args); why != "" {
		counted = true
		r.nest.Refused(cmd, why)
		return problem(why)
	}
	if cmd.IsWrite() {
		r.wrote.Store(true)
	}
	r.out.Reset()
	r.nest.Call(&r.client, cmd, args, r.out)
	reply := r.bytes()
	if d := r.debug; d != nil && d.step {
		d.tellCall(args)
		d.tellReply(reply)
	}
	in := reader{l: l, p: reply}
	v := in.value()
	if t, isTable := v.(*lua.LTable); isTable && raises && r.out.Bytes()[0] == '-' {
		l.Error(t, 1)
	}
	l.Push(v)
	return 1
}
