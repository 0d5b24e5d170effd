package link

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/repl"
)

// Drain holds writes back and waits until every replica that is online has acknowledged the end of the stream, at most for
// limit or until ctx ends: what a master does before it ends (shutdown-timeout). It logs how the replicas stand then, and
// returns the number of those that are online and behind. Writes stay held back for a little longer than limit: the caller
// ends the process, or calls Engine.Unpause.
func (n *Node) Drain(ctx context.Context, limit time.Duration) (behind int) {
	if n.Status().Replicas == 0 {
		return 0
	}
	if limit > 0 {
		n.e.Pause(engine.PauseWrites, limit+time.Second)
	}
	behind = n.behind()
	if behind > 0 && limit > 0 { // else nobody has to be asked, and the stream stays as it is
		n.logf(repl.Notice, "Waiting for replicas before shutting down.")
		behind = n.catchUp(ctx, limit)
	}
	n.logLag()
	return behind
}

// catchUp asks for acknowledgements and waits for them.
func (n *Node) catchUp(ctx context.Context, limit time.Duration) (behind int) {
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

// logLag names the replicas that do not have everything; one whose full sync is not over has nothing.
func (n *Node) logLag() {
	n.mu.Lock()
	defer n.mu.Unlock()
	end, lagging := n.log.Offset(), 0
	peers := n.sortedPeers()
	for _, p := range peers {
		acked, at := p.m.Acked()
		if acked == end {
			continue
		}
		lagging++
		lag := int64(0)
		if p.m.State() == repl.PeerOnline {
			lag = (n.now() - at) / 1000
		}
		n.logf(repl.Warning, fmt.Sprintf("Lagging replica %s reported offset %d behind master, lag=%d, state=%s.", p.name(), end-acked, lag, p.m.Shown()))
	}
	n.logf(repl.Notice, fmt.Sprintf("%d of %d replicas are in sync when shutting down.", len(peers)-lagging, len(peers)))
}
