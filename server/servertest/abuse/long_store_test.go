package abuse

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
)

// stored makes one result of what shift changes and says what is torn. Each caller has keys of its own for results.
func stored(c *servertest.Client, what int, to string) string {
	switch what {
	case 0:
		c.Do("SUNIONSTORE", to, "set", "missing")
		return pairs(c.Do("SMEMBERS", to).Elems, "SUNIONSTORE")
	case 1:
		c.Do("ZUNIONSTORE", to, "2", "zset", "missing")
		return sums(c.Do("ZRANGE", to, "0", "-1", "WITHSCORES").Elems, "ZUNIONSTORE")
	case 2:
		c.Do("ZRANGESTORE", to, "zset", "0", "-1")
		return sums(c.Do("ZRANGE", to, "0", "-1", "WITHSCORES").Elems, "ZRANGESTORE")
	case 3:
		c.Do("SINTERSTORE", to, "set", "set")
		return pairs(c.Do("SMEMBERS", to).Elems, "SINTERSTORE")
	case 5:
		c.Do("COPY", "hash", to, "REPLACE")
		return sums(c.Do("HGETALL", to).Elems, "COPY")
	case 6:
		c.Do("RESTORE", to, "0", string(c.Do("DUMP", "set").Str), "REPLACE")
		return pairs(c.Do("SMEMBERS", to).Elems, "DUMP and RESTORE")
	case 7:
		c.Do("RESTORE", to, "0", string(c.Do("DUMP", "zset").Str), "REPLACE")
		return sums(c.Do("ZRANGE", to, "0", "-1", "WITHSCORES").Elems, "DUMP and RESTORE")
	case 9:
		c.Do("SORT", "list", "BY", "nosort", "GET", "p:*:0", "GET", "#", "GET", "p:*:1", "STORE", to)
		list := c.Do("LRANGE", to, "0", "-1").Elems
		for i := 0; i < len(list); i += 3 {
			if (len(list[i].Str) == 0) == (len(list[i+2].Str) == 0) {
				return fmt.Sprintf("SORT STORE: not one of the keys of %s", list[i+1].Str)
			}
		}
		if len(list) != 3*longPairs {
			return fmt.Sprintf("SORT STORE: %d values", len(list))
		}
		return ""
	case 4:
		c.Do("SDIFFSTORE", to, "set", "missing")
		return pairs(c.Do("SMEMBERS", to).Elems, "SDIFFSTORE")
	}
	c.Do("GEOSEARCHSTORE", to, "zset", "FROMLONLAT", "-179.99", "-85.05", "BYRADIUS", "1000", "km")
	return sums(c.Do("ZRANGE", to, "0", "-1", "WITHSCORES").Elems, "GEOSEARCHSTORE")
}

const storeKinds = 10

// TestLongStoresAreOfOneInstant: what is stored is what the sources were at one place of the log, whoever writes meanwhile
// and whoever syncs; so replicas that execute the same command, in the same way, have the same.
func TestLongStoresAreOfOneInstant(t *testing.T) {
	s, replica := startLong(t), startLong(t)
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(s.Port()))
	servertest.AwaitLink(t, replica)
	fillLong(s.Client)
	stop := make(chan struct{})
	var others, stores sync.WaitGroup
	others.Add(2)
	go func() { // often enough that a result has to be made anew, and seldom enough that some need not
		defer others.Done()
		c, r := servertest.Dial(t, s.Port(), ""), rand.New(rand.NewPCG(3, 1))
		defer c.Close()
		for more := true; more; {
			for range r.IntN(30) {
				c.Do("PING")
			}
			shift(c, r)
			select {
			case <-stop:
				more = false
			default:
			}
		}
	}()
	go func() {
		defer others.Done()
		for range 3 {
			late := servertest.Start(t)
			late.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(s.Port()))
			servertest.AwaitLink(t, late)
			late.Close()
		}
	}()
	for what := range storeKinds {
		stores.Add(1)
		go func() {
			defer stores.Done()
			c := servertest.Dial(t, s.Port(), "")
			defer c.Close()
			for i := range 40 {
				if torn := stored(c, what, fmt.Sprint("to:", what, ":", i%3)); torn != "" {
					t.Error(torn)
					return
				}
			}
		}()
	}
	stores.Wait()
	close(stop)
	others.Wait()
	servertest.MustAgree(t, s, replica)
	if begun, _ := replica.Engine.LongReads(); begun < storeKinds*40/2 {
		t.Errorf("only %d commands went on after their handlers on the replica", begun)
	}
	replica.Must("REPLICAOF", "NO", "ONE")
	quiet(t, s)
	quiet(t, replica)
}

