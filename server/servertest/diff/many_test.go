package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// manyOf makes a command that adds elements i to j: the second half of them twice when twice says so.
func manyOf(name, key string, i, j int, twice bool, element func(i int) []string) []string {
	args := []string{name, key}
	for n := i; n < j; n++ {
		args = append(args, element(n)...)
		if twice && n > (i+j)/2 {
			args = append(args, element(n-(j-i)/4)...)
		}
	}
	return args
}

// TestManyElements adds several elements by one command: to new keys and known ones, across the borders of encodings, and
// with elements that come twice. Replies, encodings, data, effects and events are compared.
func TestManyElements(t *testing.T) {
	ours := NewDirect()
	ours.Ctx.Store.Config.HashMaxListpackEntries = 512 // as the directive's default
	ours.Ctx.Conf.NotifyEvents = 1<<15 - 1
	real := oracle.Start(t, "--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no", "--notify-keyspace-events", "KEAmn")
	stream, events := OpenStream(t, "unix", real.Sock), subscribe(t, real.Sock)
	do := func(args ...string) {
		t.Helper()
		ours.Events = nil
		want, got := real.Do(args...), ours.Do(args...)
		if !Same(args, want, got) {
			t.Fatalf("%.200q\nredis-server: %s\nours:         %s", args, want, got)
		}
		real.Do("PUBLISH", "mark", "")
		if want := events(); !slices.Equal(want, ours.Events) {
			t.Fatalf("%.200q: events\nredis-server: %v\nours:         %v", args, want, ours.Events)
		}
		if want, got := real.Do("OBJECT", "ENCODING", args[1]), ours.Do("OBJECT", "ENCODING", args[1]); want.String() != got.String() {
			t.Fatalf("%.200q: redis-server ends as %s, ours as %s", args, want, got)
		}
	}
	kinds := map[string]func(i int) []string{
		"HSET":  func(i int) []string { return []string{fmt.Sprint("f", i%200), fmt.Sprint(i)} },
		"HMSET": func(i int) []string { return []string{fmt.Sprint(i), strings.Repeat("v", i%70)} },
		"SADD":  func(i int) []string { return []string{fmt.Sprint(i)} },
		"RPUSH": func(i int) []string { return []string{fmt.Sprint("element", i%7)} },
		"LPUSH": func(i int) []string { return []string{strings.Repeat("e", i)} },
		"ZADD":  func(i int) []string { return []string{fmt.Sprint(float64(i*7919%1009) / 4), fmt.Sprint("m", i%300)} },
	}
	for name, element := range kinds {
		for _, twice := range []bool{false, true} {
			for n, borders := range [][]int{{0, 1, 3}, {0, 10, 20, 30}, {0, 127, 128, 129, 131}, {0, 100, 140, 260}, {0, 130}, {0, 500, 511, 514}, {0, 513}, {0, 900, 901}} {
				key := fmt.Sprint(name, n, twice)
				for i := 1; i < len(borders); i++ {
					do(manyOf(name, key, borders[i-1], borders[i], twice, element)...)
				}
				do("EXPIRE", key, "100000")
				do(manyOf(name, key, 3, 8, twice, element)...)
			}
		}
	}
	long := strings.Repeat("x", 65)
	for _, args := range [][]string{
		{"SADD", "mixed", "1", "2", "x", "3", "x"}, {"SADD", "mixed2", "1", long, "2"}, {"SADD", "mixed3", "70000", "-1", "5000000000", "1"}, {"SADD", "mixed3", "a", "1"},
		{"HSET", "h", "f", "1", "g", long, "h", "2"}, {"HSET", "h2", "f", "1", "f", "2", "f", "3"}, {"HSET", "h2", "g", "1", long, "2"}, {"HSET", "h2", "a", "b", "c"},
		{"ZADD", "z", "1", "a", "2", "b", "nan", "c"}, {"ZADD", "z", "1", "a", "x", "b"}, {"ZADD", "z", "XX", "1", "a", "2", "b"}, {"ZADD", "z", "NX", "2", "a", "1", "b", "3", "a"},
		{"ZADD", "z", "GT", "CH", "1", "a", "5", "b", "6", "c", "4", "c"}, {"ZADD", "z", "LT", "CH", "1", "a", "5", "b", "6", "d", "4", "d"}, {"ZADD", "z", "XX", "CH", "9", "a", "9", "nobody"},
		{"ZADD", "z", "INCR", "inf", "a"}, {"ZADD", "z", "INCR", "-inf", "a"}, {"ZADD", "z", "INCR", "1", "a", "2", "b"}, {"ZADD", "z", "1", long, "2", "last"}, {"ZADD", "z2", "INCR", "3", "new"},
		{"ZADD", "z2", "-0", "new", "0", "zero"}, {"ZADD", "z3", "3", "m", "1", "m", "2", "n", "2", "m"}, {"ZINCRBY", "z4", "-inf", "m"}, {"ZINCRBY", "z4", "inf", "m"},
		{"RPUSH", "l", "1", strings.Repeat("y", 9000), "2"}, {"LPUSH", "l", "3", "4", strings.Repeat("z", 70000)}, {"LPUSHX", "l", "5", "6"}, {"RPUSHX", "nobody", "5", "6"},
		{"SADD", "l", "1", "2"}, {"HSET", "l", "1", "2", "3", "4"}, {"ZADD", "l", "1", "2", "3", "4"}, {"RPUSH", "z", "1", "2"}, {"GEOADD", "z", "1", "2", "here", "300", "2", "nowhere"},
		{"GEOADD", "geo", "1", "2", "here", "3", "4", "there", "5", "6", "here"},
	} {
		do(args...)
	}
	compareStates(t, 0, real, ours)
	real.Do("SET", "end", "")
	if d := DiffEffects(withoutMarks(stream.Until("end")), ours.Effects); d != "" {
		t.Fatal(d)
	}
}
