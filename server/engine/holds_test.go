package engine

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	holdElements = flag.Int("holds", 0, "TestHolds: measure with values of so many elements")
	holdOnly     = flag.String("holds-only", "", "TestHolds: commands that have this in them")
)

// goesOn is of commands that must go on after their handlers.
const goesOn = "goes on"

// holdCases are commands of many elements: "work" is a copy of what the first word names, and @ what DUMP says of it.
var holdCases = [][]string{
	{"list", "LREM work 0 e:1", goesOn}, {"list", "LREM work 0 nothing", goesOn}, {"list", "LREM work 0 odd", goesOn}, {"list", "LREM work -1 e:1", goesOn},
	{"list", "LTRIM work 10 20"}, {"list", "LTRIM work N/4 N/2"}, {"list", "LTRIM work 5 1"}, {"list", "LTRIM work 1 -1"},
	{"list", "LPOP work N", goesOn}, {"list", "RPOP work N/2", goesOn}, {"list", "LMPOP 1 work LEFT COUNT N", goesOn},
	{"list", "LINSERT work BEFORE nothing x", goesOn}, {"list", "LINSERT work AFTER last x", goesOn}, {"list", "LPOS work nothing", goesOn}, {"list", "LPOS work odd COUNT 0", goesOn}, {"list", "LINDEX work N/2"}, {"list", "LSET work N/2 x"},
	{"list", "COPY work work2 DB 3"}, {"list", "COPY work work2"}, {"list", "DEL work"}, {"list", "UNLINK work"}, {"list", "RENAME other work"}, {"list", "PEXPIRE work 0"}, {"list", "MEMORY USAGE work SAMPLES 0"},
	{"list", "SORT work BY nosort GET # STORE to", goesOn}, {"list", "SORT work BY w:* ALPHA STORE to", goesOn}, {"list", "SORT work ALPHA STORE to", goesOn}, {"list", "SORT work BY w:* ALPHA GET #", goesOn},
	{"set", "SPOP work 2000"}, {"set", "SPOP work N/4", goesOn}, {"set", "SPOP work N*9/10", goesOn}, {"set", "SPOP work N", goesOn},
	{"set", "SRANDMEMBER work N", goesOn}, {"set", "SRANDMEMBER work -N", goesOn}, {"set", "SRANDMEMBER work N/4", goesOn}, {"set", "SRANDMEMBER work 8000"},
	{"set", "DEL work"}, {"set", "COPY work work2 DB 3", goesOn}, {"set", "SSCAN work 0 COUNT N", goesOn}, {"set", "SISMEMBER work x"}, {"set", "MEMORY USAGE work SAMPLES 0"}, {"set", "SINTERCARD 2 work set", goesOn}, {"set", "SDIFF work set", goesOn}, {"set", "PFCOUNT hll hll2 hll3 hll4 hll5 hll6 hll7 hll8"},
	{"hash", "HRANDFIELD work N", goesOn}, {"hash", "HRANDFIELD work -N WITHVALUES", goesOn}, {"hash", "HRANDFIELD work N/4", goesOn}, {"hash", "HGETALL work", goesOn}, {"hash", "DEL work"}, {"hash", "COPY work work2 DB 3", goesOn}, {"hash", "HSCAN work 0 COUNT N", goesOn}, {"hash", "MEMORY USAGE work SAMPLES 0"},
	{"zset", "ZRANDMEMBER work N", goesOn}, {"zset", "ZRANDMEMBER work -N WITHSCORES", goesOn}, {"zset", "ZRANDMEMBER work N/4", goesOn},
	{"zset", "ZREMRANGEBYRANK work 0 N/2", goesOn}, {"zset", "ZREMRANGEBYRANK work 0 N/10"}, {"zset", "ZREMRANGEBYSCORE work N/4 N/2", goesOn}, {"zset", "ZREMRANGEBYRANK work 10 -10"}, {"zset", "ZREMRANGEBYRANK work 0 N*7/10"},
	{"zset", "ZPOPMIN work N", goesOn}, {"zset", "ZPOPMAX work N/2", goesOn}, {"zset", "ZMPOP 1 work MIN COUNT N/2", goesOn}, {"zset", "ZCOUNT work 5 N/2"},
	{"zset", "DEL work"}, {"zset", "COPY work work2 DB 3", goesOn}, {"zset", "ZSCAN work 0 COUNT N", goesOn}, {"zset", "MEMORY USAGE work SAMPLES 0"},
	{"stream", "XTRIM work MAXLEN 10"}, {"stream", "XTRIM work MAXLEN ~ 10 LIMIT 0"}, {"stream", "XTRIM work MAXLEN N/2"}, {"stream", "XADD work MAXLEN 10 * a b"}, {"stream", "XREAD STREAMS work stream 0 0", goesOn}, {"stream", "XREAD STREAMS work 0", goesOn},
	{"stream", "XRANGE work - +", goesOn}, {"stream", "XREADGROUP GROUP g c STREAMS work >", goesOn}, {"stream", "XREADGROUP GROUP g c COUNT 20000 STREAMS work >", goesOn}, {"stream", "XREADGROUP GROUP g c NOACK STREAMS work >", goesOn}, {"stream", "COPY work work2"}, {"stream", "COPY work work2 DB 3"}, {"stream", "DUMP work", goesOn}, {"stream", "DEL work"}, {"stream", "XINFO STREAM work"}, {"stream", "XINFO STREAM work FULL COUNT 0", goesOn}, {"stream", "XDEL work 5-1"},
	{"group", "XREADGROUP GROUP g c STREAMS work 0", goesOn}, {"group", "XPENDING work g - + N", goesOn}, {"group", "XPENDING work g"}, {"group", "XPENDING work g IDLE 1000000 - + 10", goesOn}, {"group", "XAUTOCLAIM work g d 0 0 COUNT N", goesOn}, {"group", "XAUTOCLAIM work g d 0 0 COUNT 20000", goesOn}, {"group", "XAUTOCLAIM work g d 0 0 COUNT N JUSTID", goesOn}, {"group", "XGROUP DELCONSUMER work g c"}, {"group", "XGROUP DESTROY work g"}, {"group", "COPY work work2", goesOn}, {"group", "DUMP work", goesOn}, {"group", "XINFO STREAM work FULL COUNT 0", goesOn}, {"group", "DEL work"},
	{"stream", "RESTORE to 0 @", goesOn}, {"group", "RESTORE to 0 @", goesOn}, {"set", "RESTORE to 0 @", goesOn}, {"hash", "RESTORE to 0 @", goesOn}, {"zset", "RESTORE to 0 @", goesOn}, {"list", "RESTORE to 0 @", goesOn}, {"string", "RESTORE to 0 @", goesOn},
	{"string", "BITOP NOT to work", goesOn}, {"string", "BITOP AND to work string", goesOn}, {"string", "BITCOUNT work"}, {"string", "BITPOS work 0"}, {"string", "SETRANGE work 10 x"}, {"string", "APPEND work x"}, {"string", "GETRANGE work 5 -5"}, {"string", "GET work"}, {"string", "COPY work work2"}, {"string", "COPY work work2 DB 3"}, {"string", "SETBIT work 800000000 1"}, {"string", "SETRANGE nothing 60000000 x"}, {"string", "GETDEL work"}, {"string", "DEL work"}, {"string", "STRLEN work"}, {"string", "DUMP work"}, {"string", "SETRANGE held 10 x"}, {"string", "APPEND held x"},
	{"lcs", "LCS work lcs2", goesOn}, {"lcs", "LCS work lcs2 LEN", goesOn}, {"lcs", "LCS work lcs2 IDX", goesOn},
	{"", "DEL KEYS"}, {"", "UNLINK KEYS"}, {"", "EXISTS KEYS", goesOn}, {"", "TOUCH KEYS", goesOn}, {"", "MGET KEYS", goesOn}, {"", "MSET PAIRS"}, {"", "PFMERGE to hll hll2 hll3 hll4 hll5 hll6 hll7 hll8"}, {"", "PFCOUNT HLLS", goesOn},
	{"", "COMMAND"}, {"", "COMMAND COUNT"}, {"", "COMMAND DOCS"}, {"", "COMMAND LIST"}, {"hash", "OBJECT ENCODING work"}, {"set", "SMISMEMBER work NAMES", goesOn}, {"hash", "HMGET work NAMES", goesOn}, {"zset", "ZMSCORE work NAMES", goesOn}, {"set", "SREM work NAMES"}, {"hash", "HDEL work NAMES"}, {"zset", "ZREM work NAMES"}, {"zset", "GEOHASH work NAMES", goesOn}, {"zset", "GEOPOS work NAMES", goesOn},
	{"zset", "ZADD work SCORED"}, {"zset", "ZADD work CHANGED"}, {"", "ZADD to SCORED"}, {"zset", "GEOADD work PLACES"}, {"set", "SADD work NEWNAMES"}, {"hash", "HSET work NEWFIELDS"}, {"hash", "HSET work FIELDS"}, {"", "HSET to FIELDS"}, {"list", "RPUSH work NAMES"}, {"list", "LPUSH work NAMES"}, {"", "PFADD to NAMES"},
	{"", "MSETNX NEWFIELDS"}, {"", "BITFIELD to FIELDSETS"}, {"string", "BITFIELD work FIELDSETS"}, {"", "BITFIELD_RO string FIELDGETS"}, {"stream", "XADD work * FIELDS"},
	{"", "PFMERGE to MANYHLLS", goesOn}, {"", "PFCOUNT MANYHLLS", goesOn}, {"", "SUNION MANYSETS"}, {"", "SUNIONSTORE to MANYSETS"}, {"", "SINTERSTORE to MANYSETS"}, {"", "SINTER MANYSETS"}, {"", "SDIFF MANYSETS"}, {"", "SINTERCARD MANY MANYSETS"}, {"", "ZUNION MANY MANYSETS"}, {"", "ZINTERCARD MANY MANYSETS"}, {"", "ZINTER MANY MANYSETS"}, {"", "ZDIFF MANY MANYSETS"}, {"", "ZUNIONSTORE to MANY MANYSETS"},
	{"", "WATCH KEYS"}, {"", "LMPOP MANY KEYS2 LEFT"}, {"", "ZMPOP MANY KEYS2 MIN"}, {"", "SINTERCARD 2 set set", goesOn}, {"", "ZINTERCARD 2 zset set", goesOn}, {"", "ZINTER 2 zset set", goesOn},
	{"", "BITOP OR to MANYSTRINGS"}, {"", "XREAD STREAMS MANYSTREAMS MANYZEROS"}, {"stream", "XREADGROUP GROUP g c COUNT 1000 STREAMS work >"}, {"group", "XREADGROUP GROUP g c COUNT 1000 STREAMS work 0"}, {"group", "XAUTOCLAIM work g d 0 0 COUNT 1000"}, {"stream", "XRANGE work - + COUNT 8000"}, {"zset", "ZRANGE work 0 8000 WITHSCORES"}, {"zset", "ZPOPMIN work 8000"}, {"set", "SPOP work 8000"}, {"list", "LPOP work 8000"}, {"list", "LRANGE work 0 8000"}, {"zset", "ZRANGEBYSCORE work 0 8000"}, {"list", "LPOP work 8000"}, {"set", "SRANDMEMBER work -8000"}, {"hash", "HRANDFIELD work 8000 WITHVALUES"}, {"zset", "ZRANDMEMBER work 8000 WITHSCORES"}, {"zset", "ZREMRANGEBYSCORE work 0 16000"},
	{"", "SADD to NAMES"}, {"", "RPUSH to NAMES"}, {"stream", "XDEL work IDS"}, {"group", "XACK work g IDS"}, {"group", "XCLAIM work g d 0 IDS", goesOn}, {"zset", "ZRANGESTORE to work 0 -1", goesOn}, {"zset", "GEOSEARCHSTORE to work FROMLONLAT 0 0 BYRADIUS 40000 km"}, {"zset", "ZLEXCOUNT work - +"}, {"zset", "ZRANGEBYLEX work - +", goesOn},
	{"", "KEYS *", goesOn}, {"", "KEYS nothing*", goesOn}, {"", "SCAN 0 COUNT N", goesOn}, {"", "RANDOMKEY"}, {"", "FLUSHDB"}, {"", "FLUSHALL"}, {"", "SWAPDB 0 1"},
}

