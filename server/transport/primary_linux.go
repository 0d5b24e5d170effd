package transport

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/relay"
	"github.com/understudy-db/understudy/server/resp"
	"golang.org/x/sys/unix"
)

// Connections of the primary port want the master. The engine executes none of their commands where it is not
// (engine.WantsMaster); those that have sent one are astray, and the loop looks again and again for what can be done:
//
//	this server may write (again)     its commands are executed
//	the master is elsewhere           the relay takes it there, with its session and what was not executed
//	it came from another member       it goes back there: at most one relay is in a connection's way
//	nothing, for too long             it gets an error and is closed
//
// One that sends nothing stays as it is, whoever is master, and costs what an idle connection costs.

const (
	// seekEach is how often the loop looks while a connection is astray.
	seekEach = 2 * time.Millisecond
	// refuseAfter is for how long a member that was asked to serve as the master may take to become it.
	refuseAfter = time.Second
)

// atPrimary is what the loop knows of a connection that came in on the primary port.
type atPrimary struct {
	begun  bool           // its first bytes were seen
	astray bool           // wants the master, and this server is not it
	listed bool           // in loop.astray
	asking bool           // a request of another member that is not answered yet
	from   *relay.Request // of the member that relays it; nil: a client's own connection
	since  time.Time      // astray
}

func (c *conn) astray() bool { return c.primary != nil && c.primary.astray }

// PrimaryCounts is what became of connections of the primary port.
type PrimaryCounts struct {
	Waiting int64 // astray now
	Dropped int64 // closed at a change of the role, with a session that could not be carried
	Expired int64 // closed because there was no master in time
}

type primaryStats struct{ waiting, dropped, expired atomic.Int64 }

// Primary reads the counters.
func (t *Server) Primary() PrimaryCounts {
	s := &t.primaryStats
	return PrimaryCounts{Waiting: s.waiting.Load(), Dropped: s.dropped.Load(), Expired: s.expired.Load()}
}

// CountDropped counts connections that were closed elsewhere for what binds them to this server.
func (t *Server) CountDropped(n int) { t.primaryStats.dropped.Add(int64(n)) }

// begin looks at the first bytes of a connection: another member says what it brings. It answers the commands behind that,
// nil when there is nothing to parse yet.
func (l *loop) begin(c *conn, buf []byte) []byte {
	if buf[0] != relay.Magic {
		c.primary.begun = true
		return buf
	}
	q, n, err := relay.ParseRequest(buf)
	switch {
	case err != nil:
		l.t.verbosef("Closing client id=%d addr=%s: %v", c.sess.Num, c.RemoteAddr(), err)
		l.close(c)
		return nil
	case n == 0:
		c.buf, c.done, c.broken, c.first, c.last = buf, 0, nil, len(l.items), len(l.items)
	default:
		c.primary.begun = true
		if refusal := l.take(c, q); refusal != "" {
			l.refuse(c, refusal)
			return nil
		}
		c.buf, c.done, c.broken, c.first, c.last = buf, n, nil, len(l.items), len(l.items)
	}
	c.inBatch = true
	l.batch = append(l.batch, c) // finish keeps the rest, and looks for the master
	return nil
}

// take makes c the session that another member brings. The answer comes once this server may write.
func (l *loop) take(c *conn, q relay.Request) (refusal string) {
	if q.Set != l.t.relay.Set() {
		return relay.WhyForeign
	}
	if refusal = l.t.sessions.Unpack(&c.sess, q); refusal == "" {
		q.State, q.Password = nil, ""
		c.primary.from, c.primary.asking, c.primary.astray = &q, true, true
	}
	return refusal
}

func (l *loop) refuse(c *conn, why string) {
	rawSend(c.fd, relay.No(why)) // a full socket is a peer that does not listen
	l.close(c)
}

// goAstray lists c. What needs no other connection's turn is done at once.
func (l *loop) goAstray(c *conn) {
	p := c.primary
	if !p.listed {
		p.listed, p.since = true, time.Now()
		l.astray = append(l.astray, c)
		l.t.primaryStats.waiting.Add(1)
	}
	if !l.t.e.Serving() || (p.asking && len(c.query) == 0) { // else there are commands to parse, which a batch under way forbids
		l.place(c, p.since)
	}
}

// seekMaster looks what can be done for the connections that are astray.
func (l *loop) seekMaster() {
	if len(l.astray) == 0 {
		return
	}
	now := time.Now()
	list := l.astray
	l.astray = nil
	for _, c := range list {
		if !c.closed && c.primary.astray {
			l.place(c, now)
		}
		if !c.closed && c.primary.astray {
			l.astray = append(l.astray, c)
			continue
		}
		c.primary.listed = false
		l.t.primaryStats.waiting.Add(-1)
	}
}

