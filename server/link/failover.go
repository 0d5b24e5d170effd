package link

import (
	"strings"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/settings"
)

type failoverState int

const (
	failoverNone failoverState = iota
	failoverWaiting
	failoverDemoting
)

func (s failoverState) String() string {
	return [...]string{"no-failover", "waiting-for-sync", "failover-in-progress"}[s]
}

// failover is the hand-over that FAILOVER began; guarded by Node.mu.
type failover struct {
	state    failoverState
	any      bool // whichever replica is in sync first
	force    bool
	target   settings.Upstream
	deadline repl.Millis // 0: none
}

// demoting tells whether PSYNC to this master must carry the word FAILOVER.
func (f *failover) demoting(to settings.Upstream) bool {
	return f.state == failoverDemoting && f.target == to
}

// finish ends the hand-over once the target feeds this server. The engine's lock and Node.mu must be held.
func (f *failover) finish(n *Node, to settings.Upstream) {
	if f.demoting(to) {
		*f = failover{}
		n.unpause()
		n.logf(repl.Notice, "Failover target "+to.Host+":"+itoa(int64(to.Port))+" took over")
	}
}

// unpause lets clients go on, after the lock is given up: whoever is woken may want it.
func (n *Node) unpause() { n.work.Go(n.e.Unpause) }

func (n *Node) failing() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failover.state != failoverNone
}

// failoverCommand is FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT ms].
func (n *Node) failoverCommand(ctx *command.Ctx) {
	var f failover
	timeout := int64(0)
	abort, hasTimeout, to := false, false, false
	args := ctx.Args[1:]
	for len(args) > 0 {
		switch {
		case is(args[0], "TO") && len(args) >= 3 && !to:
			port, ok := resp.ParseInt(args[2])
			if !ok || port < 0 || port > 65535 {
				ctx.Out.Error("value is not an integer or out of range")
				return
			}
			to, f.target = true, settings.Upstream{Host: string(args[1]), Port: int(port)}
			args = args[3:]
		case is(args[0], "FORCE") && !f.force:
			f.force, args = true, args[1:]
		case is(args[0], "TIMEOUT") && len(args) >= 2 && !hasTimeout:
			ms, ok := resp.ParseInt(args[1])
			if !ok {
				ctx.Out.Error("value is not an integer or out of range")
				return
			}
			if ms <= 0 {
				ctx.Out.Error("FAILOVER timeout must be greater than 0")
				return
			}
			hasTimeout, timeout, args = true, ms, args[2:]
		case is(args[0], "ABORT") && len(ctx.Args) == 2:
			abort, args = true, nil
		default:
			ctx.Out.Error("syntax error")
			return
		}
	}
	f.any = !to
	if why := n.beginFailover(f, abort, hasTimeout, timeout); why != "" {
		ctx.Out.Error(why)
		return
	}
	ctx.Out.OK()
}

func (n *Node) beginFailover(f failover, abort, hasTimeout bool, timeout int64) (refusal string) {
	if abort {
		return n.abortFailover()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.o.Managed != nil:
		return "FAILOVER: this server is managed, its role comes from its operator."
	case n.failover.state != failoverNone:
		return "FAILOVER already in progress."
	case n.up != nil:
		return "FAILOVER is not valid when server is a replica."
	case len(n.peers) == 0:
		return "FAILOVER requires connected replicas."
	case f.force && (!hasTimeout || f.any):
		return "FAILOVER with force option requires both a timeout and target HOST and IP."
	}
	if !f.any {
		p := n.peerAt(f.target)
		if p == nil {
			return "FAILOVER target HOST and PORT is not a replica."
		}
		if p.m.State() != repl.PeerOnline {
			return "FAILOVER target replica is not online."
		}
	}
	f.state = failoverWaiting
	if timeout > 0 {
		f.deadline = n.now() + timeout
	}
	n.failover = f
	n.logf(repl.Notice, "FAILOVER requested.")
	n.askAcks()
	n.e.PauseLocked(engine.PauseWrites, 365*24*time.Hour)
	n.kick()
	return ""
}

// rejected ends a hand-over that the target does not take: this server is master again.
func (n *Node) rejected(by settings.Upstream) {
	n.e.Exclusive(func() {
		n.mu.Lock()
		ours := n.failover.demoting(by)
		n.mu.Unlock()
		if ours {
			n.logf(repl.Notice, "Failover target rejected psync request")
			n.abortFailover()
		}
	})
}

