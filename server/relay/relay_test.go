package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// master is a listener that takes requests as a master does: it answers lines with "<name>:<line>".
type master struct {
	t      *testing.T
	ln     net.Listener
	name   string
	work   sync.WaitGroup
	mu     sync.Mutex
	depose chan struct{} // closed: it gives back what it is sent from now on
	no     string        // refuses with that
	asked  atomic.Int64
	last   Request
}

func startMaster(t *testing.T, name string) *master {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &master{t: t, ln: ln, name: name, depose: make(chan struct{})}
	m.work.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			m.work.Go(func() { m.serve(nc) })
		}
	})
	t.Cleanup(func() { ln.Close(); m.work.Wait() })
	return m
}

func (m *master) serve(nc net.Conn) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	var text []byte
	var q Request
	for {
		b, err := r.ReadByte()
		if err != nil {
			return
		}
		text = append(text, b)
		got, n, err := ParseRequest(text)
		if err != nil {
			m.t.Errorf("%q: %v", text, err)
			return
		}
		if n > 0 {
			q = got
			break
		}
	}
	m.asked.Add(1)
	m.mu.Lock()
	m.last = q
	no := m.no
	m.mu.Unlock()
	if no != "" {
		_, _ = nc.Write(No(no))
		return
	}
	_, _ = nc.Write(Yes())
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		select {
		case <-m.depose:
			unread := []byte(line)
			for r.Buffered() > 0 {
				b, _ := r.ReadByte()
				unread = append(unread, b)
			}
			if err := Return(nc, q, []byte(`"`+m.name+`"`), false, unread); err != nil {
				m.t.Errorf("giving back: %v", err)
			}
			return
		default:
			fmt.Fprintf(nc, "%s:%s", m.name, line)
		}
	}
}

// where is a place for a Target that changes.
type where struct{ v atomic.Pointer[Target] }

func (w *where) set(t Target) { w.v.Store(&t) }
func (w *where) get() Target  { return *w.v.Load() }
func at(m *master) Target     { return Target{Addr: m.ln.Addr().String()} }
func noHome(c *Client) error  { return errors.New("not here") }
func pw() (string, bool)      { return "pw", true }
func (w *where) relay(t *testing.T, limit int, patience time.Duration) *Relay {
	r := New(Options{Set: "set", Target: w.get, Password: pw, Home: noHome, Limit: limit, Patience: patience})
	t.Cleanup(r.Close)
	return r
}

// enough is how long a test waits for what has to come: far longer than a busy machine takes.
const enough = time.Minute

// pair is both ends of a client's connection.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = client.SetDeadline(time.Now().Add(enough))
	return client, server
}

func take(t *testing.T, r *Relay, unread string, done func()) net.Conn {
	t.Helper()
	client, server := pair(t)
	if !r.Reserve() {
		t.Fatal("no place for a relay")
	}
	r.Take(&Client{Conn: server, Unread: []byte(unread), Auth: true, State: []byte(`{}`), Done: done}, time.Now())
	return client
}

func expect(t *testing.T, c io.Reader, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
		t.Fatalf("read %q, %v, want %q", buf, err, want)
	}
}

func TestConnectionFollowsTheMaster(t *testing.T) {
	a, b := startMaster(t, "a"), startMaster(t, "b")
	var w where
	w.set(at(a))
	r := w.relay(t, 10, enough)
	c := take(t, r, "one\n", func() {})
	expect(t, c, "a:one\n")
	fmt.Fprint(c, "two\n")
	expect(t, c, "a:two\n")
	if q := a.last; q.Password != "pw" || string(q.State) != "{}" {
		t.Errorf("asked %+v", q)
	}
	close(a.depose)
	w.set(Target{}) // the next master is not known at once
	fmt.Fprint(c, "three\nfour\nfi")
	time.Sleep(50 * time.Millisecond)
	fmt.Fprint(c, "ve\n")
	w.set(at(b))
	expect(t, c, "b:three\nb:four\nb:five\n")
	if q := b.last; string(q.State) != `"a"` || q.Auth {
		t.Errorf("the former master's word about the session was changed: %+v", q)
	}
	if n := r.Counts(); n.Now != 1 || n.Begun != 1 || n.Back != 1 || n.Carried != 1 {
		t.Errorf("%+v", n)
	}
}

