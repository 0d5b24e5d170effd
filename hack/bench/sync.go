package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

const writesPerSecond = 10000

// benchSync attaches an old-data replica to a loaded master of the same kind under writes: how long until it is
// online, the slowest write on the master, the memory that the master needed on top, and what the replica refused.
func benchSync(o options, t *table) error {
	for range o.rounds {
		for _, ours := range []bool{true, false} {
			if err := o.syncRound(ours, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o options) syncRound(ours bool, t *table) error {
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
	if err := fill(master.addr(), o.keys); err != nil {
		return err
	}
	if err := fill(replica.addr(), 1000); err != nil { // old data to serve meanwhile
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var worst, refused atomic.Int64
	var peak atomic.Int64
	base := master.memory()
	done := make(chan error, 3)
	go func() { done <- writeSteadily(ctx, master.addr(), o.keys, &worst) }()
	go func() { done <- readSteadily(ctx, replica.addr(), &refused) }()
	go func() { watchMemory(ctx, master, &peak); done <- nil }()
	time.Sleep(time.Second)
	worst.Store(0)
	took, err := attach(replica, master)
	cancel()
	for range 3 {
		if e := <-done; err == nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	t.row(row{name: "full sync under 10k writes/s until online", unit: "s", floor: 1, budget: 0.5}).add(ours, took.Seconds())
	t.row(row{name: "worst write on the master meanwhile", unit: "ms", floor: 1, budget: 0.5}).add(ours, float64(worst.Load())/1e6)
	extra := float64(peak.Load()-base) / float64(base) * 100
	t.row(row{name: "extra memory on the master meanwhile", unit: "% of data", floor: 10, budget: 5, absolute: true}).add(ours, extra)
	t.row(row{name: "refused or failed reads on the replica meanwhile", unit: "reads", floor: 0.5, budget: 0.5, absolute: true}).add(ours, float64(refused.Load()))
	return nil
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

// writeSteadily sends writesPerSecond in small batches on a schedule and keeps the slowest answer in worst (ns),
// measured from the instant at which the batch was due, so that a stall is not hidden by waiting for it.
func writeSteadily(ctx context.Context, addr string, keys int, worst *atomic.Int64) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	const batch = 10
	r := rand.New(rand.NewPCG(3, 3))
	due := time.Now()
	for ctx.Err() == nil {
		due = due.Add(batch * time.Second / writesPerSecond)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		err := c.pipe(batch, func(i int, dst []byte) []byte {
			return resp.AppendCommandStrings(dst, "SET", key(r.IntN(keys)), value(i, 64))
		})
		if err != nil {
			return err
		}
		if took := int64(time.Since(due)); took > worst.Load() {
			worst.Store(took)
		}
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
		if _, err := c.do("GET", key(i%1000)); err != nil {
			refused.Add(1)
			c.close()
			if c, err = dial(addr); err != nil {
				return err
			}
		}
	}
	return nil
}

func watchMemory(ctx context.Context, s *server, peak *atomic.Int64) {
	for ctx.Err() == nil {
		if m := s.memory(); m > peak.Load() {
			peak.Store(m)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
