package saving

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
)

// Options of a Saver.
type Options struct {
	Engine   *engine.Engine
	Settings *settings.Settings
	FS       fsys.FS // nil: the real one
	// Log receives lines with a level of the directive loglevel; nil drops them.
	Log func(level int64, text string)
	// Place tells where the data stands in the replication stream, ok false when it has no place there;
	// Aux gives further fields of the file. Both are called with the engine's lock held; nil: none.
	Place func() (at snapshot.Meta, ok bool)
	Aux   func() []snapshot.Aux
	// Syncing tells whether a snapshot for replicas is under way: INFO counts it as a background save. Nil: never.
	Syncing func() bool
	// Version is what the file names as its writer's version.
	Version string
	// Fatal ends the process at once: the append-only file cannot be written under appendfsync always. Nil: exit code 1.
	Fatal func()
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
}

// Saver saves and loads one server's data set. It implements the session's Keeper.
type Saver struct {
	o    Options
	e    *engine.Engine
	cfg  *settings.Settings
	fs   fsys.FS
	now  func() time.Time
	stop context.CancelFunc
	aof  *appender
	ctx  context.Context
	work sync.WaitGroup

	// Guarded by the engine's exclusive lock.
	running   *run
	scheduled bool
	closed    bool
	saves     int64
	begun     int64     // background saves and rewrites
	lastSave  time.Time // of the last success; the start before the first
	lastTry   time.Time // of the last attempt in the background
	lastOK    bool      // the last background save
	lastTook  time.Duration
	load      loadState
	left      string // the append-only file that this data set goes on from, see left.go

	renaming sync.Mutex // held while a file takes its name; the engine's lock is never asked for under it

	bytesLoaded atomic.Int64 // by the load under way
	durable     atomic.Bool
	started     atomic.Bool // what is loaded has its place
}

// run is a save under way.
type run struct {
	snap       *snapshot.Snapshot
	file       *target
	changes    int64 // of the engine, at the cut
	began      time.Time
	background bool
	aside      bool          // to another file: it counts as no save of the data set
	stale      atomic.Bool   // a later image is on disk already: this one must not replace it
	done       chan struct{} // closed when the outcome is known and told
	err        error
}

// ErrInProgress refuses a save while another one runs.
var ErrInProgress = errors.New("Background save already in progress") //nolint:staticcheck // Redis' text

var errChild = errors.New("Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.") //nolint:staticcheck // Redis' text

var errClosed = errors.New("the server is shutting down")

// retryDelay is how long a save point waits after a failed attempt.
const retryDelay = 5 * time.Second

// New makes a Saver, its INFO lines and its hooks on directives. Nothing is saved before Start.
func New(o Options) *Saver {
	s := &Saver{o: o, e: o.Engine, cfg: o.Settings, fs: o.FS, now: o.Now, lastOK: true}
	if s.fs == nil {
		s.fs = fsys.OS{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.o.Log == nil {
		s.o.Log = func(int64, string) {}
	}
	s.lastSave = s.now()
	if s.o.Fatal == nil {
		s.o.Fatal = func() { os.Exit(1) }
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.aof = newAppender(s)
	s.e.RegisterInfo("persistence", s.info)
	s.e.Table.Wrap("flushall", s.afterFlush)
	s.cfg.OnChange(func() error { s.judge(); return nil }, "save", "stop-writes-on-bgsave-error")
	return s
}

// Start begins to look at the save points and to sync the append-only file. Call it before clients may write: under appendfsync
// always the directory tells from then on that the file has everything. The engine's lock must not be held.
func (s *Saver) Start() {
	if s.aof.always() {
		s.aof.sync()
	}
	s.work.Go(s.cron)
	s.work.Go(s.aof.run)
	s.work.Go(s.aof.writeLate)
}

// Close ends the save points and cancels a save under way; the old file stands. The engine's lock must
// not be held.
func (s *Saver) Close() {
	s.stop()
	s.e.Exclusive(func() {
		s.closed = true
		if s.running != nil {
			s.running.snap.Cancel()
		}
	})
	s.work.Wait()
	if err := s.aof.finish(); err != nil {
		s.logf(settings.LogWarning, "Fail to fsync the AOF file: %s.", reasonOf(err))
	}
}

func (s *Saver) logf(level int64, format string, args ...any) {
	s.o.Log(level, fmt.Sprintf(format, args...))
}

// Path is the file that is saved to and loaded from.
func (s *Saver) Path() string {
	return filepath.Join(s.cfg.Dir(), s.cfg.String(settings.DBFilename))
}

// judge publishes whether a failed save stops writes. It takes no lock.
func (s *Saver) judge() {
	stops := s.cfg.Bool(settings.StopWritesOnSaveError) && len(s.cfg.SavePoints()) > 0
	s.e.PutState(engine.DiskError, stops && !s.lastOK || s.aof.failed.Load())
}

func (s *Saver) cron() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			s.e.Exclusive(func() {
				s.maybeSave()
				s.aof.look()
			})
		}
	}
}

