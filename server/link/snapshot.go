package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
)

// snapshotRun is a snapshot that replicas wait for, one at a time. Its fields are guarded by Node.mu.
type snapshotRun struct {
	diskless bool
	cut      bool // the cut was made: id and offset count
	id       string
	offset   int64
	feeds    []*liveFeed
	cancel   context.CancelFunc
}

// maybeSnapshot begins a snapshot when the waiting replicas deserve one. The engine's lock must not be held.
func (n *Node) maybeSnapshot() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.snap != nil || n.ctx.Err() != nil {
		return
	}
	plan := repl.SnapshotPlan{Diskless: n.s.Bool(settings.ReplDisklessSync), Delay: n.s.Int(settings.ReplDisklessSyncDelay) * 1000,
		MaxPeers: int(n.s.Int(settings.ReplDisklessMaxReplicas))}
	var waiting []*repl.Peer
	for p := range n.peers {
		if p.m.State() == repl.PeerWaitStart {
			waiting = append(waiting, p.m)
		}
	}
	start, diskless := plan.Decide(n.now(), waiting)
	if !start {
		return
	}
	target := "disk"
	if diskless {
		target = "replicas sockets"
	}
	n.logf(repl.Notice, "Starting BGSAVE for SYNC with target: "+target)
	ctx, cancel := context.WithCancel(n.ctx)
	run := &snapshotRun{diskless: diskless, cancel: cancel}
	n.snap = run
	n.work.Go(func() {
		defer cancel()
		var err error
		if diskless {
			err = n.snapshotToPeers(ctx, run)
		} else {
			err = n.snapshotToDisk(ctx, run)
		}
		n.endSnapshot(run, err)
	})
}

// maybeCancelSnapshot ends a snapshot to disk that nobody waits for any more. With save points it goes on, as in Redis: a
// replica that comes back meanwhile joins it. Node.mu must be held.
func (n *Node) maybeCancelSnapshot() {
	if n.snap == nil || n.snap.diskless || !n.snap.cut || n.persistent() {
		return
	}
	for p := range n.peers {
		if s := p.m.State(); s == repl.PeerWaitStart || s == repl.PeerWaitEnd {
			return
		}
	}
	n.snap.cancel()
}

// atCut lets every replica that waits join. It runs under the engine's lock, between two effects.
func (n *Node) atCut(run *snapshotRun) []snapshot.Aux {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log.CreateBacklog()
	n.noteIDs()
	db := 0
	if n.isMaster() {
		n.log.SetSelected(oplog.NoDB) // what follows the cut starts with SELECT
	} else {
		db = n.up.applier.DB()
	}
	run.cut, run.id, run.offset = true, n.log.IDs().ID, n.log.Offset()
	for p := range n.peers {
		n.join(run, p)
	}
	head := []snapshot.Aux{{Name: "repl-stream-db", Value: itoa(int64(db))}, {Name: "repl-id", Value: run.id}, {Name: "repl-offset", Value: itoa(run.offset)}}
	return append(head, snapshot.Libraries(n.e.Libraries())...)
}

// join makes a waiting peer part of a run, if it can. Node.mu must be held.
func (n *Node) join(run *snapshotRun, p *peer) {
	if p.m.State() != repl.PeerWaitStart || (run.diskless && p.m.Capa()&repl.CapaEOF == 0) {
		return
	}
	mark := newID()
	p.act(p.m.Joined(n.now(), run.id, run.offset, run.diskless, mark))
	if run.diskless {
		f := newLiveFeed(p, mark)
		p.live = f
		run.feeds = append(run.feeds, f)
		p.setJob(f)
	}
}

// joinRunning lets a replica take part in a snapshot on its way to disk, as long as the log still has everything since
// its cut. Node.mu must be held.
func (n *Node) joinRunning(p *peer) bool {
	run := n.snap
	if run == nil || run.diskless || !run.cut || run.id != n.log.IDs().ID {
		return false
	}
	c, err := n.log.Replica(run.offset)
	if err != nil {
		return false
	}
	defer c.Close()
	n.logf(repl.Notice, "Waiting for end of BGSAVE for SYNC")
	n.join(run, p)
	return true
}

// feedPart sends a payload without keys (REPLCONF rdb-filter-only): it is made at once. The engine's lock and Node.mu must
// be held.
func (n *Node) feedPart(p *peer) {
	id, offset := n.log.IDs().ID, n.log.Offset()
	head := []snapshot.Aux{{Name: "repl-id", Value: id}, {Name: "repl-offset", Value: itoa(offset)}}
	if p.m.Filter().Functions {
		head = append(head, snapshot.Libraries(n.e.Libraries())...)
	}
	var payload bytes.Buffer
	none := n.e.Store().Sibling()
	if err := snapshot.Save(none, &payload, snapshot.Options{AtCut: func() []snapshot.Aux { return head }}); err != nil {
		p.act(p.m.SnapshotFailed(err.Error()))
		return
	}
	p.act(p.m.Joined(n.now(), id, offset, false, ""))
	p.act(p.m.SnapshotDone(n.now(), int64(payload.Len())))
	p.setJob(bytesJob{p, payload.Bytes()})
}

// bytesJob sends a payload from memory.
type bytesJob struct {
	p *peer
	b []byte
}

func (j bytesJob) drop() {}

func (j bytesJob) run(conn net.Conn) error {
	if err := j.p.n.sent(conn.Write(j.b)); err != nil {
		return err
	}
	return j.p.payloadSent()
}

