package manage

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// Options of a Driver.
type Options struct {
	Identity member.Identity
	State    State
	Gate     *engine.Gate
	Commit   *engine.Commit // of the replies that wait for voters (S6); nil: none does
	Node     Node
	// History is what the data loaded at start carries; Whole that nothing was lost at the last end.
	History member.History
	Whole   bool
	// DataDir is where the tails of divergent histories are kept (rule 11), with the files of State.FS; "": State.Dir.
	DataDir string
	// Deaths are proofs about earlier processes of this pod, told after every Hello of a leader.
	Deaths []member.Death
	// Password reads the mounted file and answers its content and version; nil: no file.
	Password func() (password, version string, err error)
	// Clock is CLOCK_BOOTTIME; nil: the system's. It must be the gate's.
	Clock func() time.Duration
	Logf  func(format string, args ...any)
	// Mutation is for tests only.
	Mutation fence.Mutation
}

// Driver runs one incarnation's fencing machine.
type Driver struct {
	o     Options
	gate  *engine.Gate
	node  Node
	clock func() time.Duration

	mu        sync.Mutex // never held while an effect is carried out, nor across IO
	m         *fence.Machine
	rising    bool // a promotion's effects are being carried out: the gate must not open before they are done
	history   member.History
	seenEnd   int64         // the end of the stream at an earlier look
	seenAt    time.Duration // and the time just before that look
	offer     *fence.SyncOffer
	roles     uint64 // roles begun: an offer joins only the one that it was made to, offered
	offered   uint64
	catchUp   int64 // offset from which the data is whole; -1: nothing to wait for
	relayed   map[member.Voter]fence.Voucher
	conns     map[*conn]struct{}
	strangers []net.Conn // have not greeted yet, by age
	config    configState
	leaving   bool   // SIGTERM came
	retired   bool   // parked for good: no order is carried out any more
	loads     uint64 // full syncs loaded
	carrying  bool   // an order is being carried out: its answer has not left yet
	lastWord  member.Report
	// divergent names the newest file with a divergent tail.
	divergent string
	primary   atomic.Pointer[string] // what Primary answers
	trips     atomic.Int64           // handshakes refused to keep data (S2)

	tails  tails // the link's goroutine uses it
	orders chan order
	beat   chan struct{}
	poke   chan struct{} // the state changed: look at timers and tell the operators
	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup
}

// configState is what Configure and Rotate have reached.
type configState struct {
	version, bad, auth string
	step               member.Rotation
}

// order is a message with its way back.
type order struct {
	message member.Message
	reply   func(member.Message) error
	fail    func() // end the connection: the order cannot be answered truly
}

// New makes the driver of a process that is parked (S3): the gate is closed from here on.
func New(o Options) (*Driver, error) {
	rec, err := o.State.LoadRecord()
	if err != nil {
		return nil, err
	}
	d := &Driver{o: o, gate: o.Gate, node: o.Node, clock: o.Clock, history: o.History, catchUp: -1,
		relayed: map[member.Voter]fence.Voucher{}, conns: map[*conn]struct{}{},
		orders: make(chan order, 64), beat: make(chan struct{}, 1), poke: make(chan struct{}, 1)}
	if d.clock == nil {
		d.clock = func() time.Duration { return time.Duration(engine.BootTime()) }
	}
	if d.o.Logf == nil {
		d.o.Logf = func(string, ...any) {}
	}
	if d.tails, err = openTails(o.State.FS, cmp.Or(o.DataDir, o.State.Dir)); err != nil {
		return nil, err
	}
	d.divergent = d.tails.last
	d.m = fence.New(fence.Config{ID: o.Identity, Mutation: o.Mutation}, fence.Boot{Record: rec, Whole: o.Whole})
	d.gate.Close()
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d, nil
}

// Start parks the node, or lets a replica whose term was kept rejoin, and begins to work.
func (d *Driver) Start() {
	d.node.Park()
	d.seenAt, d.seenEnd = d.clock(), d.node.Offset()
	d.work.Go(d.runOrders)
	d.work.Go(d.runClock)
	d.work.Go(d.runHeartbeats)
	d.work.Go(d.runReports)
	d.orders <- order{message: nil} // rejoin first
}

// Close ends the driver. The gate is closed: whoever stops managing must not go on writing.
func (d *Driver) Close() {
	d.gate.Close()
	d.stop()
	d.mu.Lock()
	for c := range d.conns {
		c.close()
	}
	d.mu.Unlock()
	d.work.Wait()
}

// runOrders carries out one order after the other.
func (d *Driver) runOrders() {
	for {
		select {
		case <-d.ctx.Done():
			return
		case o := <-d.orders:
			d.carryOut(o)
			d.changed()
		}
	}
}

