package script

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/rdb"
	lua "github.com/yuin/gopher-lua"
)

// library is a loaded library.
type library struct {
	name, code string
	functions  map[string]*function
	bytes      int64 // what all of it takes
}

type function struct {
	name        string
	description string
	described   bool
	flags       flags
	fn          *lua.LFunction
	lib         *library
}

// libraries are all that are loaded. Both maps are replaced, never half changed, when a load fails.
type libraries struct {
	byName    map[string]*library
	functions map[string]*function // by name in lower case, as in library
}

func (l *libraries) reset() {
	l.byName, l.functions = map[string]*library{}, map[string]*function{}
}

func (l *libraries) copy() libraries {
	var n libraries
	n.reset()
	for _, lib := range l.byName {
		n.link(lib)
	}
	return n
}

func (l *libraries) link(lib *library) {
	l.byName[lib.name] = lib
	for name, f := range lib.functions {
		l.functions[name] = f
	}
}

// find finds a function by its name, whatever its case.
func (l *libraries) find(name []byte) *function { return l.functions[strings.ToLower(string(name))] }

func (l *libraries) unlink(lib *library) {
	delete(l.byName, lib.name)
	for name := range lib.functions {
		delete(l.functions, name)
	}
}

// sorted lists the libraries by name.
func (l *libraries) sorted() []*library {
	list := make([]*library, 0, len(l.byName))
	for _, lib := range l.byName {
		list = append(list, lib)
	}
	slices.SortFunc(list, func(a, b *library) int { return cmp.Compare(a.name, b.name) })
	return list
}

func (l *library) sorted() []*function {
	list := make([]*function, 0, len(l.functions))
	for _, f := range l.functions {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *function) int { return cmp.Compare(a.name, b.name) })
	return list
}

// validName allows letters, digits and underscores.
func validName(name string) bool {
	for _, c := range []byte(name) {
		if !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			return false
		}
	}
	return name != ""
}

const errLibraryName = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"

// header reads the first line of a library: "#!lua name=lib".
func header(text string) (name, code string, err error) {
	if !strings.HasPrefix(text, "#!") {
		return "", "", errors.New("Missing library metadata") //nolint:staticcheck // as Redis words it to clients
	}
	line, rest, ok := strings.Cut(text, "\n")
	if !ok {
		return "", "", errors.New("Invalid library metadata") //nolint:staticcheck // as Redis words it to clients
	}
	words, ok := shellWords(line)
	if !ok || len(words) == 0 {
		return "", "", errors.New("Invalid library metadata") //nolint:staticcheck // as Redis words it to clients
	}
	named := false
	for _, w := range words[1:] {
		value, is := strings.CutPrefix(w, "name=")
		switch {
		case !is:
			return "", "", errors.New("Invalid metadata value given: " + w) //nolint:staticcheck // as Redis words it to clients
		case named:
			return "", "", errors.New("Invalid metadata value, name argument was given multiple times") //nolint:staticcheck // as Redis words it to clients
		}
		name, named = value, true
	}
	switch engine := words[0][2:]; {
	case !named:
		return "", "", errors.New("Library name was not given") //nolint:staticcheck // as Redis words it to clients
	case !validName(name):
		return "", "", errors.New(errLibraryName) //nolint:staticcheck // as Redis words it to clients
	case !strings.EqualFold(engine, "lua"):
		return "", "", errors.New("Engine '" + engine + "' not found")
	}
	return name, "\n" + rest, nil
}

// loadLimit is how long a library may take to register its functions.
const loadLimit = 500 * time.Millisecond

// createLibrary loads a library into into. With replace one of the same name makes room; functions of other libraries never do.
func (h *Host) createLibrary(into *libraries, text string, replace, bounded bool) (string, error) {
	name, code, err := header(text)
	if err != nil {
		return "", err
	}
	old := into.byName[name]
	if old != nil && !replace {
		return "", errors.New("Library '" + name + "' already exists")
	}
	lib := &library{name: name, code: text, functions: map[string]*function{}}
	if err := h.functions.register(lib, code, bounded); err != nil {
		return "", err
	}
	if len(lib.functions) == 0 {
		return "", errors.New("No functions registered") //nolint:staticcheck // as Redis words it to clients
	}
	for fname := range lib.functions {
		if other := into.functions[fname]; other != nil && other.lib != old {
			return "", errors.New("Function " + fname + " already exists")
		}
	}
	if old != nil {
		into.unlink(old)
	}
	into.link(lib)
	return name, nil
}

