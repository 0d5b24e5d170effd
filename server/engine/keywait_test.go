package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// take makes UNLINK "unlink timeout key...": it takes the first list among keys away, or
// waits for one.
func (b *bench) take() {
	grab := func(c *command.Ctx, key []byte) bool {
		e, ok := c.LookupWrite(key)
		if !ok || e.Kind() != store.ListKind {
			return false
		}
		l := e.List()
		c.Out.Bulk(l.At(0).Append(nil))
		c.DB.Delete(key)
		c.Dirty(1)
		c.Modified(key)
		c.Propagate([]byte("DEL"), key)
		return true
	}
	b.e.Table.Wrap("unlink", func(command.Handler) command.Handler {
		return func(c *command.Ctx) {
			ms, _ := resp.ParseInt(c.Args[1])
			for _, key := range c.Args[2:] {
				if grab(c, key) {
					return
				}
			}
			if !c.Block(command.Wait{
				Keys: c.Args[2:], Kind: "test", Timeout: ms, Serve: grab, Expired: func(w *resp.Writer) { w.NullArray() },
			}) {
				c.Out.NullArray()
			}
		}
	})
}

func TestBlockedClientsAreServedInOrderOfArrival(t *testing.T) {
	b := newBench(t)
	b.take()
	first, second, third, pusher := b.client(), b.client(), b.client(), b.client()
	for _, c := range []*Client{first, second, third} {
		want(t, b.run(c, "unlink 0 k k other", "ping"), "")
	}
	if got := b.e.Totals().Blocked; got != 3 {
		t.Fatalf("%d clients are blocked, want 3", got)
	}
	want(t, b.run(pusher, "rpush k 1", "rpush k 2"), ":1\r\n:1\r\n")
	want(t, first.Owner.(*fakeOwner).got(), "$1\r\n1\r\n")
	want(t, second.Owner.(*fakeOwner).got(), "$1\r\n2\r\n")
	want(t, b.stream(), "SELECT 0; rpush k 1; DEL k; rpush k 2; DEL k")

	// A transaction serves at its end, and the third stands in two queues: it gets one thing only.
	b.run(pusher, "multi", "rpush other 3", "rpush k 4", "exec")
	want(t, third.Owner.(*fakeOwner).got(), "$1\r\n3\r\n")
	want(t, b.stream(), "MULTI; rpush other 3; rpush k 4; EXEC; DEL other")
	if n := len(b.e.waits.queues[0]); n != 0 {
		t.Errorf("%d queues are left", n)
	}
}

func TestBlockedClientsAreServedByEveryWayAKeyComes(t *testing.T) {
	b := newBench(t)
	b.take()
	for _, way := range [][]string{
		{"rpush x 1", "rename x k"}, {"rpush x 1", "copy x k"}, {"select 1", "rpush k 1", "move k 0", "select 0"},
		{"select 1", "rpush k 1", "swapdb 0 1", "select 0"}, {"multi", "rpush k 2", "del k", "rpush k 1", "exec"},
	} {
		c, pusher := b.client(), b.client()
		want(t, b.run(c, "unlink 0 k"), "")
		b.run(pusher, way...)
		want(t, c.Owner.(*fakeOwner).got(), "$1\r\n1\r\n")
		b.run(pusher, "flushall")
	}
}

func TestWhoIsGoneSwallowsNothing(t *testing.T) {
	b := newBench(t)
	b.take()
	gone, timed, killed, unblocked, last := b.client(), b.client(), b.client(), b.client(), b.client()
	b.run(gone, "unlink 0 k")
	b.run(timed, "unlink 1 k")
	b.run(killed, "unlink 0 k")
	b.run(unblocked, "unlink 0 k")
	b.run(last, "unlink 0 k")
	b.e.Exclusive(func() {
		b.e.Forget(gone)
		b.e.Abandon(killed)
		b.e.Unblock(unblocked, "-UNBLOCKED now")
	})
	awaitThat(t, "the timeout", func() bool { return timed.Owner.(*fakeOwner).got() != "" })
	want(t, timed.Owner.(*fakeOwner).got(), "*-1\r\n")
	b.run(b.client(), "rpush k v")
	want(t, unblocked.Owner.(*fakeOwner).got(), "-UNBLOCKED now\r\n")
	want(t, gone.Owner.(*fakeOwner).got()+killed.Owner.(*fakeOwner).got(), "")
	want(t, last.Owner.(*fakeOwner).got(), "$1\r\nv\r\n")
}

