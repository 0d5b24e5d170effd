package saving

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/settings"
)

// The append-only file is a cursor of the one log. Who writes it: under the policies everysec and no every lane, before
// its replies leave (settle), so that what was acknowledged outlives the process; the goroutine of the appender syncs, and
// while it does another one writes (append_late.go).
// Under always the lane syncs, too, and what other lanes have appended meanwhile goes along: one sync for all that wait.
//
//	lanes ──append──▶ log ──cursor──▶ settle: write [sync] ──▶ increment n
//	                                     └─ at the cut of a rewrite ──▶ increment n+1
//
// Locks: the engine's before appender.mu, and never the engine's under it.

// appendState is what became of the directive appendonly.
type appendState int32

const (
	appendOff  appendState = iota
	appendWait             // appendonly is yes, but the files do not hold this data set yet: a rewrite is to come
	appendOn
)

const (
	syncPeriod = time.Second
	postponed  = 2 * time.Second // how long writes may wait for a sync that is under way
	writeSize  = 1 << 20
)

type appender struct {
	s     *Saver
	log   *oplog.Log
	state atomic.Int32
	kick  chan struct{}
	late  chan struct{} // see append_late.go

	resets    atomic.Int64 // of the log, as of the present cursor
	settled   atomic.Int64 // physical position up to which the file holds the log, synced under always
	busy      atomic.Bool  // a rewrite is under way
	syncing   atomic.Bool  // the goroutine syncs: writes are postponed
	lifted    atomic.Bool  // replicas have everything: see lift
	syncBegan atomic.Int64
	delayed   atomic.Int64 // aof_delayed_fsync
	flushNap  atomic.Int64 // DEBUG AOF-FLUSH-SLEEP, in microseconds
	replaced  atomic.Bool  // the data set is another one: a rewrite is to come
	failed    atomic.Bool  // writes are refused
	suspect   atomic.Int64 // see suspect.go
	size      atomic.Int64 // bytes of all parts
	baseSize  atomic.Int64 // of the parts after the last rewrite or load

	tail atomic.Pointer[oplog.Cursor] // cur, for who must not wait for a write
	aux  atomic.Pointer[string]       // the auxiliary fields of the data set as it is, when there are any
	next atomic.Pointer[increment]    // what follows once the cursor has come to its stop

	mu       sync.Mutex
	cur      *oplog.Cursor // nil: nothing is written
	inc      *increment
	pieces   []oplog.Piece
	buf      []byte
	unsynced bool
	at       engine.Synced // what was written ends there
	lastSync time.Time
	lastNote time.Time   // when a place was told without commands
	lone     int         // how often that was since the last commands
	noted    bool        // such a place is to be synced by the goroutine
	orphans  []fsys.File // to be closed when the sync under way is over
	vowed    bool        // see vow.go
	needed   int64       // the parts before this increment are history

	files struct {
		sync.Mutex // held while parts are made, named and deleted; after the engine's lock
		m          *aof.Manifest
	}

	resume  aof.Notes // where the last part ended when it was loaded
	outdone bool      // at start: the file that is there is older than what was loaded

	// Guarded by the engine's lock.
	rewriting *rewrite
	scheduled bool
	lastOK    bool
	lastTook  time.Duration
	rewrites  int64
	fails     int // in a row
	lastTry   time.Time
	limited   bool // the log was told that rewrites are put off
}

// increment is an open part that is appended to.
type increment struct {
	part  aof.Part
	path  string
	f     fsys.File
	at    int64 // physical position at which it begins
	size  int64
	notes aof.Notes
	aux   string // what the part, or the base before it, says besides: see appender.aux
	torn  bool   // what lies behind size is to be cut off
}

func newAppender(s *Saver) *appender {
	a := &appender{s: s, log: s.e.Log, kick: make(chan struct{}, 1), late: make(chan struct{}, 1), lastOK: true}
	a.baseSize.Store(1)
	s.cfg.OnChange(a.switched, "appendonly")
	s.cfg.OnChange(func() error { a.policyChanged(); return nil }, "appendfsync")
	s.cfg.OnChange(func() error { a.collect(); return nil }, "aof-disable-auto-gc")
	return a
}

func (a *appender) is(st appendState) bool { return appendState(a.state.Load()) == st }

func (a *appender) dir() *aof.Dir {
	cfg := a.s.cfg
	return &aof.Dir{FS: a.s.fs, Path: filepath.Join(cfg.Dir(), cfg.String(settings.AppendDirName)), File: cfg.String(settings.AppendFilename)}
}

func (a *appender) always() bool { return a.s.cfg.Enum(settings.AppendFsync) == settings.FsyncAlways }

