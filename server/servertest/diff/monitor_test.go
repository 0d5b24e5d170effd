package diff

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/servertest"
)

// monitored is what a monitor is told of, and what it is not. A space inside of an argument is written as "_".
var monitored = strings.Split(strings.TrimSpace(`
SET a x_"\é
GET a
SELECT 3
SET b 1
MULTI
SET c 2
SELECT 0
GET c
EVAL return_redis.call('set','d','3') 0
EXEC
MULTI
GET
EXEC
GET
NOSUCH
CONFIG GET port
ACL WHOAMI
ACL LIST
CLIENT ID
EVAL return_redis.call('get','a')..redis.call('get','a') 0
EVAL bad_bad 0
EVALSHA nosuch 0
SCRIPT LOAD return_1
AUTH not-real
AUTH not-real not-a-password
AUTH too many words
HELLO 2 AUTH not-real not-a-password
HELLO 2 SETNAME x
ACL SETUSER u on nopass +get ~a +auth
BLPOP nolist 0.01
LPUSH list v
BLPOP list 0
PUBLISH ch hello
AUTH u x
GET a
GET b
SET a b
AUTH default x
SORT list
PING
DEBUG SLEEP 0
QUIT`), "\n")

var stamp = regexp.MustCompile(`^\+\d+\.\d{6} \[(\d+) ([^\]]*)\]`)

// watcher is a connection that has sent MONITOR.
type watcher struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func watch(t *testing.T, port int) *watcher {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w := &watcher{t, conn, bufio.NewReader(conn)}
	io.WriteString(conn, "MONITOR\r\n")
	if got := w.line(); got != "+OK" {
		t.Fatalf("MONITOR answers %s", got)
	}
	return w
}

func (w *watcher) line() string {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(patience))
	line, err := w.in.ReadString('\n')
	if err != nil {
		w.t.Fatalf("the monitor reads %q: %v", line, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// seen are the lines up to one that contains end, addresses and times taken off.
func (w *watcher) seen(end string) (lines []string) {
	w.t.Helper()
	for len(lines) == 0 || !strings.Contains(lines[len(lines)-1], end) {
		lines = append(lines, stamp.ReplaceAllStringFunc(w.line(), func(s string) string {
			m := stamp.FindStringSubmatch(s)
			if m[2] != "lua" {
				m[2] = "client"
			}
			return m[1] + " " + m[2]
		}))
	}
	return lines
}

// TestMonitorAgainstRedis: both servers show the same of the same conversation.
func TestMonitorAgainstRedis(t *testing.T) {
	real, ours := servertest.StartRedis(t, "--save", "", "--enable-debug-command", "yes"), servertest.Start(t)
	var sides [2][]string
	for i, port := range []int{real.Port(), ours.Port()} {
		w := watch(t, port)
		c := servertest.Dial(t, port, "")
		for _, line := range monitored {
			words := strings.Fields(line)
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], "_", " ")
			}
			c.Do(words...)
		}
		c.Close()
		sides[i] = w.seen(`"QUIT"`)
		io.WriteString(w.conn, "GET a\r\nRESET\r\nGET a\r\n")
		for range 4 { // nothing of the keyspace for a monitor, until it is none
			sides[i] = append(sides[i], stamp.ReplaceAllString(w.line(), ""))
		}
	}
	for i := range max(len(sides[0]), len(sides[1])) {
		want, got := "", ""
		if i < len(sides[0]) {
			want = sides[0][i]
		}
		if i < len(sides[1]) {
			got = sides[1][i]
		}
		if want != got {
			t.Errorf("line %d: redis-server shows\n%s\nours\n%s", i, want, got)
		}
	}
}

// TestMonitorOfAReplica: commands of the master's stream are shown where they are applied.
func TestMonitorOfAReplica(t *testing.T) {
	master := servertest.Start(t, "--repl-diskless-sync-delay", "0")
	replica := servertest.Start(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(master.Port()))
	servertest.AwaitLink(t, replica)
	w := watch(t, replica.Port())
	master.Must("SELECT", "2")
	master.Must("SET", "key", "value")
	if lines := w.seen(`"key"`); !strings.HasPrefix(lines[len(lines)-1], `2 client "SET" "key" "value"`) {
		t.Errorf("the replica shows %q", lines)
	}
}

// TestMonitorKeepsTheOrder: what several clients do side by side is shown in the order in which it was done: each increment
// of one counter is read back where the reply says that it happened.
func TestMonitorKeepsTheOrder(t *testing.T) {
	ours := servertest.Start(t)
	w := watch(t, ours.Port())
	const clients, each = 4, 200
	var wg sync.WaitGroup
	for i := range clients {
		c := servertest.Dial(t, ours.Port(), "")
		defer c.Close()
		wg.Go(func() {
			for range each {
				n := c.Must("INCR", "counter").Int
				c.Must("ECHO", fmt.Sprint(n, " of ", i))
			}
		})
	}
	done, counter := 0, int64(0)
	for done < clients*each {
		line := w.line()
		var n int64
		switch {
		case strings.Contains(line, `"INCR"`):
			counter++
		case strings.Contains(line, `"ECHO"`):
			_, text, _ := strings.Cut(line, `"ECHO" "`)
			if _, err := fmt.Sscanf(text, "%d of", &n); err != nil || n > counter {
				t.Fatalf("%q comes after %d increments (%v)", line, counter, err)
			}
			done++
		}
	}
	wg.Wait()
	if counter != clients*each {
		t.Errorf("%d increments were shown", counter)
	}
}
