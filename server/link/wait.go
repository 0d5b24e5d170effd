package link

import (
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/resp"
)

// waiting is a client in WAIT. It is guarded by Node.mu; the engine's Waiter decides who answers it.
type waiting struct {
	w      *engine.Waiter
	offset int64
	need   int64
}

// wait is WAIT numreplicas timeout.
func (n *Node) wait(ctx *command.Ctx) {
	need, ok := resp.ParseInt(ctx.Args[1])
	ms, ok2 := resp.ParseInt(ctx.Args[2])
	switch {
	case ctx.Replica:
		ctx.Out.Error("WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.")
		return
	case !ok:
		ctx.Out.Error("value is not an integer or out of range")
		return
	case !ok2:
		ctx.Out.Error("timeout is not an integer or out of range")
		return
	case ms < 0:
		ctx.Out.Error("timeout is negative")
		return
	}
	c := engine.Of(ctx)
	if c == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	have := n.ackedBy(c.WriteOffset)
	if have >= need || !n.e.CanBlock(ctx) {
		ctx.Out.Int(have)
		return
	}
	x := &waiting{offset: c.WriteOffset, need: need}
	x.w = n.e.Block(c, "wait", time.Duration(ms)*time.Millisecond,
		func(w *resp.Writer) { w.Int(n.count(x.offset)) },
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

// ackedBy counts the replicas that acknowledged offset. Node.mu must be held.
func (n *Node) ackedBy(offset int64) (count int64) {
	for p := range n.peers {
		if acked, _ := p.m.Acked(); p.m.State() == repl.PeerOnline && acked >= offset {
			count++
		}
	}
	return count
}

func (n *Node) count(offset int64) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ackedBy(offset)
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
		for x := range n.waitList {
			have := n.ackedBy(x.offset)
			if have < x.need {
				continue
			}
			n.forget(x)
			x.w.Wake(func(w *resp.Writer) { w.Int(have) })
		}
	})
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
