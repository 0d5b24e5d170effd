package engine

import "github.com/understudy-db/understudy/server/oplog"

// The append-only file, as far as the engine knows it: somebody writes what the log holds for it, and is asked to before
// replies leave.

// OnSettle sets what brings the file to the end of the log, as far as its policy wants that before replies leave; nil when
// there is no file. It is called without the lock, or by a lane in the middle of its own long command, and must not take it.
// With strict nothing may leave before it is settled, not even what tells of a hold that is under way.
func (e *Engine) OnSettle(fn func(), strict bool) {
	e.strict.Store(strict)
	if fn == nil {
		e.settle.Store(nil)
		return
	}
	e.settle.Store(&fn)
}

// Settle returns when all effects so far are where a reply that shows them may leave: written to the file, or synced under
// appendfsync always. Lanes call it at the end of Run; whoever sends what came by other ways calls it before.
func (e *Engine) Settle() {
	if fn := e.settle.Load(); fn != nil {
		(*fn)()
	}
}

// SettleOthers is Settle before something leaves that another lane has made, which may be in the middle of its hold.
func (e *Engine) SettleOthers() {
	if e.strict.Load() {
		e.rlock() // its effects are in the log once its hold is over, or stands still in a long command
		e.mu.RUnlock()
	}
	e.Settle()
}

// wake tells the readers of the log about what was appended: the file first, so that after a crash of this process no
// replica has more than it (S8).
func (e *Engine) wake() {
	e.Settle()
	e.Log.Wake()
}

// Synced is up to where everything is in the append-only file and on disk: a position in the log, and the offset of the
// stream there.
type Synced struct{ Pos, Offset int64 }

// NoFile is what FileSynced says when no append-only file holds the data set.
var NoFile = Synced{-1, -1}

// SetFileSynced tells how far the append-only file is on disk. Whoever calls it may hold any lock; one calls at a time.
func (e *Engine) SetFileSynced(s Synced) {
	moved := e.fileSynced.pos.Swap(s.Pos) != s.Pos
	moved = e.fileSynced.offset.Swap(s.Offset) != s.Offset || moved
	if moved && e.onFileSynced != nil {
		e.onFileSynced()
	}
}

// FileSynced is what was told last. The two may be of different moments.
func (e *Engine) FileSynced() Synced {
	return Synced{e.fileSynced.pos.Load(), e.fileSynced.offset.Load()}
}

// OnFileSynced sets who is told of a change; fn must neither wait nor take a lock. Call it before clients come.
func (e *Engine) OnFileSynced(fn func()) { e.onFileSynced = fn }

// SetFileError makes writes fail because the append-only file cannot be written: "" ends that. The caller sets DiskError.
func (e *Engine) SetFileError(why string) {
	if why == "" {
		e.fileError.Store(nil)
		return
	}
	e.fileError.Store(&why)
}

// DiskRefusal is the answer to a write in the state DiskError.
func (e *Engine) DiskRefusal() string {
	if why := e.fileError.Load(); why != nil {
		return "-MISCONF Errors writing to the AOF file: " + *why
	}
	return errMisconf
}

// InTransaction reports whether a transaction is being executed: a cut must wait for its end. The lock must be held.
func (e *Engine) InTransaction() bool { return e.inExec }

// AppendSelect adds a SELECT for the file alone. The lock must be held exclusively.
func (e *Engine) AppendSelect(db int) {
	e.Log.Append(appendSelect(nil, db), oplog.ToFile)
}
