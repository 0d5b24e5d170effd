package abuse

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestLongBitsAreOfOneInstant: transactions move bits of a long string, so that their number stays, and keep one of two
// places set, of which the first is near the end; what is read off the lock is of one instant, on a replica too.
func TestLongBitsAreOfOneInstant(t *testing.T) {
	s, replica := startLong(t), startLong(t)
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(s.Port()))
	servertest.AwaitLink(t, replica)
	const (
		size = 2 << 20
		ones = 1000
		last = size*8 - 1
	)
	s.Client.Do("SETRANGE", "bits", strconv.Itoa(size-1), "\x01")
	for i := range ones - 1 {
		s.Client.Do("SETBIT", "bits", strconv.Itoa(8*(size/2+i)), "1")
	}
	s.Client.Do("SETRANGE", "tail", strconv.Itoa(size-1), "\x01")
	servertest.Await(t, "the replica to have it", func() bool { return replica.Client.Do("BITCOUNT", "tail").Int == 1 })
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	writers.Add(1)
	go func() {
		defer writers.Done()
		c, r := servertest.Dial(t, s.Port(), ""), rand.New(rand.NewPCG(1, 1))
		defer c.Close()
		at, end := make([]int, 50), last
		for i := range at {
			at[i] = 8 * (size/2 + i)
		}
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range r.IntN(100) {
				c.Do("PING")
			}
			i, to := r.IntN(len(at)), 8*r.IntN(size)+1+r.IntN(6)
			if c.Do("GETBIT", "bits", strconv.Itoa(to)).Int == 1 {
				continue
			}
			other := last - 1 - r.IntN(100)
			for _, args := range [][]string{
				{"MULTI"},
				{"SETBIT", "bits", strconv.Itoa(at[i]), "0"}, {"SETBIT", "bits", strconv.Itoa(to), "1"},
				{"SETBIT", "tail", strconv.Itoa(end), "0"}, {"SETBIT", "tail", strconv.Itoa(other), "1"},
				{"EXEC"},
			} {
				c.Do(args...)
			}
			at[i], end = to, other
		}
	}()
	for _, from := range []*servertest.Server{s, replica} {
		readers.Add(1)
		go func() {
			defer readers.Done()
			c := servertest.Dial(t, from.Port(), "")
			defer c.Close()
			for range 60 {
				if n := c.Do("BITCOUNT", "bits").Int; n != ones {
					t.Errorf("BITCOUNT: %d", n)
				}
				if at := c.Do("BITPOS", "tail", "1").Int; at < last-101 || at > last {
					t.Errorf("BITPOS: %d", at)
				}
			}
		}()
	}
	readers.Wait()
	close(stop)
	writers.Wait()
	for _, from := range []*servertest.Server{s, replica} {
		if begun, _ := from.Engine.LongReads(); begun < 120 {
			t.Errorf("only %d reads went on after their handlers", begun)
		}
	}
	quiet(t, s)
}
