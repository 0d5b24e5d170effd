package ticks

import (
	"math/bits"
	"time"
)

// Clock tells how much time has passed since the system's clock was read last. It learns the counter's rate from those
// readings, so that nothing need be known of the processor, and a rate that changes when a virtual machine moves is noticed. The
// zero value never answers. A Clock belongs to one goroutine.
type Clock struct {
	on   bool
	from uint64 // the counter at the latest Set
	most uint64 // ticks of longest, 0 while the rate is unknown
	rate uint64 // nanoseconds per tick, times 1 << rateBits

	// The reading from which the rate is being taken: its time, the counter, and for how many ticks it is not sure.
	markTime    time.Duration
	mark, vague uint64
}

const (
	rateBits = 24
	// longest is what the counter is trusted with; for longer spans a reading of the system's clock costs nothing.
	longest = time.Millisecond
	// The rate is taken over such spans: the first is for a beginning.
	learnFirst = 10 * time.Millisecond
	learnEach  = time.Second
	// exact is the least ratio of a span to what is unsure of it: 1 us is then off by a quarter of a nanosecond.
	exact = 1 << 12
	// sameRate is the share by which two rates in a row may differ.
	sameRate = 1 << 6
)

// New returns a clock that answers once it has learned the counter's rate, or never where there is no steady counter.
func New() Clock { return Clock{on: Steady()} }

// Begin is called right before the system's clock is read for Set.
func (c *Clock) Begin() (before uint64) {
	if c.on {
		return read()
	}
	return 0
}

// Set takes a reading of the system's monotonic clock, which was made since Begin: spans begin here.
func (c *Clock) Set(before uint64, now time.Duration) {
	if c.on {
		c.set(before, read(), now)
	}
}

func (c *Clock) set(before, after uint64, now time.Duration) {
	c.from = after
	span := now - c.markTime
	if span < learnFirst || span < learnEach && c.most != 0 {
		if c.mark != 0 {
			return
		}
	} else if ticks := after - c.mark; c.mark != 0 {
		if ticks/exact < after-before+c.vague {
			return // somebody came between the two readings: the next ones will be sure enough
		}
		c.learn(span, ticks)
	}
	c.markTime, c.mark, c.vague = now, after, after-before
}

// learn takes the rate from a span of so many ticks. One that is far from the rate before is not believed, nor is that any more.
func (c *Clock) learn(span time.Duration, ticks uint64) {
	high, low := bits.Mul64(uint64(span), 1<<rateBits)
	was := c.rate
	c.rate, c.most = 0, 0
	if high >= ticks { // a tick of centuries
		return
	}
	rate, _ := bits.Div64(high, low, ticks)
	if rate == 0 || rate > uint64(learnFirst)<<rateBits {
		return
	}
	if apart := max(rate, was) - min(rate, was); was != 0 && apart > was/sameRate {
		return
	}
	c.rate = rate
	c.most = min(uint64(longest)<<rateBits/rate, 1<<63/rate)
}

// Since is the time since Set; ok is false when the counter cannot tell.
func (c *Clock) Since() (d time.Duration, ok bool) {
	if c.most == 0 {
		return 0, false
	}
	return c.since(read())
}

func (c *Clock) since(now uint64) (d time.Duration, ok bool) {
	ticks := now - c.from
	if ticks >= c.most { // or the counter went back, or the rate is unknown
		return 0, false
	}
	return time.Duration(ticks * c.rate >> rateBits), true
}
