package engine

import (
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
)

func TestHistogramIsNearTheTruth(t *testing.T) {
	for d := time.Duration(0); d < 10*time.Minute; d += d/100 + 1 {
		var h Histogram
		h.add(d)
		if got := h.Percentile(50); got < d || got > d+d/8+1 {
			t.Fatalf("%d ns is told as %d ns", d, got)
		}
	}
	var h Histogram
	for i := range 1000 {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for p, want := range map[float64]time.Duration{0: 0, 50: 500 * time.Microsecond, 99: 990 * time.Microsecond, 100: 999 * time.Microsecond} {
		if got := h.Percentile(p); got < want*99/100-time.Microsecond || got > want*9/8+time.Microsecond {
			t.Errorf("p%g is %v, want about %v", p, got, want)
		}
	}
	h.add(time.Hour) // longer than it can tell: in the last bucket
	if got := h.Percentile(100); got < 15*time.Minute {
		t.Errorf("an hour is told as %v", got)
	}
}

func TestLatencyTracking(t *testing.T) {
	b := newBench(t)
	c := b.client()
	counts := func() (n int) {
		b.e.Exclusive(func() { b.e.Latencies(func(*command.Cmd, *Histogram) { n++ }) })
		return n
	}
	b.run(c, "SET a 1", "GET a")
	if n := counts(); n != 2 {
		t.Errorf("%d commands have a histogram, want 2", n)
	}
	b.e.Exclusive(b.e.ResetStats)
	b.e.SetLatencyTracking(false)
	b.run(c, "SET a 1")
	if n := counts(); n != 0 {
		t.Errorf("%d commands have a histogram after a reset and without tracking", n)
	}
}
