package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/settings"
)

const (
	tickEach    = 100 * time.Millisecond
	readBuffers = 4 // chunks that may wait for the engine
	readSize    = 128 << 10
)

// upstream is the link to one master. Its goroutine (run) owns the machine and everything without a comment.
type upstream struct {
	n       *Node
	to      settings.Upstream
	m       *repl.Replica
	applier *engine.Applier
	stream  stream
	receive *receive // a full sync under way

	handOver bool // FAILOVER made that server the master: it does not know yet
	toParser bool // the next payload is parsed as it comes
	asked    bool // the acknowledgement at hand answers a GETACK
	stay     bool // the log could not go back once: it is not tried again

	conn   *masterConn
	dialed chan *masterConn
	loaded chan loadResult

	passOn   chan struct{}      // a replica of this server has vouched: the master is to know at once
	unpaused chan struct{}      // CLIENT PAUSE is over
	orders   chan struct{}      // REPLICAOF named this master again
	tight    atomic.Bool        // a payload from the socket did not fit beside the old data: the next one goes to a file
	gone     atomic.Bool        // set under the engine's lock: nothing of this master may be applied any more
	ctx      context.Context    // ends with abandon and stop
	cancel   context.CancelFunc // any goroutine
	done     chan struct{}

	// Published for INFO and ROLE.
	state     atomic.Int32
	lastIO    atomic.Int64
	downSince atomic.Int64
	left      atomic.Int64
	size      atomic.Int64
	read      atomic.Int64 // bytes taken from the stream and applied, or waiting for the rest of a transaction
}

// masterConn is one connection; its reader goroutine, the pump, fills chunks. There is room in the channel for every
// buffer and the final error, so the pump never waits for anything but the socket and a free buffer.
type masterConn struct {
	net.Conn
	err  error         // of the dial
	came *atomic.Int64 // counts bytes
	in   chan chunk
	free chan []byte
	once sync.Once

	forget func() // nil, or to be called at the end
	// hurry is until when (on the node's clock) somebody may wait for acknowledgements, so that every piece counts at once.
	hurry atomic.Int64
	now   func() time.Duration
}

type chunk struct {
	p   []byte
	err error
}

func newUpstream(n *Node, to settings.Upstream, explicit bool, lastRun string) *upstream {
	ctx, cancel := context.WithCancel(n.ctx)
	u := &upstream{n: n, to: to, applier: n.e.NewApplier("master"), dialed: make(chan *masterConn, 1), loaded: make(chan loadResult, 1),
		passOn: make(chan struct{}, 1), unpaused: make(chan struct{}, 1), orders: make(chan struct{}, 1), ctx: ctx, cancel: cancel, done: make(chan struct{})}
	u.m = repl.NewReplica(u.settings(), explicit, lastRun)
	u.stream.init(u)
	u.downSince.Store(n.now())
	return u
}

// abandon ends the link without waiting; the engine's lock must be held, so that nothing of it is applied afterwards.
func (u *upstream) abandon() {
	u.gone.Store(true)
	u.applier.Stop()
	u.cancel()
}

// stop ends the link and waits. The engine's lock must not be held.
func (u *upstream) stop() {
	u.n.e.Exclusive(u.abandon)
	<-u.done
}

func (u *upstream) addr() string { return net.JoinHostPort(u.to.Host, strconv.Itoa(u.to.Port)) }

// settings reads the directives that the machine needs; it is called before every step, so that changes count at once.
func (u *upstream) settings() repl.ReplicaSettings {
	s := u.n.s
	r := repl.ReplicaSettings{
		Master: u.to.Host + ":" + strconv.Itoa(u.to.Port), User: s.String(settings.MasterUser), Password: s.String(settings.MasterAuth),
		Port: int(s.Int(settings.ReplicaAnnouncePort)), AnnounceIP: s.String(settings.ReplicaAnnounceIP),
		Timeout: s.Int(settings.ReplTimeout) * 1000, Guard: s.Bool(settings.FullSyncGuard), ToParser: u.toParser, Failover: u.handOver,
		AckWords: u.ackWords,
	}
	if r.Port == 0 {
		r.Port = u.n.o.Port()
	}
	if m := u.n.o.Managed; m != nil {
		r.Guard = false // a member's guard is its term
		r.Hello, r.Offer = m.Hello, m.Offer
	}
	return r
}

// ackWords are what an acknowledgement of offset says besides: how far this server's append-only file is on disk, as Redis
// 7.2 tells it, and a member's vouchers. What the file still lacks of offset is owed.
func (u *upstream) ackWords(offset int64, silent repl.Millis) (words []string) {
	if synced := u.n.syncedOffset(); synced >= 0 {
		words = append(words, "FACK", itoa(synced))
		if synced < offset && u.asked {
			u.n.owed.Store(offset)
		}
	}
	u.asked = false
	if m := u.n.o.Managed; m != nil && m.AckWords != nil {
		words = append(words, m.AckWords(offset, time.Duration(max(silent-1, 0))*time.Millisecond)...)
	}
	return words
}

