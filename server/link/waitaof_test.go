package link_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	. "github.com/understudy-db/understudy/server/servertest"
)

func waitAOF(t *testing.T, c Peer, local, replicas, timeout string) string {
	t.Helper()
	v := c.Do("WAITAOF", local, replicas, timeout)
	if v.IsError() {
		return string(v.Str)
	}
	if len(v.Elems) != 2 {
		t.Fatalf("WAITAOF answers %s", v)
	}
	return fmt.Sprint(v.Elems[0].Int, v.Elems[1].Int)
}

// TestWaitAOF is Redis 7.2's WAITAOF: what is on which disks. The values are those that Redis' own suite asks for.
func TestWaitAOF(t *testing.T) {
	master := StartProcess(t, append(noDelay, "--appendonly", "yes", "--appendfsync", "no")...)
	replica := StartProcess(t, "--appendonly", "yes", "--appendfsync", "no")
	memory := StartProcess(t)
	replicate(t, replica, master)
	replicate(t, memory, master)
	for _, c := range []struct{ local, replicas, timeout, want string }{
		{"x", "0", "0", "ERR value is not an integer or out of range"},
		{"2", "0", "0", "ERR value is out of range, value must between 0 and 1"},
		{"-1", "0", "0", "ERR value is out of range, value must between 0 and 1"},
		{"1", "-1", "0", "ERR value is out of range, must be positive"},
		{"1", "x", "0", "ERR value is out of range, must be positive"},
		{"1", "0", "x", "ERR timeout is not an integer or out of range"},
		{"1", "0", "-1", "ERR timeout is negative"},
	} {
		if got := waitAOF(t, master, c.local, c.replicas, c.timeout); got != c.want {
			t.Errorf("WAITAOF %s %s %s: %s, want %s", c.local, c.replicas, c.timeout, got, c.want)
		}
	}
	if got := waitAOF(t, replica, "0", "0", "0"); !strings.HasPrefix(got, "ERR WAITAOF cannot be used with replica instances") {
		t.Errorf("on a replica: %s", got)
	}
	if got := waitAOF(t, memory, "1", "0", "0"); !strings.HasPrefix(got, "ERR WAITAOF cannot be used with replica instances") {
		t.Errorf("on a replica without a file: %s", got)
	}
	Await(t, "the replica's first rewrite", func() bool { return replica.Info("aof_rewrites") == "1" }) // it syncs what it has
	master.Must("SET", "a", "1")
	if got := waitAOF(t, master, "1", "0", "200"); got != "0 0" {
		t.Errorf("nobody has synced: %s", got)
	}
	master.Must("CONFIG", "SET", "appendfsync", "everysec")
	if got := waitAOF(t, master, "1", "0", "0"); got != "1 0" {
		t.Errorf("the master has synced: %s", got)
	}
	master.Must("SET", "a", "2")
	if got := waitAOF(t, master, "1", "0", "0"); got != "1 0" {
		t.Errorf("the master has synced again: %s", got)
	}
	began := time.Now()
	if got := waitAOF(t, master, "1", "1", "300"); got != "1 0" || time.Since(began) < 250*time.Millisecond {
		t.Errorf("no replica has: %s after %v", got, time.Since(began))
	}
	replica.Must("CONFIG", "SET", "appendfsync", "everysec")
	for i := range 3 {
		master.Must("SET", "a", strconv.Itoa(i))
		if got := waitAOF(t, master, "1", "1", "0"); got != "1 1" {
			t.Errorf("both have synced: %s", got)
		}
	}
	replica.Must("CONFIG", "SET", "appendfsync", "always")
	began = time.Now()
	for range 20 { // asked for, not waited for until the next second
		master.Must("INCR", "n")
		if got := waitAOF(t, master, "0", "1", "0"); !strings.HasSuffix(got, " 1") {
			t.Fatalf("a replica that syncs always: %s", got)
		}
	}
	if took := time.Since(began); took > 20*time.Second/2 {
		t.Errorf("twenty times took %v", took)
	}
	master.Must("INCR", "n")
	waitAOF(t, master, "0", "1", "0")
	if got := waitAOF(t, master, "0", "2", "100"); !strings.HasSuffix(got, " 1") {
		t.Errorf("a replica without a file counts: %s", got)
	}
	master.Must("MULTI")
	master.Must("INCR", "n")
	master.Must("WAITAOF", "1", "5", "0")
	if v := master.Must("EXEC"); len(v.Elems) != 2 || len(v.Elems[1].Elems) != 2 {
		t.Errorf("inside MULTI: %s", v)
	}
	replica.Kill()
	replica.Start()
	replica.Must("CONFIG", "SET", "appendfsync", "everysec") // it goes on by partial resync: no rewrite syncs
	replicate(t, replica, master)
	master.Must("INCR", "n")
	if got := waitAOF(t, master, "1", "1", "0"); got != "1 1" {
		t.Errorf("after the replica's restart: %s", got)
	}
}

