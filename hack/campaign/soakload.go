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

// soakClient is one connection after the other: each makes some hundred random calls, then ends, now and then in the middle
// of something.
func soakClient(ctx context.Context, port int, rnd *rand.Rand, commands, errs *atomic.Int64) {
	for ctx.Err() == nil {
		c, err := soakConnect(ctx, port)
		if err != nil {
			continue
		}
		for range 50 + rnd.IntN(500) {
			if ctx.Err() != nil {
				break
			}
			if _, err := c.Do(soakCommand(rnd)...); err != nil {
				errs.Add(1)
			}
			commands.Add(1)
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
	n := strconv.Itoa(r.IntN(soakKeys))
	member := "m" + strconv.Itoa(r.IntN(300))
	switch r.IntN(26) {
	case 0, 1:
		return []string{"SET", "string:" + n, strings.Repeat("v", r.IntN(400))}
	case 2:
		return []string{"SET", "big:" + strconv.Itoa(r.IntN(20)), strings.Repeat("b", r.IntN(200_000))}
	case 3:
		return []string{"SET", "short:" + n, "v", "PX", strconv.Itoa(1 + r.IntN(3000))}
	case 4, 5:
		return []string{"GET", "string:" + n}
	case 6:
		return []string{"HSET", "hash:" + n, member, strings.Repeat("f", r.IntN(100))}
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
		return []string{"DEL", pickOne(r, "string:", "hash:", "list:", "set:", "zset:", "stream:") + n}
	case 18:
		return []string{"EXPIRE", pickOne(r, "string:", "hash:", "list:", "set:", "zset:", "stream:") + n, strconv.Itoa(1 + r.IntN(60))}
	case 19:
		return []string{"PUBLISH", "channel:" + strconv.Itoa(r.IntN(10)), member}
	case 20:
		return []string{"BLPOP", "list:" + n, "none", "0.01"}
	case 21:
		return []string{"SUNIONSTORE", "set:" + n, "set:" + strconv.Itoa(r.IntN(soakKeys)), "set:" + strconv.Itoa(r.IntN(soakKeys))}
	case 22:
		return []string{"EVAL", fmt.Sprintf("return {%d, redis.call('GET', KEYS[1])}", r.IntN(100_000)), "1", "string:" + n} // a new script each time
	case 23:
		return []string{"SCAN", "0", "COUNT", "100"}
	case 24:
		return []string{"GEOADD", "geo:" + strconv.Itoa(r.IntN(50)), "13.4", "52.5", member}
	}
	return []string{"LPUSH", "string:" + n, "wrong type"}
}

func pickOne(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// soakOperator does what happens now and then: a save, a lost link, a full sync, scripts forgotten, everything deleted.
func soakOperator(ctx context.Context, master, replica *soaked) {
	tick := time.NewTicker(3 * time.Second)
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
		case 2, 5, 8:
			_, _ = m.Do("CLIENT", "KILL", "TYPE", "replica")
		case 3:
			_, _ = m.Do("SCRIPT", "FLUSH")
		case 4:
			_, _ = m.Do("DEBUG", "RELOAD")
		case 7:
			if c, err := replica.connect(ctx); err == nil { // it has no history any more: a full sync
				_, _ = c.Do("REPLICAOF", "NO", "ONE")
				_, _ = c.Do("DEBUG", "CHANGE-REPL-ID")
				_, _ = c.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(master.port))
				c.Close()
			}
		case 9:
			if n%100 == 99 {
				_, _ = m.Do("FLUSHALL")
			}
		}
		m.Close()
	}
}