// register runs a library's code, which registers its functions.
func (s *state) register(lib *library, code string, bounded bool) error {
	fn, problem := s.compile(s.l, code, functionChunk)
	if problem != "" {
		return errors.New("Error compiling function: " + problem)
	}
	clip(fn.Proto)
	lib.bytes = int64(len(code)) + weight(fn.Proto) + codeOverhead
	s.loading = lib
	seen := s.env.Metatable.(*lua.LTable)
	seen.RawSetString("__index", s.loadGlobals())
	defer func() {
		s.loading = nil
		seen.RawSetString("__index", s.globals)
		s.tick.stop()
		s.l.SetTop(0)
	}()
	if bounded {
		end := time.Now().Add(loadLimit)
		s.tick.start(func() error {
			if time.Now().After(end) {
				return errors.New("FUNCTION LOAD timeout")
			}
			return nil
		})
	}
	s.l.Push(fn)
	if err := s.l.PCall(0, 0, nil); err != nil {
		return errors.New("Error registering functions: " + oneLine(loadError(err)))
	}
	return nil
}

// loadError is the text of an error, with its code only when it is not the usual one.
func loadError(err error) string {
	var api *lua.ApiError
	if !errors.As(err, &api) {
		return err.Error()
	}
	if t, ok := api.Object.(*lua.LTable); ok {
		if s, ok := t.RawGetString("err").(lua.LString); ok {
			return string(s)
		}
		return "unknown error"
	}
	if s, ok := api.Object.(lua.LString); ok {
		return string(s)
	}
	return panicText(err.Error())
}

// loadGlobals is all that a library sees while it loads: the table redis with what it needs there.
func (s *state) loadGlobals() *lua.LTable {
	t := s.l.NewTable()
	s.common(t)
	t.RawSetString("register_function", s.l.NewFunction(s.registerFunction))
	missing := s.l.NewTable()
	missing.RawSetString("__index", s.l.NewFunction(func(l *lua.LState) int {
		l.RaiseError(errNoGlobal, text(l, l.Get(2)))
		return 0
	}))
	t.Metatable = missing
	g := s.l.NewTable()
	g.RawSetString("redis", s.freeze(t))
	g.Metatable = missing
	return g
}

func (s *state) registerFunction(l *lua.LState) int {
	if s.loading == nil {
		raise(l, "redis.register_function can only be called on FUNCTION LOAD command")
	}
	f := &function{lib: s.loading}
	var problem string
	switch n := l.GetTop(); {
	case n < 1 || n > 2:
		problem = "wrong number of arguments to redis.register_function"
	case n == 1:
		problem = f.fromTable(s, l.Get(1))
	default:
		problem = f.fromPair(l.Get(1), l.Get(2))
	}
	switch {
	case problem != "":
	case !validName(f.name):
		problem = errLibraryName
	case s.loading.functions[strings.ToLower(f.name)] != nil:
		problem = "Function already exists in the library"
	}
	if problem != "" {
		raise(l, problem)
	}
	s.loading.functions[strings.ToLower(f.name)] = f
	return 0
}

func (f *function) fromPair(name, fn lua.LValue) string {
	if name.Type() != lua.LTString && name.Type() != lua.LTNumber {
		return "first argument to redis.register_function must be a string"
	}
	lf, ok := fn.(*lua.LFunction)
	if !ok {
		return "second argument to redis.register_function must be a function"
	}
	f.name, f.fn = wordOf(name), lf
	return ""
}

