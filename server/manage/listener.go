package manage

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/manage/mtls"
)

const (
	helloTimeout = 5 * time.Second
	writeTimeout = 2 * time.Second
	maxConns     = 64 // an operator pair and the peers of a set, with room for half-dead ones
	maxStrangers = 64 // connections that have not greeted yet
)

// conn is one management connection. Its reader is the only goroutine it has.
type conn struct {
	d        *Driver
	nc       net.Conn
	in       idleReader
	operator bool // may give orders; a member of the set may only ask

	mu sync.Mutex // guards writes
}

// Serve answers on ln until it is closed; who may speak is id's to say.
func (d *Driver) Serve(ln net.Listener, id *mtls.Identity) error {
	config := id.ServerConfig()
	for {
		nc, err := ln.Accept()
		if err != nil {
			return err
		}
		if tc, ok := nc.(*net.TCPConn); ok {
			_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3})
		}
		if d.receive(nc) {
			d.work.Go(func() { d.talk(nc, config) })
		}
	}
}

// receive takes a stranger in. Of too many the one that has been silent for longest must go: whoever floods this port
// with connections that say nothing does not keep an operator out, who greets within milliseconds.
func (d *Driver) receive(nc net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		_ = nc.Close()
		return false
	}
	if len(d.strangers) == maxStrangers {
		_ = d.strangers[0].Close()
		d.strangers = slices.Delete(d.strangers, 0, 1)
	}
	d.strangers = append(d.strangers, nc)
	return true
}

// known ends a stranger's time as one.
func (d *Driver) known(nc net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.strangers, nc); i >= 0 {
		d.strangers = slices.Delete(d.strangers, i, i+1)
	}
}

// talk greets, then goes on in a goroutine of its own: the stack that a handshake needs is not kept while nothing is said.
func (d *Driver) talk(nc net.Conn, config *tls.Config) {
	c, err := d.greet(tls.Server(nc, config))
	d.known(nc)
	if err != nil {
		if d.ctx.Err() == nil {
			d.o.Logf("management connection from %s: %v", nc.RemoteAddr(), err)
		}
		_ = nc.Close()
		return
	}
	d.work.Go(func() {
		defer c.close()
		defer d.dismiss(c)
		if c.introduce() == nil {
			c.read()
		}
	})
}

// greet begins a conversation with whoever has the right to one.
func (d *Driver) greet(nc *tls.Conn) (*conn, error) {
	_ = nc.SetDeadline(time.Now().Add(helloTimeout))
	ctx, cancel := context.WithTimeout(d.ctx, helloTimeout)
	defer cancel()
	if err := nc.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	peer, err := mtls.PeerOf(nc.ConnectionState())
	if err != nil {
		return nil, err
	}
	c := &conn{d: d, nc: nc, operator: peer.Operator}
	c.in.Reader = nc
	r := buffer(&c.in)
	defer buffers.Put(r)
	if err := c.hello(r); err != nil {
		return nil, err
	}
	c.in.keep(r)
	if err := d.admit(c); err != nil {
		return nil, err
	}
	return c, nil
}

func (d *Driver) admit(c *conn) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ctx.Err() != nil:
		return d.ctx.Err()
	case len(d.conns) >= maxConns:
		return fmt.Errorf("%d conversations are under way already", len(d.conns))
	}
	d.conns[c] = struct{}{}
	return nil
}

func (d *Driver) dismiss(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// introduce tells what a leader must know first: who died here, and how things stand.
func (c *conn) introduce() error {
	if c.operator {
		for _, death := range c.d.o.Deaths {
			if err := c.write(member.Frame{Message: death}); err != nil {
				return err
			}
		}
	}
	return c.write(member.Frame{Message: c.d.Report()})
}

// hello exchanges the first lines. A foreign set's speaker is refused by name.
func (c *conn) hello(r *bufio.Reader) error {
	f, err := member.ReadFrame(r)
	if err != nil {
		return fmt.Errorf("waiting for hello: %w", err)
	}
	h, ok := f.Message.(member.Hello)
	if !ok {
		return fmt.Errorf("a conversation begins with hello, this one with %s", f.Message.Kind())
	}
	id := c.d.o.Identity
	if h.SetUID != id.SetUID {
		no := member.Refusal{Code: member.RefusedForeign, Why: fmt.Sprintf("this member is of set %q, not %q", id.SetUID, h.SetUID)}
		return errors.Join(errors.New(no.Why), c.write(member.Frame{Re: f.ID, Message: no}))
	}
	if _, no := member.Negotiate(h); no != nil {
		return errors.Join(errors.New(no.Why), c.write(member.Frame{Re: f.ID, Message: *no}))
	}
	mine := member.Hello{Oldest: member.OldestVersion, Newest: member.ProtocolVersion, Member: &id, SetUID: id.SetUID}
	if err := c.write(member.Frame{Re: f.ID, Message: mine}); err != nil {
		return err
	}
	return c.nc.SetDeadline(time.Time{})
}

// read handles frames until the connection ends. It never waits for the engine's lock: leases and
// questions are answered here, orders go to the queue. While nothing comes it holds no buffer.
func (c *conn) read() {
	for c.in.wait() == nil {
		r := buffer(&c.in)
		ok := true
		for more := true; ok && more; more = r.Buffered() > 0 {
			ok = c.readOne(r)
		}
		buffers.Put(r)
		if !ok {
			return
		}
	}
}

func (c *conn) readOne(r *bufio.Reader) bool {
	f, err := member.ReadFrame(r)
	var unknown *member.UnknownKindError
	switch {
	case errors.As(err, &unknown):
		err = c.answer(unknown.ID, c.d.refusal(member.RefusedUnknown, unknown.Error()))
	case err == nil:
		err = c.take(f)
	}
	return err == nil
}

func (c *conn) take(f member.Frame) error {
	d := c.d
	switch m := f.Message.(type) {
	case member.Ask:
		return c.answer(f.ID, d.Report())
	case member.Lease:
		if c.operator {
			d.lease(m)
		}
		return nil
	case member.Report: // a peer's word (S3)
		return c.queue(order{message: m})
	case member.Refusal, member.Done, member.Death, member.Hello:
		return nil // said in answer to us, or of no use to us
	case member.Ordered:
		if !c.operator {
			return c.answer(f.ID, d.refusal(member.RefusedRole, "only the operator gives orders"))
		}
		return c.queue(order{message: m, reply: func(a member.Message) error { return c.answer(f.ID, a) }, fail: c.close})
	}
	return c.answer(f.ID, d.refusal(member.RefusedUnknown, string(f.Message.Kind())+" is not for members"))
}

func (c *conn) queue(o order) error {
	select {
	case c.d.orders <- o:
		return nil
	default:
		return errors.New("too many orders are waiting")
	}
}

func (c *conn) answer(re uint64, m member.Message) error {
	return c.write(member.Frame{Re: re, Message: m})
}

func (c *conn) write(f member.Frame) error {
	line, err := member.Encode(f)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err = c.nc.Write(line); err != nil {
		_ = c.nc.Close() // half a line may have left: nothing can follow it
	}
	return err
}

func (c *conn) close() { _ = c.nc.Close() }

// send says something to every operator connected. A peer that does not read costs at most writeTimeout,
// once; then its connection is closed.
func (d *Driver) send(m member.Message) {
	d.mu.Lock()
	var to []*conn
	for c := range d.conns {
		if c.operator {
			to = append(to, c)
		}
	}
	d.mu.Unlock()
	for _, c := range to {
		if err := c.write(member.Frame{Message: m}); err != nil {
			d.o.Logf("telling %s: %v", m.Kind(), err)
		}
	}
}
