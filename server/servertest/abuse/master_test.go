package abuse

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
)

// lie is one way in which a master behaves badly: what it answers to PSYNC, or to the first line when early is set.
// After that it hangs up.
type lie struct {
	name  string
	early bool
	text  string
}

var (
	historyID = strings.Repeat("a", 40)
	full      = "+FULLRESYNC " + historyID + " 1000\r\n"
	mark      = strings.Repeat("m", 40)
)

// payload is a good data set with one key.
func payload() []byte {
	file := rdb.AppendStringEntry(rdb.AppendMagic(nil, rdb.Version), []byte("fresh"), []byte("value"), false)
	return rdb.AppendEOF(file, rdb.CRC64(0, file), true)
}

func sized(p []byte) string { return fmt.Sprintf("%s$%d\r\n%s", full, len(p), p) }

func flipped(p []byte, at int) []byte {
	q := append([]byte(nil), p...)
	q[at] ^= 0x40
	return q
}

func lies() []lie {
	p := payload()
	magic := rdb.AppendMagic(nil, rdb.Version)
	huge := binary.BigEndian.AppendUint64([]byte{0x81}, 1<<40)
	resize := append(append(append([]byte(nil), magic...), 0xfb), append(huge, huge...)...)
	longString := append(append(append([]byte(nil), magic...), 0, 1, 'k'), huge...)
	longHash := append(append(append([]byte(nil), magic...), 4, 1, 'h'), huge...)
	return []lie{
		{"hangs up at once", true, ""}, {"garbage instead of PONG", true, "\x00\x01\x02garbage\r\n"}, {"an endless first line", true, strings.Repeat("+", 200000)},
		{"an error instead of PONG", true, "-ERR go away\r\n"}, {"answers nobody asked for", true, strings.Repeat("+OK\r\n", 100)},
		{"hangs up at PSYNC", false, ""}, {"garbage to PSYNC", false, "\x80\x81\r\n"}, {"a bulk to PSYNC", false, "$5\r\nhello\r\n"},
		{"a short ID", false, "+FULLRESYNC abc 1\r\n" + sized(p)[len(full):]}, {"no offset", false, "+FULLRESYNC " + historyID + "\r\n"},
		{"a negative offset", false, "+FULLRESYNC " + historyID + " -7\r\n" + sized(p)[len(full):]},
		{"an offset at the end of numbers", false, "+FULLRESYNC " + historyID + " 9223372036854775807\r\n" + sized(p)[len(full):]},
		{"continues a history of its own", false, "+CONTINUE xyz\r\n"}, {"continues nothing", false, "+CONTINUE\r\nSET key:1 lie\r\n"},
		{"no payload", false, full}, {"an endless header", false, full + "$" + strings.Repeat("1", 200000)}, {"a negative length", false, full + "$-5\r\n"},
		{"length zero", false, full + "$0\r\n"}, {"a length at the end of numbers", false, full + "$9223372036854775807\r\n" + string(p)},
		{"no header", false, full + "hello\r\n" + string(p)}, {"an error as header", false, full + "-ERR disk is full\r\n"},
		{"a short mark", false, full + "$EOF:abc\r\n" + string(p) + "abc"}, {"garbage as payload", false, sized([]byte(strings.Repeat("garbage", 100)))},
		{"a torn payload, told whole", false, sized(p[:len(p)-5])}, {"a torn payload", false, sized(p)[:len(full)+20]},
		{"a flipped bit in a value", false, sized(flipped(p, len(p)-12))}, {"a flipped bit in the checksum", false, sized(flipped(p, len(p)-1))},
		{"a wrong end mark", false, full + "$EOF:" + mark + "\r\n" + string(p) + strings.Repeat("n", 40)},
		{"garbage before the end mark", false, full + "$EOF:" + mark + "\r\ngarbage" + mark},
		{"the end mark alone", false, full + "$EOF:" + mark + "\r\n" + mark}, {"a version of the future", false, sized(append([]byte("REDIS9999"), p[9:]...))},
		{"a table for 2^40 keys", false, sized(resize)}, {"a string of 2^40 bytes", false, sized(longString)}, {"a hash of 2^40 fields", false, sized(longHash)},
	}
}

// liar is a master that serves one lie per connection, then a good data set for ever.
type liar struct {
	l     net.Listener
	lies  []lie
	told  atomic.Int64
	truth atomic.Bool // may the good data set be served
}

