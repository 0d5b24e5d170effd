package link

import (
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/settings"
)

// The roles of a managed member, which its fencing machine decides. These methods take the engine's lock.

// Park ends every link, up and down, and keeps the data: nothing is applied, acknowledged, fed or written from the moment
// that Park returns (S3).
func (n *Node) Park() {
	n.e.Exclusive(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.parkLocked()
	})
}

// parkLocked keeps the Replica state: a parked member expires nothing on its own.
func (n *Node) parkLocked() {
	n.unfollow()
	n.dropPeers()
	n.parked = true
	n.endReign(false)
	n.e.SetState(engine.Parked|engine.Replica|engine.LinkDown, 0)
}

// Follow makes this member a replica of up.
func (n *Node) Follow(up settings.Upstream) {
	n.e.Exclusive(func() { n.follow(up, false) })
}

// Lead begins a reign: the history goes on under replID from the offset that Lead returns (S8, S9).
func (n *Node) Lead(replID string) (start int64) {
	n.e.Exclusive(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.log.CreateBacklog()
		n.leadLocked(replID)
		start = n.log.Offset()
	})
	return start
}

// DropFeeds ends the links to all replicas.
func (n *Node) DropFeeds() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dropPeers()
}

// Heartbeat puts an entry into the stream that every replica ignores, and returns the offset at its end. A member that
// applies it acknowledges at once. While clients are paused the stream stands still, so that a replica can reach its end
// (rule 13).
func (n *Node) Heartbeat() (end int64) {
	n.e.Exclusive(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.pingLocked()
		end = n.log.Offset()
	})
	return end
}

// Offset is the end of the stream: on a replica the last byte applied.
func (n *Node) Offset() int64 { return n.log.Offset() }

// Status is what reports tell of this server's replication.
type Status struct {
	Master    bool
	Parked    bool
	LinkUp    bool          // the link to the upstream is in the stream
	Silent    time.Duration // since something came from the upstream, while LinkUp
	Syncing   bool          // a full sync is on its way in
	DownFor   time.Duration // since the link was up; 0 on a master
	Kept      string        // why the guard kept the data from a full sync, "" when it did not
	Replicas  int           // online
	FullSyncs int64         // loaded by this process
}

// Status takes no lock that is held for long.
func (n *Node) Status() (s Status) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s = Status{Master: n.isMaster(), Parked: n.parked, Kept: n.kept, FullSyncs: n.loads.Load()}
	for p := range n.peers {
		if p.m.State() == repl.PeerOnline {
			s.Replicas++
		}
	}
	if u := n.up; u != nil {
		state := repl.ReplicaState(u.state.Load())
		s.LinkUp = state == repl.Connected
		s.Syncing = state == repl.Transfer || state == repl.Loading
		if s.LinkUp {
			s.Silent = time.Duration(n.now()-u.lastIO.Load()) * time.Millisecond
		} else {
			s.DownFor = time.Duration(n.now()-u.downSince.Load()) * time.Millisecond
		}
	}
	return s
}
