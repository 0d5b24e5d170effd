package saving

import (
	"time"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/oplog"
)

// What only replicas get is told at once for so many times behind commands, then every notePeriod while there is nothing else: a
// flood of PUBLISH must not fill the file.
const (
	loneNotes  = 16
	notePeriod = 100 * time.Millisecond
)

// place appends the note of the place at the end, if it must be told though no command follows; alone means that none was written
// now. A new history is told at once, and so is what only replicas get (GETACK, PUBLISH, PING), since after a crash the file must
// not end before its replicas. soon means that under always nobody waits for the disk: the goroutine syncs it, lest every WAIT
// costs two syncs. a.mu is held.
func (a *appender) place(dst []byte, n *aof.Notes, at oplog.Mark, alone bool) (out []byte, soon bool) {
	if !alone {
		a.lone = 0
	}
	if !at.Whole || at.ID == "" {
		return dst, false
	}
	p, since := n.Place(), time.Since(a.lastNote)
	if p.ID == at.ID && (p.Offset == at.Offset || alone && a.lone >= loneNotes && since < notePeriod) {
		return dst, false
	}
	if alone {
		soon = since < notePeriod && p.ID == at.ID
		a.lastNote = time.Now()
		a.lone++
	}
	return n.At(dst, aof.Place{ID: at.ID, Offset: at.Offset}), soon
}