// TestHolds checks who goes on after its handler, so that others are answered meanwhile. With -holds it measures the longest
// hold of the lock, of the handler's and of those behind it, in processor time, with values of so many elements; in the end
// in order.
func TestHolds(t *testing.T) {
	n, reps := *holdElements, 3
	b := newBench(t)
	if n == 0 {
		n, reps = 1000, 1
		b.e.Conf.LongFrom = 100
	}
	fillHolds(b, b.client(), n)
	b.e.longs.watch = threadTime
	var results []held
	for _, hc := range holdCases {
		if !strings.Contains(hc[1], *holdOnly) {
			continue
		}
		r := b.measure(hc[0], expand(hc[1], n), reps)
		if must := len(hc) > 2; must && !r.long {
			t.Errorf("%s did not go on after its handler", r.line)
		}
		if results = append(results, r); *holdElements > 0 {
			fmt.Fprintln(os.Stderr, r)
		}
	}
	slices.SortFunc(results, func(a, b held) int { return int(max(b.first, b.behind) - max(a.first, a.behind)) })
	for _, r := range results {
		if *holdElements > 0 {
			fmt.Println(r)
		}
	}
}

// held is what a command held the lock for, at least.
type held struct {
	line               string
	first, behind, all time.Duration
	long               bool // it went on
}

