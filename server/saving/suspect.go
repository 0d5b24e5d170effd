package saving

import (
	"errors"
	"fmt"

	"github.com/understudy-db/understudy/server/settings"
)

// A sync that failed may have lost what it was to keep, and none that succeeds later tells: the system forgets pages that the
// disk did not take. So from then on the part in hand, and those before it, are suspect: writes are refused, and a rewrite is
// made, because memory still has everything. When its base is on disk nothing depends on the suspect parts any more; until
// one succeeds they are tried again and again, as the disk may be back at any time.
//
//	sync fails ──▶ suspect: part n, writes refused ──rewrite──▶ base m > n on disk, manifest without part n ──▶ writes go on
//
// appender.suspect is the number of the last increment whose sync failed, 0 for none.

var errSuspect = errors.New("a sync of the append-only file failed: it has to be rewritten first")

// syncFailed notes that a sync of inc failed, and tells whether that matters: not when a rewrite has made inc history. Under
// always the process ends. a.mu is held.
func (a *appender) syncFailed(inc *increment, err error) bool {
	if inc.part.Seq < a.needed {
		a.unsynced = a.unsynced && a.inc != inc
		return false
	}
	a.unsynced = true
	if a.always() {
		a.writeFailed(fmt.Errorf("fsync: %w", err), true)
		return true
	}
	if a.suspect.Swap(inc.part.Seq) != inc.part.Seq {
		a.s.logf(settings.LogWarning, "Fail to fsync the AOF file: %s. What it was to keep may be lost: the file is rewritten, and writes are refused until that has succeeded", reasonOf(err))
	}
	a.writeFailed(fmt.Errorf("fsync: %w", err), false)
	return true
}

// isSuspect reports whether a rewrite must replace the parts.
func (a *appender) isSuspect() bool { return a.suspect.Load() != 0 && a.is(appendOn) }

// replacedParts is told of a rewrite that succeeded: all parts before inc are history. Without inc nothing is appended to
// what was made.
func (a *appender) replacedParts(inc *increment) {
	if inc == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.needed = inc.part.Seq
	if a.inc != nil && a.inc.part.Seq < a.needed && a.suspect.Load() != 0 {
		a.unsynced = false // inc need not wait for what nobody reads any more
	}
	if a.suspect.Load() < a.needed {
		a.suspect.Store(0)
	}
	a.wake()
}
