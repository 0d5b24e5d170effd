package link_test

import (
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	. "github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/diff"
)

// writePause is from write to write at least: nothing bounds the values that random writes make, and a minute of as many as a fast
// machine can would fill its memory.
const writePause = 500 * time.Microsecond

var chainBoth = flag.Bool("chain.both", false, "every chain disk-backed and diskless; else they take turns")

// TestChainMatrix puts ours and redis-server at the head, in the middle and at the end of a chain in every way: a full sync
// of values of every type and encoding, random writes, cut links. Digests must be equal at equal offsets, and the only full
// syncs are the first ones.
func TestChainMatrix(t *testing.T) {
	for i, makers := range []string{"OOO", "OOR", "ORO", "ORR", "ROO", "ROR", "RRO"} {
		for _, diskless := range []bool{false, true} {
			if !*chainBoth && diskless == (i%2 == 0) {
				continue
			}
			t.Run(fmt.Sprintf("%s/diskless=%v", makers, diskless), func(t *testing.T) {
				t.Parallel()
				args := append([]string{"--repl-diskless-sync", map[bool]string{true: "yes", false: "no"}[diskless]}, bigBacklog...)
				var p [3]Peer
				for i := range p {
					if makers[i] == 'O' {
						p[i] = Start(t, args...)
					} else {
						p[i] = StartRedis(t, args...)
					}
				}
				matrixChain(t, p)
			})
		}
	}
}

func matrixChain(t *testing.T, p [3]Peer) {
	seed := *chainSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	rnd := rand.New(rand.NewSource(seed))
	fill(p[0], *chainKeys)
	fillTypes(p[0], rnd)
	upper, lower := NewProxy(t, p[0].Port()), NewProxy(t, p[1].Port())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	_, real := p[0].(*Redis)
	stop := typesWriter(t, p[0].Port(), seed, real)
	replicate(t, p[1], via(upper))
	replicate(t, p[2], via(lower))
	cutAtRandom(rnd, upper, lower)
	writes := stop()
	AwaitLink(t, p[1])
	AwaitLink(t, p[2])
	MustAgree(t, p[:]...)
	t.Logf("%s: seed %d: %d writes, %d cuts, partial resyncs: %s at the top, %s in the middle", strings.TrimPrefix(t.Name(), "TestChainMatrix/"), seed, writes, *chainCuts, p[0].Info("sync_partial_ok"), p[1].Info("sync_partial_ok"))
	for i, q := range p[:2] {
		if got := q.Info("sync_full"); got != "1" {
			t.Errorf("server %d of the chain: sync_full %s, predicted 1", i, got)
		}
	}
	for i, q := range p[1:] {
		if a, b := libraries(p[0]), libraries(q); !slices.Equal(a, b) {
			t.Errorf("libraries of server %d:\n%s\nthe master has\n%s", i+1, b, a)
		}
		if a, b := p[0].Info("master_replid"), q.Info("master_replid"); a != b {
			t.Errorf("replication ID of server %d: %s, the master has %s", i+1, b, a)
		}
	}
}

// libraries lists the function libraries, in an order of their own.
func libraries(p Peer) (list []string) {
	for _, v := range p.Must("FUNCTION", "LIST", "WITHCODE").Elems {
		list = append(list, v.String())
	}
	slices.Sort(list)
	return list
}

