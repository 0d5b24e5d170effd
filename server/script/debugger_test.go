package script_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

const debuggedScript = `local total = redis.call('incr','runs')
local function add(x)
  redis.call('set', 'last', x)
  return x + 1
end
total = add(total) + tonumber(ARGV[1])
if total == 100 then
  total = 0
end
redis.debug('total', total, {1, 'x', {k = 2}})
redis.breakpoint()
redis.call('set', 'total', total)
return {total, KEYS[1]}`

// debugTalk is said to both debuggers, which answer the same. What Lua's compilers place differently (the line of a function's
// end, locals at a call's first step) is left out.
var debugTalk = []string{"list", "l 3", "l 3 2", "w", "l 0", "p KEYS", "p ARGV", "p nosuch", "b", "b 3 9", "b 99", "b x", "b", "b -9", "b -9", "c", "t", "n", "p x", "b 0", "b", "c", "e 1+1", "e nosuch",
	"e error('x')", "e {1,'a',{b={}}}", "e redis.call('get','last')", "r set foo bar", "r get foo", "r get nothing", "r hset h f v", "r hgetall h", "r lrange foo 0 1", "r nosuch", "r get", "r",
	"maxlen", "maxlen 10", "e string.rep('x',100)", "m 0", "m", "e string.rep('y',100)", "foo", "l 1 2 3", "s", "s"}

func debugSession(t *testing.T, network, address string) (said []string) {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	r := resp.NewReader(conn)
	ask := func(words ...string) {
		t.Helper()
		if _, err := conn.Write(resp.AppendCommandStrings(nil, words...)); err != nil {
			t.Fatal(err)
		}
		v, err := r.Read()
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		said = append(said, fmt.Sprintf("%q: %s", words, v))
	}
	ask("SCRIPT", "DEBUG", "nonsense")
	ask("SCRIPT", "DEBUG", "SYNC")
	ask("EVALSHA", "x", "0")
	ask("EVALSHA", strings.Repeat("0", 40), "0")
	ask("EVAL", debuggedScript, "1", "key", "5")
	for _, line := range debugTalk {
		ask(strings.Fields(line)...)
	}
	v, err := r.Read() // the script's own answer
	said = append(said, fmt.Sprint(v, err))
	if _, err := r.Read(); err != io.EOF {
		t.Errorf("after the session: %v", err)
	}
	return said
}

func TestDebuggerAnswersAsRedisDoes(t *testing.T) {
	ours, real := servertest.Start(t), oracle.Start(t, "--save", "", "--lua-time-limit", "0")
	want := debugSession(t, "unix", real.Sock)
	got := debugSession(t, "tcp", fmt.Sprintf("127.0.0.1:%d", ours.Port()))
	for i := range want {
		if i >= len(got) || want[i] != got[i] {
			t.Errorf("redis-server: %s\nours:         %s", want[i], got[min(i, len(got)-1)])
		}
	}
	if got := ours.Do("MGET", "runs", "last", "total").String(); got != real.Do("MGET", "runs", "last", "total").String() {
		t.Errorf("the script left %s", got)
	}
}

// TestDebuggerEnds: with abort, or when its client goes: then the script runs to its end and others are served.
func TestDebuggerEnds(t *testing.T) {
	s := servertest.Start(t)
	for _, last := range []string{"abort", ""} {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		r := resp.NewReader(conn)
		for _, words := range [][]string{{"SCRIPT", "DEBUG", "SYNC"}, {"EVAL", debuggedScript, "1", "key", "5"}} {
			conn.Write(resp.AppendCommandStrings(nil, words...))
			if v, err := r.Read(); err != nil || v.IsError() {
				t.Fatalf("%q: %s %v", words, v, err)
			}
		}
		if last == "" {
			conn.Close()
			continue
		}
		conn.Write(resp.AppendCommandStrings(nil, last))
		for _, part := range []string{"<endsession>", "script aborted for user request"} {
			if v, err := r.Read(); err != nil || !strings.Contains(v.String(), part) {
				t.Fatalf("%s: %s %v", last, v, err)
			}
		}
	}
	servertest.Await(t, "the script to run to its end", func() bool { return s.Do("GET", "total").String() == `"7"` })
}
