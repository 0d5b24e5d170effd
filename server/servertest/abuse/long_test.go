package abuse

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
)

const (
	longPairs = 1500 // of elements in each value
	longFrom  = 64
)

func startLong(t *testing.T) *servertest.Server {
	s := servertest.Start(t)
	s.Engine.Exclusive(func() { s.Engine.Conf.LongFrom = longFrom })
	return s
}

// fillLong makes values in which pairs of elements belong together: see shift.
func fillLong(c *servertest.Client) {
	for from := 0; from < longPairs; from += 100 {
		hash, set, zset, list := []string{"HSET", "hash"}, []string{"SADD", "set"}, []string{"ZADD", "zset"}, []string{"RPUSH", "list"}
		keys := []string{"MSET"}
		for i := from; i < from+100; i++ {
			a, b := fmt.Sprint("p:", i, ":0"), fmt.Sprint("p:", i, ":1")
			hash = append(hash, a, "1000", b, "1000")
			zset = append(zset, "1000", a, "1000", b)
			set = append(set, a)
			list = append(list, strconv.Itoa(i))
			keys = append(keys, a, "v")
		}
		for _, args := range [][]string{hash, set, zset, list, keys} {
			c.Do(args...)
		}
	}
	equal := []string{"RPUSH", "equal"}
	for i := range 3 * longFrom {
		equal = append(equal, "e", strconv.Itoa(i))
	}
	c.Do(equal...)
	c.Do("XGROUP", "CREATE", "stream", "g", "0", "MKSTREAM")
	for i := range 2 * longFrom {
		c.Do("XADD", "stream", "*", "field", strconv.Itoa(i))
	}
	c.Do("XREADGROUP", "GROUP", "g", "c", "STREAMS", "stream", ">")
}

// shift changes every value in one transaction so that what checkLong looks at stays: sums, one of each pair, a turning
// list.
func shift(c *servertest.Client, r *rand.Rand) {
	a, b := fmt.Sprint("p:", r.IntN(longPairs), ":0"), fmt.Sprint("p:", r.IntN(longPairs), ":1")
	by := r.IntN(40)
	i := r.IntN(longPairs)
	x, y := fmt.Sprint("p:", i, ":0"), fmt.Sprint("p:", i, ":1")
	for _, args := range [][]string{
		{"MULTI"},
		{"HINCRBY", "hash", a, strconv.Itoa(by)}, {"HINCRBY", "hash", b, strconv.Itoa(-by)},
		{"ZINCRBY", "zset", strconv.Itoa(by), a}, {"ZINCRBY", "zset", strconv.Itoa(-by), b},
		{"EVAL", `local x,y=KEYS[1],KEYS[2]; if redis.call('SREM','set',x)==0 then x,y=y,x; redis.call('SREM','set',x) end
			redis.call('SADD','set',y); return 1`, "2", x, y},
		{"EVAL", `local x,y=KEYS[1],KEYS[2]; if redis.call('EXISTS',x)==0 then x,y=y,x end; redis.call('RENAME',x,y); return 1`, "2", x, y},
		{"RPOPLPUSH", "list", "list"},
		{"EXEC"},
	} {
		c.Do(args...)
	}
}