func (d *Driver) carryOut(o order) {
	if !d.setCarrying(true) {
		if o.reply != nil {
			_ = o.reply(d.refusal(member.RefusedRole, "this process is about to end"))
		}
		return
	}
	defer d.setCarrying(false)
	if m, own := d.ownOrder(o.message); own {
		if err := o.reply(m); err != nil {
			d.o.Logf("answering %s: %v", o.message.Kind(), err)
		}
		return
	}
	d.mu.Lock()
	var effects []fence.Effect
	switch m := o.message.(type) {
	case nil:
		effects = d.m.Rejoin()
	case member.Report:
		effects = d.m.HearPeer(m)
	case member.Promote:
		effects = d.m.TakeOver(d.clock(), m, d.dataLocked(d.m.Whole()))
	default:
		effects = d.m.Handle(d.clock(), m)
		if _, roster := m.(member.TakeRoster); roster {
			d.publish() // before the answer says that the roster is in force
		}
	}
	d.rising = slices.ContainsFunc(effects, has[fence.BecomeMaster])
	if slices.ContainsFunc(effects, has[fence.BecomeParked]) || slices.ContainsFunc(effects, has[fence.BecomeReplica]) {
		d.roles++ // the handshake of a link that is about to end joins nothing any more
	}
	primary := d.m.Primary()
	d.primary.Store(&primary) // first: clients that the effects let go ask for it
	d.mu.Unlock()
	err := d.act(effects, o.reply)
	d.mu.Lock()
	d.rising = d.rising && err != nil // a reign that did not begin whole never writes
	d.publish()
	d.mu.Unlock()
	if err != nil {
		d.o.Logf("order %s stays unanswered: %v", kindOf(o.message), err)
		if o.fail != nil {
			o.fail()
		}
	}
}

func has[E fence.Effect](e fence.Effect) bool {
	_, ok := e.(E)
	return ok
}

// setCarrying is false for a member that takes no order any more.
func (d *Driver) setCarrying(on bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.carrying = on && !d.retired
	return d.carrying == on
}

// Relieved reports whether this member is no master and has said so: no answer is on its way.
func (d *Driver) Relieved() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.m.Role() != member.RoleMaster && !d.carrying
}

func kindOf(m member.Message) member.Kind {
	if m == nil {
		return "rejoin"
	}
	return m.Kind()
}

