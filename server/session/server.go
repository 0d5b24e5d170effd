package session

import (
	"cmp"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/pubsub"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/settings"
)

// Version is the version of Redis that clients and tools may assume.
const Version = "7.2.4"

// Keeper saves and loads the data set. The methods are called with the engine's lock held exclusively and must not wait.
type Keeper interface {
	// Save starts a foreground save; done gets its result, not under the lock.
	Save(done func(err error)) error
	// BackgroundSave starts a save, or schedules one: with schedule in any case, with patient when something else is written.
	BackgroundSave(schedule, patient bool) (status string, err error)
	// Begun counts the saves and rewrites in the background so far.
	Begun() int64
	// LastSave is the unix time of the last successful save.
	LastSave() int64
	// RewriteAppendOnly starts a rewrite of the append-only file, or schedules one.
	RewriteAppendOnly(schedule bool) (status string, err error)
	// ReloadAppendOnly empties the store and loads the append-only file, at once: DEBUG LOADAOF.
	ReloadAppendOnly(ctx *command.Ctx) error
	// NapBeforeAppend makes every write to the append-only file sleep first: DEBUG AOF-FLUSH-SLEEP.
	NapBeforeAppend(d time.Duration)
	// Reload saves (unless noSave), empties the store (unless noFlush) and loads it again, at once: DEBUG RELOAD. With
	// merge function libraries that are there may be replaced.
	Reload(noSave, noFlush, merge bool) error
}

// Options of a Server.
type Options struct {
	Engine   *engine.Engine
	Settings *settings.Settings
	Keeper   Keeper
	// Shutdown begins to end the process as SHUTDOWN with the given options does, under the engine's lock: from here on it can be
	// aborted. What it returns does the rest, without the lock, and returns the error that keeps the process alive; nil means
	// that the end is under way.
	Shutdown func(o ShutdownOptions) (stop func() error)
	// AbortShutdown gives up an end that is under way and reports whether there was one. Nil: there never is.
	AbortShutdown func() bool
	// Exit ends the process at once: SHUTDOWN NOSAVE in the middle of a script. Nil: os.Exit.
	Exit func()
	// Crash ends the process as a signal from outside does: DEBUG SEGFAULT. Nil: there is no such command.
	Crash func()
	// Version is the version of this program, RunID the identity of this process in INFO.
	Version, RunID string
	Logf           func(format string, args ...any)
}

// ShutdownOptions are SHUTDOWN's.
type ShutdownOptions struct{ Save, NoSave, Now, Force bool }

// Server is what all sessions share.
type Server struct {
	e        *engine.Engine
	cfg      *settings.Settings
	keeper   Keeper
	shutdown func(o ShutdownOptions) (stop func() error)
	abort    func() bool
	exit     func()
	crash    func()
	version  string
	runID    string
	logf     func(format string, args ...any)
	start    time.Time
	clients  registry
	users    users
	hub      pubsub.Hub
	accepted atomic.Int64
	rejected atomic.Int64
	net      func() (in, out int64)
	calls    func() (reads, writes int64)
	links    func() (in, out int64) // bytes of replication
	migrated func() int             // sockets that MIGRATE keeps
	slow     slowLog
	monitors []*Session // guarded by the engine's lock
	rates    rates
	peakUsed int64

	startUsed   int64   // of memory
	before      traffic // up to the last CONFIG RESETSTAT
	maxBulk     atomic.Int64
	clientLimit atomic.Int64 // maxmemory-clients in bytes, 0: none
	evictNext   atomic.Int64 // unix nanoseconds: nobody is looked for before
	evicted     atomic.Int64

	cronPaused atomic.Bool // DEBUG PAUSE-CRON

	port   atomic.Int64
	second atomic.Pointer[string]            // a password of the default user beside its own
	old    atomic.Pointer[func([]byte) bool] // recognizes one more, of which only a hash is known
}

// New makes the sessions' server and attaches its handlers to the engine's table.
func New(o Options) *Server {
	srv := &Server{e: o.Engine, cfg: o.Settings, keeper: o.Keeper, shutdown: o.Shutdown, abort: o.AbortShutdown, version: o.Version, runID: o.RunID,
		logf: o.Logf, start: time.Now()}
	if srv.logf == nil {
		srv.logf = func(string, ...any) {}
	}
	if srv.exit, srv.crash = o.Exit, o.Crash; srv.exit == nil {
		srv.exit = func() { os.Exit(0) }
	}
	srv.clients.byID = map[int64]*Session{}
	srv.migrated = func() int { return 0 }
	srv.net = func() (int64, int64) { return 0, 0 }
	srv.calls, srv.links = srv.net, srv.net
	srv.port.Store(srv.cfg.Int(settings.Port))
	srv.initUsers()
	srv.startUsed = srv.e.MemoryUse().Total()
	srv.e.OnProtected(srv.protected)
	srv.attach()
	srv.attachACL()
	srv.attachMonitor()
	srv.attachPubSub()
	srv.attachTracking()
	srv.attachLatency()
	srv.attachMemory()
	srv.registerInfo()
	srv.watchSettings()
	srv.e.Conf.BadPayload = func(key []byte, why error) { srv.logf("RESTORE refuses the value of key %q: %v", key, why) }
	srv.cfg.OnRewriteUsers(srv.userLines)
	srv.e.OnSlow(time.Duration(srv.cfg.Int(settings.SlowlogLogSlowerThan))*time.Microsecond, srv.noteSlow)
	return srv
}

