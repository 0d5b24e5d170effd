package transport

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"github.com/understudy-db/understudy/server/engine"
	"golang.org/x/sys/unix"
)

// listener is a listening socket; the first loop accepts for all.
type listener struct {
	fd   int
	addr netip.AddrPort
	path string
	// primary: who comes in here wants the master, wherever that is.
	primary bool
	tls     bool
}

// Addr returns the addresses that are listened on, ports chosen by the system included.
func (t *Server) Addr() []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []netip.AddrPort
	for _, ln := range t.listeners {
		if ln.path == "" && !ln.primary && !ln.tls {
			list = append(list, ln.addr)
		}
	}
	return list
}

// ListenTCP listens on addr.
func (t *Server) ListenTCP(addr netip.AddrPort, backlog int) (netip.AddrPort, error) {
	return t.listenTCP(addr, backlog, listener{})
}

// ListenPrimary listens on addr for clients that want the master.
func (t *Server) ListenPrimary(addr netip.AddrPort, backlog int) (netip.AddrPort, error) {
	if t.relay == nil {
		return addr, fmt.Errorf("listening on %s: nobody tells this server where the master is", addr)
	}
	return t.listenTCP(addr, backlog, listener{primary: true})
}

// AddrTLS returns the addresses that are listened on for TLS.
func (t *Server) AddrTLS() []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []netip.AddrPort
	for _, ln := range t.listeners {
		if ln.tls {
			list = append(list, ln.addr)
		}
	}
	return list
}

// ListenTLS listens on addr for clients that speak TLS.
func (t *Server) ListenTLS(addr netip.AddrPort, backlog int) (netip.AddrPort, error) {
	return t.listenTCP(addr, backlog, listener{tls: true})
}

func (t *Server) listenTCP(addr netip.AddrPort, backlog int, kind listener) (netip.AddrPort, error) {
	domain := unix.AF_INET
	if addr.Addr().Is6() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return addr, fmt.Errorf("listening on %s: %w", addr, err)
	}
	fail := func(err error) (netip.AddrPort, error) {
		unix.Close(fd)
		return addr, fmt.Errorf("listening on %s: %w", addr, err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if domain == unix.AF_INET6 {
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err := unix.Bind(fd, sockaddr(addr)); err != nil {
		return fail(err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return fail(err)
	}
	if sa, err := unix.Getsockname(fd); err == nil {
		addr = addrPort(sa)
	}
	return addr, t.listen(&listener{fd: fd, addr: addr, primary: kind.primary, tls: kind.tls})
}

// ListenUnix listens on a unix socket, whose file is replaced. perm 0 leaves the file's mode alone.
func (t *Server) ListenUnix(path string, perm uint32, backlog int) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("unix socket: %w", err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("unix socket %s: %w", path, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("unix socket %s: %w", path, err)
	}
	if perm != 0 {
		if err := os.Chmod(path, os.FileMode(perm)); err != nil {
			unix.Close(fd)
			return fmt.Errorf("unix socket: %w", err)
		}
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return fmt.Errorf("unix socket %s: %w", path, err)
	}
	return t.listen(&listener{fd: fd, path: path})
}

func (t *Server) listen(ln *listener) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listeners[ln.fd] = ln
	return t.loops[0].add(ln.fd, unix.EPOLLIN)
}

// StopTCP stops listening on the TCP sockets that keep does not name (nil: on all), and frees their addresses at once.
// Connections stay, and so do the primary port and tls-port.
func (t *Server) StopTCP(keep map[netip.AddrPort]bool) { t.stop(false, keep) }

// StopTLS is StopTCP for tls-port.
func (t *Server) StopTLS(keep map[netip.AddrPort]bool) { t.stop(true, keep) }

func (t *Server) stop(tls bool, keep map[netip.AddrPort]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for fd, ln := range t.listeners {
		if ln.path != "" || ln.primary || ln.tls != tls || keep[ln.addr] {
			continue
		}
		delete(t.listeners, fd)
		_ = unix.Shutdown(fd, unix.SHUT_RDWR) // refuses clients at once; if it fails, the close below does so a little later
		t.loops[0].post(ln.closeSocket)       // the loop may be about to accept: the descriptor's number must not be reused under it
	}
}

func (ln *listener) closeSocket() {
	unix.Close(ln.fd)
	if ln.path != "" {
		os.Remove(ln.path)
	}
}

// listener finds the listening socket of an event; only the first loop has any.
func (t *Server) listener(l *loop, fd int) *listener {
	if l != t.loops[0] || (fd < len(l.conns) && l.conns[fd] != nil) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.listeners[fd]
}

// maxAccepts bounds what one wake accepts, so that a storm of connections does not starve those that are there.
const maxAccepts = 1000

func (t *Server) accept(ln *listener) {
	for range maxAccepts {
		fd, sa, err := unix.Accept4(ln.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			if err != unix.EAGAIN && err != unix.EINTR && err != unix.ECONNABORTED {
				t.logf("Accepting client connection: %v", err)
			}
			return
		}
		remote, path := addrPort(sa), ln.path
		if text := t.sessions.Admit(int(t.active.Load()), path != "" || remote.Addr().IsLoopback()); text != "" {
			rawSend(fd, []byte(text))
			unix.Close(fd)
			continue
		}
		local := ln.addr
		if path == "" {
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			keepalive(fd, t.sessions.KeepAlive())
			if sa, err := unix.Getsockname(fd); err == nil {
				local = addrPort(sa)
			}
		}
		t.active.Add(1)
		if ln.tls {
			t.handshakes.Go(func() { t.greet(fd, remote, local) })
			continue
		}
		c := newConn(fd, remote, local, path)
		if ln.primary {
			c.primary = &atPrimary{}
			c.sess.Set(engine.WantsMaster)
		}
		t.start(c)
	}
}

// keepalive makes the system probe a silent peer: the first time after so many seconds, three times in a third of that.
func keepalive(fd, seconds int) {
	if seconds <= 0 {
		return
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(seconds/3, 1))
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if n, err := strconv.Atoi(a.Addr().Zone()); err == nil {
		sa.ZoneId = uint32(n)
	}
	return sa
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
