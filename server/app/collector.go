package app

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector's goal. Keys and values are not on the heap and their tables have no pointers, so a collection is cheap
// whatever the data set's size: what the heap may grow by before the next one is bounded in bytes, not only in percent
// of what lives, which includes the tables. The environment's GOGC and GOMEMLIMIT win.
const (
	garbagePercent = 400
	garbageBytes   = 16 << 20
	collectorEach  = 500 * time.Millisecond
)

// garbageGoal is the GOGC for a live heap of so many bytes.
func garbageGoal(live uint64) int {
	return int(min(garbagePercent, max(garbageBytes*100/max(live, 1), 5)))
}

// collector keeps the goal while the tables grow and shrink.
type collector struct {
	fixed   bool // by the environment
	percent int
	sample  [1]metrics.Sample
	next    time.Time
}

func newCollector() *collector {
	c := &collector{fixed: os.Getenv("GOGC") != "", sample: [1]metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	c.set(garbagePercent)
	return c
}

func (c *collector) set(percent int) {
	if !c.fixed && percent != c.percent {
		c.percent = percent
		debug.SetGCPercent(percent)
	}
}

// look sets the goal anew when the live heap has changed by much; setting it stops the world for a moment.
func (c *collector) look(now time.Time) {
	if c.fixed || now.Before(c.next) {
		return
	}
	c.next = now.Add(collectorEach)
	metrics.Read(c.sample[:])
	if goal := garbageGoal(c.sample[0].Value.Uint64()); goal*4 < c.percent*3 || goal*3 > c.percent*4 {
		c.set(goal)
	}
}

// collectorSpent is the processor time, in seconds, that collections have taken; the runtime reckons it up at the end of each.
func collectorSpent() float64 {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64()
}
