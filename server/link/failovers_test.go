package link_test

import (
	"fmt"
	"strconv"
	"testing"

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
