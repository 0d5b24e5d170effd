package link

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
)

// Options of a Node. All but OnRole and Managed are needed.
type Options struct {
	Engine   *engine.Engine
	Settings *settings.Settings
	Log      func(level repl.Level, text string)
	// Port is the port that the server listens on, after the listener was opened.
	Port func() int
	// TLS is the configuration of links to a master, asked at each dial; nil, or its nil: in the clear.
	TLS func() *tls.Config
	// OnMaster is told of each connection to a master, as CLIENT LIST shows it and CLIENT KILL ends it; what it answers is
	// called when the connection has ended. nil: nobody asks.
	OnMaster func(remote, local string, kill func()) (closed func())
	// OnRole is told the role when it changes, for the mark in log lines; it must not wait. nil: nobody asks.
	OnRole func(replica bool)
	// MemoryLimit is how much memory the process may have, in bytes; 0: nobody says.
	MemoryLimit int64
	// Managed is set for a member of a ReplicaSet.
	Managed *Managed
}

// Managed connects a member's replication with its fencing machine. Its functions may be called with the engine's lock
// held and must not take it.
type Managed struct {
	// Hello is what this member says to an upstream in REPLCONF MEMBER; Offer judges the answer ("" accepts). Offer alone is
	// never called with the lock held: it may have to read the log and write a file.
	Hello func() string
	Offer func(answer string) (refusal string)
	// Admit judges a replica's REPLCONF MEMBER: the answer, or a refusal (sent as -FENCED).
	Admit func(hello string) (answer, refusal string)
	// AckWords are a replica's vouchers for an offset, of which nothing came from the upstream for so long; Vouched takes those
	// that a replica sent, or relayed.
	AckWords func(offset int64, silent time.Duration) []string
	Vouched  func(words []string)
	// Joined is called, with the engine's lock held, when the link to the upstream is in the stream.
	Joined func(full bool)
	// Lost is called, with the engine's lock held, when the data was given up to load another set in its place.
	Lost func()
	// Synchronous is how many voters must hold what a reply of this master reflects (S6). Nil: none.
	Synchronous func() int
}

// Node is the replication of one server.
type Node struct {
	o     Options
	e     *engine.Engine
	log   *oplog.Log
	s     *settings.Settings
	began time.Time

	full, partialOK, partialErr atomic.Int64                                // INFO's sync_ counters
	zero                        struct{ full, partialOK, partialErr int64 } // what CONFIG RESETSTAT took off; under the engine's lock
	loads                       atomic.Int64                                // full syncs that this server has loaded
	bytesIn, bytesOut           atomic.Int64                                // from masters, and to replicas
	trips                       atomic.Int64                                // full syncs that the guard refused, to feed or to load
	goodPeers                   atomic.Int64
	waiters                     atomic.Int64
	owed                        atomic.Int64 // the master asked for this offset, and is to know when the file has it; 0: it did not

	mu        sync.Mutex // taken after the engine's lock, never before it
	up        *upstream  // nil on a master
	peers     map[*peer]struct{}
	snap      *snapshotRun
	waitList  map[*waiting]struct{}
	failover  failover
	parked    bool // managed, without a role
	streamDB  int  // database in which the stream goes on that was followed last, or whose file was loaded
	bornEmpty bool // S2: this process had nothing to load and has had no history from elsewhere
	past      []string
	kept      string      // why the guard kept the data of this replica, "" when it did not
	aside     string      // name of the newest file of setAside, "" when there is none
	lastRun   string      // run ID of the master followed last
	noPeers   repl.Millis // since when there has been no replica
	pingAt    repl.Millis
	held      []int64                     // of countCommitted
	getackEnd int64                       // the stream ends with a GETACK at this offset
	back      struct{ pos, offset int64 } // where the log went back last, see goBack

	kickC  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	writing sync.Mutex // held by who begins to write a file behind: see segmentFile
}

