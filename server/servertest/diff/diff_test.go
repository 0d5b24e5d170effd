package diff

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

var (
	seed     = flag.Uint64("seed", 1, "seed of the random commands; 0 takes the clock. The default is fixed, so that a verdict depends on the code alone")
	commands = flag.Int("commands", 20000, "number of random commands")
	length   = flag.Duration("for", 0, "go on with the next seeds for so long: what a campaign does")
	only     = flag.String("only", "*", "draw only commands whose full name matches this pattern")
)

// forSeeds runs a random test with the seed that was asked for, then with the next ones for as long as was asked for.
func forSeeds(t *testing.T, test func(t *testing.T, seed uint64)) {
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	begin := time.Now()
	for n := uint64(0); ; n++ {
		if !t.Run(fmt.Sprint("seed=", first+n), func(t *testing.T) { test(t, first+n) }) {
			return
		}
		if time.Since(begin) >= *length {
			t.Logf("seeds %d to %d, %d commands, %v", first, first+n, (n+1)*uint64(*commands), time.Since(begin).Round(time.Second))
			return
		}
	}
}

// unshared are directives with which redis-server makes an object for each small number that it is given. Otherwise all keys
// that hold the same one share its object, and with it the access clock: OBJECT IDLETIME of a key that was set just now
// tells when somebody last used the number.
var unshared = []string{"--maxmemory", "64gb", "--maxmemory-policy", "allkeys-lru"}

// TestRandomCommands runs random commands on both sides and compares every reply, then the data, then the effects.
func TestRandomCommands(t *testing.T) { forSeeds(t, randomCommands) }

func randomCommands(t *testing.T, s uint64) {
	ours := NewDirect()
	real := oracle.Start(t, append([]string{"--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no"}, unshared...)...)
	compareRandom(t, s, *commands, ours, real)
}

func compareRandom(t *testing.T, s uint64, commands int, ours *Direct, real *oracle.Server) {
	stream := OpenStream(t, "unix", real.Sock)
	g := NewGen(s, ours.Table, time.Now().UnixMilli(), func(c *command.Cmd) bool {
		return command.Match([]byte(*only), []byte(c.FullName))
	})
	for i := range commands {
		args := g.Next()
		began := time.Now()
		want, got := real.Do(args...), ours.Do(args...)
		took(time.Since(began))
		if !Same(args, want, got) {
			t.Fatalf("seed %d, command %d: %q\nredis-server: %s\nours:         %s", s, i, args, want, got)
		}
		if i%2000 == 1999 || i == commands-1 {
			compareStates(t, s, real, ours)
		}
	}
	marker := "end of the test"
	real.Do("SET", marker, "")
	if d := DiffEffects(stream.Until(marker), ours.Effects); d != "" {
		t.Fatalf("seed %d: %s", s, d)
	}
}

func compareStates(t *testing.T, seed uint64, real, ours Doer) {
	t.Helper()
	want, got := State(real, 16), State(ours, 16)
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			t.Fatalf("seed %d: the data differs at line %d:\nredis-server: %.300s\nours:         %.300s", seed, i, line(want, i), line(got, i))
		}
	}
}

func line(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(nothing)"
}

// TestScanReturnsEveryKey compares whole walks: single steps differ by design.
func TestScanReturnsEveryKey(t *testing.T) {
	t.Run("at once", func(t *testing.T) { scanEverything(t, NewDirect(), oracle.Start(t, "--save", "")) })
	t.Run("in steps", func(t *testing.T) {
		ours, real := startLong(t)
		scanEverything(t, ours, real)
		for _, name := range []string{"scan", "hscan", "sscan", "zscan"} {
			if ours.Long[name] == 0 {
				t.Errorf("%s never went on after its handler", name)
			}
		}
	})
}

func scanEverything(t *testing.T, ours *Direct, real *oracle.Server) {
	for i := range 1000 {
		for _, side := range []Doer{real, ours} {
			side.Do("SET", fmt.Sprint("key:", i), "v")
			side.Do("HSET", "big", fmt.Sprint("f", i), fmt.Sprint(i))
			side.Do("HSET", "small", fmt.Sprint("f", i%10), fmt.Sprint(i))
			side.Do("SADD", "set", fmt.Sprint("f", i))
			side.Do("ZADD", "zset", fmt.Sprint(i), fmt.Sprint("f", i))
		}
	}
	for _, options := range [][]string{{}, {"COUNT", "1"}, {"COUNT", "100000"}, {"MATCH", "*9*"}, {"TYPE", "hash"}, {"TYPE", "STRING", "MATCH", "*1"}, {"TYPE", "list"}} {
		if want, got := walk(t, real, []string{"SCAN"}, options), walk(t, ours, []string{"SCAN"}, options); !slices.Equal(want, got) {
			t.Errorf("SCAN %v: redis-server finds %d, ours %d", options, len(want), len(got))
		}
	}
	for _, head := range [][]string{{"HSCAN", "big"}, {"HSCAN", "small"}, {"HSCAN", "none"}, {"SSCAN", "set"}, {"ZSCAN", "zset"}} {
		for _, options := range [][]string{{}, {"COUNT", "1"}, {"COUNT", "700"}, {"COUNT", "100000"}, {"MATCH", "f*1"}, {"COUNT", "500", "MATCH", "f*1"}} {
			if want, got := walk(t, real, head, options), walk(t, ours, head, options); !slices.Equal(want, got) {
				t.Errorf("%s %v: redis-server finds %d, ours %d", head, options, len(want), len(got))
			}
		}
	}
}

