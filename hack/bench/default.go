package main

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// load is one thing that redis-benchmark does.
type load struct {
	name   string
	args   []string // of redis-benchmark, beside those that all loads share
	weight int      // a request of it costs about as much as so many others; 0 means 1
	least  int      // requests, so that setting up is a small part
	ready  func(c *client) error
}

// sheet is a table of loads with a line for each, and the columns CPU per request, requests per second, and how busy
// redis-benchmark itself was: it has one thread, and when that never waits for the server the rate is its own.
type sheet struct {
	name   string
	flags  []string // of both servers
	loads  []load
	limits map[int]limits // by pipeline
	begin  time.Duration  // processor time of a redis-benchmark that sends hardly anything
}

// limits are the budgets of the ratios; 0 means none.
type limits struct{ cpu, rate float64 }

var common = map[int]limits{1: {0.9, 1}, 16: {0.75, 1.2}}

// benchDefault measures every test of redis-benchmark's default set by itself.
func benchDefault(o options, t *table) error {
	s := sheet{name: "redis-benchmark's default set", limits: common}
	for _, test := range []string{"ping_inline", "ping_mbulk", "set", "get", "incr", "lpush", "rpush", "lpop", "rpop", "sadd", "hset", "spop", "zadd", "zpopmin"} {
		s.loads = append(s.loads, load{name: test, args: []string{"-t", test}})
	}
	for i, n := range []int{100, 300, 500, 600} { // by itself redis-benchmark fills the list first, in the same run
		l := load{name: "lrange_" + strconv.Itoa(n), args: []string{"lrange", "mylist", "0", strconv.Itoa(n - 1)}, weight: 4 + 2*i}
		l.ready = func(c *client) error {
			return c.pipe(1000, func(_ int, dst []byte) []byte { return resp.AppendCommandStrings(dst, "RPUSH", "mylist", "xxx") })
		}
		s.loads = append(s.loads, l)
	}
	s.loads = append(s.loads, load{name: "mset", args: []string{"-t", "mset"}, weight: 4})
	return o.fill(t, s)
}

// benchValues measures strings that are longer.
func benchValues(o options, t *table) error {
	s := sheet{name: "values", limits: common}
	for _, size := range []int{1 << 10, 16 << 10} {
		for _, test := range []string{"set", "get"} {
			s.loads = append(s.loads, load{name: fmt.Sprintf("%s of %d KiB", test, size>>10), args: []string{"-t", test, "-r", "1000", "-d", strconv.Itoa(size)}, weight: 1 + size>>12})
		}
	}
	return o.fill(t, s)
}

// benchConnections measures what it costs that requests come over very many connections.
func benchConnections(o options, t *table) error {
	if err := allowFiles(12000); err != nil {
		return err
	}
	s := sheet{name: "connections", flags: []string{"--maxclients", "20000"}, limits: common}
	for _, n := range []int{1000, 10000} {
		for _, test := range []string{"set", "get"} {
			s.loads = append(s.loads, load{name: fmt.Sprintf("%s of %d connections", test, n), args: []string{"-t", test, "-c", strconv.Itoa(n)}, least: 40 * n})
		}
	}
	return o.fill(t, s)
}

// allowFiles raises the limit of open files as far as it may go, for this process and those that it starts.
func allowFiles(least uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < least {
		return fmt.Errorf("open files are limited to %d, %d are needed: raise it with ulimit -Hn", limit.Max, least)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// fill measures all loads of a sheet. Both servers are up; each load is run on one and then on the other.
func (o options) fill(t *table, s sheet) error {
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, ours := range []bool{true, false} {
		one, err := o.start(ours, s.flags...)
		if err != nil {
			return err
		}
		servers = append(servers, one)
		if _, err := redisBenchmark(one, "set,get", o.requests/10, 16); err != nil {
			return err
		}
		least, err := redisBenchmark(one, "ping_mbulk", 50, 1)
		if err != nil {
			return err
		}
		s.begin = least[0].cpu
	}
	for range o.rounds {
		for _, p := range []int{1, 16} {
			for _, l := range s.loads {
				if o.only != nil && !o.only[l.name] {
					continue
				}
				for _, one := range servers {
					if err := o.measure(t, s, l, one, p); err != nil {
						return fmt.Errorf("%s: %w", l.name, err)
					}
				}
			}
		}
	}
	return nil
}

func (o options) measure(t *table, s sheet, l load, one *server, p int) error {
	if l.ready != nil {
		c, err := dial(one.addr())
		if err != nil {
			return err
		}
		_, err = c.do("DEL", "mylist")
		if err = errors.Join(err, l.ready(c)); err != nil {
			return err
		}
		c.close()
	}
	n := max(o.requests/max(l.weight, 1), 1000, l.least)
	if p > 1 {
		n *= 4
	}
	before, err := one.cpu()
	if err != nil {
		return err
	}
	rates, err := redisBenchmarkArgs(one, n, p, append([]string{"-r", "100000"}, l.args...)...)
	if err != nil {
		return err
	}
	after, err := one.cpu()
	if err != nil {
		return err
	}
	limit := s.limits[p]
	cpu := row{sheet: s.name, name: l.name, column: fmt.Sprintf("CPU, P=%d", p), unit: "us", budget: limit.cpu}
	rate := row{sheet: s.name, name: l.name, column: fmt.Sprintf("rate, P=%d", p), unit: "1/s", budget: limit.rate, more: true}
	client := row{sheet: s.name, name: l.name, column: fmt.Sprintf("client, P=%d", p), unit: "%, ours / redis-server", apart: true}
	last := rates[len(rates)-1]
	busy := last.rps / float64(n) * (last.cpu - s.begin).Seconds() // of its one thread, while requests were under way
	t.row(cpu).add(one.ours, float64(after-before)/float64(time.Microsecond)/float64(n))
	r := t.row(rate)
	r.add(one.ours, last.rps)
	r.client = t.row(client)
	r.client.add(one.ours, 100*busy)
	return nil
}
