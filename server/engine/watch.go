package engine

import (
	"github.com/understudy-db/understudy/server/command"
)

// watch is one key that one client watches.
type watch struct {
	c       *Client
	db      int
	key     string
	expired bool // it was past its time when WATCH came: that it goes away later is no change
}

func (e *Engine) watchKeys(ctx *command.Ctx) {
	c := Of(ctx)
	if c.Has(InMulti) {
		ctx.Out.Error("WATCH inside MULTI is not allowed")
		return
	}
	if !c.casBroken {
		for _, key := range ctx.Args[1:] {
			e.watchKey(c, ctx, key)
		}
	}
	ctx.Out.OK()
}

func (e *Engine) watchKey(c *Client, ctx *command.Ctx, key []byte) {
	there := e.watched[c.DB][string(key)]
	if len(c.watches) < len(there) {
		there = c.watches
	}
	for _, w := range there {
		if w.c == c && w.db == c.DB && w.key == string(key) {
			return
		}
	}
	w := &watch{c: c, db: c.DB, key: string(key), expired: e.expiredKey(c.DB, key, ctx.Now)}
	c.watches = append(c.watches, w)
	c.watchBytes += watchSize + len(w.key)
	e.AddClientBytes(watchSize + int64(len(w.key)))
	if e.watched[c.DB] == nil {
		e.watched[c.DB] = map[string][]*watch{}
	}
	e.watched[c.DB][w.key] = append(e.watched[c.DB][w.key], w)
}

// expiredKey tells whether the key is there but past its time.
func (e *Engine) expiredKey(db int, key []byte, now int64) bool {
	entry, ok := e.store.DB(db).Peek(key)
	return ok && entry.Expired(now)
}

func (e *Engine) unwatch(ctx *command.Ctx) {
	e.forgetWatches(Of(ctx))
	ctx.Out.OK()
}

func (e *Engine) forgetWatches(c *Client) {
	for _, w := range c.watches {
		list := e.watched[w.db][w.key]
		for i := range list {
			if list[i] == w {
				list[i] = list[len(list)-1]
				list[len(list)-1] = nil
				list = list[:len(list)-1]
				break
			}
		}
		if len(list) == 0 {
			delete(e.watched[w.db], w.key)
		} else {
			e.watched[w.db][w.key] = list
		}
	}
	e.AddClientBytes(-int64(c.watchBytes))
	c.watches, c.casBroken, c.watchBytes = nil, false, 0
}

// watchBroken tells whether EXEC must answer null: a watched key changed, or ran out of time, since WATCH.
func (l *Lane) watchBroken(c *Client) bool {
	if c.casBroken {
		return true
	}
	for _, w := range c.watches {
		if !w.expired && l.e.expiredKey(w.db, []byte(w.key), l.ctx.Now) {
			return true
		}
	}
	return false
}

// CASBroken reports whether EXEC would answer null because of a watched key. The lock must be held.
func (c *Client) CASBroken() bool { return c.casBroken }

// env is what handlers see of the engine.
type env struct {
	e *Engine
	l *Lane
}

var _ command.Env = (*env)(nil)

func (v *env) Modified(db int, key []byte) {
	if v.e.tracking.on {
		by, script := v.caller()
		v.e.trackedChange(key, by, script)
	}
	v.modified(db, key)
}

// Expired is Modified for a key that nobody's command took away.
func (v *env) Expired(db int, key []byte) {
	if v.e.tracking.on {
		v.e.trackedChange(key, nil, false)
	}
	v.modified(db, key)
}

// caller is the client whose command runs, and whether it does so in a script.
func (v *env) caller() (c *Client, script bool) {
	c = Of(&v.l.ctx)
	if c != nil && c.caller != nil {
		return c.caller, true
	}
	return c, false
}

func (v *env) modified(db int, key []byte) {
	v.e.changed(db, key)
	m := v.e.watched[db]
	if len(m) == 0 {
		return
	}
	v.e.longs.changed(db, key)
	list := m[string(key)]
	if len(list) == 0 {
		return
	}
	_, there := v.e.store.DB(db).Peek(key)
	for _, w := range list {
		if w.expired && !there {
			w.expired = false // it had expired before WATCH: now it is gone too, which is no change
			continue
		}
		w.c.casBroken = true
	}
}

// Flushed breaks the watches on the keys that are about to go: one on a missing key is not changed by a flush.
func (v *env) Flushed(db int) {
	if v.e.tracking.on {
		v.e.trackedFlush()
	}
	for i, m := range v.e.watched {
		if db < 0 || i == db {
			v.e.waits.flushed(i)
			v.replaced(m, i, -1, 0)
		}
	}
}

// Swapped breaks the watches of both databases where a key is, or comes, under that name. The databases have changed
// places already.
func (v *env) Swapped(a, b int, now int64) {
	v.e.swapped(a)
	v.e.swapped(b)
	v.replaced(v.e.watched[a], b, a, now)
	v.replaced(v.e.watched[b], a, b, now)
}

// replaced breaks the watches in m whose contents move from database before to database after (-1: to nothing). A key
// that was expired at WATCH and is expired or gone now has not changed.
func (v *env) replaced(m map[string][]*watch, before, after int, now int64) {
	for key, list := range m {
		_, here := v.e.store.DB(before).Peek([]byte(key))
		there, stale := false, false
		if after >= 0 {
			_, there = v.e.store.DB(after).Peek([]byte(key))
			stale = v.e.expiredKey(after, []byte(key), now)
		}
		if !here && !there {
			continue
		}
		for _, w := range list {
			switch {
			case w.expired && !there:
				w.expired = false
			case w.expired && stale:
			case !w.expired && !here && stale:
				w.expired = true
			default:
				w.c.casBroken = true
			}
		}
	}
}

// Notify publishes a keyspace event.
func (v *env) Notify(db int, class command.EventClass, event string, key []byte) {
	if v.e.notify != nil {
		v.e.notify(db, class, event, key)
	}
}