func TestNothingBlocksInATransaction(t *testing.T) {
	b := newBench(t)
	b.take()
	c := b.client()
	got := b.run(c, "multi", "unlink 0 k", "exec")
	if !strings.HasSuffix(got, "*1\r\n*-1\r\n") || c.Blocked() {
		t.Errorf("%q, blocked: %v", got, c.Blocked())
	}
}

func TestTheMastersStreamServes(t *testing.T) {
	b := newBench(t)
	b.take()
	c := b.client()
	b.run(c, "unlink 0 k")
	a := b.e.NewApplier("test")
	a.Apply([][][]byte{{[]byte("RPUSH"), []byte("k"), []byte("v")}}, nil, nil)
	want(t, c.Owner.(*fakeOwner).got(), "$1\r\nv\r\n")
}

func TestRoleChangeDropsTheWaiting(t *testing.T) {
	b := newBench(t)
	b.take()
	c := b.client()
	b.run(c, "unlink 0 k l m")
	b.e.Exclusive(b.e.DropWaiting)
	o := c.Owner.(*fakeOwner)
	if !strings.HasPrefix(o.got(), "-UNBLOCKED force unblock") || o.killed == "" || c.Blocked() {
		t.Errorf("%q, killed: %q", o.got(), o.killed)
	}
}

// requeuing is an owner that takes a command back.
type requeuing struct {
	*fakeOwner
	back string
}

func (o *requeuing) Requeue(cmd []byte) { o.back = string(cmd) }

// TestWhoWantsTheMasterWaitsThere: a taker that waits has taken nothing; its command comes back as it was sent.
func TestWhoWantsTheMasterWaitsThere(t *testing.T) {
	b := newBench(t)
	b.take()
	c := b.client()
	r := &requeuing{fakeOwner: &fakeOwner{}}
	c.Owner = r
	c.Set(WantsMaster)
	b.run(c, "UNLINK 0 k")
	if !c.Blocked() {
		t.Fatal("it does not wait")
	}
	b.e.Exclusive(b.e.DropWaiting)
	if r.back != "*3\r\n$6\r\nUNLINK\r\n$1\r\n0\r\n$1\r\nk\r\n" || r.got() != "" || r.killed != "" || c.Blocked() {
		t.Errorf("came back %q, answered %q, killed %q, blocked %v", r.back, r.got(), r.killed, c.Blocked())
	}
}

func TestServedCommandsStandInTheSlowLogAsTheyWereGiven(t *testing.T) {
	b := newBench(t)
	b.take()
	var told []string
	b.e.OnSlow(0, func(_ *Client, cmd *command.Cmd, args [][]byte, _ time.Duration) {
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = string(a)
		}
		told = append(told, strings.Join(words, " "))
	})
	served, late, pusher := b.client(), b.client(), b.client()
	b.run(served, "unlink 0 k other")
	b.run(late, "unlink 1 nothing")
	b.run(pusher, "rpush k 1")
	awaitThat(t, "the timeout", func() bool { return late.Owner.(*fakeOwner).got() != "" })
	want(t, late.Owner.(*fakeOwner).got(), "*-1\r\n")
	b.e.OnSlow(-1, nil)                                              // takes the lock: told is complete
	want(t, strings.Join(told, "; "), "rpush k 1; unlink 0 k other") // redis-server does not tell of the one whose time was up
}
