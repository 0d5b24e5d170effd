package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	var s spread
	for i := 100; i >= 1; i-- {
		s = append(s, time.Duration(i)*time.Millisecond)
	}
	if s.median() != 51*time.Millisecond || s.worst() != 100*time.Millisecond || s.at(0.99) != 100*time.Millisecond || s.at(0) != time.Millisecond {
		t.Errorf("median %v, worst %v, p99 %v, best %v", s.median(), s.worst(), s.at(0.99), s.at(0))
	}
}

func TestReportTellsAFailure(t *testing.T) {
	r := newReport(".", "crash", "x", options{seed: 7})
	r.fact("keys lost", 3, "0")
	r.finish(time.Minute, errors.New("round 4: 3 keys lost\nand a long tail"))
	md := string(r.markdown())
	for _, want := range []string{"seed 7", "FAILED: round 4: 3 keys lost.", "| keys lost | 3 | 0 |"} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in:\n%s", want, md)
		}
	}
}
