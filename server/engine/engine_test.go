package engine

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// bench is an engine with a log that somebody reads, and one lane.
type bench struct {
	t    testing.TB
	e    *Engine
	lane *Lane
	log  *oplog.Cursor
	nums int64
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t}
	log := oplog.New(oplog.Options{})
	log.CreateBacklog()
	b.e = New(Options{Store: store.New(store.Options{}), Log: log, Table: command.NewTable()})
	b.lane = b.e.NewLane()
	cursor, err := log.Replica(log.Offset())
	if err != nil {
		t.Fatal(err)
	}
	b.log = cursor
	for name, h := range map[string]command.Handler{
		"select": func(c *command.Ctx) {
			n, _ := resp.ParseInt(c.Args[1])
			Of(c).DB = int(n)
			c.Out.OK()
		},
		"ping": func(c *command.Ctx) { c.Out.Simple("PONG") },
		"wait": func(c *command.Ctx) { // waits for ever, or 50 ms when asked
			d := time.Duration(0)
			if string(c.Args[2]) != "0" {
				d = 50 * time.Millisecond
			}
			if !b.e.CanBlock(c) {
				c.Out.Int(-1)
				return
			}
			b.e.Block(Of(c), "wait", d, func(w *resp.Writer) { w.Int(-2) }, nil)
		},
	} {
		b.e.Table.Attach(name, h)
	}
	return b
}

// fakeOwner is a connection that keeps what it is given.
type fakeOwner struct {
	mu        sync.Mutex
	delivered []string
	killed    string
}

func (o *fakeOwner) Post(fn func())      { fn() }
func (o *fakeOwner) Push(uint64, []byte) {}
func (o *fakeOwner) Deliver(_ Ticket, write func(w *resp.Writer)) {
	w := resp.NewWriter(nil)
	write(w)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.delivered = append(o.delivered, string(w.Bytes()))
}
func (o *fakeOwner) got() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.delivered, "")
}
func (o *fakeOwner) Kill(why string)               { o.killed = why }
func (o *fakeOwner) Detach(func(net.Conn, []byte)) {}
func (o *fakeOwner) RemoteAddr() string            { return "peer" }
func (o *fakeOwner) LocalAddr() string             { return "here" }

func (b *bench) client() *Client {
	b.nums++
	return &Client{Num: b.nums, Proto: 2, Owner: &fakeOwner{}}
}

// items parses lines, one command each.
func (b *bench) items(c *Client, lines ...string) []Item {
	var items []Item
	for _, line := range lines {
		var args [][]byte
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		items = append(items, Item{Client: c, Cmd: b.e.Table.Resolve(args), Args: args})
	}
	return items
}

// run executes lines in one batch and returns the raw replies.
func (b *bench) run(c *Client, lines ...string) string {
	b.t.Helper()
	b.lane.Out.Reset()
	b.lane.Run(b.items(c, lines...))
	return string(b.lane.Out.Bytes())
}

