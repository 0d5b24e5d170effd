package transport

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestClientListHearsWhatOthersHaveSent: what lies in the socket of one connection when another asks for CLIENT LIST counts there, on
// whichever loop both are, and however many reads it takes. So it is with one thread.
func TestClientListHearsWhatOthersHaveSent(t *testing.T) {
	for _, loops := range []int{1, 3} {
		r := newRig(t, rigOptions{loops: loops})
		asker := dial(t, r.addr)
		for _, size := range []int{1000, 130_000, 3_000_000} {
			part := strings.Repeat("v", size)
			late := 0
			for round := 0; round < 15; round++ {
				c, name := dial(t, r.addr), fmt.Sprintf("n%d:%d", size, round+late)
				want(t, c.do("CLIENT", "SETNAME", name), "OK")
				c.raw(fmt.Sprintf("*2\r\n$%d\r\n", size) + part)
				began := time.Now()
				list := asker.do("CLIENT", "LIST")
				if time.Since(began) > 900*time.Millisecond && late < 100 { // the loops are not waited for any longer than a second
					late++
					round--
					c.Close()
					continue
				}
				m := regexp.MustCompile(`name=` + name + ` .*?tot-mem=(\d+)`).FindStringSubmatch(list)
				if m == nil {
					t.Fatalf("%d loops: %s is not listed", loops, name)
				}
				if n, _ := strconv.Atoi(m[1]); n < size {
					t.Errorf("%d loops: a client that sent %d bytes takes %d", loops, size, n)
				}
				c.Close()
			}
		}
	}
}

// TestClientListOfBusyLoops: clients that never stop to ask hold nobody up who wants to know of them.
func TestClientListOfBusyLoops(t *testing.T) {
	r := newRig(t, rigOptions{loops: 2})
	for range 4 {
		c := dial(t, r.addr)
		go func() {
			for {
				if _, err := io.WriteString(c.Conn, "PING\r\n"); err != nil {
					return
				}
				if _, err := c.r.Read(); err != nil {
					return
				}
			}
		}()
	}
	asker := dial(t, r.addr)
	for range 100 {
		if n := strings.Count(asker.do("CLIENT", "LIST"), "id="); n != 5 {
			t.Fatalf("%d clients are listed, want 5", n)
		}
	}
	want(t, asker.do("CLIENT", "LIST", "ID", "12345"), `""`)
}