// wake makes the goroutine look at once.
func (a *appender) wake() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// hook tells the engine whom to ask before replies leave.
func (a *appender) hook() {
	if a.is(appendOff) {
		a.s.e.OnSettle(nil, false)
		return
	}
	a.s.e.OnSettle(a.settle, a.always())
}

// settle implements engine.OnSettle.
func (a *appender) settle() {
	if a.settled.Load() >= a.log.WholePos() && a.resets.Load() == a.log.FileResets() {
		return
	}
	always := a.always()
	if !always && a.syncing.Load() {
		if time.Since(time.Unix(0, a.syncBegan.Load())) < postponed {
			a.wakeLate()
			return
		}
		a.delayed.Add(1)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.settled.Load() < a.log.WholePos() || a.resets.Load() != a.log.FileResets() {
		a.write(always)
	}
}

// write brings the file to the end of the log; a.mu is held. What cannot be written stays in the log.
func (a *appender) write(sync bool) {
	if a.lifted.Load() {
		a.release() // what comes while this is written waits for it again
	}
	for a.cur != nil {
		pieces, at, err := a.cur.Whole(a.pieces[:0])
		a.pieces = pieces
		if err != nil { // the history ended: a new file is begun soon
			a.breakVow()
			a.detachLocked()
			if a.state.CompareAndSwap(int32(appendOn), int32(appendWait)) {
				a.replaced.Store(true)
			}
			return
		}
		if d := a.flushNap.Load(); d > 0 && len(pieces) > 0 {
			time.Sleep(time.Duration(d) * time.Microsecond)
		}
		if err := a.put(pieces, at); err != nil {
			a.writeFailed(err, sync)
			return
		}
		clear(a.pieces)
		a.cur.Pass(at.Pos)
		a.at = engine.Synced{Pos: at.Pos, Offset: a.cur.Offset()}
		if sync && a.unsynced {
			began := time.Now()
			if err := a.inc.f.Sync(); err != nil {
				a.writeFailed(err, sync)
				return
			}
			a.s.e.Spikes().Note(engine.SpikeFileSync, time.Since(began))
			a.syncedNow()
		} else if !a.unsynced && !a.syncing.Load() { // only replicas got something, or nobody
			a.synced(a.at)
		}
		if sync || !a.always() {
			a.release()
		}
		a.wrote()
		if next := a.next.Load(); next != nil && at.Pos >= next.at {
			if !a.turn(next, sync) {
				return
			}
			continue
		}
		a.settled.Store(at.Pos)
		if at.Pos >= a.log.WholePos() {
			return
		}
	}
}

// put appends pieces to the increment, with the notes that belong before and behind them.
func (a *appender) put(pieces []oplog.Piece, at oplog.Mark) error {
	inc := a.inc
	if inc.torn {
		if err := a.s.fs.Truncate(inc.path, inc.size); err != nil {
			return err
		}
		inc.torn = false
	}
	notes, size := inc.notes, inc.size
	buf := a.buf[:0]
	flush := func() error {
		began := time.Now()
		n, err := inc.f.Write(buf)
		a.s.e.Spikes().Note(engine.SpikeFileWrite, time.Since(began))
		inc.size += int64(n)
		buf = buf[:0]
		return err
	}
	if len(pieces) > 0 && a.s.cfg.Bool(settings.AOFTimestamps) {
		buf = notes.Time(buf, a.s.now().Unix())
	}
	for i := range pieces {
		p := &pieces[i]
		buf = notes.Piece(buf, p.Counts, at.ID, p.ID, p.Offset)
		buf = append(buf, p.Data...)
		notes.Wrote(len(p.Data))
		if len(buf) >= writeSize {
			if err := flush(); err != nil {
				return a.tear(size, err)
			}
		}
	}
	buf, soon := a.place(buf, &notes, at, len(pieces) == 0)
	aux := a.aux.Load()
	if at.Whole && aux != nil && *aux != inc.aux {
		for _, x := range a.s.parseAux(*aux) {
			buf = aof.AppendAux(buf, x.Name, x.Value)
		}
	} else {
		aux = nil
	}
	if len(buf) > 0 {
		if err := flush(); err != nil {
			return a.tear(size, err)
		}
	}
	if aux != nil {
		inc.aux = *aux
	}
	a.buf = buf
	if cap(a.buf) > 4*writeSize {
		a.buf = nil
	}
	inc.notes = notes
	if inc.size > size {
		a.noted = a.noted || soon
		a.unsynced = a.unsynced || !soon || aux != nil
		a.size.Add(inc.size - size)
	}
	return nil
}

// tear cuts off what was written of pieces that did not fit: half a command must not stay before what comes later.
func (a *appender) tear(size int64, err error) error {
	a.inc.size = size
	a.inc.torn = a.s.fs.Truncate(a.inc.path, size) != nil
	return err
}

func (a *appender) syncedNow() {
	a.unsynced, a.noted = false, false
	a.lastSync = time.Now()
	a.synced(a.at)
}

// synced tells who waits for it that the file has everything up to here on disk: unless it does not hold the data set
// yet, or may have lost something. a.mu is held.
func (a *appender) synced(at engine.Synced) {
	if a.is(appendOn) && a.suspect.Load() == 0 {
		a.s.e.SetFileSynced(at)
	}
}

// turn goes on with the next increment. Nothing is written to it before all of the last one is on disk, so that a torn
// end is never followed by anything; the goroutine syncs, and false means: later. Under the policy no nobody waits.
func (a *appender) turn(next *increment, sync bool) bool {
	switch old := a.inc.f; {
	case a.unsynced && !sync && a.s.cfg.Enum(settings.AppendFsync) == settings.FsyncNo:
		a.s.work.Go(func() { _ = errors.Join(old.Sync(), old.Close()) }) // as Redis does: this policy promises nothing
	case (a.unsynced || a.syncing.Load()) && !sync:
		a.wake()
		return false
	default:
		a.close(old)
	}
	a.inc = next
	a.next.Store(nil)
	a.cur.StopAt(oplog.NoLimit)
	return true
}

// writeFailed tells what the disk said. Nobody is told that a write succeeded that may be lost: under always the process
// ends, as redis-server does, otherwise writes are refused until the disk is back.
func (a *appender) writeFailed(err error, sync bool) {
	why := reasonOf(err)
	if sync {
		a.s.logf(settings.LogWarning, "Can't recover from AOF write error when the AOF fsync policy is 'always' (%s). Exiting...", why)
		a.s.o.Fatal()
		return
	}
	if !a.failed.Swap(true) {
		a.s.logf(settings.LogWarning, "Error writing to the AOF file: %s", why)
	}
	if !a.always() {
		a.lift() // the stream goes on, as Redis' does
	}
	a.s.e.SetFileError(why)
	a.s.judge()
	a.settled.Store(a.log.WholePos()) // lanes need not try again: the goroutine does
}

// wrote ends that, when the disk takes what is written again and nothing is suspect. a.mu is held.
func (a *appender) wrote() {
	if a.suspect.Load() == 0 && a.failed.Swap(false) {
		a.s.logf(settings.LogWarning, "AOF write error looks solved, Redis can write again.")
		a.s.e.SetFileError("")
		a.s.judge()
	}
}

// reasonOf is the system's reason in the words of C's strerror, which clients know.
func reasonOf(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := []rune(errno.Error())
	text[0] = unicode.ToUpper(text[0])
	return string(text)
}

// run is the goroutine: syncs, retries, the rewrites that are due.
func (a *appender) run() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-a.s.ctx.Done():
			return
		case <-tick.C:
		case <-a.kick:
		}
		a.sync()
	}
}

