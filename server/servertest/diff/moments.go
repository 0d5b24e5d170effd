package diff

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// since2001 is a time in milliseconds beyond all other numbers but those at the edges.
const since2001 = 1_000_000_000_000

// slack is how far two times may differ, in milliseconds: the same command runs on both sides one after the other.
var slack atomic.Int64

func init() { slack.Store(2000) }

// took tells how long the two sides were at a command: on a busy machine their clocks were read so far apart. A remaining
// time is made of two such readings.
func took(span time.Duration) {
	if ms := 2*span.Milliseconds() + 1000; ms > slack.Load() {
		slack.Store(ms)
	}
}

func near(a, b int64) bool { return a-b <= slack.Load() && b-a <= slack.Load() }

// moments makes equal what depends on the moment of a command, where it is near: times since 2001, IDs that clocks have
// drawn, and idle times, which are known by their places in the replies to XINFO and XPENDING.
func moments(a, b *resp.Value) {
	if a.Kind == ':' && b.Kind == ':' && a.Int > since2001 && near(a.Int, b.Int) {
		b.Int = a.Int
	}
	if len(a.Str) > 0 && nearIDs(string(a.Str), string(b.Str)) {
		b.Str = a.Str
	}
	for i := range min(len(a.Elems), len(b.Elems)) {
		x, y := &a.Elems[i], &b.Elems[i]
		if isIdle(a, i) && y.Kind == ':' && near(x.Int, y.Int) {
			y.Int = x.Int
		}
		moments(x, y)
	}
}

func isIdle(v *resp.Value, i int) bool {
	if v.Elems[i].Kind != ':' || i == 0 {
		return false
	}
	return string(v.Elems[i-1].Str) == "idle" || i == 2 && len(v.Elems) == 4 && v.Elems[0].Kind == '$'
}

// timesOff replaces times since 2001 by zero.
func timesOff(v *resp.Value) {
	if v.Kind == ':' && v.Int > since2001 {
		v.Int = 0
	}
	for i := range v.Elems {
		timesOff(&v.Elems[i])
	}
}

// withoutActivity leaves out what XINFO tells of consumers since Redis 7.2: when they got something.
func withoutActivity(v *resp.Value) {
	for i := 0; i < len(v.Elems); i++ {
		if name := string(v.Elems[i].Str); i+1 < len(v.Elems) && v.Elems[i+1].Kind == ':' && (name == "inactive" || name == "active-time") {
			v.Elems = slices.Delete(v.Elems, i, i+2)
			i--
			continue
		}
		withoutActivity(&v.Elems[i])
	}
}