func (f *function) fromTable(s *state, arg lua.LValue) (problem string) {
	t, ok := arg.(*lua.LTable)
	if !ok {
		return "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments)."
	}
	named := false
	each(s.open(t), func(k, v lua.LValue) {
		if problem != "" {
			return
		}
		switch word, isWord := k.(lua.LString); {
		case !isWord:
			problem = "named argument key given to redis.register_function is not a string"
		case word == "function_name":
			if v.Type() != lua.LTString && v.Type() != lua.LTNumber {
				problem = "function_name argument given to redis.register_function must be a string"
			}
			f.name, named = wordOf(v), true
		case word == "description":
			if v.Type() != lua.LTString && v.Type() != lua.LTNumber {
				problem = "description argument given to redis.register_function must be a string"
			}
			f.description, f.described = wordOf(v), true
		case word == "callback":
			if f.fn, ok = v.(*lua.LFunction); !ok {
				problem = "callback argument given to redis.register_function must be a function"
			}
		case word == "flags":
			problem = f.readFlags(v)
		default:
			problem = "unknown argument given to redis.register_function"
		}
	})
	switch {
	case problem != "":
	case !named:
		problem = "redis.register_function must get a function name argument"
	case f.fn == nil:
		problem = "redis.register_function must get a callback argument"
	}
	return problem
}

func (f *function) readFlags(v lua.LValue) string {
	t, ok := v.(*lua.LTable)
	if !ok {
		return "flags argument to redis.register_function must be a table representing function flags"
	}
	for i := 1; ; i++ {
		v := t.RawGetInt(i)
		if v == lua.LNil {
			return ""
		}
		name, _ := v.(lua.LString)
		flag := flagByName(string(name))
		if flag == 0 {
			return "unknown flag given"
		}
		f.flags |= flag
	}
}

// Libraries are the codes of all libraries, for a saved data set. The engine's lock must be held exclusively.
func (h *Host) Libraries() []string {
	var codes []string
	for _, lib := range h.lib.sorted() {
		codes = append(codes, lib.code)
	}
	return codes
}

// LoadLibraries takes over the libraries of a data set that was loaded, instead of those that there are or beside them.
// The engine's lock must be held exclusively.
func (h *Host) LoadLibraries(codes []string, how engine.LibraryLoad) error {
	return h.restore(codes, map[engine.LibraryLoad]string{engine.Instead: "flush", engine.Beside: "append", engine.Over: "replace"}[how])
}

// dump makes the payload of FUNCTION DUMP: the libraries as a data set's file has them, the version, a checksum.
func (l *libraries) dump() []byte {
	var p []byte
	for _, lib := range l.sorted() {
		p = rdb.AppendFunction(p, []byte(lib.code), false)
	}
	p = binary.LittleEndian.AppendUint16(p, rdb.Version)
	return binary.LittleEndian.AppendUint64(p, rdb.CRC64(0, p))
}

var errPayload = errors.New("DUMP payload version or checksum are wrong")

// newestPayload is the newest version of RDB whose payloads are taken.
const newestPayload = 12

// parseDump reads what dump made.
func parseDump(p []byte) (codes []string, err error) {
	if len(p) < 10 {
		return nil, errPayload
	}
	body, version, sum := p[:len(p)-10], binary.LittleEndian.Uint16(p[len(p)-10:]), binary.LittleEndian.Uint64(p[len(p)-8:])
	if version > newestPayload || sum != 0 && sum != rdb.CRC64(0, p[:len(p)-8]) {
		return nil, errPayload
	}
	file := rdb.AppendEOF(append(rdb.AppendMagic(nil, rdb.Version), body...), 0, false)
	r := rdb.NewReader(bytes.NewReader(file), rdb.Limits{SkipChecksum: true, MaxString: int64(len(file))})
	for {
		ev, err := r.Next()
		switch {
		case err != nil:
			return nil, errors.New("failed loading RDB payload")
		case ev.Kind == rdb.EOF:
			return codes, nil
		case ev.Kind != rdb.Function:
			return nil, errors.New("given type is not a function")
		}
		codes = append(codes, string(ev.Value))
	}
}
