package link_test

import (
	"fmt"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	. "github.com/understudy-db/understudy/server/servertest"
)

// fulls is how many full syncs the servers have given.
func fulls(t *testing.T, peers ...Peer) (n int64) {
	t.Helper()
	for _, p := range peers {
		n += number(t, p.Info("sync_full"))
	}
	return n
}

// rewinding is bigBacklog for servers that go back over heartbeats.
var rewinding = append([]string{"--repl-rewind-heartbeats", "yes"}, bigBacklog...)

// TestHeartbeatsCostNoFullSync: a master that was replaced has sent PINGs since, and nothing else. It goes on below the new master, and so
// does its own replica, with and without an append-only file.
func TestHeartbeatsCostNoFullSync(t *testing.T) {
	for _, c := range []struct {
		name string
		real bool // the new master is a redis-server
		aof  string
	}{{"ours", false, "no"}, {"redis", true, "no"}, {"ours with a file", false, "yes"}} {
		t.Run(c.name, func(t *testing.T) {
			old := StartProcess(t, append(rewinding, "--repl-ping-replica-period", "1", "--appendonly", c.aof)...)
			below := StartProcess(t, append(rewinding, "--appendonly", c.aof)...)
			var next Peer
			if c.real {
				next = StartRedis(t)
			} else {
				next = Start(t, bigBacklog...)
			}
			line := NewProxy(t, old.Port())
			fill(old, 100)
			replicate(t, next, via(line))
			replicate(t, below, old)
			MustAgree(t, old, next, below)
			line.Refuse(true)
			at := number(t, next.Info("master_repl_offset"))
			Await(t, "two PINGs", func() bool { return number(t, below.Info("master_repl_offset")) >= at+28 })
			next.Must("REPLICAOF", "NO", "ONE")
			next.Must("SET", "new", "master")
			replicate(t, old, next)
			AwaitLink(t, below)
			MustAgree(t, next, old, below)
			if n := fulls(t, old, next, below); n != 2 {
				t.Errorf("%d full syncs, want the first two", n)
			}
			if c.aof == "yes" { // the file has the place, not that of the PINGs
				next.Must("SET", "more", "of it")
				MustAgree(t, next, old, below)
				old.Kill()
				old.Start()
				replicate(t, old, next)
				MustAgree(t, next, old)
				if n := fulls(t, next); n != 0 {
					t.Errorf("%d full syncs after a restart", n)
				}
			}
		})
	}
}

// TestWritesOfAReplacedMasterAreSetAside: they are no heartbeats, so a full sync replaces them, and a file has them that can be played
// back.
func TestWritesOfAReplacedMasterAreSetAside(t *testing.T) {
	for _, real := range []bool{false, true} {
		t.Run(fmt.Sprint("real master=", real), func(t *testing.T) {
			old := StartProcess(t, append(bigBacklog, "--repl-ping-replica-period", "1")...)
			var next Peer
			if real {
				next = StartRedis(t)
			} else {
				next = Start(t, bigBacklog...)
			}
			line := NewProxy(t, old.Port())
			replicate(t, next, via(line))
			old.Must("SELECT", "3")
			old.Must("SET", "both", "v")
			MustAgree(t, old, next)
			line.Refuse(true)
			old.Must("RPUSH", "alone", "a", "b")
			next.Must("REPLICAOF", "NO", "ONE")
			next.Must("SET", "new", "master")
			replicate(t, old, next)
			MustAgree(t, next, old)
			if n := fulls(t, next); n != 1 || old.Must("EXISTS", "alone").Int != 0 {
				t.Errorf("%d full syncs", n)
			}
			name := old.Info("divergent_tail_file")
			text, err := os.ReadFile(filepath.Join(old.Dir(), name))
			if err != nil || !strings.Contains(old.Log(), "The 1 writes behind offset") || !strings.Contains(old.Log(), name) {
				t.Fatalf("file %q: %v", name, err)
			}
			conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(next.Port())))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, stream, _ := strings.Cut(string(text), "\r\n")
			if _, err := conn.Write([]byte(stream + "PING end\r\n")); err != nil {
				t.Fatal(err)
			}
			r := resp.NewReader(conn)
			for v := (resp.Value{}); string(v.Str) != "end"; {
				if v, err = r.Read(); err != nil || v.IsError() {
					t.Fatalf("playing it back: %s %v", v, err)
				}
			}
			next.Must("SELECT", "3")
			if n := next.Must("LLEN", "alone").Int; n != 2 {
				t.Errorf("%d elements after it was played back", n)
			}
			old.Kill()
			old.Start()
			if again := old.Info("divergent_tail_file"); again != name {
				t.Errorf("after a restart %q is told", again)
			}
		})
	}
}

