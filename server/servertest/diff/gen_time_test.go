package diff

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
)

// TestTimesOfAConversationAreApart wants no two of the relative times of a long conversation nearer than it lasts, and none near the
// absolute ones.
func TestTimesOfAConversationAreApart(t *testing.T) {
	const longest = int64(3_600_000) // milliseconds
	now := time.Now().UnixMilli()
	for seed := range uint64(20) {
		g := NewGen(seed, command.NewTable(), now, func(*command.Cmd) bool { return true })
		var ends []int64
		for range 5000 {
			for name, unit := range map[string]int64{"seconds": 1000, "milliseconds": 1} {
				n, err := strconv.ParseInt(g.relative(name), 10, 64)
				if err == nil && n > 0 && n < 9223372036854775 {
					ends = append(ends, now+n*unit)
				} else if err == nil && n > 0 && n < 9223372036854775807 && unit == 1 {
					ends = append(ends, n)
				}
			}
		}
		slices.Sort(ends)
		if ends[0] < now+4_600_000+longest {
			t.Fatalf("seed %d: %d ms from the start is near the absolute times", seed, ends[0]-now)
		}
		for i := range ends[1:] {
			if ends[i+1]-ends[i] < longest {
				t.Fatalf("seed %d: two times are %d ms apart", seed, ends[i+1]-ends[i])
			}
		}
	}
}

// TestNearness compares by hand what must be taken as equal and what must not.
func TestNearness(t *testing.T) {
	id := func(ms string) string { return ms + "-0" }
	for _, c := range []struct {
		a, b []string
		want bool
	}{
		{[]string{"PEXPIREAT", "k", "1795900000000"}, []string{"PEXPIREAT", "k", "1795900000001"}, true},
		{[]string{"PEXPIREAT", "k", "1795900000000"}, []string{"PEXPIREAT", "k", "1795910000000"}, false},
		{[]string{"XADD", clockKey, id("1795900000000"), "f", "1"}, []string{"XADD", clockKey, id("1795900000003"), "f", "1"}, true},
		{[]string{"XADD", clockKey, id("1795900000000"), "f", "1"}, []string{"XADD", clockKey, id("1795900000003"), "f", "2"}, false},
		{[]string{"XADD", "a", "5-0", "f", "1"}, []string{"XADD", "a", "5-1", "f", "1"}, false},
		{[]string{"XADD", clockKey, id("1795900000000"), "f", "1"}, []string{"XADD", clockKey, id("1795990000000"), "f", "1"}, false},
	} {
		if got := SameEffect(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %v", c.a, c.b, got)
		}
	}
}
