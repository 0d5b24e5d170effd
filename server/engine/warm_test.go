package engine

import (
	"fmt"
	"strings"
	"testing"
)

// What a batch fetches ahead must not matter to what it does, whatever the commands look like: too short, of other kinds, of
// other databases, or without a key.
func TestWarmingElementsChangesNothing(t *testing.T) {
	b := newBench(t)
	c := b.client()
	for i := 0; i < 1000; i += 100 { // a table
		line := "hset h"
		for j := range 100 {
			line += fmt.Sprintf(" f%d v", i+j)
		}
		b.run(c, line)
	}
	short := "-ERR wrong number of arguments for 'hset' command\r\n"
	want(t, b.run(c, "hset", "hset h", "hset", "ping", "hset h"), strings.Repeat(short, 3)+"+PONG\r\n"+short)
	want(t, b.run(c, "hset h f1 w", "hget h f1", "ping", "hset h new w", "hdel h f2", "hlen h", "hset"),
		":0\r\n$1\r\nw\r\n+PONG\r\n:1\r\n:1\r\n:1000\r\n"+short)
	want(t, b.run(c, "sadd s a", "sadd s b", "sadd s a", "sadd s c", "scard s"), ":1\r\n:1\r\n:0\r\n:1\r\n:3\r\n")
	want(t, b.run(c, "hget h f3", "select 1", "hget h f3", "hset h f3 x", "hget h f3", "select 0", "hget h f3"),
		"$1\r\nv\r\n+OK\r\n$-1\r\n:1\r\n$1\r\nx\r\n+OK\r\n$1\r\nv\r\n")
}
