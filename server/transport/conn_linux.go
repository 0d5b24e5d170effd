package transport

import (
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/session"
	"golang.org/x/sys/unix"
)

// conn is one client connection. All fields belong to its loop's goroutine; the methods of engine.Owner may be called
// from anywhere.
type conn struct {
	l      *loop
	fd     int
	sess   session.Session
	parser resp.Parser
	events uint32  // what epoll watches for
	unread bool    // there may be bytes in the socket, or its end, of which epoll does not tell again: see hears; not of TLS, see left
	toEnd  bool    // epoll told of an end, or of an urgent byte, somewhere behind what is there: reads go on until there is nothing
	later  bool    // in loop.later or loop.rest
	metAt  uint64  // see gathering.meet
	secure *secure // TLS; nil: none
	unix   bool

	// While in a batch: buf is what was read, buf[:done] is parsed, items[first:last] came of it.
	buf         []byte
	done        int
	first, last int
	broken      error // a protocol error after the last command
	again       bool  // look at the rest once this batch is done
	inBatch     bool

	query   []byte // received and not executed: an incomplete command, or what came while held
	reach   int    // what the next read asks for, 0: readSize
	out     []chunk
	outLen  int64
	kept    *kept // the latest output that waits for others, nil when none does; keptLen counts all of it
	keptLen int64
	counted int64         // bytes of query and out for which the engine has been told
	ticket  engine.Ticket // of the writes whose replies are in out
	overAt  time.Time     // since when the soft output limit is exceeded
	closed  bool
	ending  bool       // close once the replies have left
	waiting bool       // blocked by a command
	paused  bool       // held back by CLIENT PAUSE
	listed  bool       // in loop.paused
	primary *atPrimary // came in on the primary port; nil: it did not
	overrun atomic.Bool
	detach  func(net.Conn, []byte)

	pushes []push // guarded by the mailbox's lock
}

// push is a message that waits for its place among the replies.
type push struct {
	after uint64
	data  []byte
}

// chunk is a piece of output that could not be sent at once.
type chunk struct {
	data []byte
	blob resp.Blob
}

var _ engine.Owner = (*conn)(nil)

// held tells that c's requests must wait in its socket.
func (c *conn) held() bool { return c.waiting || c.paused || c.astray() }

func (c *conn) unsent() int64 { return c.outLen + c.keptLen + c.unsentRecords() }

// drained tells that nothing waits for the socket.
func (c *conn) drained() bool { return len(c.out) == 0 && c.unsentRecords() == 0 }

// ends tells that nothing more is executed for c.
func (c *conn) ends() bool { return c.ending || c.sess.Has(engine.CloseAfter) }

// Post runs fn on the loop.
func (c *conn) Post(fn func()) { c.l.post(fn) }

// Push queues a message. A client that lets messages pile up beyond its hard output limit is closed without them.
func (c *conn) Push(after uint64, p []byte) {
	if c.overrun.Load() {
		return // nothing comes behind what was left out
	}
	queued := c.sess.PushBytes.Add(int64(len(p)))
	if hard, _, _ := c.l.t.sessions.OutputLimit(&c.sess); hard > 0 && queued+c.sess.OutputBytes.Load() >= hard {
		c.sess.PushBytes.Add(-int64(len(p))) // it is not queued
		if !c.overrun.Swap(true) {
			c.l.post(func() {
				if !c.closed {
					c.l.overLimit(c)
				}
			})
		}
		return
	}
	c.l.t.e.AddClientBytes(int64(len(p)))
	m := &c.l.mail
	m.mu.Lock()
	if len(c.pushes) == 0 {
		m.pushed = append(m.pushed, c)
	}
	c.pushes = append(c.pushes, push{after, p})
	c.l.wakeAndUnlock()
}

// account tells the engine what the client's buffers take.
func (c *conn) account() {
	query := cap(c.query)
	if mapped(c.query) { // memory is there as far as it is filled
		query = len(c.query)
	}
	if n := c.unsent() + int64(query); n != c.counted && !c.closed {
		c.l.t.e.AddClientBytes(n - c.counted)
		c.sess.HeldBytes.Store(n)
		c.counted = n
	}
}

// takePushes empties the queue of messages.
func (c *conn) takePushes() []push {
	if c.sess.PushBytes.Load() == 0 {
		return nil
	}
	m := &c.l.mail
	m.mu.Lock()
	list := c.pushes
	c.pushes = nil
	m.mu.Unlock()
	switch {
	case len(list) == 0:
	case c.l.inside:
		c.l.t.e.Settle() // no other lane is in the middle of anything: this goroutine has the lock
	default:
		c.l.t.e.SettleOthers()
	}
	return list
}

