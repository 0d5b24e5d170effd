package link_test

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	. "github.com/understudy-db/understudy/server/servertest"
)

// talk is the handshake of a newer server as replica, spoken by hand.
type talk struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func speak(t *testing.T, master Peer) *talk {
	nc, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(master.Port())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(60 * time.Second))
	return &talk{t, nc, bufio.NewReader(nc)}
}

func (c *talk) say(words ...string) {
	c.t.Helper()
	if _, err := c.Write(resp.AppendCommandStrings(nil, words...)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *talk) line() string {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			return line
		}
	}
}

// payload reads a diskless payload to its end.
func (c *talk) payload() []byte {
	c.t.Helper()
	mark, ok := strings.CutPrefix(c.line(), "$EOF:")
	if !ok {
		c.t.Fatalf("no diskless payload")
	}
	var all []byte
	for !bytes.HasSuffix(all, []byte(mark)) {
		b, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, b)
	}
	return all[:len(all)-len(mark)]
}

// TestHandshakesOfNewerReplicas: what Redis 7.2 and later and Valkey 8 say is understood or left aside, and what they add to an
// acknowledgement does not keep it from counting.
func TestHandshakesOfNewerReplicas(t *testing.T) {
	for _, c := range []struct {
		name string
		conf [][]string
		ack  []string // behind the offset
	}{
		{"Redis 7.2", [][]string{{"listening-port", "6390"}, {"ip-address", "127.0.0.1"}, {"capa", "eof", "capa", "psync2"}}, []string{"FACK", "0"}},
		{"Redis 8", [][]string{{"listening-port", "6390"}, {"capa", "eof", "capa", "psync2", "capa", "rdb-channel-repl"}}, []string{"FACK", "0"}},
		{"Valkey 8", [][]string{{"listening-port", "6390"}, {"capa", "eof", "capa", "psync2", "capa", "dual-channel"}, {"version", "8.0.2"}}, nil},
		{"Valkey 9", [][]string{{"listening-port", "6390"}, {"capa", "eof", "capa", "psync2", "capa", "skip-rdb-checksum"}, {"VERSION", "9.0.0-rc1"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			master := Start(t, append(noDelay, "--synchronous-replicas", "1", "--synchronous-timeout", "60000")...)
			replica := speak(t, master)
			replica.say("PING")
			if got := replica.line(); got != "+PONG" {
				t.Fatalf("PING: %s", got)
			}
			for _, words := range c.conf {
				replica.say(append([]string{"REPLCONF"}, words...)...)
				if got := replica.line(); got != "+OK" {
					t.Fatalf("REPLCONF %v: %s", words, got)
				}
			}
			replica.say("PSYNC", "?", "-1")
			words := strings.Fields(replica.line())
			if len(words) != 3 || words[0] != "+FULLRESYNC" {
				t.Fatalf("PSYNC: %v", words)
			}
			if p := replica.payload(); !bytes.HasPrefix(p, []byte("REDIS")) {
				t.Fatalf("payload %.20q", p)
			}
			offset, _ := strconv.Atoi(words[2])
			ack := func() { replica.say(append([]string{"REPLCONF", "ACK", strconv.Itoa(offset)}, c.ack...)...) }
			ack()
			answer := make(chan string, 1)
			go func() { // a reply that waits for this replica
				client := Dial(t, master.Port(), "")
				defer client.Close()
				for {
					v := client.Do("SET", "k", "v")
					if !strings.HasPrefix(string(v.Str), "NOREPLICAS") { // it counts once it is online
						answer <- string(v.Str)
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			stream := make([]byte, 4096)
			var said []byte
			for !bytes.Contains(said, []byte("GETACK")) {
				_ = replica.SetReadDeadline(time.Now().Add(time.Second))
				n, err := replica.r.Read(stream)
				switch {
				case errors.Is(err, os.ErrDeadlineExceeded):
					ack() // as a replica does each second: the first may have come before the master was done sending
				case err != nil:
					t.Fatal(err)
				}
				said = append(said, stream[:n]...)
			}
			offset += bytes.Index(said, []byte("*3\r\n$8\r\nREPLCONF"))
			ack()
			if got := <-answer; got != "OK" {
				t.Fatalf("the write that it acknowledged: %s", got)
			}
		})
	}
}

// TestOptionsOfReplicasThatMakeNoSense are refused by name, as ever.
func TestOptionsOfReplicasThatMakeNoSense(t *testing.T) {
	master := Start(t)
	for _, c := range [][2]string{
		{"nonsense 1", "ERR Unrecognized REPLCONF option: nonsense"},
		{"version eight", "ERR Unrecognized version format: eight"},
		{"rdb-filter-only keys", "ERR Unsupported rdb-filter-only option: keys"},
		{"rdb-only 2", "ERR value is out of range, value must between 0 and 1"},
		{"rdb-only yes", "ERR value is not an integer or out of range"},
		{"capa", "ERR syntax error"},
	} {
		if v := master.Do(append([]string{"REPLCONF"}, strings.Fields(c[0])...)...); string(v.Str) != c[1] {
			t.Errorf("REPLCONF %s: %s", c[0], v)
		}
	}
	for _, words := range [][]string{{"rdb-only", "1"}, {"rdb-filter-only", "functions"}, {"rdb-filter-only", ""}, {"version", "7.2.4"}} {
		if v := master.Do(append([]string{"REPLCONF"}, words...)...); string(v.Str) != "OK" {
			t.Errorf("REPLCONF %q: %s", words, v)
		}
	}
}
