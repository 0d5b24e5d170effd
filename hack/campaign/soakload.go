package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// soakClient is one connection after the other: each makes some thousand random calls, most of them in batches, then ends, now
// and then in the middle of something.
func soakClient(ctx context.Context, port int, rnd *rand.Rand, commands, errs *atomic.Int64) {
	for ctx.Err() == nil {
		c, err := soakConnect(ctx, port)
		if err != nil {
			continue
		}
		for range 20 + rnd.IntN(200) {
			if ctx.Err() != nil {
				break
			}
			calls := make([][]string, pickOne(rnd, 1, 10, soakBatch, soakBatch))
			for i := range calls {
				calls[i] = soakCommand(rnd)
			}
			refused, err := c.Pipeline(calls)
			errs.Add(int64(refused))
			if err != nil {
				break
			}
			commands.Add(int64(len(calls)))
		}
		switch rnd.IntN(6) {
		case 0:
			_, _ = c.Do("SUBSCRIBE", "channel:"+strconv.Itoa(rnd.IntN(10)))
		case 1:
			_, _ = c.Do("MULTI")
			_, _ = c.Do("SET", "left", "open")
		case 2:
			_, _ = c.Do("WATCH", "string:1")
		}
		c.Close()
	}
}

// soakCommand draws a call. The keys are bounded, so is what each of them can hold.
func soakCommand(r *rand.Rand) []string {
	if r.IntN(soakHugeShare) == 0 {
		return soakHugeCommand(r)
	}
	n := strconv.Itoa(r.IntN(soakKeys))
	member := "m" + strconv.Itoa(r.IntN(300))
	switch r.IntN(26) {
	case 0, 1:
		return []string{"SET", "string:" + n, soakText(r, 3000)}
	case 2:
		return []string{"APPEND", "string:" + n, soakText(r, 50)}
	case 3:
		return []string{"SET", "short:" + n, "v", "PX", strconv.Itoa(1 + r.IntN(3000))}
	case 4, 5:
		return []string{"GET", "string:" + n}
	case 6:
		return []string{"HSET", "hash:" + n, member, soakText(r, 100), "f" + n, soakText(r, 100), "m" + strconv.Itoa(r.IntN(300)), soakText(r, 100)}
	case 7:
		return []string{"HGETALL", "hash:" + n}
	case 8:
		return []string{"EVAL", "redis.call('LPUSH', KEYS[1], ARGV[1]) return redis.call('LTRIM', KEYS[1], 0, 200)", "1", "list:" + n, member}
	case 9:
		return []string{"LRANGE", "list:" + n, "0", "-1"}
	case 10:
		return []string{"SADD", "set:" + n, member, strconv.Itoa(r.IntN(1000))}
	case 11:
		return []string{"SPOP", "set:" + n, "3"}
	case 12:
		return []string{"ZADD", "zset:" + n, strconv.Itoa(r.IntN(1000)), member}
	case 13:
		return []string{"ZRANGE", "zset:" + n, "0", "-1", "WITHSCORES"}
	case 14:
		return []string{"XADD", "stream:" + n, "MAXLEN", "~", "100", "*", "k", member}
	case 15:
		return []string{"XRANGE", "stream:" + n, "-", "+", "COUNT", "20"}
	case 16:
		return []string{"PFADD", "hll:" + strconv.Itoa(r.IntN(50)), member}
	case 17:
		return []string{"DEL", soakKind(r) + n}
	case 18:
		return []string{"EXPIRE", soakKind(r) + n, strconv.Itoa(1 + r.IntN(60))}
	case 19:
		return []string{"PUBLISH", "channel:" + strconv.Itoa(r.IntN(10)), member}
	case 20:
		if r.IntN(20) > 0 { // waiting takes its time
			return []string{"LPOP", "list:" + n}
		}
		return []string{"BLPOP", "list:" + n, "none", "0.01"}
	case 21:
		return []string{"SUNIONSTORE", "set:" + n, "set:" + strconv.Itoa(r.IntN(soakKeys)), "set:" + strconv.Itoa(r.IntN(soakKeys))}
	case 22:
		if r.IntN(20) > 0 { // thousands in a second would be what the memory is used for
			return []string{"STRLEN", "string:" + n}
		}
		return []string{"EVAL", fmt.Sprintf("return {%d, redis.call('GET', KEYS[1])}", r.IntN(100_000)), "1", "string:" + n} // a new script each time
	case 23:
		return []string{"SCAN", "0", "COUNT", "100"}
	case 24:
		return []string{"GEOADD", "geo:" + strconv.Itoa(r.IntN(50)), "13.4", "52.5", member}
	}
	return []string{"LPUSH", "string:" + n, "wrong type"}
}

