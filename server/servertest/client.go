package servertest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// Peer is a server under test, ours or a real one.
type Peer interface {
	Port() int
	Do(args ...string) resp.Value
	Must(args ...string) resp.Value
	Info(field string) string
}

// Client is one connection to a server; it dials again when the connection was lost. It may be shared by goroutines.
type Client struct {
	t        testing.TB
	addr     string
	password string

	mu   sync.Mutex
	conn net.Conn
	r    *resp.Reader
}

// Dial makes a client of the server on a port of 127.0.0.1. It dials at the first command.
func Dial(t testing.TB, port int, password string) *Client {
	return &Client{t: t, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), password: password}
}

// Do sends one command. A connection that cannot be used is answered as an error reply that begins with "IO".
func (c *Client) Do(args ...string) resp.Value {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, err := c.try(args)
	if err != nil {
		c.closeLocked()
		return resp.Value{Kind: '-', Str: []byte("IO " + err.Error())}
	}
	return v
}

func (c *Client) try(args []string) (resp.Value, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.addr, patience)
		if err != nil {
			return resp.Value{}, err
		}
		c.conn, c.r = conn, resp.NewReader(conn)
		if c.password != "" {
			if v, err := c.roundTrip("AUTH", c.password); err != nil || v.IsError() {
				return v, err
			}
		}
	}
	return c.roundTrip(args...)
}

func (c *Client) roundTrip(args ...string) (resp.Value, error) {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(resp.AppendCommandStrings(nil, args...)); err != nil {
		return resp.Value{}, err
	}
	return c.r.Read()
}

// Must is Do for commands that must succeed.
func (c *Client) Must(args ...string) resp.Value {
	c.t.Helper()
	v := c.Do(args...)
	if v.IsError() {
		c.t.Fatalf("%v: %s", args, v.Str)
	}
	return v
}

// Info is one field of INFO everything, "" when it is missing.
func (c *Client) Info(field string) string {
	for _, section := range []string{"replication", "stats", "persistence", "server", "memory", "understudy"} {
		for line := range strings.SplitSeq(string(c.Do("INFO", section).Str), "\r\n") {
			if name, value, ok := strings.Cut(line, ":"); ok && name == field {
				return value
			}
		}
	}
	return ""
}

// Close ends the connection.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked()
}

func (c *Client) closeLocked() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// patience is how long a test waits for what has to come: far longer than a busy machine takes.
const patience = time.Minute

// Await waits until ok, and fails the test with what it waited for after a minute.
func Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// AwaitLink waits until the replica's link to its master is up.
func AwaitLink(t testing.TB, replica Peer) {
	t.Helper()
	Await(t, fmt.Sprintf("the link of the replica on port %d", replica.Port()), func() bool { return replica.Info("master_link_status") == "up" })
}

// MustAgree is how a replication test ends: without writes all servers come to one offset, and then their digests are
// equal. The first is the master.
func MustAgree(t testing.TB, peers ...Peer) {
	t.Helper()
	state := func(field string, digest bool) []string {
		out := make([]string, len(peers))
		for i, p := range peers {
			out[i] = p.Info(field)
			if digest {
				out[i] += " " + p.Must("DEBUG", "DIGEST").String()
			}
		}
		return out
	}
	// What the master does by itself would move the offset: a digest may take longer than the time between two PINGs, and
	// redis-server takes minutes to find the last few expired keys among many that are not.
	peers[0].Must("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	defer peers[0].Do("DEBUG", "SET-ACTIVE-EXPIRE", "1")
	const ping = "repl-ping-replica-period"
	period := peers[0].Must("CONFIG", "GET", ping)
	peers[0].Must("CONFIG", "SET", ping, "3600")
	defer func() { peers[0].Do("CONFIG", "SET", ping, string(period.Elems[1].Str)) }()
	end := time.Now().Add(patience)
	for {
		before := state("master_repl_offset", false)
		both := state("master_repl_offset", true)
		after := state("master_repl_offset", false)
		if allEqual(before) && allEqual(after) && before[0] == after[0] && before[0] != "" {
			if allEqual(both) {
				return
			}
			t.Fatalf("digests differ at equal offsets: %q\n%s", both, differing(peers))
		}
		if time.Now().After(end) {
			t.Fatalf("no common offset after %v: %q, then %q with digests, then %q", patience, before, both, after)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// differing names the first keys whose values are not the same everywhere.
func differing(peers []Peer) string {
	var out strings.Builder
	found := 0
	for db := range 16 {
		keys := map[string]bool{}
		for _, p := range peers {
			p.Do("SELECT", strconv.Itoa(db))
			for _, k := range p.Do("KEYS", "*").Elems {
				keys[string(k.Str)] = true
			}
		}
		for key := range keys {
			seen := make([]string, len(peers))
			for i, p := range peers {
				seen[i] = fmt.Sprintf("%s expires %s", p.Do("DEBUG", "DIGEST-VALUE", key), p.Do("PEXPIRETIME", key))
			}
			if !allEqual(seen) && found < 10 {
				found++
				fmt.Fprintf(&out, "database %d, %s %.60q: %q\n", db, peers[0].Do("TYPE", key).Str, key, seen)
			}
		}
	}
	return out.String()
}

func allEqual(s []string) bool {
	for _, x := range s {
		if x != s[0] {
			return false
		}
	}
	return true
}
