package link_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/understudy-db/understudy/server/servertest"
)

// accident is the case that this server exists for: a master without persistence is killed and is back at once, empty, on
// the same address; its replicas reconnect by themselves.
func accident(t *testing.T, guard string) (confirmed int, master *Process, replicas []Peer) {
	t.Helper()
	args := append([]string{"--full-sync-guard", guard}, noDelay...)
	master = StartProcess(t, args...)
	b, c := StartProcess(t, args...), StartProcess(t, args...)
	replicate(t, b, master)
	replicate(t, c, master)
	for i := range 300 {
		master.Must("SET", "key:"+strconv.Itoa(i), "value")
	}
	if v := master.Must("WAIT", "2", "0"); v.Int != 2 {
		t.Fatalf("WAIT 2: %s", v)
	}
	master.Kill()
	master.Start()
	return 300, master, []Peer{b, c}
}

// TestTheAccident: S2 on servers that nobody manages.
func TestTheAccident(t *testing.T) {
	confirmed, master, replicas := accident(t, "yes")
	Await(t, "the master's refusal", func() bool { return strings.Contains(master.Log(), "refused: this server booted empty") })
	master.Must("SET", "written", "since")
	time.Sleep(3 * time.Second)                                             // several attempts of both
	if log := replicas[0].(*Process).Log(); !strings.Contains(log, ":S ") { // the mark of a replica's lines
		t.Errorf("the replica logs as a master:\n%s", log)
	}
	for i, r := range replicas {
		if n := int(r.Must("DBSIZE").Int); n != confirmed {
			t.Errorf("replica %d has %d of %d confirmed keys", i, n, confirmed)
		}
	}
	if got := master.Info("sync_full"); got != "0" {
		t.Errorf("the empty master fed %s full syncs", got)
	}
	// The way out: the best replica becomes the master, and the empty server its replica.
	b, c := replicas[0], replicas[1]
	b.Must("REPLICAOF", "NO", "ONE")
	replicate(t, c, b)
	replicate(t, master, b)
	MustAgree(t, b, c, master)
	if got := b.Info("sync_full"); got != "1" {
		t.Errorf("sync_full %s on the new master, predicted 1: the server that lost its memory", got)
	}
}

// TestTheAccidentWithoutTheGuard shows that the test above can fail: the same accident wipes both replicas.
func TestTheAccidentWithoutTheGuard(t *testing.T) {
	_, _, replicas := accident(t, "no")
	for _, r := range replicas {
		Await(t, "the replica to be wiped", func() bool { return r.Must("DBSIZE").Int == 0 })
	}
}

// TestTheReplicaAloneKeepsItsData: the master is a redis-server, which knows no guard; the replica's half is enough.
func TestTheReplicaAloneKeepsItsData(t *testing.T) {
	master := StartRedis(t)
	replica := Start(t)
	replicate(t, replica, master)
	master.Must("SET", "a", "1")
	MustAgree(t, master, replica)
	master.Kill()
	master.Start()
	master.Must("SET", "written", "since") // its data set is not empty any more, but its history is unrelated
	Await(t, "the refusal", func() bool { return strings.Contains(replica.Log(), "the data set is kept") })
	if v := replica.Do("GET", "a"); string(v.Str) != "1" {
		t.Fatalf("the replica was wiped: %s", v)
	}
	if got := replica.Info("master_link_status"); got != "down" {
		t.Errorf("link is %s", got)
	}
	if got := replica.Info("full_sync_guard_kept"); !strings.Contains(got, "restarted empty") {
		t.Errorf("INFO tells why the data was kept: %q", got)
	}
	// An order overrides.
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
	AwaitLink(t, replica)
	MustAgree(t, master, replica)
	if !strings.Contains(replica.Log(), "The data set of this replica is replaced: REPLICAOF asked for this master.") {
		t.Error("the override was not logged")
	}
}

// TestTheMasterAloneRefuses: the replicas are redis-servers, which would take the empty data set.
func TestTheMasterAloneRefuses(t *testing.T) {
	first := StartAt(t, FreePort(t), noDelay...) // a port that no outgoing connection takes meanwhile
	replica := StartRedis(t)
	replicate(t, replica, first)
	first.Must("SET", "a", "1")
	MustAgree(t, first, replica)
	first.Close()
	master := StartAt(t, first.Port(), noDelay...)
	Await(t, "the refusal", func() bool { return strings.Contains(master.Log(), "refused: this server booted empty") })
	time.Sleep(1500 * time.Millisecond)
	if v := replica.Do("GET", "a"); string(v.Str) != "1" {
		t.Fatalf("the replica was wiped: %s", v)
	}
	master.Must("CONFIG", "SET", "full-sync-guard", "no")
	Await(t, "the replica to be fed", func() bool { return replica.Do("GET", "a").Null })
	AwaitLink(t, replica)
	MustAgree(t, master, replica)
}

// TestTheGuardLetsAnUnrelatedReplicaInByOrder: a fresh master gets a replica that had another life.
func TestTheGuardLetsAnUnrelatedReplicaInByOrder(t *testing.T) {
	old, fresh, replica := Start(t, noDelay...), Start(t, noDelay...), Start(t)
	replicate(t, replica, old)
	old.Must("SET", "a", "1")
	MustAgree(t, old, replica)
	replicate(t, replica, fresh)
	MustAgree(t, fresh, replica)
}
