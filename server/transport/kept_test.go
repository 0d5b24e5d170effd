package transport

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
)

// Replies wait for those who must hold what they reflect (S6).

func synchronousRig(t *testing.T, o rigOptions) *rig {
	o.backlog = true
	r := newRig(t, o)
	r.e.Exclusive(r.e.EndReign)
	r.e.Commit().Attached(1)
	r.e.Commit().Require(1)
	r.e.Commit().Advance(0)
	return r
}

// awaitKept waits until so many replies are kept.
func (r *rig) awaitKept(replies int) {
	r.t.Helper()
	await(r.t, fmt.Sprintf("%d replies to be kept", replies), func() bool {
		n := 0
		r.onEachLoop(func(l *loop) {
			for _, k := range l.kept {
				n += k.replies
			}
		})
		return n == replies
	})
}

// holdAll says that everything so far is held.
func (r *rig) holdAll() { r.e.Commit().Advance(r.e.Log.Offset()) }

func TestRepliesWaitUntilTheirWritesAreHeld(t *testing.T) {
	r := synchronousRig(t, rigOptions{})
	c, reader, other := dial(t, r.addr), dial(t, r.addr), dial(t, r.addr)
	want(t, c.do("GET", "k"), "(nil)") // nothing was written yet
	c.send("SET", "k", "1")
	r.awaitKept(1)
	reader.send("GET", "k")
	r.awaitKept(2)
	c.silent(30 * time.Millisecond)
	reader.silent(30 * time.Millisecond)
	want(t, other.do("PING"), "PONG") // tells of no data
	want(t, other.do("MULTI"), "OK")
	end := r.e.Log.Offset()
	c.raw("PING\r\nGET k\r\nSET k 2\r\n") // behind what waits
	r.awaitKept(5)
	c.silent(30 * time.Millisecond)
	r.e.Commit().Advance(end)
	want(t, c.reply(), "OK")
	want(t, reader.reply(), `"1"`)
	c.silent(30 * time.Millisecond)
	r.holdAll()
	want(t, c.reply(), "PONG")
	want(t, c.reply(), `"1"`)
	want(t, c.reply(), "OK")
	want(t, reader.do("GET", "k"), `"2"`) // held: nothing to wait for
	reader.send("SET", "k", "3")
	r.awaitKept(1)
	reader.silent(20 * time.Millisecond)
	r.e.Commit().Require(0)
	want(t, reader.reply(), "OK")
	want(t, reader.do("SET", "k", "4"), "OK")
}

