//go:build !race

package transport

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
)

// TestHugeRequestsLeaveNothing: the buffer of a huge request is memory of the system again as soon as it was executed, or its client is
// gone, without a collection for any other reason.
func TestHugeRequestsLeaveNothing(t *testing.T) {
	r := newRig(t, rigOptions{})
	piece := strings.Repeat("x", 1<<20)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	objects := func() int64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	runtime.GC()
	before := objects()
	for _, whole := range []bool{true, false} {
		c := dial(t, r.addr)
		c.raw("*2\r\n$6\r\nSTRLEN\r\n$67108864\r\n")
		for range 63 {
			c.raw(piece)
		}
		if whole {
			c.raw(piece + "\r\n")
			if v, err := c.r.Read(); err != nil || v.Int != 0 {
				t.Fatal(v, err)
			}
		} else {
			for r.server.loops[0].moved.in.Load() < 126<<20 { // of both
				time.Sleep(time.Millisecond)
			}
			c.Close()
		}
		for end := time.Now().Add(20 * time.Second); objects()-before > 32<<20; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("whole %v: %d MB are left on the heap", whole, (objects()-before)>>20)
			}
		}
	}
}
