package migrate_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	. "github.com/understudy-db/understudy/server/servertest"
)

// peer is a server of either kind.
type peer interface {
	Peer
	Do(args ...string) resp.Value
	Port() int
}

// fill makes a key of each type, and answers their names.
func fill(p peer) []string {
	p.Do("SET", "string", strings.Repeat("text", 100))
	p.Do("HSET", "hash", "f", "v", "g", "7")
	p.Do("RPUSH", "list", "a", "b", "c")
	p.Do("SADD", "set", "m", "n")
	p.Do("SADD", "ints", "1", "2")
	p.Do("ZADD", "zset", "1.5", "m", "-inf", "n")
	p.Do("XADD", "stream", "1-1", "f", "v")
	p.Do("XGROUP", "CREATE", "stream", "g", "0")
	return []string{"string", "hash", "list", "set", "ints", "zset", "stream"}
}

// TestMigrateBothWays: every type goes to redis-server and comes back from it, equal.
func TestMigrateBothWays(t *testing.T) {
	ours, real := Start(t), StartRedis(t, "--enable-debug-command", "yes")
	for _, way := range [][2]peer{{ours, real}, {real, ours}} {
		from, to := way[0], way[1]
		from.Do("FLUSHALL")
		to.Do("FLUSHALL")
		keys := fill(from)
		before := from.Do(append([]string{"DEBUG", "DIGEST-VALUE"}, keys...)...).String()
		args := append([]string{"MIGRATE", "127.0.0.1", strconv.Itoa(to.Port()), "", "0", "5000", "KEYS"}, keys...)
		if v := from.Do(args...); v.String() != "OK" {
			t.Fatalf("MIGRATE answers %s", v)
		}
		if n := from.Do("DBSIZE").Int; n != 0 {
			t.Errorf("%d keys stayed behind", n)
		}
		if after := to.Do(append([]string{"DEBUG", "DIGEST-VALUE"}, keys...)...).String(); after != before {
			t.Errorf("digests before %s, after %s", before, after)
		}
	}
}

// TestMigrateAnswersAsRedis compares refusals, and what is left on both sides after each.
func TestMigrateAnswersAsRedis(t *testing.T) {
	sides := []peer{StartRedis(t), Start(t)}
	targets := []peer{StartRedis(t), StartRedis(t)}
	for _, args := range [][]string{
		{"k", "0", "1000"}, {"k", "0", "1000"}, {"nokey", "0", "1000"}, {"x", "0", "1000", "bogus"}, {"x", "a", "1000"}, {"x", "0", "b"}, {"x", "99", "1000"},
		{"busy", "0", "1000"}, {"busy", "0", "1000", "COPY"}, {"busy", "0", "1000", "COPY", "REPLACE"}, {"busy", "0", "0", "REPLACE"},
		{"x", "0", "1000", "AUTH", "nonsense"}, {"x", "0", "1000", "AUTH2", "nobody", "nonsense"}, {"x", "0", "1000", "AUTH"}, {"x", "0", "1000", "KEYS", "x"},
		{"", "0", "1000", "KEYS", "nokey", "y", "x"}, {"", "0", "1000", "KEYS", "p", "q"}, {"", "3", "1000", "COPY", "KEYS", "p", "q"},
	} {
		var got [2]string
		for i, from := range sides {
			for _, key := range []string{"k", "x", "y", "busy", "p", "q"} {
				from.Do("SET", key, "v-"+key)
			}
			targets[i].Do("SET", "busy", "old")
			targets[i].Do("SET", "q", "old")
			cmd := append([]string{"MIGRATE", "127.0.0.1", strconv.Itoa(targets[i].Port())}, args...)
			got[i] = from.Do(cmd...).String()
			for _, key := range []string{"k", "x", "y", "busy", "p", "q"} {
				got[i] += " " + from.Do("GET", key).String() + " " + targets[i].Do("GET", key).String()
			}
			targets[i].Do("FLUSHALL")
		}
		if got[0] != got[1] {
			t.Errorf("MIGRATE %q: redis-server %s; ours %s", args, got[0], got[1])
		}
	}
	for i, from := range sides {
		if v := from.Do("MIGRATE", "127.0.0.1", strconv.Itoa(FreePort(t)), "x", "0", "500").String(); v != "(error) IOERR error or timeout writing to target instance" {
			t.Errorf("side %d: nobody listens there, and MIGRATE answers %s", i, v)
		}
		if v := from.Do("EXISTS", "x").Int; v != 1 {
			t.Errorf("side %d: the key is gone", i)
		}
	}
}

