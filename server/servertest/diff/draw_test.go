package diff

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
)

// TestDrawVeryMany compares what does not depend on chance in great draws, which go on after their handlers, and checks that
// chance is fair: everybody is drawn about as often.
func TestDrawVeryMany(t *testing.T) {
	const size = 3000
	ours, real := startLong(t)
	for _, d := range []Doer{real, ours} {
		for i := range size {
			d.Do("SADD", "set", fmt.Sprint("m", i))
			d.Do("HSET", "hash", fmt.Sprint("m", i), strconv.Itoa(i))
			d.Do("ZADD", "zset", strconv.Itoa(i), fmt.Sprint("m", i))
		}
	}
	for _, version := range []string{"2", "3"} {
		real.Do("HELLO", version)
		ours.Ctx.Out.SetProto(int(version[0] - '0'))
		for _, args := range [][]string{
			{"SRANDMEMBER", "set"}, {"HRANDFIELD", "hash"}, {"ZRANDMEMBER", "zset"},
			{"HRANDFIELD", "hash", "", "WITHVALUES"}, {"ZRANDMEMBER", "zset", "", "WITHSCORES"},
		} {
			for _, count := range []int{2, 10, 500, 999, 1001, 2999, 3000, 9000, -1, -10, -3000, -9000} {
				args := append([]string{args[0], args[1], strconv.Itoa(count)}, args[min(3, len(args)):]...)
				before := ours.Long[ours.Table.Resolve(words(args)).FullName]
				want, got := real.Do(args...), ours.Do(args...)
				if w, g := shapeOf(want), shapeOf(got); w != g {
					t.Errorf("RESP%s %q: redis-server %s, ours %s", version, args, w, g)
				}
				if ours.Long[ours.Table.Resolve(words(args)).FullName] == before {
					t.Errorf("%q did not go on after its handler", args)
				}
				checkMany(t, fmt.Sprintf("RESP%s %q", version, args), got, len(args) == 4, count > 0, size)
			}
		}
	}
	times := make([]int, size)
	for range 30 {
		for _, v := range ours.Do("SRANDMEMBER", "set", "1000").Elems {
			n, _ := strconv.Atoi(string(v.Str[1:]))
			times[n]++
		}
	}
	for i, n := range times { // 10 on average, with a deviation of 2.6
		if n == 0 || n > 28 {
			t.Errorf("m%d was drawn %d times of 30", i, n)
		}
	}
}

// checkMany checks that a reply has members with their own values, each once when they have to differ.
func checkMany(t *testing.T, what string, reply resp.Value, both, differ bool, size int) {
	t.Helper()
	var flat []resp.Value
	for _, v := range reply.Elems {
		if v.Elems != nil {
			flat = append(flat, v.Elems...)
		} else {
			flat = append(flat, v)
		}
	}
	step, seen := 1, map[int]bool{}
	if both {
		step = 2
	}
	for i := 0; i < len(flat); i += step {
		n, err := strconv.Atoi(string(flat[i].Str[1:]))
		if err != nil || n >= size || flat[i].Str[0] != 'm' || differ && seen[n] {
			t.Fatalf("%s: a wrong member %q", what, flat[i].Str)
		}
		if seen[n] = true; both && string(flat[i+1].Str) != strconv.Itoa(n) && flat[i+1].String() != "(double) "+strconv.Itoa(n) {
			t.Fatalf("%s: %q has %s", what, flat[i].Str, flat[i+1])
		}
	}
}