// sync writes what is left, and syncs when it is time.
func (a *appender) sync() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cur == nil {
		return
	}
	policy := a.s.cfg.Enum(settings.AppendFsync)
	if a.noted {
		a.unsynced, a.noted = true, false
	}
	a.write(policy == settings.FsyncAlways)
	if policy == settings.FsyncAlways {
		a.vow()
	}
	turning := policy != settings.FsyncAlways && a.next.Load() != nil && a.settled.Load() < a.log.WholePos()
	due := policy == settings.FsyncEverySec && time.Since(a.lastSync) >= syncPeriod && !(a.s.cfg.Bool(settings.NoAppendFsyncOnRewrite) && a.busy.Load())
	if a.inc == nil || !a.unsynced || !turning && !due {
		return
	}
	inc, at := a.inc, a.at
	a.unsynced = false
	a.syncBegan.Store(time.Now().UnixNano())
	a.syncing.Store(true)
	a.mu.Unlock()
	watch := a.watchLate()
	err := inc.f.Sync()
	watch()
	a.mu.Lock()
	a.syncing.Store(false)
	for _, f := range a.orphans {
		_ = f.Close() // all of it is synced
	}
	a.orphans = nil
	a.lastSync = time.Now()
	switch {
	case a.cur == nil: // it was closed meanwhile, and synced for that
		return
	case err != nil:
		a.syncFailed(inc, err)
		return
	}
	a.synced(at)
	a.write(false)
}

// attachLocked begins to write inc from the place where the log ends. The engine's lock is held.
func (a *appender) attachLocked(inc *increment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cur = a.log.File()
	a.tail.Store(a.cur)
	a.inc = inc
	inc.at = a.log.WholePos()
	a.resets.Store(a.log.FileResets())
	a.settled.Store(inc.at)
	a.lastSync, a.unsynced, a.at = time.Now(), false, engine.Synced{Pos: inc.at, Offset: a.cur.Offset()}
	a.synced(a.at)
	a.release()
}

