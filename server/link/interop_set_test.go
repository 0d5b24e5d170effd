package link_test

import (
	"fmt"
	"math/rand"
	"testing"

	. "github.com/understudy-db/understudy/server/servertest"
)

// changeSets makes random changes to sets of all sizes; SPOP and the STORE commands have effects that are not the
// command itself or depend on what is there.
func changeSets(p Peer, r *rand.Rand, n int) {
	key := func() string { return fmt.Sprintf("set:%d", r.Intn(12)) }
	member := func() string {
		return fmt.Sprintf("%s%d", []string{"", "", "m"}[r.Intn(3)], r.Intn(1000)<<(r.Intn(3)*20))
	}
	for range n {
		switch r.Intn(9) {
		case 0:
			p.Must("SPOP", key())
		case 1:
			p.Must("SPOP", key(), fmt.Sprint(r.Intn(60)))
		case 2:
			p.Must("SMOVE", key(), key(), member())
		case 3:
			p.Must([]string{"SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"}[r.Intn(3)], key(), key(), key(), key())
		case 4:
			p.Must("SREM", key(), member(), member(), member())
		default:
			args := []string{"SADD", key()}
			for range 1 + r.Intn(80) {
				args = append(args, member())
			}
			p.Must(args...)
		}
	}
}

// TestSetsReplicateBothWays writes sets before and after the full sync.
func TestSetsReplicateBothWays(t *testing.T) {
	for _, oursLeads := range []bool{true, false} {
		t.Run(fmt.Sprint("ours leads=", oursLeads), func(t *testing.T) {
			r := rand.New(rand.NewSource(1))
			var ours, redis, master, replica Peer
			if oursLeads {
				ours = Start(t, noDelay...)
				redis = StartRedis(t)
				master, replica = ours, redis
			} else {
				redis = StartRedis(t, noDelay...)
				ours = Start(t)
				master, replica = redis, ours
			}
			changeSets(master, r, 600)
			replicate(t, replica, master)
			changeSets(master, r, 600)
			MustAgree(t, master, replica)
			before := redis.Must("DEBUG", "DIGEST").String()
			if now := ours.Must("DEBUG", "DIGEST").String(); now != before {
				t.Fatalf("digest %s, redis-server has %s", now, before)
			}
		})
	}
}
