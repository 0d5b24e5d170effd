package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Target is where the master is.
type Target struct {
	// Here: this member is the master and may write.
	Here bool
	// Addr is the primary port of the master elsewhere, "" while none is known.
	Addr string
}

// Options of a Relay. All but Logf are needed.
type Options struct {
	Set string
	// Target tells where the master is now. It is asked often and must not wait.
	Target func() Target
	// Password is what members show each other; ok is false when it cannot stand for a client.
	Password func() (password string, ok bool)
	// Home takes a connection back into this server, which has become the master. It takes over conn, or answers an error.
	Home func(c *Client) error
	// Limit is how many connections may be relayed at once.
	Limit int
	// Patience is for how long a connection waits for a master.
	Patience time.Duration
	Logf     func(format string, args ...any)
}

// Client is a connection on its way to the master.
type Client struct {
	Conn   net.Conn
	State  json.RawMessage // of its session
	Auth   bool
	Unread []byte // received, and executed by nobody
	// Done is called once when the connection has ended here.
	Done func()

	since time.Time // in need of a master
	half  bool      // it sends nothing more
}

// Relay carries connections to the master.
type Relay struct {
	o      Options
	dials  chan struct{} // bounds those under way
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	stats  counters
	// handshake is how long one member may take to answer.
	handshake time.Duration

	mu       sync.Mutex
	slots    int
	conns    map[*Client]struct{}
	asked    map[*net.TCPConn]string // questions that wait for an answer, and to whom they were put
	watching bool
}

type counters struct{ begun, carried, back, home, failed atomic.Int64 }

// Counts is what a Relay has done.
type Counts struct {
	Now     int   // connections relayed, or on their way
	Begun   int64 // connections ever relayed
	Carried int64 // of these, with a session's state
	Back    int64 // times that a former master gave one back
	Home    int64 // returned to this server when it became the master
	Failed  int64 // ended without having found a master in time
}

const (
	maxDials      = 128
	handshakeTime = time.Second
	retryEach     = 2 * time.Millisecond
	retryAtMost   = 50 * time.Millisecond
	watchEach     = 5 * time.Millisecond
)