func TestEnds(t *testing.T) {
	a := startMaster(t, "a")
	var w where
	w.set(at(a))
	r, hasty := w.relay(t, 2, enough), w.relay(t, 1, 300*time.Millisecond)
	done := make(chan struct{}, 10)
	ended := func() { done <- struct{}{} }

	c := take(t, r, "", ended) // the client sends its last and then nothing more: it gets its answers
	fmt.Fprint(c, "last\n")
	_ = c.(*net.TCPConn).CloseWrite()
	if all, err := io.ReadAll(c); string(all) != "a:last\n" || err != nil {
		t.Errorf("after its end the client reads %q, %v", all, err)
	}
	<-done

	a.mu.Lock()
	a.no = "not the master"
	a.mu.Unlock()
	c = take(t, hasty, "x\n", ended) // nobody is the master
	if all, _ := io.ReadAll(c); string(all) != NoMaster {
		t.Errorf("without a master the client reads %q", all)
	}
	<-done
	asked := a.asked.Load()
	c = take(t, r, "again\n", ended) // it is not given up at once
	for end := time.Now().Add(enough); a.asked.Load() < asked+3; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("asked %d times", a.asked.Load()-asked)
		}
	}
	a.mu.Lock()
	a.no = ""
	a.mu.Unlock()
	expect(t, c, "a:again\n")
	c.Close()
	<-done

	a.mu.Lock()
	a.no = WhyPassword
	a.mu.Unlock()
	asked = a.asked.Load()
	_ = take(t, r, "x\n", ended) // nothing to be hoped for
	<-done
	if n := a.asked.Load() - asked; n != 1 {
		t.Errorf("asked %d times with the wrong password", n)
	}

	if got := []bool{r.Reserve(), r.Reserve(), r.Reserve()}; !slices.Equal(got, []bool{true, true, false}) {
		t.Error("the limit of two is not kept")
	}
	r.Release()
	r.Release()
	a.mu.Lock()
	a.no = ""
	a.mu.Unlock()
	c = take(t, r, "y\n", ended)
	expect(t, c, "a:y\n")
	r.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a relay outlives Close")
	}
	<-done
	if r.Reserve() {
		t.Error("a closed relay has places")
	}
}

// TestIdleRelayIsCheap: what a silent relayed connection costs this process, its sockets' buffers in the kernel aside.
func TestIdleRelayIsCheap(t *testing.T) {
	const n = 400
	a := startMaster(t, "a")
	var w where
	w.set(at(a))
	r := w.relay(t, n, enough)
	use := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before := use()
	var wg sync.WaitGroup
	for range n {
		wg.Add(1)
		c := take(t, r, strings.Repeat("x", 100)+"\n", wg.Done)
		expect(t, c, "a:x")
	}
	each := (use() - before) / n
	t.Logf("%d bytes for both ends and the master's part of an idle relay", each)
	if each > 32<<10 {
		t.Errorf("%d bytes", each)
	}
	r.Close()
	wg.Wait()
}

// TestAskedInAdvance: a member that does not answer is asked no longer once the master is somewhere else.
func TestAskedInAdvance(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // a member that is to become master, and does not
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	b := startMaster(t, "b")
	var w where
	w.set(Target{Addr: silent.Addr().String()})
	r := w.relay(t, 300, time.Hour)
	r.handshake = time.Hour
	var all []net.Conn
	for range 50 {
		all = append(all, take(t, r, "x\n", func() {}))
	}
	for asked := 0; asked < len(all); time.Sleep(time.Millisecond) {
		r.mu.Lock()
		asked = len(r.asked)
		r.mu.Unlock()
	}
	w.set(at(b))
	for _, c := range all {
		expect(t, c, "b:x\n")
	}
}
