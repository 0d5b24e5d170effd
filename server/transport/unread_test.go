package transport

import (
	"fmt"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReadsThatFillWhatTheyAskedFor: what comes with the bytes that fill a read exactly, and what comes behind, is executed and
// answered without anything more from the client, as is the end of what it sends.
func TestReadsThatFillWhatTheyAskedFor(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, base := range []int{headReach, readSize, 2 * readSize, longReach, 2 * longReach, readAtOnce} {
		for _, more := range []int{-1, 0, 1, 40} {
			for _, each := range []int{64, 4 << 10} {
				if each > base {
					continue
				}
				c := dial(t, r.addr)
				commands := base / each
				ping := "PING " + strings.Repeat("v", each-len("PING \r\n")) + "\r\n"
				text := strings.Repeat(ping, commands-1) + "PING " + strings.Repeat("w", each+more-len("PING \r\n")) + "\r\n"
				name := fmt.Sprintf("%d bytes of commands of %d", len(text), each)
				go c.Write([]byte(text)) // the replies tell
				for i := range commands {
					if v, err := c.r.Read(); err != nil || i == commands-1 && len(v.Str) != each+more-len("PING \r\n") {
						t.Fatalf("%s: reply %d: %v", name, i, err)
					}
				}
				if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if rest := c.ends(); rest != "" {
					t.Fatalf("%s: behind the replies came %q", name, rest)
				}
			}
		}
	}
}

// TestDescriptorsPassed: a read of a unix socket stops behind bytes with which a peer has passed a descriptor. What comes behind them is
// read without anything more from the peer.
func TestDescriptorsPassed(t *testing.T) {
	r := newRig(t, rigOptions{})
	path := filepath.Join(t.TempDir(), "sock")
	if err := r.server.ListenUnix(path, 0, 10); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	rights := unix.UnixRights(int(null.Fd()))
	busy := dial(t, r.addr)
	for range 10 {
		c := dialTo(t, "unix", path)
		want(t, c.do("PING"), "PONG")
		busy.send("DEBUG", "SLEEP", "0.02") // the loop reads when all of it is there
		for range 3 {
			if _, _, err := c.Conn.(*net.UnixConn).WriteMsgUnix([]byte("PING\r\n"), rights, nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			want(t, c.reply(), "PONG")
		}
		want(t, busy.reply(), "OK")
	}
}

// TestFarewellBehindBytes: the end of a connection is seen when it came together with bytes, while the loop had something else to do.
func TestFarewellBehindBytes(t *testing.T) {
	r := newRig(t, rigOptions{})
	busy := dial(t, r.addr)
	for _, sent := range []string{"PING\r\n", "*2\r\n$3\r\nGE", "PING\r\n*2\r\n$3\r\nGE",
		"PING\r\n" + strings.Repeat("x", 2*readSize+1000), strings.Repeat("PING\r\n", readSize/2)} { // more than one read takes
		c := dial(t, r.addr)
		want(t, c.do("PING"), "PONG")
		busy.send("DEBUG", "SLEEP", "0.05")
		c.raw(sent)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := c.ends(); strings.Count(got, "PONG") != strings.Count(sent, "PING") {
			t.Errorf("%.100q is answered with %.100q", sent, got)
		}
		want(t, busy.reply(), "OK")
	}
}

// TestCrowdOfAllKinds lets many clients at once, so that the loop gathers, send pipelines that come in pieces while their replies are
// on the way, block, and are read while they are blocked. Nobody is forgotten.
func TestCrowdOfAllKinds(t *testing.T) {
	r := newRig(t, rigOptions{})
	var wg sync.WaitGroup
	for k := range 3 * gatherMany {
		c := dial(t, r.addr)
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewSource(int64(k)))
			for round := range 150 {
				commands := 1 + rnd.Intn(20)
				var text strings.Builder
				for range commands {
					switch rnd.Intn(12) {
					case 0:
						text.WriteString("BLPOP none 0.001\r\n")
					case 1:
						fmt.Fprintf(&text, "PING %s\r\n", strings.Repeat("v", rnd.Intn(20<<10)))
					default:
						text.WriteString("PING\r\n")
					}
				}
				sent, seed, gone := text.String(), rnd.Int63(), make(chan struct{})
				go func() {
					defer close(gone)
					rnd := rand.New(rand.NewSource(seed))
					for len(sent) > 0 {
						n := min(1+rnd.Intn(len(sent)), len(sent))
						if _, err := c.Write([]byte(sent[:n])); err != nil {
							return // the reader tells
						}
						sent = sent[n:]
						time.Sleep(time.Duration(rnd.Intn(80)) * time.Microsecond)
					}
				}()
				for i := range commands {
					if _, err := c.r.Read(); err != nil {
						t.Errorf("client %d, round %d, reply %d of %d: %v", k, round, i, commands, err)
						return
					}
				}
				<-gone
			}
		}()
	}
	wg.Wait()
}