func (h held) String() string {
	return fmt.Sprintf("%10.2f ms first, %10.2f ms behind, %10.2f ms in all, long %v  %s", ms(h.first), ms(h.behind), ms(h.all), h.long, h.line)
}

// measure executes a line on a copy of a value some times.
func (b *bench) measure(value, line string, times int) held {
	c := b.client()
	best := held{line: value + ": " + line[:min(len(line), 60)], first: time.Hour, behind: time.Hour, all: time.Hour}
	for range times {
		b.copyOf(c, value)
		var dump []byte
		if strings.Contains(line, "@") {
			was := b.e.Conf.LongFrom
			b.e.Conf.LongFrom = math.MaxInt // so that the reply has it in plain bytes
			_, text, _ := strings.Cut(b.finish(c, "DUMP work"), "\r\n")
			b.e.Conf.LongFrom = was
			dump = []byte(strings.TrimSuffix(text, "\r\n"))
		}
		if b.drain(); *holdElements > 0 {
			runtime.GC()
		}
		b.e.longs.longest.Store(0)
		begun, _ := b.e.LongReads()
		runtime.LockOSThread()
		start, from := time.Now(), threadTime()
		items := b.items(c, line)
		for i, word := range items[0].Args {
			if string(word) == "@" {
				items[0].Args[i] = dump
			}
		}
		b.lane.Out.Reset()
		b.lane.Run(items)
		took := threadTime() - from
		runtime.UnlockOSThread()
		if items[0].Outcome == Waiting {
			want(b.t, b.run(b.client(), "PING"), "+PONG\r\n")
		}
		reply := b.await(c, items)
		all := time.Since(start)
		if strings.HasPrefix(reply, "-") {
			b.t.Errorf("%s: %.100s", line, reply)
		}
		best.first, best.all = min(best.first, took), min(best.all, all)
		best.behind = min(best.behind, time.Duration(b.e.longs.longest.Load()))
		after, _ := b.e.LongReads()
		best.long = after > begun
	}
	return best
}

