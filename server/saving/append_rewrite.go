package saving

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
)

// A rewrite makes a new base while writing goes on:
//
//	                 cut: the base's moment
//	base 1, incr 1 ────┬──────────────────────▶ history
//	                   ├── snapshot ─▶ base 2 ─▶ the manifest names base 2 and incr 2, in one step
//	                   └── incr 2 ────────────▶ goes on
//
// The manifest names increment 2 before the cut, so a crash before the end finds base 1 and both increments. Only when
// there is no whole file yet (appendonly has just become yes, or the data set was replaced by a full sync) does the
// increment stay unnamed until the base is there: the old files, if any, stand until then.

// rewrite is one that is under way.
type rewrite struct {
	began    time.Time
	initial  bool // there is no file that it would replace and that is written meanwhile
	ctx      context.Context
	cancel   context.CancelFunc
	keysDone func() (done, total int)
	cut      oplog.Mark
}

var errRewriting = errors.New("Background append only file rewriting already in progress") //nolint:staticcheck // Redis' text

// retryRewrites: after so many failures in a row automatic rewrites are put off, longer each time.
const retryRewrites = 3

// RewriteAppendOnly is BGREWRITEAOF. The lock is held.
func (s *Saver) RewriteAppendOnly(schedule bool) (status string, err error) {
	a := s.aof
	switch {
	case a.rewriting != nil:
		return "", errRewriting
	case s.closed:
		return "", errClosed
	case schedule || s.running != nil:
		a.scheduled, a.limited = true, false
		return "Background append only file rewriting scheduled", nil
	}
	a.beginRewrite()
	return "Background append only file rewriting started", nil
}

// look starts a rewrite that is due. The lock is held.
func (a *appender) look() {
	s := a.s
	a.noteAux()
	if s.running != nil || a.rewriting != nil || s.closed {
		return
	}
	if a.replaced.Swap(false) && a.is(appendWait) || a.isSuspect() {
		a.scheduled = true
	}
	if a.scheduled {
		if (a.is(appendWait) || a.isSuspect()) && time.Since(a.lastTry) < a.patience() {
			return
		}
		a.beginRewrite()
		return
	}
	percent, size, base := s.cfg.Int(settings.AutoAOFRewritePercentage), a.size.Load(), max(a.baseSize.Load(), 1)
	if !a.is(appendOn) || percent == 0 || size <= s.cfg.Int(settings.AutoAOFRewriteMinSize) {
		return
	}
	if growth := size*100/base - 100; growth >= percent && !a.putOff() {
		s.logf(settings.LogNotice, "Starting automatic rewriting of AOF on %d%% growth", growth)
		a.beginRewrite()
	}
}

// patience is for how long a rewrite that failed is not tried again.
func (a *appender) patience() time.Duration {
	if a.fails == 0 {
		return 0
	}
	return time.Second << min(a.fails-1, 6)
}

// putOff limits automatic rewrites that fail again and again, as Redis does: each makes one more increment.
func (a *appender) putOff() bool {
	if a.fails < retryRewrites {
		return false
	}
	wait := time.Minute << min(a.fails-retryRewrites, 6)
	if time.Since(a.lastTry) >= min(wait, time.Hour) {
		a.limited = false
		return false
	}
	if !a.limited {
		a.limited = true
		a.s.logf(settings.LogWarning, "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in %d minutes", int(min(wait, time.Hour)/time.Minute))
	}
	return true
}

// beginRewrite starts a rewrite. The lock is held and nothing else is saved.
func (a *appender) beginRewrite() {
	r := &rewrite{began: a.s.now(), initial: !a.is(appendOn), keysDone: func() (int, int) { return 0, 0 }}
	r.ctx, r.cancel = context.WithCancel(a.s.ctx)
	a.rewriting, a.scheduled, a.lastTry = r, false, time.Now()
	a.busy.Store(true)
	a.s.begun++
	a.s.logf(settings.LogNotice, "Background append only file rewriting started")
	a.s.work.Go(func() { a.rewrite(r) })
}

// rewrite makes the new base and tells the outcome.
func (a *appender) rewrite(r *rewrite) {
	defer r.cancel()
	a.files.Lock()
	inc, base, err := a.prepare(r)
	if err == nil {
		err = a.makeBase(r, inc, base)
	}
	var parts int64
	if err == nil {
		parts, err = a.commit(r, inc, base)
	}
	a.files.Unlock()
	if err != nil && r.initial && inc != nil {
		a.s.logf(settings.LogNotice, "Removing the temp incr aof file %s after a failed rewrite", inc.part.Name)
		a.s.e.Exclusive(func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.inc == inc {
				a.detachLocked()
			}
		})
		_ = a.s.fs.Remove(inc.path) // nobody names it
	}
	a.s.e.Exclusive(func() { a.rewritten(r, inc, parts, err) })
}

