package main

import (
	"context"
	"fmt"
	"io"
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
	all := liveThrough(context.Background(), 100, 20, 3, run, io.Discard)
	if all.seeds != 20 || all.acks != 40 || all.masters != 20 {
		t.Errorf("%+v", all)
	}
	r := newReport(".", "simulation", simulationWhat, options{seed: 100})
	r.finish(0, r.tell(all, 100, 20, run))
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
	short := liveThrough(ctx, 1, 1000, 1, run, io.Discard)
	if err := newReport(".", "simulation", "", options{}).tell(short, 1, 1000, run); err == nil || short.seeds != 5 {
		t.Errorf("%d worlds, verdict %v", short.seeds, err)
	}
	broken := func(seed int64, _ io.Writer) simtest.Result { return simtest.Result{Seed: seed, Violation: "S2"} }
	if all := liveThrough(context.Background(), 1, 1000, 1, broken, io.Discard); len(all.found) != maxFound {
		t.Errorf("%d findings", len(all.found))
	}
	real := liveThrough(context.Background(), 1, 2, 1, liveOnce, io.Discard)
	if len(real.found) > 0 || real.acks == 0 {
		t.Errorf("%+v", real)
	}
}
