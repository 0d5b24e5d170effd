package engine

import "github.com/understudy-db/understudy/server/command"

// State is what may stand between a client and its command. The bits are read once per hold, under the lock: a change
// made under Exclusive holds for every command that runs afterwards.
type State uint32

// States. Those who know set and clear them: link the role and the replicas, app the loading, persistence the disk.
const (
	Replica       State = 1 << iota // follows a master
	ReadOnly                        // replica-read-only
	LinkDown                        // the link to the master is down or syncing
	ServeStale                      // replica-serve-stale-data
	Loading                         // the data set loads in place: no data is served
	AsyncLoading                    // a new data set loads beside the old one
	TooFewGood                      // fewer good replicas than min-replicas-to-write
	DiskError                       // the last save failed and stop-writes-on-bgsave-error is on; or see SetFileError
	OutOfMemory                     // over maxmemory, and nothing could be evicted
	Parked                          // managed, without a role: no write is accepted (S3)
	pausedWrites                    // CLIENT PAUSE ... WRITE
	pausedAll                       // CLIENT PAUSE ... ALL
	TooFewHolders                   // fewer replicas than must hold a write before its reply leaves; see Commit
	unfit                           // of a hold: the right to write has lapsed, and replies that read must be true to it too
	monitored                       // somebody has asked for MONITOR
)

// blocking are the states that take commands off the fast path.
const blocking = LinkDown | Loading | AsyncLoading | TooFewGood | DiskError | OutOfMemory | Parked | pausedWrites | pausedAll | monitored | TooFewHolders | unfit

// SetState sets and clears bits. Call it under Exclusive when commands must not straddle the change.
func (e *Engine) SetState(set, clear State) {
	for {
		old := State(e.state.Load())
		if e.state.CompareAndSwap(uint32(old), uint32(old&^clear|set)) {
			if set&^old&(Loading|AsyncLoading) != 0 {
				e.rivalsBegin()
			}
			return
		}
	}
}

// PutState sets or clears bits.
func (e *Engine) PutState(bits State, on bool) {
	if on {
		e.SetState(bits, 0)
	} else {
		e.SetState(0, bits)
	}
}

// State returns the present bits.
func (e *Engine) State() State { return State(e.state.Load()) }

// Is reports whether all the given bits are set.
func (e *Engine) Is(bits State) bool { return e.State()&bits == bits }

// SetMinReplicas tells how many good replicas a write needs (min-replicas-to-write; 0 when either of the two
// directives is 0).
func (e *Engine) SetMinReplicas(n int) {
	e.minReplicas.Store(int64(n))
	e.judgeReplicas()
}

// SetGoodReplicas tells how many replicas are online and lag no more than min-replicas-max-lag.
func (e *Engine) SetGoodReplicas(n int) {
	e.goodReplicas.Store(int64(n))
	e.judgeReplicas()
}

// GoodReplicas is the latest count.
func (e *Engine) GoodReplicas() int { return int(e.goodReplicas.Load()) }

func (e *Engine) judgeReplicas() {
	e.PutState(TooFewGood, e.goodReplicas.Load() < e.minReplicas.Load())
}

// The error texts are Redis 7's; clients match on them.
const (
	errNoAuth     = "-NOAUTH Authentication required."
	errOOM        = "-OOM command not allowed when used memory > 'maxmemory'."
	errMisconf    = "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."
	errNoReplicas = "-NOREPLICAS Not enough good replicas to write."
	errNoHolders  = "-NOREPLICAS Not enough replicas attached that could confirm a write: it was not executed."
	errReadOnly   = "-READONLY You can't write against a read only replica."
	errLapsed     = "-READONLY This member's right to write has lapsed; ask for the master again."
	errUnfit      = "-READONLY This member's right to serve has lapsed, and what it holds may be old; ask for the master again."
	errParked     = "-READONLY This member is parked: it has no role yet and accepts no write."
	errMasterDown = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
	errLoading    = "-LOADING Redis is loading the dataset in memory"
	errSlaveKeys  = "Replica can't interact with the keyspace"
	errNoMulti    = "Command not allowed inside a transaction"
)