// TestMigrateLosesNoWrite: others go on while a key is under way, and what they change is either on the other server or
// still here.
func TestMigrateLosesNoWrite(t *testing.T) {
	from, to := Start(t), Start(t)
	slow := NewProxy(t, to.Port())
	slow.Slow(2 * time.Millisecond)
	writer := Dial(t, from.Port(), "")
	for range 20 {
		stop, counted, began := make(chan struct{}), make(chan int64), make(chan struct{})
		go func() {
			var n int64
			for {
				select {
				case <-stop:
					counted <- n
					return
				default:
				}
				if v := writer.Do("INCR", "n"); !v.IsError() {
					n++
				}
				if n == 1 {
					close(began)
				}
			}
		}()
		<-began
		v := from.Do("MIGRATE", "127.0.0.1", strconv.Itoa(slow.Port()), "n", "0", "50000")
		time.Sleep(3 * time.Millisecond)
		close(stop)
		want := <-counted
		there, _ := strconv.ParseInt(string(to.Do("GET", "n").Str), 10, 64)
		here, _ := strconv.ParseInt(string(from.Do("GET", "n").Str), 10, 64)
		if v.String() != "OK" || there+here != want || there == 0 {
			t.Fatalf("MIGRATE answers %s; of %d increments %d went and %d stayed", v, want, there, here)
		}
		from.Do("DEL", "n")
		to.Do("DEL", "n")
	}
}

// TestMigrateHoldsNobodyUp: while the other server does not answer, others are served.
func TestMigrateHoldsNobodyUp(t *testing.T) {
	from, to := Start(t), Start(t)
	mute := NewProxy(t, to.Port())
	mute.Stall(true)
	from.Do("SET", "k", "v")
	other := Dial(t, from.Port(), "")
	id := strconv.FormatInt(from.Must("CLIENT", "ID").Int, 10)
	answer := make(chan resp.Value)
	go func() { answer <- from.Do("MIGRATE", "127.0.0.1", strconv.Itoa(mute.Port()), "k", "0", "1000000") }()
	Await(t, "the client to wait", func() bool {
		return strings.Contains(string(other.Do("INFO", "clients").Str), "blocked_clients:1\r\n")
	})
	if v := other.Do("GET", "k"); string(v.Str) != "v" {
		t.Errorf("GET answers %s", v)
	}
	select {
	case v := <-answer:
		t.Errorf("GET was answered after MIGRATE's %s", v)
	default:
	}
	other.Must("CLIENT", "UNBLOCK", id)
	<-answer
	if v := from.Do("MIGRATE", "127.0.0.1", strconv.Itoa(mute.Port()), "k", "0", "300"); !strings.HasPrefix(v.String(), "(error) IOERR error or timeout reading") {
		t.Errorf("MIGRATE answers %s", v)
	}
	if v := other.Do("MULTI"); v.IsError() {
		t.Fatal(v)
	}
	other.Do("MIGRATE", "127.0.0.1", strconv.Itoa(to.Port()), "k", "0", "50000")
	if v := other.Do("EXEC"); len(v.Elems) != 1 || v.Elems[0].String() != "OK" || to.Do("EXISTS", "k").Int != 1 {
		t.Errorf("in a transaction: %s", v)
	}
}
