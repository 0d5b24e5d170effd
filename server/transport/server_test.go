package transport

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/session"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/store"
)

// rig is a server in this process.
type rig struct {
	t      testing.TB
	e      *engine.Engine
	cfg    *settings.Settings
	s      *session.Server
	server *Server
	addr   string

	mu   sync.Mutex
	logs []string
}

type rigOptions struct {
	config   string
	loops    int
	bootTime func() int64
	backlog  bool
	tls      func() *tls.Config
	attach   func(r *rig, table *command.Table) // gives commands of other packages a handler
}

func newRig(t testing.TB, o rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, cfg: settings.New()}
	if err := r.cfg.LoadText("test", "enable-debug-command yes\n"+o.config); err != nil {
		t.Fatal(err)
	}
	logf := func(format string, args ...any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.logs = append(r.logs, fmt.Sprintf(format, args...))
	}
	log := oplog.New(oplog.Options{})
	if o.backlog {
		log.CreateBacklog()
	}
	table := command.NewTable()
	r.e = engine.New(engine.Options{Store: store.New(store.Options{}), Log: log, Table: table, BootTime: o.bootTime, Logf: logf})
	if o.attach != nil {
		o.attach(r, table)
	}
	r.s = session.New(session.Options{Engine: r.e, Settings: r.cfg, Logf: logf, Version: "test"})
	if o.loops == 0 {
		o.loops = 1
	}
	var err error
	if r.server, err = New(Options{Engine: r.e, Sessions: r.s, Loops: o.loops, TLS: o.tls, Logf: logf, Verbosef: logf}); err != nil {
		t.Fatal(err)
	}
	addr, err := r.server.ListenTCP(netip.MustParseAddrPort("127.0.0.1:0"), 511)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = addr.String()
	r.e.Start()
	r.server.Start()
	t.Cleanup(func() {
		r.server.Close()
		r.e.Close()
	})
	return r
}

func (r *rig) logged(part string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.logs {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

// patience is how long a test waits for what has to come: far longer than a busy machine takes.
const patience = time.Minute

// await waits until ok.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// client is a connection with a reply reader.
type client struct {
	t testing.TB
	net.Conn
	r *resp.Reader
}

// newClient makes a client whose reader waits with patience for each piece that it reads.
func newClient(t testing.TB, c net.Conn) *client {
	return &client{t, c, resp.NewReader(bufio.NewReaderSize(patient{c}, 64<<10))}
}

// patient gives up a read when nothing has come for too long.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	_ = p.SetReadDeadline(time.Now().Add(patience))
	return p.Conn.Read(b)
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	return dialTo(t, "tcp", addr)
}

func dialTo(t testing.TB, network, addr string) *client {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newClient(t, c)
}

func (c *client) send(args ...string) {
	c.t.Helper()
	c.raw(string(resp.AppendCommandStrings(nil, args...)))
}

func (c *client) raw(text string) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) do(args ...string) string {
	c.t.Helper()
	c.send(args...)
	return c.reply()
}

func (c *client) reply() string {
	c.t.Helper()
	v, err := c.r.Read()
	if err != nil {
		c.t.Fatalf("reading a reply: %v", err)
	}
	return v.String()
}

// ends reads to the end of the connection and returns what came.
func (c *client) ends() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.r.Buffered())
	if err != nil && !strings.Contains(err.Error(), "reset") {
		c.t.Fatalf("waiting for the end of the connection: %v", err)
	}
	return string(rest)
}

// silent checks that nothing comes for a while.
func (c *client) silent(d time.Duration) {
	c.t.Helper()
	if c.r.Buffered().Buffered() == 0 {
		var b [1]byte
		c.SetReadDeadline(time.Now().Add(d))
		n, err := c.Conn.Read(b[:])
		if err == nil {
			c.t.Fatalf("a reply came: %q...", b[:n])
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatalf("the connection ended: %v", err)
		}
		return
	}
	b, _ := c.r.Buffered().Peek(1)
	c.t.Fatalf("a reply came: %q...", b)
}