// checkLong reads one value and says what is torn.
func checkLong(c *servertest.Client, what int) string {
	switch what {
	case 0:
		return sums(c.Do("HGETALL", "hash").Elems, "HGETALL")
	case 1:
		return sums(c.Do("ZRANGE", "zset", "0", "-1", "WITHSCORES").Elems, "ZRANGE")
	case 2:
		list := c.Do("ZREVRANGE", "zset", "0", "-1", "WITHSCORES").Elems
		for i := 3; i < len(list); i += 2 {
			if score(list[i]) > score(list[i-2]) {
				return fmt.Sprintf("ZREVRANGE: the scores at %d are out of order", i/2)
			}
		}
		return sums(list, "ZREVRANGE")
	case 3:
		return pairs(c.Do("SMEMBERS", "set").Elems, "SMEMBERS")
	case 4:
		return pairs(c.Do("KEYS", "p:*").Elems, "KEYS")
	}
	if what >= 13 {
		return checkNamed(c, what)
	}
	switch what {
	case 12:
		list := c.Do("SORT_RO", "list", "BY", "hash", "GET", "p:*:0", "GET", "#", "GET", "p:*:1").Elems
		for i := 0; i < len(list); i += 3 {
			if list[i].Null == list[i+2].Null {
				return fmt.Sprintf("SORT_RO GET: not one of the keys of %s", list[i+1].Str)
			}
		}
		if len(list) != 3*longPairs {
			return fmt.Sprintf("SORT_RO GET: %d values", len(list))
		}
		return ""
	case 8:
		return sums(c.Do("ZUNION", "2", "zset", "missing", "WITHSCORES").Elems, "ZUNION")
	case 9:
		return sums(c.Do("ZINTER", "2", "zset", "zset", "WEIGHTS", "1", "0", "WITHSCORES").Elems, "ZINTER")
	case 10:
		if n := c.Do("SINTERCARD", "2", "set", "set").Int; n != longPairs {
			return fmt.Sprint("SINTERCARD: ", n)
		}
		return ""
	case 11:
		list := c.Do("GEOSEARCH", "zset", "FROMLONLAT", "-179.99", "-85.05", "BYRADIUS", "1000", "km", "WITHHASH").Elems
		var flat []resp.Value
		for _, v := range list {
			flat = append(flat, v.Elems[0], resp.Value{Str: []byte(strconv.FormatInt(v.Elems[1].Int, 10))})
		}
		return sums(flat, "GEOSEARCH")
	}
	if what == 5 {
		return pairs(c.Do("SUNION", "set", "missing").Elems, "SUNION")
	}
	if what == 6 {
		list := c.Do("SORT_RO", "set", "ALPHA").Elems
		for i := 1; i < len(list); i++ {
			if string(list[i-1].Str) >= string(list[i].Str) {
				return fmt.Sprintf("SORT_RO: %s before %s", list[i-1].Str, list[i].Str)
			}
		}
		return pairs(list, "SORT_RO")
	}
	list := c.Do("LRANGE", "list", "0", "-1").Elems
	for i := range list {
		if before := list[(i+len(list)-1)%len(list)]; (score(before)+1)%longPairs != score(list[i]) {
			return fmt.Sprintf("LRANGE: %s follows %s", list[i].Str, before.Str)
		}
	}
	if len(list) != longPairs {
		return fmt.Sprintf("LRANGE: %d elements", len(list))
	}
	return ""
}

// checkNamed is checkLong for reads that name what they read.
func checkNamed(c *servertest.Client, what int) string {
	var names []string
	for i := range longPairs {
		names = append(names, fmt.Sprint("p:", i, ":0"), fmt.Sprint("p:", i, ":1"))
	}
	ask := func(args ...string) resp.Value { return c.Do(append(args, names...)...) }
	switch what {
	case 13, 14:
		args := []string{"HMGET", "hash"}
		if what == 14 {
			args = []string{"ZMSCORE", "zset"}
		}
		var flat []resp.Value
		for i, v := range ask(args...).Elems {
			flat = append(flat, resp.Value{Str: []byte(names[i])}, v)
		}
		return sums(flat, args[0])
	case 15, 16:
		args := []string{"SMISMEMBER", "set"}
		if what == 16 {
			args = []string{"MGET"}
		}
		var there []resp.Value
		for i, v := range ask(args...).Elems {
			if v.Int == 1 || string(v.Str) == "v" {
				there = append(there, resp.Value{Str: []byte(names[i])})
			}
		}
		return pairs(there, args[0])
	}
	name := "EXISTS"
	if what == 18 {
		name = "TOUCH"
	}
	if n := ask(name).Int; n != longPairs {
		return fmt.Sprintf("%s: %d keys", name, n)
	}
	return ""
}

