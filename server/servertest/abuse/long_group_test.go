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

const (
	groupEntries = 3000
	least        = 25 // times that everybody does something, however soon the others are done
)

// produce adds entries from one on, many at a time.
func produce(c *servertest.Client, from, to int) {
	for i := from; i < to; i++ {
		if i%500 == 0 {
			c.Do("MULTI")
		}
		c.Do("XADD", "events", fmt.Sprint(i+1, "-1"), "field", strconv.Itoa(i))
		if i%500 == 499 {
			c.Do("EXEC")
		}
	}
}

// read reads what is new until a reader finds nothing more, and tells what it got.
func read(c *servertest.Client, name string, over <-chan struct{}, got func(id string)) {
	for {
		last := closed(over)
		v := c.Do("XREADGROUP", "GROUP", "g", name, "STREAMS", "events", ">")
		if v.Null && last {
			return
		}
		for _, s := range v.Elems {
			for _, e := range s.Elems[1].Elems {
				got(string(e.Elems[0].Str))
			}
		}
	}
}

// claimOf is XCLAIM of 300 entries from one on.
func claimOf(consumer string, from int) []string {
	words := []string{"XCLAIM", "events", "g", consumer, "0"}
	for i := range 300 {
		words = append(words, fmt.Sprint(from+i+1, "-1"))
	}
	return words
}

func closed(over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	default:
		return false
	}
}

// TestLongGroupReads: whoever reads a group in pieces, beside others who read, acknowledge, claim and hang up, every new entry
// comes to one of them, once, and replicas have the same groups.
func TestLongGroupReads(t *testing.T) {
	s, replica := startLong(t), startLong(t)
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(s.Port()))
	servertest.AwaitLink(t, replica)
	s.Must("XGROUP", "CREATE", "events", "g", "0", "MKSTREAM")
	produce(s.Client, 0, groupEntries/2)
	over, times, acked := make(chan struct{}), map[string]int{}, map[string]bool{}
	for _, e := range s.Do("XREADGROUP", "GROUP", "g", "first", "COUNT", strconv.Itoa(groupEntries/4), "STREAMS", "events", ">").Elems[0].Elems[1].Elems {
		times[string(e.Elems[0].Str)]++
	}
	var mu sync.Mutex
	var readers, others, all sync.WaitGroup
	together := func(group *sync.WaitGroup, fn func(c *servertest.Client, r *rand.Rand)) {
		group.Add(1)
		go func() {
			defer group.Done()
			c := servertest.Dial(t, s.Port(), "")
			defer c.Close()
			fn(c, rand.New(rand.NewPCG(5, uint64(groupEntries))))
		}()
	}
	together(&all, func(c *servertest.Client, _ *rand.Rand) {
		produce(c, groupEntries/2, groupEntries)
		close(over)
	})
	for i := range 3 {
		together(&readers, func(c *servertest.Client, _ *rand.Rand) {
			read(c, fmt.Sprint("reader", i), over, func(id string) {
				mu.Lock()
				defer mu.Unlock()
				times[id]++
			})
		})
	}
	together(&others, func(c *servertest.Client, r *rand.Rand) {
		for i := 0; i < 100 && (i < least || !closed(over)); i++ {
			if id := fmt.Sprint(1+r.IntN(groupEntries), "-1"); c.Do("XACK", "events", "g", id).Int == 1 {
				acked[id] = true
			}
			c.Do("XAUTOCLAIM", "events", "g", "claimer", "0", fmt.Sprint(r.IntN(groupEntries)), "COUNT", "300")
			c.Do(claimOf("claimer", r.IntN(groupEntries))...)
		}
	})
	together(&others, func(c *servertest.Client, r *rand.Rand) {
		for i := 0; i < 30 && (i < least || !closed(over)); i++ { // whoever hangs up keeps what became pending
			w := dial(t, s.Port())
			w.say(string(resp.AppendCommandStrings(nil, "XREADGROUP", "GROUP", "g", "lost", "COUNT", "200", "STREAMS", "events", ">")))
			w.say(string(resp.AppendCommandStrings(nil, "XAUTOCLAIM", "events", "g", "lost", "0", "0", "COUNT", "100")))
			w.say(string(resp.AppendCommandStrings(nil, claimOf("lost", i*10)...)))
			w.Close()
			c.Do("XREADGROUP", "GROUP", "other", "x", "STREAMS", "events", "0")
		}
	})
	all.Wait()
	readers.Wait()
	others.Wait()
	servertest.Await(t, "the long commands to end", func() bool { _, now := s.Engine.LongReads(); return now == 0 })
	for id, n := range times {
		if n != 1 {
			t.Fatalf("entry %s was delivered as a new one %d times", id, n)
		}
	}
	for _, p := range s.Do("XPENDING", "events", "g", "-", "+", strconv.Itoa(groupEntries)).Elems {
		times[string(p.Elems[0].Str)]++
	}
	for id := range acked { // some of them were delivered to who hung up
		times[id]++
	}
	if lost := groupEntries - len(times); lost > 0 {
		t.Errorf("%d entries were never delivered", lost)
	}
	if begun, _ := s.Engine.LongReads(); begun < 50 {
		t.Errorf("only %d commands went on after their handlers", begun)
	}
	servertest.MustAgree(t, s, replica)
	replica.Must("REPLICAOF", "NO", "ONE")
	quiet(t, s)
	quiet(t, replica)
}
