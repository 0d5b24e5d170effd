package engine

import (
	"math/bits"
	"time"

	"github.com/understudy-db/understudy/server/command"
)

// Histogram counts durations in buckets whose width is an eighth of their power of two, so that what it tells is at most
// 12.5 % off.
type Histogram [bucketsOfLatency]uint32

const (
	latencySteps     = 8  // buckets of one power of two
	latencyPowers    = 38 // up to 2^40 ns, some 18 minutes
	bucketsOfLatency = latencySteps * latencyPowers
)

func (h *Histogram) add(d time.Duration) {
	n := uint64(max(d, 0))
	power := max(bits.Len64(n)-4, 0) // n>>power keeps its four highest bits
	i := power*latencySteps + int(n>>power)
	h[min(i, bucketsOfLatency-1)]++
}

// upper is the longest duration of bucket i.
func (h *Histogram) upper(i int) time.Duration {
	power := max(i/latencySteps-1, 0)
	return time.Duration(uint64(i-power*latencySteps+1)<<power - 1)
}

func (h *Histogram) merge(o *Histogram) {
	for i, n := range o {
		h[i] += n
	}
}

// Percentile is the duration that p percent of the counted ones did not exceed.
func (h *Histogram) Percentile(p float64) time.Duration {
	total := uint64(0)
	for _, n := range h {
		total += uint64(n)
	}
	rank := max(uint64(float64(total)*p/100+0.5), 1)
	for i, n := range h {
		if uint64(n) >= rank {
			return h.upper(i)
		}
		rank -= uint64(n)
	}
	return 0
}

// Steps gives the histogram as LATENCY HISTOGRAM shows it: for each power of two at which there are more calls than at the
// one before, a time in microseconds and the number of calls that took no longer. The times are those of Redis' histogram of
// two digits: the highest that it does not tell from the power of two.
func (h *Histogram) Steps() (steps [][2]int64, calls int64) {
	at := 0
	for power := 10; power < latencyPowers+3; power++ {
		limit := int64(1) << power
		before := calls
		for at < bucketsOfLatency && int64(h.upper(at)) < limit {
			calls += int64(h[at])
			at++
		}
		if calls > before {
			steps = append(steps, [2]int64{(limit + limit>>7 - 1) / 1000, calls})
		}
	}
	return steps, calls
}

// SetLatencyTracking is the directive latency-tracking.
func (e *Engine) SetLatencyTracking(on bool) { e.stats.untracked.Store(!on) }

// trackLatency counts what a command took.
func (l *Lane) trackLatency(cmd *command.Cmd, took time.Duration) {
	h := l.stats.latency[cmd.Index]
	if h == nil {
		h = &Histogram{}
		l.stats.latency[cmd.Index] = h
	}
	h.add(took)
}

// Latencies gives the histogram of every command that was called while tracking was on. The lock must be held
// exclusively.
func (e *Engine) Latencies(fn func(cmd *command.Cmd, h *Histogram)) {
	for i, cmd := range e.Table.All() {
		var sum Histogram
		found := false
		e.eachLane(func(l *Lane) {
			if h := l.stats.latency[i]; h != nil {
				sum.merge(h)
				found = true
			}
		})
		if found {
			fn(cmd, &sum)
		}
	}
}
