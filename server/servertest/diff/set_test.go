package diff

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// TestRandomMembers compares what does not depend on chance in the commands that do: shapes, sizes, errors, and what is
// left. Effects are compared with the reply.
func TestRandomMembers(t *testing.T) {
	ours := NewDirect()
	real := oracle.Start(t, "--save", "")
	sides := []Doer{real, ours}
	for _, size := range []int{0, 1, 2, 10, 127, 200, 600} {
		for _, prefix := range []string{"", "m"} {
			for _, args := range [][]string{
				{"SPOP", "s"}, {"SPOP", "s", "0"}, {"SPOP", "s", "1"}, {"SPOP", "s", "5"}, {"SPOP", "s", "9"}, {"SPOP", "s", "199"}, {"SPOP", "s", "590"},
				{"SPOP", "s", "1000"}, {"SPOP", "s", "-1"}, {"SPOP", "s", "x"}, {"SPOP", "s", "1", "2"}, {"SPOP", "string", "1"}, {"SPOP", "string"},
				{"SRANDMEMBER", "s"}, {"SRANDMEMBER", "s", "0"}, {"SRANDMEMBER", "s", "1"}, {"SRANDMEMBER", "s", "7"}, {"SRANDMEMBER", "s", "150"}, {"SRANDMEMBER", "s", "1000"},
				{"SRANDMEMBER", "s", "-7"}, {"SRANDMEMBER", "s", "-1000"}, {"SRANDMEMBER", "s", "-9223372036854775808"}, {"SRANDMEMBER", "s", "x"},
				{"SRANDMEMBER", "s", "1", "2"}, {"SRANDMEMBER", "string"}, {"SRANDMEMBER", "string", "2"},
			} {
				var left [2][]string
				var reply [2]resp.Value
				for i, d := range sides {
					fillSet(d, prefix, size)
					ours.Effects = nil
					reply[i] = d.Do(args...)
					for _, e := range d.Do("SMEMBERS", "s").Elems {
						left[i] = append(left[i], string(e.Str))
					}
				}
				what := fmt.Sprintf("%d members %q: %q", size, prefix, args)
				if w, g := shapeOf(reply[0]), shapeOf(reply[1]); w != g || len(left[0]) != len(left[1]) {
					t.Errorf("%s: redis-server %s, leaves %d; ours %s, leaves %d", what, w, len(left[0]), g, len(left[1]))
				}
				if e, w := ours.Do("OBJECT", "ENCODING", "s"), real.Do("OBJECT", "ENCODING", "s"); e.String() != w.String() {
					t.Errorf("%s: redis-server ends as %s, ours as %s", what, w, e)
				}
				checkDraw(t, what, args, reply[1], left[1], size, ours)
			}
		}
	}
}

// TestPopVeryMany is TestRandomMembers for draws that walk through the set, and by chance: everybody is drawn as often.
func TestPopVeryMany(t *testing.T) { popVeryMany(t, 0) }

// TestPopVeryManyLong is the same where they go on after their handlers.
func TestPopVeryManyLong(t *testing.T) {
	if ours := popVeryMany(t, 1); ours.Long["spop"] < 10 {
		t.Errorf("SPOP went on after its handler %d times", ours.Long["spop"])
	}
}

