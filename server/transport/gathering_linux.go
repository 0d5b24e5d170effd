package transport

import "time"

// gathering tells whether a loop serves so many connections at a time that it pays to let requests gather. A loop that is as
// fast as its clients wakes up for each few of them, and what a wake costs, a change of threads and a look at everything, is
// as much as a request does. When few are ready and many are about, the loop leaves them alone for a moment and serves
// those together who have come by then: with 50 clients the batches are twice as big, a request takes a quarter less
// processor time, and no more time, since the clients get the processor meanwhile. A few clients would only wait.
type gathering struct {
	epoch uint64    // numbers the spans of time in which connections are counted
	since time.Time // start of the present one
	met   int       // connections read in it
	busy  int       // connections read in the one before, 0 when there was a break
}

const (
	crowdSpan  = time.Millisecond
	crowdBreak = 4 * crowdSpan // a span that took so long was one of rest
	gatherMany = 16            // connections in a span that are a crowd
	gatherFew  = 16            // ready ones that are served at once even so
	gatherFor  = 60 * time.Microsecond
)

// meet counts a connection, once in each span; at is the connection's own.
func (c *gathering) meet(at *uint64) {
	if *at != c.epoch {
		*at = c.epoch
		c.met++
	}
}

// turn begins another span when it is time.
func (c *gathering) turn(now time.Time) {
	took := now.Sub(c.since)
	if took < crowdSpan {
		return
	}
	c.busy = c.met
	if took >= crowdBreak {
		c.busy = 0
	}
	c.epoch, c.since, c.met = c.epoch+1, now, 0
}

// gathers tells whether to wait for more than the n connections that are ready.
func (c *gathering) gathers(n int) bool { return n < gatherFew && c.busy >= gatherMany }
