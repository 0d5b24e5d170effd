package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

const (
	writesPerSecond = 10000
	writeBatch      = 10
	oldKeys         = 1000            // of the replica, before the sync
	quietFor        = 2 * time.Second // of the same load before the sync, to compare with
)

// dataSet is what a master holds before a sync, and how many of its keys are written to meanwhile.
type dataSet struct {
	suffix string // of the rows' names
	fill   func(addr string) error
	keys   int
	bare   bool // without the figures whose budgets are for many small keys
}

// benchSync attaches an old-data replica to a loaded master of the same kind under writes: how long until it is
// online, what both servers' processors did for it, the slowest writes on the master, the memory that the master
// needed on top, and what the replica refused.
func benchSync(o options, t *table) error {
	many := dataSet{keys: o.keys, fill: func(addr string) error { return fill(addr, o.keys) }}
	return o.syncRounds(t, many)
}

// benchHuge is benchSync with few values that are huge: they must not stall anyone.
func benchHuge(o options, t *table) error {
	few := dataSet{keys: oldKeys, bare: true, suffix: fmt.Sprintf(", a hash of %d fields and a string of 512 MB", o.keys), fill: func(addr string) error { return fillHuge(addr, o.keys) }}
	return o.syncRounds(t, few)
}

func (o options) syncRounds(t *table, data dataSet) error {
	for range o.rounds {
		for _, ours := range []bool{true, false} {
			if err := o.syncRound(ours, t, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillHuge writes one hash and one string.
func fillHuge(addr string, fields int) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.pipe(fields/10, func(i int, dst []byte) []byte {
		words := []string{"HSET", "huge hash"}
		for j := range 10 {
			words = append(words, key(i*10+j), value(i, 16))
		}
		return resp.AppendCommandStrings(dst, words...)
	}); err != nil {
		return err
	}
	const piece = 1 << 20
	return c.pipe(512, func(i int, dst []byte) []byte {
		return resp.AppendCommandStrings(dst, "SETRANGE", "huge string", strconv.Itoa(i*piece), value(i, piece))
	})
}

// syncLoad is what runs beside a sync.
type syncLoad struct {
	writes  latencies
	refused atomic.Int64
	stop    context.CancelFunc
	done    chan error
}

func (o options) syncRound(ours bool, t *table, data dataSet) error {
	flags := []string{"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb"}
	master, err := o.start(ours, flags...)
	if err != nil {
		return err
	}
	defer master.stop()
	replica, err := o.start(ours, flags...)
	if err != nil {
		return err
	}
	defer replica.stop()
	if err := errors.Join(data.fill(master.addr()), fill(replica.addr(), oldKeys)); err != nil {
		return err
	}
	load := startSyncLoad(master, replica, data.keys)
	time.Sleep(quietFor)
	quiet := load.writes.take()
	extra := watchMemory(master)
	before, err := cpuOf(master, replica)
	took := time.Duration(0)
	if err == nil {
		took, err = attach(replica, master)
	}
	during := load.writes.take()
	after, cpuErr := cpuOf(master, replica)
	more := extra()
	if err := errors.Join(err, cpuErr, load.end()); err != nil {
		return err
	}
	t.row(row{name: "worst write on the master meanwhile" + data.suffix, unit: "ms", floor: 1, budget: 0.5}).add(ours, during.at(1))
	t.row(row{name: "full sync under 10k writes/s until online" + data.suffix, unit: "s", floor: 1, budget: 0.5}).add(ours, took.Seconds())
	if data.bare {
		return nil
	}
	t.row(row{name: "processor time of the master meanwhile", unit: "s"}).add(ours, (after[0] - before[0]).Seconds())
	t.row(row{name: "processor time of the replica meanwhile", unit: "s"}).add(ours, (after[1] - before[1]).Seconds())
	t.row(row{name: "p99.9 of writes meanwhile", unit: "ms"}).add(ours, during.at(0.999))
	t.row(row{name: "p99.9 of writes meanwhile, minus the same before", unit: "ms", budget: 2, absolute: true}).add(ours, during.at(0.999)-quiet.at(0.999))
	t.row(row{name: "worst write before", unit: "ms"}).add(ours, quiet.at(1))
	t.row(row{name: "extra memory on the master meanwhile", unit: "% of data", floor: 10, budget: 5, absolute: true}).add(ours, more)
	t.row(row{name: "refused or failed reads on the replica meanwhile", unit: "reads", floor: 0.5, budget: 0.5, absolute: true}).add(ours, float64(load.refused.Load()))
	return nil
}

func startSyncLoad(master, replica *server, keys int) *syncLoad {
	ctx, stop := context.WithCancel(context.Background())
	l := &syncLoad{stop: stop, done: make(chan error, 2)}
	go func() { l.done <- writeSteadily(ctx, master.addr(), keys, &l.writes) }()
	go func() { l.done <- readSteadily(ctx, replica.addr(), &l.refused) }()
	return l
}

func (l *syncLoad) end() error {
	l.stop()
	return errors.Join(<-l.done, <-l.done)
}

// cpuOf is the processor time that each server has used, children that ended included.
func cpuOf(servers ...*server) (used []time.Duration, err error) {
	for _, s := range servers {
		d, e := s.cpuWithChildren()
		used, err = append(used, d), errors.Join(err, e)
	}
	return used, err
}

// attach makes replica follow master and returns the time until its link is up and it serves the new data.
func attach(replica, master *server) (time.Duration, error) {
	c, err := dial(replica.addr())
	if err != nil {
		return 0, err
	}
	defer c.close()
	start := time.Now()
	if _, err := c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(master.port)); err != nil {
		return 0, err
	}
	for time.Since(start) < 5*time.Minute {
		if up, err := c.info("master_link_status"); err == nil && up == "up" {
			return time.Since(start), nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return 0, fmt.Errorf("the replica was not online after 5 minutes")
}

// latencies collects the answer times of batches of writes, in milliseconds.
type latencies struct {
	mu   sync.Mutex
	list []float64
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, float64(d)/1e6)
}

// take returns what was added since the last call.
func (l *latencies) take() quantiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	sort.Float64s(list)
	return list
}

// quantiles are sorted values.
type quantiles []float64

// at is the value below which the share q lies; 1 asks for the greatest.
func (s quantiles) at(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// writeSteadily sends writesPerSecond in small batches on a schedule. Their times are measured from the instant at which
// the batch was due, so that a stall is not hidden by waiting for it.
func writeSteadily(ctx context.Context, addr string, keys int, times *latencies) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	r := rand.New(rand.NewPCG(3, 3))
	due := time.Now()
	for ctx.Err() == nil {
		due = due.Add(writeBatch * time.Second / writesPerSecond)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		err := c.pipe(writeBatch, func(i int, dst []byte) []byte {
			return resp.AppendCommandStrings(dst, "SET", key(r.IntN(keys)), value(i, 64))
		})
		if err != nil {
			return err
		}
		times.add(time.Since(due))
	}
	return nil
}

// readSteadily reads one of the old keys about 100 times a second and counts errors.
func readSteadily(ctx context.Context, addr string, refused *atomic.Int64) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer func() { c.close() }()
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(10 * time.Millisecond)
		if _, err := c.do("GET", key(i%oldKeys)); err != nil {
			refused.Add(1)
			c.close()
			if c, err = dial(addr); err != nil {
				return err
			}
		}
	}
	return nil
}

// watchMemory begins to watch a server's memory and returns what ends it and tells how much higher than at the start
// the peak was, in percent. A process without children is told by the kernel's own high-water mark, which misses
// nothing. One with a forked child is sampled, since only the proportional set size counts their shared pages once; not
// often, because counting them disturbs both.
func watchMemory(s *server) (extra func() float64) {
	s.resetHighWater()
	resident, proportional := s.resident(), s.memory()
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		top := int64(0)
		for {
			if len(s.children()) > 0 {
				top = max(top, s.memory())
			}
			select {
			case <-stop:
				done <- top
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
	}()
	return func() float64 {
		close(stop)
		if top := <-done; top > 0 {
			return float64(top-proportional) / float64(proportional) * 100
		}
		return float64(s.highWater()-resident) / float64(resident) * 100
	}
}
