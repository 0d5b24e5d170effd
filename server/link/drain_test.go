package link_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestDrainWaitsForReplicas: when it answers 0, the replicas hold everything and no write slips in behind.
func TestDrainWaitsForReplicas(t *testing.T) {
	m := servertest.Start(t, "--repl-diskless-sync-delay", "0")
	r := servertest.Start(t, "--replicaof", "127.0.0.1", fmt.Sprint(m.Port()))
	for end := time.Now().Add(20 * time.Second); m.Node.Status().Replicas == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the replica is not online")
		}
	}
	for i := range 500 {
		m.Do("SET", fmt.Sprint("key:", i), "v")
	}
	if behind := m.Node.Drain(context.Background(), 20*time.Second); behind != 0 {
		t.Fatalf("%d replicas behind", behind)
	}
	if a, b := m.Node.Offset(), r.Node.Offset(); a != b {
		t.Errorf("master at %d, replica at %d", a, b)
	}
	m.Engine.Unpause()
}