func (n *Node) abortFailover() (refusal string) {
	n.mu.Lock()
	state := n.failover.state
	n.failover = failover{}
	n.mu.Unlock()
	if state == failoverNone {
		return "No failover in progress."
	}
	n.logf(repl.Notice, "Aborting a failover")
	if state == failoverDemoting {
		n.lead()
	}
	n.unpause()
	return ""
}

// peerAt finds a replica by the address it announced. Node.mu must be held.
func (n *Node) peerAt(at settings.Upstream) *peer {
	for p := range n.peers {
		if p.m.Port() == at.Port && strings.EqualFold(p.ip(), at.Host) {
			return p
		}
	}
	return nil
}

// stepFailover hands over once the target holds everything, or when time is up.
func (n *Node) stepFailover() {
	n.mu.Lock()
	waiting := n.failover.state == failoverWaiting
	n.mu.Unlock()
	if !waiting {
		return
	}
	n.e.Exclusive(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		f := &n.failover
		if f.state != failoverWaiting {
			return
		}
		late := f.deadline != 0 && n.now() >= f.deadline
		p := n.inSync(f)
		switch {
		case p != nil && f.any:
			f.target = settings.Upstream{Host: p.ip(), Port: p.m.Port()}
		case p == nil && late && f.force:
			n.logf(repl.Notice, "Failover to "+f.target.Host+":"+itoa(int64(f.target.Port))+" time out exceeded, failing over.")
		case p == nil && late:
			n.logf(repl.Notice, "Replica never caught up before timeout")
			n.failover = failover{}
			n.unpause()
			return
		case p == nil:
			return
		}
		f.state = failoverDemoting
		n.logf(repl.Notice, "Failover target is synced, failing over.")
		n.followLocked(f.target, true)
	})
}

// inSync is a replica that acknowledged everything, the target if there is one. Node.mu must be held.
func (n *Node) inSync(f *failover) *peer {
	for p := range n.peers {
		if !f.any && p != n.peerAt(f.target) {
			continue
		}
		if acked, _ := p.m.Acked(); p.m.State() == repl.PeerOnline && acked >= n.log.Offset() {
			return p
		}
	}
	return nil
}

// hearWait is how long a replica that shall take over waits for what its master sent before. That is on its way, or waits here to be
// read; one event loop would have met it before PSYNC. Tests that need more set it.
var hearWait = 500 * time.Millisecond

// hearOut lets PSYNC id next FAILOVER wait until what the master sent up to next has been applied: without it the old master
// would be ahead of the new one, and need a full sync. It waits once: who is really behind takes over all the same (FORCE).
// It answers false when there is nothing to wait for.
func (n *Node) hearOut(ctx *command.Ctx, id string, next int64) (waits bool) {
	c := engine.Of(ctx)
	behind := func() bool { return n.log.Offset() < next-1 && n.hears() }
	if n.o.Managed != nil || !ctx.Replica || !strings.EqualFold(id, n.log.IDs().ID) || !n.e.CanBlock(ctx) || !behind() {
		return false
	}
	n.mu.Lock()
	p := n.peerOf(c)
	again := p.heard
	p.heard = true
	n.mu.Unlock()
	if again {
		return false
	}
	w := n.e.BlockAnew(c, "failover", ctx.Args)
	if w == nil {
		return false
	}
	n.work.Go(func() {
		for end := time.Now().Add(hearWait); behind() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		n.e.Exclusive(w.Again)
	})
	return true
}

// hears tells whether a master sends.
func (n *Node) hears() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up != nil && repl.ReplicaState(n.up.state.Load()) == repl.Connected
}

// takeOver handles PSYNC id offset FAILOVER: the master asks this replica to take its place.
func (n *Node) takeOver(ctx *command.Ctx, id string) bool {
	switch {
	case len(ctx.Args) != 4 || !is(ctx.Args[3], "FAILOVER"):
		ctx.Out.Error("syntax error")
	case n.o.Managed != nil:
		ctx.Out.Error("PSYNC FAILOVER: this server is managed, its role comes from its operator.")
	case !ctx.Replica:
		ctx.Out.Error("PSYNC FAILOVER can't be sent to a master.")
	case !strings.EqualFold(id, n.log.IDs().ID):
		ctx.Out.Error("PSYNC FAILOVER replid must match my replid.")
	default:
		n.logf(repl.Warning, "Failover request received for replid "+id+".")
		n.lead()
		return true
	}
	return false
}
