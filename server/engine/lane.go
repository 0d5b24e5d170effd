package engine

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/ticks"
)

// Outcome is what became of an Item.
type Outcome uint8

// Outcomes.
const (
	Pending   Outcome = iota
	Done              // executed or refused; the reply is in Out
	Waiting           // executed, and its client now waits: later items of that client were left out
	Postponed         // not executed: the client waits, CLIENT PAUSE holds it back, or its connection is to be closed
	Elsewhere         // not executed: the client wants the master, which this server is not, or may not write now
)

// Item is one parsed command of a batch.
type Item struct {
	Client  *Client
	Cmd     *command.Cmd // nil when the name is unknown
	Args    [][]byte
	Outcome Outcome
	Untold  bool // not executed, but queued or refused: its reply tells nothing of the data set
	Wrote   bool // changed the data set: its reply is subject to the gate
	// Before orders the reply among the client's pushes; see Owner.Push.
	Before uint64
	// Start and End delimit the reply in the lane's Out.
	Start, End int
	// Mark belongs to the caller: where the command lies in its buffer.
	Mark int
}

// Lane executes the batches of one goroutine. It holds that goroutine's counters and reply buffer, so that lanes share
// nothing but the store.
type Lane struct {
	// WhileBusy is called, with the lock held, again and again while a command of this lane goes on for long: its
	// goroutine answers other clients there, through a stand-in.
	WhileBusy func()
	// Out holds the replies of the last Run; the caller resets it.
	Out *resp.Writer

	e      *Engine
	ctx    command.Ctx
	env    env
	stats  laneStats
	door   door
	st     State // read at the start of the hold
	held   *Client
	keys   [][]byte // of warm
	elems  [][]byte // of warmElements
	warmed uint32
	entry  Ticket // as of the latest look
	ticket Ticket // under which this Run first wrote
	first  Ticket // of this Run's first hold
	due    Due    // see Lane.Due
	dueOn  bool

	gateOpen  bool
	rivals    bool // see Rivals
	exclusive bool // the hold has the lock to itself
	inExec    bool
	tracked   bool          // latency-tracking
	counted   bool          // the running command's error was counted with an inner command
	busy      bool          // a long command lets this hold in
	standIn   bool          // see NewStandIn
	making    *making       // of the command that is executed anew, or has just gone on in a stream
	mayMake   bool          // commands of the stream may go on
	nested    time.Duration // what inner commands of the running one took
	applying  bool          // the commands come from the master
	mono      time.Duration // monotonic time of the latest reading, since the engine's start
	wallBase  int64         // unix nanoseconds at monoBase
	monoBase  time.Duration
	ticks     ticks.Clock
	ticksAt   time.Duration // monotonic time from which ticks counts
}

type laneList struct {
	mu  sync.Mutex
	all []*Lane
}

// NewLane makes a lane for the calling goroutine.
func (e *Engine) NewLane() *Lane {
	l := &Lane{e: e, Out: resp.NewWriter(make([]byte, 0, 16<<10)), ticks: ticks.New()}
	l.ctx.Out = l.Out
	l.env = env{e, l}
	l.ctx.Env = &l.env
	l.ctx.Conf = &e.Conf
	l.ctx.Store = e.store
	l.ctx.Seed(rand.Uint64())
	l.stats.commands = make([]CommandStats, len(e.Table.All()))
	l.stats.latency = make([]*Histogram, len(e.Table.All()))
	e.lanes.mu.Lock()
	e.lanes.all = append(e.lanes.all, l)
	e.lanes.mu.Unlock()
	return l
}

// Run executes items in order, in as many holds of the lock as it takes. Items of one client must be adjacent.
func (l *Lane) Run(items []Item) {
	l.ticket, l.held = Ticket{}, nil
	l.first, l.dueOn = Ticket{}, false
	for len(items) > 0 {
		n := l.hold(items)
		items = items[n:]
		if l.e.store.Hinted() {
			l.e.expireMet(l)
		}
	}
	l.e.wake()
}

// MayLeave reports whether the replies of items that wrote in the last Run may be sent now (rule 2 of the fencing
// protocol). When it answers false their connections must be closed without a byte of reply.
func (l *Lane) MayLeave() bool { return l.e.gate.MayLeave(l.ticket) }

// Ticket is the gate's ticket of the last Run's writes, for replies that leave later than at once.
func (l *Lane) Ticket() Ticket { return l.ticket }

// hold executes a first part of items under one hold of the lock and returns how many it did.
func (l *Lane) hold(items []Item) int {
	items = items[:min(len(items), holdCommands)]
	shared := !l.e.Is(monitored) // what is shown comes in the order of execution
	for i := 0; shared && i < len(items); i++ {
		cmd := items[i].Cmd
		shared = cmd != nil && cmd.IsReadOnly()
	}
	switch {
	case l.standIn:
		l.exclusive = true
	case shared && !l.e.tracking.crowded.Load() && l.e.lockToRead():
		l.exclusive = false
		defer l.e.mu.RUnlock()
	default:
		l.e.lockAnyhow()
		l.exclusive = true
		defer l.e.mu.Unlock()
	}
	return l.execute(items)
}

func (l *Lane) execute(items []Item) int {
	l.enter()
	if l.exclusive && l.e.tracking.crowded.Load() {
		l.limitTracking()
	}
	if l.first.epoch == 0 {
		l.first = l.entry
	}
	if len(items) >= warmFrom {
		l.warm(items)
	}
	end := l.monoBase + holdTime
	n := 0
	for n < len(items) {
		it := &items[n]
		n++
		l.one(it)
		if l.mono > end {
			break
		}
	}
	l.leave(items[:n])
	return n
}

