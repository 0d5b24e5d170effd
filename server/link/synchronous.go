package link

import (
	"slices"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/settings"
)

// Synchronous replication of a server that nobody manages (S6): with synchronous-replicas k a reply leaves when k replicas
// have acknowledged everything that it reflects. A managed member counts vouchers instead: see package manage.

// applySynchronous follows the directives and the role. The engine's lock and Node.mu must be held.
func (n *Node) applySynchronous() {
	commit := n.e.Commit()
	commit.SetTimeout(time.Duration(n.s.Int(settings.SynchronousTimeout)) * time.Millisecond)
	if m := n.o.Managed; m != nil {
		if n.isMaster() && m.Synchronous != nil { // a reign begins: nobody may see before its voters what it has
			commit.Require(m.Synchronous())
		}
		return
	}
	need := int(n.s.Int(settings.SynchronousReplicas))
	if !n.isMaster() {
		need = 0
	}
	if need > 0 && n.log.CreateBacklog() { // from here on there is a place for everything
		n.noteIDs()
	}
	if was := commit.Required(); need > was {
		n.e.Recount(was == 0)
	}
	commit.Require(need)
	n.countCommitted()
}

// countCommitted tells how far enough replicas have acknowledged the stream. Node.mu must be held.
func (n *Node) countCommitted() {
	commit := n.e.Commit()
	need := commit.Required()
	if need == 0 || n.o.Managed != nil {
		return
	}
	held := n.held[:0]
	for p := range n.peers {
		if offset, ok := p.m.Holds(); ok {
			held = append(held, offset)
		}
	}
	n.held = held
	commit.Attached(len(held))
	if len(held) < need {
		return
	}
	slices.Sort(held)
	commit.Advance(held[len(held)-need])
}

// passOn makes a replica acknowledge at once, with what its own replica has just said: the master of a chain may be waiting
// for that. It costs one acknowledgement for each that came.
func (n *Node) passOn() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up != nil {
		select {
		case n.up.passOn <- struct{}{}:
		default:
		}
	}
}

// endReign tells the engine that what it has sent as a master will not be confirmed any more. The engine's lock and Node.mu
// must be held.
func (n *Node) endReign(master bool) {
	n.e.EndReign()
	if !master {
		n.e.Commit().Require(0) // a replica's replies wait for nobody
	}
}

func (n *Node) infoSynchronous(w *engine.InfoWriter) {
	commit := n.e.Commit()
	w.Field("synchronous_replicas", commit.Required())
	w.Field("committed_offset", commit.UpTo())
	w.Field("unconfirmed_replies", commit.Failed())
}
