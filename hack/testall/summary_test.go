package main

import (
	"bytes"
	"strings"
	"testing"
)

const sample = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"fine\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:3: NOT RUN: install redis-server\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"boom\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p"}
{"Action":"fail","Package":"q"}
`

func TestCountsAndNotRun(t *testing.T) {
	sum := newSummary(false)
	readEvents(strings.NewReader(sample), "unit", sum)
	// q has no failing test of its own: its build or TestMain broke, which counts once.
	if sum.passed != 1 || sum.failed != 2 || sum.skipped != 1 || len(sum.notRuns) != 1 {
		t.Fatalf("got %+v", sum)
	}
	var out bytes.Buffer
	if code := sum.print(&out); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.HasSuffix(out.String(), "1 passed, 2 failed, 1 skipped\n") {
		t.Errorf("summary line missing:\n%s", out.String())
	}
}

func TestNotRunFailsInCI(t *testing.T) {
	sum := newSummary(true)
	readEvents(strings.NewReader(sample), "unit", sum)
	if sum.failed != 3 {
		t.Errorf("failed %d, want 3: a NOT RUN is a failure in CI", sum.failed)
	}
}

func TestNothingRunIsAFailure(t *testing.T) {
	if code := newSummary(false).print(&bytes.Buffer{}); code != 1 {
		t.Errorf("exit code %d for an empty run, want 1", code)
	}
}
