package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/relay"
	"github.com/understudy-db/understudy/server/session"
)

// Options of a Server.
type Options struct {
	Engine   *engine.Engine
	Sessions *session.Server
	// Loops is the number of event loops; 0 chooses by the number of processors.
	Loops int
	// Relay carries clients of the primary port to the master; nil: there is no such port.
	Relay *relay.Relay
	// TLS is the configuration for clients of tls-port; nil: there is no such port.
	TLS func() *tls.Config
	// Logf and Verbosef write to the server's log, at notice and verbose level.
	Logf, Verbosef func(format string, args ...any)
}

// Server serves client connections.
type Server struct {
	e        *engine.Engine
	sessions *session.Server
	relay    *relay.Relay // nil: no primary port
	tls      func() *tls.Config
	logf     func(format string, args ...any)
	verbosef func(format string, args ...any)

	loops  []*loop
	next   int           // loop of the next connection; belongs to the loop that accepts
	homes  atomic.Uint32 // connections that came home: chooses their loops
	active atomic.Int64
	primaryStats
	wg sync.WaitGroup

	ctx        context.Context // of handshakes
	cancel     context.CancelFunc
	handshakes sync.WaitGroup

	mu        sync.Mutex
	listeners map[int]*listener
	started   bool
}

// New makes a server that is not listening yet.
func New(o Options) (*Server, error) {
	t := &Server{e: o.Engine, sessions: o.Sessions, relay: o.Relay, tls: o.TLS, logf: o.Logf, verbosef: o.Verbosef, listeners: map[int]*listener{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if t.logf == nil {
		t.logf = func(string, ...any) {}
	}
	if t.verbosef == nil {
		t.verbosef = func(string, ...any) {}
	}
	n := o.Loops
	if n <= 0 {
		n = DefaultLoops(runtime.NumCPU())
	}
	for range n {
		l, err := newLoop(t)
		if err != nil {
			return nil, fmt.Errorf("event loop: %w", err)
		}
		t.loops = append(t.loops, l)
	}
	t.sessions.CountNet(func() (in, out int64) {
		for _, l := range t.loops {
			in += l.moved.in.Load()
			out += l.moved.out.Load()
		}
		return in, out
	})
	t.e.Commit().OnProgress(func(upTo int64) {
		for _, l := range t.loops {
			l.progressed(upTo)
		}
	})
	t.sessions.CountCalls(func() (reads, writes int64) {
		for _, l := range t.loops {
			reads += l.moved.reads.Load()
			writes += l.moved.writes.Load()
		}
		return reads, writes
	})
	t.e.OnRivals(t.unpark)
	t.e.OnUnpause(func() {
		for _, l := range t.loops {
			l.post(l.unpaused)
		}
	})
	return t, nil
}

// DefaultLoops is the number of event loops for a machine with so many processors: loops that share a processor with
// their clients or with each other cost more than they bring.
func DefaultLoops(cpus int) int {
	switch {
	case cpus <= 2:
		return 1
	case cpus <= 8:
		return cpus / 2
	}
	return 4 + (cpus-8)/4
}

// Start begins to serve.
func (t *Server) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started {
		return
	}
	t.started = true
	for _, l := range t.loops {
		l.nextCron = time.Now().Add(cronPeriod)
		t.wg.Add(1)
		go l.run()
	}
}

// Close ends the listeners and all connections, and waits for the loops.
func (t *Server) Close() {
	t.mu.Lock()
	for fd, ln := range t.listeners {
		ln.closeSocket()
		delete(t.listeners, fd)
	}
	started := t.started
	t.mu.Unlock()
	t.cancel()
	t.handshakes.Wait()
	for _, l := range t.loops {
		if started {
			l.post(func() { l.stopping = true })
		} else {
			l.closeFDs()
			l.lane.Close()
		}
	}
	t.wg.Wait()
}

// Settle returns when every reply of what was executed before has left, as far as the clients take it, at most after limit.
func (t *Server) Settle(limit time.Duration) {
	done := make(chan struct{}, len(t.loops))
	for _, l := range t.loops {
		l.post(func() { // between two batches: each sends its replies
			if said := func() { done <- struct{}{} }; len(l.kept) == 0 {
				said()
			} else {
				l.settlers = append(l.settlers, said)
			}
		})
	}
	late := time.After(limit)
	for range t.loops {
		select {
		case <-done:
		case <-late:
			return
		}
	}
}

// hearing is somebody who waits until a loop has read what its clients had sent: its sockets are empty, or were looked at
// hearTurns times, since others may never stop.
type hearing struct {
	turns int
	done  chan<- struct{}
}

const hearTurns = 16

// Hear implements engine.Hearer.
func (c *conn) Hear(limit time.Duration) {
	loops := c.l.t.loops
	done := make(chan struct{}, len(loops))
	for _, l := range loops {
		l.post(func() { l.hearers = append(l.hearers, hearing{done: done}) })
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	for range loops {
		select {
		case <-done:
		case <-late.C:
			return
		}
	}
}

// heard tells who waits of a turn with n events.
func (l *loop) heard(n int) {
	l.hearers = slices.DeleteFunc(l.hearers, func(h hearing) bool {
		over := n == 0 || h.turns == hearTurns
		if over {
			h.done <- struct{}{}
		}
		return over
	})
	for i := range l.hearers {
		l.hearers[i].turns++
	}
}

// shutdown ends a loop.
func (l *loop) shutdown() {
	for _, c := range l.conns {
		if c != nil {
			l.close(c)
		}
	}
	l.lane.Close()
	if l.standIn != nil {
		l.standIn.lane.Close()
	}
	l.closeFDs()
}

// cron closes connections that were idle for longer than the directive timeout.
func (l *loop) cron(now time.Time) {
	l.spare.trim()
	idle := l.t.sessions.IdleTimeout()
	for _, c := range l.conns {
		if c == nil {
			continue
		}
		l.limitOutput(c)
		if idle > 0 && !c.closed && !c.held() && now.Unix()-c.sess.LastUse > int64(idle/time.Second) {
			l.t.verbosef("Closing idle client")
			l.close(c)
		}
	}
}

func (t *Server) queryLimit() int64 { return t.sessions.QueryLimit() }

func newConn(fd int, remote, local netip.AddrPort, path string) *conn {
	c := &conn{fd: fd, unix: path != ""}
	c.sess.FD, c.sess.Remote, c.sess.Local, c.sess.Path = fd, remote, local, path
	return c
}

// start hands a new connection to a loop.
func (t *Server) start(c *conn) {
	l := t.loops[t.next%len(t.loops)]
	t.next++
	if l == t.loops[0] {
		l.adopt(c)
		return
	}
	l.post(func() { l.adopt(c) })
}
