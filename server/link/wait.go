package link

import (
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/settings"
)

// waiting is a client in WAIT or WAITAOF. It is guarded by Node.mu; the engine's Waiter decides who answers it.
type waiting struct {
	w      *engine.Waiter
	offset int64
	pos    int64
	need   int64 // replicas
	file   bool  // WAITAOF: what counts is synced in append-only files
	local  int64 // of WAITAOF: 1 when this server's file counts, too
}

// held is how far a write has got.
type held struct{ local, replicas int64 }

func (x *waiting) done(h held) bool { return h.replicas >= x.need && h.local >= x.local }

// reply answers the command that waits.
func (x *waiting) reply(w *resp.Writer, h held) {
	if x.file {
		w.Array(2)
		w.Int(h.local)
	}
	w.Int(h.replicas)
}

const (
	errWaitOnReplica = "WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated."
	errFileOnReplica = "WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated."
	errNoFile        = "WAITAOF cannot be used when numlocal is set but appendonly is disabled."
)

// wait is WAIT numreplicas timeout.
func (n *Node) wait(ctx *command.Ctx) {
	need, ok := resp.ParseInt(ctx.Args[1])
	switch {
	case ctx.Replica:
		ctx.Out.Error(errWaitOnReplica)
		return
	case !ok:
		ctx.Out.Error("value is not an integer or out of range")
		return
	}
	if timeout, ok := waitTimeout(ctx, ctx.Args[2]); ok {
		n.waitFor(ctx, &waiting{need: need}, timeout)
	}
}

// waitAOF is WAITAOF numlocal numreplicas timeout, as Redis has it since 7.2.
func (n *Node) waitAOF(ctx *command.Ctx) {
	local, ok := resp.ParseInt(ctx.Args[1])
	need, ok2 := resp.ParseInt(ctx.Args[2])
	switch {
	case !ok:
		ctx.Out.Error("value is not an integer or out of range")
		return
	case local < 0 || local > 1:
		ctx.Out.Error("value is out of range, value must between 0 and 1")
		return
	case !ok2 || need < 0:
		ctx.Out.Error("value is out of range, must be positive")
		return
	}
	timeout, ok := waitTimeout(ctx, ctx.Args[3])
	switch {
	case !ok:
	case ctx.Replica:
		ctx.Out.Error(errFileOnReplica)
	case local > 0 && !n.s.Bool(settings.AppendOnly):
		ctx.Out.Error(errNoFile)
	default:
		n.waitFor(ctx, &waiting{need: need, file: true, local: local}, timeout)
	}
}

func waitTimeout(ctx *command.Ctx, arg []byte) (d time.Duration, ok bool) {
	ms, ok := resp.ParseInt(arg)
	switch {
	case !ok:
		ctx.Out.Error("timeout is not an integer or out of range")
	case ms < 0:
		ctx.Out.Error("timeout is negative")
		ok = false
	}
	return time.Duration(ms) * time.Millisecond, ok
}

// waitFor answers at once when it can or must, else the client waits.
func (n *Node) waitFor(ctx *command.Ctx, x *waiting, timeout time.Duration) {
	c := engine.Of(ctx)
	if c == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	x.offset, x.pos = c.WriteOffset, c.WritePos
	if h := n.holds(x); x.done(h) || !n.e.CanBlock(ctx) {
		x.reply(ctx.Out, h)
		return
	}
	x.w = n.e.Block(c, "wait", timeout,
		func(w *resp.Writer) {
			n.mu.Lock()
			defer n.mu.Unlock()
			x.reply(w, n.holds(x))
		},
		func() {
			n.mu.Lock()
			n.forget(x)
			n.mu.Unlock()
		})
	n.waitList[x] = struct{}{}
	n.waiters.Add(1)
	n.askAcks()
}

// askAcks puts one GETACK at the end of the stream, unless it ends with one. The engine's lock and Node.mu must be held.
func (n *Node) askAcks() {
	if n.log.Offset() == n.getackEnd {
		return
	}
	n.e.Propagate(-1, oplog.ToReplicas, []byte("REPLCONF"), []byte("GETACK"), []byte("*"))
	n.getackEnd = n.log.Offset()
}

// holds tells how far the write has got that x waits for. Node.mu must be held.
func (n *Node) holds(x *waiting) (h held) {
	if n.e.FileSynced().Pos >= x.pos {
		h.local = 1
	}
	for p := range n.peers {
		offset, _ := p.m.Acked()
		if x.file {
			offset = p.m.HasSynced()
		}
		if p.m.State() == repl.PeerOnline && offset >= x.offset {
			h.replicas++
		}
	}
	return h
}

// forget takes a wait out of the list. Node.mu must be held.
func (n *Node) forget(x *waiting) {
	if _, ok := n.waitList[x]; ok {
		delete(n.waitList, x)
		n.waiters.Add(-1)
	}
}

// acked answers the clients whose wait is over. Nothing may be locked.
func (n *Node) acked() {
	if n.waiters.Load() == 0 {
		return
	}
	n.e.Exclusive(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		file := n.s.Bool(settings.AppendOnly)
		for x := range n.waitList {
			h := n.holds(x)
			switch {
			case x.local > 0 && !file:
				n.forget(x)
				x.w.Wake(func(w *resp.Writer) { w.Error(errNoFile) })
			case x.done(h):
				n.forget(x)
				x.w.Wake(func(w *resp.Writer) { x.reply(w, h) })
			}
		}
	})
}

// fileSynced is told by whoever writes the append-only file, with any lock held: somebody else answers who waits for it.
func (n *Node) fileSynced() {
	if n.waiters.Load() > 0 || n.owed.Load() > 0 {
		n.kick()
	}
}

// tellSynced answers those who wait for this server's append-only file: clients, and the master whose client does.
func (n *Node) tellSynced() {
	n.acked()
	if owed := n.owed.Load(); owed > 0 && n.e.FileSynced().Offset >= owed && n.owed.CompareAndSwap(owed, 0) {
		n.passOn()
	}
}

// giveUpWaiters answers everyone when this server ceases to be a master: what they wait for will not come. The engine's
// lock and Node.mu must be held.
func (n *Node) giveUpWaiters() {
	for x := range n.waitList {
		n.forget(x)
		x.w.Wake(func(w *resp.Writer) {
			w.Error("-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
		})
	}
}
