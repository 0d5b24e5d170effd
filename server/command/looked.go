package command

import (
	"bytes"

	"github.com/understudy-db/understudy/server/store"
)

// looked are lookups of keys that patterns lead to from elements, in the database as it is: the engine tells of every key that
// changes (Made.Sees), and one of those that are looked up makes what was found useless. To watch each of them would take a
// record for each; the elements are there anyway.
type looked struct {
	db       *store.DB
	now      int64
	alive    bool // a stream is applied, in which keys live until they are deleted
	patterns []lookPattern
	elements map[string]struct{}
	armed    bool
	torn     bool
	expires  int64 // the earliest time at which a key that was found goes, 0 for none
}

// lookPattern is what stands in a key before and behind an element.
type lookPattern struct{ before, after []byte }

func (c *Ctx) newLooked(patterns [][]byte) *looked {
	k := &looked{db: c.DB, now: c.Now, alive: c.FromMaster}
	for _, p := range patterns {
		if before, after, _, ok := splitPattern(p); ok {
			k.patterns = append(k.patterns, lookPattern{before, after})
		}
	}
	return k
}

// expect tells which elements there are.
func (k *looked) expect(items []sortItem) {
	k.elements = make(map[string]struct{}, len(items))
	for i := range items {
		k.elements[string(items[i].element)] = struct{}{}
	}
}

func (k *looked) ready()      { k.armed = true }
func (k *looked) whole() bool { return !k.torn }
func (k *looked) end()        {}

// sees tells whether a key that has changed is one of those that are looked up.
func (k *looked) sees(key []byte) bool {
	if !k.armed {
		return false
	}
	for _, p := range k.patterns {
		if n := len(p.before) + len(p.after); len(key) < n || !bytes.HasPrefix(key, p.before) || !bytes.HasSuffix(key, p.after) {
			continue
		}
		if _, is := k.elements[string(key[len(p.before):len(key)-len(p.after)])]; is {
			return true
		}
	}
	return false
}

// stale tells whether what was found may be wrong at a time, 0 for any.
func (k *looked) stale(now int64) bool { return k.torn || k.expires > 0 && now >= k.expires }

// follow is Ctx.follow under the shared lock. A key whose time is over is for the last hold, which deletes it.
func (k *looked) follow(pattern, element []byte) (value []byte, found bool) {
	if string(pattern) == "#" {
		return element, true
	}
	key, field, ok := leadsTo(pattern, element)
	if !ok {
		return nil, false
	}
	e, found := k.db.Peek(key)
	if !found {
		return nil, false
	}
	if at := e.ExpireAt(); at > 0 && !k.alive {
		if e.Expired(k.now) {
			k.torn = true
			return nil, false
		}
		if k.expires == 0 || at < k.expires {
			k.expires = at
		}
	}
	switch {
	case field == nil && e.Kind() == store.String:
		return e.AppendString(nil), true
	case field != nil && e.Kind() == store.HashKind:
		h := e.Hash()
		return h.Get(field)
	}
	return nil, false
}