// maybeSave starts a save that was scheduled or that a save point asks for. The lock is held.
func (s *Saver) maybeSave() {
	if s.running != nil || s.aof.rewriting != nil || s.closed {
		return
	}
	if s.scheduled {
		s.scheduled = false
		s.begin(true)
		return
	}
	now, changes := s.now(), s.e.Dirty()
	if !s.lastOK && now.Sub(s.lastTry) <= retryDelay {
		return
	}
	for _, p := range s.cfg.SavePoints() {
		if changes >= p.Changes && changes > 0 && now.Sub(s.lastSave) > time.Duration(p.Seconds)*time.Second {
			s.logf(settings.LogNotice, "%d changes in %d seconds. Saving...", p.Changes, p.Seconds)
			s.begin(true)
			return
		}
	}
}

// begin makes the cut, now, and lets the rest run beside the clients. The lock is held exclusively and
// nothing is running.
func (s *Saver) begin(background bool) *run { return s.beginTo(s.Path(), background) }

func (s *Saver) beginTo(path string, background bool) *run {
	r := &run{began: s.now(), background: background, aside: path != s.Path(), changes: s.e.Changes(), done: make(chan struct{})}
	r.file = newTarget(s.fs, path, s.cfg.Bool(settings.RDBSaveIncremental), !background)
	if background {
		s.lastTry = r.began
		s.begun++
		s.logf(settings.LogNotice, "Background saving started")
	}
	o := s.snapshotOptions()
	o.Spill = r.file.spill
	r.snap = snapshot.StartLocked(s.e, s.e.Store(), r.file, o)
	s.running = r
	s.work.Go(func() { s.finish(r) })
	return r
}

func (s *Saver) snapshotOptions() snapshot.Options {
	return snapshot.Options{AtCut: func() []snapshot.Aux { return s.aux(false) }, NoCompress: !s.cfg.Bool(settings.RDBCompression), NoChecksum: !s.cfg.Bool(settings.RDBChecksum),
		KeyDelay: func() time.Duration {
			return time.Duration(s.cfg.Int(settings.RDBKeySaveDelay)) * time.Microsecond
		}}
}

// finish makes a snapshot durable and tells the outcome.
func (s *Saver) finish(r *run) {
	err := r.snap.Wait()
	s.renaming.Lock()
	if err == nil && r.stale.Load() {
		err = snapshot.ErrCanceled
	}
	if err == nil {
		err = r.file.commit()
	} else {
		r.file.discard()
	}
	s.renaming.Unlock()
	s.e.Exclusive(func() { s.ended(r, err) })
	r.err = err
	close(r.done)
}

// ended notes the outcome. The lock is held.
func (s *Saver) ended(r *run, err error) {
	s.running = nil
	if r.aside {
		return // whoever asked for it hears the outcome
	}
	s.lastTook = s.now().Sub(r.began)
	switch {
	case errors.Is(err, snapshot.ErrCanceled):
		s.logf(settings.LogWarning, "Saving canceled; the old file stands")
	case err != nil:
		s.lastOK = s.lastOK && !r.background
		s.logf(settings.LogWarning, "Error saving DB on disk, the old file stands: %v", err)
	default:
		s.saves++
		s.durable.Store(true)
		s.lastOK = true
		s.lastSave = s.now()
		s.e.Saved(r.changes)
		s.logf(settings.LogNotice, "DB saved on disk")
		if r.background {
			s.logf(settings.LogNotice, "Background saving terminated with success")
		}
	}
	s.judge()
}

// Save starts a save for one client; done gets its result, without the lock. The lock is held; only the
// client waits, nobody else.
func (s *Saver) Save(done func(err error)) error {
	if err := s.free(); err != nil {
		return err
	}
	r := s.begin(false)
	s.work.Go(func() {
		<-r.done
		done(r.err)
	})
	return nil
}

func (s *Saver) free() error {
	switch {
	case s.running != nil:
		return ErrInProgress
	case s.closed:
		return errClosed
	}
	return nil
}

