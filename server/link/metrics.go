package link

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-db/understudy/server/repl"
)

// Counters are what replication has counted since the process started, or since CONFIG RESETSTAT for the first three.
type Counters struct {
	FullServed, PartialServed, PartialRefused int64
	FullLoaded                                int64
	GuardTrips                                int64 // full syncs refused by the standalone guard, on either side
}

// Counters reads atomics.
func (n *Node) Counters() Counters {
	return Counters{FullServed: n.full.Load(), PartialServed: n.partialOK.Load(), PartialRefused: n.partialErr.Load(),
		FullLoaded: n.loads.Load(), GuardTrips: n.trips.Load()}
}

// Net is how many bytes came from masters and went to replicas.
func (n *Node) Net() (in, out int64) { return n.bytesIn.Load(), n.bytesOut.Load() }

// sent counts what a write to a replica has sent.
func (n *Node) sent(count int, err error) error {
	n.bytesOut.Add(int64(count))
	return err
}

// ReplicaLag is how far a replica of this server is behind.
type ReplicaLag struct {
	Addr   string // as the replica announces it
	Online bool   // it gets the stream
	Bytes  int64  // of the stream that it has not acknowledged
	Silent time.Duration
}

// Replicas lists those of this server by address. It takes no lock that is held for long.
func (n *Node) Replicas() []ReplicaLag {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []ReplicaLag
	for _, p := range n.sortedPeers() {
		acked, at := p.m.Acked()
		r := ReplicaLag{Addr: net.JoinHostPort(p.ip(), strconv.Itoa(p.m.Port())), Online: p.m.State() == repl.PeerOnline,
			Bytes: max(n.log.Offset()-acked, 0)}
		if r.Online {
			r.Silent = time.Duration(max(n.now()-at, 0)) * time.Millisecond
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b ReplicaLag) int { return strings.Compare(a.Addr, b.Addr) })
	return out
}
