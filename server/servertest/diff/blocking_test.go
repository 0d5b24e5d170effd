package diff

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// member is one of several clients of a server, some of which wait.
type member struct {
	name    string
	id      string
	conn    net.Conn
	replies chan resp.Value
	waiting bool
}

// crowd is the clients of one server and what happened to them, line by line. The first one changes things, the last
// one looks on.
type crowd struct {
	t       *testing.T
	members []*member
	log     []string
}

func newCrowd(t *testing.T, network, address string, n int) *crowd {
	t.Helper()
	c := &crowd{t: t}
	for i := range n {
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		m := &member{name: fmt.Sprint("m", i), conn: conn, replies: make(chan resp.Value, 16)}
		go func() {
			for r := resp.NewReader(conn); ; {
				v, err := r.Read()
				if err != nil {
					close(m.replies)
					return
				}
				m.replies <- v
			}
		}()
		c.members = append(c.members, m)
		c.call(m, "CLIENT", "SETNAME", m.name)
		m.id = c.call(m, "CLIENT", "ID").String()
		m.id = strings.TrimPrefix(m.id, "(integer) ")
	}
	return c
}

// call sends a command that does not block and returns its reply.
func (c *crowd) call(m *member, args ...string) resp.Value {
	c.t.Helper()
	if _, err := m.conn.Write(resp.AppendCommandStrings(nil, args...)); err != nil {
		c.t.Fatal(err)
	}
	return c.await(m)
}

func (c *crowd) await(m *member) resp.Value {
	c.t.Helper()
	select {
	case v := <-m.replies:
		return v
	case <-time.After(patience):
		c.t.Fatalf("%s gets no reply; so far:\n%s", m.name, strings.Join(c.log, "\n"))
		return resp.Value{}
	}
}

// blocked tells which members the server holds.
func (c *crowd) blocked() map[string]bool {
	out := map[string]bool{}
	for line := range strings.SplitSeq(string(c.call(c.members[len(c.members)-1], "CLIENT", "LIST").Str), "\n") {
		name, flags := "", ""
		for _, field := range strings.Fields(line) {
			if v, ok := strings.CutPrefix(field, "name="); ok {
				name = v
			}
			if v, ok := strings.CutPrefix(field, "flags="); ok {
				flags = v
			}
		}
		out[name] = strings.Contains(flags, "b")
	}
	return out
}

// step lets a member send a command, which may block it, and collects what it and others get.
func (c *crowd) step(i int, args []string) {
	c.t.Helper()
	m := c.members[i]
	if m.waiting {
		return
	}
	words := make([]string, len(args))
	for j, a := range args {
		words[j] = a
		if n, ok := strings.CutPrefix(a, "id of "); ok {
			for _, other := range c.members {
				if other.name == n {
					words[j] = other.id
				}
			}
		}
	}
	if _, err := m.conn.Write(resp.AppendCommandStrings(nil, words...)); err != nil {
		c.t.Fatal(err)
	}
	for m.waiting = true; m.waiting; {
		select {
		case v := <-m.replies:
			c.log = append(c.log, fmt.Sprintf("%s %q: %s", m.name, args, v))
			m.waiting = false
		case <-time.After(2 * time.Millisecond):
			if i > 0 && c.blocked()[m.name] {
				c.log = append(c.log, fmt.Sprintf("%s %q: blocks", m.name, args))
				c.settle()
				return
			}
		}
	}
	c.settle()
}

// settle collects the replies of those who are not held any more.
func (c *crowd) settle() {
	c.t.Helper()
	held := c.blocked()
	for _, m := range c.members {
		if m.waiting && !held[m.name] {
			c.log = append(c.log, fmt.Sprintf("%s gets %s", m.name, c.await(m)))
			m.waiting = false
		}
	}
}