// walk collects all that a cursor command returns, sorted and without repetitions.
func walk(t *testing.T, d Doer, head, options []string) []string {
	t.Helper()
	var found []string
	for cursor, steps := "0", 0; ; steps++ {
		v := d.Do(slices.Concat(head, []string{cursor}, options)...)
		if v.IsError() || len(v.Elems) != 2 || steps > 1_000_000 {
			t.Fatalf("%v %v: %s", head, options, v)
		}
		for _, e := range v.Elems[1].Elems {
			found = append(found, string(e.Str))
		}
		if cursor = string(v.Elems[0].Str); cursor == "0" {
			slices.Sort(found)
			return slices.Compact(found)
		}
	}
}

// TestExpiredKeys compares what commands make of a key whose time has come, and what they propagate.
func TestExpiredKeys(t *testing.T) {
	ours := NewDirect()
	real := oracle.Start(t, "--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no", "--enable-debug-command", "yes")
	real.Must("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	stream := OpenStream(t, "unix", real.Sock)
	for i, args := range [][]string{
		{"SET", "k", "new"}, {"SET", "k", "new", "GET"}, {"SET", "k", "v", "XX"}, {"SET", "k", "v", "NX"}, {"SET", "k", "v", "KEEPTTL"}, {"SETNX", "k", "v"},
		{"APPEND", "k", "x"}, {"INCR", "k"}, {"SETRANGE", "k", "3", "x"}, {"SETBIT", "k", "3", "1"}, {"DEL", "k"}, {"UNLINK", "k"}, {"GETDEL", "k"}, {"GETEX", "k", "PERSIST"},
		{"PERSIST", "k"}, {"EXPIRE", "k", "100"}, {"RENAME", "k", "other"}, {"RENAMENX", "other", "k"}, {"COPY", "k", "other"}, {"MOVE", "k", "1"}, {"MSETNX", "k", "v"},
		{"HSET", "k", "f", "v"}, {"HDEL", "k", "f"}, {"HINCRBY", "k", "f", "1"}, {"MSET", "k", "v", "other", "v"}, {"BITOP", "OR", "k", "other"}, {"GETSET", "k", "v"},
	} {
		for _, side := range []Doer{real, ours} {
			side.Do("FLUSHALL")
			side.Do("SET", "k", "1", "PX", "1")
			side.Do("SET", "other", "1")
		}
		time.Sleep(5 * time.Millisecond)
		if want, got := real.Do(args...), ours.Do(args...); !Same(args, want, got) {
			t.Errorf("case %d: %q: redis-server %s, ours %s", i, args, want, got)
		}
		compareStates(t, 0, real, ours)
	}
	real.Do("SET", "marker", "")
	if d := DiffEffects(stream.Until("marker"), ours.Effects); d != "" {
		t.Error(d)
	}
}

// TestKeyspaceEvents compares the events of random commands, in order.
func TestKeyspaceEvents(t *testing.T) { forSeeds(t, keyspaceEvents) }

func keyspaceEvents(t *testing.T, s uint64) {
	ours := NewDirect()
	ours.Ctx.Conf.NotifyEvents = 1<<15 - 1
	real := oracle.Start(t, "--save", "", "--notify-keyspace-events", "KEAmn")
	events := subscribe(t, real.Sock)
	g := NewGen(s, ours.Table, time.Now().UnixMilli(), func(*command.Cmd) bool { return true })
	for i := range 5000 {
		args := g.Next()
		ours.Events = nil
		real.Do(args...)
		ours.Do(args...)
		real.Do("PUBLISH", "mark", "")
		if want := events(); !slices.Equal(want, ours.Events) {
			t.Fatalf("seed %d, command %d: %q\nredis-server: %v\nours:         %v", s, i, args, want, ours.Events)
		}
	}
}

func TestCasesOnceFound(t *testing.T) {
	ours := NewDirect()
	real := oracle.Start(t, "--save", "")
	for i, args := range cases {
		if want, got := real.Do(args...), ours.Do(args...); !Same(args, want, got) {
			t.Errorf("case %d: %q\nredis-server: %s\nours:         %s", i, args, want, got)
		}
	}
	compareStates(t, 0, real, ours)
}
