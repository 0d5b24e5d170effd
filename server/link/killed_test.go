package link_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/understudy-db/understudy/server/servertest"
)

// underLoad lets clients write to the server on a port, in several databases, until the returned function is called: whether the
// server dies meanwhile or not.
func underLoad(t *testing.T, port int) (stop func()) {
	var over atomic.Bool
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			c := Dial(t, port, "")
			defer c.Close()
			for n := 0; !over.Load(); n++ {
				key := fmt.Sprintf("k:%d:%d", i, n%50)
				for _, words := range [][]string{{"SELECT", strconv.Itoa(n % 3)}, {"MULTI"}, {"INCR", "n"}, {"APPEND", key, strings.Repeat("x", 20)}, {"EXEC"},
					{"LPUSH", "list", key}, {"LTRIM", "list", "0", "99"}, {"PUBLISH", "news", key}} {
					if v := c.Do(words...); v.IsError() {
						break // the server is dead: the rest is for another one
					}
				}
			}
		})
	}
	return sync.OnceFunc(func() { over.Store(true); work.Wait() })
}

// TestKilledMasterIsFollowedOnAfterItsRestart kills a master with an append-only file under load, again and again. Whoever is near its end
// and whoever is far behind, ours and redis-server, directly and in a chain: all go on by partial resync (S8).
func TestKilledMasterIsFollowedOnAfterItsRestart(t *testing.T) {
	for _, policy := range []string{"always", "everysec", "no"} {
		t.Run(policy, func(t *testing.T) {
			master := StartProcess(t, append(noDelay, "--appendonly", "yes", "--appendfsync", policy, "--repl-backlog-size", "16mb", "--repl-ping-replica-period", "1")...)
			near, far, theirs, sub := StartProcess(t), StartProcess(t), StartRedis(t), StartProcess(t)
			lines := []*Proxy{NewProxy(t, master.Port()), NewProxy(t, master.Port())} // of far and theirs
			replicate(t, near, master)
			replicate(t, sub, near)
			far.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(lines[0].Port()))
			theirs.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(lines[1].Port()))
			replicas := []Peer{near, far, theirs, sub}
			for _, r := range replicas {
				AwaitLink(t, r)
			}
			big := strings.Repeat("v", 10_000)
			for round := range 6 {
				stop := underLoad(t, master.Port())
				time.Sleep(200 * time.Millisecond)
				lines[round%2].Refuse(true) // one of the two misses the rest
				if round%3 == 2 {
					stopped(t, near.Pid(), true)
				}
				from := master.Info("master_repl_offset")
				for i := range 30 {
					master.Must("SET", fmt.Sprintf("big:%d:%d", round, i), big)
				}
				if missed := number(t, master.Info("master_repl_offset")) - number(t, from); missed < 100_000 {
					t.Fatalf("%d bytes are missed", missed)
				}
				master.Kill()
				stop()
				stopped(t, near.Pid(), false)
				master.Start()
				lines[round%2].Refuse(false)
				for _, r := range replicas {
					AwaitLink(t, r)
				}
				mustGoOn(t, round, master, 3)
				MustAgree(t, master, near, far, theirs, sub)
			}
			if full := near.Info("sync_full"); full != "1" {
				t.Errorf("%s full syncs of the chain's end", full)
			}
		})
	}
}