func TestReachEndsWhereACommandDoes(t *testing.T) {
	for _, tc := range []struct{ reach, commands, done, rest, want int }{
		{32 << 10, 0, 0, 9000, 32 << 10},              // nothing is known
		{64 << 10, 4, 4 * 16424, 0, 4 * 16424},        // as many as there are, and whole
		{64 << 10, 1, 16424, 10000, 5*16424 - 10000},  // the one that is cut, and more
		{128 << 10, 3, 3 * 1000, 999, 133*1000 - 999}, // however short
		{128 << 10, 1, 200_000, 1, 200_000 - 1},       // or long
		{16 << 10, 3, 3*1000 + 1, 0, 17 * 1001},       // of nearly the same length: rather too much than too little
	} {
		if got := wholeReach(tc.reach, tc.commands, tc.done, tc.rest); got != tc.want {
			t.Errorf("%d asked for, %d commands in %d bytes, %d bytes of the next: reads %d, not %d", tc.reach, tc.commands, tc.done, tc.rest, got, tc.want)
		}
	}
}

// TestFarewellBehindTheBeginningOfACommand: where a read goes on at once, since what it brought is nothing but the beginning of a command, it may
// be that one that meets the end of the connection.
func TestFarewellBehindTheBeginningOfACommand(t *testing.T) {
	r := newRig(t, rigOptions{})
	busy := dial(t, r.addr)
	ping := "PING " + strings.Repeat("v", 64-len("PING \r\n")) + "\r\n"
	for _, tc := range []struct{ announced, there int }{
		{50_000, readSize},    // of the arena
		{10 << 20, 64 << 10},  // what of it fills a buffer of its own
		{100 << 20, 64 << 10}, // which would become a mapping
	} {
		c := dial(t, r.addr)
		want(t, c.do("PING"), "PONG")
		begun := fmt.Sprintf("*2\r\n$4\r\nPING\r\n$%d\r\n", tc.announced)
		busy.send("DEBUG", "SLEEP", "0.1")
		c.raw(strings.Repeat(ping, readSize/len(ping)) + begun + strings.Repeat("v", tc.there-len(begun)))
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := c.ends(); strings.Count(got, "\r\n") != 2*readSize/len(ping) {
			t.Errorf("%d bytes of a command of %d: what goes before is answered with %d lines", tc.there, tc.announced, strings.Count(got, "\r\n"))
		}
		want(t, busy.reply(), "OK")
	}
}

// TestUrgentData: a read ends at an urgent byte, behind which there is more.
func TestUrgentData(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	want(t, c.do("PING"), "PONG")
	busy := dial(t, r.addr)
	busy.send("DEBUG", "SLEEP", "0.1")
	const before = readSize / 4 // so that a second read is the one that stops there
	c.raw(strings.Repeat("PING\r\n", before))
	rc, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := rc.Control(func(fd uintptr) { failed = unix.Send(int(fd), []byte("!"), unix.MSG_OOB) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	c.raw("PING\r\n")
	for range before + 1 {
		want(t, c.reply(), "PONG")
	}
}

// onLoop runs fn on the loop, between two turns.
func (r *rig) onLoop(fn func(l *loop)) {
	done := make(chan struct{})
	r.server.loops[0].post(func() {
		defer close(done)
		fn(r.server.loops[0])
	})
	<-done
}

// onEachLoop runs fn on one loop after the other, between two turns.
func (r *rig) onEachLoop(fn func(l *loop)) {
	for _, l := range r.server.loops {
		done := make(chan struct{})
		l.post(func() {
			defer close(done)
			fn(l)
		})
		<-done
	}
}

// awaitConn waits until there is a connection of which ok holds, and returns it.
func (r *rig) awaitConn(what string, ok func(c *conn) bool) (found *conn) {
	r.t.Helper()
	await(r.t, what, func() bool {
		r.onEachLoop(func(l *loop) {
			for _, c := range l.conns {
				if c != nil && ok(c) {
					found = c
				}
			}
		})
		return found != nil
	})
	return found
}

// TestStuckOutputIsNotRememberedAsUnread: of a connection that epoll tells of again and again the loop needs to remember nothing.
func TestStuckOutputIsNotRememberedAsUnread(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	want(t, c.do("PING"), "PONG")
	r.onLoop(func(l *loop) {
		for _, c := range l.conns {
			if c == nil {
				continue
			}
			l.enqueue(c, []byte("+1\r\n"), nil)
			l.interest(c)
			c.unread = true
			l.interest(c)
			if len(l.later) != 0 {
				t.Error("it is read again and again")
			}
			l.flush(c)
		}
	})
	want(t, c.reply(), "1")
	want(t, c.do("PING"), "PONG")
}