// SetKeeper sets the keeper when it is made after the Server; before the first client.
func (srv *Server) SetKeeper(k Keeper) { srv.keeper = k }

// CountNet tells where the transport counts the bytes received and sent.
func (srv *Server) CountNet(fn func() (in, out int64)) { srv.net = fn }

// CountReplication tells where the links count the bytes that came from masters and went to replicas.
func (srv *Server) CountReplication(fn func() (in, out int64)) { srv.links = fn }

// CountCalls tells where the transport counts its reads and writes.
func (srv *Server) CountCalls(fn func() (reads, writes int64)) { srv.calls = fn }

// CountMigrations tells where the sockets are counted that MIGRATE keeps.
func (srv *Server) CountMigrations(fn func() int) { srv.migrated = fn }

// attach registers the handlers of this package.
func (srv *Server) attach() {
	for name, h := range map[string]command.Handler{
		"auth": srv.auth, "hello": srv.hello, "select": srv.selectDB, "quit": quit, "reset": srv.reset, "ping": ping,
		"client|id": clientID, "client|list": srv.clientList, "client|info": srv.clientInfo, "client|kill": srv.clientKill,
		"client|setname": srv.clientSetName, "client|getname": clientGetName, "client|pause": srv.clientPause,
		"client|unpause": srv.clientUnpause, "client|reply": clientReply, "client|no-evict": clientNoEvict,
		"client|no-touch": clientNoTouch, "client|setinfo": clientSetInfo, "client|unblock": srv.clientUnblock, "client|help": clientHelp,
		"config|get": srv.configGet, "config|set": srv.configSet, "config|rewrite": srv.configRewrite,
		"config|resetstat": srv.configResetStat, "config|help": configHelp,
		"info": srv.info, "debug": srv.debug, "time": serverTime,
		"module|load": srv.moduleLoad, "module|loadex": srv.moduleLoad, "module|unload": srv.moduleUnload,
		"slowlog|get": srv.slowlogGet, "slowlog|len": srv.slowlogLen, "slowlog|reset": srv.slowlogReset, "slowlog|help": slowlogHelp,
		"lolwut": lolwut, "save": srv.save, "bgsave": srv.bgsave, "bgrewriteaof": srv.bgrewriteaof, "lastsave": srv.lastSave, "shutdown": srv.shutdownCommand,
	} {
		srv.e.Table.Attach(name, h)
	}
}

// QueryLimit is client-query-buffer-limit.
func (srv *Server) QueryLimit() int64 { return srv.cfg.Int(settings.ClientQueryBufferLimit) }

// MaxBulk is proto-max-bulk-len.
func (srv *Server) MaxBulk() int64 { return srv.maxBulk.Load() }

// IdleTimeout is the directive timeout.
func (srv *Server) IdleTimeout() time.Duration {
	return time.Duration(srv.cfg.Int(settings.Timeout)) * time.Second
}

// KeepAlive is tcp-keepalive in seconds.
func (srv *Server) KeepAlive() int { return int(srv.cfg.Int(settings.TCPKeepalive)) }

// OutputLimit is client-output-buffer-limit for the class of a client.
func (srv *Server) OutputLimit(s *Session) (hard, soft int64, patience time.Duration) {
	l := srv.cfg.OutputLimits()[s.class.Load()]
	return int64(l.Hard), int64(l.Soft), time.Duration(l.SoftSeconds) * time.Second
}

// Admit answers why a new connection must be refused, as the bytes to send it, or "". active is the number of
// connections that there are.
func (srv *Server) Admit(active int, local bool) string {
	switch {
	case int64(active) >= srv.cfg.Int(settings.MaxClients):
		srv.rejected.Add(1)
		return "-ERR max number of clients reached\r\n"
	case !local && srv.cfg.Bool(settings.ProtectedMode) && srv.users.open.Load():
		srv.rejected.Add(1)
		return deniedText
	}
	return ""
}

const deniedText = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. " +
	"In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis " +
	"you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' " +
	"from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not " +
	"publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just " +
	"disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then " +
	"restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. " +
	"4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the " +
	"server to start accepting connections from the outside.\r\n"

func sortByID(list []*Session) {
	slices.SortFunc(list, func(a, b *Session) int { return cmp.Compare(a.Num, b.Num) })
}

// self is the session that runs the command.
func self(ctx *command.Ctx) *Session { return Of(engine.Of(ctx)) }