// copyOf makes "work" a copy of a value, and what else a line may need.
func (b *bench) copyOf(c *Client, value string) {
	for _, line := range []string{"DEL work work2 to other held nothing", "SELECT 3", "DEL work2", "SELECT 0"} {
		b.finish(c, line)
	}
	b.finish(c, expand("MSET PAIRS", max(*holdElements, 1000)))
	if value != "" {
		b.finish(c, "COPY "+value+" work")
		b.finish(c, "SET other x")
		b.finish(c, "COPY string held")
	}
}

// TestLongCutsAreSeen: what goes on after its handler and changes a value fails the transactions of those who watch it, in
// the hold in which others see the change; what changes nothing does not.
func TestLongCutsAreSeen(t *testing.T) {
	const n = 1000
	b := newBench(t)
	b.e.Conf.LongFrom = 100
	fillHolds(b, b.client(), n)
	for _, hc := range [][]string{
		{"list", "LREM work 0 odd", "changes"}, {"list", "LREM work 0 nothing"}, {"list", "LPOP work N/2", "changes"}, {"list", "RPOP work N", "changes"}, {"list", "LMPOP 1 work LEFT COUNT N/2", "changes"},
		{"list", "LINSERT work AFTER last x", "changes"}, {"list", "LINSERT work AFTER nothing x"}, {"list", "LPOS work nothing"},
		{"set", "SPOP work N/4", "changes"}, {"set", "SPOP work N*9/10", "changes"}, {"set", "SPOP work N", "changes"}, {"set", "SRANDMEMBER work N"},
		{"zset", "ZREMRANGEBYRANK work 0 N/2", "changes"}, {"zset", "ZPOPMIN work N/2", "changes"}, {"zset", "ZPOPMAX work N", "changes"}, {"zset", "ZMPOP 1 work MIN COUNT N/2", "changes"},
		{"stream", "XREAD STREAMS work stream 0 0"}, {"stream", "DUMP work"}, {"group", "XPENDING work g - + N"},
	} {
		c, watcher := b.client(), b.client()
		b.copyOf(c, hc[0])
		b.run(watcher, "WATCH work")
		begun, _ := b.e.LongReads()
		line := expand(hc[1], n)
		b.finish(c, line)
		if after, _ := b.e.LongReads(); after == begun {
			t.Errorf("%s did not go on after its handler", line)
		}
		b.run(watcher, "MULTI", "PING")
		exec := "*1\r\n+PONG\r\n"
		if len(hc) > 2 {
			exec = "*-1\r\n"
		}
		if got := b.run(watcher, "EXEC"); got != exec {
			t.Errorf("after %s: EXEC gives %q, want %q", line, got, exec)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

func expand(line string, n int) string {
	many := max(n/20, 200)
	words := strings.Fields(line)
	for i, w := range words {
		switch w {
		case "KEYS":
			if i > 0 {
				w = repeat("m:%d", many)
			}
		case "HLLS":
			w = strings.Repeat("hll2 hll3 ", 50)
		case "PAIRS":
			w = repeat("m:%d value", many)
		case "NAMES":
			w = repeat("member:%d", many)
		case "SCORED":
			w = repeat("%d new:%[1]d", many)
		case "CHANGED":
			w = repeat("-%d member:%[1]d", many)
		case "PLACES":
			w = repeat("10.%d 20 member:%[1]d", many)
		case "NEWNAMES":
			w = repeat("new:%d", many)
		case "FIELDS":
			w = repeat("member:%d x", many)
		case "NEWFIELDS":
			w = repeat("new:%d x", many)
		case "FIELDSETS":
			w = repeat("INCRBY u32 #%d 5", many)
		case "FIELDGETS":
			w = repeat("GET u32 #%d", many)
		case "MANY":
			w = fmt.Sprint(many)
		case "MANYHLLS":
			w = strings.Repeat("hll2 hll3 ", many/2)
		case "MANYSETS":
			w = strings.Repeat("small small2 ", many/2)
		case "MANYSTRINGS":
			w = repeat("w:e:%d", many)
		case "MANYSTREAMS":
			w = strings.Repeat("ministream ", many)
		case "MANYZEROS":
			w = strings.Repeat("0 ", many)
		case "KEYS2":
			w = repeat("none:%d", many)
		case "IDS":
			w = repeat("%d-1", many)
		case "N":
			w = fmt.Sprint(n)
		case "-N":
			w = fmt.Sprint(-n)
		case "N/2":
			w = fmt.Sprint(n / 2)
		case "N/4":
			w = fmt.Sprint(n / 4)
		case "N/10":
			w = fmt.Sprint(n / 10)
		case "N*9/10":
			w = fmt.Sprint(n * 9 / 10)
		case "N*7/10":
			w = fmt.Sprint(n * 7 / 10)
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}

// repeat is a list of n words with numbers in them.
func repeat(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+" ", i+1)
	}
	return b.String()
}

// await gives the reply to items that were run.
func (b *bench) await(c *Client, items []Item) string {
	o := c.Owner.(*fakeOwner)
	for items[0].Outcome == Waiting {
		o.mu.Lock()
		got := o.delivered
		o.delivered = nil
		o.mu.Unlock()
		if got != nil {
			return got[0]
		}
		time.Sleep(time.Millisecond)
	}
	return string(b.lane.Out.Bytes())
}

// finish executes a line and gives its reply, if it comes later.
func (b *bench) finish(c *Client, line string) string {
	b.t.Helper()
	items := b.items(c, line)
	b.lane.Out.Reset()
	b.lane.Run(items)
	reply := b.await(c, items)
	if strings.HasPrefix(reply, "-") {
		b.t.Fatalf("%.100s: %s", line, reply)
	}
	return reply
}

func (b *bench) drain() {
	b.e.Exclusive(func() {
		for b.e.store.Reclaim(1 << 20) {
		}
	})
	for {
		pieces, err := b.log.Read(nil, 1<<20)
		if err != nil {
			b.t.Fatal(err)
		}
		n := 0
		for _, p := range pieces {
			n += len(p)
		}
		if n == 0 {
			return
		}
		b.log.Advance(n)
	}
}

func fillHolds(b *bench, c *Client, n int) {
	for from := 0; from < n; from += 500 {
		var list, set, zset, hash, keys strings.Builder
		list.WriteString("RPUSH list")
		set.WriteString("SADD set")
		zset.WriteString("ZADD zset")
		hash.WriteString("HSET hash")
		keys.WriteString("MSET")
		for i := from; i < from+500; i++ {
			if i%2 == 1 {
				list.WriteString(" odd")
			} else {
				fmt.Fprintf(&list, " e:%d", i)
			}
			fmt.Fprintf(&set, " member:%d", i)
			fmt.Fprintf(&zset, " %d member:%d", i*7919%n, i)
			fmt.Fprintf(&hash, " member:%d value:%d", i, i)
			fmt.Fprintf(&keys, " w:e:%d %d", i, i*7919%n)
			b.finish(c, fmt.Sprintf("XADD stream %d-1 field value:%d", i+1, i))
		}
		if from%10_000 == 0 {
			b.drain()
		}
		for _, line := range []string{list.String(), set.String(), zset.String(), hash.String(), keys.String()} {
			b.finish(c, line)
		}
	}
	b.finish(c, "RPUSH list last")
	b.finish(c, "XGROUP CREATE stream g 0")
	b.finish(c, "COPY stream group")
	b.finish(c, fmt.Sprintf("XREADGROUP GROUP g c COUNT %d STREAMS group >", n-n/4))
	b.finish(c, "XREADGROUP GROUP g c2 STREAMS group >")
	b.finish(c, fmt.Sprintf("SETRANGE string %d x", n*50))
	for i := range 8 {
		name := "hll"
		if i > 0 {
			name = fmt.Sprint("hll", i+1)
		}
		for j := range 100 {
			b.finish(c, fmt.Sprintf("PFADD %s a%d b%d c%d d%d", name, j*i, j*i+5, j*i+9, j))
		}
	}
	b.finish(c, "SADD small a b c d e f g h")
	b.finish(c, "SADD small2 a b c d e f g h i")
	b.finish(c, "XADD ministream 1-1 a b")
	half := min(max(n/40, 100), 25000)
	b.finish(c, "SET lcs "+strings.Repeat("abcdefghij", half/10))
	b.finish(c, "SET lcs2 "+strings.Repeat("jdbacfhige", half/10))
}