// stream returns, as lines, what was appended to the log since the last call.
func (b *bench) stream() string {
	b.t.Helper()
	var raw []byte
	for {
		pieces, err := b.log.Read(nil, 1<<20)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(pieces) == 0 {
			break
		}
		n := 0
		for _, p := range pieces {
			raw = append(raw, p...)
			n += len(p)
		}
		b.log.Advance(n)
	}
	var lines []string
	var p resp.Parser
	for len(raw) > 0 {
		args, n, err := p.Next(raw, nil)
		if err != nil || n == 0 {
			b.t.Fatalf("the stream is broken at %q: %v", raw, err)
		}
		raw = raw[n:]
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = string(a)
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return strings.Join(lines, "; ")
}

func want(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// awaitThat waits until ok, for far longer than a busy machine takes.
func awaitThat(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

func TestEffectsGoOutOnceAndWhole(t *testing.T) {
	b := newBench(t)
	c := b.client()
	for _, tc := range []struct {
		lines  []string
		stream string
	}{
		{[]string{"SET a 1"}, "SELECT 0; SET a 1"},
		{[]string{"set b 2", "GET a", "INCR a"}, "set b 2; INCR a"},
		{[]string{"DEL nothing", "GET a", "SETNX a 9"}, ""},
		{[]string{"SELECT 3", "SET x 1", "SELECT 0", "SET y 1"}, "SELECT 3; SET x 1; SELECT 0; SET y 1"},
		{[]string{"MULTI", "SET a 1", "SELECT 2", "SET b 2", "SELECT 0", "GET a", "EXEC"}, "MULTI; SET a 1; SELECT 2; SET b 2; EXEC"},
		{[]string{"MULTI", "GET a", "EXEC"}, ""},
		{[]string{"MULTI", "SET one 1", "GET a", "EXEC"}, "SELECT 0; SET one 1"},
		{[]string{"MULTI", "SET never 1", "DISCARD"}, ""},
		{[]string{"MULTI", "SET never 1", "NOSUCH", "EXEC"}, ""},
		{[]string{"SET a"}, ""},
	} {
		b.run(c, tc.lines...)
		if got := b.stream(); got != tc.stream {
			t.Errorf("%s:\n got %s\nwant %s", strings.Join(tc.lines, "; "), got, tc.stream)
		}
	}
	if c.WriteOffset == 0 || c.WriteOffset > b.e.Log.Offset() {
		t.Errorf("WriteOffset %d, log at %d", c.WriteOffset, b.e.Log.Offset())
	}
}

func TestNobodyListensNothingIsCounted(t *testing.T) {
	e := New(Options{Store: store.New(store.Options{}), Log: oplog.New(oplog.Options{}), Table: command.NewTable()})
	l := e.NewLane()
	c := &Client{Proto: 2, Owner: &fakeOwner{}}
	args := [][]byte{[]byte("SET"), []byte("a"), []byte("1")}
	l.Run([]Item{{Client: c, Cmd: e.Table.Resolve(args), Args: args}})
	want(t, string(l.Out.Bytes()), "+OK\r\n")
	if e.Log.Offset() != 0 {
		t.Fatalf("offset %d without a backlog", e.Log.Offset())
	}
}

func TestLazyExpiryIsAnEffectBeforeTheCommand(t *testing.T) {
	b := newBench(t)
	c := b.client()
	b.run(c, "SET a 1 PX 1")
	b.stream()
	time.Sleep(5 * time.Millisecond)
	want(t, b.run(c, "INCR a"), ":1\r\n")
	want(t, b.stream(), "MULTI; DEL a; INCR a; EXEC")
}

// TestReadersExpireWhatTheyMeet, with the cycle switched off, but neither on a replica nor during a pause.
func TestReadersExpireWhatTheyMeet(t *testing.T) {
	b := newBench(t)
	c := b.client()
	b.e.SetActiveExpire(false)
	for _, read := range []string{"GET a", "STRLEN a", "EXISTS a", "TTL a", "OBJECT ENCODING a", "KEYS a", "SCAN 0", "RANDOMKEY"} {
		b.run(c, "SET a 1 PX 1")
		b.stream()
		time.Sleep(3 * time.Millisecond)
		for _, state := range []State{Replica | ReadOnly, pausedWrites} {
			b.e.SetState(state, 0)
			b.run(c, read)
			b.e.SetState(0, state)
			want(t, b.stream(), "")
		}
		b.run(c, read)
		want(t, b.stream(), "DEL a")
		want(t, b.run(c, "DBSIZE"), ":0\r\n")
	}
	b.e.Exclusive(func() {
		if got := b.e.Totals().Expired; got != 8 {
			t.Errorf("expired_keys %d, want 8", got)
		}
	})
	b.run(c, "SET a 1 PX 1")
	b.stream()
	time.Sleep(3 * time.Millisecond)
	want(t, b.run(c, "MULTI", "GET a", "EXEC"), "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n")
	want(t, b.stream(), "DEL a") // and no transaction around it
}

// TestWritableReplicaExpiresItsOwnKeys, never its master's, and tells nobody.
func TestWritableReplicaExpiresItsOwnKeys(t *testing.T) {
	b := newBench(t)
	b.e.SetState(Replica, ReadOnly)
	a := b.e.NewApplier("master")
	defer a.Close()
	a.Apply([][][]byte{{[]byte("SET"), []byte("masters"), []byte("v"), []byte("PX"), []byte("1")}}, nil, nil)
	c := b.client()
	b.run(c, "SELECT 3", "SET own v PX 1", "SET stays v", "SET later v EX 100", "HSET h f v", "PEXPIRE h 1")
	time.Sleep(5 * time.Millisecond)
	b.e.expireOwn()
	want(t, b.stream(), "")
	want(t, b.run(c, "DBSIZE", "SELECT 0", "DBSIZE"), ":2\r\n+OK\r\n:1\r\n")
	b.e.SetState(0, Replica)
	b.e.expireOwn() // a master again: nothing of its own is left to remember
	if len(b.e.own) != 0 {
		t.Errorf("%d keys are remembered by a master", len(b.e.own))
	}
}

func TestExpiryCycle(t *testing.T) {
	b := newBench(t)
	c := b.client()
	for i := range 500 {
		b.run(c, fmt.Sprintf("SET k%d v PX 1", i))
	}
	b.run(c, "SET stays v")
	b.stream()
	b.e.SetState(Replica, 0)
	time.Sleep(5 * time.Millisecond)
	b.e.expireCycle()
	want(t, b.stream(), "") // a replica waits for its master
	b.e.SetState(0, Replica)
	for range 20 {
		b.e.expireCycle()
	}
	got := b.stream()
	if n := strings.Count(got, "DEL k"); n != 500 || strings.Contains(got, "MULTI") {
		t.Fatalf("%d DELs: %.200s", n, got)
	}
	if n := b.e.Store().DB(0).Len(); n != 1 {
		t.Fatalf("%d keys are left", n)
	}
	b.e.Exclusive(func() {
		if got := b.e.Totals().Expired; got != 500 {
			t.Errorf("expired_keys %d", got)
		}
	})
}

func TestWatch(t *testing.T) {
	for _, tc := range []struct {
		name, before, other string
		broken              bool
	}{
		{"nothing happens", "SET k 1", "GET k", false},
		{"another key", "SET k 1", "SET j 1", false},
		{"a write", "SET k 1", "SET k 1", true},
		{"a failed write", "SET k 1", "SETNX k 2", false},
		{"deletion", "SET k 1", "DEL k", true},
		{"creation", "DEL k", "SET k 1", true},
		{"flush of a present key", "SET k 1", "FLUSHALL", true},
		{"flush without the key", "DEL k", "FLUSHALL", false},
		{"swap with an empty database", "SET k 1", "SWAPDB 0 5", true},
		{"swap without the key", "DEL k", "SWAPDB 0 5", false},
		{"rename", "SET k 1", "RENAME k z", true},
		{"expiry set", "SET k 1", "EXPIRE k 100", true},
	} {
		b := newBench(t)
		c, other := b.client(), b.client()
		b.run(c, tc.before, "WATCH k", "MULTI", "PING")
		b.run(other, tc.other)
		answer := "*1\r\n+PONG\r\n"
		if tc.broken {
			answer = "*-1\r\n"
		}
		if got := b.run(c, "EXEC"); got != answer {
			t.Errorf("%s: EXEC answers %q, want %q", tc.name, got, answer)
		}
		if !c.Bare() || len(b.e.watched[0]) != 0 {
			t.Errorf("%s: watches are left after EXEC", tc.name)
		}
	}
}

// TestWatchedOnce: a key that a client names again is watched once, whether it is looked for among the client's keys or among those
// who watch it; the same name in another database is another key.
func TestWatchedOnce(t *testing.T) {
	b := newBench(t)
	few, many := b.client(), b.client()
	b.run(few, "WATCH k") // has fewer keys than the second has, and k more watchers than it has keys
	b.run(many, "WATCH a b k c a", "WATCH k k")
	b.run(b.client(), "WATCH k")
	b.run(few, "WATCH k", "SELECT 1", "WATCH k k")
	b.run(many, "SELECT 1", "WATCH k")
	for db, want := range []map[string]int{{"a": 1, "b": 1, "c": 1, "k": 3}, {"k": 2}} {
		for key, n := range want {
			if got := len(b.e.watched[db][key]); got != n {
				t.Errorf("database %d: %s is watched %d times, by %d clients", db, key, got, n)
			}
		}
	}
	if len(few.watches) != 2 || len(many.watches) != 5 {
		t.Errorf("the clients watch %d and %d keys, not 2 and 5", len(few.watches), len(many.watches))
	}
	b.run(few, "UNWATCH")
	if got := len(b.e.watched[0]["k"]) + len(b.e.watched[1]["k"]); got != 3 {
		t.Errorf("%d watches are left of two other clients", got)
	}
}

// TestExpireEffort leaves few expired keys among many others: the less effort, the more of them stay.
func TestExpireEffort(t *testing.T) {
	const keys, every = 20_000, 50
	left := func(effort int64) int {
		b := newBench(t)
		c := b.client()
		b.e.SetActiveExpire(false)
		for i := range keys {
			b.run(c, fmt.Sprintf("SET key:%d v PX %d", i, 1+3_600_000*min(i%every, 1)))
		}
		time.Sleep(3 * time.Millisecond)
		b.e.SetExpireEffort(effort)
		for whole := 0; whole < 5; {
			before := b.e.expiry.capped
			if b.e.expireCycle(); b.e.expiry.capped == before { // otherwise the clock has cut it short
				whole++
			}
		}
		return b.e.store.DB(0).Len() - (keys - keys/every)
	}
	lazy, eager := left(1), left(10)
	if lazy < keys/every/2 || eager > keys/every/20 {
		t.Errorf("of %d expired keys %d are left after 5 cycles at effort 1, %d at effort 10", keys/every, lazy, eager)
	}
}

func TestWatchedKeyThatExpires(t *testing.T) {
	b := newBench(t)
	c := b.client()
	for begun := (time.Time{}); time.Since(begun) > 20*time.Millisecond; { // it must be there when it is watched
		begun = time.Now()
		b.run(c, "DISCARD", "SET k 1 PX 50", "WATCH k", "MULTI", "PING")
	}
	time.Sleep(60 * time.Millisecond)
	want(t, b.run(c, "EXEC"), "*-1\r\n")
	b.run(c, "WATCH k", "MULTI", "PING") // gone already: that it is deleted later is no change
	want(t, b.run(c, "EXEC"), "*1\r\n+PONG\r\n")
}

func TestRefusalsInRedisOrder(t *testing.T) {
	for _, tc := range []struct {
		name  string
		state State
		line  string
		want  string
	}{
		{"read-only replica", Replica | ReadOnly, "SET a 1", "-READONLY You can't write against a read only replica.\r\n"},
		{"read-only replica reads", Replica | ReadOnly, "GET a", "$-1\r\n"},
		{"writable replica", Replica, "SET a 1", "+OK\r\n"},
		{"stale", Replica | LinkDown, "GET a", errMasterDown + "\r\n"},
		{"stale but served", Replica | LinkDown | ServeStale, "GET a", "$-1\r\n"},
		{"stale-safe command", Replica | LinkDown, "SELECT 0", "+OK\r\n"},
		{"loading", Loading, "GET a", errLoading + "\r\n"},
		{"loading-safe command", Loading, "SELECT 0", "+OK\r\n"},
		{"loads beside", AsyncLoading, "GET a", "$-1\r\n"},
		{"too few replicas", TooFewGood, "SET a 1", errNoReplicas + "\r\n"},
		{"too few replicas, read", TooFewGood, "GET a", "$-1\r\n"},
		{"disk", DiskError, "SET a 1", errMisconf + "\r\n"},
		{"disk, ping", DiskError, "PING", errMisconf + "\r\n"},
		{"disk of a replica", DiskError | Replica, "PING", "+PONG\r\n"},
		{"parked", Parked, "SET a 1", errParked + "\r\n"},
		{"parked, read", Parked, "GET a", "$-1\r\n"},
		{"memory before disk", OutOfMemory | DiskError, "SET a 1", errOOM + "\r\n"},
		{"memory, no growth", OutOfMemory, "DEL a", ":0\r\n"},
	} {
		b := newBench(t)
		b.e.SetState(tc.state, ^tc.state)
		if got := b.run(b.client(), tc.line); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestExecIsRefusedForWhatItHolds(t *testing.T) {
	b := newBench(t)
	c := b.client()
	b.run(c, "MULTI", "SET a 1")
	b.e.SetState(Replica|ReadOnly, 0)
	want(t, b.run(c, "EXEC"), "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n")
	b.run(c, "MULTI", "GET a")
	want(t, b.run(c, "EXEC"), "*1\r\n$-1\r\n")
}

func TestPauseHoldsBackAndKeepsOrder(t *testing.T) {
	b := newBench(t)
	c, reader := b.client(), b.client()
	woken := make(chan struct{}, 1)
	b.e.OnUnpause(func() { woken <- struct{}{} })
	b.e.Pause(PauseWrites, time.Minute)
	items := b.items(c, "GET a", "SET a 1", "GET a")
	b.lane.Run(items)
	for i, o := range []Outcome{Done, Postponed, Postponed} {
		if items[i].Outcome != o {
			t.Fatalf("command %d: outcome %d, want %d", i, items[i].Outcome, o)
		}
	}
	want(t, b.run(reader, "GET a"), "$-1\r\n")
	b.e.Pause(PauseAll, 10*time.Millisecond) // harder, and not shorter
	other := b.items(reader, "GET a")
	b.lane.Run(other)
	if other[0].Outcome != Postponed {
		t.Fatal("PauseAll lets a read through")
	}
	if _, until, on := b.e.Paused(); !on || time.Until(until) < 50*time.Second {
		t.Fatalf("the second pause shortened the first: on %v, until %v", on, until)
	}
	b.e.Unpause()
	<-woken
	want(t, b.run(c, "SET a 1", "GET a"), "+OK\r\n$1\r\n1\r\n")
	b.e.Pause(PauseWrites, 5*time.Millisecond)
	<-woken // it ends by itself
}

func TestBlockedClientIsClaimedOnce(t *testing.T) {
	b := newBench(t)
	c := b.client()
	owner := c.Owner.(*fakeOwner)
	items := b.items(c, "WAIT 1 0", "GET a")
	b.lane.Run(items)
	if items[0].Outcome != Waiting || items[1].Outcome != Postponed {
		t.Fatalf("outcomes %d %d", items[0].Outcome, items[1].Outcome)
	}
	w := c.waiter.Load()
	b.e.Exclusive(func() {
		if !w.Wake(func(out *resp.Writer) { out.Int(7) }) {
			t.Error("the first claim failed")
		}
		if w.Wake(func(out *resp.Writer) { out.Int(8) }) {
			t.Error("a second claim succeeded")
		}
	})
	want(t, owner.got(), ":7\r\n")
	// One whose connection went cannot be claimed.
	b.lane.Run(b.items(c, "WAIT 1 0"))
	w = c.waiter.Load()
	b.e.Exclusive(func() {
		b.e.Forget(c)
		if w.Wake(func(out *resp.Writer) { out.Int(9) }) {
			t.Error("a client that is gone was claimed")
		}
	})
	// One whose time is up gets the timeout's answer.
	b.lane.Run(b.items(c, "WAIT 1 50"))
	awaitThat(t, "the timeout", func() bool { return owner.got() != ":7\r\n" })
	want(t, owner.got(), ":7\r\n:-2\r\n")
	want(t, b.run(c, "MULTI", "WAIT 1 0", "EXEC"), "+OK\r\n+QUEUED\r\n*1\r\n:-1\r\n")
}

// A command may bring the first reader of the log, or a new role: what follows in the same batch obeys it.
func TestRestOfTheBatchObeysWhatACommandChanged(t *testing.T) {
	log := oplog.New(oplog.Options{})
	e := New(Options{Store: store.New(store.Options{}), Log: log, Table: command.NewTable()})
	e.Table.Attach("psync", func(c *command.Ctx) { log.CreateBacklog(); c.Out.OK() })
	e.Table.Attach("replicaof", func(c *command.Ctx) { e.SetState(Replica|ReadOnly, 0); c.Out.OK() })
	b := &bench{t: t, e: e, lane: e.NewLane()}
	c := b.client()
	want(t, b.run(c, "SET a 1", "PSYNC ? -1", "SET b 1", "REPLICAOF host 1", "SET c 1"), "+OK\r\n+OK\r\n+OK\r\n+OK\r\n-READONLY You can't write against a read only replica.\r\n")
	var err error
	if b.log, err = log.Replica(0); err != nil {
		t.Fatal(err)
	}
	want(t, b.stream(), "SELECT 0; SET b 1")
}

func TestStatsAddUp(t *testing.T) {
	b := newBench(t)
	c := b.client()
	b.run(c, "SET a 1", "GET a", "GET b", "NOSUCH", "INCR a b", "HSET a f v")
	var got []string
	b.e.Exclusive(func() {
		b.e.Commands(func(cmd *command.Cmd, s CommandStats) {
			got = append(got, fmt.Sprintf("%s %d/%d/%d", cmd.FullName, s.Calls, s.Rejected, s.Failed))
		})
		b.e.Errors(func(code string, n int64) { got = append(got, fmt.Sprintf("%s %d", code, n)) })
		tot := b.e.Totals()
		got = append(got, fmt.Sprintf("hits %d misses %d errors %d changes %d", tot.Hits, tot.Misses, tot.Errors, tot.Changes))
	})
	text := strings.Join(got, "; ")
	for _, part := range []string{"get 2/0/0", "set 1/0/0", "incr 0/1/0", "hset 1/0/1", "ERR 2", "WRONGTYPE 1", "hits 1 misses 1 errors 3 changes 1"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in %s", part, text)
		}
	}
	b.e.Exclusive(func() {
		b.e.ResetStats()
		if tot := b.e.Totals(); tot.Commands != 0 || tot.Hits != 0 || tot.Errors != 0 {
			t.Errorf("after RESETSTAT: %+v", tot)
		}
	})
}

func TestGetAndSetAllocateNothing(t *testing.T) {
	b := newBench(t)
	c := b.client()
	items := b.items(c, "SET key value", "GET key")
	b.lane.Run(items)
	if n := testing.AllocsPerRun(200, func() {
		b.lane.Out.Reset()
		for i := range items {
			items[i].Outcome = Pending
		}
		b.lane.Run(items)
	}); n > 0 {
		t.Errorf("%v allocations for a SET and a GET", n)
	}
}
