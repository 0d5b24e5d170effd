package link

import (
	"errors"
	"time"

	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/settings"
)

// cron is what time brings to a master; the upstream has a clock of its own.
func (n *Node) cron() {
	tick := time.NewTicker(tickEach)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.kickC:
		case <-tick.C:
		}
		n.e.Shared(func() {}) // the signs of life below say that this server executes commands: no lie while one holds it up
		n.tickPeers()
		n.tellSynced()
		n.maybeSnapshot()
		n.ping()
		n.maybeFreeBacklog()
		n.stepFailover()
	}
}

// tickPeers sends signs of life, ends what has timed out and what holds back too much of the log.
func (n *Node) tickPeers() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	timeout := n.s.Int(settings.ReplTimeout) * 1000
	limit := n.s.OutputLimits()[settings.ClassReplica]
	for p := range n.peers {
		if p.closed && p.conn == nil { // its client went away before it could be handed over
			delete(n.peers, p)
			continue
		}
		if es := p.m.Tick(now, timeout); len(es) > 0 {
			p.act(es)
		}
		n.limit(p, limit, now)
	}
	n.countGood()
}

// limit is client-output-buffer-limit for a replica: what its cursor holds back of the log, in memory. As in Redis a
// limit below the backlog's size means the backlog's size. Node.mu must be held.
func (n *Node) limit(p *peer, l settings.OutputLimit, now repl.Millis) {
	if p.cursor == nil || p.closed {
		return
	}
	if err := p.cursor.Err(); errors.Is(err, oplog.ErrDisk) { // its writer may be waiting for the socket
		n.logf(repl.Warning, "Replica "+p.name()+" is disconnected: "+err.Error())
		p.hangup()
		return
	}
	behind := uint64(p.cursor.Held())
	floor := uint64(n.log.Backlog().Size)
	if n.s.Int(settings.ReplDiskBacklogSize) > 0 {
		floor += 2 * oplog.SpillFrom // below that the disk is not used
	}
	over := l.Hard > 0 && behind > max(l.Hard, floor)
	if l.Soft > 0 && behind > max(l.Soft, floor) {
		if p.overSince == 0 {
			p.overSince = now
		}
		over = over || now-p.overSince > l.SoftSeconds*1000
	} else {
		p.overSince = 0
	}
	if over {
		n.logf(repl.Warning, "Client "+p.name()+" scheduled to be closed ASAP for overcoming of output buffer limits.")
		p.hangup()
	}
}

// spillLog moves to disk what only slow replicas need of the log.
func (n *Node) spillLog() {
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.log.Crowded():
		}
		for more := true; more && n.ctx.Err() == nil; {
			more, _ = n.log.Spill() // the replica that is given up for an error is told of in the log by limit
		}
	}
}

// ping puts a PING into the stream when it is time: the sign of life for replicas, whose links carry it on downwards.
func (n *Node) ping() {
	n.mu.Lock()
	due := n.isMaster() && len(n.peers) > 0 && n.now()-n.pingAt >= n.s.Int(settings.ReplPingReplicaPeriod)*1000 && n.failover.state == failoverNone
	n.mu.Unlock()
	if !due {
		return
	}
	n.e.Exclusive(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.pingLocked()
	})
}

// pingLocked puts a PING into the stream of a master, unless its clients are held.
func (n *Node) pingLocked() {
	if n.isMaster() && !n.paused() {
		n.pingAt = n.now()
		n.e.Propagate(-1, oplog.ToReplicas, []byte("PING"))
	}
}

// paused tells whether a member's clients are held, which is how a switchover begins. Asked under the engine's lock the
// answer stays true for what follows there. On a standalone server CLIENT PAUSE does not stop the PINGs, as in Redis.
func (n *Node) paused() bool {
	_, _, on := n.e.Paused()
	return on && n.o.Managed != nil
}

// maybeFreeBacklog ends the history of a master that had no replica for repl-backlog-ttl.
func (n *Node) maybeFreeBacklog() {
	ttl := n.s.Int(settings.ReplBacklogTTL) * 1000
	idle := func() bool {
		return ttl > 0 && n.o.Managed == nil && n.e.Commit().Required() == 0 && n.isMaster() && len(n.peers) == 0 && n.snap == nil && n.now()-n.noPeers > ttl && n.log.Backlog().Active
	}
	n.mu.Lock()
	due := idle()
	n.mu.Unlock()
	if !due {
		return
	}
	n.e.Exclusive(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if idle() {
			n.log.FreeBacklog()
			n.noteIDs()
			n.logf(repl.Notice, "Replication backlog freed after "+itoa(ttl/1000)+" seconds without connected replicas.")
		}
	})
}