// prepare makes the increment that begins at the cut, and names it when there is a file that it continues.
func (a *appender) prepare(r *rewrite) (inc *increment, base aof.Part, err error) {
	d := a.dir()
	if err := a.s.fs.MkdirAll(d.Path); err != nil {
		return nil, base, err
	}
	if a.files.m == nil {
		m, err := d.Load()
		if err != nil {
			return nil, base, err
		}
		if m == nil {
			m = &aof.Manifest{}
		}
		a.files.m = m
	}
	base = a.files.m.NewBase(d.File, a.s.cfg.Bool(settings.AOFUseRDBPreamble))
	if a.is(appendOff) {
		return nil, base, nil
	}
	inc, err = a.open(a.files.m.NewIncrement(d.File), true)
	if err != nil || r.initial {
		return inc, base, err
	}
	m := a.files.m.Clone()
	m.Increments = append(m.Increments, inc.part)
	if err := d.Store(m); err != nil {
		_ = inc.f.Close()
		return nil, base, err
	}
	a.files.m = m
	return inc, base, nil
}

// makeBase cuts, and writes the image to a file aside.
func (a *appender) makeBase(r *rewrite, inc *increment, base aof.Part) error {
	s := a.s
	sink := &target{fs: s.fs, path: a.dir().Part(base.Name), temp: a.temp(), incremental: s.cfg.Bool(settings.AOFRewriteIncremental)}
	out, done := a.encoder(sink, base)
	var snap *snapshot.Snapshot
	s.e.Exclusive(func() {
		if r.ctx.Err() != nil {
			return
		}
		o := s.snapshotOptions()
		o.AtCut = func() []snapshot.Aux { return s.aux(true) }
		o.Spill = sink.spill
		if !base.IsRDB() {
			o.NoCompress, o.NoChecksum = true, true
		}
		snap = snapshot.StartLocked(s.e, s.e.Store(), out, o)
		r.keysDone = func() (int, int) { p := snap.Progress(); return p.KeysDone, p.Keys }
		r.cut = a.log.FileMark()
		if inc != nil {
			a.noteAux()
			if aux := a.aux.Load(); aux != nil && base.IsRDB() {
				inc.aux = *aux
			}
			a.cutTo(inc, r.initial)
		}
	})
	if snap == nil {
		_ = done(errCanceled)
		return errCanceled
	}
	stop := context.AfterFunc(r.ctx, snap.Cancel)
	err := snap.Wait()
	stop()
	err = done(err)
	if err == nil {
		err = r.ctx.Err()
	}
	if err == nil {
		err = sink.commit()
	} else {
		sink.discard()
	}
	return err
}

var errCanceled = errors.New("the rewrite was called off")

// encoder is what the snapshot writes to: the file itself, or what turns it into commands for the file. done ends it.
func (a *appender) encoder(sink *target, base aof.Part) (out io.Writer, done func(error) error) {
	if base.IsRDB() {
		return sink, func(err error) error { return err }
	}
	in, pipe := io.Pipe()
	result := make(chan error, 1)
	var head []byte
	if a.s.cfg.Bool(settings.AOFTimestamps) {
		head = aof.AppendTime(nil, a.s.now().Unix())
	}
	a.s.work.Go(func() {
		_, err := sink.Write(head)
		if err == nil {
			var meta snapshot.Meta
			if meta, err = snapshot.Commands(sink, in, a.s.e.Store().Databases()); err == nil && meta.ReplID != "" && meta.ReplOffset >= 0 {
				_, err = sink.Write((&aof.Notes{}).At(nil, aof.Place{ID: meta.ReplID, Offset: meta.ReplOffset}))
			}
		}
		in.CloseWithError(err)
		result <- err
	})
	return pipe, func(err error) error {
		pipe.CloseWithError(err) // nil: the end
		return errors.Join(err, <-result)
	}
}

// cutTo makes inc the one that is written from here on. The lock is held, and this is the cut.
func (a *appender) cutTo(inc *increment, initial bool) {
	if initial {
		a.attachLocked(inc)
		a.hook()
	} else {
		inc.at = a.log.WholePos()
		cur := a.tail.Load() // a write may block while the file is synced, and nobody waits for it with the engine's lock
		if cur == nil {
			return // the history ended just now
		}
		cur.StopAt(inc.at)
		a.next.Store(inc)
	}
	a.selectDB()
}

// selectDB makes the file's next command find its database: on a master the log says SELECT again, a replica must not add
// to its master's stream. The lock is held.
func (a *appender) selectDB() {
	s := a.s
	if !s.e.Is(engine.Replica) && !s.e.Is(engine.Parked) {
		s.e.Log.SetSelected(oplog.NoDB)
		return
	}
	db := 0
	if s.o.Place != nil {
		at, _ := s.o.Place()
		db = at.StreamDB
	}
	s.e.AppendSelect(db)
}

