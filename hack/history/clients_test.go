package history

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/understudy-db/understudy/server/resp"
)

const opTimeout = 4 * time.Second // longer than synchronous-timeout

// crowd is the clients of one round, on keys of their own.
type crowd struct {
	t    *testing.T
	s    *set
	rec  *recorder
	keys []string
	stop chan struct{}
	wait sync.WaitGroup
	done int // rounds before
}

func (s *set) crowd(t *testing.T, round, clients int, seed uint64) *crowd {
	c := &crowd{t: t, s: s, rec: &recorder{began: time.Now()}, stop: make(chan struct{}), done: round}
	for _, kind := range "rcl" {
		for i := range 2 {
			c.keys = append(c.keys, fmt.Sprintf("%c%d:%d", kind, round, i))
		}
	}
	for id := range clients {
		rng := rand.New(rand.NewPCG(seed, uint64(round*100+id)))
		c.wait.Go(func() { c.live(id, rng) })
	}
	return c
}

// live asks one thing after the other, of a member chosen at random whenever the connection is lost.
func (c *crowd) live(id int, rng *rand.Rand) {
	conn := &conn{}
	defer conn.close()
	for n := 0; ; n++ {
		select {
		case <-c.stop:
			return
		case <-time.After(time.Duration(rng.IntN(6000)) * time.Microsecond):
		}
		if conn.nc == nil && !conn.dial(c.s.nodes[rng.IntN(len(c.s.nodes))]) {
			continue
		}
		in := input{key: c.keys[rng.IntN(len(c.keys))], write: rng.IntN(2) == 0}
		if in.write && in.key[0] != 'c' {
			in.value = fmt.Sprintf("%d.%d", id, n)
		}
		c.one(id, conn, in)
	}
}

func (c *crowd) one(id int, conn *conn, in input) (known bool) {
	call := c.rec.now()
	v, err := conn.do(words(in)...)
	op := porcupine.Operation{ClientId: id, Input: in, Call: call, Return: c.rec.now()}
	text := string(v.Str)
	switch {
	case err == nil && !v.IsError():
		op.Output = output{text: plain(v)}
	case err == nil && (strings.HasPrefix(text, "READONLY") || strings.HasPrefix(text, "NOREPLICAS") || strings.HasPrefix(text, "LOADING")):
		return false // not executed
	default:
		if err != nil || !strings.HasPrefix(text, "UNCONFIRMED") {
			conn.close()
		}
		if !in.write {
			return false
		}
		op.Output, op.Return = output{unknown: true}, never
	}
	c.rec.add(op)
	return true
}

// busy waits until the clients have been answered n more times.
func (c *crowd) busy(n int) {
	c.t.Helper()
	n += c.rec.count()
	for end := time.Now().Add(within); c.rec.count() < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%d answers within %v, want %d", c.rec.count(), within, n)
		}
	}
}

// end stops the clients and reads every key once more.
func (c *crowd) end() {
	close(c.stop)
	c.wait.Wait()
	conn := &conn{}
	defer conn.close()
	for _, key := range c.keys {
		for deadline := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
			if (conn.nc != nil || conn.dial(c.s.nodes[0])) && c.one(99, conn, input{key: key}) {
				break
			}
			if time.Now().After(deadline) {
				c.t.Fatalf("the last read of %s is not answered", key)
			}
		}
	}
}

func words(in input) []string {
	switch kind := in.key[0]; {
	case kind == 'l' && in.write:
		return []string{"RPUSH", in.key, in.value}
	case kind == 'l':
		return []string{"LRANGE", in.key, "0", "-1"}
	case kind == 'c' && in.write:
		return []string{"INCR", in.key}
	case in.write:
		return []string{"SET", in.key, in.value}
	}
	return []string{"GET", in.key}
}

func plain(v resp.Value) string {
	switch v.Kind {
	case ':':
		return strconv.FormatInt(v.Int, 10)
	case '*':
		var b strings.Builder
		for _, e := range v.Elems {
			b.Write(e.Str)
			b.WriteByte(' ')
		}
		return b.String()
	}
	return string(v.Str)
}

type conn struct {
	nc net.Conn
	r  *resp.Reader
}

func (c *conn) dial(n *node) bool {
	nc, err := net.DialTimeout("tcp", addr(n.clients.Port()), time.Second)
	if err != nil {
		return false
	}
	c.nc, c.r = nc, resp.NewReader(nc)
	if v, err := c.do("AUTH", "pw"); err != nil || v.IsError() {
		c.close()
		return false
	}
	return true
}

func (c *conn) close() {
	if c.nc != nil {
		c.nc.Close()
		c.nc = nil
	}
}

func (c *conn) do(args ...string) (resp.Value, error) {
	_ = c.nc.SetDeadline(time.Now().Add(opTimeout))
	if _, err := c.nc.Write(resp.AppendCommandStrings(nil, args...)); err != nil {
		return resp.Value{}, err
	}
	return c.r.Read()
}
