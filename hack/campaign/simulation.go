package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/understudy-db/understudy/controllers/simtest"
)

// The simulation needs no cluster: the real fencing machines and the real plan live through fresh random worlds, S1 to S9 are
// checked at every step, and every world must settle when its faults end. What it finds is lived through once more and told.

const (
	simulationWhat = "random worlds of members, operators, nodes, disks and networks, every one from its own seed"
	maxFound       = 10 // findings after which there is enough to do
	toldLines      = 60 // of a finding's story, its end
)

// live runs one world; a trace is told when trace is not nil.
type live func(seed int64, trace io.Writer) simtest.Result

func liveOnce(seed int64, trace io.Writer) simtest.Result {
	o := simtest.Random(seed)
	o.Trace = trace
	return simtest.Run(o)
}

// tally is what a range of seeds came to.
type tally struct {
	seeds, acks, masters, fullSyncs, overrides int
	settled                                    time.Duration // worst
	found                                      []simtest.Result
}

func (t *tally) add(r simtest.Result) {
	t.seeds++
	t.acks += r.Acks
	t.masters += r.Changes
	t.fullSyncs += r.FullSyncs
	if r.Override {
		t.overrides++
	}
	t.settled = max(t.settled, r.Settled)
	if r.Violation != "" {
		t.found = append(t.found, r)
	}
}

// simulation is the command; its page is written whatever the outcome.
func simulation(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("simulation", flag.ContinueOnError)
	seeds := flags.Int("seeds", 100_000, "how many worlds")
	first := flags.Int64("seed", time.Now().Unix(), "the first seed")
	workers := flags.Int("workers", runtime.NumCPU(), "worlds at the same time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r := newReport(".", "simulation", simulationWhat, options{seed: uint64(*first)})
	r.where = fmt.Sprintf("%d workers", *workers)
	begin := time.Now()
	debug.SetGCPercent(800) // a world is small and lives for milliseconds
	t := liveThrough(ctx, *first, *seeds, *workers, liveOnce, out)
	err := r.tell(t, *first, *seeds, liveOnce)
	r.finish(time.Since(begin), err)
	path := filepath.Join("docs", "campaigns", r.file())
	if e := os.WriteFile(path, r.markdown(), 0o644); e != nil {
		return fmt.Errorf("run from the repository's root: %w", e)
	}
	fmt.Fprintf(out, "%s\nwritten to %s\n", r.markdown(), path)
	return err
}

// liveThrough runs n worlds from the first seed on, several at a time, until there are enough findings or ctx ends.
func liveThrough(ctx context.Context, first int64, n, workers int, run live, out io.Writer) *tally {
	var (
		t    tally
		mu   sync.Mutex
		next int
		work sync.WaitGroup
	)
	take := func() (seed int64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if next >= n || len(t.found) >= maxFound || ctx.Err() != nil {
			return 0, false
		}
		next++
		return first + int64(next-1), true
	}
	for range max(1, workers) {
		work.Go(func() {
			for seed, ok := take(); ok; seed, ok = take() {
				r := run(seed, nil)
				mu.Lock()
				t.add(r)
				if t.seeds%5000 == 0 || r.Violation != "" {
					fmt.Fprintf(out, "%d of %d worlds, %d found\n", t.seeds, n, len(t.found))
				}
				if r.Violation != "" {
					fmt.Fprintf(out, "seed %d: %s\n", seed, r.Violation)
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	slices.SortFunc(t.found, func(a, b simtest.Result) int { return int(a.Seed - b.Seed) })
	return &t
}

// tell fills in the report. A finding is lived through again: a world that does not repeat itself is a finding of its own.
func (r *report) tell(t *tally, first int64, n int, run live) error {
	r.fact("worlds", fmt.Sprintf("%d, seeds %d to %d", t.seeds, first, first+int64(n)-1), "")
	r.fact("worlds that broke an invariant or did not settle", len(t.found), "0")
	r.fact("writes acknowledged", t.acks, "")
	r.fact("changes of master", t.masters, "")
	r.fact("full syncs", t.fullSyncs, "")
	r.fact("worlds in which a person had to accept a loss", t.overrides, "")
	r.fact("longest way from the last fault to a settled set, in the world's time", t.settled.Round(time.Millisecond), "")
	var failed []error
	if t.seeds < n {
		failed = append(failed, fmt.Errorf("ended after %d of %d worlds", t.seeds, n))
	}
	for _, f := range t.found {
		var trace bytes.Buffer
		again := run(f.Seed, &trace)
		failed = append(failed, fmt.Errorf("seed %d: %s", f.Seed, f.Violation))
		r.line("seed %d: %s", f.Seed, f.Violation)
		if again.Violation != f.Violation {
			r.line("NOT THE SAME when lived through again: %q", again.Violation)
			continue
		}
		r.line("go test ./controllers/simtest -run Seeds -seed %d -seeds 1 -trace ends with", f.Seed)
		lines := strings.Split(strings.TrimRight(trace.String(), "\n"), "\n")
		r.lines = append(r.lines, lines[max(0, len(lines)-toldLines):]...)
	}
	return errors.Join(failed...)
}
