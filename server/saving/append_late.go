package saving

import (
	"time"

	"github.com/understudy-db/understudy/server/oplog"
)

// Replicas get what is in the file, so that none has more than a master that dies and comes back (S8): under always what is on
// disk, which holds after a power loss, too; under everysec and no what was written, which holds when the process alone dies.
//
// A write may block while the file is synced, so lanes do not write then (see postponed) and a goroutine of its own does. What it
// cannot write in lateEnough, nor where the disk is full or a rewrite's cut waits for the sync, replicas get all the same: a slow disk
// must not hold up the stream.

// lateEnough is how long replicas wait for a write while the file is synced, at least, and up to twice.
const lateEnough = 200 * time.Millisecond

// release lets replicas have what was written, or synced, up to a.at. The limit begins with the first write under the policy at
// hand. a.mu is held.
func (a *appender) release() {
	if a.is(appendOn) {
		a.lifted.Store(false)
		a.log.LimitReplicas(a.at.Pos)
	}
}

// lift lets replicas have everything, until the next write begins.
func (a *appender) lift() {
	a.lifted.Store(true)
	a.log.LimitReplicas(oplog.NoLimit)
}

// wakeLate has somebody else write what lanes do not.
func (a *appender) wakeLate() {
	select {
	case a.late <- struct{}{}:
	default:
	}
}

// writeLate is the goroutine that writes while the file is synced.
func (a *appender) writeLate() {
	for {
		select {
		case <-a.s.ctx.Done():
			return
		case <-a.late:
		}
		a.mu.Lock()
		if a.syncing.Load() && !a.always() {
			a.write(false)
		}
		a.mu.Unlock()
	}
}

// watchLate lifts the limit of replicas when nothing is written for too long; the returned function ends that.
func (a *appender) watchLate() (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(lateEnough)
		defer tick.Stop()
		var w lateWrite
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			if w.waits(a.settled.Load(), a.log.WholePos()) {
				a.lift()
			}
		}
	}()
	return func() { close(over); <-ended }
}

// lateWrite finds out, looking at times, whether the same write waits since it looked before. What came meanwhile has not waited yet,
// however long nothing else was written.
type lateWrite struct{ from int64 }

// waits is told up to where the file has the log, and where that ends.
func (w *lateWrite) waits(written, end int64) bool {
	if written >= end {
		w.from = 0
		return false
	}
	again := w.from == written+1
	w.from = written + 1
	return again
}