// New makes the replication of a server and attaches its commands and INFO lines. The server is a master without
// replicas until Booted.
func New(o Options) *Node {
	ctx, cancel := context.WithCancel(context.Background())
	n := &Node{o: o, e: o.Engine, log: o.Engine.Log, s: o.Settings, began: time.Now(), peers: map[*peer]struct{}{},
		waitList: map[*waiting]struct{}{}, kickC: make(chan struct{}, 1), ctx: ctx, cancel: cancel, bornEmpty: true}
	n.attach()
	n.registerInfo()
	n.watchSettings()
	n.e.OnUnpause(n.unpaused)
	n.e.OnFileSynced(n.fileSynced)
	return n
}

// Boot tells what a server found on its disk when it started.
type Boot struct {
	Loaded bool          // there was a file, even an empty one
	Meta   snapshot.Meta // of that file
	Tail   *oplog.Tail   // what the file has of the stream before that place; nil: nothing
	// Placed is called, with the engine's lock held, when the data has its place and nothing has followed yet. Nil: nobody
	// asks.
	Placed func()
}

// Booted begins the work of the Node: what was loaded gets its place in a history, the settings' master is followed.
// Call it once, after loading and before clients come.
func (n *Node) Booted(b Boot) {
	up, follows := n.s.ReplicaOf()
	follows = follows && n.o.Managed == nil // a member waits for its role (S3)
	old := n.asides()
	n.e.Exclusive(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(old) > 0 {
			n.aside = old[len(old)-1]
		}
		n.bornEmpty = !b.Loaded
		n.noPeers = n.now()
		switch {
		case b.Meta.ReplID == "" || b.Meta.ReplOffset < 0:
		case follows, n.o.Managed != nil: // a member's next reign opens a history anyway (Lead)
			n.log.Follow(b.Meta.ReplID, b.Meta.ReplOffset, b.Tail)
		default: // S9: the history that this server may have had as master ends at the file's end
			n.log.Restore(b.Meta.ReplID, b.Meta.ReplOffset, b.Tail)
			for _, key := range b.Meta.Dropped { // replicas that continue from there still have them
				n.e.Propagate(key.DB, oplog.ToReplicas, []byte("DEL"), []byte(key.Name))
			}
		}
		n.noteIDs()
		n.streamDB = max(b.Meta.StreamDB, 0)
		n.endReign(true)
		n.applySettings()
		if n.o.Managed != nil {
			n.parkLocked()
		}
		placed := b.Placed
		if follows {
			n.e.SetState(engine.Replica, 0)
		}
		if placed != nil {
			n.mu.Unlock() // it asks for the place
			placed()
			n.mu.Lock()
		}
		if follows {
			n.followLocked(up, false)
		}
		n.applySynchronous()
	})
	n.work.Go(n.cron)
	n.work.Go(n.spillLog)
}

// Close ends every link and waits for the goroutines. No handler may run any more.
func (n *Node) Close() {
	n.cancel()
	n.mu.Lock()
	up := n.up
	for p := range n.peers {
		p.hangup()
	}
	n.mu.Unlock()
	if up != nil {
		up.stop()
	}
	n.work.Wait()
	n.log.CloseDisk()
}

// now is the time that the machines count in.
func (n *Node) now() repl.Millis { return n.clock().Milliseconds() }

// clock is the monotonic time since the node began.
func (n *Node) clock() time.Duration { return time.Since(n.began) }

func (n *Node) logf(level repl.Level, text string) {
	if n.o.Log != nil {
		n.o.Log(level, text)
	}
}

// kick makes the cron goroutine look at once.
func (n *Node) kick() {
	select {
	case n.kickC <- struct{}{}:
	default:
	}
}

// isMaster reports the role. Node.mu must be held.
func (n *Node) isMaster() bool { return n.up == nil && !n.parked }

// noteIDs remembers every replication ID of this process: S2 knows a replica of an earlier history by them. The engine's
// lock and Node.mu must be held.
func (n *Node) noteIDs() {
	ids := n.log.IDs()
	for _, id := range []string{ids.ID2, ids.ID} {
		known := false
		for _, p := range n.past {
			known = known || p == id
		}
		if !known {
			n.past = append(n.past, id)
		}
	}
	const keep = 64
	if len(n.past) > keep {
		n.past = n.past[len(n.past)-keep:]
	}
}