// detachLocked gives up the cursor and the increment. a.mu is held.
func (a *appender) detachLocked() {
	if a.cur != nil {
		a.cur.Close()
		a.cur = nil
		a.tail.Store(nil)
	}
	if a.inc != nil {
		a.close(a.inc.f)
		a.inc = nil
	}
	if next := a.next.Swap(nil); next != nil {
		a.close(next.f)
	}
	a.resets.Store(a.log.FileResets())
	a.settled.Store(oplog.NoLimit)
	a.log.LimitReplicas(oplog.NoLimit)
	a.s.e.SetFileSynced(engine.NoFile)
}

// close closes a file of which everything is synced, or of no use; not while the goroutine syncs it. a.mu is held.
func (a *appender) close(f fsys.File) {
	if a.syncing.Load() {
		a.orphans = append(a.orphans, f)
		return
	}
	_ = f.Close()
}

// open makes a part to append to.
func (a *appender) open(part aof.Part, fresh bool) (*increment, error) {
	d := a.dir()
	inc := &increment{part: part, path: d.Part(part.Name)}
	if err := a.s.fs.MkdirAll(d.Path); err != nil {
		return nil, err
	}
	open := a.s.fs.OpenAppend
	if fresh {
		open = a.s.fs.Create
	}
	f, err := open(inc.path)
	if err != nil {
		return nil, err
	}
	if fresh { // its name is there for good before the manifest names it: not every file system keeps the order
		err = a.s.fs.SyncDir(d.Path)
	}
	if err == nil {
		inc.size, err = a.s.fs.Size(inc.path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	inc.f = f
	return inc, nil
}

// finish writes and syncs all there is and closes the file: appendonly no, or the end of the process.
func (a *appender) finish() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cur == nil {
		return nil
	}
	a.lastNote = time.Time{} // the end is told, whatever came last
	err := a.bring()
	if err == nil && a.inc != nil {
		if end := a.inc.notes.End(nil); len(end) > 0 && a.cur.Behind() == 0 {
			_, err = a.inc.f.Write(end)
		}
		err = errors.Join(err, a.inc.f.Sync())
	}
	a.detachLocked()
	return err
}

// durable brings the file to the end of the log and onto the disk; done is false while the file does not hold the data set.
func (a *appender) durable() (done bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.is(appendOn) || a.cur == nil {
		return false, nil
	}
	if err = a.bring(); err == nil && a.suspect.Load() != 0 {
		err = errSuspect
	}
	return a.is(appendOn), err
}

// bring writes and syncs all there is, whatever the policy. a.mu is held; a.inc is nil afterwards when the history has ended.
func (a *appender) bring() error {
	for {
		if a.write(false); a.inc == nil {
			return nil
		}
		if err := a.inc.f.Sync(); err != nil {
			if a.syncFailed(a.inc, err) {
				return err
			}
		}
		a.syncedNow()
		a.release()
		next := a.next.Load()
		if next == nil || a.cur.Behind() > 0 && a.failed.Load() {
			return nil
		}
		if a.passed() >= next.at {
			a.turn(next, true)
		}
	}
}

// passed is the physical position up to which the log was written. a.mu is held.
func (a *appender) passed() int64 { return a.log.WholePos() - a.cur.Behind() }

// temp is a name aside for a part that is being made.
func (a *appender) temp() string {
	return filepath.Join(a.s.cfg.Dir(), fmt.Sprintf("temp-rewriteaof-bg-%d-%d.aof", os.Getpid(), saveNumber.Add(1)))
}

var errInitial = errors.New("the append-only file is not whole yet")

// Leave makes what the append-only file holds durable before the end of the process. It refuses while the file does not hold
// the data set yet, unless forced. The lock must not be held.
func (s *Saver) Leave(force bool) error {
	a := s.aof
	if a.is(appendOff) || !s.started.Load() {
		return nil
	}
	if a.is(appendWait) {
		if !force {
			s.logf(settings.LogWarning, "Writing initial AOF, can't exit")
			return errInitial
		}
		s.logf(settings.LogWarning, "Writing initial AOF. Exit anyway.")
	}
	s.e.Exclusive(func() {
		if a.rewriting != nil {
			s.logf(settings.LogWarning, "There is a child rewriting the AOF. Killing it!")
			a.rewriting.cancel()
		}
	})
	s.logf(settings.LogNotice, "Calling fsync() on the AOF file.")
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cur == nil {
		return nil
	}
	if err := a.bring(); err != nil {
		s.logf(settings.LogWarning, "Fail to fsync the AOF file: %s.", reasonOf(err))
	}
	return nil
}
