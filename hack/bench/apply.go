package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

const (
	followers   = 3
	applyKeys   = 100_000
	saturateFor = 3 * time.Second
	lagFor      = 10 * time.Second
	share       = 0.8 // of what the machine can do
)

// benchApply measures what one replica spends on each write that it applies; then how far the slowest of three replicas is
// behind while writes come at four fifths of the rate that the master and its replicas reach together on this machine.
func benchApply(o options, t *table) error {
	for range o.rounds {
		for _, ours := range []bool{true, false} {
			if err := errors.Join(o.applyRound(ours, t), o.lagRound(ours, t)); err != nil {
				return err
			}
		}
	}
	return nil
}

// follow starts a master and n replicas of one kind that are in sync.
func (o options) follow(ours bool, n int) (master *server, replicas []*server, err error) {
	flags := []string{"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb"}
	if master, err = o.start(ours, flags...); err != nil {
		return nil, nil, err
	}
	for range n {
		r, e := o.start(ours, flags...)
		if e == nil {
			replicas = append(replicas, r)
			_, e = attach(r, master)
		}
		if err = errors.Join(err, e); err != nil {
			stopAll(master, replicas)
			return nil, nil, err
		}
	}
	return master, replicas, nil
}

func stopAll(master *server, replicas []*server) {
	for _, r := range replicas {
		r.stop()
	}
	master.stop()
}

func (o options) applyRound(ours bool, t *table) error {
	master, replicas, err := o.follow(ours, 1)
	if err != nil {
		return err
	}
	defer stopAll(master, replicas)
	for _, p := range []int{1, 16} {
		n := o.requests
		if p > 1 {
			n *= 4
		}
		before, err := replicas[0].cpu()
		if err != nil {
			return err
		}
		if _, err := redisBenchmark(master, "set", n, p); err != nil {
			return err
		}
		if _, err := lagOf(master, replicas[0]); err != nil {
			return err
		}
		after, err := replicas[0].cpu()
		if err != nil {
			return err
		}
		t.row(row{name: fmt.Sprintf("CPU per applied write on a replica, P=%d", p), unit: "us", budget: 0.6}).
			add(ours, float64(after-before)/float64(time.Microsecond)/float64(n))
	}
	return nil
}

func (o options) lagRound(ours bool, t *table) error {
	master, replicas, err := o.follow(ours, followers)
	if err != nil {
		return err
	}
	defer stopAll(master, replicas)
	most, err := writeAt(master, 0, saturateFor)
	if err != nil {
		return err
	}
	for _, r := range replicas {
		if _, err := lagOf(master, r); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	var lags latencies
	var failed [followers]error
	var watch sync.WaitGroup
	for i, r := range replicas {
		watch.Go(func() {
			for ctx.Err() == nil && failed[i] == nil {
				var d time.Duration
				if d, failed[i] = lagOf(master, r); failed[i] == nil {
					lags.add(d)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	_, err = writeAt(master, share*most, lagFor)
	stop()
	watch.Wait()
	if err := errors.Join(append(failed[:], err)...); err != nil {
		return err
	}
	seen := lags.take()
	t.row(row{name: "writes per second, master and three replicas", unit: "1/s", more: true}).add(ours, most)
	t.row(row{name: "lag of three replicas at 80 % of that, p99", unit: "ms", budget: 100, absolute: true}).add(ours, seen.at(0.99))
	t.row(row{name: "lag of three replicas at 80 % of that, worst", unit: "ms"}).add(ours, seen.at(1))
	return nil
}

// lagOf is the time from a look at the master's offset until the replica has it.
func lagOf(master, replica *server) (time.Duration, error) {
	m, err := dial(master.addr())
	if err != nil {
		return 0, err
	}
	defer m.close()
	r, err := dial(replica.addr())
	if err != nil {
		return 0, err
	}
	defer r.close()
	want, err := m.number("master_repl_offset")
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	for time.Since(begin) < time.Minute {
		have, err := r.number("master_repl_offset")
		if err != nil {
			return 0, err
		}
		if have >= want {
			return time.Since(begin), nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, errors.New("the replica is more than a minute behind")
}

func (c *client) number(field string) (int64, error) {
	text, err := c.info(field)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// writeAt writes batches of 100 at the given rate, as fast as it goes when it is 0, and returns the rate reached.
func writeAt(s *server, rate float64, length time.Duration) (reached float64, err error) {
	c, err := dial(s.addr())
	if err != nil {
		return 0, err
	}
	defer c.close()
	const batch = 100
	r := rand.New(rand.NewPCG(5, 5))
	begin, n := time.Now(), 0
	for time.Since(begin) < length {
		if rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(float64(n) / rate * float64(time.Second)))))
		}
		if err := c.pipe(batch, func(i int, dst []byte) []byte {
			return resp.AppendCommandStrings(dst, "SET", key(r.IntN(applyKeys)), "a value of some forty bytes, as they are so often")
		}); err != nil {
			return 0, err
		}
		n += batch
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}