// commit makes base and what follows it the file. Its length is returned.
func (a *appender) commit(r *rewrite, inc *increment, base aof.Part) (size int64, err error) {
	d := a.dir()
	if r.initial && inc != nil { // the manifest must not name what is not on disk
		if err := a.bringTo(inc); err != nil {
			return 0, err
		}
	}
	m := a.files.m.Clone()
	var from int64
	if inc != nil {
		from = inc.part.Seq
		if r.initial {
			m.Rewritten(base, 0)
			m.Increments = append(m.Increments, inc.part)
		} else {
			m.Rewritten(base, from)
		}
	} else {
		m.Rewritten(base, 0)
	}
	a.keepBacklog(r.cut)
	if err := d.Store(m); err != nil {
		_ = a.s.fs.Remove(d.Part(base.Name)) // nobody names it
		return 0, err
	}
	a.files.m = m
	a.collectHeld()
	return a.total(m), nil
}

// bringTo writes and syncs everything up to now.
func (a *appender) bringTo(inc *increment) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inc != inc {
		return errors.New("the data set was replaced meanwhile")
	}
	if err := a.bring(); err != nil {
		return err
	}
	if a.inc != inc || a.failed.Load() {
		return errors.New("the increment cannot be written")
	}
	return nil
}

// total is the length of all parts.
func (a *appender) total(m *aof.Manifest) (size int64) {
	d := a.dir()
	for _, p := range m.Parts() {
		n, err := a.s.fs.Size(d.Part(p.Name))
		if err == nil {
			size += n
		}
	}
	return size
}

// rewritten notes the outcome. The lock is held.
func (a *appender) rewritten(r *rewrite, inc *increment, size int64, err error) {
	a.rewriting = nil
	a.busy.Store(false)
	a.lastTook = a.s.now().Sub(r.began)
	if err != nil {
		if r.ctx.Err() != nil {
			a.s.logf(settings.LogNotice, "AOF rewrite called off")
		} else {
			a.fails++
			a.lastOK = false
			a.s.logf(settings.LogWarning, "Background AOF rewrite failed, the old files stand: %v", err)
		}
		if a.is(appendWait) {
			a.scheduled = true
		}
		return
	}
	a.rewrites++
	a.fails, a.lastOK, a.limited = 0, true, false
	if inc != nil {
		a.size.Store(size)
		a.baseSize.Store(size)
		a.state.CompareAndSwap(int32(appendWait), int32(appendOn))
		a.s.left = ""
	}
	a.replacedParts(inc)
	a.s.logf(settings.LogNotice, "Background AOF rewrite terminated with success")
	a.s.logf(settings.LogNotice, "Background AOF rewrite finished successfully")
}

// collect deletes the history, unless aof-disable-auto-gc says not to.
func (a *appender) collect() {
	if !a.files.TryLock() {
		return // a rewrite is under way: it collects at its end
	}
	defer a.files.Unlock()
	a.collectHeld()
}

func (a *appender) collectHeld() {
	m := a.files.m
	if m == nil || len(m.History) == 0 || a.s.cfg.Bool(settings.AOFDisableAutoGC) {
		return
	}
	d := a.dir()
	for _, p := range m.History {
		_ = a.s.fs.Remove(d.Part(p.Name)) // costs space only
	}
	m = m.Clone()
	m.History = nil
	if err := d.Store(m); err != nil {
		a.s.logf(settings.LogWarning, "%v", err)
		return
	}
	a.files.m = m
}

// switched is CONFIG SET appendonly. The lock is held.
func (a *appender) switched() error {
	on := a.s.cfg.Bool(settings.AppendOnly)
	switch {
	case a.s.closed || !a.s.started.Load():
	case on && a.is(appendOff):
		a.state.Store(int32(appendWait))
		a.cancelRewrite()
		if a.s.running != nil || a.rewriting != nil || a.s.e.InTransaction() {
			a.scheduled = true
			a.s.logf(settings.LogWarning, "AOF was enabled but there is already another background operation. An AOF background was scheduled to start when possible.")
		} else {
			a.beginRewrite()
		}
	case !on && !a.is(appendOff):
		a.cancelRewrite()
		a.scheduled = false
		a.state.Store(int32(appendOff))
		a.hook()
		a.endVow()
		if err := a.finish(); err != nil {
			a.s.logf(settings.LogWarning, "Error writing to the AOF file: %s", reasonOf(err))
		}
		a.leave()
		a.mu.Lock()
		a.suspect.Store(0) // what is not kept cannot be lost
		a.wrote()
		a.mu.Unlock()
	}
	return nil
}

func (a *appender) cancelRewrite() {
	if a.rewriting != nil {
		a.s.logf(settings.LogNotice, "Killing running AOF rewrite child: it works inside of this process, and is called off")
		a.rewriting.cancel()
	}
}
