package saving

import (
	"fmt"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/settings"
)

// CONFIG SET appendonly no leaves an append-only file behind that is older than the data set from the next write on. A start
// with appendonly yes would load it, as redis-server does, and what was saved in an RDB meanwhile would be gone. So a mark
// beside the parts gives the left file a name, and the RDBs that this data set is saved in carry it: one that does is newer
// than the file. No clock is asked, and the manifest decides whether the mark is still about it:
//
//	appendonly no ──▶ mark: name x, base 7 ──▶ save: RDB of x ──▶ start with appendonly yes: the RDB is loaded, base 8 made of it
//	                                     └──▶ no save ─────────▶ start with appendonly yes: base 7 and its increments, as ever
//	                                     └──▶ appendonly yes ──▶ base 8: the mark says nothing any more
//
// An RDB that does not carry the name may be older than the file: it was saved before, or the data set in memory began with
// such a one. Then the file is loaded.
const (
	leftMark  = "understudy.left"
	leftField = "understudy-left"
)

type leftFile struct {
	id   string
	base int64
}

// leave marks the file as left. The engine's lock is held; a rewrite that is being called off is waited for elsewhere.
func (a *appender) leave() {
	if a.files.TryLock() {
		defer a.files.Unlock()
		a.s.left = a.markLeft()
		return
	}
	a.s.work.Go(func() {
		a.files.Lock()
		id := ""
		if a.is(appendOff) {
			id = a.markLeft()
		}
		a.files.Unlock()
		a.s.e.Exclusive(func() {
			if a.is(appendOff) {
				a.s.left = id
			}
		})
	})
}

// markLeft writes the mark and returns the name in it, "" when there is nothing to mark. a.files is held.
func (a *appender) markLeft() string {
	m := a.files.m
	if m == nil || m.Base == nil {
		return ""
	}
	d, id := a.dir(), oplog.RandomID()
	if err := fsys.ReplaceBytes(a.s.fs, d.Part(leftMark), fmt.Appendf(nil, "%s %d\n", id, m.Base.Seq)); err != nil {
		a.s.logf(settings.LogWarning, "The append-only file in %s cannot be marked as left behind (%v): remove it before the next start with appendonly yes", d.Path, err)
		return ""
	}
	return id
}

// readLeft is the mark on the file of m, ok false when there is none.
func (a *appender) readLeft(m *aof.Manifest) (l leftFile, ok bool) {
	text, err := fsys.ReadFile(a.s.fs, a.dir().Part(leftMark))
	if err != nil || m == nil || m.Base == nil {
		return l, false
	}
	n, _ := fmt.Sscanf(string(text), "%s %d\n", &l.id, &l.base)
	return l, n == 2 && l.base == m.Base.Seq
}

// outdated reports whether the RDB holds what was written since the file of m was left.
func (a *appender) outdated(m *aof.Manifest) bool {
	l, ok := a.readLeft(m)
	if !ok {
		return false
	}
	f, err := a.s.fs.Open(a.s.Path())
	if err != nil {
		return false
	}
	defer f.Close()
	for r := rdb.NewReader(f, rdb.Limits{SkipChecksum: true}); ; {
		e, err := r.Next()
		if err != nil || e.Kind != rdb.Aux {
			return false
		}
		if string(e.Key) == leftField {
			return string(e.Value) == l.id
		}
	}
}
