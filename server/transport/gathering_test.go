package transport

import (
	"testing"
	"time"
)

// serve lets so many clients, each with a request every so often, meet a crowd for 20 ms, and tells how often a wake with
// one ready connection would have waited for others.
func serve(c *gathering, clients int, each time.Duration) (waits, wakes int) {
	marks := make([]uint64, clients)
	start := time.Unix(1000, 0)
	step := each / time.Duration(clients)
	for at := time.Duration(0); at < 20*time.Millisecond; at += step {
		wakes++
		if c.gathers(1) {
			waits++
		}
		c.meet(&marks[wakes%clients])
		c.turn(start.Add(at))
	}
	return waits, wakes
}

func TestOnlyACrowdIsMadeToWait(t *testing.T) {
	for _, tc := range []struct {
		name    string
		clients int
		each    time.Duration
		waits   bool
	}{
		{"one client that never rests", 1, 20 * time.Microsecond, false},
		{"a few that never rest", 15, 100 * time.Microsecond, false},
		{"many that rest", 50, 10 * time.Millisecond, false},
		{"many that hardly ever ask", 1000, 100 * time.Millisecond, false},
		{"many at once", 50, 500 * time.Microsecond, true},
	} {
		var c gathering
		if waits, wakes := serve(&c, tc.clients, tc.each); (waits > 0) != tc.waits || tc.waits && waits < wakes*3/4 {
			t.Errorf("%s: %d of %d wakes wait for others", tc.name, waits, wakes)
		}
	}
}

func TestACrowdThatIsReadyOrGoneIsNotWaitedFor(t *testing.T) {
	var c gathering
	serve(&c, 50, 500*time.Microsecond)
	if !c.gathers(gatherFew-1) || c.gathers(gatherFew) {
		t.Error("the bound of those who are ready is not kept")
	}
	c.turn(c.since.Add(crowdBreak))
	if c.gathers(1) {
		t.Error("one client waits for others after a break")
	}
}
