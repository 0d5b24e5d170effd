// Command bench measures our server beside redis-server, in one run on one machine, and prints ratios.
//
// Every figure is taken from both servers in turn (A B A B ...), and the median of the ratios of
// neighbouring rounds is printed with its budget: machines drift, neighbours drift together. Absolute
// figures are printed for the reader, never judged.
//
//	go run ./hack/bench                    # all cases, small sizes
//	go run ./hack/bench -cases cpu,memory -keys 5000000 -rounds 5
//
// Exit code 1 when a ratio exceeds its limit (-limit floor|budget|none).
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

type options struct {
	ours, redis string // binaries
	rounds      int
	requests    int
	keys        int
	dir         string
	only        map[string]bool // loads of the sheets; nil: all
}

// bench is one measured case. Run starts both servers itself and adds rows.
type bench struct {
	name, what string
	run        func(o options, t *table) error
}

var benches = []bench{
	{"cpu", "CPU per request, GET and SET of 64 B, 50 clients", benchCPU},
	{"default", "every test of redis-benchmark's default set: CPU per request and requests per second", benchDefault},
	{"values", "the same of SET and GET of 1 KiB and 16 KiB", benchValues},
	{"connections", "the same of SET and GET over 1,000 and 10,000 connections", benchConnections},
	{"small", "bytes per element of many small values, and CPU to fill them", benchSmall},
	{"middle", "the same of values of 50, 150 and 500 elements, ten a command", benchMiddle},
	{"million", "the same of values of a million elements", benchMillion},
	{"gc", "the collector's share of the CPU, ten times -keys keys", benchCollector},
	{"maxmemory", "how far writers overrun maxmemory", benchMaxMemory},
	{"memory", "resident bytes per key, fresh and after churn", benchMemory},
	{"sync", "full sync under writes: time, worst write, extra memory, refused reads", benchSync},
	{"huge", "full sync of a few huge values under writes", benchHuge},
	{"apply", "what a replica spends on a write, and how far three of them are behind", benchApply},
	{"synchronous", "what it costs that a replica must hold each write, beside ours that waits for nobody", benchSynchronous},
	{"long", "reads of single keys beside commands that read a million elements", benchLong},
	{"append", "SET with an append-only file, appendfsync everysec and always: CPU per request and requests per second", benchAppend},
	{"behind", "memory for a replica that syncs through a slow link while a kilobyte is written for each of -keys", benchBehind},
	{"touched", "memory that a save takes while all of -keys small values are written to", benchTouched},
	{"disk", "SAVE, and the load at a restart", benchDisk},
}

func main() {
	var o options
	cases := flag.String("cases", "", "comma separated cases; all when empty")
	flag.StringVar(&o.ours, "ours", "", "our binary; built when empty")
	flag.StringVar(&o.redis, "redis", "redis-server", "the redis-server to compare with")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of A B")
	flag.IntVar(&o.requests, "requests", 400000, "requests of one redis-benchmark run at P=1; four times that at P=16")
	flag.IntVar(&o.keys, "keys", 1000000, "keys of the memory, sync and disk cases, fields of the huge one, kilobytes written in the one behind")
	only := flag.String("only", "", "comma separated rows of the cases default, values, connections, small, middle and million (\"list\"), touched (\"lists of 4 elements\") and long (\"KEYS on a replica\"); all when empty")
	limit := flag.String("limit", "none", "fail above: floor, budget or none")
	flag.Parse()
	if *only != "" {
		o.only = map[string]bool{}
		for _, name := range strings.Split(*only, ",") {
			o.only[name] = true
		}
	}
	if err := run(o, *cases, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options, cases, limit string) error {
	dir, err := os.MkdirTemp("", "understudy-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.dir = dir
	if o.ours == "" {
		if o.ours, err = build(dir); err != nil {
			return err
		}
	}
	t := &table{limit: limit}
	for _, b := range benches {
		if cases != "" && !strings.Contains(","+cases+",", ","+b.name+",") {
			continue
		}
		start := time.Now()
		fmt.Fprintf(os.Stderr, "== %s: %s\n", b.name, b.what)
		if err := b.run(o, t); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		fmt.Fprintf(os.Stderr, "   %s\n", time.Since(start).Round(time.Second))
	}
	fmt.Print(t.markdown())
	return t.verdict()
}