// enqueuePush puts a message behind the unsent output without copying it.
func (l *loop) enqueuePush(c *conn, p push) {
	out, n := c.tail()
	*out = append(*out, chunk{data: p.data[:len(p.data):len(p.data)]})
	*n += int64(len(p.data))
	c.noteOut(int64(len(p.data)))
	c.sess.PushBytes.Add(-int64(len(p.data)))
	l.t.e.AddClientBytes(-int64(len(p.data)))
	c.account()
}

// sendPushes sends the messages that nothing unsent goes before.
func (l *loop) sendPushes(c *conn) {
	if c.closed || c.inBatch {
		return // finish sends them in their places
	}
	list := c.takePushes()
	if len(list) == 0 || c.ends() {
		return
	}
	l.keepOthers(c, 0, true)
	for _, p := range list {
		l.enqueuePush(c, p)
	}
	l.flush(c)
}

// Deliver answers a client that was blocked.
func (c *conn) Deliver(ticket engine.Ticket, write func(w *resp.Writer)) {
	made, waits := c.l.t.e.Commit().Reign()
	c.l.post(func() {
		w := resp.NewWriter(nil)
		w.SetProto(c.sess.Proto)
		write(w)
		if c.closed || c.sess.Has(engine.ReplyOff) {
			w.Reset()
		}
		if c.closed {
			return
		}
		c.l.t.e.SettleOthers()
		if ticket != (engine.Ticket{}) {
			c.ticket = ticket
		}
		c.l.keepOthers(c, 1, false) // it takes the lock, so that the reign is what it was in the hold of whoever made this, or over
		if now, _ := c.l.t.e.Commit().Reign(); waits && now != made {
			c.l.t.logf("Closing client id=%d: what its reply reflects belongs to a stream that has ended here", c.sess.Num)
			c.l.close(c)
			return
		}
		c.l.send(c, w)
		c.waiting = false
		c.l.resume(c)
	})
}

// Kill closes the connection.
func (c *conn) Kill(why string) {
	c.l.post(func() {
		if !c.closed {
			c.l.close(c)
		}
	})
}

// Detach gives the socket away once the replies of the running batch have left. It must be called by a handler that
// serves c.
func (c *conn) Detach(fn func(net.Conn, []byte)) {
	c.detach = fn
	c.sess.Set(engine.CloseAfter) // nothing more is executed; see loop.settle
}

// RemoteAddr is the peer as CLIENT LIST shows it.
func (c *conn) RemoteAddr() string {
	if c.unix {
		return c.sess.Path + ":0"
	}
	return c.sess.Remote.String()
}

// LocalAddr is the address the peer dialled.
func (c *conn) LocalAddr() string {
	if c.unix {
		return c.sess.Path + ":0"
	}
	return c.sess.Local.String()
}

// protocolError answers bytes that are no command, after which the connection cannot go on.
func (l *loop) protocolError(c *conn) {
	w := resp.NewWriter(nil)
	w.Error(c.broken.Error())
	l.t.verbosef("Protocol error (%s) from client: id=%d addr=%s", c.broken, c.sess.Num, c.RemoteAddr())
	c.done = len(c.buf)
	c.ending = true
	l.send(c, w)
}

const (
	// hears is what epoll watches for as a rule: told once of what comes in, it does not look at the socket again only to find that
	// it was read. That look is a twentieth of what a request costs. But nor does it tell again of what a read leaves, or of an
	// end behind the bytes: the loop has to remember that.
	//
	// A read of a TCP socket that brings less than it asked for found the end of what there is, but for one thing: it stops before an
	// urgent byte. Hence EPOLLPRI, after which reads go on until there is nothing: see conn.toEnd.
	hears    = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET
	farewell = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// usual is what epoll watches for while nothing is in the way of reading.
func (c *conn) usual() uint32 {
	switch {
	case c.secure != nil: // reads of its own, of whole records
		return unix.EPOLLIN
	case c.unix: // a read stops wherever a peer has passed descriptors or proofs of who it is
		return unix.EPOLLIN | unix.EPOLLRDHUP
	}
	return hears
}

// interest tells epoll what c waits for. It closes c when that fails.
func (l *loop) interest(c *conn) {
	if c.closed {
		return
	}
	want := c.usual()
	if c.held() || c.ends() {
		want = unix.EPOLLRDHUP
	}
	if !c.drained() {
		want = want&^(unix.EPOLLET|unix.EPOLLPRI) | unix.EPOLLOUT
	}
	if want != c.events {
		c.events, c.unread = want, false // what is there already is told of
		if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: want, Fd: int32(c.fd)}); err != nil {
			l.t.logf("Closing client id=%d: it would not be heard again: epoll_ctl: %v", c.sess.Num, err)
			l.close(c)
			return
		}
	}
	if !c.later && c.left() {
		c.later = true
		l.later = append(l.later, c)
	}
}