func score(v resp.Value) int {
	n, _ := strconv.Atoi(string(v.Str))
	return n
}

func sums(list []resp.Value, what string) string {
	sum := 0
	for i := 1; i < len(list); i += 2 {
		sum += score(list[i])
	}
	if len(list) != 4*longPairs || sum != 2000*longPairs {
		return fmt.Sprintf("%s: %d elements, the sum is %d", what, len(list)/2, sum)
	}
	return ""
}

func pairs(list []resp.Value, what string) string {
	var names []string
	for _, v := range list {
		names = append(names, strings.TrimSuffix(strings.TrimSuffix(string(v.Str), ":0"), ":1"))
	}
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != longPairs || len(list) != longPairs {
		return fmt.Sprintf("%s: %d members of %d pairs", what, len(list), n)
	}
	return ""
}

// TestLongReadsSeeOneInstant: what a long read gives is the data of one instant, while transactions change it.
func TestLongReadsSeeOneInstant(t *testing.T) {
	s := startLong(t)
	fillLong(s.Client)
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for i := range 2 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			c, r := servertest.Dial(t, s.Port(), ""), rand.New(rand.NewPCG(uint64(i), 1))
			defer c.Close()
			for {
				select {
				case <-stop:
					return
				default:
					shift(c, r)
				}
			}
		}()
	}
	read := func(from, to int) {
		for what := from; what < to; what++ {
			readers.Add(1)
			go func() {
				defer readers.Done()
				c := servertest.Dial(t, s.Port(), "")
				defer c.Close()
				for range 60 {
					if torn := checkLong(c, what); torn != "" {
						t.Error(torn)
						return
					}
				}
			}()
		}
		readers.Wait()
	}
	read(0, 13)
	read(13, 19) // by themselves: they are done over when what they read changes
	close(stop)
	writers.Wait()
	if begun, _ := s.Engine.LongReads(); begun < 19*60 {
		t.Errorf("only %d reads went on after their handlers", begun)
	}
	quiet(t, s)
}

// quiet waits until no long read is under way and checks that none left anything pinned.
func quiet(t *testing.T, s *servertest.Server) {
	t.Helper()
	servertest.Await(t, "the long reads to end", func() bool { _, now := s.Engine.LongReads(); return now == 0 })
	s.Engine.Exclusive(func() {
		if n := s.Engine.Store().Cuts(); n > 0 {
			t.Errorf("%d cuts were left", n)
		}
		for s.Engine.Store().Reclaim(1 << 20) {
		}
	})
	s.Must("FLUSHALL")
	s.Engine.Exclusive(func() {
		for s.Engine.Store().Reclaim(1 << 20) {
		}
		if used := s.Engine.Store().UsedBytes(); used > 0 {
			t.Errorf("%d bytes are used by an empty store", used)
		}
	})
}

// TestLongReadsThroughUpheaval: values go in every way while they are read, and readers hang up in the middle.
func TestLongReadsThroughUpheaval(t *testing.T) {
	s := startLong(t)
	fillLong(s.Client)
	var all sync.WaitGroup
	for i := range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for range 150 {
				hangUp(t, s.Port(), r)
			}
		}()
	}
	all.Add(1)
	go func() {
		defer all.Done()
		c, r := servertest.Dial(t, s.Port(), ""), rand.New(rand.NewPCG(9, 9))
		defer c.Close()
		for range 60 {
			switch r.IntN(8) {
			case 6:
				c.Do("XACK", "stream", "g", string(c.Do("XADD", "stream", "*", "a", "b").Str))
				c.Do("XGROUP", "DELCONSUMER", "stream", "g", "c")
				c.Do("XTRIM", "stream", "MAXLEN", "30")
			case 7:
				c.Do("XGROUP", "DESTROY", "stream", "g")
				c.Do("UNLINK", "stream")
			case 0:
				c.Do("FLUSHALL")
			case 1:
				c.Do("UNLINK", "hash", "zset", "list", "set")
			case 2:
				for _, key := range []string{"hash", "zset", "list", "set"} {
					c.Do("PEXPIRE", key, "1")
				}
			case 3:
				c.Do("SWAPDB", "0", "1")
			case 4:
				c.Do("RENAME", "zset", "list")
			}
			fillLong(c)
		}
	}()
	all.Wait()
	if begun, _ := s.Engine.LongReads(); begun < 100 {
		t.Errorf("only %d reads went on after their handlers", begun)
	}
	quiet(t, s)
}