// TestPromotedForNothing: a replica that was made a master, and wrote nothing, comes back to its old one, which has gone on.
func TestPromotedForNothing(t *testing.T) {
	for _, real := range []bool{false, true} {
		t.Run(fmt.Sprint("real master=", real), func(t *testing.T) {
			var master Peer
			if real {
				master = StartRedis(t)
			} else {
				master = Start(t, bigBacklog...)
			}
			middle, below := Start(t, append(rewinding, "--repl-ping-replica-period", "1")...), Start(t, rewinding...)
			fill(master, 100)
			replicate(t, middle, master)
			replicate(t, below, middle)
			MustAgree(t, master, middle, below)
			middle.Must("REPLICAOF", "NO", "ONE")
			AwaitLink(t, below)
			at := number(t, middle.Info("master_repl_offset"))
			Await(t, "a PING", func() bool { return number(t, middle.Info("master_repl_offset")) > at })
			master.Must("SET", "goes", "on")
			replicate(t, middle, master)
			AwaitLink(t, below)
			MustAgree(t, master, middle, below)
			if n := fulls(t, master, middle); n != 2 {
				t.Errorf("%d full syncs, want the first two", n)
			}
		})
	}
}

// TestWhoMissedPromotionsGoesOn: a redis-server that was away for three changes of the master still shares a past with the last one.
func TestWhoMissedPromotionsGoesOn(t *testing.T) {
	members := []Peer{Start(t, bigBacklog...), Start(t, bigBacklog...), Start(t, bigBacklog...), Start(t, bigBacklog...)}
	away := StartRedis(t)
	line := NewProxy(t, members[0].Port())
	replicate(t, away, via(line))
	for i, m := range members[1:] {
		replicate(t, m, members[i])
	}
	fill(members[0], 50)
	MustAgree(t, append([]Peer{members[0], away}, members[1:]...)...)
	line.Refuse(true)
	for i, m := range members[1:] {
		m.Must("REPLICAOF", "NO", "ONE")
		m.Must("SET", "reign", strconv.Itoa(i))
		if i+2 < len(members) {
			AwaitLink(t, members[i+2])
			MustAgree(t, m, members[i+2])
		}
	}
	last := members[len(members)-1]
	replicate(t, away, last)
	MustAgree(t, last, away)
	if n := fulls(t, last); n != 0 {
		t.Errorf("%d full syncs: %s", n, last.Info("sync_partial_err"))
	}
}

// TestSixDeepChainIsRewiredLive: any server is hung below any other while the top is written to. Who has got further than its new master
// waits for it, so nobody needs a full sync but the first.
func TestSixDeepChainIsRewiredLive(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewSource(seed))
	members := []Peer{Start(t, bigBacklog...)}
	above := []int{0}
	for i := range 6 {
		m := Start(t, bigBacklog...)
		replicate(t, m, members[i])
		members, above = append(members, m), append(above, i)
	}
	stop := writer(t, members[0].Port(), seed)
	below := func(i, j int) bool { // j is i or hangs below it
		for ; j != 0; j = above[j] {
			if j == i {
				return true
			}
		}
		return false
	}
	for range 20 {
		i := 1 + rnd.Intn(len(members)-1)
		j := rnd.Intn(len(members))
		if below(i, j) || above[i] == j {
			continue
		}
		above[i] = j
		members[i].Must("REPLICAOF", "127.0.0.1", strconv.Itoa(members[j].Port()))
		time.Sleep(time.Duration(rnd.Intn(60)) * time.Millisecond)
	}
	stop()
	for _, m := range members[1:] {
		AwaitLink(t, m)
	}
	MustAgree(t, members...)
	if n := fulls(t, members...); n != 6 {
		t.Errorf("%d full syncs, want the first six", n)
	}
}

// TestLoopsAreHarmless: servers that follow each other in a ring serve what they have, and go on when one becomes a master again.
func TestLoopsAreHarmless(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			ring := []Peer{Start(t, bigBacklog...)}
			ring[0].Must("SET", "a", "1")
			for i := 1; i < n; i++ {
				ring = append(ring, Start(t, bigBacklog...))
				replicate(t, ring[i], ring[i-1])
			}
			MustAgree(t, ring...)
			ring[0].Must("REPLICAOF", "127.0.0.1", strconv.Itoa(ring[n-1].Port()))
			time.Sleep(300 * time.Millisecond)
			for i, m := range ring {
				if v := m.Do("GET", "a"); string(v.Str) != "1" {
					t.Errorf("member %d of a ring: %s", i, v)
				}
				if v := m.Do("SET", "a", "2"); !strings.HasPrefix(string(v.Str), "READONLY") {
					t.Errorf("member %d takes a write: %s", i, v)
				}
			}
			ring[0].Must("REPLICAOF", "NO", "ONE")
			ring[0].Must("SET", "a", "3")
			for _, m := range ring[1:] {
				AwaitLink(t, m)
			}
			MustAgree(t, ring...)
			if got := fulls(t, ring...); got != int64(n-1) {
				t.Errorf("%d full syncs, want the first %d", got, n-1)
			}
		})
	}
}
