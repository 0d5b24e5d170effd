package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Connections of tls-port are shaken hands with in goroutines, where reads block, and then belong to a loop as all others
// do: crypto/tls reads and writes a wire that never blocks. A read that would block is a timeout to it, after which it can
// go on; a write must not fail half-way, so the wire takes every record and keeps what the socket does not.

const (
	handshakeLimit = 10 * time.Second
	secureWrite    = 64 << 10 // of plain bytes that become records at once
)

// secure is the TLS of a connection; it belongs to the connection's loop.
type secure struct {
	*tls.Conn
	wire *wire
	more bool  // the last read filled its buffer: there may be bytes that epoll does not know of
	err  error // of the last read, behind the bytes that it had
}

// wire is the socket under it: first of the runtime (nc), then non-blocking (fd), and of the runtime again when the
// connection is given away.
type wire struct {
	nc  net.Conn // nil: fd counts
	fd  int
	out []byte // records that the socket did not take yet
}

// wouldBlock is how a socket without bytes looks to crypto/tls.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no bytes yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

func (w *wire) Read(p []byte) (int, error) {
	if w.nc != nil {
		return w.nc.Read(p)
	}
	n, errno := rawRecv(w.fd, p)
	switch {
	case errno != 0 && retry(errno):
		return 0, wouldBlock{}
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	if w.nc != nil {
		if len(w.out) > 0 {
			if _, err := w.nc.Write(w.out); err != nil {
				return 0, err
			}
			w.out = nil
		}
		return w.nc.Write(p)
	}
	w.out = append(w.out, p...)
	return len(p), nil
}

// push gives the socket what it takes.
func (w *wire) push() unix.Errno {
	for len(w.out) > 0 {
		n, errno := rawSend(w.fd, w.out)
		if errno != 0 {
			return errno
		}
		w.out = w.out[n:]
	}
	w.out = nil
	return 0
}

func (w *wire) Close() error {
	if w.nc != nil {
		return w.nc.Close()
	}
	return nil // the loop closes the descriptor
}

func (w *wire) LocalAddr() net.Addr  { return w.addr(net.Conn.LocalAddr) }
func (w *wire) RemoteAddr() net.Addr { return w.addr(net.Conn.RemoteAddr) }

func (w *wire) addr(of func(net.Conn) net.Addr) net.Addr {
	if w.nc == nil {
		return nil
	}
	return of(w.nc)
}

func (w *wire) SetDeadline(t time.Time) error      { return w.deadline(net.Conn.SetDeadline, t) }
func (w *wire) SetReadDeadline(t time.Time) error  { return w.deadline(net.Conn.SetReadDeadline, t) }
func (w *wire) SetWriteDeadline(t time.Time) error { return w.deadline(net.Conn.SetWriteDeadline, t) }

func (w *wire) deadline(set func(net.Conn, time.Time) error, t time.Time) error {
	if w.nc == nil {
		return nil
	}
	return set(w.nc, t)
}

// read is rawRead for plain bytes: it fills p as far as there are any.
func (s *secure) read(p []byte) (int, unix.Errno) {
	total := 0
	s.more = false
	for total < len(p) && s.err == nil {
		n, err := s.Conn.Read(p[total:])
		total += n
		s.err = err
	}
	if errors.As(s.err, new(wouldBlock)) {
		s.err = nil
		if total == 0 {
			return 0, unix.EAGAIN
		}
		return total, 0
	}
	switch {
	case total > 0:
		s.more = true // the rest, or the error
		return total, 0
	case errors.Is(s.err, io.EOF):
		return 0, 0
	}
	return 0, unix.ECONNRESET
}

// write is rawWrite for plain bytes. Those that became records count as written.
func (s *secure) write(p []byte) (int, unix.Errno) {
	if errno := s.wire.push(); errno != 0 {
		return 0, errno
	}
	n, err := s.Conn.Write(p[:min(len(p), secureWrite)])
	if err != nil {
		return 0, unix.EPIPE
	}
	if errno := s.wire.push(); errno != 0 && !retry(errno) {
		return 0, errno
	}
	return n, 0
}

// unsent is the size of the records that the socket did not take.
func (c *conn) unsentRecords() int64 {
	if c.secure == nil {
		return 0
	}
	return int64(len(c.secure.wire.out))
}

// readFrom reads once from c.
func (l *loop) readFrom(c *conn, p []byte) (int, unix.Errno) {
	if c.secure == nil {
		n, errno := rawRecv(c.fd, p)
		if errno == unix.EAGAIN {
			c.toEnd = false
		}
		c.unread = n == len(p) || c.toEnd || n <= 0 && errno != unix.EAGAIN // an end is one of which the caller may want to know later
		return n, errno
	}
	n, errno := c.secure.read(p)
	if len(c.secure.wire.out) > 0 { // crypto/tls answers some records by itself
		if e := c.secure.wire.push(); e != 0 && !retry(e) {
			return 0, e
		}
		if len(c.secure.wire.out) > 0 {
			l.interest(c)
		}
	}
	return n, errno
}

// writeTo writes once to c.
func (c *conn) writeTo(p []byte) (int, unix.Errno) {
	if c.secure == nil {
		return rawSend(c.fd, p)
	}
	return c.secure.write(p)
}

// flushRecords sends what is unsent, as far as the socket takes it; false: the connection failed.
func (l *loop) flushRecords(c *conn) bool {
	if errno := c.secure.wire.push(); errno != 0 {
		return retry(errno)
	}
	for len(c.out) > 0 && len(c.secure.wire.out) == 0 {
		n, errno := c.secure.write(c.out[0].data)
		if errno != 0 {
			return retry(errno)
		}
		l.moved.own.out += int64(n)
		l.sent(c, n)
	}
	return true
}

// farewell tells the peer that the connection ends, if it listens.
func (s *secure) farewell() {
	if len(s.wire.out) == 0 && s.CloseWrite() == nil {
		_ = s.wire.push()
	}
}

// greet shakes hands with a client of tls-port and gives it to a loop.
func (t *Server) greet(fd int, remote, local netip.AddrPort) {
	c, err := t.shake(fd, remote, local)
	if err != nil {
		t.verbosef("Error accepting a client connection: %v (addr=%s)", err, remote)
		t.active.Add(-1)
		return
	}
	l := t.loops[int(t.homes.Add(1))%len(t.loops)]
	l.post(func() {
		c.secure.more = true // what came with the end of the handshake
		if l.adopt(c); l.conns[c.fd] == c {
			l.interest(c)
		}
	})
}

func (t *Server) shake(fd int, remote, local netip.AddrPort) (*conn, error) {
	f := os.NewFile(uintptr(fd), "client")
	nc, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	config := t.tls()
	if config == nil {
		return nil, errors.New("TLS is not configured")
	}
	ctx, cancel := context.WithTimeout(t.ctx, handshakeLimit)
	defer cancel()
	w := &wire{nc: nc}
	s := &secure{Conn: tls.Server(w, config), wire: w}
	if err := s.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if w.fd, err = duplicate(nc); err != nil {
		return nil, err
	}
	w.nc = nil
	c := newConn(w.fd, remote, local, "")
	c.secure = s
	return c, nil
}

// givenAway is a TLS connection on its way to another package.
type givenAway struct {
	*tls.Conn
	nc net.Conn
}

// SetNoDelay is what the replication link sets.
func (g givenAway) SetNoDelay(on bool) error {
	if tcp, ok := g.nc.(*net.TCPConn); ok {
		return tcp.SetNoDelay(on)
	}
	return nil
}

// giveAway makes the connection one of the runtime's, over the socket nc.
func (s *secure) giveAway(nc net.Conn) net.Conn {
	s.wire.nc = nc
	return givenAway{s.Conn, nc}
}
