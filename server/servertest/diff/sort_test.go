package diff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// sortOptionsOf draws options of SORT; open tells that the order of the reply is nobody's promise.
func sortOptionsOf(r *rand.Rand, key string, stores bool) (args []string, open bool) {
	var by, stored bool
	for range r.IntN(5) {
		switch r.IntN(8) {
		case 0:
			args = append(args, []string{"ASC", "desc", "DESC"}[r.IntN(3)])
		case 1, 2:
			args = append(args, "ALPHA")
		case 3:
			args = append(args, "LIMIT", fmt.Sprint(r.IntN(20)-4), fmt.Sprint(r.IntN(20)-4))
		case 4, 5:
			args = append(args, "GET", []string{"#", "w_*", "h_*->f", "nothing", "h_*->none", "w_*->", "h_*", "*"}[r.IntN(8)])
		case 6:
			args = append(args, "BY", []string{"w_*", "h_*->f", "nosort", "w_*", "none_*", "h_*"}[r.IntN(6)])
			by = by || strings.HasSuffix(args[len(args)-1], "nosort")
		case 7:
			if stores {
				args, stored = append(args, "STORE", "to"), true
			}
		}
	}
	return args, by && !stored && key == "set"
}

// TestSort compares SORT on values whose elements and weights all differ, so that there is one right order; where
// elements have no weight their texts decide, but for ALPHA.
func TestSort(t *testing.T) {
	ours := NewDirect()
	real := oracle.Start(t, "--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no")
	stream := OpenStream(t, "unix", real.Sock)
	r := rand.New(rand.NewPCG(*seed, 9))
	both := func(args ...string) {
		t.Helper()
		if want, got := real.Do(args...), ours.Do(args...); !Same(args, want, got) {
			t.Fatalf("seed %d: %q: redis-server %s, ours %s", *seed, args, want, got)
		}
	}
	keys := []string{"list", "set", "zset", "numbers", "none", "string"}
	for round := range 40 {
		both("FLUSHALL")
		both("SET", "string", "v")
		for i := range 1 + r.IntN(30) {
			element := fmt.Sprint(r.IntN(1000)*100 + i)
			both("RPUSH", "numbers", element)
			if round%2 == 0 {
				element = "x" + element
			}
			both("RPUSH", "list", element)
			both("SADD", "set", element)
			both("ZADD", "zset", fmt.Sprint(r.IntN(5)), element)
			weight := fmt.Sprintf("%d.%d", r.IntN(2000)-1000, i)
			for _, e := range []string{element, strings.TrimPrefix(element, "x")} {
				both("SET", "w_"+e, weight)
				both("HSET", "h_"+e, "f", weight)
			}
		}
		for range 150 {
			name := "SORT"
			if r.IntN(5) == 0 {
				name = "SORT_RO"
			}
			key := keys[r.IntN(len(keys))]
			options, open := sortOptionsOf(r, key, name == "SORT")
			args := append([]string{name, key}, options...)
			if alphaTies := slices.Contains(args, "ALPHA") && (slices.Contains(args, "none_*") || slices.Contains(args, "h_*")); alphaTies {
				continue
			}
			want, got := real.Do(args...), ours.Do(args...)
			if open && !slices.Contains(args, "LIMIT") {
				sortElems(want.Elems, 1)
				sortElems(got.Elems, 1)
			} else if open {
				continue
			}
			if !equal(&want, &got) {
				t.Fatalf("seed %d: %q\nredis-server: %s\nours:         %s", *seed, args, want, got)
			}
			both("LRANGE", "to", "0", "-1")
		}
		both("DEL", "zset") // redis-server's has another encoding for being sorted, which here no reader changes
		compareStates(t, *seed, real, ours)
	}
	real.Do("SET", "end", "")
	if d := DiffEffects(stream.Until("end"), ours.Effects); d != "" {
		t.Fatalf("seed %d: %s", *seed, d)
	}
}

// TestSortScores compares what counts as a number, and plain errors.
func TestSortScores(t *testing.T) {
	ours := NewDirect()
	real := oracle.Start(t, "--save", "")
	number := func(number string) {
		t.Helper()
		for _, d := range []Doer{real, ours} {
			d.Do("DEL", "l")
			d.Do("RPUSH", "l", "2", number, "-3", "7")
		}
		for _, args := range [][]string{{"SORT", "l"}, {"SORT", "l", "ALPHA"}} {
			if want, got := real.Do(args...), ours.Do(args...); !Same(args, want, got) {
				t.Errorf("%q: redis-server %s, ours %s", number, want, got)
			}
		}
	}
	for _, n := range []string{"1", "-1", "+1", " 1", "1 ", "", " ", "1e5", "0e-400", "0x10", "0x1p3", "inf", "-inf", "Infinity", "nan", "1_0", "1.5.2",
		".5", "5.", ".", "e5", "1\x00x", "\x00", "--1", "99999999999999999999", "9007199254740993", "0.1e1", "3"} {
		number(n)
	}
	for _, args := range [][]string{
		{"SORT", "l", "LIMIT", "1"}, {"SORT", "l", "LIMIT", "x", "1"}, {"SORT", "l", "LIMIT", "1", "9223372036854775808"}, {"SORT", "l", "BY"}, {"SORT", "l", "GET"}, {"SORT", "l", "STORE"},
		{"SORT", "l", "what"}, {"SORT_RO", "l", "STORE", "x"}, {"COMMAND", "GETKEYS", "SORT", "a", "STORE", "b", "STORE", "c"}, {"COMMAND", "GETKEYS", "SORT_RO", "a", "STORE", "b"},
		{"COMMAND", "GETKEYS", "SORT", "a", "BY", "STORE", "GET", "x"}, {"SORT", "l", "LIMIT", "2", "9223372036854775807"},
		{"COMMAND", "GETKEYSANDFLAGS", "SORT", "a", "STORE", "b"}, {"SORT", "l", "BY", "nosort", "LIMIT", "1", "2"}, {"SORT", "l", "BY", "nosort", "DESC", "LIMIT", "1", "2"},
	} {
		if want, got := real.Do(args...), ours.Do(args...); !Same(args, want, got) {
			t.Errorf("%q: redis-server %s, ours %s", args, want, got)
		}
	}
	for _, n := range []string{"1e400", "-1e-310", "1e-400"} { // last: redis-server takes every number for one of these afterwards
		number(n)
	}
}

// TestSortInScripts: there a set has the order of its members' texts where it has none otherwise.
func TestSortInScripts(t *testing.T) {
	ours := NewDirect()
	real := oracle.Start(t, "--save", "")
	for _, d := range []Doer{real, ours} {
		d.Do("SADD", "s", "b", "10", "a", "9", "c", "d", "e")
	}
	ours.Ctx.NoBlocking = true // as a script has it
	want := real.Do("EVAL", "return redis.call('sort', KEYS[1], 'by', 'nosort', 'desc')", "1", "s")
	if got := ours.Do("SORT", "s", "BY", "nosort", "DESC"); !equal(&want, &got) {
		t.Errorf("redis-server %s, ours %s", want, got)
	}
}