// left tells that there may be something to read of which epoll does not tell.
func (c *conn) left() bool {
	if c.secure != nil {
		return c.secure.more && !c.held() && !c.ends()
	}
	return c.unread && c.events == hears
}

// adopt takes over a freshly accepted socket.
func (l *loop) adopt(c *conn) {
	c.l = l
	for c.fd >= len(l.conns) {
		l.conns = append(l.conns, make([]*conn, max(64, len(l.conns)))...)
	}
	c.events = c.usual()
	if l.stopping || l.add(c.fd, c.events) != nil {
		unix.Close(c.fd)
		l.t.active.Add(-1)
		return
	}
	l.conns[c.fd] = c
	l.live++
	l.t.sessions.Open(&c.sess, c)
}

// close ends the connection and everything that hangs on it.
func (l *loop) close(c *conn) {
	if c.closed {
		return
	}
	if c.secure != nil {
		c.secure.farewell()
	}
	l.drop(c)
	l.t.active.Add(-1)
	if l.t.e.Busy() {
		go l.t.sessions.Closed(&c.sess) // it may want the lock for itself, which this goroutine may have
	} else {
		l.t.sessions.Closed(&c.sess)
	}
	unix.Close(c.fd) // last: who sees the end is not counted, listed or told anything any more
	if fn := c.detach; fn != nil {
		c.detach = nil
		go fn(deadConn(), nil)
	}
}

// deadConn stands for a socket that was lost on its way to the package that asked for it: whoever waits for one always
// gets one, and learns of the loss as of any other.
func deadConn() net.Conn {
	a, b := net.Pipe()
	a.Close()
	b.Close()
	return a
}

// drop takes c out of the loop without closing its socket.
func (l *loop) drop(c *conn) {
	c.closed = true
	l.conns[c.fd] = nil
	l.live--
	for _, ch := range c.out {
		if ch.blob != nil {
			ch.blob.Release()
		}
	}
	l.bury(c.query)
	c.out, c.outLen, c.query = nil, 0, nil
	l.t.e.AddClientBytes(-c.counted)
	c.counted = 0
	if c.listed {
		for i, p := range l.paused {
			if p == c {
				l.paused = append(l.paused[:i], l.paused[i+1:]...)
				l.t.e.HeldBack(-1)
				break
			}
		}
	}
}

// detach hands the socket over to the package that asked for it: first the replies that are unsent, then the rest is
// its business.
func (l *loop) detach(c *conn) {
	fn := c.detach
	unread := append([]byte(nil), c.query...)
	var unsent []byte
	for _, ch := range c.out {
		unsent = append(unsent, ch.data...)
	}
	nc, err := l.release(c)
	if err != nil {
		l.t.active.Add(-1)
		l.t.sessions.Closed(&c.sess)
		go fn(deadConn(), nil)
		return
	}
	owner := &detached{Conn: nc, remote: c.RemoteAddr(), local: c.LocalAddr()}
	l.t.e.Exclusive(func() { c.sess.Owner = owner }) // CLIENT LIST on another loop may be looking
	go func() {
		defer l.t.sessions.Closed(&c.sess)
		defer l.t.active.Add(-1)
		defer nc.Close()
		if len(unsent) > 0 {
			if _, err := nc.Write(unsent); err != nil {
				nc.Close() // fn finds it so
			}
		}
		fn(nc, unread)
	}()
}

// release takes c out of the loop and makes its socket one of the runtime's.
func (l *loop) release(c *conn) (net.Conn, error) {
	_ = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, c.fd, nil) // fails only when it is not watched: all that is wanted
	l.drop(c)
	f := os.NewFile(uintptr(c.fd), "client")
	nc, err := net.FileConn(f)
	f.Close()
	if err != nil {
		l.t.logf("Handing over client id=%d: %v", c.sess.Num, err)
	}
	if err == nil && c.secure != nil {
		nc = c.secure.giveAway(nc)
	}
	return nc, err
}

// detached is the owner of a session whose socket was given away.
type detached struct {
	net.Conn
	remote, local string
}

func (d *detached) Post(fn func())                              { go fn() }
func (d *detached) Deliver(engine.Ticket, func(w *resp.Writer)) {}
func (d *detached) Push(uint64, []byte)                         {}
func (d *detached) Kill(string)                                 { d.Conn.Close() }
func (d *detached) Detach(func(net.Conn, []byte))               {}
func (d *detached) RemoteAddr() string                          { return d.remote }
func (d *detached) LocalAddr() string                           { return d.local }
