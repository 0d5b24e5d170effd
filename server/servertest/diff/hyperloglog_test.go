package diff

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// TestHyperLogLogsAreByteEqual grows HyperLogLogs over the borders of their forms, merges them and compares the strings.
func TestHyperLogLogsAreByteEqual(t *testing.T) {
	real := oracle.Start(t, "--save", "")
	for i, limit := range []int64{0, 17, 100, 3000, 20000} {
		ours := NewDirect()
		ours.Ctx.Conf.LongFrom = 1 + i%2*1000 // with 1 unions are made outside of the handler
		ours.Ctx.Conf.HLLSparseMax = limit
		real.Do("CONFIG", "SET", "hll-sparse-max-bytes", strconv.FormatInt(limit, 10))
		real.Do("FLUSHALL")
		same := func(args ...string) {
			t.Helper()
			if want, got := real.Do(args...), ours.Do(args...); !Same(args, want, got) {
				t.Fatalf("limit %d: %.80q: redis-server %.80s, ours %.80s", limit, args, want, got)
			}
		}
		next := 0
		for _, n := range []int{1, 2, 3, 10, 50, 200, 500, 1000, 2000, 5000, 20000} {
			for _, key := range []string{"a", "b"} {
				args := []string{"PFADD", key}
				for ; len(args) < n+2; next++ {
					args = append(args, fmt.Sprintf("element %d of %s", next, key))
				}
				same(args...)
				same("GET", key)
				same("PFCOUNT", key)
				same("GET", key)
			}
			same("PFCOUNT", "a", "b", "none")
			same("PFMERGE", "sum", "a", "b")
			same("PFMERGE", "fresh"+strconv.Itoa(n), "a")
			same("GET", "sum")
			same("GET", "fresh"+strconv.Itoa(n))
			same("PFCOUNT", "sum")
		}
		compareStates(t, 0, real, ours)
	}
}

// TestHyperLogLogsThatAreNone compares what is made of strings that are damaged.
func TestHyperLogLogsThatAreNone(t *testing.T) {
	real := oracle.Start(t, "--save", "")
	ours := NewDirect()
	for i, bad := range []string{
		"", "12", "HYLL", "HYLL\x01", "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80", "HYLL\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff",
		"HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff", "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff\x80",
		"HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x3f\x3f", "HYLL\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x3f\x3f",
	} {
		for _, args := range [][]string{{"PFCOUNT", "k"}, {"PFCOUNT", "k", "other"}, {"PFCOUNT", "other", "k", "more"}, {"PFADD", "k"}, {"PFMERGE", "k"}, {"PFMERGE", "to", "k"}, {"PFMERGE", "to", "k", "k"}, {"PFDEBUG", "TODENSE", "k"}} {
			for _, from := range []int{1, 1000} { // unions are made outside of the handler, or in it
				ours.Ctx.Conf.LongFrom = from
				for _, d := range []Doer{real, ours} {
					d.Do("FLUSHALL")
					d.Do("SET", "k", bad)
				}
				if want, got := real.Do(args...), ours.Do(args...); !Same(args, want, got) {
					t.Errorf("case %d: %q: redis-server %s, ours %s", i, args, want, got)
				}
				compareStates(t, 0, real, ours)
			}
		}
	}
}
