package servertest

import (
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Proxy is a link that breaks on command: a port that forwards to another one.
type Proxy struct {
	l      net.Listener
	target string
	work   sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	refuse  bool
	stalled chan struct{} // closed when bytes may flow
	delay   time.Duration // before each piece of at most 16 KiB
	closed  bool
}

// NewProxy opens a link to a port of 127.0.0.1.
func NewProxy(t testing.TB, port int) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	flowing := make(chan struct{})
	close(flowing)
	p := &Proxy{l: l, target: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), conns: map[net.Conn]struct{}{}, stalled: flowing}
	p.work.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Port is the near end.
func (p *Proxy) Port() int { return p.l.Addr().(*net.TCPAddr).Port }

// Cut breaks every connection; new ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Refuse makes new connections fail, or work again.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	p.refuse = on
	p.mu.Unlock()
	if on {
		p.Cut()
	}
}

// Stall holds all bytes back, or lets them flow again.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := false
	select {
	case <-p.stalled:
		open = true
	default:
	}
	switch {
	case on && open:
		p.stalled = make(chan struct{})
	case !on && !open:
		close(p.stalled)
	}
}

// Slow makes every piece of at most 16 KiB wait.
func (p *Proxy) Slow(d time.Duration) {
	p.mu.Lock()
	p.delay = d
	p.mu.Unlock()
}

// Close ends the link for good.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.l.Close()
	p.Stall(false)
	p.Cut()
	p.work.Wait()
}

func (p *Proxy) accept() {
	for {
		near, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse := p.refuse || p.closed
		p.mu.Unlock()
		if refuse {
			near.Close()
			continue
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		if !p.open(near, far) {
			near.Close()
			far.Close()
			continue
		}
		p.work.Go(func() { p.copy(near, far) })
		p.work.Go(func() { p.copy(far, near) })
	}
}

// open notes a connection, unless the link was broken while the far end was being dialled: what Cut did not see would stay.
func (p *Proxy) open(near, far net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.closed {
		return false
	}
	p.conns[near], p.conns[far] = struct{}{}, struct{}{}
	return true
}

func (p *Proxy) copy(to, from net.Conn) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.conns, to)
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		stalled, delay := p.stalled, p.delay
		p.mu.Unlock()
		<-stalled
		time.Sleep(delay)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
