// Command campaign runs what is too long for `make test` and writes what was seen, with commit, seed and figures, to
// docs/campaigns/<name>.md: long forms of tests, and faults and switchovers on a real cluster.
//
//	go run ./hack/campaign interop               # ours and redis-server at every place of a chain, links cut at random two hundred times
//	go run ./hack/campaign differential          # an hour of random conversations with a redis-server beside ours
//	go run ./hack/campaign replicas              # an hour of random commands through chains of both
//	go run ./hack/campaign simulation            # 100,000 fresh random worlds, no cluster
//	go run ./hack/campaign soak                  # half an hour of everything: memory and goroutines stay where they are
//	go run ./hack/campaign history               # linearizable histories of real processes under faults (S6)
//	go run ./hack/campaign crash -rounds 200
//	go run ./hack/campaign switchover -rounds 200
//	go run ./hack/campaign accident              # the accident of the mission, every moment and every way
//	go run ./hack/campaign onewriter -minutes 10 # S1 under kills, stops and partitions; -unfenced must find two writers
//
// A campaign fails (exit code 1) when what must hold does not: a lost key, a wiped replica, a needless full sync, two
// writers at once. Times are reported, with their budgets, and judged by the reader: machines differ.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/understudy-db/understudy/hack/internal/testbed"
)

type options struct {
	rounds   int
	minutes  int
	seed     uint64
	settle   time.Duration
	unfenced bool
	only     string
	keep     bool
}

type campaign struct {
	what string
	run  func(ctx context.Context, w *world, o options, r *report) error
}

var campaigns = map[string]campaign{
	"crash":      {"the server process of the master is killed under write load", crash},
	"switchover": {"a planned switchover under write load", switchover},
	"accident":   {"a master without persistence is lost and would come back empty", accident},
	"onewriter":  {"never two members that acknowledge writes (S1)", oneWriter},
}

const usage = "usage: campaign interop|differential|replicas|history|simulation|soak|crash|switchover|accident|onewriter [flags]"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "campaign:", err)
		return 1
	}
	return 0
}

func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	name := args[0]
	switch name {
	case "simulation":
		return simulation(ctx, args[1:], out)
	case "soak":
		return soak(ctx, args[1:], out)
	}
	for _, t := range testRuns {
		if t.name == name {
			return t.run()
		}
	}
	if campaigns[name].run == nil {
		return errors.New(usage)
	}
	var o options
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 200, "rounds of crash and switchover")
	flags.IntVar(&o.minutes, "minutes", 10, "length of onewriter")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the order of faults")
	flags.DurationVar(&o.settle, "settle", 2*time.Second, "quiet time before each round: kube-proxy takes over one change at once, the next one a second later")
	flags.BoolVar(&o.unfenced, "unfenced", false, "onewriter with fencing: None, which must find two writers")
	flags.StringVar(&o.only, "only", "", "accident, onewriter: only cases or faults whose name holds this text")
	flags.BoolVar(&o.keep, "keep", false, "leave the namespace for a look")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	c := campaigns[name]
	root, err := testbed.Root()
	if err != nil {
		return err
	}
	r := newReport(root, name, c.what, o)
	w, err := newWorld(ctx, name, out)
	if err != nil {
		return err
	}
	if !o.keep {
		defer w.close()
	}
	begin := time.Now()
	err = c.run(ctx, w, o, r)
	r.finish(time.Since(begin), err)
	path := filepath.Join(root, "docs", "campaigns", r.file())
	if e := os.MkdirAll(filepath.Dir(path), 0o755); e != nil {
		return e
	}
	if e := os.WriteFile(path, r.markdown(), 0o644); e != nil {
		return e
	}
	fmt.Fprintf(out, "%s\nwritten to %s\n", r.markdown(), path)
	return err
}