// BackgroundSave starts a save. With schedule it begins as soon as the commands at hand are over: a cut
// never falls inside a transaction; with patient when the append-only file is being rewritten. The lock is held.
func (s *Saver) BackgroundSave(schedule, patient bool) (status string, err error) {
	if err := s.free(); err != nil {
		return "", err
	}
	if s.aof.rewriting != nil && !schedule && !patient {
		return "", errChild
	}
	if schedule || s.aof.rewriting != nil {
		s.scheduled = true
		return "Background saving scheduled", nil
	}
	s.begin(true)
	return "Background saving started", nil
}

// Begun counts the background saves and rewrites so far: what would each be a fork of redis-server's. The lock is held.
func (s *Saver) Begun() int64 { return s.begun }

// LastSave is the unix time of the last success. The lock is held.
func (s *Saver) LastSave() int64 { return s.lastSave.Unix() }

// SaveNow saves and waits: for a shutdown, or for an order to make the data durable. A save under way is
// waited for first; what it lacks is saved by a second one. The lock must not be held.
func (s *Saver) SaveNow(ctx context.Context) error { return s.SaveTo(ctx, s.Path()) }

// SaveTo is SaveNow with a file of its own: a copy of a data set that is about to be replaced. It changes nothing of what
// INFO and the save points know about the data set's own file.
func (s *Saver) SaveTo(ctx context.Context, path string) error {
	for {
		var r *run
		var started bool
		var err error
		s.e.Exclusive(func() {
			if r = s.running; r == nil {
				if err = s.free(); err == nil {
					r, started = s.beginTo(path, false), true
				}
			}
		})
		if err != nil {
			return err
		}
		select {
		case <-r.done:
			if started {
				return r.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// aux is called at the cut's instant, under the lock: what the file says of its place in the stream.
// base says that it is the base of an append-only file.
func (s *Saver) aux(base bool) []snapshot.Aux {
	out := s.facts(base)
	if s.o.Place == nil {
		return out
	}
	at, ok := s.o.Place()
	if !ok {
		return out // nobody counts the stream
	}
	if base && !s.e.Is(engine.Replica) { // the next part of the append-only file begins with SELECT
		s.e.Log.SetSelected(oplog.NoDB)
	}
	return append(out, placeAux(at)...)
}

func placeAux(at snapshot.Meta) []snapshot.Aux {
	return []snapshot.Aux{{Name: "repl-stream-db", Value: fmt.Sprint(at.StreamDB)}, {Name: "repl-id", Value: at.ReplID},
		{Name: "repl-offset", Value: fmt.Sprint(at.ReplOffset)}}
}

// facts are the fields that need no place in the stream; base says that the file is the base of an append-only file.
func (s *Saver) facts(base bool) []snapshot.Aux {
	aofBase := "0"
	if base {
		aofBase = "1"
	}
	out := []snapshot.Aux{{Name: "redis-ver", Value: s.o.Version}, {Name: "redis-bits", Value: "64"},
		{Name: "ctime", Value: fmt.Sprint(s.now().Unix())}, {Name: "used-mem", Value: fmt.Sprint(s.e.Store().UsedBytes())},
		{Name: "aof-base", Value: aofBase}}
	if s.left != "" && !base && s.aof.is(appendOff) {
		out = append(out, snapshot.Aux{Name: leftField, Value: s.left})
	}
	out = append(out, snapshot.Libraries(s.e.Libraries())...)
	if s.o.Aux != nil {
		out = append(out, s.o.Aux()...)
	}
	return out
}

// Saved reports whether the file is a copy of this data set as of some moment: it was loaded from there or
// saved since; the append-only file, that it follows the data set. It takes no lock.
func (s *Saver) Saved() bool {
	if s.cfg.Bool(settings.AppendOnly) {
		return s.aof.is(appendOn)
	}
	return s.durable.Load()
}

// Persists reports whether this server keeps its data on disk by itself. It takes no lock.
func (s *Saver) Persists() bool {
	return len(s.cfg.SavePoints()) > 0 || s.cfg.Bool(settings.AppendOnly)
}

// MakeDurable returns when a copy of the data set as it is now is on disk: in the append-only file where there is one, else
// it is saved. The lock must not be held.
func (s *Saver) MakeDurable(ctx context.Context) error {
	if !s.cfg.Bool(settings.AppendOnly) {
		return s.SaveNow(ctx)
	}
	for {
		if done, err := s.aof.durable(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errInitial
		case <-s.ctx.Done():
			return errClosed
		case <-time.After(20 * time.Millisecond):
		}
	}
}
