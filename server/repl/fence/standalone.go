package fence

import "fmt"

// Standalone servers have no term and no operator; the guard there is drop-in and looks at what plain
// Redis handshakes show. An explicit REPLICAOF always passes: the caller logs it.

// FeedQuestion is a PSYNC that would end in a full sync.
type FeedQuestion struct {
	Enabled     bool // the directive, default on
	BootedEmpty bool // no file was loaded at start, and this process never was a replica
	OwnIDs      []string
	PeerID      string // replication ID that the replica presents, "?" or "" if none
	PeerOffset  int64
}

// StandaloneFeed tells whether a server may feed a full sync; why is for the log and the error reply.
func StandaloneFeed(q FeedQuestion) (ok bool, why string) {
	if !q.Enabled || !q.BootedEmpty || q.PeerID == "" || q.PeerID == "?" || q.PeerOffset <= 0 {
		return true, ""
	}
	for _, id := range q.OwnIDs {
		if id == q.PeerID {
			return true, ""
		}
	}
	return false, fmt.Sprintf("this server booted empty and the replica holds history %s up to %d: "+
		"a full sync would wipe it; make that replica the master, or send it REPLICAOF again to override", q.PeerID, q.PeerOffset)
}

// LoadQuestion is a full sync that an upstream announces.
type LoadQuestion struct {
	Enabled     bool
	Explicit    bool // first attempt after REPLICAOF, a flag or the file named this address
	OwnIDs      []string
	OwnOffset   int64 // 0: nothing held
	MasterID    string
	MasterEmpty bool // the master said that it booted empty, or its stream begins at offset 0 or 1
}

// StandaloneLoad tells whether a replica may replace its data on an automatic reconnect.
func StandaloneLoad(q LoadQuestion) (ok bool, why string) {
	if !q.Enabled || q.Explicit || q.OwnOffset <= 0 || !q.MasterEmpty {
		return true, ""
	}
	for _, id := range q.OwnIDs {
		if id == q.MasterID {
			return true, ""
		}
	}
	return false, fmt.Sprintf("the master at this address restarted empty as %s; keeping the data of %v up to %d: "+
		"send REPLICAOF again to take the empty data set", q.MasterID, q.OwnIDs, q.OwnOffset)
}
