package abuse

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestLongUnionsAreOfOneInstant: HyperLogLogs that change their names all the time, of which each has one of two, are all in
// every union, and replicas make the same of it. Others, which add nothing, expire meanwhile.
func TestLongUnionsAreOfOneInstant(t *testing.T) {
	const n, times = 40, 60
	s, replica := startLong(t), startLong(t)
	for _, x := range []*servertest.Server{s, replica} {
		x.Must("CONFIG", "SET", "hll-sparse-max-bytes", "0") // a union of dense ones takes many holds
	}
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(s.Port()))
	servertest.AwaitLink(t, replica)
	names, elements := []string{}, []string{"PFADD", "all"}
	for i := range n {
		add := []string{"PFADD", fmt.Sprint("h:", i, ":0")}
		for j := range 20 {
			add = append(add, fmt.Sprint("element:", i, ":", j))
		}
		s.Must(add...)
		elements = append(elements, add[2:]...)
	}
	for k := range 2 { // far from each other, so that a name may change from one that comes to one that has been
		for i := range n {
			names = append(names, fmt.Sprint("h:", i, ":", k), fmt.Sprint("brief:", i))
		}
	}
	s.Must(elements...)
	want := s.Do("PFCOUNT", "all").Int
	over := make(chan struct{})
	var readers, writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			c := servertest.Dial(t, s.Port(), "")
			defer c.Close()
			r := rand.New(rand.NewPCG(7, uint64(w)))
			at := [n]int{}
			for !closed(over) {
				i := r.IntN(n/2)*2 + w
				c.Do("RENAME", fmt.Sprint("h:", i, ":", at[i]), fmt.Sprint("h:", i, ":", 1-at[i]))
				at[i] = 1 - at[i]
				c.Do("PFADD", fmt.Sprint("brief:", i), fmt.Sprint("element:", i, ":3"))
				c.Do("PEXPIRE", fmt.Sprint("brief:", i), "2")
			}
		})
	}
	for r := range 2 {
		readers.Go(func() {
			c := servertest.Dial(t, s.Port(), "")
			defer c.Close()
			to := fmt.Sprint("to:", r)
			for range times {
				if got := c.Do(append([]string{"PFCOUNT"}, names...)...).Int; got != want {
					t.Errorf("PFCOUNT gives %d, want %d", got, want)
				}
				c.Do("DEL", to)
				c.Do(append([]string{"PFMERGE", to}, names...)...)
				if got := c.Do("PFCOUNT", to).Int; got != want {
					t.Errorf("PFCOUNT of what was merged gives %d, want %d", got, want)
				}
			}
		})
	}
	readers.Wait()
	close(over)
	writers.Wait()
	if begun, _ := s.Engine.LongReads(); begun < times {
		t.Errorf("only %d commands went on after their handlers", begun)
	}
	servertest.MustAgree(t, s, replica)
	replica.Must("REPLICAOF", "NO", "ONE")
	quiet(t, s)
	quiet(t, replica)
}