// TestLongStoresThroughUpheaval: keys and databases go while results are made of them, clients hang up, the replica is
// promoted and comes back.
func TestLongStoresThroughUpheaval(t *testing.T) {
	s, replica := startLong(t), startLong(t)
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(s.Port()))
	servertest.AwaitLink(t, replica)
	fillLong(s.Client)
	stop := make(chan struct{})
	var others, stores sync.WaitGroup
	for what := range storeKinds {
		stores.Add(1)
		go func() {
			defer stores.Done()
			r := rand.New(rand.NewPCG(uint64(what), 4))
			for range 40 {
				w := dial(t, s.Port())
				w.say(storeRequest(r))
				if r.IntN(2) == 0 {
					w.hear("\r\n")
				}
				w.Close()
			}
		}()
	}
	others.Add(2)
	go func() {
		defer others.Done()
		c, r := servertest.Dial(t, s.Port(), ""), rand.New(rand.NewPCG(9, 9))
		defer c.Close()
		for more := true; more; {
			switch r.IntN(7) {
			case 0:
				c.Do("FLUSHALL")
			case 1:
				c.Do("DEL", "zset", "set")
			case 2:
				c.Do("PEXPIRE", "set", "1")
			case 3:
				c.Do("SWAPDB", "0", "1")
			case 4:
				c.Do("RENAME", "zset", "set")
			case 5:
				c.Do("CLIENT", "PAUSE", "20", "WRITE")
			}
			fillLong(c)
			select {
			case <-stop:
				more = false
			default:
			}
		}
	}()
	go func() {
		defer others.Done()
		c := servertest.Dial(t, replica.Port(), "")
		defer c.Close()
		for range 4 {
			c.Do("REPLICAOF", "NO", "ONE")
			c.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(s.Port()))
			servertest.AwaitLink(t, replica)
		}
	}()
	stores.Wait()
	close(stop)
	others.Wait()
	servertest.AwaitLink(t, replica)
	servertest.MustAgree(t, s, replica)
	replica.Must("REPLICAOF", "NO", "ONE")
	quiet(t, s)
	quiet(t, replica)
}

func storeRequest(r *rand.Rand) string {
	requests := [][]string{
		{"SUNIONSTORE", "to", "set", "missing"}, {"SUNIONSTORE", "set", "set", "to"}, {"ZUNIONSTORE", "zset", "1", "zset"}, {"ZINTERSTORE", "to2", "2", "zset", "set"},
		{"COPY", "hash", "to6"}, {"COPY", "zset", "to", "REPLACE"}, {"COPY", "hash", "set", "REPLACE"},
		{"ZREMRANGEBYRANK", "zset", "0", "1200"}, {"ZREMRANGEBYSCORE", "zset", "900", "1000"}, {"ZPOPMAX", "zset", "1000"}, {"SPOP", "set", "500"}, {"SPOP", "to4", "1300"},
		{"LPOP", "list", "700"}, {"RPOP", "list", "99"}, {"LREM", "list", "0", "77"}, {"LREM", "list", "-1", "3"}, {"LINSERT", "list", "AFTER", "1400", "77"}, {"COPY", "set", "to7", "DB", "1"},
		{"LREM", "equal", "0", "e"}, {"LREM", "equal", "-200", "e"}, {"LPOS", "list", "77", "COUNT", "0"},
		{"ZRANGESTORE", "to3", "zset", "5", "-5"}, {"SDIFFSTORE", "to4", "set", "to"}, {"ZUNIONSTORE", "to", "2", "to", "to2"},
		{"COPY", "stream", "to8", "REPLACE"}, {"COPY", "stream", "to9", "DB", "1", "REPLACE"}, {"XREADGROUP", "GROUP", "g", "c2", "STREAMS", "stream", ">"}, {"XAUTOCLAIM", "stream", "g", "c2", "0", "0", "COUNT", "500"}, {"XINFO", "STREAM", "stream", "FULL", "COUNT", "0"},
		{"SORT", "list", "BY", "p:*:0", "ALPHA", "GET", "hash->p:*:1", "GET", "#", "STORE", "to10"}, {"SORT", "list", "BY", "p:*:0", "STORE", "list"},
		{"GEOSEARCHSTORE", "to5", "zset", "FROMLONLAT", "-179.99", "-85.05", "BYRADIUS", "1000", "km"},
	}
	return string(resp.AppendCommandStrings(nil, requests[r.IntN(len(requests))]...))
}
