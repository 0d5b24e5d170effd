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

	// What a save or a full sync leaves behind lives at the last collection before its end, and raises the goal of the next: an idle
	// server would hold it until the runtime's own two minutes are over.
	staleAfter = 10 * time.Second
	staleBytes = 4 << 20
)

// garbageGoal is the GOGC for a live heap of so many bytes.
func garbageGoal(live uint64) int {
	return int(min(garbagePercent, max(garbageBytes*100/max(live, 1), 5)))
}

// collector keeps the goal while the tables grow and shrink.
type collector struct {
	fixed   bool // by the environment
	percent int
	sample  [3]metrics.Sample
	next    time.Time
	cycles  uint64    // collections so far
	since   time.Time // when the last one was seen
	asked   bool      // for the next one
	floor   uint64    // bytes that lived when it was last asked for one, or after one since: these are no garbage
}

func newCollector() *collector {
	c := &collector{fixed: os.Getenv("GOGC") != "", sample: [3]metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}}
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
	live := c.sample[0].Value.Uint64()
	if c.stale(now, live, c.sample[1].Value.Uint64(), c.sample[2].Value.Uint64()) {
		go debug.FreeOSMemory() // nobody waits for it. The runtime's own way back takes a second collection, which an idle server does not come to
	}
	if goal := garbageGoal(live); goal*4 < c.percent*3 || goal*3 > c.percent*4 {
		c.set(goal)
	}
}

// stale tells whether what lives on the heap was reckoned up long ago and much of it may be garbage by now.
func (c *collector) stale(now time.Time, live, objects, cycles uint64) bool {
	if cycles != c.cycles {
		c.cycles, c.since, c.floor = cycles, now, min(c.floor, live)
		if c.asked {
			c.asked, c.floor = false, live
		}
	}
	if objects < c.floor+staleBytes || now.Sub(c.since) < staleAfter {
		return false
	}
	c.since, c.asked = now, true
	return true
}

// collectorSpent is the processor time, in seconds, that collections have taken; the runtime reckons it up at the end of each.
func collectorSpent() float64 {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64()
}
