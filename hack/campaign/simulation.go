package main

import (
	"bytes"
	"context"
	"encoding/json"
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

// tally is what a range of seeds came to. Its exported fields are what a campaign in several parts keeps between them.
type tally struct {
	Commit                                     string
	First                                      int64
	Seeds, Acks, Masters, FullSyncs, Overrides int
	Settled, Took                              time.Duration // Settled is the worst
	Found                                      []simtest.Result
}

func (t *tally) add(r simtest.Result) {
	t.Seeds++
	t.Acks += r.Acks
	t.Masters += r.Changes
	t.FullSyncs += r.FullSyncs
	if r.Override {
		t.Overrides++
	}
	t.Settled = max(t.Settled, r.Settled)
	if r.Violation != "" {
		t.Found = append(t.Found, r)
	}
}

// simulation is the command; its page is written whatever the outcome.
func simulation(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("simulation", flag.ContinueOnError)
	seeds := flags.Int("seeds", 100_000, "how many worlds")
	first := flags.Int64("seed", time.Now().Unix(), "the first seed")
	workers := flags.Int("workers", runtime.NumCPU(), "worlds at the same time")
	keep := flags.String("keep", "", "a file for what was seen so far: a run of the same commit that finds it goes on behind it, with its seeds")
	if err := flags.Parse(args); err != nil {
		return err
	}
	t := &tally{Commit: commit("."), First: *first}
	if err := t.goOn(*keep); err != nil {
		return err
	}
	r := newReport(".", "simulation", simulationWhat, options{seed: uint64(t.First)})
	r.where = fmt.Sprintf("%d workers", *workers)
	begin := time.Now()
	debug.SetGCPercent(800) // a world is small and lives for milliseconds
	want := t.Seeds + *seeds
	t.liveThrough(ctx, *seeds, *workers, liveOnce, out)
	t.Took += time.Since(begin)
	err := r.tell(t, want, liveOnce)
	r.finish(t.Took, err)
	path := filepath.Join("docs", "campaigns", r.file())
	if e := os.WriteFile(path, r.markdown(), 0o644); e != nil {
		return fmt.Errorf("run from the repository's root: %w", e)
	}
	fmt.Fprintf(out, "%s\nwritten to %s\n", r.markdown(), path)
	return errors.Join(err, t.save(*keep))
}

// goOn takes up what an earlier part of the campaign saw.
func (t *tally) goOn(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now := t.Commit
	if err := json.Unmarshal(text, t); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if t.Commit != now {
		return fmt.Errorf("%s was seen at commit %s, this is %s: remove it to begin anew", file, t.Commit, now)
	}
	return nil
}

func (t *tally) save(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// liveThrough runs n worlds behind those seen, several at a time, until there are enough findings or ctx ends.
func (t *tally) liveThrough(ctx context.Context, n, workers int, run live, out io.Writer) {
	first := t.First + int64(t.Seeds)
	var (
		mu   sync.Mutex
		next int
		work sync.WaitGroup
	)
	take := func() (seed int64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if next >= n || len(t.Found) >= maxFound || ctx.Err() != nil {
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
				if t.Seeds%5000 == 0 || r.Violation != "" {
					fmt.Fprintf(out, "%d worlds, %d found\n", t.Seeds, len(t.Found))
				}
				if r.Violation != "" {
					fmt.Fprintf(out, "seed %d: %s\n", seed, r.Violation)
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	slices.SortFunc(t.Found, func(a, b simtest.Result) int { return int(a.Seed - b.Seed) })
}

// tell fills in the report. A finding is lived through again: a world that does not repeat itself is a finding of its own.
func (r *report) tell(t *tally, n int, run live) error {
	r.fact("worlds", fmt.Sprintf("%d, seeds %d to %d", t.Seeds, t.First, t.First+int64(n)-1), "")
	r.fact("worlds that broke an invariant or did not settle", len(t.Found), "0")
	r.fact("writes acknowledged", t.Acks, "")
	r.fact("changes of master", t.Masters, "")
	r.fact("full syncs", t.FullSyncs, "")
	r.fact("worlds in which a person had to accept a loss", t.Overrides, "")
	r.fact("longest way from the last fault to a settled set, in the world's time", t.Settled.Round(time.Millisecond), "")
	var failed []error
	if t.Seeds < n {
		failed = append(failed, fmt.Errorf("ended after %d of %d worlds", t.Seeds, n))
	}
	for _, f := range t.Found {
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
