package link

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
	"github.com/understudy-db/understudy/server/store"
)

func (n *Node) attach() {
	for name, h := range map[string]command.Handler{
		"replicaof": n.replicaof, "slaveof": n.replicaof, "sync": n.sync, "psync": n.sync, "replconf": n.replconf,
		"role": n.role, "wait": n.wait, "waitaof": n.waitAOF, "failover": n.failoverCommand,
	} {
		n.e.Table.Attach(name, h)
	}
}

// replicaof is REPLICAOF and SLAVEOF: an explicit order, which overrides the standalone guard.
func (n *Node) replicaof(ctx *command.Ctx) {
	host, port := string(ctx.Args[1]), string(ctx.Args[2])
	c := engine.Of(ctx)
	switch {
	case n.failing():
		ctx.Out.Error("REPLICAOF not allowed while failing over.")
		return
	case strings.EqualFold(host, "no") && strings.EqualFold(port, "one"):
		if n.o.Managed != nil {
			ctx.Out.Error("-READONLY This server is managed: its role comes from its operator.")
			return
		}
		if n.lead() {
			n.logf(repl.Notice, "MASTER MODE enabled (user request from '"+who(c)+"')")
		}
		ctx.Out.OK()
		return
	case n.o.Managed != nil:
		ctx.Out.Error("-READONLY This server is managed: whom it follows is decided by its operator.")
		return
	case c != nil && c.Has(engine.IsReplica):
		ctx.Out.Error("Command is not valid when client is a replica.")
		return
	}
	number, ok := resp.ParseInt(ctx.Args[2])
	if !ok || number < 0 || number > 65535 {
		ctx.Out.Error("Invalid master port")
		return
	}
	up := settings.Upstream{Host: host, Port: int(number)}
	if n.already(up) {
		ctx.Out.Simple("OK Already connected to specified master")
		return
	}
	n.follow(up, true)
	n.logf(repl.Notice, "REPLICAOF "+host+":"+port+" enabled (user request from '"+who(c)+"')")
	ctx.Out.OK()
}

// already tells whether this server follows up. The order counts all the same when the link is not up: the guard is
// overridden then.
func (n *Node) already(up settings.Upstream) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up == nil || n.up.to.Port != up.Port || !strings.EqualFold(n.up.to.Host, up.Host) {
		return false
	}
	n.logf(repl.Notice, "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed.")
	select {
	case n.up.orders <- struct{}{}:
	default:
	}
	return true
}

func who(c *engine.Client) string {
	if c == nil || c.Owner == nil {
		return "?"
	}
	return "id=" + itoa(c.Num) + " addr=" + c.Owner.RemoteAddr()
}

// sync is SYNC and PSYNC: the connection becomes a replica's.
func (n *Node) sync(ctx *command.Ctx) {
	c := engine.Of(ctx)
	if c == nil || c.Owner == nil || c.Has(engine.IsReplica) {
		return
	}
	id, next, old := "?", int64(-1), true
	if len(ctx.Args) >= 3 {
		old, id = false, string(ctx.Args[1])
		v, ok := resp.ParseInt(ctx.Args[2])
		if !ok {
			n.logf(repl.Warning, "Replica "+c.Owner.RemoteAddr()+" asks for synchronization but with a wrong offset")
			ctx.Out.Error("value is not an integer or out of range")
			return
		}
		next = v
	}
	if len(ctx.Args) == 4 && n.hearOut(ctx, id, next) || len(ctx.Args) > 3 && !n.takeOver(ctx, id) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up != nil && repl.ReplicaState(n.up.state.Load()) != repl.Connected {
		ctx.Out.Error("-NOMASTERLINK Can't SYNC while not connected with my master")
		return
	}
	p := n.peerOf(c)
	if p.banned != "" {
		ctx.Out.Error("-FENCED " + p.banned)
		return
	}
	if n.parked {
		ctx.Out.Error("-NOMASTERLINK This member is parked: it feeds nobody")
		return
	}
	n.noteIDs()
	p.m.Name = p.name()
	n.logf(repl.Notice, "Replica "+p.m.Name+" asks for synchronization")
	if !old {
		refusal := n.log.CanServe(p.m.Name, id, next)
		if refusal == nil {
			n.partialOK.Add(1)
			n.takeSocket(c, p, p.m.Continue(n.now(), n.log.IDs().ID, next-1, n.log.Offset()-next+1))
			n.countGood()
			return
		}
		n.logf(repl.Notice, refusal.Error())
		if id != "?" {
			n.partialErr.Add(1)
		}
	}
	if why := n.refuseFeed(p, id, next); why != "" {
		n.trips.Add(1)
		n.logf(repl.Warning, "Full resync of replica "+p.m.Name+" refused: "+why+". Make that replica the master, send it REPLICAOF to override, or set full-sync-guard to no.")
		ctx.Out.Error("-NOMASTERLINK Full resync refused: " + why)
		return
	}
	n.full.Add(1)
	if n.log.CreateBacklog() {
		n.noteIDs()
		ids := n.log.IDs()
		n.logf(repl.Notice, "Replication backlog created, my new replication IDs are '"+ids.ID+"' and '"+ids.ID2+"'")
	}
	n.takeSocket(c, p, p.m.Full(n.now(), old))
	switch {
	case p.m.Filter().On:
		n.feedPart(p)
	case !n.joinRunning(p):
		n.kick()
	}
}