func (u *upstream) run() {
	defer u.disposeLoaded()
	defer close(u.done)
	defer u.cleanUp()
	tick := time.NewTicker(tickEach)
	defer tick.Stop()
	u.act(u.m.Start(u.n.now()))
	for u.ctx.Err() == nil {
		u.once(tick.C)
	}
}

// once waits for one event and does what the machine says.
func (u *upstream) once(tick <-chan time.Time) {
	n := u.n
	var in chan chunk
	if u.conn != nil && u.m.State() != repl.Loading && !u.stream.full() { // else the master's stream waits in the socket
		in = u.conn.in
	}
	select {
	case <-u.ctx.Done():
	case <-tick:
		u.m.Configure(u.settings())
		u.act(u.m.Tick(n.now(), n.log.Offset()))
	case <-u.unpaused:
		u.stream.apply()
		u.act(nil)
	case <-u.passOn:
		u.act(u.m.GetAck(n.now(), n.log.Offset()))
	case <-u.orders:
		u.act(u.m.Order(n.now()))
	case c := <-u.dialed:
		u.connected(c)
	case c := <-in:
		u.received(c)
	case r := <-u.loaded:
		u.finishLoad(r)
	}
}

func (u *upstream) connected(c *masterConn) {
	if c.err != nil {
		u.act(u.m.Lost(u.n.now(), c.err))
		return
	}
	if u.m.State() != repl.Connecting { // it took longer than the machine waited
		c.Close()
		return
	}
	u.conn = c
	if u.n.o.OnMaster != nil {
		c.forget = u.n.o.OnMaster(c.RemoteAddr().String(), c.LocalAddr().String(), func() { go c.Conn.Close() })
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
	}
	u.n.work.Go(c.pump)
	place := u.place()
	u.toParser = u.parseAtOnce(place.Data)
	u.m.Configure(u.settings())
	u.act(u.m.Connected(u.n.now(), place))
}

// parseAtOnce decides the way of a full sync's payload: to the loader as it comes, or to a file first. The first is twice
// as fast, and as safe as long as the new data set has room beside the old one, which nothing is lost of when the
// transfer breaks. A file is for the case that the old one has to go first: that must not happen before the new one has
// arrived, unless swapdb asks for it.
func (u *upstream) parseAtOnce(hasData bool) bool {
	if u.n.s.Enum(settings.ReplDisklessLoad) == settings.DisklessLoadSwapDB || !hasData {
		return true
	}
	limit, used := u.n.memoryLimit(), int64(0)
	u.n.e.Shared(func() { used = u.n.e.Store().UsedBytes() })
	return limit == 0 || used < limit/3 && !u.tight.Load() // the size is not known yet: a replica's data set is seldom more than doubled
}

// place is where this server stands: what PSYNC asks to continue.
func (u *upstream) place() repl.Place {
	ids, active := u.n.log.IDs(), u.n.log.Backlog().Active
	p := repl.Place{Offset: u.n.log.Offset(), Idle: func(int64) bool { return false }}
	if active {
		p.ID, p.ID2, p.Second = ids.ID, ids.ID2, ids.Second
	}
	if may := u.n.o.Managed != nil || u.n.s.Bool(settings.ReplRewindHeartbeats); may && !u.stay {
		p.Idle = u.n.idleBehind
	}
	u.n.e.Shared(func() { p.Data = dataIn(u.n.e.Store()) > 0 })
	return p
}

func (u *upstream) received(c chunk) {
	now := u.n.now()
	if c.err != nil {
		u.hangup()
		u.act(u.m.Lost(now, plainEnd(c.err)))
		return
	}
	conn := u.conn
	u.act(u.m.Received(now, c.p))
	if u.conn == conn { // else it was hung up
		conn.free <- c.p[:cap(c.p)]
	}
}

// act performs effects in their order.
func (u *upstream) act(es []repl.Effect) {
	for _, e := range es {
		if u.ctx.Err() != nil {
			return
		}
		switch e := e.(type) {
		case repl.Log:
			u.n.logf(e.Level, e.Text)
		case repl.Dial:
			u.dial()
		case repl.Send:
			u.send(e.Data)
		case repl.Hangup:
			u.hangup()
		case repl.SetAside:
			u.n.setAside(e.Offset)
		case repl.BeginFull:
			u.beginFull(e)
		case repl.Payload:
			u.receive.write(e.Data)
		case repl.EndPayload:
			u.receive.end()
		case repl.AbortFull:
			u.abortFull()
		case repl.Resume:
			u.resume(e)
		case repl.Apply:
			u.stream.feed(e.Data)
		case repl.Rejected:
			u.n.rejected(u.to)
		case repl.Kept:
			u.n.mu.Lock()
			u.n.kept = e.Reason
			u.n.mu.Unlock()
			u.n.trips.Add(1)
		}
	}
	u.publish()
	if u.stream.getack { // after the loop: the machine's effects are its own buffer
		u.stream.getack, u.asked = false, true
		u.act(u.m.GetAck(u.n.now(), u.n.log.Offset()))
	}
	if err := u.stream.err; err != nil {
		u.stream.err = nil
		u.n.logf(repl.Warning, "Protocol error in the stream of the master: "+err.Error())
		u.hangup()
		u.act(u.m.Lost(u.n.now(), err))
	}
	if r := u.receive; r != nil && r.failed != nil && u.m.State() == repl.Transfer {
		u.act(u.m.Loaded(u.n.now(), r.failed))
	}
}

