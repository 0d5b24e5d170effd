package transport

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
)

// cacher is a client that caches what it reads, as client libraries do.
type cacher struct {
	*client
	cache map[string]string
}

// take handles what comes next; false when it was the end mark.
func (c *cacher) take(asked *[]string) (bool, error) {
	v, err := c.r.Read()
	switch {
	case err != nil:
		return false, err
	case v.Kind == '>' && string(v.Elems[0].Str) == "invalidate":
		for _, key := range v.Elems[1].Elems {
			delete(c.cache, string(key.Str))
		}
		if v.Elems[1].Null {
			clear(c.cache)
		}
		return true, nil
	case v.Kind == '+':
		return false, nil
	}
	c.cache[(*asked)[0]] = v.String()
	*asked = (*asked)[1:]
	return true, nil
}

// round reads some keys in one pipeline and waits for the answers.
func (c *cacher) round(rnd *rand.Rand, keys []string) error {
	var asked []string
	var out strings.Builder
	for range rnd.IntN(8) {
		key := keys[rnd.IntN(len(keys))]
		asked = append(asked, key)
		out.Write(resp.AppendCommandStrings(nil, "GET", key))
	}
	c.raw(out.String() + "PING\r\n")
	for {
		if more, err := c.take(&asked); err != nil || !more {
			return err
		}
	}
}

// Whoever caches what it reads, and forgets what it is told to, never keeps an old value: on several loops, with writers, keys
// that expire, transactions, a flush now and then, and a table that is too small.
func TestCachesAreNeverStale(t *testing.T) {
	const seed = 7
	r := newRig(t, rigOptions{loops: 3, config: "tracking-table-max-keys 18\n"})
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("k%d", i))
	}
	var cachers []*cacher
	for range 4 {
		c := &cacher{client: dial(t, r.addr), cache: map[string]string{}}
		c.do("HELLO", "3")
		want(t, c.do("CLIENT", "TRACKING", "on"), "OK")
		cachers = append(cachers, c)
	}
	writers := []*client{dial(t, r.addr), dial(t, r.addr)}
	reader := dial(t, r.addr)
	for round := range 200 {
		var all sync.WaitGroup
		for i, c := range cachers {
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, uint64(100*round+i)))
				for range 12 {
					if err := c.round(rnd, keys); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for i, w := range writers {
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, uint64(100*round+50+i)))
				for step := range 25 {
					key, value := keys[rnd.IntN(len(keys))], fmt.Sprintf("%d.%d.%d", round, i, step)
					switch n := rnd.IntN(200); {
					case n < 1:
						w.do("FLUSHALL")
					case n < 20:
						w.do("DEL", key)
					case n < 60:
						w.do("SET", key, value, "PX", "2")
					case n < 80:
						w.do("MULTI")
						w.do("SET", key, "x")
						w.do("SET", key, value)
						w.do("EXEC")
					default:
						w.do("SET", key, value)
					}
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
		is := map[string]string{}
		for _, key := range keys {
			is[key] = reader.do("GET", key)
		}
		for i, c := range cachers {
			c.raw("PING\r\n")
			for more := true; more; {
				var err error
				if more, err = c.take(nil); err != nil {
					t.Fatal(err)
				}
			}
			for key, value := range c.cache {
				if value != is[key] {
					t.Fatalf("round %d: client %d believes that %s is %s, and it is %s", round, i, key, value, is[key])
				}
			}
		}
	}
}
