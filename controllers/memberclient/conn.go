package memberclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
)

// Times of a connection. A refused dial costs little and the next process may listen in milliseconds;
// an address that does not answer is tried less often.
const (
	dialTimeout  = time.Second
	dialPause    = 50 * time.Millisecond
	maxDialPause = time.Second
	writeTimeout = time.Second
)

var errNotConnected = errors.New("no connection to its management listener")

// conn keeps the connection to one pod. One goroutine dials and reads; writers take the lock.
type conn struct {
	set  *Set
	to   Endpoint
	ctx  context.Context
	stop context.CancelFunc

	mu sync.Mutex
	tc *tls.Conn
	id uint64
}

// startConn is called with the set's lock held.
func startConn(s *Set, to Endpoint) *conn {
	ctx, stop := context.WithCancel(s.pool.ctx)
	c := &conn{set: s, to: to, ctx: ctx, stop: stop}
	s.pool.work.start(c.run)
	return c
}

func (c *conn) run() {
	pause := dialPause
	for c.ctx.Err() == nil {
		met, err := c.talk()
		if c.lost() {
			c.set.wake()
		}
		if c.ctx.Err() != nil {
			return
		}
		if pause = min(2*pause, maxDialPause); met {
			pause = dialPause
		}
		c.set.pool.cfg.Log.V(1).Info("connection to member ended", "set", c.set.key, "member", c.to.Name, "error", fmt.Sprint(err), "retryAfter", pause)
		select {
		case <-c.ctx.Done():
		case <-time.After(pause):
		}
	}
}

// talk dials, greets and reads until the connection ends. met tells whether the member was met.
func (c *conn) talk() (met bool, err error) {
	tc, err := c.dial()
	if err != nil {
		return false, err
	}
	defer tc.Close()
	unhook := context.AfterFunc(c.ctx, func() { tc.Close() })
	defer unhook()
	hello := member.Hello{Oldest: member.OldestVersion, Newest: member.ProtocolVersion, Leader: c.set.pool.cfg.Leadership.Identity(), SetUID: c.set.uid}
	if err := write(tc, member.Frame{Message: hello}); err != nil {
		return false, err
	}
	r := member.NewReader(tc)
	_ = tc.SetReadDeadline(time.Now().Add(dialTimeout))
	first, err := member.ReadFrame(r)
	if err != nil {
		return false, fmt.Errorf("waiting for hello: %w", err)
	}
	if err := c.greeted(first.Message, tc); err != nil {
		return false, err
	}
	c.set.wake()
	for {
		frame, err := c.read(tc, func() (member.Frame, error) { return member.ReadFrame(r) })
		if err != nil {
			return true, err
		}
		answer, wake := c.set.take(c.to, frame.Message)
		if answer != nil {
			if err := c.answer(answer, frame.ID); err != nil {
				return true, err
			}
		}
		if wake {
			c.set.wake()
		}
	}
}

// read waits for a frame and asks for a sign of life whenever half a lease was silent. After plan.Silence the reconciler
// looks; the connection goes on.
func (c *conn) read(tc *tls.Conn, next func() (member.Frame, error)) (member.Frame, error) {
	lease := c.lease()
	silence := time.AfterFunc(lease/2, func() { c.nudge() })
	defer silence.Stop()
	again := time.AfterFunc(plan.Silence(lease)+lease/16, c.set.wake)
	defer again.Stop()
	_ = tc.SetReadDeadline(time.Time{})
	for {
		f, err := next()
		var unknown *member.UnknownKindError
		if errors.As(err, &unknown) {
			_ = c.answer(member.Refusal{Code: member.RefusedUnknown, Why: err.Error()}, unknown.ID)
			continue
		}
		return f, err
	}
}

func (c *conn) nudge() { _ = c.send(member.Ask{}) }

func (c *conn) lease() time.Duration {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	return c.set.lease
}

func (c *conn) dial() (*tls.Conn, error) {
	c.set.mu.Lock()
	config := c.set.creds.TLS(c.to.Name)
	c.set.mu.Unlock()
	d := &tls.Dialer{Config: config, NetDialer: &net.Dialer{Timeout: dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3}}}
	ctx, cancel := context.WithTimeout(c.ctx, 2*dialTimeout)
	defer cancel()
	nc, err := d.DialContext(ctx, "tcp", c.to.Addr)
	if err != nil {
		return nil, err
	}
	return nc.(*tls.Conn), nil // tls.Dialer says so
}

// greeted checks who answered: an address can belong to another pod by now.
func (c *conn) greeted(m member.Message, tc *tls.Conn) error {
	if no, ok := m.(member.Refusal); ok {
		return fmt.Errorf("refused: %s: %s", no.Code, no.Why)
	}
	hello, ok := m.(member.Hello)
	if !ok || hello.Member == nil {
		return fmt.Errorf("a member begins with hello, this one with %s", m.Kind())
	}
	if hello.SetUID != c.set.uid || hello.Member.SetUID != c.set.uid {
		return fmt.Errorf("answered by a member of set %s", hello.SetUID)
	}
	if hello.Member.Voter != c.to.Voter {
		return fmt.Errorf("answered by pod %s of UID %s, not %s", hello.Member.Name, hello.Member.Voter, c.to.Voter)
	}
	if _, no := member.Negotiate(hello); no != nil {
		return errors.New(no.Why)
	}
	if err := c.met(*hello.Member); err != nil {
		return err
	}
	c.mu.Lock()
	c.tc = tc
	c.mu.Unlock()
	return nil
}

func (c *conn) met(id member.Identity) error {
	now := c.set.pool.cfg.Clock()
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if c.set.conns[c.to.Voter] != c {
		return errors.New("no longer wanted")
	}
	f, ok := c.set.meet(c.to, id, now)
	if !ok {
		return fmt.Errorf("answered by the older process %s", id.Incarnation)
	}
	f.Connected, f.LostAt = true, 0
	return nil
}

// lost notes the end of the connection; false when there was none. The set's lock is never held while
// waiting for a connection's: a writer may hold that one until its deadline, and leases must not wait.
func (c *conn) lost() bool {
	c.mu.Lock()
	had := c.tc != nil
	c.tc = nil
	c.mu.Unlock()
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if f := c.set.facts[c.to.Voter]; had && f != nil && c.set.conns[c.to.Voter] == c {
		f.Connected, f.LostAt = false, c.set.pool.cfg.Clock()
	}
	return had
}

func (c *conn) send(m member.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id++
	return c.write(member.Frame{ID: c.id, Message: m})
}

func (c *conn) answer(m member.Message, re uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write(member.Frame{Re: re, Message: m})
}

func (c *conn) write(f member.Frame) error {
	if c.tc == nil {
		return errNotConnected
	}
	return write(c.tc, f)
}

// write ends the connection when it fails: half a line may have left, and TLS writes nothing more after a timeout. A member
// that has nothing new to tell would not be heard again, for it could not be asked.
func write(tc *tls.Conn, f member.Frame) error {
	line, err := member.Encode(f)
	if err != nil {
		return err
	}
	_ = tc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err = tc.Write(line); err != nil {
		_ = tc.NetConn().Close() // without the farewell of TLS, for which a peer that does not read would be waited for
	}
	return err
}
