package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// benchCollector fills ten times the keys of the other cases, and tells which share of the processor time of GETs and SETs the
// collector takes.
func benchCollector(o options, t *table) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	web := fmt.Sprintf("127.0.0.1:%d", port)
	s, err := o.start(true, "--http-addr", web)
	if err != nil {
		return err
	}
	defer s.stop()
	keys := 10 * o.keys
	if err := fill(s.addr(), keys); err != nil {
		return err
	}
	for range o.rounds {
		spent, err := collected(web)
		before, err2 := s.cpu()
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if _, err := redisBenchmarkArgs(s, 16*o.requests, 16, "-t", "set,get", "-d", "64", "-r", strconv.Itoa(keys)); err != nil {
			return err
		}
		after, err := s.cpu()
		more, err2 := collected(web)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		t.row(row{name: fmt.Sprintf("the collector's share of the CPU, %d keys under SET and GET, P=16", keys), unit: "%", budget: 2, absolute: true}).
			add(true, (more-spent)/(after-before).Seconds()*100)
	}
	return nil
}

// collected is the processor time, in seconds, that the server says it has spent on collections.
func collected(web string) (float64, error) {
	r, err := http.Get("http://" + web + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	for in := bufio.NewScanner(r.Body); in.Scan(); {
		if v, ok := strings.CutPrefix(in.Text(), "understudy_collector_cpu_seconds_total "); ok {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, errors.New("/metrics does not tell what the collector took")
}

const (
	overrunLimit   = 100 << 20
	overrunWriters = 4
	overrunFor     = 5 * time.Second
)

// benchMaxMemory lets writers overrun maxmemory, and tells the highest used_memory that was seen.
func benchMaxMemory(o options, t *table) error {
	for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "noeviction"} {
		for range o.rounds {
			for _, ours := range []bool{true, false} {
				if err := o.overrun(ours, policy, t); err != nil {
					return fmt.Errorf("%s: %w", policy, err)
				}
			}
		}
	}
	return nil
}

func (o options) overrun(ours bool, policy string, t *table) error {
	s, err := o.start(ours, "--maxmemory", strconv.Itoa(overrunLimit), "--maxmemory-policy", policy)
	if err != nil {
		return err
	}
	defer s.stop()
	ctx, stop := context.WithTimeout(context.Background(), overrunFor)
	defer stop()
	errs := make([]error, overrunWriters+1)
	var writers sync.WaitGroup
	for i := range overrunWriters {
		writers.Go(func() { errs[i] = overrun(ctx, s.addr(), uint64(i)) })
	}
	c, err := dial(s.addr())
	if err != nil {
		return err
	}
	defer c.close()
	highest := int64(0)
	for ctx.Err() == nil && errs[overrunWriters] == nil {
		var used int64
		used, errs[overrunWriters] = c.number("used_memory")
		highest = max(highest, used)
		time.Sleep(5 * time.Millisecond)
	}
	writers.Wait()
	t.row(row{name: "used_memory over maxmemory at worst, " + policy, unit: "%", budget: 2, absolute: true}).
		add(ours, float64(highest-overrunLimit)/overrunLimit*100)
	return errors.Join(errs...)
}

// overrun writes values of 10 B to 16 KiB, in batches of 64, and passes over errors: a full server refuses.
func overrun(ctx context.Context, addr string, seed uint64) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	r := rand.New(rand.NewPCG(11, seed))
	text := value(1, 16<<10)
	for ctx.Err() == nil {
		c.buf = c.buf[:0]
		for range 64 {
			size := 10 << r.IntN(11)
			c.buf = resp.AppendCommandStrings(c.buf, "SET", key(r.IntN(10_000_000)), text[:size+r.IntN(size/2)], "EX", strconv.Itoa(1000+r.IntN(1000)))
		}
		if _, err := c.conn.Write(c.buf); err != nil {
			return err
		}
		for range 64 {
			if _, err := c.r.Read(); err != nil {
				return err
			}
		}
	}
	return nil
}