// act carries effects out in order; an error leaves the rest undone.
func (d *Driver) act(effects []fence.Effect, reply func(member.Message) error) error {
	for _, e := range effects {
		if err := d.effect(e, reply); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) effect(e fence.Effect, reply func(member.Message) error) error {
	switch e := e.(type) {
	case fence.StopWrites:
		d.gate.Close()
	case fence.DropFeeds:
		d.node.DropFeeds()
	case fence.Persist:
		if err := d.o.State.SaveRecord(e.Record); err != nil {
			return fmt.Errorf("the term's record: %w", err)
		}
	case fence.BecomeParked:
		d.node.Park()
	case fence.BecomeReplica:
		d.o.Logf("following %s at %s in term %d", e.Upstream.Name, e.Upstream.Addr, e.Term)
		d.node.Follow(e.Upstream)
	case fence.BecomeMaster:
		d.lead(e)
	case fence.CloseClients:
		d.node.CloseClients()
	case fence.PauseClients:
		d.node.Pause(e.Until - d.clock())
	case fence.ResumeClients:
		d.node.Resume()
	case fence.AnswerAdopted:
		e.Adopted.Data = d.data(e.Adopted.Data.Whole)
		return reply(e.Adopted)
	case fence.Answer:
		if done, ok := e.Message.(member.Done); ok {
			done.Offset = d.node.Offset()
			e.Message = done
		}
		return reply(e.Message)
	case fence.Send:
		d.send(e.Message)
	case fence.Heartbeat:
		d.wantBeat()
	default:
		panic(fmt.Sprintf("manage: no effect %T", e))
	}
	return nil
}

// lead opens a reign. The gate gets a new epoch, still closed: publish opens it once all is done.
func (d *Driver) lead(e fence.BecomeMaster) {
	offset := d.node.Lead(e.ReplID)
	d.mu.Lock()
	d.history = d.history.Reign(e.Term, e.ReplID, offset)
	d.offer, d.catchUp = nil, -1
	d.look()
	d.mu.Unlock()
	d.node.Remember() // or a restart would take the first writes of this reign for the last ones of the reign before (S5)
	d.gate.Grant(0)
	d.o.Logf("master of term %d from offset %d, replication ID %s", e.Term, offset, e.ReplID)
}

// publish gives the engine the write deadline. mu is held.
func (d *Driver) publish() {
	term, until := d.m.Gate()
	if term == 0 || d.rising {
		return // closed by StopWrites, or not yet granted
	}
	if c := d.o.Commit; c != nil { // first: nothing may leave that does not wait for the voters
		k, there := d.m.Synchronous(d.clock())
		have := 0
		if there {
			have = k
		}
		c.Attached(have)
		c.Require(k)
		if k > 0 {
			c.Advance(d.m.Committed())
		}
	}
	d.gate.SetDeadline(int64(until))
}

// look tells the machine how far the stream is. The offset seen now was reached after the time of the
// earlier look, at which the stream was shorter: that time is a safe stamp for it (rule 1). mu is held.
func (d *Driver) look() {
	at := d.clock()
	end := d.node.Offset()
	if end > d.seenEnd {
		d.m.Appended(end, d.seenAt)
	}
	d.seenAt, d.seenEnd = at, end
	if d.catchUp >= 0 && end >= d.catchUp {
		d.catchUp = -1
		d.m.CaughtUp()
	}
}

func (d *Driver) data(whole bool) member.Data {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dataLocked(whole)
}

func (d *Driver) dataLocked(whole bool) member.Data {
	return member.Data{History: d.history, Offset: d.node.Offset(), Whole: whole, Loading: d.node.Loading()}
}

// lease takes a grant at once, from the connection's goroutine.
func (d *Driver) lease(l member.Lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.m.Handle(d.clock(), l)
	d.publish()
}

// runClock does what the machine has to do by itself.
func (d *Driver) runClock() {
	for {
		d.mu.Lock()
		now := d.clock()
		d.look()
		effects := d.m.Tick(now)
		d.publish()
		next := d.m.NextTick()
		d.mu.Unlock()
		for _, e := range effects { // sends, heartbeats and the end of a pause: none waits
			if _, resume := e.(fence.ResumeClients); resume {
				d.work.Go(d.node.Resume)
				continue
			}
			if err := d.effect(e, nil); err != nil {
				d.o.Logf("%v", err)
			}
		}
		wait := 50 * time.Millisecond // offsets move without telling
		if next != fence.Never {
			wait = min(wait, max(next-d.clock(), time.Millisecond))
		}
		select {
		case <-d.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (d *Driver) wantBeat() {
	select {
	case d.beat <- struct{}{}:
	default: // one is waiting for the engine's lock already
	}
}

func (d *Driver) runHeartbeats() {
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-d.beat:
			d.mu.Lock()
			d.look()
			d.mu.Unlock()
			d.node.Heartbeat()
			d.mu.Lock()
			d.look()
			d.mu.Unlock()
		}
	}
}

// changed makes runReports look.
func (d *Driver) changed() {
	select {
	case d.poke <- struct{}{}:
	default:
	}
}

// Changed tells that something of Status changed, or that links came or went.
func (d *Driver) Changed() { d.changed() }

// Leave tells the operators that this member is to end (SIGTERM): a master asks to be relieved.
func (d *Driver) Leave(why string) {
	d.mu.Lock()
	d.leaving = true
	role, term := d.m.Role(), d.m.Term()
	d.mu.Unlock()
	if role == member.RoleMaster {
		d.send(member.Handover{Term: term, Incarnation: d.o.Identity.Incarnation, Why: why})
	}
	d.changed()
}

// History is the lineage of the data set, for the file that is saved.
func (d *Driver) History() member.History {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.history
}

// Divergent names the newest file with writes that only this member had, "" when there is none.
func (d *Driver) Divergent() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.divergent
}

// Role is the present role and whether writes are allowed now.
func (d *Driver) Role() (role member.Role, writable bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.m.Role(), d.m.Role() == member.RoleMaster && d.gate.Open()
}

// Primary is where clients find the master while this member is a replica, "" when it is none or does not know. It takes no
// lock.
func (d *Driver) Primary() string {
	if p := d.primary.Load(); p != nil {
		return *p
	}
	return ""
}

// Ready is readiness: a master that may write, or a replica in sync.
func (d *Driver) Ready() (ok bool, why string) {
	role, writable := d.Role()
	st := d.node.Status()
	switch {
	case role == member.RoleMaster && writable:
		return true, "master"
	case role == member.RoleMaster:
		return false, "master without a right to write: no lease and too few vouchers"
	case role == member.RoleReplica && st.LinkUp && !d.node.Loading():
		return true, "replica in sync"
	case role == member.RoleReplica:
		return false, "replica that is not in sync"
	}
	return false, "parked: no role yet"
}