// waits are commands that may block, changes what may serve them.
var (
	waits = [][]string{
		{"BLPOP", "a", "0"}, {"BLPOP", "a", "b", "c", "0"}, {"BRPOP", "b", "a", "b", "0"}, {"BRPOP", "c", "0"}, {"BLMOVE", "a", "b", "LEFT", "right", "0"},
		{"BLMOVE", "b", "b", "RIGHT", "LEFT", "0"}, {"BLMOVE", "c", "s", "LEFT", "LEFT", "0"}, {"BRPOPLPUSH", "a", "c", "0"}, {"BLMPOP", "0", "2", "a", "c", "LEFT", "COUNT", "2"},
		{"BLMPOP", "0", "1", "b", "RIGHT"}, {"BLPOP", "s", "0"}, {"BRPOPLPUSH", "b", "a", "0"},
	}
	changes = [][]string{
		{"LPUSH", "a", "1"}, {"RPUSH", "a", "1", "2", "3"}, {"RPUSH", "b", "x"}, {"LPUSH", "b", "x", "y"}, {"LPUSH", "c", "p", "q", "r"}, {"MULTI"}, {"EXEC"}, {"EXEC"}, {"DEL", "a"}, {"DEL", "b", "c"},
		{"SET", "a", "v"}, {"SET", "s", "v"}, {"RENAME", "a", "b"}, {"RENAME", "c", "a"}, {"RPUSH", "other", "o1", "o2"}, {"RENAME", "other", "a"}, {"COPY", "other", "b"}, {"COPY", "other", "c", "REPLACE"},
		{"LMOVE", "other", "a", "LEFT", "RIGHT"}, {"RPOPLPUSH", "other", "c"}, {"SELECT", "1"}, {"SELECT", "0"}, {"SELECT", "0"}, {"MOVE", "a", "1"}, {"MOVE", "b", "0"}, {"PEXPIRE", "a", "-1"},
		{"LTRIM", "a", "1", "-1"}, {"LREM", "b", "0", "x"}, {"CLIENT", "UNBLOCK", "id of m1"}, {"CLIENT", "UNBLOCK", "id of m2", "ERROR"}, {"CLIENT", "UNBLOCK", "id of m3", "TIMEOUT"}, {"FLUSHDB"},
		{"LPUSHX", "a", "z"}, {"LINSERT", "a", "BEFORE", "1", "0"}, {"LSET", "a", "0", "w"},
	}
)

// TestBlockedClientsAgainstRedis lets clients wait and others push, rename, swap and unblock, and compares who gets what
// when, and the streams.
func TestBlockedClientsAgainstRedis(t *testing.T) { blockedAgainstRedis(t, waits, changes) }

func blockedAgainstRedis(t *testing.T, waits, changes [][]string) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	r := rand.New(rand.NewPCG(s, 2))
	real := oracle.Start(t, "--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no")
	ours := servertest.Start(t, "--repl-diskless-sync-delay", "0")
	address := fmt.Sprintf("127.0.0.1:%d", ours.Port())
	realStream, oursStream := OpenStream(t, "unix", real.Sock), OpenStream(t, "tcp", address)
	const clients = 7
	sides := []*crowd{newCrowd(t, "unix", real.Sock, clients+1), newCrowd(t, "tcp", address, clients+1)}
	both := func(i int, args []string) {
		t.Helper()
		for _, c := range sides {
			c.step(i, args)
		}
		want, got := sides[0].log, sides[1].log
		for j := range max(len(want), len(got)) {
			if line(want, j) != line(got, j) {
				from := max(j-15, 0)
				t.Fatalf("seed %d: after\n%s\nredis-server: %s\nours:         %s", s, strings.Join(want[from:min(j, len(want))], "\n"), strings.Join(want[min(j, len(want)):], "; "), strings.Join(got[min(j, len(got)):], "; "))
			}
		}
		sides[0].log, sides[1].log = want[max(len(want)-20, 0):], got[max(len(got)-20, 0):]
	}
	for range min(*commands/20, 5000) {
		if r.IntN(3) == 0 {
			args := waits[r.IntN(len(waits))]
			both(1+r.IntN(clients-1), args)
		} else {
			both(0, changes[r.IntN(len(changes))])
		}
	}
	for i := 1; i < clients; i++ {
		both(0, []string{"DISCARD"})
		both(0, []string{"CLIENT", "UNBLOCK", "id of " + sides[0].members[i].name})
	}
	both(0, []string{"INFO", "nothing"})
	compareStates(t, s, real, ours)
	real.Do("SET", "end", "")
	ours.Do("SET", "end", "")
	if d := DiffEffects(realStream.Until("end"), oursStream.Until("end")); d != "" {
		t.Fatalf("seed %d: %s", s, d)
	}
}
