package command

import (
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// EventClass selects keyspace events: the letters of notify-keyspace-events.
type EventClass uint16

// The classes of keyspace events.
const (
	EventKeyspace EventClass = 1 << iota // K
	EventKeyevent                        // E
	EventGeneric                         // g
	EventString                          // $
	EventList                            // l
	EventSet                             // s
	EventHash                            // h
	EventZSet                            // z
	EventExpired                         // x
	EventEvicted                         // e
	EventStream                          // t
	EventKeyMiss                         // m
	EventModule                          // d
	EventNew                             // n
)

// Client is what a handler may know of its caller. It is nil when a stream or a file is applied.
type Client interface {
	ID() int64
	// ReadsAll tells whether the caller may read keys that the arguments of its command do not name.
	ReadsAll(cmd *Cmd, args [][]byte) bool
}

// Env is what handlers need from the engine. Its methods run under the engine's lock and must not take it.
type Env interface {
	// Modified tells WATCH and client-side caching that a key changed.
	Modified(db int, key []byte)
	// Expired is Modified for a key that went away by itself: its time was over, or there was no room.
	Expired(db int, key []byte)
	// Wake has the clients that wait for a key look at it again, where Modified does not.
	Wake(db int, key []byte)
	// Flushed tells them that all keys of a database (-1: of all) are gone.
	Flushed(db int)
	// Swapped tells them that two databases changed places, at a time in unix milliseconds.
	Swapped(a, b int, now int64)
	// Notify publishes a keyspace event. It is called only for classes in Config.NotifyEvents.
	Notify(db int, class EventClass, event string, key []byte)
	// Block lets the client of the running command wait; see Ctx.Block.
	Block(c *Ctx, w Wait) bool
	// GoOn lets the running command go on after its handler; see Long.
	GoOn(c *Ctx, begin func() *Long) bool
}

// Config holds the directives that handlers look at. The engine changes it under the exclusive lock.
type Config struct {
	NotifyEvents  EventClass
	MaxBulk       int64 // proto-max-bulk-len: the longest string that a command may build; 0 means 512 MiB
	HLLSparseMax  int64 // hll-sparse-max-bytes
	NoCompression bool  // rdbcompression off: DUMP does not compress
	AnyChecksum   bool  // RESTORE does not look at the checksum (DEBUG SET-SKIP-CHECKSUM-VALIDATION)
	// BadPayload is told why RESTORE refuses a value whose checksum is right. Nil: nobody is.
	BadPayload        func(key []byte, why error)
	OwnIntegers       bool // as in Redis small integers are not shared where each value needs a clock of its own
	LazyfreeUserDel   bool
	LazyfreeUserFlush bool
	LazyfreeExpire    bool
	LazyfreeEviction  bool
	LazyfreeServerDel bool
	// LongFrom is the number of elements from which a read goes on outside of its hold of the lock; 0 means LongFrom.
	LongFrom int
}

// Ctx is one command's execution. One Ctx serves many commands in turn; it keeps its buffers.
//
// The engine sets the exported fields, calls Begin, runs the handler, calls Finish, and after the last command of a
// transaction or batch takes the effects with Effects and ResetEffects.
type Ctx struct {
	Cmd     *Cmd
	Args    [][]byte
	Store   *store.Store
	DB      *store.DB // the current database
	DBIndex int       // and its number
	Now     int64     // unix milliseconds, frozen during MULTI and scripts
	Out     *resp.Writer
	Client  Client
	Env     Env
	Conf    *Config
	// Replica: this server follows a master, so expired keys are hidden, never deleted.
	Replica bool
	// FromMaster: the command comes from the master's stream or from a file: expired keys count as alive, limits on
	// sizes are not checked, and a time in the past does not delete a key.
	FromMaster bool
	// WritableReplica: replica-read-only is off, so writes of clients delete expired keys here too.
	WritableReplica bool

	// Unheard: nobody reads the log now, so effects need not be encoded.
	Unheard bool

	// NoBlocking: nothing may block here (a script runs). In a transaction and in a stream nothing can anyway.
	NoBlocking bool

	// NoTouch: the client's commands leave the access clocks of keys alone, all but TOUCH (CLIENT NO-TOUCH).
	NoTouch bool

	// ReplyLimit is the length of a reply at which the client is closed anyway (client-output-buffer-limit, 0: none), so
	// that a reply without bounds need not be made to its end. The engine closes the client of a reply that was cut.
	ReplyLimit int64
	replyFrom  int

	// Hits and Misses count key lookups of reads; the engine drains them.
	Hits, Misses int64
	// Expired counts keys deleted because a write met them after their time.
	Expired int64
	// Changes counts changes of the data set since the engine last drained it (INFO's rdb_changes_since_last_save).
	Changes int64

	// Skip keeps all effects from some readers until it is set back (redis.set_repl).
	Skip Skip

	made *Made // see With

	wroteInside bool // an inner command changed something
	inner       bool // one since Enter did
	dirty       int64
	explicit    bool // Propagate or NoPropagate replaced the verbatim effect
	forced      bool // ForcePropagate: the verbatim effect is due though nothing changed
	skip        Skip // ForcePropagate's, for this command
	effects     effects
	scratch     []byte
	scores      []float64 // scratch of ZADD
	rnd         uint64
}

// Begin readies c for one command.
func (c *Ctx) Begin(cmd *Cmd, args [][]byte) {
	c.Cmd, c.Args = cmd, args
	c.dirty, c.explicit, c.forced, c.skip, c.wroteInside = 0, false, false, 0, false
	if c.ReplyLimit > 0 {
		c.replyFrom = c.Out.Len()
	}
}

// TooLong tells whether the reply is so long that its client will be closed.
func (c *Ctx) TooLong() bool {
	return c.ReplyLimit > 0 && int64(c.Out.Len()-c.replyFrom) >= c.ReplyLimit
}

// Finish closes the command: a command that changed something and said nothing else is its own effect.
func (c *Ctx) Finish() {
	if c.dirty == 0 && !c.forced {
		return
	}
	c.Changes += c.dirty
	if !c.explicit && !c.Unheard {
		c.effects.addCommand(c.DBIndex, c.Cmd, c.Args)
		c.effects.keepFrom(c.Skip | c.skip)
	}
}

// Dirty says that n changes were made. Unless Propagate or NoPropagate is called, the command itself is the effect.
func (c *Ctx) Dirty(n int) { c.dirty += int64(n) }

// IsDirty tells whether the running command has changed anything.
func (c *Ctx) IsDirty() bool { return c.dirty > 0 || c.wroteInside }

// Propagate makes args (name first) an effect in the current database, instead of the command itself. Several calls
// make several effects, which the engine wraps in MULTI/EXEC.
func (c *Ctx) Propagate(args ...[]byte) { c.PropagateTo(c.DBIndex, args...) }

// PropagateTo is Propagate for another database.
func (c *Ctx) PropagateTo(db int, args ...[]byte) {
	c.explicit = true
	if !c.Unheard {
		c.effects.add(db, args)
		c.effects.keepFrom(c.Skip)
	}
}

// propagateEncoded is Propagate of a command that is encoded already.
func (c *Ctx) propagateEncoded(command []byte) {
	c.explicit = true
	if !c.Unheard {
		c.effects.list = append(c.effects.list, Effect{DB: c.DBIndex, Bytes: command})
		c.effects.keepFrom(c.Skip)
	}
}

// ForcePropagate makes the command its own effect even when it changed nothing here; skip names readers that do not get
// it.
func (c *Ctx) ForcePropagate(skip Skip) { c.forced, c.skip = true, skip }

// NoPropagate keeps the command out of the stream and the file.
func (c *Ctx) NoPropagate() { c.explicit = true }

// Effects lists what has happened since ResetEffects, in order. The bytes are valid until ResetEffects.
func (c *Ctx) Effects() []Effect { return c.effects.list }

// ResetEffects forgets the effects after they were appended to the log.
func (c *Ctx) ResetEffects() { c.effects.reset() }

// Modified says that the value or the expiry of key changed in the current database.
func (c *Ctx) Modified(key []byte) {
	if c.Env != nil {
		c.Env.Modified(c.DBIndex, key)
	}
}

// Notify publishes a keyspace event for key in the current database.
func (c *Ctx) Notify(class EventClass, event string, key []byte) {
	c.notifyDB(c.DBIndex, class, event, key)
}

func (c *Ctx) notifyDB(db int, class EventClass, event string, key []byte) {
	if c.Env != nil && c.Conf != nil && c.Conf.NotifyEvents&class != 0 {
		c.Env.Notify(db, class, event, key)
	}
}

// Seed sets the state of Random.
func (c *Ctx) Seed(seed uint64) { c.rnd = seed }

// Random returns the next number of the context's generator (splitmix64).
func (c *Ctx) Random() uint64 {
	c.rnd += 0x9e3779b97f4a7c15
	z := c.rnd
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (c *Ctx) maxBulk() int64 {
	if c.Conf != nil && c.Conf.MaxBulk > 0 {
		return c.Conf.MaxBulk
	}
	return 512 << 20
}
