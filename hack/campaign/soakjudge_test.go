package main

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestJudgeOfASoak: what grows with the data and what is there for a while is no leak; what stays is.
func TestJudgeOfASoak(t *testing.T) {
	const n, mib = 360, 1 << 20
	for _, c := range []struct {
		name    string
		samples int
		leak    func(i int) (resident, routines int64)
		wrong   string // "" when it holds
	}{
		{"nothing leaks", n, func(int) (int64, int64) { return 0, 0 }, ""},
		{"memory leaks", n, func(i int) (int64, int64) { return int64(i) * mib / 4, 0 }, "resident memory beside the data"},
		{"goroutines leak", n, func(i int) (int64, int64) { return 0, int64(i / 40) }, "goroutines"},
		{"it is over before the data set has grown", n / 3, func(int) (int64, int64) { return 0, 0 }, "it must run for longer"},
	} {
		r := rand.New(rand.NewPCG(1, 2))
		var s samples
		for i := range c.samples {
			used := min(int64(10+i*4), 300)*mib + r.Int64N(10*mib)
			resident, routines := used+100*mib+r.Int64N(20*mib), 20+r.Int64N(8)
			if r.IntN(4) == 0 { // a full sync
				resident, routines = resident+used, routines+6
			}
			if i > 60 { // long commands
				routines += r.Int64N(12)
			}
			moreResident, moreRoutines := c.leak(i)
			s.used, s.resident, s.routines = append(s.used, used), append(s.resident, resident+moreResident), append(s.routines, routines+moreRoutines)
		}
		err := s.judge("one", newReport(".", "soak", "x", options{}))
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