func (n *Node) snapshotToDisk(ctx context.Context, run *snapshotRun) error {
	f, err := os.CreateTemp(n.s.Dir(), "temp-sync-*.rdb")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // the replicas' jobs hold the file open
	defer f.Close()
	if err := n.write(ctx, f, func() []snapshot.Aux { return n.atCut(run) }); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.logf(repl.Notice, "Background saving terminated with success")
	for p := range n.peers {
		if p.m.State() != repl.PeerWaitEnd {
			continue
		}
		own, err := os.Open(f.Name())
		if err != nil {
			return err
		}
		p.act(p.m.SnapshotDone(n.now(), info.Size()))
		p.setJob(fileJob{p, own, info.Size()})
	}
	return nil
}

// Syncing tells whether a snapshot for replicas is under way.
func (n *Node) Syncing() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.snap != nil
}

func (n *Node) endSnapshot(run *snapshotRun, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.snap = nil
	n.kick() // others may have come meanwhile
	if err == nil {
		return
	}
	for p := range n.peers {
		switch p.m.State() {
		case repl.PeerWaitStart:
			if run.cut {
				continue
			}
		case repl.PeerWaitEnd:
		default:
			continue
		}
		p.act(p.m.SnapshotFailed(err.Error()))
	}
}

// write writes a snapshot to sink and waits for its end.
func (n *Node) write(ctx context.Context, sink io.Writer, atCut func() []snapshot.Aux) error {
	var cut int64
	at := func() []snapshot.Aux { cut = n.log.WholePos(); return atCut() }
	s := snapshot.Start(n.e, n.e.Store(), sink, snapshot.Options{AtCut: at, Spill: n.spill,
		NoCompress: !n.s.Bool(settings.RDBCompression), NoChecksum: !n.s.Bool(settings.RDBChecksum),
		KeyDelay: func() time.Duration {
			return time.Duration(n.s.Int(settings.RDBKeySaveDelay)) * time.Microsecond
		}})
	select {
	case <-s.Done():
	case <-ctx.Done():
		s.Cancel()
		<-s.Done()
	}
	err := s.Wait()
	n.e.Settle()
	for !n.log.Released(cut) && ctx.Err() == nil { // the payload's end makes a replica show the cut: what the stream may tell, no more
		time.Sleep(time.Millisecond)
	}
	return err
}

// errNobody ends a diskless snapshot whose replicas are all gone.
var errNobody = errors.New("every replica of this snapshot is gone")

// snapshotToPeers writes a snapshot to the sockets of all replicas that joined.
func (n *Node) snapshotToPeers(ctx context.Context, run *snapshotRun) error {
	err := n.write(ctx, fanOut{n, run}, func() []snapshot.Aux { return n.atCut(run) })
	alive := 0
	for _, f := range run.liveFeeds(n) {
		if !f.gone() {
			alive++
		}
		if err == nil {
			f.finish()
		} else {
			f.fail()
		}
	}
	if err == nil { // Redis' words, which monitors look for, though there is neither pipe nor child
		n.logf(repl.Notice, "Diskless rdb transfer, done reading from pipe, "+itoa(int64(alive))+" replicas still up.")
		n.logf(repl.Notice, "Background RDB transfer terminated with success")
	} else {
		if errors.Is(err, errNobody) {
			n.logf(repl.Notice, "Diskless rdb transfer, last replica dropped, killing fork child.")
		}
		n.logf(repl.Warning, "Background transfer error: "+err.Error())
	}
	return err
}

func (r *snapshotRun) liveFeeds(n *Node) []*liveFeed {
	n.mu.Lock()
	defer n.mu.Unlock()
	return r.feeds
}

// fanOut gives every piece to all replicas and waits for the slowest; one that is gone is left out.
type fanOut struct {
	n   *Node
	run *snapshotRun
}

func (w fanOut) Write(p []byte) (int, error) {
	feeds := w.run.liveFeeds(w.n)
	alive := 0
	for _, f := range feeds {
		f.give(p)
	}
	for _, f := range feeds {
		if f.taken() {
			alive++
		}
	}
	if alive == 0 {
		return 0, errNobody
	}
	return len(p), nil
}

// liveFeed hands pieces of a snapshot from its goroutine to a peer's writer.
type liveFeed struct {
	p    *peer
	mark string
	in   chan []byte
	ok   chan struct{}
	done chan struct{} // closed when the peer is gone
	bad  chan struct{} // closed when the snapshot failed
	once sync.Once
}

func newLiveFeed(p *peer, mark string) *liveFeed {
	return &liveFeed{p: p, mark: mark, in: make(chan []byte), ok: make(chan struct{}, 1), done: make(chan struct{}), bad: make(chan struct{})}
}

func (f *liveFeed) drop() { f.end() }

func (f *liveFeed) end() { f.once.Do(func() { close(f.done) }) }

func (f *liveFeed) gone() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

func (f *liveFeed) give(b []byte) {
	select {
	case f.in <- b:
	case <-f.done:
	}
}

func (f *liveFeed) taken() bool {
	select {
	case <-f.ok:
		return true
	case <-f.done:
		return false
	}
}

func (f *liveFeed) finish() { close(f.in) }
func (f *liveFeed) fail()   { close(f.bad) }

// run is the job of the peer's writer: everything of the snapshot, then the mark.
func (f *liveFeed) run(conn net.Conn) error {
	defer f.end()
	for {
		select {
		case b, more := <-f.in:
			if !more {
				if err := f.p.n.sent(conn.Write([]byte(f.mark))); err != nil {
					return err
				}
				return f.p.payloadSent()
			}
			f.p.moving()
			if err := f.p.n.sent(conn.Write(b)); err != nil {
				return err
			}
			f.p.moved()
			f.ok <- struct{}{}
		case <-f.bad:
			return errors.New("the snapshot failed")
		case <-f.done:
			return net.ErrClosed
		}
	}
}