// New makes a Relay.
func New(o Options) *Relay {
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	r := &Relay{o: o, handshake: handshakeTime, dials: make(chan struct{}, maxDials), conns: map[*Client]struct{}{}, asked: map[*net.TCPConn]string{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Close ends every relay and waits for them.
func (r *Relay) Close() {
	r.cancel()
	r.mu.Lock()
	for c := range r.conns {
		_ = c.Conn.Close()
	}
	r.mu.Unlock()
	r.work.Wait()
}

// Patience is for how long a connection waits for a master.
func (r *Relay) Patience() time.Duration { return r.o.Patience }

// Set is the UID of the set.
func (r *Relay) Set() string { return r.o.Set }

// Elsewhere tells whether a master is known that is not this member.
func (r *Relay) Elsewhere() bool { return r.o.Target().Addr != "" }

// Counts reads the counters.
func (r *Relay) Counts() Counts {
	r.mu.Lock()
	now := r.slots
	r.mu.Unlock()
	s := &r.stats
	return Counts{Now: now, Begun: s.begun.Load(), Carried: s.carried.Load(), Back: s.back.Load(), Home: s.home.Load(), Failed: s.failed.Load()}
}

// Reserve keeps a place for one connection; false when there is none. Take or Release must follow.
func (r *Relay) Reserve() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slots >= r.o.Limit || r.ctx.Err() != nil {
		return false
	}
	r.slots++
	return true
}

// Release gives a reserved place back.
func (r *Relay) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slots--
}

// Take relays a connection that has been waiting for a master since then. It does not wait.
func (r *Relay) Take(c *Client, since time.Time) {
	c.since = since
	r.mu.Lock()
	r.conns[c] = struct{}{}
	ended := r.ctx.Err() != nil
	r.mu.Unlock()
	if ended {
		_ = c.Conn.Close()
	}
	r.stats.begun.Add(1)
	if len(c.State) > 0 {
		r.stats.carried.Add(1)
	}
	r.work.Go(func() {
		home := r.run(c)
		r.mu.Lock()
		delete(r.conns, c)
		r.slots--
		r.mu.Unlock()
		if !home {
			_ = c.Conn.Close()
		}
		c.Done()
	})
}

// errHome tells that this server is the master.
var errHome = errors.New("the master is here")

// run serves a connection until it ends, or has gone home.
func (r *Relay) run(c *Client) (home bool) {
	for {
		up, mark, err := r.reach(c)
		if errors.Is(err, errHome) {
			r.stats.home.Add(1) // before its client can hear from home
			if err = r.o.Home(c); err == nil {
				return true
			}
			r.stats.home.Add(-1)
		}
		if err != nil {
			r.giveUp(c, err)
			return false
		}
		back, ok := r.through(c, up, mark)
		if !ok {
			return false
		}
		r.stats.back.Add(1)
		c.State, c.Auth, c.Unread, c.since = back.State, back.Auth, back.Unread, time.Now()
	}
}

// through passes bytes on until one side ends, or until the master gives the connection back.
func (r *Relay) through(c *Client, up *net.TCPConn, mark []byte) (Back, bool) {
	defer up.Close()
	stop := context.AfterFunc(r.ctx, func() { _ = up.Close() })
	defer stop()
	if _, err := up.Write(c.Unread); err != nil {
		return Back{}, false
	}
	c.Unread = nil
	back, err := splice(c, up, mark)
	if err != nil {
		if !errors.Is(err, errEnded) {
			r.o.Logf("Closing relayed client addr=%s: %v", c.Conn.RemoteAddr(), err)
		}
		return Back{}, false
	}
	return back, true
}

// giveUp tells the client why it is closed.
func (r *Relay) giveUp(c *Client, err error) {
	if r.ctx.Err() != nil {
		return
	}
	r.stats.failed.Add(1)
	r.o.Logf("Closing client addr=%s, the master cannot be reached for it: %v", c.Conn.RemoteAddr(), err)
	_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.Conn.Write([]byte(NoMaster))
}

// NoMaster is the last reply of a connection for which there was no master in time.
const NoMaster = "-MASTERDOWN No master of this set can be reached now, connect again.\r\n"

// reach connects with the master, whoever that is by then, as long as the client's patience lasts.
func (r *Relay) reach(c *Client) (up *net.TCPConn, mark []byte, err error) {
	end := c.since.Add(r.o.Patience)
	last := errors.New("no master is known")
	for wait := retryEach; r.ctx.Err() == nil; wait = min(2*wait, retryAtMost) {
		t := r.o.Target()
		if t.Here {
			return nil, nil, errHome
		}
		if t.Addr == "" {
			wait = retryEach
		} else if up, mark, err = r.ask(c, t.Addr, end); err == nil {
			return up, mark, nil
		} else if final := (*refusedError)(nil); errors.As(err, &final) && final.final() {
			return nil, nil, err
		} else {
			last = fmt.Errorf("%s: %w", t.Addr, err)
		}
		if time.Now().Add(wait).After(end) {
			return nil, nil, last
		}
		time.Sleep(wait)
	}
	return nil, nil, r.ctx.Err()
}

type refusedError struct{ why string }

func (e *refusedError) Error() string { return "refused: " + e.why }

// final refusals are not changed by asking again.
func (e *refusedError) final() bool {
	return slices.Contains([]string{WhyForeign, WhyPassword, WhyState}, e.why)
}

// ask opens a connection to one member and asks it to serve the client.
func (r *Relay) ask(c *Client, addr string, end time.Time) (up *net.TCPConn, mark []byte, err error) {
	q := Request{Set: r.o.Set, Mark: newMark(), Auth: c.Auth, State: c.State}
	if c.Auth {
		password, ok := r.o.Password()
		if !ok {
			return nil, nil, &refusedError{WhyPassword}
		}
		q.Password = password
	}
	text, err := q.Encode()
	if err != nil {
		return nil, nil, &refusedError{WhyState}
	}
	if up, err = r.dial(addr, end); err != nil {
		return nil, nil, err
	}
	r.asks(up, addr)
	err = greet(up, text)
	r.answered(up)
	if err != nil {
		up.Close()
		return nil, nil, err
	}
	_ = up.SetDeadline(time.Time{})
	return up, q.MarkBytes(), nil
}

// dial connects in time for an answer before end. Not too many do so at once: the listener's queue is short.
func (r *Relay) dial(addr string, end time.Time) (*net.TCPConn, error) {
	if limit := time.Now().Add(r.handshake); limit.Before(end) {
		end = limit
	}
	ctx, cancel := context.WithDeadline(r.ctx, end)
	defer cancel()
	select {
	case r.dials <- struct{}{}:
		defer func() { <-r.dials }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return nc.(*net.TCPConn), nc.SetDeadline(end) //nolint:forcetypeassert // of the network asked for
}

// asks notes a question that was put to addr. One goroutine watches over all questions.
func (r *Relay) asks(up *net.TCPConn, addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[up] = addr
	if !r.watching {
		r.watching = true
		r.work.Go(r.watch)
	}
}

func (r *Relay) answered(up *net.TCPConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.asked, up)
}

// watch ends questions whose answer is of no use any more: the master is here, or at another address, or this relay ends. It
// returns once there is none.
func (r *Relay) watch() {
	for {
		t, ended := r.o.Target(), r.ctx.Err() != nil
		r.mu.Lock()
		for up, addr := range r.asked {
			if ended || t.Here || (t.Addr != addr && t.Addr != "") {
				_ = up.SetDeadline(time.Unix(1, 0))
				delete(r.asked, up)
			}
		}
		if len(r.asked) == 0 {
			r.watching = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		time.Sleep(watchEach)
	}
}

// greet sends a request and reads the answer: nothing else comes before the first bytes are sent.
func greet(up net.Conn, request []byte) error {
	if _, err := up.Write(request); err != nil {
		return err
	}
	var line []byte
	buf := make([]byte, maxAnswer)
	for len(line) < maxAnswer {
		n, err := up.Read(buf[:maxAnswer-len(line)])
		line = append(line, buf[:n]...)
		if n > 0 && line[len(line)-1] == '\n' {
			break
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return errors.New("it does not become the master in time")
			}
			return err
		}
	}
	refusal, err := parseAnswer(string(line))
	if err == nil && refusal != "" {
		err = &refusedError{refusal}
	}
	return err
}
