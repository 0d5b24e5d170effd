package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// touchedKinds are values of some elements, and a write to each that leaves it as long as it was.
var touchedKinds = []struct {
	name        string
	fill, touch func(key string, i int) []string
}{
	{"streams of 2 entries", func(key string, _ int) []string { return []string{"XADD", key, "*", "field", touchedText(2, 24)} },
		func(key string, i int) []string {
			return []string{"XADD", key, "MAXLEN", "2", "*", "field", touchedText(i, 24)}
		}},
	{"hashes of 4 fields", func(key string, i int) []string {
		return []string{"HSET", key, "field:" + strconv.Itoa(i), touchedText(i, 24)}
	},
		func(key string, i int) []string {
			return []string{"HSET", key, "field:" + strconv.Itoa(i%4), touchedText(i, 24)}
		}},
	{"hashes of 4 fields of 80 bytes", func(key string, i int) []string {
		return []string{"HSET", key, "field:" + strconv.Itoa(i), touchedText(i, 80)}
	},
		func(key string, i int) []string {
			return []string{"HSET", key, "field:" + strconv.Itoa(i%4), touchedText(i, 80)}
		}},
	{"lists of 4 elements", func(key string, i int) []string { return []string{"RPUSH", key, touchedText(i, 24)} },
		func(key string, i int) []string {
			return []string{"LSET", key, strconv.Itoa(i % 4), touchedText(i, 24)}
		}},
	{"sorted sets of 4 members", func(key string, i int) []string {
		return []string{"ZADD", key, strconv.Itoa(i), "member:" + strconv.Itoa(i)}
	},
		func(key string, i int) []string {
			return []string{"ZADD", key, strconv.Itoa(i % 1000), "member:" + strconv.Itoa(i%4)}
		}},
}

const (
	touchedDelay   = 5 // microseconds that a save takes longer for each key, so that all are written to meanwhile
	touchedWriters = 2
)

// touchedText cuts a text of n bytes out of a long one.
func touchedText(i, n int) string { return touchedTexts[i*31%1000:][:n] }

var touchedTexts = value(1, 2000)

// benchTouched saves -keys values of a few elements while all of them are written to, and tells the memory that takes.
func benchTouched(o options, t *table) error {
	for range o.rounds {
		for kind := range touchedKinds {
			if name := touchedKinds[kind].name; o.only != nil && !o.only[name] {
				continue
			}
			for _, ours := range []bool{true, false} {
				if err := o.touchedRound(t, ours, kind); err != nil {
					return fmt.Errorf("%s: %w", touchedKinds[kind].name, err)
				}
			}
		}
	}
	return nil
}

func (o options) touchedRound(t *table, ours bool, kind int) error {
	k := touchedKinds[kind]
	s, err := o.start(ours, "--rdb-key-save-delay", strconv.Itoa(touchedDelay), "--save", "")
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := dial(s.addr())
	if err != nil {
		return err
	}
	defer c.close()
	per := 4
	if kind == 0 {
		per = 2
	}
	if err := c.pipe(o.keys*per, func(i int, dst []byte) []byte {
		return resp.AppendCommandStrings(dst, k.fill(key(i/per), i%per)...)
	}); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, touchedWriters)
	for w := range touchedWriters {
		go func() { done <- touch(ctx, s.addr(), o.keys, w, k.touch) }()
	}
	time.Sleep(2 * time.Second) // what the writes alone take is there
	extra := watchMemory(s)
	if _, err := c.do("BGSAVE"); err != nil {
		return err
	}
	begin := time.Now()
	for {
		time.Sleep(50 * time.Millisecond)
		busy, err := c.info("rdb_bgsave_in_progress")
		if err != nil {
			return err
		}
		if busy == "0" {
			break
		}
	}
	took, more := time.Since(begin), extra()
	stop()
	for range touchedWriters {
		err = errors.Join(err, <-done)
	}
	if err != nil {
		return err
	}
	t.row(row{name: fmt.Sprintf("extra memory of a save while %d %s are written to", o.keys, k.name), unit: "% of data", budget: 5, absolute: true}).add(ours, more)
	t.row(row{name: fmt.Sprintf("the save of %d %s", o.keys, k.name), unit: "s"}).add(ours, took.Seconds())
	return nil
}

// touch writes to all keys in turn, those of one writer in writers, until ctx ends.
func touch(ctx context.Context, addr string, keys, writer int, command func(key string, i int) []string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	n := 0
	for at := writer; ctx.Err() == nil; {
		if err := c.pipe(256, func(i int, dst []byte) []byte {
			at += touchedWriters
			n++
			return resp.AppendCommandStrings(dst, command(key(at%keys), n)...)
		}); err != nil {
			return err
		}
	}
	return nil
}
