package abuse

import (
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// guests is what somebody without the password tries.
var guests = []string{
	"GET key:1\r\n", "SET key:1 x\r\n", "FLUSHALL\r\n", "CONFIG GET requirepass\r\n", "DEBUG DIGEST\r\n", "SHUTDOWN NOSAVE\r\n", "REPLICAOF 127.0.0.1 1\r\n",
	"PSYNC ? -1\r\n", "SYNC\r\n", "REPLCONF capa eof\r\n", "MULTI\r\nSET key:1 x\r\nEXEC\r\n", "INFO\r\n", "CLIENT LIST\r\n", "KEYS *\r\n", "nonsense\r\n", "PING\r\n",
	"AUTH\r\n", "AUTH wrong\r\n", "AUTH default wrong\r\n", "AUTH nobody secret\r\n", "AUTH a b c\r\n", "AUTH \"\"\r\n", "AUTH secretx\r\nGET key:1\r\n",
	"HELLO 3\r\n", "HELLO 3 AUTH default wrong\r\n", "HELLO 9\r\n", "RESET\r\nGET key:1\r\n",
	"AUTH secret\r\nGET key:1\r\nRESET\r\nGET key:1\r\n",
	"*11\r\n", "*2147483647\r\n", "*1\r\n$16385\r\n", "*2\r\n$4\r\nAUTH\r\n$536870912\r\n",
	encode("AUTH", "secret") + encode("MGET", "key:1", "key:2", "key:3", "key:4", "key:5", "key:6", "key:7", "key:8", "key:9", "key:10", "key:11"),
	encode("AUTH", "secret") + encode("ECHO", strings.Repeat("x", 20000)),
	encode("AUTH", "wrong") + encode("ECHO", strings.Repeat("x", 20000)),
	encode("AUTH", "wrong") + encode("MGET", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"),
	encode("AUTH", strings.Repeat("y", 16385)),
}

// TestWithoutThePassword: guests are refused as redis-server refuses them, and AUTH counts from the next command on.
func TestWithoutThePassword(t *testing.T) {
	v, real := newVictim(t, "--requirepass", "secret"), servertest.StartRedis(t, "--requirepass", "secret")
	fill(real)
	for _, in := range guests {
		ours, theirs := exchange(t, v.Port(), in, len(in)), exchange(t, real.Port(), in, len(in))
		if strings.HasPrefix(in, "HELLO 3\r\n") || strings.HasPrefix(in, "HELLO 9") {
			ours, theirs = firstLine(ours), firstLine(theirs)
		}
		if ours != theirs {
			t.Errorf("%.80q: answered\n%.300q, redis-server\n%.300q", in, ours, theirs)
		}
	}
	if log := v.Log(); strings.Contains(log, "secret") {
		t.Error("the log tells the password")
	}
	v.unharmed()
}

func firstLine(s string) string { line, _, _ := strings.Cut(s, "\r\n"); return line }

// TestGuessing: a thousand wrong passwords on one connection and on many.
func TestGuessing(t *testing.T) {
	v := newVictim(t, "--requirepass", "secret")
	got := exchange(t, v.Port(), strings.Repeat("AUTH guess\r\n", 1000)+"GET key:1\r\n", 1<<20)
	if n := strings.Count(got, "-WRONGPASS "); n != 1000 {
		t.Errorf("%d of 1000 guesses were refused", n)
	}
	if !strings.Contains(got, "-NOAUTH Authentication required.") {
		t.Errorf("a guesser reads: %.200q", got)
	}
	for range 200 {
		w := dial(t, v.Port())
		w.say("AUTH guess\r\n")
		w.reset()
	}
	v.unharmed()
}
