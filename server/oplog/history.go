package oplog

import (
	"fmt"
	"slices"
	"strings"
)

// noID is what Redis shows for "no second replication ID".
const noID = "0000000000000000000000000000000000000000"

// IDs is the pair of replication IDs. Bytes up to Second-1 belong to both histories; Second is -1 without a second ID,
// as INFO shows it.
type IDs struct {
	ID     string // the history that is appended to
	ID2    string // the one it continues
	Second int64  // first byte that the second history does not share (second_repl_offset)
	older  []past // what the second one continues, the newest last: Redis forgets it
}

// past is a history of which this one is the continuation: bytes below until belong to both.
type past struct {
	id    string
	until int64
}

// keptPast is how many histories are known beyond the two that INFO tells: a replica that missed so many more promotions goes on
// without a full sync.
const keptPast = 16

// shift opens the history id behind offset.
func (d IDs) shift(id string, offset int64) IDs {
	older := d.older
	if d.Second >= 0 {
		older = append(older[max(len(older)-keptPast+1, 0):len(older):len(older)], past{d.ID2, d.Second})
	}
	return IDs{ID: id, ID2: d.ID, Second: offset + 1, older: older}
}

// before is what is left of what this history shares with earlier ones when it goes back to where next is the first byte to come.
func (d IDs) before(next int64) IDs {
	d.Second = min(d.Second, next)
	d.older = slices.Clone(d.older)
	for i := range d.older {
		d.older[i].until = min(d.older[i].until, next)
	}
	return d
}

// until is the first byte that this history does not share with the one called id; known is false when it is not one that this
// history continues.
func (d IDs) until(id string) (next int64, known bool) {
	if strings.EqualFold(id, d.ID2) {
		return d.Second, true
	}
	for i := len(d.older) - 1; i >= 0; i-- {
		if strings.EqualFold(id, d.older[i].id) {
			return d.older[i].until, true
		}
	}
	return 0, false
}

// IDs returns the pair.
func (l *Log) IDs() IDs {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ids
}

// CreateBacklog starts to keep the stream for replicas of the given history. A log that kept nothing until now cannot
// vouch for the past, so it opens a new history (and returns true); one that already has a backlog is left as it is.
func (l *Log) CreateBacklog() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backlog {
		return false
	}
	l.ids = IDs{ID: l.newID(), ID2: noID, Second: -1}
	l.keepLocked()
	return true
}

// FreeBacklog ends what CreateBacklog started, at the end of repl-backlog-ttl. Writes are no longer counted from here
// on, so the history ends and a new ID is opened.
func (l *Log) FreeBacklog() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = IDs{ID: l.newID(), ID2: noID, Second: -1}
	l.backlog = false
	l.resetLocked(ToReplicas)
	l.wantLocked()
	l.trim()
}

// Restore is the place of a master that starts from a file which ended at offset of history id (S9): it opens a new
// history, and the old one is its second ID up to the recovered offset, so that replicas which have no more than that
// continue by partial resync; those that are behind as well, as far back as the tail goes, which may be nil.
func (l *Log) Restore(id string, offset int64, tail *Tail) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.placeLocked(IDs{ID: l.newID(), ID2: id, Second: offset + 1}, offset)
	l.adoptLocked(tail, id, offset)
}

// Follow puts the log at offset of the master's history id: after a full sync, or at the start of a replica that loaded
// its file. Nothing earlier is kept but the tail of that file; replicas of this server have to ask anew.
func (l *Log) Follow(id string, offset int64, tail *Tail) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.placeLocked(IDs{ID: id, ID2: noID, Second: -1}, offset)
	l.adoptLocked(tail, id, offset)
}

// Shift ends the current history here and opens a new one, of which the old is the second: a promotion. With an empty
// id a fresh one is made; a replica passes the one that its master answered with +CONTINUE.
func (l *Log) Shift(id string) IDs {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == "" {
		id = l.newID()
	}
	l.ids = l.ids.shift(id, l.offset.Load())
	l.selected = NoDB // whoever follows the new master was led by another one
	return l.ids
}

