package transport

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// TestUnsentRepliesAreKept asks for more than a socket takes, long values and short replies among each other, and lets another
// client use the loop and overwrite the values before it reads anything.
func TestUnsentRepliesAreKept(t *testing.T) {
	r := newRig(t, rigOptions{})
	other := dial(t, r.addr)
	sizes := []int{15 << 10, 16 << 10, 40 << 10, 600 << 10}
	value := func(i int, mark byte) []byte { return bytes.Repeat([]byte{mark + byte(i%24)}, sizes[i%len(sizes)]) }
	const keys = 96 // 16 MB: more than the kernel keeps for a connection
	set := func(mark byte) {
		for i := range keys {
			other.raw(string(resp.AppendCommand(nil, []byte("SET"), fmt.Appendf(nil, "k%d", i), value(i, mark))))
			if v, err := other.r.Read(); err != nil || v.String() != "OK" {
				t.Fatal(v, err)
			}
		}
	}
	set('a')
	c := dial(t, r.addr)
	c.Conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	var ask []byte
	for i := range keys {
		ask = resp.AppendCommandStrings(ask, "ECHO", fmt.Sprint("before ", i))
		ask = resp.AppendCommandStrings(ask, "GET", fmt.Sprint("k", i))
	}
	c.raw(string(ask))
	for !strings.Contains(other.do("INFO", "commandstats"), fmt.Sprintf("cmdstat_get:calls=%d,", keys)) { // its deadline ends this
		time.Sleep(time.Millisecond)
	}
	set('A')
	const copies = keys // they are made where c's replies were
	other.raw(strings.Repeat("GET k0\r\n", copies))
	for range copies {
		if v, err := other.r.Read(); err != nil || !bytes.Equal(v.Str, value(0, 'A')) {
			t.Fatalf("%d bytes, %.60v", len(v.Str), err)
		}
	}
	for i := range keys {
		if v, err := c.r.Read(); err != nil || string(v.Str) != fmt.Sprint("before ", i) {
			t.Fatalf("reply %d: %.60q, %.60v", i, v.Str, err)
		}
		if v, err := c.r.Read(); err != nil || !bytes.Equal(v.Str, value(i, 'a')) {
			t.Fatalf("value %d has %d bytes, of %d, or those of later: %.60v", i, len(v.Str), len(value(i, 'a')), err)
		}
	}
}
