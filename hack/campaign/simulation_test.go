package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/controllers/simtest"
)

// TestSimulationTellsWhatItFinds: the world with seed 103 breaks, the one with 105 breaks once only.
func TestSimulationTellsWhatItFinds(t *testing.T) {
	run := func(seed int64, trace io.Writer) simtest.Result {
		r := simtest.Result{Seed: seed, Acks: 2, Changes: 1}
		if trace != nil {
			for i := range toldLines + 1 {
				fmt.Fprintf(trace, "step %d of %d\n", i, seed)
			}
		}
		if seed == 103 || seed == 105 && trace == nil {
			r.Violation = "1.000s: S1: two"
		}
		return r
	}
	file := filepath.Join(t.TempDir(), "seen")
	for range 2 { // in two parts
		all := &tally{Commit: "abc", First: 100}
		if err := all.goOn(file); err != nil {
			t.Fatal(err)
		}
		all.liveThrough(context.Background(), 10, 3, run, io.Discard)
		if err := all.save(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&tally{Commit: "def"}).goOn(file); err == nil {
		t.Error("goes on with what another commit's worlds came to")
	}
	all := &tally{Commit: "abc"}
	if err := all.goOn(file); err != nil || all.Seeds != 20 || all.Acks != 40 || all.Masters != 20 || all.First != 100 {
		t.Errorf("%+v %v", all, err)
	}
	r := newReport(".", "simulation", simulationWhat, options{seed: 100})
	r.finish(0, r.tell(all, 20, run))
	page := string(r.markdown())
	for _, want := range []string{"20, seeds 100 to 119", "FAILED: seed 103: 1.000s: S1: two", "-seed 103 -seeds 1 -trace", "step 1 of 103\n", "NOT THE SAME"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "step 0 of 103") {
		t.Error("the whole story is in the page, not its end")
	}
}

func TestSimulationStops(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	run := func(seed int64, _ io.Writer) simtest.Result {
		if seed == 5 {
			stop()
		}
		return simtest.Result{Seed: seed}
	}
	short := &tally{First: 1}
	short.liveThrough(ctx, 1000, 1, run, io.Discard)
	if err := newReport(".", "simulation", "", options{}).tell(short, 1000, run); err == nil || short.Seeds != 5 {
		t.Errorf("%d worlds, verdict %v", short.Seeds, err)
	}
	broken := func(seed int64, _ io.Writer) simtest.Result { return simtest.Result{Seed: seed, Violation: "S2"} }
	all, real := &tally{First: 1}, &tally{First: 1}
	if all.liveThrough(context.Background(), 1000, 1, broken, io.Discard); len(all.Found) != maxFound {
		t.Errorf("%d findings", len(all.Found))
	}
	if real.liveThrough(context.Background(), 2, 1, liveOnce, io.Discard); len(real.Found) > 0 || real.Acks == 0 {
		t.Errorf("%+v", real)
	}
}
