package abuse

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestAnnouncedLengthsAreNotBelieved: memory follows what was sent, not what was promised.
func TestAnnouncedLengthsAreNotBelieved(t *testing.T) {
	v := newVictim(t)
	heads := []string{"*2\r\n$4\r\nECHO\r\n$536870912\r\n", "*2\r\n$4\r\nECHO\r\n$536870912\r\nabc", "*2147483647\r\n$4\r\nECHO\r\n", "*1048576\r\n$1\r\na\r\n$536870000\r\n"}
	var crowd []*wire
	for i := range 1200 {
		w := dial(t, v.Port())
		w.say(heads[i%len(heads)])
		crowd = append(crowd, w)
	}
	servertest.Await(t, "all of them to be heard", func() bool { return strings.Contains(v.Do("CLIENT", "LIST").String(), fmt.Sprint("id=", 1200)) })
	v.Must("PING")
	if now := v.memory(); now > v.resident+slack {
		t.Errorf("1200 announcements of 512 MiB took %d MiB", (now-v.resident)>>20)
	}
	for _, w := range crowd {
		w.Close()
	}
	v.unharmed()
}

// TestIdleCrowd: ten thousand connections that say nothing, and a client that is served beside them.
func TestIdleCrowd(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	size := min(10000, int(lim.Max)-300)
	if size < 10000 {
		t.Logf("only %d connections: the limit of descriptors is %d", size, lim.Max)
	}
	v := newVictim(t, "--maxclients", "20000")
	crowd := make([]net.Conn, 0, size)
	for range size {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(v.Port())))
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, c)
	}
	defer func() {
		for _, c := range crowd {
			c.Close()
		}
	}()
	servertest.Await(t, "the crowd to be let in", func() bool { return v.clients() > size })
	if each := (v.memory() - v.resident) / int64(size); each > shadow*4096 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	before := v.busy()
	for range 100 {
		v.Must("GET", "key:5")
	}
	if took := v.busy() - before; took > shadow*time.Second {
		t.Errorf("100 requests beside the crowd took %v of a processor", took)
	}
	for _, c := range crowd {
		c.Close()
	}
	v.unharmed()
}

func (v *victim) clients() int {
	for line := range strings.SplitSeq(string(v.Must("INFO", "clients").Str), "\r\n") {
		if n, ok := strings.CutPrefix(line, "connected_clients:"); ok {
			count, _ := strconv.Atoi(n)
			return count
		}
	}
	v.t.Fatal("INFO clients tells no connected_clients")
	return 0
}

// TestTooManyClients: who is one too many is told so.
func TestTooManyClients(t *testing.T) {
	v := newVictim(t, "--maxclients", "50")
	var crowd []*wire
	refused := 0
	for range 80 {
		w := dial(t, v.Port())
		w.say("PING\r\n")
		if got := w.hear("\r\n"); got == "-ERR max number of clients reached\r\n" {
			refused++
		} else if got != "+PONG\r\n" {
			t.Fatalf("answered %q", got)
		}
		crowd = append(crowd, w)
	}
	if refused != 31 {
		t.Errorf("%d of 80 were refused, want 31: one client was there already", refused)
	}
	for _, w := range crowd {
		w.Close()
	}
	v.unharmed()
}

// TestSlowReaders ask for much and read nothing: with an output limit they are closed, and memory stays bounded.
func TestSlowReaders(t *testing.T) {
	v := newVictim(t, "--client-output-buffer-limit", "normal 8mb 4mb 1")
	ask := strings.Repeat("GET big\r\nGET key:299\r\nHGETALL hash\r\n", 300)
	var crowd []*wire
	for range 20 {
		w := dial(t, v.Port())
		w.say(ask)
		crowd = append(crowd, w)
	}
	servertest.Await(t, "the slow readers to be closed", func() bool { return v.clients() == 1 })
	if now := v.memory(); now > v.resident+2*slack {
		t.Errorf("20 slow readers with a limit of 8 MiB took %d MiB", (now-v.resident)>>20)
	}
	if !strings.Contains(v.Log(), "overcoming of output buffer limits") {
		t.Error("the log does not say why they were closed")
	}
	for _, w := range crowd {
		w.Close()
	}
	v.resident += slack // garbage of the Go heap, which goes in its own time
	v.unharmed()
}

// TestLongPipelines: 100,000 commands are sent before a reply is read; replies come whole and in order.
func TestLongPipelines(t *testing.T) {
	v := newVictim(t)
	const n = 100000
	w := dial(t, v.Port())
	go func() {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "ECHO %d\r\n", i)
		}
		w.say(b.String() + "QUIT\r\n")
	}()
	got := w.last()
	var want strings.Builder
	for i := range n {
		s := strconv.Itoa(i)
		fmt.Fprintf(&want, "$%d\r\n%s\r\n", len(s), s)
	}
	want.WriteString("+OK\r\n")
	if got != want.String() {
		t.Errorf("%d bytes of replies, want %d", len(got), want.Len())
	}
	v.unharmed()
}
