package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// The case of long commands: one client asks for something big again and again, while others read single keys on a
// schedule, so that a stall counts for everybody whom it keeps waiting.
const (
	longFor     = 4 * time.Second // of each command
	longReaders = 2
	longRate    = 500 // reads a second of each, one of a hundred a write
)

var longCommands = [][]string{
	{"KEYS", "*"}, {"HGETALL", "hash"}, {"SMEMBERS", "set"}, {"ZRANGE", "zset", "0", "-1", "WITHSCORES"}, {"LRANGE", "list", "0", "-1"},
	{"SORT_RO", "list"}, {"SUNION", "set", "set2"}, {"SINTER", "set", "set2"}, {"ZUNION", "2", "zset", "set"},
	{"GEOSEARCH", "zset", "FROMLONLAT", "-179", "-84", "BYRADIUS", "2000", "km"}, {"SINTERSTORE", "to", "set", "set2"}, {"ZUNIONSTORE", "to", "2", "zset", "set"},
}

// longApplied is executed on a master; what its replica's readers wait is measured.
var longApplied = []string{"SUNIONSTORE", "to", "set", "set2"}

func benchLong(o options, t *table) error {
	for range o.rounds {
		for _, ours := range []bool{true, false} {
			if err := o.longRound(ours, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// longRound measures on a master that nobody follows, then on a replica that applies 10,000 writes a second.
func (o options) longRound(ours bool, t *table) error {
	alone, err := o.start(ours)
	if err != nil {
		return err
	}
	err = errors.Join(fillLong(alone.addr(), o.keys), o.longAll(alone, "", t))
	alone.stop()
	if err != nil {
		return err
	}
	master, replicas, err := o.follow(ours, 1)
	if err != nil {
		return err
	}
	defer stopAll(master, replicas)
	if err := errors.Join(fillLong(master.addr(), o.keys), caughtUp(replicas[0], o.keys)); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Add(1)
	var written latencies
	var failed error
	go func() {
		defer writer.Done()
		failed = writeSteadily(ctx, master.addr(), o.keys, &written)
	}()
	err = errors.Join(o.longAll(replicas[0], " on a replica", t),
		o.longOne(master, replicas[0], longApplied, " applied on a replica", t))
	stop()
	writer.Wait()
	return errors.Join(err, failed)
}

func (o options) longAll(s *server, where string, t *table) error {
	for _, args := range longCommands {
		if where != "" && args[0] != "KEYS" && args[0] != "HGETALL" && args[0] != "SORT_RO" {
			continue
		}
		if err := o.longOne(s, s, args, where, t); err != nil {
			return err
		}
	}
	return nil
}

// longOne asks one server for a command, and readers of another are measured.
func (o options) longOne(asked, s *server, args []string, where string, t *table) error {
	var times latencies
	if o.only != nil && !o.only[args[0]+where] {
		return nil
	}
	n, err := longBeside(asked.addr(), s.addr(), args, where == "", o.keys, &times)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	all, name := times.take(), strings.ToUpper(args[0])+where
	t.row(row{name: "p99 of GET beside " + name, unit: "ms", budget: 0.1}).add(s.ours, all.at(0.99))
	t.row(row{name: "worst GET beside " + name, unit: "ms"}).add(s.ours, all.at(1))
	t.row(row{name: name + " meanwhile, each", unit: "ms"}).add(s.ours, float64(longFor)/1e6/max(n, 0.5))
	return nil
}

// fillLong makes n keys, and values of n elements each.
func fillLong(addr string, n int) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	heads := [][]string{{"HSET", "hash"}, {"SADD", "set"}, {"SADD", "set2"}, {"ZADD", "zset"}, {"RPUSH", "list"}}
	return errors.Join(fill(addr, n), c.pipe(n/100*len(heads), func(i int, dst []byte) []byte {
		args := append([]string{}, heads[i%len(heads)]...)
		for k := i / len(heads) * 100; k < (i/len(heads)+1)*100; k++ {
			name, number := "member:"+strconv.Itoa(k), strconv.Itoa(k*7919%n)
			switch args[1] {
			case "hash":
				args = append(args, name, "value:"+number)
			case "set":
				args = append(args, name)
			case "set2":
				args = append(args, "member:"+strconv.Itoa(k+n/2))
			case "zset":
				args = append(args, number, name)
			case "list":
				args = append(args, number)
			}
		}
		return resp.AppendCommandStrings(dst, args...)
	}))
}

// caughtUp waits until a replica has what fillLong wrote.
func caughtUp(replica *server, n int) error {
	c, err := dial(replica.addr())
	if err != nil {
		return err
	}
	defer c.close()
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if v, err := c.do("LLEN", "list"); err != nil || v.Int == int64(n/100*100) {
			return err
		}
	}
	return errors.New("the replica did not catch up in a minute")
}

// longBeside repeats one command for a while, and takes the times of reads beside it. It returns how often the command was
// answered.
func longBeside(asked, addr string, args []string, writes bool, keys int, times *latencies) (answered float64, err error) {
	ctx, stop := context.WithTimeout(context.Background(), longFor)
	defer stop()
	var readers sync.WaitGroup
	errs := make([]error, longReaders)
	for i := range errs {
		readers.Add(1)
		go func() {
			defer readers.Done()
			errs[i] = getSteadily(ctx, addr, writes, keys, times, uint64(i))
		}()
	}
	conn, err := net.Dial("tcp", asked)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	for ctx.Err() == nil && err == nil {
		if err = askLong(conn, args); err == nil {
			answered++
		}
	}
	readers.Wait()
	return answered, errors.Join(append(errs, err)...)
}

// askLong sends a command and passes over its reply, which a marker ends.
func askLong(conn net.Conn, args []string) error {
	const marker = "the end of the long reply"
	ask := resp.AppendCommandStrings(resp.AppendCommandStrings(nil, args...), "ECHO", marker)
	if _, err := conn.Write(ask); err != nil {
		return err
	}
	buf, tail := make([]byte, 256<<10), []byte{}
	for first := true; ; first = false {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if first && buf[0] == '-' {
			return fmt.Errorf("%v: %s", args, buf[:n])
		}
		tail = append(tail, buf[max(0, n-64):n]...)
		tail = tail[max(0, len(tail)-64):]
		if bytes.HasSuffix(tail, []byte(marker+"\r\n")) {
			return nil
		}
	}
}

// getSteadily reads single keys on a schedule, and writes one of a hundred.
func getSteadily(ctx context.Context, addr string, writes bool, keys int, times *latencies, seed uint64) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	r := rand.New(rand.NewPCG(7, seed))
	due := time.Now()
	for ctx.Err() == nil {
		due = due.Add(time.Second / longRate)
		time.Sleep(time.Until(due))
		args := []string{"GET", key(r.IntN(keys))}
		if writes && r.IntN(100) == 0 {
			args = []string{"SET", args[1], value(r.IntN(keys), 64)}
		}
		if _, err := c.do(args...); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if args[0] == "GET" {
			times.add(time.Since(due))
		}
	}
	return nil
}
