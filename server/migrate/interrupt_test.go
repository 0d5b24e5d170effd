package migrate_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	. "github.com/understudy-db/understudy/server/servertest"
)

// underWay begins a MIGRATE whose target does not answer before the link goes on.
func underWay(t *testing.T) (from, to *Server, id string, link *Proxy, answer chan resp.Value) {
	t.Helper()
	from, to = Start(t), Start(t)
	link = NewProxy(t, to.Port())
	link.Stall(true)
	from.Must("SET", "k", "v")
	c := Dial(t, from.Port(), "")
	t.Cleanup(c.Close)
	id = strconv.FormatInt(c.Must("CLIENT", "ID").Int, 10)
	answer = make(chan resp.Value, 1)
	go func() { answer <- c.Do("MIGRATE", "127.0.0.1", strconv.Itoa(link.Port()), "k", "0", "20000") }()
	Await(t, "the client to wait", func() bool {
		return strings.Contains(string(from.Do("INFO", "clients").Str), "blocked_clients:1\r\n")
	})
	return from, to, id, link, answer
}

// stays checks for a while that the key is where it was, and that nobody was answered.
func stays(t *testing.T, from *Server, answer chan resp.Value) {
	t.Helper()
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if v := from.Do("GET", "k"); string(v.Str) != "v" {
			t.Fatalf("the key is %s", v)
		}
		select {
		case v := <-answer:
			t.Fatalf("answered %s", v)
		default:
		}
	}
}

// TestMigrateEndsByClientUnblock: the client is told so, and the key stays, though it arrives at the other server later.
func TestMigrateEndsByClientUnblock(t *testing.T) {
	from, to, id, link, answer := underWay(t)
	if n := from.Must("CLIENT", "UNBLOCK", id); n.Int != 1 {
		t.Fatalf("CLIENT UNBLOCK: %s", n)
	}
	if v := <-answer; !strings.HasPrefix(v.String(), "(error) IOERR MIGRATE was ended by CLIENT UNBLOCK") {
		t.Errorf("MIGRATE answers %s", v)
	}
	link.Stall(false)
	Await(t, "the key to arrive", func() bool { return string(to.Do("GET", "k").Str) == "v" })
	stays(t, from, answer)
	if v := from.Do("MIGRATE", "127.0.0.1", strconv.Itoa(to.Port()), "k", "0", "5000", "REPLACE"); v.String() != "OK" || from.Do("EXISTS", "k").Int != 0 {
		t.Errorf("once more: %s", v)
	}
}

// TestMigrateWaitsForTheEndOfAPause: CLIENT PAUSE WRITE holds back the deletion, which is a write.
func TestMigrateWaitsForTheEndOfAPause(t *testing.T) {
	from, to, _, link, answer := underWay(t)
	from.Must("CLIENT", "PAUSE", "30000", "WRITE")
	link.Stall(false)
	Await(t, "the key to arrive", func() bool { return string(to.Do("GET", "k").Str) == "v" })
	stays(t, from, answer)
	from.Must("CLIENT", "UNPAUSE")
	if v := <-answer; v.String() != "OK" || from.Do("EXISTS", "k").Int != 0 {
		t.Errorf("after the pause: %s", v)
	}
}

// TestMigrateOfAServerThatBecomesAReplica deletes nothing: the data set is its master's now.
func TestMigrateOfAServerThatBecomesAReplica(t *testing.T) {
	from, to, _, link, answer := underWay(t)
	from.Must("REPLICAOF", "127.0.0.1", "1")
	link.Stall(false)
	v := <-answer
	if !v.IsError() {
		t.Fatalf("MIGRATE answers %s", v)
	}
	Await(t, "the key to arrive", func() bool { return string(to.Do("GET", "k").Str) == "v" })
	stays(t, from, answer)
	from.Must("REPLICAOF", "NO", "ONE")
	stays(t, from, answer)
}