// refusal answers why a command must not run in the given state, or "". The order is Redis' (processCommand), so that a
// client that meets two obstacles sees the same one.
func (l *Lane) refusal(c *Client, cmd *command.Cmd, st State) string {
	write, all, any := c.reach(cmd)
	master := st&Replica == 0
	switch {
	case st&OutOfMemory != 0 && (any&command.DenyOOM != 0 || c.queues(cmd)):
		return errOOM
	case st&DiskError != 0 && master && (write || cmd.Name == "ping"):
		return l.e.DiskRefusal()
	case st&TooFewGood != 0 && master && write:
		return errNoReplicas
	case st&TooFewHolders != 0 && master && write:
		return errNoHolders
	case st&Parked != 0 && write:
		return errParked
	case st&(Replica|ReadOnly) == Replica|ReadOnly && write:
		return errReadOnly
	case write && master && !l.gateOpen:
		return errLapsed
	case st&unfit != 0 && any&(command.ReadOnly|command.MayReplicate) != 0:
		return errUnfit
	case c.Has(Subscribed) && c.Proto != 3 && !allowedSubscribed(cmd):
		return "Can't execute '" + cmd.FullName + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
	case st&(Replica|LinkDown|ServeStale) == Replica|LinkDown && all&command.Stale == 0:
		return errMasterDown
	case st&Loading != 0 && all&command.Loading == 0:
		return errLoading
	case st&AsyncLoading != 0 && any&command.NoAsyncLoading != 0:
		return errLoading
	case c.Has(IsReplica|IsMonitor) && any&(command.Write|command.ReadOnly|command.MayReplicate) != 0:
		return errSlaveKeys
	}
	return ""
}

// OnFlags sets the judge of commands whose flags depend on what they are asked: a script may declare its own. It is called
// with the lock held; set it before clients come.
func (e *Engine) OnFlags(fn func(cmd *command.Cmd, args [][]byte) command.Flags) { e.flagsOf = fn }

// OnProtected sets who tells why a client may not have a command that must be enabled by configuration, "" when it may. It is
// called with the lock held; set it before clients come.
func (e *Engine) OnProtected(fn func(c *Client, cmd *command.Cmd) (why string)) { e.protected = fn }

// judge finds out what a command of c may do, for the checks to come.
func (e *Engine) judge(c *Client, cmd *command.Cmd, args [][]byte) {
	c.judged = nil
	if e.flagsOf != nil && cmd.Categories&command.CatScripting != 0 {
		c.judged, c.judgedFlags = cmd, e.flagsOf(cmd, args)
	}
}

func (c *Client) flagsOf(cmd *command.Cmd) command.Flags {
	if c.judged == cmd {
		return c.judgedFlags
	}
	return cmd.Flags
}

// reach tells what running cmd would touch: for EXEC that is what its queue would.
func (c *Client) reach(cmd *command.Cmd) (write bool, all, any command.Flags) {
	all, any = c.flagsOf(cmd), c.flagsOf(cmd)
	if c.Has(InMulti) && isExec(cmd) {
		all &= c.multi.all
		any |= c.multi.any
	}
	return any&command.Write != 0, all, any
}

// paused tells whether CLIENT PAUSE holds the command back.
func (c *Client) paused(cmd *command.Cmd, st State) bool {
	if st&(pausedAll|pausedWrites) == 0 || c.Has(IsReplica|Internal) {
		return false
	}
	if st&pausedAll != 0 {
		return true
	}
	_, _, any := c.reach(cmd)
	return any&(command.Write|command.MayReplicate) != 0
}

func allowedSubscribed(cmd *command.Cmd) bool {
	switch cmd.Name {
	case "ping", "quit", "reset", "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe":
		return true
	}
	return false
}
