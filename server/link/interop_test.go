package link_test

import (
	"fmt"
	"strconv"
	"testing"

	. "github.com/understudy-db/understudy/server/servertest"
)

// fill writes n keys, a third of them with an expiry, in two databases, and some hashes.
func fill(p Peer, n int) {
	for i := range n {
		k := fmt.Sprintf("key:%d", i)
		switch i % 3 {
		case 0:
			p.Must("SET", k, "value of "+k)
		case 1:
			p.Must("SET", k, strconv.Itoa(i), "EX", "10000")
		default:
			p.Must("HSET", k, "f", strconv.Itoa(i), "g", "x")
		}
	}
	p.Must("SELECT", "3")
	p.Must("SET", "other", "database")
	p.Must("SELECT", "0")
}

func replicate(t *testing.T, replica, master Peer) {
	t.Helper()
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
	AwaitLink(t, replica)
}

var noDelay = []string{"--repl-diskless-sync-delay", "0"}

func TestOursFollowsRedis(t *testing.T) {
	for _, diskless := range []string{"yes", "no"} {
		for _, load := range []string{"disabled", "swapdb"} {
			t.Run("diskless-sync="+diskless+" load="+load, func(t *testing.T) {
				master := StartRedis(t, "--repl-diskless-sync", diskless)
				fill(master, 500)
				replica := Start(t, "--repl-diskless-load", load)
				replicate(t, replica, master)
				master.Must("SET", "after", "sync")
				master.Must("EVAL", "redis.call('set','a','1') redis.call('incr','a')", "0")
				MustAgree(t, master, replica)
			})
		}
	}
}

func TestRedisFollowsOurs(t *testing.T) {
	for _, diskless := range []string{"yes", "no"} {
		for _, load := range []string{"disabled", "swapdb"} {
			t.Run("diskless-sync="+diskless+" load="+load, func(t *testing.T) {
				master := Start(t, append(noDelay, "--repl-diskless-sync", diskless)...)
				fill(master, 500)
				replica := StartRedis(t, "--repl-diskless-load", load)
				replicate(t, replica, master)
				master.Must("SET", "after", "sync")
				MustAgree(t, master, replica)
				if got := master.Info("sync_full"); got != "1" {
					t.Errorf("sync_full %s", got)
				}
			})
		}
	}
}
