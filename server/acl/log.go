package acl

import (
	"slices"
	"time"
)

// Context is where a user was refused.
type Context string

// Contexts.
const (
	AtTop    Context = "toplevel"
	InMulti  Context = "multi"
	InScript Context = "lua"
)

// Entry is a line of the log.
type Entry struct {
	Count   int64
	Reason  Reason
	Context Context
	Object  string
	User    string
	Client  string    // as CLIENT INFO shows it
	At      time.Time // of the last one that Count counts
	ID      int64     // no two lines of a process have the same
	Created time.Time // the first one's At
}

// What happens again within this time, and stands among so many latest entries, is counted instead of noted anew.
const (
	groupTime   = time.Minute
	groupWithin = 10
)

// Log holds the latest refusals, the newest first.
type Log struct {
	entries []Entry
	made    int64
}

// Add notes a refusal; at most limit entries are kept.
func (l *Log) Add(e Entry, limit int) {
	e.Count, e.ID, e.Created = 1, l.made, e.At
	for i := range min(groupWithin, len(l.entries)) {
		o := l.entries[i]
		if o.Reason == e.Reason && o.Context == e.Context && o.Object == e.Object && o.User == e.User && e.At.Sub(o.At) <= groupTime {
			e.Count, e.ID, e.Created = o.Count+1, o.ID, o.Created
			l.entries = slices.Delete(l.entries, i, i+1)
			break
		}
	}
	if e.Count == 1 {
		l.made++
	}
	l.entries = slices.Insert(l.entries, 0, e)
	if len(l.entries) > limit {
		l.entries = slices.Clone(l.entries[:max(limit, 0)])
	}
}

// Latest is at most n entries.
func (l *Log) Latest(n int) []Entry { return l.entries[:max(0, min(n, len(l.entries)))] }

// Reset forgets everything but which IDs were given.
func (l *Log) Reset() { l.entries = nil }