// place does the first of what can be done for c.
func (l *loop) place(c *conn, now time.Time) {
	p, e := c.primary, l.t.e
	l.sendPushes(c)
	switch {
	case c.closed:
	case p.asking && e.Serving():
		p.asking, p.astray = false, false
		l.welcome(c)
	case p.asking && (l.t.relay.Elsewhere() || now.Sub(p.since) > refuseAfter):
		l.refuse(c, "not the master")
	case p.asking:
	case e.Serving():
		p.astray = false
		l.resume(c)
	case c.unsent() > 0: // replies first, in order
		l.flush(c)
	case p.from != nil && e.Led():
		l.giveBack(c)
	case p.from == nil && l.t.relay.Elsewhere() && l.t.relay.Reserve():
		l.relayOn(c)
	case now.Sub(p.since) > l.t.relay.Patience():
		l.t.primaryStats.expired.Add(1)
		p.astray = false
		c.ending = true
		w := resp.NewWriter(nil)
		w.RawString(relay.NoMaster)
		l.send(c, w)
	}
}

func (l *loop) welcome(c *conn) {
	w := resp.NewWriter(nil)
	w.RawString(string(relay.Yes()))
	l.send(c, w)
	if !c.closed {
		l.resume(c)
	}
}

// RoleLost makes clients of the primary port that a pause holds back look for the master at once: here the pause's end lets
// them do nothing.
func (t *Server) RoleLost() {
	for _, l := range t.loops {
		l.post(l.leavePause)
	}
}

func (l *loop) leavePause() {
	list := l.paused
	l.paused = nil
	for _, c := range list {
		if c.primary == nil {
			l.paused = append(l.paused, c)
			continue
		}
		c.listed, c.paused = false, false
		l.t.e.HeldBack(-1)
		l.resume(c)
	}
}

// dropOff closes a connection whose session cannot leave this server.
func (l *loop) dropOff(c *conn, why error) {
	l.t.primaryStats.dropped.Add(1)
	l.t.verbosef("Closing client id=%d addr=%s, the master is elsewhere: %v", c.sess.Num, c.RemoteAddr(), why)
	l.close(c)
}

// relayOn gives c to the relay, which has a place for it.
func (l *loop) relayOn(c *conn) {
	state, auth, err := c.sess.Pack()
	if err != nil {
		l.t.relay.Release()
		l.dropOff(c, err)
		return
	}
	unread, since := append([]byte(nil), c.query...), c.primary.since
	nc, err := l.release(c)
	l.t.sessions.Closed(&c.sess)
	if err != nil {
		l.t.relay.Release()
		l.t.active.Add(-1)
		return
	}
	l.t.relay.Take(&relay.Client{Conn: nc, State: state, Auth: auth, Unread: unread, Done: func() { l.t.active.Add(-1) }}, since)
}

// giveBack returns c to the member that it came from.
func (l *loop) giveBack(c *conn) {
	state, auth, err := c.sess.Pack()
	if err != nil {
		l.dropOff(c, err)
		return
	}
	unread, from := append([]byte(nil), c.query...), *c.primary.from
	nc, err := l.release(c)
	l.t.sessions.Closed(&c.sess)
	if err != nil {
		l.t.active.Add(-1)
		return
	}
	go func() {
		defer l.t.active.Add(-1)
		if err := relay.Return(nc, from, state, auth, unread); err != nil {
			l.t.logf("A connection could not be given back to %s: %v", nc.RemoteAddr(), err)
		}
	}()
}

// Requeue implements engine.Requeuer.
func (c *conn) Requeue(cmd []byte) {
	c.l.post(func() {
		if !c.closed {
			rest := c.query
			c.query, c.waiting = slices.Concat(cmd, rest), false
			c.l.bury(rest)
			c.parser.Reset()
			c.l.resume(c)
		}
	})
}

// Home takes a relayed connection back: this server has become the master.
func (t *Server) Home(c *relay.Client) error {
	fd, err := duplicate(c.Conn)
	if err != nil {
		return err
	}
	k := newConn(fd, addressOf(c.Conn.RemoteAddr()), addressOf(c.Conn.LocalAddr()), "")
	k.primary = &atPrimary{begun: true}
	k.sess.Set(engine.WantsMaster)
	k.query = c.Unread
	t.active.Add(1)
	_ = c.Conn.Close()
	l := t.loops[int(t.homes.Add(1))%len(t.loops)]
	l.post(func() { l.comeHome(k, c) })
	return nil
}

func (l *loop) comeHome(k *conn, c *relay.Client) {
	l.adopt(k)
	if l.conns[k.fd] != k {
		return
	}
	if refusal := l.t.sessions.Restore(&k.sess, c.State, c.Auth); refusal != "" {
		l.t.logf("Closing client id=%d addr=%s: %s", k.sess.Num, k.RemoteAddr(), refusal)
		l.close(k)
		return
	}
	l.resume(k)
}

func addressOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		p := tcp.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// duplicate makes a descriptor of the loop's kind for a connection of the runtime's.
func duplicate(nc net.Conn) (fd int, err error) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return -1, unix.ENOTSOCK
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	err = rc.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = failed
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	return fd, err
}