// soakHugeCommand draws a call on one of the keys that grow to thousands of elements, or hundreds of kilobytes. Few of
// them end or read the whole of one, else none would grow.
func soakHugeCommand(r *rand.Rand) []string {
	n, other := strconv.Itoa(r.IntN(soakHuge)), strconv.Itoa(r.IntN(soakHuge))
	kind := pickOne(r, "hugestring:", "hugehash:", "hugeset:", "hugezset:", "hugelist:", "hugestream:")
	switch r.IntN(1000) {
	case 0:
		return []string{"UNLINK", kind + n}
	case 1:
		return []string{"EXPIRE", kind + n, strconv.Itoa(1 + r.IntN(60))}
	case 2:
		return []string{"RENAME", kind + n, kind + other}
	case 3:
		return []string{"COPY", kind + n, kind + other, "REPLACE"}
	case 4:
		return pickOne(r, []string{"SUNIONSTORE", "hugeset:" + n, "hugeset:" + other, "hugeset:1"}, []string{"ZUNIONSTORE", "hugezset:" + n, "2", "hugezset:" + other, "hugezset:1"})
	case 5, 6, 7, 8, 9:
		return pickOne(r, []string{"LTRIM", "hugelist:" + n, "0", strconv.Itoa(soakElements)}, []string{"ZREMRANGEBYRANK", "hugezset:" + n, "0", "500"},
			[]string{"SPOP", "hugeset:" + n, "1000"}, []string{"XTRIM", "hugestream:" + n, "MAXLEN", "1000"})
	case 10, 11, 12, 13, 14, 15, 16, 17, 18, 19:
		return pickOne(r, []string{"HGETALL", "hugehash:" + n}, []string{"SMEMBERS", "hugeset:" + n}, []string{"LRANGE", "hugelist:" + n, "0", "-1"},
			[]string{"ZRANGE", "hugezset:" + n, "0", "-1"}, []string{"XRANGE", "hugestream:" + n, "-", "+"}, []string{"GET", "hugestring:" + n})
	}
	return soakGrowth(r, kind, n)
}

// soakGrowth adds to a huge value.
func soakGrowth(r *rand.Rand, kind, n string) []string {
	var args []string
	add := func(count int, more func() string) []string {
		for range count {
			if more != nil {
				args = append(args, more())
			}
			args = append(args, "element:"+strconv.Itoa(r.IntN(soakElements)))
		}
		return args
	}
	text := func() string { return soakText(r, 150) }
	switch kind {
	case "hugehash:":
		args = []string{"HSET", kind + n, "f"}
		return append(add(100, text), text())
	case "hugezset:":
		args = []string{"ZADD", kind + n}
		return add(100, func() string { return strconv.FormatFloat(r.Float64()*1000, 'g', -1, 64) })
	case "hugeset:":
		args = []string{pickOne(r, "SADD", "SADD", "SREM"), kind + n}
		return add(100, nil)
	case "hugelist:":
		args = []string{pickOne(r, "RPUSH", "LPUSH"), kind + n}
		return add(100, nil)
	case "hugestream:":
		args = []string{"XADD", kind + n, "MAXLEN", "~", strconv.Itoa(soakElements), "*"}
		return add(10, text)
	}
	if r.IntN(10) == 0 {
		return []string{"SET", kind + n, soakText(r, 500_000)}
	}
	return []string{"SETRANGE", kind + n, strconv.Itoa(r.IntN(500_000)), soakText(r, 5000)}
}

func soakKind(r *rand.Rand) string {
	return pickOne(r, "string:", "hash:", "list:", "set:", "zset:", "stream:")
}

// soakWords is what texts are cut from: drawn once, not compressible.
var soakWords = func() string {
	r, b := rand.New(rand.NewPCG(1, 2)), make([]byte, 1<<20)
	for i := range b {
		b[i] = byte('!' + r.IntN(90))
	}
	return string(b)
}()

// soakText draws a text of less than max bytes.
func soakText(r *rand.Rand, max int) string {
	from := r.IntN(len(soakWords) - max)
	return soakWords[from : from+r.IntN(max)]
}

func pickOne[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// soakOperator does what happens now and then: a save, a lost link, a full sync, scripts forgotten, everything deleted.
func soakOperator(ctx context.Context, master, replica *soaked) {
	tick := time.NewTicker(soakEvent)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m, err := master.connect(ctx)
		if err != nil {
			continue
		}
		switch n % 10 {
		case 1, 6:
			_, _ = m.Do("BGSAVE")
		case 2, 5:
			if fields, err := m.Info("replication"); err == nil && strings.Contains(fields["slave0"], "state=online") { // else no sync would end on a slow machine
				_, _ = m.Do("CLIENT", "KILL", "TYPE", "replica")
			}
		case 8:
			if n/10%3 == 0 { // in the middle of a full sync, perhaps
				_, _ = m.Do("CLIENT", "KILL", "TYPE", "replica")
			}
		case 3:
			_, _ = m.Do("SCRIPT", "FLUSH")
		case 4:
			if n/10%2 == 1 {
				_, _ = m.Do("DEBUG", "RELOAD")
			}
		case 7:
			if n/10%2 == 1 {
				break
			}
			if c, err := replica.connect(ctx); err == nil { // it has no history any more: a full sync
				_, _ = c.Do("REPLICAOF", "NO", "ONE")
				_, _ = c.Do("DEBUG", "CHANGE-REPL-ID")
				_, _ = c.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(master.port))
				c.Close()
			}
		case 9:
			if n%200 == 199 {
				_, _ = m.Do("FLUSHALL")
			}
		}
		m.Close()
	}
}