func popVeryMany(t *testing.T, longFrom int) *Direct {
	const size = 5000
	ours := NewDirect()
	ours.Ctx.Conf.LongFrom = longFrom
	real := oracle.Start(t, "--save", "")
	fill := func(d Doer, prefix string) {
		d.Do("FLUSHALL")
		args := []string{"SADD", "s"}
		for i := range size {
			args = append(args, prefix+strconv.Itoa(i))
		}
		d.Do(args...)
		d.Do("PEXPIREAT", "s", "4000000000000")
	}
	for _, prefix := range []string{"", "m"} {
		for _, count := range []string{"300", "1023", "1024", "2500", "4100", "4166", "4167", "4700", "4999", "5000", "6000"} {
			args := []string{"SPOP", "s", count}
			var reply [2]resp.Value
			for i, d := range []Doer{real, ours} {
				fill(d, prefix)
				ours.Effects = nil
				reply[i] = d.Do(args...)
			}
			effects := ours.Effects
			what := fmt.Sprintf("members %q: %q", prefix, args)
			if w, g := shapeOf(reply[0]), shapeOf(reply[1]); w != g {
				t.Errorf("%s: redis-server %s, ours %s", what, w, g)
			}
			for _, look := range [][]string{{"SCARD", "s"}, {"OBJECT", "ENCODING", "s"}, {"PEXPIRETIME", "s"}} {
				if w, g := real.Do(look...), ours.Do(look...); w.String() != g.String() {
					t.Errorf("%s: %q is %s at redis-server, ours %s", what, look, w, g)
				}
			}
			var left []string
			for _, e := range ours.Do("SMEMBERS", "s").Elems {
				left = append(left, string(e.Str))
			}
			ours.Effects = effects
			checkDraw(t, what, args, reply[1], left, size, ours)
		}
	}
	const rounds = 100
	drawn := map[string]int{}
	for range rounds {
		fill(ours, "m")
		for _, e := range ours.Do("SPOP", "s", "1250").Elems {
			drawn[string(e.Str)]++
		}
	}
	for i := range size { // 25 +- 4.3: more than six deviations are no chance
		if n := drawn["m"+strconv.Itoa(i)]; n < 2 || n > 52 {
			t.Errorf("member %d was drawn %d times in %d, not about a quarter of them", i, n, rounds)
		}
	}
	return ours
}

func fillSet(d Doer, prefix string, size int) {
	d.Do("FLUSHALL")
	d.Do("SET", "string", "v")
	for i := range size {
		d.Do("SADD", "s", prefix+strconv.Itoa(i))
	}
}

// shapeOf is a reply without the members' names: kind and length, or the error.
func shapeOf(v resp.Value) string {
	if v.IsError() {
		return v.String()
	}
	return fmt.Sprintf("%c null %v of %d", v.Kind, v.Null, len(v.Elems))
}

// checkDraw checks that a draw took members of the set, different ones where it should, and that the effects say so.
func checkDraw(t *testing.T, what string, args []string, reply resp.Value, left []string, size int, ours *Direct) {
	t.Helper()
	if reply.IsError() || reply.Null || size == 0 {
		return
	}
	var drawn []string
	for _, e := range reply.Elems {
		drawn = append(drawn, string(e.Str))
	}
	if reply.Kind == '$' {
		drawn = []string{string(reply.Str)}
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(drawn)))
	if args[0] == "SRANDMEMBER" {
		if len(args) == 3 && !strings.HasPrefix(args[2], "-") && len(distinct) != len(drawn) {
			t.Errorf("%s repeats members", what)
		}
		return
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(drawn, left))))
	if len(all) != size || len(drawn)+len(left) != size {
		t.Errorf("%s: %d drawn and %d left of %d", what, len(drawn), len(left), size)
	}
	removed := []string{}
	for _, e := range ours.Effects {
		if e[0] == "SREM" && e[1] == "s" {
			removed = append(removed, e[2:]...)
		}
	}
	if len(left) > 0 || len(args) == 2 {
		if !slices.Equal(removed, drawn) {
			t.Errorf("%s: drew %q, the effects are %q", what, drawn, ours.Effects)
		}
	} else if n := len(ours.Effects); n == 0 || !slices.Equal(ours.Effects[n-1], []string{"DEL", "s"}) {
		t.Errorf("%s: the effects of taking all are %q", what, ours.Effects)
	}
}

// TestSscanReturnsEveryMember compares whole walks.
func TestSscanReturnsEveryMember(t *testing.T) {
	ours := NewDirect()
	real := oracle.Start(t, "--save", "")
	for i := range 1000 {
		for _, side := range []Doer{real, ours} {
			side.Do("SADD", "big", fmt.Sprint("m", i))
			side.Do("SADD", "ints", fmt.Sprint(i%300))
			side.Do("SADD", "small", fmt.Sprint("m", i%10))
		}
	}
	for _, key := range []string{"big", "ints", "small", "none"} {
		for _, options := range [][]string{{}, {"COUNT", "1"}, {"MATCH", "*1"}, {"MATCH", "m*"}} {
			head := []string{"SSCAN", key}
			if want, got := walk(t, real, head, options), walk(t, ours, head, options); !slices.Equal(want, got) {
				t.Errorf("SSCAN %s %v: redis-server finds %d, ours %d", key, options, len(want), len(got))
			}
		}
	}
}
