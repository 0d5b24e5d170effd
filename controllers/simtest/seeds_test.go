package simtest

import (
	"flag"
	"os"
	"testing"
	"time"
)

var (
	seeds   = flag.Int("seeds", 300, "how many seeds to run")
	seed    = flag.Int64("seed", 0, "first seed; 1 if not given")
	minutes = flag.Float64("minutes", 0, "run seeds for so long instead of a number of them")
	trace   = flag.Bool("trace", false, "tell the first seed step by step")
	rewrite = flag.Bool("rewrite", false, "write the golden stories again")
)

// TestSeeds lives through random worlds. A failure names its seed; -seed N -seeds 1 -trace tells it.
func TestSeeds(t *testing.T) {
	first, n := max(*seed, 1), *seeds
	if *seed != 0 && *trace {
		n = 1
	}
	if testing.Short() {
		n = min(n, 60)
	}
	end := time.Now().Add(time.Duration(*minutes * float64(time.Minute)))
	acks, changes, full, overrides, failed := 0, 0, 0, 0, 0
	ran := 0
	for i := 0; (*minutes > 0 && time.Now().Before(end)) || (*minutes == 0 && i < n); i++ {
		opt := Random(first + int64(i))
		if *trace {
			opt.Trace = os.Stdout
		}
		r := Run(opt)
		ran++
		acks, changes, full = acks+r.Acks, changes+r.Changes, full+r.FullSyncs
		if r.Override {
			overrides++
		}
		if r.Violation != "" {
			failed++
			t.Errorf("%s", r)
			if failed >= 10 {
				break
			}
		}
	}
	t.Logf("%d seeds from %d: %d writes acknowledged, %d masters, %d full syncs, %d overrides by a person", ran, first, acks, changes, full, overrides)
}