// warmFrom is the size of a batch from which it pays to fetch the keys' memory together.
const warmFrom = 4

// warm fetches the memory of the first keys of items. It looks at the database in which the client is now: a SELECT in
// the batch only makes it useless.
func (l *Lane) warm(items []Item) {
	keys, db, from := l.keys[:0], -1, 0
	for i := range items {
		it := &items[i]
		if it.Cmd == nil || it.Cmd.FirstKey() >= len(it.Args) || it.Cmd.FirstKey() == 0 {
			continue
		}
		if it.Client.DB != db {
			if len(keys) > 0 {
				l.warmed += l.e.store.DB(db).Warm(keys)
			}
			keys, db = keys[:0], it.Client.DB
		}
		if key := it.Args[it.Cmd.FirstKey()]; len(keys) == 0 || string(key) != string(keys[len(keys)-1]) {
			l.warmElements(items[from:i])
			keys, from = append(keys, key), i
		}
	}
	l.warmElements(items[from:])
	if len(keys) > 0 {
		l.warmed += l.e.store.DB(db).Warm(keys)
	}
	clear(keys)
	l.keys = keys[:0]
}

// warmElements fetches the memory of the elements that a run of commands of one key names.
func (l *Lane) warmElements(run []Item) {
	if len(run) < warmFrom || run[0].Cmd == nil || run[0].Cmd.FirstElement() == 0 || len(run[0].Args) <= run[0].Cmd.FirstKey() {
		return
	}
	elems, first := l.elems[:0], &run[0]
	for i := range run {
		if it := &run[i]; it.Cmd != nil && it.Cmd.FirstElement() > 0 && it.Cmd.FirstElement() < len(it.Args) {
			elems = append(elems, it.Args[it.Cmd.FirstElement()])
		}
	}
	l.warmed += l.e.store.DB(first.Client.DB).WarmElements(first.Args[first.Cmd.FirstKey()], elems)
	clear(elems)
	l.elems = elems[:0]
}

// enter reads once per hold what may not change during it.
func (l *Lane) enter() {
	e := l.e
	before := l.ticks.Begin()
	now := time.Now()
	l.wallBase, l.monoBase = now.UnixNano(), now.Sub(e.start)
	l.mono, l.ticksAt = l.monoBase, l.monoBase
	l.ticks.Set(before, l.monoBase)
	l.look()
	e.store.Tick(l.wallBase / 1e6)
}

// look reads the state that the commands of a hold meet. Nothing may be pending in the door.
func (l *Lane) look() {
	e := l.e
	l.st = e.State()
	l.rivals = e.store.Cuts() > 0
	l.tracked = !e.stats.untracked.Load()
	l.ctx.ReplyLimit = e.stats.replyLimit.Load()
	l.entry, l.gateOpen = e.gate.enter()
	if !l.gateOpen && l.st&Replica == 0 && e.commit.need.Load() != 0 {
		l.st |= unfit
	}
	l.busy = e.busy.on.Load()
	l.ctx.Replica = l.st&Replica != 0
	l.ctx.WritableReplica = l.st&(Replica|ReadOnly) == Replica
	l.door.begin(e, l.st)
	l.ctx.Unheard = l.door.wanted == 0 || l.applying
	if e.memory.limit.Load() > 0 {
		l.st |= e.memory.judge(l)
	}
}

// leave hands the effects to the log and tells the clients that wrote where they end.
func (l *Lane) leave(items []Item) {
	l.flushAll()
	if l.exclusive {
		l.e.settleTracking()
	}
	for i := range items {
		if items[i].Wrote {
			items[i].Client.wroteUpTo(l.e.Log)
		}
	}
	l.noteDue()
}

// one executes an item, unless its client has come to wait.
func (l *Lane) one(it *Item) {
	c := it.Client
	it.Start = l.Out.Len()
	switch {
	case c.waiter.Load() != nil || l.held == c || c.Has(CloseAfter):
		it.Outcome = Postponed
	case c.Has(WantsMaster) && !l.masterFor(c, it.Cmd):
		l.held, it.Outcome = c, Elsewhere
	default:
		l.held = nil
		l.Out.SetProto(c.Proto)
		if !c.receives.Load() {
			it.Outcome = l.dispatch(c, it)
			break
		}
		it.Before = c.ran.Add(1) - 1
		it.Outcome = l.dispatch(c, it)
		c.ran.Add(1)
	}
	it.End = l.Out.Len()
}

// clock reads the time once per command, after it, and returns what the command took: the end of one is the start of
// the next.
func (l *Lane) clock() (took time.Duration) {
	var m time.Duration
	if d, ok := l.ticks.Since(); ok {
		m = l.ticksAt + d
	} else {
		m = l.readClock()
	}
	took = max(m-l.mono, 0) // the two clocks differ by what a reading takes
	l.mono += took
	return took
}

// readClock asks the system, and lets the processor's counter go on from there.
func (l *Lane) readClock() time.Duration {
	before := l.ticks.Begin()
	l.ticksAt = time.Since(l.e.start)
	l.ticks.Set(before, l.ticksAt)
	return l.ticksAt
}

// nowMS is the wall clock in unix milliseconds, as of the latest reading.
func (l *Lane) nowMS() int64 { return (l.wallBase + int64(l.mono-l.monoBase)) / 1e6 }
