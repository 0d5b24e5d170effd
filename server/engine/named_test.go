package engine

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// settle gives the reply of an item that a lane ran, which perhaps went on.
func settle(l *Lane, c *Client, item *Item) string {
	if item.Outcome != Waiting {
		return string(l.Out.Bytes())
	}
	for o := c.Owner.(*fakeOwner); o.got() == ""; {
		time.Sleep(100 * time.Microsecond)
	}
	return c.Owner.(*fakeOwner).got()
}

// Several lanes may begin, under the shared lock, what watches keys.
func TestWatchedReadsBeginTogether(t *testing.T) {
	b := newBench(t)
	b.e.Conf.LongFrom = 10
	b.finish(b.client(), "SETRANGE string 5000 x")
	b.finish(b.client(), "MSET "+repeat("key:%d v", 50))
	lines := []string{"BITCOUNT string", "MGET " + repeat("key:%d", 50), "EXISTS " + repeat("key:%d", 50)}
	var all sync.WaitGroup
	for i := range 4 {
		lane, items := b.e.NewLane(), [][]Item{}
		for _, line := range lines {
			items = append(items, b.items(b.client(), line))
		}
		all.Go(func() {
			for j := range 100 {
				it := items[(i+j)%len(lines)]
				c := &Client{Proto: 2, Owner: &fakeOwner{}}
				it[0].Client, it[0].Outcome = c, Pending
				lane.Out.Reset()
				lane.Run(it)
				if reply := settle(lane, c, &it[0]); reply == "" || reply[0] == '-' {
					t.Errorf("the reply is %.100q", reply)
				}
			}
		})
	}
	all.Wait()
}

// Reads that name very many keys count them as others do, and are not told of what changes before they are over.
func TestNamedReadsCount(t *testing.T) {
	b := newBench(t)
	b.e.Conf.LongFrom = 10
	b.finish(b.client(), "MSET "+repeat("key:%d v", 50))
	b.finish(b.client(), "HSET hash "+repeat("f%d v", 50))
	for i := range 50 {
		b.finish(b.client(), fmt.Sprintf("PFADD hll:%d a b", i+1))
	}
	for line, hits := range map[string]int64{
		"MGET " + repeat("key:%d", 60): 50, "EXISTS " + repeat("key:%d", 60): 50, "TOUCH " + repeat("key:%d", 60): 50,
		"PFCOUNT " + repeat("hll:%d", 60): 50, "PFMERGE " + repeat("hll:%d", 60): 50,
		"HMGET hash " + repeat("f%d", 60): 1, "HMGET nothing " + repeat("f%d", 60): 0,
	} {
		before := b.e.Totals()
		begun, _ := b.e.LongReads()
		reply := b.finish(b.client(), line)
		after := b.e.Totals()
		misses := int64(0)
		switch {
		case hits == 50:
			misses = 10
		case hits == 0:
			misses = 1
		}
		if h, m := after.Hits-before.Hits, after.Misses-before.Misses; h != hits || m != misses {
			t.Errorf("%.20s: %d hits, %d misses, want %d, %d", line, h, m, hits, misses)
		}
		if went, _ := b.e.LongReads(); (went > begun) != (hits > 0) {
			t.Errorf("%.20s went on: %v", line, went > begun)
		}
		if want := fmt.Sprintf(":%d\r\n", hits); hits == 50 && !strings.HasPrefix(line, "MGET") && !strings.HasPrefix(line, "PF") && reply != want {
			t.Errorf("%.20s: %q, want %q", line, reply, want)
		}
	}
}