func newLiar(t *testing.T, lies []lie) *liar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &liar{l: l, lies: lies}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.serve(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return m
}

func (m *liar) serve(c net.Conn) {
	defer c.Close()
	now := lie{text: ""}
	switch n := int(m.told.Load()); {
	case n < len(m.lies):
		now = m.lies[n]
	case m.truth.Load():
		now = lie{text: sized(payload())}
	}
	defer m.told.Add(1)
	in := bufio.NewReader(c)
	for {
		word, err := request(in)
		if err != nil {
			return
		}
		answer := "+OK\r\n"
		switch word {
		case "PING":
			answer = "+PONG\r\n"
		case "INFO":
			answer = "$10\r\nrun_id:x\r\n\r\n"
		case "PSYNC", "SYNC":
			answer = now.text
		}
		if now.early {
			answer = now.text
		}
		if _, err := c.Write([]byte(answer)); err != nil || now.early {
			return
		}
		if word == "PSYNC" && m.truth.Load() {
			_, _ = in.ReadString(0) // the link stays up until the replica leaves
		}
		if word == "PSYNC" || word == "SYNC" {
			return
		}
	}
}

// request reads one command and answers its first word.
func request(in *bufio.Reader) (word string, err error) {
	line, err := in.ReadString('\n')
	if err != nil || line[0] != '*' {
		return strings.TrimSpace(line), err
	}
	var n int
	if _, err := fmt.Sscanf(line, "*%d", &n); err != nil {
		return "", err
	}
	for i := range n {
		if _, err := in.ReadString('\n'); err != nil {
			return "", err
		}
		text, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if i == 0 {
			word = strings.TrimSpace(text)
		}
	}
	return word, nil
}

// TestLyingMasters: whatever a master sends, a replica keeps its data, goes on answering, and asks again.
func TestLyingMasters(t *testing.T) {
	all := lies()
	const groups = 5
	for _, mode := range []string{"disabled", "swapdb"} {
		for g := range groups {
			var part []lie
			for i := g; i < len(all); i += groups {
				part = append(part, all[i])
			}
			t.Run(fmt.Sprintf("%s/%d", mode, g), func(t *testing.T) {
				t.Parallel()
				believe(t, part, mode)
			})
		}
	}
}

// follow gives the order to follow. A server that loads beside its old data (swapdb) refuses it with -LOADING until the load
// has ended, as redis-server does; one that does not must take it at any time.
func (v *victim) follow(t *testing.T, mode, host, port string) {
	t.Helper()
	var got resp.Value
	servertest.Await(t, "the load under way to end", func() bool {
		got = v.Do("REPLICAOF", host, port)
		return mode != "swapdb" || !strings.HasPrefix(string(got.Str), "LOADING")
	})
	if got.IsError() {
		t.Fatalf("REPLICAOF %s %s: %s", host, port, got)
	}
}

func believe(t *testing.T, part []lie, mode string) {
	v := newVictim(t, "--repl-diskless-load", mode)
	m := newLiar(t, part)
	port := fmt.Sprint(m.l.Addr().(*net.TCPAddr).Port)
	for i, one := range part {
		// A command's order lets the guard stand aside: the payload itself must be refused.
		v.follow(t, mode, "127.0.0.1", port)
		servertest.Await(t, one.name, func() bool { return m.told.Load() > int64(i) })
		if got := v.Must("DEBUG", "DIGEST").String(); got != v.digest {
			t.Fatalf("%s: the data changed: digest %s, was %s", one.name, got, v.digest)
		}
	}
	told := m.told.Load()
	servertest.Await(t, "the replica to ask again", func() bool { return m.told.Load() > told })
	v.follow(t, mode, "NO", "ONE")
	v.unharmed()
	servertest.Await(t, "its files to be gone", func() bool {
		left, err := os.ReadDir(v.Dir())
		return err == nil && len(left) == 0
	})
	// The same master with a good payload is followed: it was the lies that were refused.
	m.truth.Store(true)
	v.follow(t, mode, "127.0.0.1", port)
	servertest.Await(t, "the good data set", func() bool { return string(v.Do("GET", "fresh").Str) == "value" })
	v.Must("REPLICAOF", "NO", "ONE")
}