// refuseFeed asks the master's half of S2; a managed member asks its fencing machine in REPLCONF MEMBER instead.
func (n *Node) refuseFeed(p *peer, id string, next int64) string {
	if n.o.Managed != nil || n.up != nil {
		return ""
	}
	return repl.RefuseFeed(repl.FeedRequest{Guard: n.s.Bool(settings.FullSyncGuard), BornEmpty: n.bornEmpty,
		Persistence: n.persistent(), Explicit: p.m.Explicit(), ID: id, Next: next, Own: n.past})
}

func (n *Node) persistent() bool { return len(n.s.SavePoints()) > 0 }

// takeSocket makes the client's connection the peer's. Node.mu must be held.
func (n *Node) takeSocket(c *engine.Client, p *peer, es []repl.Effect) {
	c.Set(engine.IsReplica)
	n.peers[p] = struct{}{}
	p.act(es)
	c.Owner.Detach(p.serve)
}

// replconf is REPLCONF before SYNC or PSYNC; afterwards the peer reads its connection itself.
func (n *Node) replconf(ctx *command.Ctx) {
	c := engine.Of(ctx)
	if c == nil || c.Owner == nil {
		ctx.Out.OK()
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peerOf(c)
	switch {
	case len(ctx.Args) >= 2 && is(ctx.Args[1], "ACK"):
		return // answers nothing
	case len(ctx.Args) >= 2 && is(ctx.Args[1], "GETACK"):
		return
	case len(ctx.Args) == 3 && is(ctx.Args[1], "MEMBER") && n.o.Managed != nil:
		answer, refusal := n.o.Managed.Admit(string(ctx.Args[2]))
		if refusal != "" {
			p.member, p.banned = false, refusal
			ctx.Out.Error("-FENCED " + refusal)
			return
		}
		p.member, p.banned = true, ""
		ctx.Out.Simple("MEMBER " + answer)
		return
	}
	args := make([]string, 0, len(ctx.Args)-1)
	for _, a := range ctx.Args[1:] {
		args = append(args, string(a))
	}
	if refusal := p.m.Conf(args); refusal != "" {
		ctx.Out.Error("-" + refusal)
		return
	}
	ctx.Out.OK()
}

// role is ROLE.
func (n *Node) role(ctx *command.Ctx) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := ctx.Out
	if u := n.up; u != nil {
		w.Array(5)
		w.BulkString("slave")
		w.BulkString(u.to.Host)
		w.Int(int64(u.to.Port))
		w.BulkString(repl.ReplicaState(u.state.Load()).String())
		offset := int64(-1)
		if n.log.Backlog().Active {
			offset = n.log.Offset()
		}
		w.Int(offset)
		return
	}
	w.Array(3)
	w.BulkString("master")
	w.Int(n.log.Offset())
	mark, online := w.DeferArray(), 0
	for _, p := range n.sortedPeers() {
		if p.m.State() != repl.PeerOnline {
			continue
		}
		online++
		acked, _ := p.m.Acked()
		w.Array(3)
		w.BulkString(p.ip())
		w.BulkString(strconv.Itoa(p.m.Port()))
		w.BulkString(itoa(acked))
	}
	w.SetArrayLen(mark, online)
}

// ChangeID is DEBUG CHANGE-REPL-ID: replicas that reconnect need a full sync. The engine's lock must be held.
func (n *Node) ChangeID() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log.Forget()
	n.noteIDs()
}

// Place is what a file saved now must say about itself; ok is false when the data has no place in a history. The engine's
// lock must be held.
func (n *Node) Place() (m snapshot.Meta, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.log.Backlog().Active {
		return m, false
	}
	m.ReplID, m.ReplOffset = n.log.IDs().ID, n.log.Offset()
	if n.up != nil {
		m.StreamDB = n.up.applier.DB()
	} else if n.parked {
		m.StreamDB = n.streamDB
	} else if db := n.log.Selected(); db != oplog.NoDB {
		m.StreamDB = db
	}
	return m, true
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func newID() string { return oplog.RandomID() }

func bytesReader(p []byte) io.Reader { return bytes.NewReader(p) }

// dataIn is the number of keys in all databases.
func dataIn(s *store.Store) (keys int) {
	for i := range s.Databases() {
		keys += s.DB(i).Len()
	}
	return keys
}