func want(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func wantPrefix(t testing.TB, got, prefix string) {
	t.Helper()
	if !strings.HasPrefix(got, prefix) {
		t.Fatalf("got  %s\nwant %s...", got, prefix)
	}
}

func TestPipelineSplitAtEveryByte(t *testing.T) {
	r := newRig(t, rigOptions{})
	var stream []byte
	stream = resp.AppendCommandStrings(stream, "SET", "k", strings.Repeat("v", 40))
	stream = append(stream, "PING\r\nGET k\r\n"...)
	stream = resp.AppendCommandStrings(stream, "APPEND", "n", "x")
	stream = resp.AppendCommandStrings(stream, "DEL", "n")
	const answer = "+OK\r\n+PONG\r\n$40\r\nvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n:1\r\n:1\r\n"
	for cut := 1; cut < len(stream); cut++ {
		c := dial(t, r.addr)
		c.raw(string(stream[:cut]))
		if cut%8 == 0 {
			time.Sleep(time.Millisecond) // else both halves may arrive as one
		}
		c.raw(string(stream[cut:]))
		got := make([]byte, len(answer))
		if _, err := io.ReadFull(c.r.Buffered(), got); err != nil {
			t.Fatalf("cut at %d: %v after %q", cut, err, got)
		}
		want(t, string(got), answer)
		c.Close()
	}
}

func TestCommandByteByByte(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	for _, b := range resp.AppendCommandStrings(nil, "ECHO", "slowly") {
		c.raw(string(b))
		time.Sleep(200 * time.Microsecond)
	}
	want(t, c.reply(), `"slowly"`)
}

func TestBigValues(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	for _, n := range []int{16 << 10, 1<<20 - 1, 3 << 20, 20 << 20} {
		value := strings.Repeat("0123456789abcdef", n/16+1)[:n]
		want(t, c.do("SET", "big", value), "OK")
		c.send("GET", "big")
		v, err := c.r.Read()
		if err != nil || string(v.Str) != value {
			t.Fatalf("%d bytes came back as %d, %v", n, len(v.Str), err)
		}
		c.send("ECHO", value)
		if v, err = c.r.Read(); err != nil || string(v.Str) != value {
			t.Fatalf("ECHO of %d bytes: %d, %v", n, len(v.Str), err)
		}
	}
}

func TestDeepPipeline(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	const n = 20000
	go func() {
		var p []byte
		for i := range n {
			p = resp.AppendCommandStrings(p, "INCR", "n")
			if i%1000 == 0 {
				c.Write(p)
				p = p[:0]
			}
		}
		c.Write(p)
	}()
	for i := 1; i <= n; i++ {
		want(t, c.reply(), fmt.Sprintf("(integer) %d", i))
	}
}

func TestBrokenProtocolClosesOnlyThatClient(t *testing.T) {
	r := newRig(t, rigOptions{})
	other := dial(t, r.addr)
	want(t, other.do("PING"), "PONG")
	for _, tc := range []struct{ send, answer string }{
		{"PING\r\n*1\r\n:1\r\n", "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n"},
		{"*2\r\n$3\r\nGET\r\n$999999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"*-10\r\n*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"SET \"k\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
		{strings.Repeat("a", 70<<10), "-ERR Protocol error: too big inline request\r\n"},
		{"PING\r\nQUIT\r\nPING\r\n", "+PONG\r\n+OK\r\n"},
		{"POST / HTTP/1.1\r\nSET a b\r\n", ""},
	} {
		c := dial(t, r.addr)
		c.raw(tc.send)
		want(t, c.ends(), tc.answer)
	}
	want(t, other.do("EXISTS", "a"), "(integer) 0")
}

func TestGuestsHaveSmallLimits(t *testing.T) {
	r := newRig(t, rigOptions{config: "requirepass secret\n"})
	c := dial(t, r.addr)
	want(t, c.do("GET", "k"), "(error) NOAUTH Authentication required.")
	want(t, c.do("AUTH", "wrong"), "(error) WRONGPASS invalid username-password pair or user is disabled.")
	want(t, c.do("AUTH", "default", "secret"), "OK")
	want(t, c.do("GET", "k"), "(nil)")
	c = dial(t, r.addr)
	c.raw("*1\r\n$20000\r\n")
	want(t, c.ends(), "-ERR Protocol error: unauthenticated bulk length\r\n")
	c = dial(t, r.addr)
	c.raw("*11\r\n")
	want(t, c.ends(), "-ERR Protocol error: unauthenticated multibulk length\r\n")
}

// An announced length is not believed: a hundred clients that promise 512 MB each must not cost 50 GB.
func TestAnnouncedLengthsCostNothing(t *testing.T) {
	r := newRig(t, rigOptions{})
	before := heap()
	for range 100 {
		c := dial(t, r.addr)
		c.raw("*2\r\n$4\r\nECHO\r\n$536870912\r\n" + strings.Repeat("x", 1000))
	}
	c := dial(t, r.addr)
	want(t, c.do("PING"), "PONG")
	if grown := heap() - before; grown > 200<<20 {
		t.Fatalf("100 half commands cost %d MiB", grown>>20)
	}
}

func TestClientsOnSeveralLoops(t *testing.T) {
	r := newRig(t, rigOptions{loops: 3})
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Add(1)
		c := dial(t, r.addr)
		go func() {
			defer wg.Done()
			for n := range 300 {
				c.send("INCR", "shared")
				c.send("SET", fmt.Sprintf("k%d", i), fmt.Sprint(n))
				c.send("GET", fmt.Sprintf("k%d", i))
				c.r.Read()
				c.r.Read()
				if v, err := c.r.Read(); err != nil || string(v.Str) != fmt.Sprint(n) {
					t.Errorf("client %d read %v, %v; want %d", i, v, err, n)
					return
				}
			}
		}()
	}
	wg.Wait()
	want(t, dial(t, r.addr).do("GET", "shared"), `"3600"`)
}

func TestUnixSocket(t *testing.T) {
	r := newRig(t, rigOptions{})
	path := t.TempDir() + "/s"
	if err := r.server.ListenUnix(path, 0o700, 10); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "CLIENT INFO\r\n")
	v, err := resp.NewReader(c).Read()
	if err != nil || !bytes.Contains(v.Str, []byte("addr="+path+":0")) || !bytes.Contains(v.Str, []byte("flags=U")) {
		t.Fatalf("%v, %v", v, err)
	}
}

func TestMaxClients(t *testing.T) {
	r := newRig(t, rigOptions{config: "maxclients 2\n"})
	a, b := dial(t, r.addr), dial(t, r.addr)
	want(t, a.do("PING"), "PONG")
	want(t, b.do("PING"), "PONG")
	want(t, dial(t, r.addr).ends(), "-ERR max number of clients reached\r\n")
	b.Close()
	await(t, "the place of a closed connection to be given to another", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "PING\r\n") // who is refused may have been reset by now
		v, err := newClient(t, c).r.Read()
		return err == nil && v.String() == "PONG"
	})
}
