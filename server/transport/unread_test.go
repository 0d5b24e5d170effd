package transport

import (
	"fmt"
	"math/rand"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
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

// TestFarewellBehindBytes: the end of a connection is seen when it came together with bytes, while the loop had something else to do.
func TestFarewellBehindBytes(t *testing.T) {
	r := newRig(t, rigOptions{})
	busy := dial(t, r.addr)
	for _, sent := range []string{"PING\r\n", "*2\r\n$3\r\nGE", "PING\r\n*2\r\n$3\r\nGE"} {
		c := dial(t, r.addr)
		want(t, c.do("PING"), "PONG")
		busy.send("DEBUG", "SLEEP", "0.05")
		c.raw(sent)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := c.ends(); strings.Count(got, "PONG") != strings.Count(sent, "PING") {
			t.Errorf("%q is answered with %q", sent, got)
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