// mustGoOn waits until so many replicas go on behind a restarted master, and wants no full sync of it. A link that is up may still be the one
// to the process that was killed.
func mustGoOn(t *testing.T, round int, master Peer, replicas int64) (partial int64) {
	t.Helper()
	full := ""
	Await(t, "the replicas to come back", func() bool {
		full, partial = master.Info("sync_full"), number(t, master.Info("sync_partial_ok"))
		return full != "0" || partial >= replicas
	})
	if full != "0" {
		t.Errorf("round %d: %s full syncs and %d partial ones", round, full, partial)
	}
	return partial
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stopped holds a process up, or lets it go on.
func stopped(t *testing.T, pid int, on bool) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Signal(map[bool]os.Signal{true: syscall.SIGSTOP, false: syscall.SIGCONT}[on])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestKilledReplicaServesItsOwnReplicas: the middle of a chain dies, and its replica that was behind goes on from its file.
func TestKilledReplicaServesItsOwnReplicas(t *testing.T) {
	master := StartProcess(t, append(noDelay, "--repl-ping-replica-period", "1")...)
	middle := StartProcess(t, append(noDelay, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port()), "--appendonly", "yes", "--appendfsync", "always", "--repl-backlog-size", "16mb", "--replica-read-only", "no")...)
	AwaitLink(t, middle)
	Await(t, "the first rewrite", func() bool { return middle.Info("aof_rewrites") == "1" })
	ours, theirs := StartProcess(t), StartRedis(t)
	line := NewProxy(t, middle.Port())
	for _, r := range []Peer{ours, theirs} {
		r.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(line.Port()))
		AwaitLink(t, r)
	}
	for round := range 3 {
		stop := underLoad(t, master.Port())
		time.Sleep(100 * time.Millisecond)
		line.Refuse(true)
		for i := range 30 {
			master.Must("SET", fmt.Sprintf("big:%d", i), strings.Repeat("v", 10_000))
			middle.Must("SET", "mine", "1")
			middle.Must("DEL", "mine")
		}
		time.Sleep(1100 * time.Millisecond) // a PING
		stop()
		MustAgree(t, master, middle)
		middle.Kill()
		middle.Start()
		line.Refuse(false)
		for _, r := range []Peer{middle, ours, theirs} {
			AwaitLink(t, r)
		}
		if partial := mustGoOn(t, round, middle, 2); partial != 2 {
			t.Errorf("round %d: %d partial resyncs", round, partial)
		}
		MustAgree(t, master, middle, ours, theirs)
	}
	if full := master.Info("sync_full"); full != "1" {
		t.Errorf("%s full syncs of the middle", full)
	}
}

// TestNoReplicaIsAheadOfAKilledMaster: what replicas only get (here GETACK and PUBLISH) leaves the master when its file tells so, too. So
// whatever came last before the end, they continue.
func TestNoReplicaIsAheadOfAKilledMaster(t *testing.T) {
	for _, policy := range []string{"always", "everysec", "no"} {
		t.Run(policy, func(t *testing.T) {
			master := StartProcess(t, append(noDelay, "--appendonly", "yes", "--appendfsync", policy, "--repl-ping-replica-period", "1")...)
			ours, theirs := StartProcess(t), StartRedis(t)
			replicate(t, ours, master)
			replicate(t, theirs, master)
			for round := range 10 {
				for range 20 + 7*round {
					master.Must("SET", "a", "1")
					if round%2 == 0 {
						master.Must("WAIT", "2", "1000")
					} else {
						master.Must("PUBLISH", "news", "something")
					}
				}
				master.Kill()
				master.Start()
				for _, r := range []Peer{ours, theirs} {
					AwaitLink(t, r)
				}
				if full := master.Info("sync_full"); full != "0" {
					t.Errorf("round %d: %s full syncs", round, full)
				}
				MustAgree(t, master, ours, theirs)
			}
		})
	}
}

// TestNoReplicaHasMoreThanAMasterKilledAmidWrites: under the policies that do not wait for the disk replicas get what the file was given, so
// wherever a kill -9 falls, in a sync or a rewrite as well, the file has all that any of them has. DEBUG AOF-FLUSH-SLEEP keeps a write
// from the file for a moment: a replica that got it meanwhile would be ahead.
func TestNoReplicaHasMoreThanAMasterKilledAmidWrites(t *testing.T) {
	for _, policy := range []string{"everysec", "no"} {
		t.Run(policy, func(t *testing.T) {
			master := StartProcess(t, append(noDelay, "--appendonly", "yes", "--appendfsync", policy, "--repl-backlog-size", "64mb", "--repl-ping-replica-period", "1", "--auto-aof-rewrite-percentage", "0")...)
			ours, theirs, sub := StartProcess(t), StartRedis(t), StartProcess(t)
			replicate(t, ours, master)
			replicate(t, theirs, master)
			replicate(t, sub, ours)
			for round := range 15 {
				if round%3 == 1 {
					master.Must("DEBUG", "AOF-FLUSH-SLEEP", "2000")
				}
				stop := underLoad(t, master.Port())
				time.Sleep(time.Duration(40+37*round%200) * time.Millisecond)
				if round%5 == 3 {
					master.Must("BGREWRITEAOF")
					time.Sleep(time.Duration(round) * time.Millisecond)
				}
				master.Kill()
				stop()
				master.Start()
				for _, r := range []Peer{ours, theirs, sub} {
					AwaitLink(t, r)
				}
				if partial := mustGoOn(t, round, master, 2); partial != 2 {
					t.Errorf("round %d: %d partial resyncs", round, partial)
				}
				MustAgree(t, master, ours, theirs, sub)
			}
		})
	}
}