// fillTypes writes values of every type, small and big enough for each encoding, in two databases.
func fillTypes(p Peer, r *rand.Rand) {
	words := func(n int, form func(i int) []string) (args []string) {
		for i := range n {
			args = append(args, form(i)...)
		}
		return args
	}
	long := strings.Repeat("long ", 3000)
	for _, db := range []string{"0", "2"} {
		p.Must("SELECT", db)
		for _, n := range []int{1, 20, 700} {
			name := strconv.Itoa(n)
			text := func(i int) string { return fmt.Sprintf("element %d of %d", i, r.Intn(1000)) }
			p.Must(append([]string{"RPUSH", "list:" + name}, words(n, func(i int) []string { return []string{text(i)} })...)...)
			p.Must(append([]string{"SADD", "ints:" + name}, words(n, func(i int) []string { return []string{strconv.Itoa(i * r.Intn(1<<30))} })...)...)
			p.Must(append([]string{"SADD", "set:" + name}, words(n, func(i int) []string { return []string{text(i)} })...)...)
			p.Must(append([]string{"ZADD", "zset:" + name}, words(n, func(i int) []string { return []string{strconv.FormatFloat(r.NormFloat64(), 'g', -1, 64), text(i)} })...)...)
			p.Must(append([]string{"HSET", "hash:" + name}, words(n, func(i int) []string { return []string{"f" + text(i), text(i)} })...)...)
			p.Must(append([]string{"PFADD", "hll:" + name}, words(n, func(i int) []string { return []string{text(i)} })...)...)
			for i := range n {
				p.Must("XADD", "stream:"+name, fmt.Sprintf("%d-%d", i/3+1, i%3+1), "a", text(i), "b"+strconv.Itoa(i%5), "v")
			}
			p.Must("XGROUP", "CREATE", "stream:"+name, "group", "0")
			p.Must("XREADGROUP", "GROUP", "group", "consumer", "COUNT", strconv.Itoa(n/2+1), "STREAMS", "stream:"+name, ">")
		}
		p.Must("RPUSH", "list:long", long, "short", long)
		p.Must("HSET", "hash:long", "f", long)
		p.Must("ZADD", "zset:long", "1", long)
		p.Must("SETBIT", "bits", "1000003", "1")
		p.Must("GEOADD", "geo", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")
		p.Must("SET", "int", "12345")
		p.Must("SET", "raw", long)
		p.Must("HSET", "mortal", "f", "v")
		p.Must("PEXPIRE", "mortal", "400")
		p.Must("EXPIRE", "zset:20", "10000")
	}
	p.Must("SELECT", "0")
	p.Must("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function(keys, args) return redis.call('INCRBY', keys[1], args[1]) end)")
}

// typesWriter writes until stopped: random commands of every family on few keys, and on the keys of fillTypes what makes
// them grow, expire and change their encodings; transactions, scripts and functions. To a real redis-server go only commands
// whose effects it tells its replicas.
func typesWriter(t *testing.T, port int, seed int64, real bool) (stop func() (writes int)) {
	c := Dial(t, port, "")
	done := make(chan struct{})
	var n, ended atomic.Int64
	left := map[string]bool{"flushall": true, "flushdb": true, "restore": true, "migrate": true} // would empty the chain, or need another server
	gen := diff.NewGen(uint64(seed), command.NewTable(), time.Now().UnixMilli(), func(c *command.Cmd) bool {
		return c.Flags&command.Write != 0 && c.Flags&command.Blocking == 0 && !left[c.FullName]
	})
	began := time.Now()
	go func() {
		defer close(done)
		r := rand.New(rand.NewSource(seed))
		for ended.Load() == 0 {
			size := []string{"1", "20", "700"}[r.Intn(3)]
			word := strconv.Itoa(r.Intn(2000))
			switch r.Intn(16) {
			case 0:
				c.Do("RPUSH", "list:"+size, word)
			case 1:
				c.Do("SADD", "ints:"+size, word)
			case 2:
				c.Do("ZADD", "zset:"+size, word, "m"+word)
			case 3:
				c.Do("HSET", "hash:"+size, "f"+word, strings.Repeat(word, r.Intn(30)))
			case 4:
				c.Do("XADD", "stream:"+size, "MAXLEN", "~", "500", "*", "f", word)
			case 5:
				c.Do("XREADGROUP", "GROUP", "group", "c"+size, "COUNT", "3", "STREAMS", "stream:"+size, ">")
			case 6:
				c.Do("MULTI")
				c.Do("SPOP", "set:"+size)
				c.Do("PFADD", "hll:"+size, word)
				c.Do("EXEC")
			case 7:
				c.Do("EVAL", "redis.call('SET', KEYS[1], ARGV[1], 'PX', 300) return redis.call('LPOP', KEYS[2])", "2", "key:"+word, "list:"+size, word)
			case 8:
				c.Do("FCALL", "f", "1", "counter", word)
			case 9:
				c.Do("SELECT", strconv.Itoa(r.Intn(3)))
			case 10:
				c.Do("FUNCTION", "LOAD", "REPLACE", "#!lua name=lib"+size+"\nredis.register_function('f"+size+"', function() return "+word+" end)")
			default:
				if words := gen.Next(); !real || !diff.KeptToItself(words) {
					c.Do(words...)
				}
			}
			if early := time.Until(began.Add(time.Duration(n.Add(1)) * writePause)); early > 0 {
				time.Sleep(early)
			}
		}
	}()
	return func() int {
		ended.Store(1)
		<-done
		c.Close()
		return int(n.Load())
	}
}