// GoBack takes what replicas were given behind offset out of the history, as if it had never been: heartbeats that this server has and
// its next master has not. They stay where they lie, since physical positions only grow: for nobody, or for the file alone where
// it reads them. Cursors of replicas end. The caller has looked that there are no effects among them. It is false when the log does not
// reach back so far.
func (l *Log) GoBack(offset int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.backlog || offset > l.offset.Load() || offset < l.start || l.wholePos.Load() != l.endPos.Load() {
		return false
	}
	l.resetLocked(ToReplicas)
	for n, back := len(l.blocks)-1, false; n >= 0 && !back; n-- {
		back = l.blocks[n].goBack(offset)
	}
	for c := range l.cursors { // of the file
		c.offset = min(c.offset, offset)
	}
	l.offset.Store(offset)
	l.whole = offset
	l.gaps = l.gaps[:gapBehind(l.gaps, offset)]
	l.ids = l.ids.before(offset + 1)
	return true
}

// Forget opens a new history without a past (DEBUG CHANGE-REPL-ID): every replica that reconnects needs a full sync.
func (l *Log) Forget() IDs {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = IDs{ID: l.newID(), ID2: noID, Second: -1}
	return l.ids
}

// SetBacklogSize follows a change of repl-backlog-size.
func (l *Log) SetBacklogSize(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size = max(n, 1)
	l.trim()
}

func (l *Log) placeLocked(ids IDs, offset int64) {
	l.resetLocked(ToAll)
	for _, b := range l.blocks {
		l.unload(b)
	}
	l.crowded()
	for _, b := range l.blocks {
		if b.data != nil {
			l.memory -= int64(b.size)
		}
	}
	clear(l.blocks) // not reused: a reader may still be sending from them
	l.blocks = l.blocks[:0]
	l.ids = ids
	l.offset.Store(offset)
	l.whole = offset
	l.keepLocked()
}

func (l *Log) keepLocked() {
	l.backlog, l.start, l.selected, l.gaps = true, l.offset.Load(), NoDB, nil
	l.wantLocked()
}

func (l *Log) wantLocked() {
	var t Target
	if l.backlog {
		t |= ToReplicas
	}
	if l.files > 0 {
		t |= ToFile
	}
	l.wanted.Store(uint32(t))
}

// Refusal says why a partial resync cannot be served. It prints as the line that Redis logs.
type Refusal struct{ text string }

func (r *Refusal) Error() string { return r.text }

// CanServe answers a PSYNC of the replica named who (for the text), which wants the byte numbered next of history id:
// nil, or the reason for a full sync.
func (l *Log) CanServe(who, id string, next int64) *Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := strings.EqualFold(id, l.ids.ID)
	until, known := l.ids.until(id)
	switch {
	case first:
	case id == "?":
		return refuse("Full resync requested by replica %s", who)
	case !known:
		return refuse("Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '%.40s', my replication IDs are '%s' and '%s')",
			id, l.ids.ID, l.ids.ID2)
	case next > until:
		return refuse("Partial resynchronization not accepted: Requested offset for second ID was %d, but I can reply up to %d", next, until)
	}
	end := l.offset.Load()
	if !l.backlog || next < l.start+1 || next > end+1 || l.withinLocked(next-1) {
		text := fmt.Sprintf("Unable to partial resync with replica %s for lack of backlog (Replica request was: %d).", who, next)
		if next > end+1 {
			text += fmt.Sprintf(" Warning: replica %s tried to PSYNC with an offset that is greater than the master replication offset (%d).", who, end)
		}
		return refuse("%s", text)
	}
	return nil
}

func refuse(format string, args ...any) *Refusal { return &Refusal{fmt.Sprintf(format, args...)} }
