package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/store"
)

// A hold of the lock ends after so many commands or so much time, whichever comes first.
const (
	holdCommands = 256
	holdTime     = 200 * time.Microsecond
)

// Options of an Engine.
type Options struct {
	Store *store.Store
	Log   *oplog.Log
	Table *command.Table
	// BootTime reads the boot clock in nanoseconds; nil means BootTime. Tests move it.
	BootTime func() int64
	// Logf receives lines for the server's log; nil drops them.
	Logf func(format string, args ...any)
}

// Engine executes commands. See the package comment.
type Engine struct {
	Table *command.Table
	Log   *oplog.Log
	// Conf is what handlers see of the configuration; change it under Exclusive.
	Conf command.Config

	mu    sync.RWMutex
	store *store.Store
	gate  *Gate
	// dataEnd is where the stream ends but for what no data depends on: signs of life and requests for acknowledgements.
	// asked is the latest of them for which replicas were asked to acknowledge. Written with mu held exclusively.
	dataEnd atomic.Int64
	asked   int64
	commit  Commit
	start   time.Time
	logf    func(format string, args ...any)

	state        atomic.Uint32
	minReplicas  atomic.Int64
	goodReplicas atomic.Int64
	waiting      atomic.Int32 // lanes that want the lock while background work holds it

	inExec        bool                  // a transaction is being executed; guarded by mu
	watched       []map[string][]*watch // by database; guarded by mu
	waits         keyWaits
	own           ownKeys // guarded by mu
	pause         pauser
	info          infoRegistry
	busy          busyness
	libraries     libraries
	scriptsMayAll bool                   // guarded by mu
	settle        atomic.Pointer[func()] // nil: there is no append-only file
	strict        atomic.Bool            // see OnSettle
	fileError     atomic.Pointer[string]
	fileSynced    struct{ pos, offset atomic.Int64 } // see SetFileSynced
	onFileSynced  func()
	flagsOf       func(cmd *command.Cmd, args [][]byte) command.Flags
	protected     func(c *Client, cmd *command.Cmd) (why string)
	notify        func(db int, class command.EventClass, event string, key []byte)
	monitor       func(Shown)
	stats         statistics
	lanes         laneList
	expiry        expiry
	memory        memoryLimit
	longs         longReads
	tracking      tracker
	spikes        Spikes
	rivals        rivals
	bg            *Lane // what Exclusive, the expiry cycle and other work of the server itself propagate through
	done          chan struct{}
	once          sync.Once
	work          sync.WaitGroup
}

// New assembles an engine and attaches the handlers that belong to it (MULTI and its kin).
func New(o Options) *Engine {
	e := &Engine{Table: o.Table, Log: o.Log, store: o.Store, gate: newGate(o.BootTime), start: time.Now(), logf: o.Logf, done: make(chan struct{})}
	if e.logf == nil {
		e.logf = func(string, ...any) {}
	}
	e.state.Store(uint32(ServeStale | ReadOnly))
	e.commit.init(e)
	e.SetFileSynced(NoFile)
	e.watched = make([]map[string][]*watch, e.store.Databases())
	e.waits.queues = make([]map[string]*waitQueue, e.store.Databases())
	e.expiry.on.Store(true)
	e.info.init()
	e.bg = e.NewLane()
	e.bg.exclusive = true
	e.memory.replicaIgnores.Store(true)
	e.attach()
	return e
}

// Gate is the right to acknowledge writes.
func (e *Engine) Gate() *Gate { return e.gate }

// Store gives the store to those who hold the lock.
func (e *Engine) Store() *store.Store { return e.store }

// Exclusive runs fn with the lock to itself. Effects that fn makes through the lane's context are propagated before the
// lock is given up.
func (e *Engine) Exclusive(fn func()) {
	e.lock()
	defer e.unlockAndWake()
	fn()
	e.serveLocked()
	e.bg.flushAll()
	e.askHolders()
}

// Shared runs fn while nobody writes.
func (e *Engine) Shared(fn func()) {
	e.lockShared()
	defer e.mu.RUnlock()
	fn()
}

// Background repeats step, each time under the lock and for at most 200 us by step's own watch, until it answers false.
// Between steps clients go first.
func (e *Engine) Background(step func() (more bool)) {
	for more := true; more; {
		e.lock()
		more = step()
		e.serveLocked()
		e.bg.flushAll()
		e.askHolders()
		e.mu.Unlock()
		e.wake()
		e.yield()
	}
}

// lockAnyhow takes the lock even in the middle of a long command: only lanes may, to refuse what they are asked.
func (e *Engine) lockAnyhow() {
	if e.mu.TryLock() {
		return
	}
	e.waiting.Add(1)
	e.mu.Lock()
	e.waiting.Add(-1)
}

func (e *Engine) rlock() {
	if e.mu.TryRLock() {
		return
	}
	e.waiting.Add(1)
	e.mu.RLock()
	e.waiting.Add(-1)
}

func (e *Engine) unlockAndWake() {
	e.mu.Unlock()
	e.wake()
}

// yield lets lanes that wait for the lock take it: without the pause the mutex would go to the goroutine that is running. And
// it lets those go first that wait for a processor: a loop that wakes up while all of them are taken gets one when somebody
// stops, or after the scheduler's 10 ms.
func (e *Engine) yield() {
	for i := 0; e.waiting.Load() > 0 && i < 100; i++ {
		time.Sleep(10 * time.Microsecond)
	}
	runtime.Gosched()
}

// Start begins the expiry cycle. Close ends it.
func (e *Engine) Start() {
	e.work.Add(1)
	go e.expireLoop()
}

// Close ends what Start began and waits for it.
func (e *Engine) Close() {
	e.once.Do(func() { close(e.done) })
	e.work.Wait()
	e.pause.stop()
}
