package engine

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/oplog"
)

// Commit is how far the stream is held by those who must hold a write before anybody learns of it (invariant S6): so many
// replicas, or voters of a set. While it requires somebody, a reply leaves only when everything that it reflects is held;
// loops keep it until then and serve others meanwhile.
//
//	Lane.Run: [lock] execute, append, ask for acknowledgements [unlock] --> Due
//	loop:     Reached(due)? write it : keep it, to be looked at when OnProgress calls
//	link or manage: an acknowledgement came --> Advance --> OnProgress
//
// Nobody waits inside of it, and while nobody is required a batch pays for one load.
type Commit struct {
	need    atomic.Int64  // how many must hold a write; 0: replies wait for nobody
	upTo    atomic.Int64  // they hold the stream up to here; nowhere before the first word of enough of them
	reign   atomic.Uint64 // changes when the stream ends that upTo counts in
	timeout atomic.Int64
	failed  atomic.Int64 // replies that were not confirmed in time
	put     func(short bool)

	mu   sync.Mutex // of those who change it
	have int
	wake []func(upTo int64)
}

const nowhere = -1

// DefaultCommitTimeout is how long replies wait when nobody says otherwise.
const DefaultCommitTimeout = 2 * time.Second

// Due names what must be held before a reply leaves, and the right under which it may.
type Due struct {
	Offset int64
	Ticket Ticket
	reign  uint64
}

// ErrUnconfirmed is what a client gets whose reply was not confirmed in time. It is no failure: the command was executed.
const ErrUnconfirmed = "-UNCONFIRMED outcome unknown: the command was executed here, but not enough replicas confirmed in time what its reply reflects"

// Commit is what replies wait for.
func (e *Engine) Commit() *Commit { return &e.commit }

func (c *Commit) init(e *Engine) {
	c.upTo.Store(nowhere)
	c.timeout.Store(int64(DefaultCommitTimeout))
	c.put = func(short bool) { e.PutState(TooFewHolders, short) }
}

// OnProgress registers fn to be called, from any goroutine, when more is held than before, and with MaxInt64 when replies
// may have to be looked at for another reason. Call it before clients come.
func (c *Commit) OnProgress(fn func(upTo int64)) {
	c.mu.Lock()
	c.wake = append(c.wake, fn)
	c.mu.Unlock()
}

// Require sets how many must hold a write from here on; 0 lets everything leave that waits.
func (c *Commit) Require(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.need.Swap(int64(n)) != int64(n) {
		c.judge()
		c.tell(math.MaxInt64)
	}
}

// Required is the number given to Require.
func (c *Commit) Required() int { return int(c.need.Load()) }

// Attached tells how many are there to hold a write: with fewer than required none is executed.
func (c *Commit) Attached(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.have != n {
		c.have = n
		c.judge()
	}
}

func (c *Commit) judge() { c.put(int64(c.have) < c.need.Load()) }

// Advance tells that enough hold the stream up to upTo. It never goes back.
func (c *Commit) Advance(upTo int64) {
	if upTo <= c.upTo.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if upTo > c.upTo.Load() {
		c.upTo.Store(upTo)
		c.tell(upTo)
	}
}

// UpTo is the offset up to which the stream is held, negative when nobody has confirmed anything.
func (c *Commit) UpTo() int64 { return c.upTo.Load() }

// Recount forgets what was told, because more are required than before. begin says that nobody was: then everything up to
// here is due. The lock must be held exclusively.
func (e *Engine) Recount(begin bool) {
	c := &e.commit
	c.mu.Lock()
	c.upTo.Store(nowhere)
	c.mu.Unlock()
	if begin {
		e.dataEnd.Store(e.Log.Offset())
	}
}

// SetTimeout sets how long a reply waits.
func (c *Commit) SetTimeout(d time.Duration) {
	c.timeout.Store(int64(d))
	c.mu.Lock()
	c.tell(math.MaxInt64)
	c.mu.Unlock()
}

// Timeout is how long a reply waits.
func (c *Commit) Timeout() time.Duration { return time.Duration(c.timeout.Load()) }

// Fail counts replies that were not confirmed.
func (c *Commit) Fail(replies int) { c.failed.Add(int64(replies)) }

// Failed is the number of replies that were not confirmed.
func (c *Commit) Failed() int64 { return c.failed.Load() }

func (c *Commit) tell(upTo int64) {
	for _, fn := range c.wake {
		fn(upTo)
	}
}

// Reached tells whether what is due is held.
func (c *Commit) Reached(d Due) bool {
	upTo := c.upTo.Load() // before the reign is looked at: a later reign's offsets say nothing about d
	return c.reign.Load() == d.reign && (upTo >= d.Offset || c.need.Load() == 0)
}

// Lost tells that what is due will never be held: the stream that it is a part of has ended here.
func (c *Commit) Lost(d Due) bool { return c.reign.Load() != d.reign }

// Reign names the stream that offsets count in; waits tells whether replies wait for anybody now.
func (c *Commit) Reign() (reign uint64, waits bool) { return c.reign.Load(), c.need.Load() != 0 }

// EndReign says that offsets begin to mean something else: the role changed, or a history ended. What waits is lost. The
// lock must be held exclusively.
func (e *Engine) EndReign() {
	c := &e.commit
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reign.Add(1)
	c.upTo.Store(nowhere)
	e.dataEnd.Store(e.Log.Offset())
	e.asked = nowhere
	c.tell(math.MaxInt64)
}

// Due is what the replies of the last Run wait for; on is false when they wait for nobody. It is not exact: replies of a
// batch wait for all of it.
func (l *Lane) Due() (due Due, on bool) { return l.due, l.dueOn }

// DueOfOthers is Due for something that is about to leave and that another lane has made, which may be in the middle of its
// hold. It takes the lock.
func (e *Engine) DueOfOthers() (due Due, on bool) {
	if e.commit.need.Load() == 0 {
		return due, false
	}
	if !e.Busy() { // else a long command has the lock, maybe this goroutine's: what it does is shown when it is over
		e.rlock()
		defer e.mu.RUnlock()
	}
	ticket, _ := e.gate.enter()
	return Due{Offset: e.dataEnd.Load(), Ticket: ticket, reign: e.commit.reign.Load()}, true
}

// noteDue ends a hold: what it showed is due. The first hold of a Run says under which right it began.
func (l *Lane) noteDue() {
	e := l.e
	if e.commit.need.Load() == 0 {
		return
	}
	if !l.dueOn {
		l.dueOn = true
		l.due = Due{Ticket: l.first, reign: e.commit.reign.Load()}
	}
	l.due.Offset = e.dataEnd.Load()
	if l.exclusive && !l.standIn {
		e.askHolders()
	}
}

// askHolders asks every replica, whatever server that is, to acknowledge at once what was just appended. The lock must be
// held exclusively.
func (e *Engine) askHolders() {
	end := e.dataEnd.Load()
	if e.commit.need.Load() == 0 || end == e.asked {
		return
	}
	e.asked = end
	e.Log.Append(getackBytes, oplog.ToReplicas)
}

var getackBytes = []byte("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n")

// Reflects reports whether the reply of a command can tell of the data set, so that it has to wait for what it tells of.
func Reflects(cmd *command.Cmd) bool {
	return cmd != nil && (cmd.Flags&(command.Write|command.ReadOnly|command.MayReplicate) != 0 || isExec(cmd))
}
