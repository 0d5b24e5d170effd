package migrate

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	keepSockets = 64
	keepFor     = 10 * time.Second
)

var errConnect = errors.New("error or timeout connecting to the client")

// targetError is what the other server refused.
type targetError struct{ text string }

func (e *targetError) Error() string { return e.text }

// socket is a connection to another server.
type socket struct {
	net.Conn
	in    *bufio.Reader
	db    int64 // selected, -1: not known
	timer *time.Timer
}

// sockets keeps connections for some seconds, one for each address.
type sockets struct {
	mu     sync.Mutex
	idle   map[string]*socket
	busy   map[*socket]bool
	closed bool
}

func (k *sockets) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.idle)
}

func (k *sockets) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for addr := range k.idle {
		k.drop(addr)
	}
	for c := range k.busy {
		c.Close()
	}
}

// drop closes an idle connection. The lock is held.
func (k *sockets) drop(addr string) {
	c := k.idle[addr]
	delete(k.idle, addr)
	c.timer.Stop()
	c.Close()
}

// take answers a connection; kept tells that it is an old one, which may have died meanwhile.
func (k *sockets) take(addr string, timeout time.Duration) (c *socket, kept bool, err error) {
	k.mu.Lock()
	if c = k.idle[addr]; c != nil {
		delete(k.idle, addr)
		c.timer.Stop()
		k.use(c)
		k.mu.Unlock()
		return c, true, nil
	}
	k.mu.Unlock()
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if errors.Is(err, syscall.ECONNREFUSED) { // Redis notices that at its first write
		return nil, false, errors.New("error or timeout writing to target instance")
	}
	if err != nil {
		return nil, false, errConnect
	}
	c = &socket{Conn: conn, in: bufio.NewReader(conn), db: -1}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		c.Close()
		return nil, false, errConnect
	}
	k.use(c)
	return c, false, nil
}

// use notes a connection that is worked with. The lock is held.
func (k *sockets) use(c *socket) {
	if k.busy == nil {
		k.busy = map[*socket]bool{}
	}
	k.busy[c] = true
}

// give keeps a connection for the next MIGRATE.
func (k *sockets) give(addr string, c *socket) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.busy, c)
	if k.closed || k.idle[addr] != nil {
		c.Close()
		return
	}
	if len(k.idle) >= keepSockets {
		for other := range k.idle {
			k.drop(other)
			break
		}
	}
	k.idle[addr] = c
	c.timer = time.AfterFunc(keepFor, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.idle[addr] == c {
			k.drop(addr)
		}
	})
}

// lose closes a connection that failed.
func (k *sockets) lose(c *socket) {
	k.mu.Lock()
	delete(k.busy, c)
	k.mu.Unlock()
	c.Close()
}

// send has the other server restore the parcels, and marks those that arrived.
func (t *transfer) send(now int64) error {
	addr := net.JoinHostPort(t.o.host, t.o.port)
	for {
		c, kept, err := t.s.sockets.take(addr, t.o.timeout)
		if err != nil {
			return err
		}
		err = t.talk(c, now)
		var told *targetError
		if err == nil || errors.As(err, &told) {
			if err != nil {
				c.db = -1 // as far as is known
			}
			t.s.sockets.give(addr, c)
			return err
		}
		t.s.sockets.lose(c)
		if !kept || errors.Is(err, os.ErrDeadlineExceeded) || t.anyArrived() {
			return err
		}
	}
}

func (t *transfer) anyArrived() bool {
	for _, p := range t.parcels {
		if p.arrived {
			return true
		}
	}
	return false
}

// talk sends everything and reads the replies.
func (t *transfer) talk(c *socket, now int64) error {
	sent := make(chan error, 1)
	set := func() { _ = c.SetDeadline(time.Now().Add(t.o.timeout)) }
	set()
	head, first := t.head(c)
	due := t.parcels[:0:0]
	for _, p := range t.parcels {
		if !p.arrived && (p.expire == 0 || p.expire >= now) {
			due = append(due, p)
		}
	}
	go func() { sent <- t.write(c, head, due, now) }() // beside the reading: replies may fill the sockets' buffers
	err := t.replies(c, first, due, set)
	if err != nil {
		var told *targetError
		if !errors.As(err, &told) {
			c.Close()
		}
	}
	if failed := <-sent; failed != nil {
		return fmt.Errorf("error or timeout writing to target instance%w", quiet{failed})
	}
	return err
}

// quiet keeps an error's identity out of its text.
type quiet struct{ error }

func (quiet) Error() string   { return "" }
func (q quiet) Unwrap() error { return q.error }

// head is what precedes the keys, and the number of its commands.
func (t *transfer) head(c *socket) (head []byte, commands int) {
	switch o := &t.o; {
	case o.authenticates && o.user != nil:
		head, commands = appendCommand(head, []byte("AUTH"), o.user, o.secret), 1
	case o.authenticates:
		head, commands = appendCommand(head, []byte("AUTH"), o.secret), 1
	}
	if c.db != t.o.db {
		head = appendCommand(head, []byte("SELECT"), strconv.AppendInt(nil, t.o.db, 10))
		commands++
	}
	return head, commands
}

func (t *transfer) write(c *socket, head []byte, due []*parcel, now int64) error {
	w := bufio.NewWriterSize(deadlineWriter{c, t.o.timeout}, 64<<10)
	_, _ = w.Write(head)
	for _, p := range due {
		ttl := int64(0)
		if p.expire != 0 {
			ttl = max(p.expire-now, 1)
		}
		words := [][]byte{[]byte("RESTORE"), p.key, strconv.AppendInt(nil, ttl, 10), p.value, []byte("REPLACE")}
		if !t.o.replace {
			words = words[:4]
		}
		_, _ = w.Write(appendCommand(nil, words...))
	}
	return w.Flush()
}

// deadlineWriter moves the deadline with each write.
type deadlineWriter struct {
	c *socket
	d time.Duration
}

func (w deadlineWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		_ = w.c.SetDeadline(time.Now().Add(w.d))
		var part int
		part, err = w.c.Write(p[:min(len(p), 64<<10)])
		n, p = n+part, p[part:]
	}
	return n, err
}

// replies reads the answers: one for each command of the head, one for each parcel. The first refusal is the result;
// one of the head spoils all parcels.
func (t *transfer) replies(c *socket, first int, due []*parcel, set func()) error {
	var refused error
	spoiled := false
	for i := range first + len(due) {
		line, err := c.in.ReadSlice('\n')
		if err != nil || len(line) < 3 {
			return fmt.Errorf("error or timeout reading from target instance%w", quiet{err})
		}
		set()
		switch bad := line[0] == '-'; {
		case bad:
			if refused == nil {
				refused = &targetError{string(line[1 : len(line)-2])}
			}
			spoiled = spoiled || i < first
		case i >= first && !spoiled:
			due[i-first].arrived = true
		}
	}
	if !spoiled && refused == nil {
		c.db = t.o.db
	}
	return refused
}

func appendCommand(dst []byte, words ...[]byte) []byte {
	dst = append(strconv.AppendInt(append(dst, '*'), int64(len(words)), 10), "\r\n"...)
	for _, w := range words {
		dst = append(strconv.AppendInt(append(dst, '$'), int64(len(w)), 10), "\r\n"...)
		dst = append(append(dst, w...), "\r\n"...)
	}
	return dst
}