// follow makes this server a replica; the engine's lock must be held. An explicit order overrides the guard.
func (n *Node) follow(up settings.Upstream, explicit bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.followLocked(up, explicit)
}

// followLocked begins a link to up. The engine's lock and Node.mu must be held.
func (n *Node) followLocked(up settings.Upstream, explicit bool) {
	if n.up != nil {
		n.abandonUp()
	}
	n.parked, n.kept = false, ""
	if explicit {
		n.bornEmpty = false // a command gave this server its role: it is no stranger to its data any more
	}
	n.s.SetReplicaOf(up)
	n.endReign(false) // first: what waiters are told now belongs to no reign
	n.giveUpWaiters()
	n.e.DropWaiting()
	n.e.SetState(engine.Replica|engine.LinkDown, engine.Parked)
	n.tellRole(true)
	u := newUpstream(n, up, explicit, n.lastRun)
	u.handOver = n.failover.demoting(up)
	u.applier.SelectDB(n.streamDB)
	n.up = u
	n.work.Go(u.run)
}

// lead makes this server a master: its history ends here and goes on under a new ID. The engine's lock must be held.
func (n *Node) lead() (was bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bornEmpty = false
	if n.up == nil {
		return false
	}
	n.leadLocked("")
	return true
}

// leadLocked opens the new history under id, a fresh one when it is empty.
func (n *Node) leadLocked(id string) {
	n.unfollow()
	n.s.SetReplicaOf(settings.Upstream{})
	old := n.log.IDs()
	ids := n.log.Shift(id)
	n.noteIDs()
	n.logf(repl.Notice, "Setting secondary replication ID to "+old.ID+", valid up to offset: "+itoa(ids.Second)+". New replication ID is "+ids.ID)
	n.dropPeers() // they ask again and learn the new ID
	n.parked = false
	n.e.SetState(0, engine.Replica|engine.LinkDown|engine.Loading|engine.AsyncLoading|engine.Parked)
	n.endReign(true)
	n.applySynchronous()
	n.tellRole(false)
	n.noPeers = n.now()
}

func (n *Node) tellRole(replica bool) {
	if n.o.OnRole != nil {
		n.o.OnRole(replica)
	}
}

// unfollow ends the link to the master, if there is one. The engine's lock and Node.mu must be held.
func (n *Node) unfollow() {
	if n.up != nil {
		n.abandonUp()
		n.up, n.lastRun = nil, ""
	}
}

// abandonUp remembers the stream's database: the same history may go on later, or from another server, in the midst of it.
func (n *Node) abandonUp() {
	n.streamDB = n.up.applier.DB()
	n.up.abandon()
}

// dropPeers ends the connections of all replicas. Node.mu must be held.
func (n *Node) dropPeers() {
	for p := range n.peers {
		p.hangup()
	}
}

// unpaused lets the stream of the master go on that CLIENT PAUSE held back.
func (n *Node) unpaused() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up == nil {
		return
	}
	select {
	case n.up.unpaused <- struct{}{}:
	default:
	}
}

// watchSettings keeps what the engine and the log must know of the directives up to date. The hook runs within CONFIG
// SET, with the engine's lock held.
func (n *Node) watchSettings() {
	n.s.OnChange(func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.applySettings()
		n.applySynchronous()
		n.countGood() // another lag may make others good
		return nil
	}, "synchronous-replicas", "synchronous-timeout", "repl-backlog-size", "repl-disk-backlog-size", "replica-read-only", "replica-serve-stale-data", "min-replicas-to-write", "min-replicas-max-lag")
}

func (n *Node) applySettings() {
	n.log.SetBacklogSize(n.s.Int(settings.ReplBacklogSize))
	n.log.SetDisk(n.s.Int(settings.ReplDiskBacklogSize), n.segment)
	n.e.PutState(engine.ReadOnly, n.s.Bool(settings.ReplicaReadOnly))
	n.e.PutState(engine.ServeStale, n.s.Bool(settings.ReplicaServeStaleData))
	need := int(n.s.Int(settings.MinReplicasToWrite))
	if n.s.Int(settings.MinReplicasMaxLag) == 0 {
		need = 0
	}
	n.e.SetMinReplicas(need)
}
