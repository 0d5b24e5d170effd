package link_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/link"
	"github.com/understudy-db/understudy/server/servertest"
)

// TestTenFailoversInARow: whoever becomes master, everybody goes on with a partial resync (S8): there is one full sync per replica,
// the first, and one history at the end.
func TestTenFailoversInARow(t *testing.T) {
	members := make([]*servertest.Server, 3)
	for i := range members {
		members[i] = servertest.Start(t, "--repl-diskless-sync-delay", "0")
	}
	master := members[0]
	follow := func(m *servertest.Server) {
		m.Must("REPLICAOF", "127.0.0.1", fmt.Sprint(master.Port()))
	}
	for _, m := range members[1:] {
		follow(m)
		servertest.AwaitLink(t, m)
	}
	for round := range 10 {
		for i := range 100 {
			master.Must("SET", fmt.Sprint("key:", round, ":", i), "value")
		}
		old, next := master, members[(round+1)%len(members)]
		old.Must("FAILOVER", "TO", "127.0.0.1", fmt.Sprint(next.Port()), "TIMEOUT", "20000")
		servertest.Await(t, "the failover", func() bool {
			return next.Info("role") == "master" && old.Info("role") == "slave" && old.Info("master_failover_state") == "no-failover"
		})
		master = next
		for _, m := range members {
			if m != master {
				follow(m)
				servertest.AwaitLink(t, m)
			}
		}
	}
	peers := []servertest.Peer{master}
	full := 0
	for _, m := range members {
		if m != master {
			peers = append(peers, m)
		}
		n, err := strconv.Atoi(m.Info("sync_full"))
		if err != nil {
			t.Fatal(err)
		}
		full += n
	}
	servertest.MustAgree(t, peers...)
	if full != 2 {
		t.Errorf("%d full syncs, want the first two", full)
	}
	if n := master.Must("DBSIZE").Int; n != 1000 {
		t.Errorf("%d keys, want 1000", n)
	}
}

// TestWhoIsForcedToTakeOverHearsTheMasterOut: what the old master sent before it asked is applied first, so that the old master is
// not ahead of the new one, and goes on with a partial resync.
func TestWhoIsForcedToTakeOverHearsTheMasterOut(t *testing.T) {
	link.SetHearWait(t, time.Minute)
	a, b := servertest.Start(t, "--repl-diskless-sync-delay", "0"), servertest.Start(t)
	b.Must("REPLICAOF", "127.0.0.1", fmt.Sprint(a.Port()))
	servertest.AwaitLink(t, b)
	servertest.Await(t, "b to be online", func() bool { return strings.Contains(a.Info("slave0"), "state=online") })
	b.Must("CLIENT", "PAUSE", "30000", "WRITE") // it reads its master's stream no further
	a.Must("SET", "late", "word")
	a.Must("FAILOVER", "TO", "127.0.0.1", fmt.Sprint(b.Port()), "TIMEOUT", "50", "FORCE")
	servertest.Await(t, "b to be asked", func() bool {
		return strings.Contains(b.Must("INFO", "clients").String(), "blocked_clients:1") || b.Info("role") == "master"
	})
	if role := b.Info("role"); role != "slave" {
		t.Errorf("b is a %s before it has heard the master out", role)
	}
	b.Must("CLIENT", "UNPAUSE")
	servertest.Await(t, "the failover", func() bool {
		return b.Info("role") == "master" && a.Info("role") == "slave" && a.Info("master_failover_state") == "no-failover"
	})
	servertest.AwaitLink(t, a)
	servertest.MustAgree(t, b, a)
	if full, word := b.Info("sync_full"), b.Must("GET", "late").String(); full != "0" || word != `"word"` {
		t.Errorf("%s full syncs, the last word is %s", full, word)
	}
}

// TestWhoIsForcedToTakeOverDoesNotWaitForever: a replica that cannot catch up leads all the same.
func TestWhoIsForcedToTakeOverDoesNotWaitForever(t *testing.T) {
	a, b := servertest.Start(t, "--repl-diskless-sync-delay", "0"), servertest.Start(t, "--repl-diskless-sync-delay", "0")
	b.Must("REPLICAOF", "127.0.0.1", fmt.Sprint(a.Port()))
	servertest.AwaitLink(t, b)
	servertest.Await(t, "b to be online", func() bool { return strings.Contains(a.Info("slave0"), "state=online") })
	b.Must("CLIENT", "PAUSE", "30000", "WRITE")
	a.Must("SET", "late", "word")
	a.Must("FAILOVER", "TO", "127.0.0.1", fmt.Sprint(b.Port()), "TIMEOUT", "50", "FORCE")
	servertest.Await(t, "b to lead", func() bool { return b.Info("role") == "master" })
	b.Must("CLIENT", "UNPAUSE")
	servertest.Await(t, "the failover", func() bool { return a.Info("role") == "slave" && a.Info("master_failover_state") == "no-failover" })
	servertest.AwaitLink(t, a)
	servertest.MustAgree(t, b, a)
}
