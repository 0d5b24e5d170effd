package transport

import (
	"fmt"
	"strings"
	"testing"
)

// TestLongestArgumentIsTheLatestSetting: proto-max-bulk-len counts for the next request of connections that are there, too.
func TestLongestArgumentIsTheLatestSetting(t *testing.T) {
	r := newRig(t, rigOptions{})
	c, other := dial(t, r.addr), dial(t, r.addr)
	want(t, other.do("PING"), "PONG")
	want(t, c.do("CONFIG", "SET", "proto-max-bulk-len", "700mb"), "OK")
	for _, x := range []*client{c, other} {
		x.raw("*2\r\n$6\r\nSTRLEN\r\n$600000000\r\n") // more than by default
	}
	late := dial(t, r.addr)
	want(t, late.do("CONFIG", "SET", "proto-max-bulk-len", "1mb"), "OK")
	late.raw("*2\r\n$6\r\nSTRLEN\r\n$2000000\r\n")
	want(t, late.ends(), "-ERR Protocol error: invalid bulk length\r\n")
	want(t, dial(t, r.addr).do("PING"), "PONG")
	for _, x := range []*client{c, other} { // what was begun goes on
		x.raw("more")
	}
	if n := strings.Count(dial(t, r.addr).do("CLIENT", "LIST"), "cmd="); n != 4 {
		t.Errorf("%d clients are left of 4", n)
	}
}

// TestQueryLimitIsOfOneArgument: as in Redis, arguments that are whole do not count, only what is not understood yet.
func TestQueryLimitIsOfOneArgument(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	want(t, c.do("CONFIG", "SET", "client-query-buffer-limit", "1mb"), "OK")
	part := strings.Repeat("x", 400_000)
	c.raw("*9\r\n$4\r\nMSET\r\n")
	for i := range 4 {
		c.raw(fmt.Sprintf("$2\r\nk%d\r\n$%d\r\n", i, len(part)))
		c.raw(part[:100_000])
		want(t, dial(t, r.addr).do("PING"), "PONG") // several reads
		c.raw(part[100_000:] + "\r\n")
	}
	want(t, c.reply(), "OK")
	c.raw(fmt.Sprintf("*2\r\n$6\r\nSTRLEN\r\n$%d\r\n", 4<<20) + part + part + part)
	want(t, c.ends(), "")
}