// publish shows the machine's state to the engine and to INFO.
func (u *upstream) publish() {
	old := repl.ReplicaState(u.state.Swap(int32(u.m.State())))
	u.lastIO.Store(u.m.LastIO())
	u.left.Store(u.m.TransferLeft())
	if now := u.m.State(); old != now {
		up := now == repl.Connected
		if old == repl.Connected {
			u.downSince.Store(u.n.now())
		}
		if up || old == repl.Connected {
			u.n.e.Exclusive(func() {
				if u.gone.Load() {
					return
				}
				u.n.e.PutState(engine.LinkDown, !up)
				u.n.mu.Lock()
				u.n.lastRun = u.m.LastRun()
				u.n.mu.Unlock()
			})
		}
	}
}

func (u *upstream) dial() {
	d := net.Dialer{Timeout: time.Duration(u.n.s.Int(settings.ReplTimeout)) * time.Second}
	if src := u.n.s.String(settings.BindSourceAddr); src != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(src)}
	}
	u.n.work.Go(func() {
		c := &masterConn{in: make(chan chunk, readBuffers+1), free: make(chan []byte, readBuffers), now: u.n.clock, came: &u.n.bytesIn}
		c.Conn, c.err = u.connect(d)
		for range readBuffers {
			c.free <- make([]byte, readSize)
		}
		select {
		case u.dialed <- c:
		case <-u.ctx.Done():
			if c.err == nil {
				c.Close()
			}
		}
	})
}

// connect dials the master, and shakes hands with it where tls-replication is on.
func (u *upstream) connect(d net.Dialer) (net.Conn, error) {
	c, err := d.DialContext(u.ctx, "tcp", u.addr())
	if err != nil || u.n.o.TLS == nil {
		return c, err
	}
	config := u.n.o.TLS()
	if config == nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(u.ctx, d.Timeout)
	defer cancel()
	s := tls.Client(c, config)
	if err := s.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return s, nil
}

// pump reads until the connection ends.
func (c *masterConn) pump() {
	var t trickle
	_, secured := c.Conn.(*tls.Conn)
	for p := range c.free {
		n, err := c.Read(p)
		c.came.Add(int64(n))
		if n > 0 {
			c.in <- chunk{p: p[:n]}
		}
		if err != nil {
			c.in <- chunk{err: err}
			return
		}
		switch now := c.now(); {
		case secured: // gives a record at a time: one for each wait would be all that a stream or a payload gets
		case int64(now) < c.hurry.Load():
			t.stop()
		case t.came(now, n):
			time.Sleep(gatherFor)
		}
	}
}

// Close ends the connection and its pump.
func (c *masterConn) Close() error {
	c.once.Do(func() {
		if c.Conn != nil {
			_ = c.Conn.Close()
		}
		if c.forget != nil {
			c.forget()
		}
	})
	return nil
}

func (u *upstream) send(p []byte) {
	if u.conn == nil {
		return
	}
	heedStop() // nobody is told what came after it
	_ = u.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := u.conn.Write(p); err != nil {
		u.conn.Close() // the pump reports it
	}
}

func (u *upstream) hangup() {
	if u.conn == nil {
		return
	}
	conn := u.conn
	u.conn = nil
	conn.Close()
	close(conn.free) // ends the pump; what it has read stays unread
	u.stream.reset()
}

// resume goes on with the stream, possibly under the name that a new master gave to the history, and behind heartbeats that it
// does not know.
func (u *upstream) resume(e repl.Resume) {
	u.n.e.Exclusive(func() {
		if u.gone.Load() {
			return
		}
		u.n.mu.Lock()
		defer u.n.mu.Unlock()
		if e.Offset < u.n.log.Offset() && !u.n.goBack(e.Offset) {
			u.stay = true
			u.stream.err = fmt.Errorf("this server's log cannot go back to offset %d", e.Offset)
			return
		}
		if e.ID != "" {
			u.n.log.Shift(e.ID)
			u.n.noteIDs()
			u.n.dropPeers() // they ask again and learn the new ID
		}
		if !u.n.log.Backlog().Active {
			panic("link: +CONTINUE for a log that keeps no history")
		}
		u.n.kept = ""
		u.n.failover.finish(u.n, u.to)
		if m := u.n.o.Managed; m != nil && m.Joined != nil { // under the lock: an abandoned link joins nothing
			m.Joined(false)
		}
	})
	u.handOver = false
	if err := u.stream.err; err != nil {
		return // act ends the link
	}
	u.stream.reset()
}

func (u *upstream) cleanUp() {
	u.abortFull()
	u.hangup()
	select {
	case c := <-u.dialed:
		if c.err == nil {
			c.Close()
		}
	default:
	}
	u.applier.Close()
}

func plainEnd(err error) error {
	if errors.Is(err, net.ErrClosed) || err.Error() == "EOF" {
		return nil
	}
	return err
}
