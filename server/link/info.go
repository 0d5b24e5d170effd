package link

import (
	"sort"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/settings"
)

func (n *Node) registerInfo() {
	n.e.RegisterInfo("replication", n.infoReplication)
	n.e.RegisterInfo("understudy", func(w *engine.InfoWriter) {
		n.mu.Lock()
		defer n.mu.Unlock()
		w.Field("full_syncs_loaded", n.loads.Load())
		w.Field("repl_disk_backlog_bytes", n.log.Backlog().Disk)
		n.infoSynchronous(w)
		if n.o.Managed == nil { // a member's driver has its own
			w.Field("divergent_tail_file", n.aside)
		}
		w.Field("full_sync_guard_kept", n.kept) // why the guard kept this replica's data, empty when it did not
	})
	n.e.RegisterInfo("stats", func(w *engine.InfoWriter) {
		w.Field("sync_full", n.full.Load()-n.zero.full)
		w.Field("sync_partial_ok", n.partialOK.Load()-n.zero.partialOK)
		w.Field("sync_partial_err", n.partialErr.Load()-n.zero.partialErr)
	})
	n.e.OnResetStats(func() { // metrics go on counting
		n.zero.full, n.zero.partialOK, n.zero.partialErr = n.full.Load(), n.partialOK.Load(), n.partialErr.Load()
	})
}

func (n *Node) infoReplication(w *engine.InfoWriter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.up != nil:
		w.Field("role", "slave")
		n.infoUpstream(w)
	case n.parked: // to clients a replica without a master
		w.Field("role", "slave")
		w.Field("master_link_status", "down")
	default:
		w.Field("role", "master")
	}
	peers := n.sortedPeers()
	w.Field("connected_slaves", len(peers))
	if n.s.Int(settings.MinReplicasToWrite) > 0 && n.s.Int(settings.MinReplicasMaxLag) > 0 {
		w.Field("min_slaves_good_slaves", n.goodPeers.Load())
	}
	for i, p := range peers {
		acked, at := p.m.Acked()
		lag := int64(0)
		if p.m.State() == repl.PeerOnline {
			lag = (n.now() - at) / 1000
		}
		w.Fieldf("slave"+itoa(int64(i)), "ip=%s,port=%d,state=%s,offset=%d,lag=%d", p.ip(), p.m.Port(), p.m.Shown(), acked, lag)
	}
	ids, b := n.log.IDs(), n.log.Backlog()
	w.Field("master_failover_state", n.failover.state.String())
	w.Field("master_replid", ids.ID)
	w.Field("master_replid2", ids.ID2)
	w.Field("master_repl_offset", n.log.Offset())
	w.Field("second_repl_offset", ids.Second)
	w.Field("repl_backlog_active", b.Active)
	w.Field("repl_backlog_size", b.Size)
	w.Field("repl_backlog_first_byte_offset", b.FirstByte)
	w.Field("repl_backlog_histlen", b.Length)
}

func (n *Node) infoUpstream(w *engine.InfoWriter) {
	u := n.up
	now := n.now()
	state := repl.ReplicaState(u.state.Load())
	status := "down"
	if state == repl.Connected {
		status = "up"
	}
	w.Field("master_host", u.to.Host)
	w.Field("master_port", u.to.Port)
	w.Field("master_link_status", status)
	lastIO := int64(-1)
	if state == repl.Connected {
		lastIO = (now - u.lastIO.Load()) / 1000
	}
	w.Field("master_last_io_seconds_ago", lastIO)
	w.Field("master_sync_in_progress", state == repl.Transfer || state == repl.Loading)
	offset, read := int64(0), int64(0)
	if n.log.Backlog().Active {
		offset, read = n.log.Offset(), max(u.read.Load(), n.log.Offset())
	}
	w.Field("slave_read_repl_offset", read)
	w.Field("slave_repl_offset", offset)
	if state == repl.Transfer || state == repl.Loading {
		total, left := max(u.size.Load(), 0), max(u.left.Load(), 0)
		perc := 0.0
		if total > 0 {
			perc = float64(total-left) / float64(total) * 100
		}
		w.Field("master_sync_total_bytes", total)
		w.Field("master_sync_read_bytes", total-left)
		w.Field("master_sync_left_bytes", left)
		w.Fieldf("master_sync_perc", "%.2f", perc)
		w.Field("master_sync_last_io_seconds_ago", (now-u.lastIO.Load())/1000)
	}
	if state != repl.Connected {
		w.Field("master_link_down_since_seconds", (now-u.downSince.Load())/1000)
	}
	w.Field("slave_priority", n.s.Int(settings.ReplicaPriority))
	w.Field("slave_read_only", n.s.Bool(settings.ReplicaReadOnly))
	w.Field("replica_announced", n.s.Bool(settings.ReplicaAnnounced))
}

// sortedPeers lists the replicas in the order in which they came. Node.mu must be held.
func (n *Node) sortedPeers() []*peer {
	out := make([]*peer, 0, len(n.peers))
	for p := range n.peers {
		if !p.closed {
			out = append(out, p)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].num < out[j].num })
	return out
}