func TestEveryReplicaIsAskedAtOnce(t *testing.T) {
	r := synchronousRig(t, rigOptions{})
	c := dial(t, r.addr)
	c.send("SET", "k", "0") // with whatever hold comes first replicas are asked for where the reign begins
	r.awaitKept(1)
	r.holdAll()
	want(t, c.reply(), "OK")
	cur, err := r.e.Log.Replica(r.e.Log.Offset())
	if err != nil {
		t.Fatal(err)
	}
	defer cur.Close()
	c.send("SET", "k", "1")
	r.awaitKept(1)
	c.silent(20 * time.Millisecond)
	pieces, err := cur.Read(nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var stream string
	for _, p := range pieces {
		stream += string(p)
	}
	if !strings.HasSuffix(stream, "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n") || strings.Count(stream, "GETACK") != 1 {
		t.Fatalf("the stream is %q", stream)
	}
	// The request is not data: who has acknowledged what comes before it has it all.
	r.e.Commit().Advance(r.e.Log.Offset() - int64(len("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n")))
	want(t, c.reply(), "OK")
}

func TestUnknownOutcomeIsNoFailure(t *testing.T) {
	r := synchronousRig(t, rigOptions{})
	r.e.Commit().SetTimeout(50 * time.Millisecond)
	c := dial(t, r.addr)
	c.raw("SET k 1\r\nINCR k\r\nPING\r\n")
	for range 3 {
		wantPrefix(t, c.reply(), "(error) UNCONFIRMED outcome unknown: ")
	}
	if n := r.e.Commit().Failed(); n != 3 {
		t.Errorf("%d unconfirmed replies counted, sent 3", n)
	}
	r.holdAll()
	want(t, c.do("GET", "k"), `"2"`) // it was executed, and the connection goes on
	r.e.Commit().Attached(0)
	wantPrefix(t, c.do("SET", "k", "9"), "(error) NOREPLICAS ")
	want(t, c.do("GET", "k"), `"2"`) // that one was not
	r.e.Commit().Attached(1)
	big := strings.Repeat("x", 1<<20)
	c.send("SET", "big", big)
	wantPrefix(t, c.reply(), "(error) UNCONFIRMED ")
	c.send("GET", "big") // a shared value among what is thrown away
	wantPrefix(t, c.reply(), "(error) UNCONFIRMED ")
	r.holdAll()
	want(t, c.do("STRLEN", "big"), "(integer) 1048576")
}

func TestWhatWaitsIsLostWithTheReign(t *testing.T) {
	r := synchronousRig(t, rigOptions{})
	c := dial(t, r.addr)
	c.send("SET", "k", "1")
	r.awaitKept(1)
	c.silent(20 * time.Millisecond)
	r.e.Exclusive(r.e.EndReign)
	wantPrefix(t, c.reply(), "(error) UNCONFIRMED ")
	r.holdAll()
	want(t, c.do("GET", "k"), `"1"`)
}

func TestMessagesAndServedClientsWaitToo(t *testing.T) {
	r := synchronousRig(t, rigOptions{config: "notify-keyspace-events KA\n", loops: 2})
	writer, waiter, listener := dial(t, r.addr), dial(t, r.addr), dial(t, r.addr)
	want(t, listener.do("SUBSCRIBE", "__keyspace@0__:l"), `*["subscribe" "__keyspace@0__:l" (integer) 1]`)
	waiter.send("BLPOP", "l", "0")
	r.awaitConn("the waiter to wait", func(c *conn) bool { return c.waiting })
	waiter.silent(20 * time.Millisecond)
	writer.send("RPUSH", "l", "a", "b")
	r.awaitKept(2)
	for _, c := range []*client{writer, waiter, listener} {
		c.silent(30 * time.Millisecond)
	}
	r.holdAll()
	want(t, writer.reply(), "(integer) 2")
	want(t, waiter.reply(), `*["l" "a"]`)
	want(t, listener.reply(), `*["message" "__keyspace@0__:l" "rpush"]`)
}

func TestTransactionsAndScriptsWait(t *testing.T) {
	r := synchronousRig(t, rigOptions{})
	c := dial(t, r.addr)
	c.raw("MULTI\r\nSET k 1\r\nGET k\r\n")
	want(t, c.reply(), "OK")
	want(t, c.reply(), "QUEUED")
	want(t, c.reply(), "QUEUED")
	c.send("EXEC")
	r.awaitKept(1)
	c.silent(30 * time.Millisecond)
	r.holdAll()
	want(t, c.reply(), `*[OK "1"]`)
}

// Reads must be true to the right to write: a master that may have been deposed answers nothing from its data.
func TestReadsNeedTheRightToo(t *testing.T) {
	var now atomic.Int64
	now.Store(1000)
	r := synchronousRig(t, rigOptions{bootTime: now.Load})
	c := dial(t, r.addr)
	r.e.Gate().Grant(2000)
	want(t, c.do("GET", "k"), "(nil)")
	now.Store(2000)
	wantPrefix(t, c.do("GET", "k"), "(error) READONLY ")
	want(t, c.do("PING"), "PONG")
	r.e.Gate().SetDeadline(3000)
	w := dial(t, r.addr)
	w.send("SET", "k", "1")
	r.awaitKept(1)
	c.send("GET", "k")
	r.awaitKept(2)
	w.silent(20 * time.Millisecond)
	c.silent(20 * time.Millisecond)
	now.Store(3000)
	r.holdAll()
	for _, c := range []*client{c, w} {
		if got := c.ends(); got != "" {
			t.Fatalf("a reply left after the deadline: %q", got)
		}
	}
}

// A loop with nothing to do takes no time to see that more is held, and none of a loop's clients waits for another's timeout.
func TestManyClientsAreServedInOrder(t *testing.T) {
	r := synchronousRig(t, rigOptions{loops: 2})
	var clients []*client
	for range 50 {
		c := dial(t, r.addr)
		c.raw("INCR n\r\nINCR n\r\n")
		clients = append(clients, c)
	}
	r.awaitKept(2 * len(clients))
	clients[0].silent(50 * time.Millisecond)
	clients[1].Close()
	settled := make(chan struct{})
	go func() { r.server.Settle(patience); close(settled) }()
	select {
	case <-settled:
		t.Fatal("settled while replies wait")
	case <-time.After(20 * time.Millisecond):
	}
	r.holdAll()
	for i, c := range clients {
		if i != 1 {
			wantPrefix(t, c.reply(), "(integer) ")
			wantPrefix(t, c.reply(), "(integer) ")
		}
	}
	select {
	case <-settled:
	case <-time.After(patience / 2):
		t.Fatal("not settled though nothing waits")
	}
}

// A reply to a client that waited reflects the stream in which it was made: when that has ended it is not sent.
func TestAServedClientsReplyDiesWithTheReign(t *testing.T) {
	r := synchronousRig(t, rigOptions{loops: 2})
	waiter := dial(t, r.addr)
	waiter.send("BLPOP", "l", "0")
	c := r.awaitConn("the waiter to wait", func(c *conn) bool { return c.waiting })
	r.e.Exclusive(func() {
		c.Deliver(engine.Ticket{}, func(w *resp.Writer) { w.BulkString("of the old reign") })
		r.e.EndReign()
		r.e.Commit().Require(0)
	})
	if got := waiter.ends(); got != "" {
		t.Fatalf("it was sent: %q", got)
	}
}
