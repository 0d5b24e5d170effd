package link_test

import (
	"bytes"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/understudy-db/understudy/server/servertest"
)

// TestWhatReplicasAnnounce: a name and a port in place of the address, in INFO, ROLE and FAILOVER; its priority and whether Sentinel is to
// know of it are told by the replica itself.
func TestWhatReplicasAnnounce(t *testing.T) {
	for _, real := range []bool{false, true} {
		t.Run(fmt.Sprint("real replica=", real), func(t *testing.T) {
			master := Start(t, noDelay...)
			args := []string{"--replica-announce-ip", "replica-0.db.example.com", "--replica-announce-port", "7001", "--replica-priority", "7", "--replica-announced", "no"}
			var replica Peer
			if real {
				replica = StartRedis(t, args...)
			} else {
				replica = Start(t, args...)
			}
			replicate(t, replica, master)
			Await(t, "the replica to be online", func() bool { return strings.Contains(master.Info("slave0"), "state=online") })
			if got := master.Info("slave0"); !strings.HasPrefix(got, "ip=replica-0.db.example.com,port=7001,state=online,") {
				t.Errorf("INFO: %s", got)
			}
			role := master.Must("ROLE").Elems[2].Elems[0].Elems
			if string(role[0].Str) != "replica-0.db.example.com" || string(role[1].Str) != "7001" {
				t.Errorf("ROLE: %s %s", role[0], role[1])
			}
			if p, a := replica.Info("slave_priority"), replica.Info("replica_announced"); p != "7" || a != "0" {
				t.Errorf("priority %s, announced %s", p, a)
			}
			if v := master.Do("FAILOVER", "TO", "127.0.0.1", strconv.Itoa(replica.Port())); !strings.Contains(string(v.Str), "is not a replica") {
				t.Errorf("FAILOVER to the address that was not announced: %s", v)
			}
		})
	}
}

// TestUserOfTheLink: masteruser and masterauth name a user of the master's ACL. They are changed while the link stands, which stays, and
// count when it is made anew.
func TestUserOfTheLink(t *testing.T) {
	for _, real := range []bool{false, true} {
		t.Run(fmt.Sprint("real master=", real), func(t *testing.T) {
			var master Peer
			if real {
				master = StartRedis(t)
			} else {
				master = Start(t, noDelay...)
			}
			for _, name := range []string{"one", "two"} { // no more than Redis' documentation gives a replica
				master.Must("ACL", "SETUSER", name, "on", ">"+name+"-secret", "+psync", "+replconf", "+ping")
			}
			line := NewProxy(t, master.Port())
			replica := Start(t, "--masteruser", "one", "--masterauth", "wrong")
			replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(line.Port()))
			Await(t, "the refusal", func() bool { return strings.Contains(replica.Log(), "Unable to AUTH to MASTER: -WRONGPASS") })
			replica.Must("CONFIG", "SET", "masterauth", "one-secret")
			AwaitLink(t, replica)
			Await(t, "the user of the link", func() bool {
				return strings.Contains(string(master.Must("CLIENT", "LIST", "TYPE", "replica").Str), "user=one")
			})
			replica.Must("CONFIG", "SET", "masteruser", "two", "masterauth", "two-secret")
			time.Sleep(200 * time.Millisecond)
			if list := string(master.Must("CLIENT", "LIST", "TYPE", "replica").Str); !strings.Contains(list, "user=one") {
				t.Errorf("the link did not stay: %s", list)
			}
			master.Must("SET", "a", "1")
			line.Cut()
			Await(t, "the other user", func() bool {
				return strings.Contains(string(master.Must("CLIENT", "LIST", "TYPE", "replica").Str), "user=two")
			})
			AwaitLink(t, replica)
			MustAgree(t, master, replica)
			if n := fulls(t, master); n != 1 {
				t.Errorf("%d full syncs", n)
			}
		})
	}
}

// TestReportsAndHeartbeats: a replica reports its offset each second, from which its master tells the lag, and gets a PING each
// repl-ping-replica-period.
func TestReportsAndHeartbeats(t *testing.T) {
	master, replica := Start(t, append(noDelay, "--repl-ping-replica-period", "1")...), Start(t)
	line := NewProxy(t, master.Port())
	replicate(t, replica, via(line))
	has := func(text string) func() bool {
		return func() bool { return strings.Contains(master.Info("slave0"), text) }
	}
	Await(t, "the replica to be online", has("state=online"))
	for range 3 {
		at := number(t, master.Info("master_repl_offset"))
		Await(t, "a PING", func() bool { return number(t, master.Info("master_repl_offset")) > at })
		if moved := number(t, master.Info("master_repl_offset")) - at; moved%14 != 0 {
			t.Errorf("the stream moved by %d bytes: no PINGs", moved)
		}
		Await(t, "its report", func() bool { return has("offset=" + master.Info("master_repl_offset") + ",lag=")() })
	}
	line.Stall(true)
	Await(t, "the lag to grow", func() bool {
		_, lag, _ := strings.Cut(master.Info("slave0"), "lag=")
		return number(t, lag) >= 2
	})
	line.Stall(false)
	Await(t, "the lag to end", func() bool { return has("lag=0")() || has("lag=1")() })
}

// TestASlowReaderOfThePayload: redis-cli --rdb over a slow line. It gets no stream, so what is written meanwhile is not held against it.
func TestASlowReaderOfThePayload(t *testing.T) {
	master := Start(t, "--repl-diskless-sync", "no", "--rdbcompression", "no", "--repl-backlog-size", "1mb", "--client-output-buffer-limit", "replica", "2mb", "0", "0")
	random := make([]byte, 1<<20)
	rand.New(rand.NewSource(1)).Read(random)
	for i := range 32 {
		master.Must("SET", "k"+strconv.Itoa(i), string(random))
	}
	reader := speak(t, master)
	reader.say("REPLCONF", "rdb-only", "1")
	if got := reader.line(); got != "+OK" {
		t.Fatal(got)
	}
	reader.say("SYNC")
	size, err := strconv.Atoi(strings.TrimPrefix(reader.line(), "$"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		master.Must("SET", "w"+strconv.Itoa(i), string(random))
	}
	time.Sleep(500 * time.Millisecond) // the limit is looked at several times
	if held := number(t, master.Info("mem_total_replication_buffers")); held > 4<<20 {
		t.Errorf("%d bytes of the stream are held back", held)
	}
	payload := make([]byte, 0, size)
	buf := make([]byte, 1<<16)
	for len(payload) < size {
		n, err := reader.r.Read(buf)
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v", len(payload), size, err)
		}
		payload = append(payload, buf[:n]...)
	}
	if !bytes.HasPrefix(payload, []byte("REDIS0010")) || bytes.Count(payload, random) != 32 {
		t.Errorf("the payload begins with %.9q", payload)
	}
}
