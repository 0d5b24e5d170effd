package script

import (
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxString bounds the strings that libraries build at once: as long as a bulk string may be.
const maxString = 512 << 20

// state is one Lua state with the globals that scripts may see. Scripts see them through proxies that refuse changes.
type state struct {
	l       *lua.LState
	env     *lua.LTable                 // what scripts know as _G: a proxy
	globals *lua.LTable                 // what lies behind it
	frozen  map[*lua.LTable]*lua.LTable // proxies and what lies behind them
	metas   map[lua.LValue]*lua.LTable  // proxies of metatables
	tick    ticker
	rnd     random
	next    lua.LGFunction
	h       *Host
	name    string // of the chunks: user_script, user_function
	loading *library
}

const (
	errReadonly = "Attempt to modify a readonly table"
	errNoGlobal = "Script attempted to access nonexistent global variable '%s'"
)

func newState(h *Host, name string) *state {
	s := &state{h: h, name: name, frozen: map[*lua.LTable]*lua.LTable{}, metas: map[lua.LValue]*lua.LTable{}}
	s.l = lua.NewState(lua.Options{SkipOpenLibs: true, CallStackSize: 20000, MinimizeStackMemory: true, RegistrySize: 1 << 10, RegistryGrowStep: 1 << 12, RegistryMaxSize: 1 << 20})
	for _, lib := range []struct {
		name string
		open lua.LGFunction
	}{{lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}, {lua.StringLibName, lua.OpenString}, {lua.MathLibName, lua.OpenMath}, {lua.CoroutineLibName, lua.OpenCoroutine}} {
		s.l.Push(s.l.NewFunction(lib.open))
		s.l.Push(lua.LString(lib.name))
		s.l.Call(1, 0)
	}
	s.l.SetContext(&s.tick)
	s.globals = s.l.NewTable()
	s.env = s.freeze(s.globals)
	missing := s.l.NewTable()
	missing.RawSetString("__index", s.l.NewFunction(func(l *lua.LState) int {
		l.RaiseError(errNoGlobal, text(l, l.Get(2)))
		return 0
	}))
	s.globals.Metatable = missing
	s.rnd = 0x1234abcd330e // what the C library starts with
	s.builtins()
	s.libraries()
	return s
}

// freeze makes a proxy through which a table can be read only.
func (s *state) freeze(t *lua.LTable) *lua.LTable {
	p, mt := s.l.NewTable(), s.l.NewTable()
	mt.RawSetString("__index", t)
	mt.RawSetString("__newindex", s.l.NewFunction(readonly))
	p.Metatable = mt
	s.frozen[p] = t
	return p
}

func readonly(l *lua.LState) int {
	l.RaiseError(errReadonly)
	return 0
}

// open is the table behind a proxy, or the table itself.
func (s *state) open(t *lua.LTable) *lua.LTable {
	if behind := s.frozen[t]; behind != nil {
		return behind
	}
	return t
}

// builtins takes over what is harmless of the base library, and replaces what would see through the proxies.
func (s *state) builtins() {
	base := s.l.G.Global
	for _, name := range []string{"xpcall", "next", "assert", "tonumber", "rawequal", "select", "pcall", "type", "error", "unpack", "collectgarbage", "_VERSION"} {
		s.globals.RawSetString(name, base.RawGetString(name))
	}
	s.next = base.RawGetString("next").(*lua.LFunction).GFunction
	s.globals.RawSetString("_G", s.env)
	for name, fn := range map[string]lua.LGFunction{
		"next": s.luaNext, "pairs": s.pairs, "ipairs": s.ipairs, "getmetatable": s.getMetatable, "setmetatable": s.setMetatable,
		"pcall": flattened(base.RawGetString("pcall")), "xpcall": flattened(base.RawGetString("xpcall")), "error": luaError, "tonumber": toNumber,
		"rawset": s.rawSet, "rawget": s.rawGet, "tostring": func(l *lua.LState) int { l.Push(lua.LString(text(l, l.CheckAny(1)))); return 1 },
		"loadstring": s.loadString, "load": s.load, "gcinfo": func(l *lua.LState) int { l.Push(lua.LNumber(0)); return 1 },
		"collectgarbage": func(l *lua.LState) int { l.Push(lua.LNumber(0)); return 1 }, "unpack": s.unpack,
	} {
		s.globals.RawSetString(name, s.l.NewFunction(fn))
	}
}

func (s *state) libraries() {
	base := s.l.G.Global
	str := base.RawGetString("string").(*lua.LTable)
	str.RawSetString("rep", s.l.NewFunction(stringRep))
	str.RawSetString("format", s.l.NewFunction(format))
	str.RawSetString("dump", s.l.NewFunction(func(l *lua.LState) int { l.CheckFunction(1); l.Push(lua.LString("\x1bLua")); return 1 }))
	tab := base.RawGetString("table").(*lua.LTable)
	for _, name := range []string{"insert", "remove", "sort"} {
		s.guard(tab, name)
	}
	s.mathLibrary(base.RawGetString("math").(*lua.LTable))
	s.coroutines(base.RawGetString("coroutine").(*lua.LTable))
	for _, name := range []string{"string", "table", "math", "coroutine"} {
		s.globals.RawSetString(name, s.freeze(base.RawGetString(name).(*lua.LTable)))
	}
	bits := s.l.SetFuncs(s.l.NewTable(), bitFunctions)
	structs := s.l.SetFuncs(s.l.NewTable(), map[string]lua.LGFunction{"pack": structPack, "unpack": structUnpack, "size": structSize})
	null := s.l.NewUserData()
	for name, t := range map[string]*lua.LTable{"bit": bits, "struct": structs, "cmsgpack": openMsgpack(s.l), "cjson": newCJSON(null).open(s.l)} {
		s.globals.RawSetString(name, s.freeze(t))
	}
	s.globals.RawSetString("redis", s.freeze(s.api()))
}

// guard lets a function of the table library refuse proxies.
func (s *state) guard(t *lua.LTable, name string) {
	fn := t.RawGetString(name).(*lua.LFunction).GFunction
	t.RawSetString(name, s.l.NewFunction(func(l *lua.LState) int {
		if arg, ok := l.Get(1).(*lua.LTable); ok && s.frozen[arg] != nil {
			l.Error(lua.LString(errReadonly), 0)
		}
		return fn(l)
	}))
}

func (s *state) mathLibrary(t *lua.LTable) {
	t.RawSetString("randomseed", s.l.NewFunction(func(l *lua.LState) int {
		s.rnd.seed(int32(int64(l.CheckNumber(1))))
		return 0
	}))
	t.RawSetString("random", s.l.NewFunction(func(l *lua.LState) int {
		r := float64(s.rnd.next()%math.MaxInt32) / math.MaxInt32
		low, high := int64(1), int64(0)
		switch l.GetTop() {
		case 0:
			l.Push(lua.LNumber(r))
			return 1
		case 1:
			high = int64(l.CheckNumber(1))
		case 2:
			low, high = int64(l.CheckNumber(1)), int64(l.CheckNumber(2))
		default:
			l.RaiseError("wrong number of arguments")
		}
		if low > high {
			l.ArgError(l.GetTop(), "interval is empty")
		}
		l.Push(lua.LNumber(math.Floor(r*float64(high-low+1)) + float64(low)))
		return 1
	}))
	for _, name := range []string{"log10", "mod", "pow"} {
		if t.RawGetString(name) == lua.LNil {
			panic("script: the math library lacks " + name)
		}
	}
}

// coroutines lets the watch follow into coroutines, which would have a context of their own.
func (s *state) coroutines(t *lua.LTable) {
	create := t.RawGetString("create").(*lua.LFunction).GFunction
	t.RawSetString("create", s.l.NewFunction(func(l *lua.LState) int {
		n := create(l)
		if th, ok := l.Get(-1).(*lua.LState); ok {
			th.SetContext(&s.tick)
		}
		return n
	}))
	fn, err := s.l.LoadString(`local create, resume = ...
		local function check(ok, ...) if not ok then error((...), 0) end return ... end
		return function(f) local co = create(f) return function(...) return check(resume(co, ...)) end end`)
	if err != nil {
		panic("script: " + err.Error())
	}
	fn.Env = s.globals
	s.l.Push(fn)
	s.l.Push(t.RawGetString("create"))
	s.l.Push(t.RawGetString("resume"))
	s.l.Call(2, 1)
	t.RawSetString("wrap", s.l.Get(-1))
	s.l.Pop(1)
}

func (s *state) luaNext(l *lua.LState) int {
	t := s.open(l.CheckTable(1))
	key, value := t.Next(l.Get(2))
	l.Push(key)
	if key == lua.LNil {
		return 1
	}
	l.Push(value)
	return 2
}

func (s *state) pairs(l *lua.LState) int {
	t := l.CheckTable(1)
	l.Push(s.globals.RawGetString("next"))
	l.Push(t)
	l.Push(lua.LNil)
	return 3
}

func (s *state) ipairs(l *lua.LState) int {
	t := l.CheckTable(1)
	l.Push(l.NewFunction(func(l *lua.LState) int {
		i := l.CheckInt(2) + 1
		v := s.open(l.CheckTable(1)).RawGetInt(i)
		if v == lua.LNil {
			return 0
		}
		l.Push(lua.LNumber(i))
		l.Push(v)
		return 2
	}))
	l.Push(t)
	l.Push(lua.LNumber(0))
	return 3
}

func (s *state) getMetatable(l *lua.LState) int {
	v := l.CheckAny(1)
	if t, ok := v.(*lua.LTable); !ok || s.frozen[t] != nil {
		mt, ok := l.GetMetatable(v).(*lua.LTable)
		if !ok {
			l.Push(lua.LNil)
			return 1
		}
		if s.metas[mt] == nil {
			s.metas[mt] = s.freeze(mt)
		}
		l.Push(s.metas[mt])
		return 1
	}
	if p := l.GetMetaField(v, "__metatable"); p != lua.LNil {
		l.Push(p)
	} else {
		l.Push(l.GetMetatable(v))
	}
	return 1
}

func (s *state) setMetatable(l *lua.LState) int {
	t := l.CheckTable(1)
	if s.frozen[t] != nil {
		l.Error(lua.LString(errReadonly), 0)
	}
	mt := l.Get(2)
	if mt.Type() != lua.LTNil && mt.Type() != lua.LTTable {
		l.ArgError(2, "nil or table expected")
	}
	if l.GetMetaField(t, "__metatable") != lua.LNil {
		l.RaiseError("cannot change a protected metatable")
	}
	l.SetMetatable(t, mt)
	l.Push(t)
	return 1
}

func (s *state) rawSet(l *lua.LState) int {
	t := l.CheckTable(1)
	if s.frozen[t] != nil {
		l.Error(lua.LString(errReadonly), 0)
	}
	k := l.CheckAny(2)
	if n, ok := k.(lua.LNumber); k == lua.LNil || ok && math.IsNaN(float64(n)) {
		l.RaiseError("table index is nil or NaN")
	}
	t.RawSet(k, l.CheckAny(3))
	l.Push(t)
	return 1
}

func (s *state) rawGet(l *lua.LState) int {
	l.Push(s.open(l.CheckTable(1)).RawGet(l.CheckAny(2)))
	return 1
}

func (s *state) unpack(l *lua.LState) int {
	t := s.open(l.CheckTable(1))
	from, to := l.OptInt(2, 1), l.OptInt(3, t.Len())
	if to < from {
		return 0
	}
	if to-from >= 8000 || to-from < 0 {
		l.RaiseError("too many results to unpack")
	}
	for i := from; i <= to; i++ {
		l.Push(t.RawGetInt(i))
	}
	return to - from + 1
}

// compile reads a chunk whose globals are those of the sandbox. Binary chunks do not exist here.
func (s *state) compile(l *lua.LState, code, name string) (*lua.LFunction, string) {
	if strings.HasPrefix(code, "\x1b") {
		return nil, name + ": bad header in precompiled chunk"
	}
	if tooDeep(code) {
		return nil, name + ":1: chunk has too many syntax levels"
	}
	fn, err := l.Load(strings.NewReader(code), name)
	if err != nil {
		return nil, parseError(name, err.Error())
	}
	fn.Env = s.env
	return fn, ""
}

func (s *state) pushChunk(l *lua.LState, code, name string) int {
	fn, problem := s.compile(l, code, strings.TrimLeft(name, "@="))
	if fn == nil {
		l.Push(lua.LNil)
		l.Push(lua.LString(problem))
		return 2
	}
	l.Push(fn)
	return 1
}

func (s *state) loadString(l *lua.LState) int {
	code := l.CheckString(1)
	return s.pushChunk(l, code, l.OptString(2, `[string "`+firstLine(code)+`"]`))
}

func (s *state) load(l *lua.LState) int {
	fn := l.CheckFunction(1)
	var b strings.Builder
	for {
		l.Push(fn)
		l.Call(0, 1)
		piece := l.Get(-1)
		l.Pop(1)
		if piece == lua.LNil || piece == lua.LString("") {
			break
		}
		if piece.Type() != lua.LTString {
			l.Push(lua.LNil)
			l.Push(lua.LString("reader function must return a string"))
			return 2
		}
		if b.WriteString(string(piece.(lua.LString))); b.Len() > maxString {
			l.RaiseError("chunk is too long")
		}
	}
	return s.pushChunk(l, b.String(), l.OptString(2, "=(load)"))
}

func firstLine(code string) string {
	if i := strings.IndexByte(code, '\n'); i >= 0 {
		return code[:i] + "..."
	}
	return code
}

func stringRep(l *lua.LState) int {
	s, n := l.CheckString(1), l.CheckInt64(2)
	switch {
	case n <= 0 || s == "":
		l.Push(lua.LString(""))
	case n > int64(maxString/len(s)):
		l.RaiseError("resulting string too large")
	default:
		l.Push(lua.LString(strings.Repeat(s, int(n))))
	}
	return 1
}

// maxLevels is how deep a chunk may nest: the parser and the compiler recurse.
const maxLevels = 1000

// tooDeep counts what opens a level, roughly: it may refuse absurd chunks that Lua would take, never let pass what nests
// deeper than the count.
func tooDeep(code string) bool {
	depth, unary := 0, 0
	for i := 0; i < len(code); i++ {
		switch c := code[i]; {
		case c == '(' || c == '{' || c == '[':
			depth++
		case c == ')' || c == '}' || c == ']':
			depth = max(depth-1, 0)
		case c == '-' || c == '#' || c == '^' || c == '.':
			unary++
		case c == ';' || c == '=':
			unary = 0
		case c == '\'' || c == '"':
			i = skipQuoted(code, i)
		}
		if depth > maxLevels || unary > 50*maxLevels {
			return true
		}
	}
	words := 0
	for _, w := range strings.FieldsFunc(code, func(r rune) bool {
		return !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	}) {
		switch w {
		case "do", "then", "function", "repeat", "not":
			if words++; words > maxLevels*20 {
				return true
			}
		case "end", "until", "elseif":
			words = max(words-1, 0)
		}
	}
	return false
}

func skipQuoted(code string, i int) int {
	quote := code[i]
	for i++; i < len(code) && code[i] != quote && code[i] != '\n'; i++ {
		if code[i] == '\\' {
			i++
		}
	}
	return i
}

// flattened lets pcall and xpcall give the text of an error's table instead of the table, as Redis does.
func flattened(fn lua.LValue) lua.LGFunction {
	call := fn.(*lua.LFunction).GFunction
	return func(l *lua.LState) int {
		n := call(l)
		if n != 2 || l.Get(-2) != lua.LFalse {
			return n
		}
		if t, ok := l.Get(-1).(*lua.LTable); ok {
			if text, ok := t.RawGetString("err").(lua.LString); ok {
				l.Pop(1)
				l.Push(text)
			}
		}
		return n
	}
}

// luaError is error: numbers get the position too.
func luaError(l *lua.LState) int {
	v, level := l.Get(1), l.OptInt(2, 1)
	if n, ok := v.(lua.LNumber); ok {
		v = lua.LString(number(float64(n), 14))
	}
	if _, ok := v.(lua.LString); !ok {
		level = 0
	}
	l.Error(v, level)
	return 0
}

func toNumber(l *lua.LState) int {
	base := l.OptInt(2, 10)
	if n, ok := l.CheckAny(1).(lua.LNumber); ok && base == 10 {
		l.Push(n)
		return 1
	}
	if base < 2 || base > 36 {
		l.ArgError(2, "base out of range")
	}
	s, isText := l.Get(1).(lua.LString)
	if !isText && base != 10 {
		s = lua.LString(l.CheckString(1))
	}
	word := strings.Trim(string(s), " \t\n\v\f\r")
	if base != 10 {
		if base == 16 {
			word = strings.TrimPrefix(strings.TrimPrefix(word, "0x"), "0X")
		}
		if n, err := strconv.ParseUint(strings.TrimPrefix(word, "-"), base, 64); err == nil {
			f := float64(n)
			if strings.HasPrefix(word, "-") {
				f = -f
			}
			l.Push(lua.LNumber(f))
			return 1
		}
	} else if f, ok := parseNumber(word); ok {
		l.Push(lua.LNumber(f))
		return 1
	}
	l.Push(lua.LNil)
	return 1
}