// help answers a HELP subcommand in Redis' shape.
func help(ctx *command.Ctx, name string, lines ...string) {
	ctx.Out.Array(len(lines) + 3)
	ctx.Out.Simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, line := range lines {
		ctx.Out.Simple(line)
	}
	ctx.Out.Simple("HELP")
	ctx.Out.Simple("    Prints this help.")
}

const (
	errSyntax  = "syntax error"
	errInteger = "value is not an integer or out of range"
)

func serverTime(ctx *command.Ctx) {
	now := time.Now()
	ctx.Out.Array(2)
	ctx.Out.BulkInt(now.Unix())
	ctx.Out.BulkInt(int64(now.Nanosecond() / 1000))
}

func (srv *Server) save(ctx *command.Ctx) {
	c := engine.Of(ctx)
	if srv.keeper == nil || c == nil {
		ctx.Out.Error("this server cannot save")
		return
	}
	var w *engine.Waiter
	err := srv.keeper.Save(func(err error) {
		srv.e.Exclusive(func() { w.Wake(func(out *resp.Writer) { saveReply(out, err) }) })
	})
	if err != nil {
		ctx.Out.Error(err.Error())
		return
	}
	w = srv.e.Block(c, "save", 0, nil, nil)
}

func saveReply(out *resp.Writer, err error) {
	if err != nil {
		out.Error("saving failed, see the server's log: " + err.Error())
		return
	}
	out.OK()
}

// bgsave starts a save at once; with SCHEDULE behind a rewrite of the append-only file that is under way. Inside a transaction it is put
// off until the transaction is over.
func (srv *Server) bgsave(ctx *command.Ctx) {
	if len(ctx.Args) > 2 || len(ctx.Args) == 2 && !fold(ctx.Args[1], "schedule") {
		ctx.Out.Error(errSyntax)
		return
	}
	if srv.keeper == nil {
		ctx.Out.Error("this server cannot save")
		return
	}
	status, err := srv.keeper.BackgroundSave(!srv.e.CanBlock(ctx), len(ctx.Args) == 2)
	if err != nil {
		ctx.Out.Error(err.Error())
		return
	}
	ctx.Out.Simple(status)
}

func (srv *Server) bgrewriteaof(ctx *command.Ctx) {
	if srv.keeper == nil {
		ctx.Out.Error("this server cannot save")
		return
	}
	status, err := srv.keeper.RewriteAppendOnly(!srv.e.CanBlock(ctx))
	if err != nil {
		ctx.Out.Error(err.Error())
		return
	}
	ctx.Out.Simple(status)
}

func (srv *Server) lastSave(ctx *command.Ctx) {
	if srv.keeper == nil {
		ctx.Out.Int(srv.start.Unix())
		return
	}
	ctx.Out.Int(srv.keeper.LastSave())
}

func (srv *Server) shutdownCommand(ctx *command.Ctx) {
	var o ShutdownOptions
	abort := false
	for _, a := range ctx.Args[1:] {
		switch {
		case fold(a, "nosave"):
			o.NoSave = true
		case fold(a, "save"):
			o.Save = true
		case fold(a, "now"):
			o.Now = true
		case fold(a, "force"):
			o.Force = true
		case fold(a, "abort"):
			abort = true
		default:
			ctx.Out.Error(errSyntax)
			return
		}
	}
	switch {
	case abort && len(ctx.Args) > 2, o.Save && o.NoSave:
		ctx.Out.Error(errSyntax)
	case abort && (srv.abort == nil || !srv.abort()):
		ctx.Out.Error("No shutdown in progress.")
	case abort:
		ctx.Out.OK()
	case srv.e.Busy() && !o.NoSave:
		ctx.Out.Error("-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
	case srv.e.Busy():
		srv.logf("User requested shutdown while a script runs: nothing is saved, and what the script did is lost.")
		srv.exit()
	case srv.shutdown == nil:
		ctx.Out.Error("Errors trying to SHUTDOWN. Check logs.")
	default:
		srv.endProcess(ctx, o)
	}
}

// endProcess lets the client wait: its answer is the end of the connection, or the error that keeps the process alive.
func (srv *Server) endProcess(ctx *command.Ctx, o ShutdownOptions) {
	c := engine.Of(ctx)
	var w *engine.Waiter
	if srv.e.CanBlock(ctx) {
		w = srv.e.Block(c, "shutdown", 0, func(out *resp.Writer) { out.Error("Errors trying to SHUTDOWN. Check logs.") }, nil)
	}
	stop := srv.shutdown(o) // a SHUTDOWN ABORT may come next
	go func() {
		if err := stop(); err != nil && w != nil {
			srv.e.Exclusive(func() {
				w.Wake(func(out *resp.Writer) { out.Error("Errors trying to SHUTDOWN. Check logs.") })
			})
		}
	}()
}

func pid() int { return os.Getpid() }
