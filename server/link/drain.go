package link

import (
	"context"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/repl"
)

// Drain holds writes back and waits until every replica that is online has acknowledged the end of the stream, at most for
// limit or until ctx ends: what a master does before it ends (shutdown-timeout). It returns the number of replicas that are behind. Writes stay
// held back for a little longer than limit: the caller ends the process, or calls Engine.Unpause.
func (n *Node) Drain(ctx context.Context, limit time.Duration) (behind int) {
	if n.Status().Replicas == 0 || limit <= 0 {
		return n.behind()
	}
	n.e.Pause(engine.PauseWrites, limit+time.Second)
	n.e.Exclusive(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.isMaster() {
			n.askAcks()
		}
	})
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		if behind = n.behind(); behind == 0 || !time.Now().Before(end) || ctx.Err() != nil {
			return behind
		}
	}
}

func (n *Node) behind() (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	end := n.log.Offset()
	for p := range n.peers {
		if acked, _ := p.m.Acked(); p.m.State() == repl.PeerOnline && acked < end {
			count++
		}
	}
	return count
}
