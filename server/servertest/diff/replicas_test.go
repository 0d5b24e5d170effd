package diff

import (
	"fmt"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestReplicas lets random commands flow through chains of our servers and of redis-server: after each round the digests
// are equal at equal offsets.
func TestReplicas(t *testing.T) { forSeeds(t, replicas) }

func replicas(t *testing.T, s uint64) {
	ours := servertest.Start(t, "--repl-diskless-sync-delay", "0")
	real := servertest.StartRedis(t)
	oursBelowOurs := servertest.Start(t, follow(ours)...)
	realBelowOurs := servertest.StartRedis(t, follow(ours)...)
	oursBelowReal := servertest.Start(t, follow(real)...)
	oursAtTheEnd := servertest.Start(t, follow(oursBelowReal)...)
	for _, replica := range []servertest.Peer{oursBelowOurs, realBelowOurs, oursBelowReal, oursAtTheEnd} {
		servertest.AwaitLink(t, replica)
	}
	for i, chain := range [][]servertest.Peer{{ours, oursBelowOurs, realBelowOurs}, {real, oursBelowReal, oursAtTheEnd}} {
		k := newTalk(s*2+uint64(i), ours.Engine.Table)
		for range *commands {
			if words := k.next(); chain[0] != real || !KeptToItself(words) {
				chain[0].Do(words...)
			}
		}
		for _, end := range [][]string{{"DISCARD"}, {"HELLO", "2"}, {"SELECT", "0"}} {
			chain[0].Do(end...)
		}
		servertest.MustAgree(t, chain...)
	}
}

func follow(master servertest.Peer) []string {
	return []string{"--replicaof", "127.0.0.1 " + fmt.Sprint(master.Port()), "--repl-diskless-sync-delay", "0"}
}

// TestReplicasOnceFound keeps what once made a replica differ from its master.
func TestReplicasOnceFound(t *testing.T) {
	master := servertest.Start(t, "--repl-diskless-sync-delay", "0")
	ours, real := servertest.Start(t, follow(master)...), servertest.StartRedis(t, follow(master)...)
	servertest.AwaitLink(t, ours)
	servertest.AwaitLink(t, real)
	for _, args := range [][]string{
		{"SET", "grown", "17077"}, {"BITFIELD", "grown", "OVERFLOW", "FAIL", "SET", "u1", "135", "172"}, {"BITFIELD", "born", "OVERFLOW", "FAIL", "SET", "u1", "7", "2"},
	} {
		master.Must(args...)
	}
	servertest.MustAgree(t, master, ours, real)
}