// TestWaitAOFEnds: what ends a wait besides its time.
func TestWaitAOFEnds(t *testing.T) {
	master := StartProcess(t, "--appendonly", "yes", "--appendfsync", "no")
	waiting := func(words ...string) (*Client, chan resp.Value) {
		c, done := Dial(t, master.Port(), ""), make(chan resp.Value, 1)
		t.Cleanup(c.Close)
		c.Must("SET", "a", "1") // nobody has asked for the stream: it has no offsets
		id := c.Must("CLIENT", "ID")
		go func() { done <- c.Do("WAITAOF", "1", "1", "0") }()
		Await(t, "the client to wait", func() bool {
			select {
			case v := <-done:
				t.Fatalf("it does not wait: %s", v)
			default:
			}
			return strings.Contains(string(master.Do("INFO", "clients").Str), "blocked_clients:1\r\n")
		})
		if len(words) > 0 {
			master.Must(append([]string{"CLIENT", "UNBLOCK", strconv.FormatInt(id.Int, 10)}, words...)...)
		}
		return c, done
	}
	_, done := waiting("TIMEOUT")
	if v := <-done; len(v.Elems) != 2 || v.Elems[0].Int != 0 || v.Elems[1].Int != 0 {
		t.Errorf("CLIENT UNBLOCK: %s", v)
	}
	_, done = waiting("ERROR")
	if v := <-done; !strings.HasPrefix(string(v.Str), "UNBLOCKED") {
		t.Errorf("CLIENT UNBLOCK ERROR: %s", v)
	}
	_, done = waiting()
	master.Must("CONFIG", "SET", "appendonly", "no")
	if v := <-done; !strings.Contains(string(v.Str), "WAITAOF cannot be used when numlocal is set but appendonly is disabled.") {
		t.Errorf("appendonly no: %s", v)
	}
	if got := waitAOF(t, master, "1", "0", "0"); !strings.Contains(got, "WAITAOF cannot be used when numlocal is set but appendonly is disabled.") {
		t.Errorf("without a file: %s", got)
	}
	if got := waitAOF(t, master, "0", "0", "0"); got != "0 0" {
		t.Errorf("without a file, asking for none: %s", got)
	}
	master.Must("CONFIG", "SET", "appendonly", "yes")
	_, done = waiting()
	master.Must("REPLICAOF", "127.0.0.1", "1")
	if v := <-done; !strings.HasPrefix(string(v.Str), "UNBLOCKED force unblock") {
		t.Errorf("the role changed: %s", v)
	}
}

// TestAcknowledgementsOfNewerReplicas: FACK counts from whoever sends it, and only up to the stream's end.
func TestAcknowledgementsOfNewerReplicas(t *testing.T) {
	master := Start(t, noDelay...)
	r := speak(t, master)
	r.say("REPLCONF", "capa", "eof", "capa", "psync2")
	r.line()
	r.say("PSYNC", "?", "-1")
	words := strings.Fields(r.line())
	r.payload()
	ack := func(offset, synced string) { r.say("REPLCONF", "ACK", offset, "FACK", synced) }
	ack(words[2], words[2])
	Await(t, "the replica to be online", func() bool { return strings.Contains(master.Info("slave0"), "state=online") })
	master.Must("SET", "a", "1")
	end := master.Info("master_repl_offset")
	ack(end, "99999999")
	ack(end, words[2])
	Await(t, "the acknowledgement", func() bool { return strings.Contains(master.Info("slave0"), "offset="+end) })
	if got := waitAOF(t, master, "0", "1", "100"); got != "0 0" {
		t.Errorf("what was acknowledged is beyond the stream: %s", got)
	}
	ack(end, end)
	if got := waitAOF(t, master, "0", "1", "0"); got != "0 1" {
		t.Errorf("after FACK: %s", got)
	}
}