// hangUp sends a few long reads and perhaps leaves without the answers.
func hangUp(t *testing.T, port int, r *rand.Rand) {
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	var many []string
	for i := range 3 * longFrom {
		many = append(many, fmt.Sprint("p:", i, ":0"))
	}
	asked := [][]string{{"HGETALL", "hash"}, {"KEYS", "*"}, {"ZRANGE", "zset", "0", "-1"}, {"LRANGE", "list", "0", "-1"}, {"SMEMBERS", "set"},
		{"XREAD", "STREAMS", "stream", "none", "stream", "0", "0", "5"}, {"XPENDING", "stream", "g", "-", "+", "100000"}, {"XPENDING", "stream", "g", "-", "+", "100000", "c"}, {"DUMP", "stream"},
		{"LPOS", "list", "7", "COUNT", "0"}, {"SRANDMEMBER", "set", "-5000"}, {"HRANDFIELD", "hash", "2000", "WITHVALUES"}, {"ZRANDMEMBER", "zset", "200"}, {"SPOP", "set", "200"}, append([]string{"HMGET", "hash"}, many...), append([]string{"MGET"}, many...), {"LREM", "list", "0", "7"}, {"ZPOPMIN", "zset", "300"}}
	n := 1 + r.IntN(3)
	for range n {
		if _, err := conn.Write(resp.AppendCommandStrings(nil, asked[r.IntN(len(asked))]...)); err != nil {
			t.Error(err)
			return
		}
	}
	if r.IntN(2) == 0 {
		return
	}
	in := resp.NewReader(conn)
	for range n {
		if _, err := in.Read(); err != nil {
			t.Errorf("a reply is broken: %v", err)
			return
		}
	}
}

// TestLongReadsInOrder: what a client sends behind a long read waits for it, and other clients do not.
func TestLongReadsInOrder(t *testing.T) {
	s := startLong(t)
	fillLong(s.Client)
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var all []byte
	for _, args := range [][]string{
		{"SET", "x", "1"}, {"KEYS", "p:*"}, {"INCR", "x"}, {"HKEYS", "hash"}, {"INCR", "x"}, {"CLIENT", "REPLY", "SKIP"}, {"HKEYS", "hash"}, {"INCR", "x"},
		{"MULTI"}, {"HVALS", "hash"}, {"INCR", "x"}, {"EXEC"}, {"CLIENT", "UNBLOCK", "1"}, {"INCR", "x"},
	} {
		all = append(all, resp.AppendCommandStrings(nil, args...)...)
	}
	if _, err := conn.Write(all); err != nil {
		t.Fatal(err)
	}
	in := resp.NewReader(conn)
	for i, want := range []string{"OK", "*1500", "2", "*3000", "3", "4", "OK", "QUEUED", "QUEUED", "*2", "0", "6"} {
		v, err := in.Read()
		got := string(v.Str)
		if v.Kind == ':' {
			got = v.String()
		}
		if v.Elems != nil {
			got = fmt.Sprint("*", len(v.Elems))
		}
		if err != nil || strings.TrimPrefix(got, "(integer) ") != want {
			t.Fatalf("reply %d: want %s, got %s %v", i, want, got, err)
		}
	}
	quiet(t, s)
}
