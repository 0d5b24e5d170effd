package script

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// TestWeightOfScripts compares what scripts are said to take with what the heap grows by.
func TestWeightOfScripts(t *testing.T) {
	for name, text := range map[string]string{
		"line": "return {%d, redis.call('GET', KEYS[1])}",
		"long": "local n = %d\nlocal function add(a, b) return a + b end\n" + strings.Repeat("n = add(n, redis.call('STRLEN', KEYS[1]) or 0)\nif n > 100 then redis.log(1, 'many') end\n", 40) + "return n",
	} {
		l := lua.NewState()
		defer l.Close()
		const count = 500
		var kept [count]*lua.LFunction
		var said int64
		before := liveHeap()
		for i := range kept {
			fn, err := l.Load(strings.NewReader(fmt.Sprintf(text, i)), scriptChunk)
			if err != nil {
				t.Fatal(err)
			}
			clip(fn.Proto)
			kept[i] = fn
			said += weight(fn.Proto)
		}
		grown := liveHeap() - before
		runtime.KeepAlive(kept)
		t.Logf("%s: %d bytes each, said to be %d", name, grown/count, said/count)
		if said < grown*7/10 || said > grown*13/10 {
			t.Errorf("%s: %d bytes for each script are said to be %d", name, grown/count, said/count)
		}
		if name == "line" && grown/count > 3000 {
			t.Errorf("a line of code takes %d bytes", grown/count)
		}
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestClippedScriptsRun wants what was given back not to be missed: inner functions, upvalues, names in errors, lines.
func TestClippedScriptsRun(t *testing.T) {
	l := lua.NewState()
	defer l.Close()
	code := "local n = 1\nlocal function f() n = n + 1 return function() return n * 2 end end\nlocal r = f()()\nlocal ok, why = pcall(function() local t = nil; return t.x end)\nreturn r, ok, why"
	var told [2]string
	for i := range told {
		fn, err := l.Load(strings.NewReader(code), "chunk")
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			clip(fn.Proto)
		}
		l.Push(fn)
		l.Call(0, 3)
		told[i] = fmt.Sprint(l.Get(-3), l.Get(-2), l.Get(-1))
		l.Pop(3)
	}
	if told[0] != told[1] || !strings.HasPrefix(told[1], "4") {
		t.Errorf("whole %q, clipped %q", told[0], told[1])
	}
}
