package command

import (
	"bytes"
	"slices"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Reads to which the client names very many keys or elements look them up little by little. They pin nothing, since that would
// be a walk through all of a big value for a few of its elements: what they look at is watched as the source of a result, and
// looked up anew when it has changed. The command is executed again in the end, with Made.reply.

// namedReply is what such a read has to say.
type namedReply struct {
	reply *resp.Pieces
	whole bool // to its end
}

// readNamed replies with an array of what put writes of each of many elements of a value, a group of them at a time, or missing
// when there is no value. kind is that of the value; another one is an error.
func (c *Ctx) readNamed(kind store.Kind, missing func(w *resp.Writer), put func(w *resp.Writer, e store.Entry, names [][]byte)) {
	key, names := c.Args[1], c.Args[2:]
	e, found := c.LookupRead(key)
	switch {
	case found && e.Kind() != kind:
		c.Out.Error(errWrongType)
	case c.made != nil && c.made.named != nil:
		c.made.named.reply.MoveTo(c.Out)
	case found && c.isLong(len(names)) && c.longNamed(kind, put):
	default:
		c.Out.Array(len(names))
		if found {
			put(c.Out, e, names)
			return
		}
		for range names {
			missing(c.Out)
		}
	}
}

// longNamed is readNamed of so many elements that it goes on after its handler.
func (c *Ctx) longNamed(kind store.Kind, put func(w *resp.Writer, e store.Entry, names [][]byte)) bool {
	return c.longMade(c.Args[1], c.Args[1:2], func(m *Made) *Long {
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: func() {}}
		db, key, names := c.DB, m.Sources[0], c.Args[2:]
		m.named = &namedReply{reply: l.Reply}
		l.Reply.Head().Array(len(names))
		l.Step = func() bool {
			e, found := db.Peek(key)
			if !found || e.Kind() != kind {
				return true // it has changed, so what was seen is of no use
			}
			n := min(longStep, len(names))
			put(l.Reply.Next(), e, names[:n])
			names = names[n:]
			m.named.whole = len(names) == 0
			return m.named.whole
		}
		return l
	})
}

// lookups are of keys that the client names: a key of them that changes makes what was found useless.
type lookups struct {
	keys    map[string]struct{} // nil before the first lookup
	expires int64               // the earliest time at which a key that was found goes, 0 for none
	n       int64               // keys that were found
	missed  int64
	counts  bool // their number is the reply
}

func (k *lookups) sees(key []byte) bool {
	_, is := k.keys[string(key)]
	return is
}

func (k *lookups) found(e store.Entry, there bool) {
	if !there {
		k.missed++
		return
	}
	k.n++
	if at := e.ExpireAt(); at > 0 && (k.expires == 0 || at < k.expires) {
		k.expires = at
	}
}

// longLookups looks up all arguments, with what put writes of each as an array, or with how many there are as the reply when
// it is nil. untouched: the keys are looked at, not used.
func (c *Ctx) longLookups(untouched bool, put func(w *resp.Writer, e store.Entry, found bool)) bool {
	if n := len(c.Args) - 1; !c.isLong(n) || c.Conf != nil && c.Conf.NotifyEvents&EventKeyMiss != 0 {
		return false
	}
	return c.longMade(c.Args[1], c.Args[1:2], func(m *Made) *Long {
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: func() {}}
		db, now, keys := c.DB, c.Now, c.Args[1:]
		leave := untouched || c.NoTouch
		m.named, m.lookups = &namedReply{reply: l.Reply}, &lookups{counts: put == nil}
		if put != nil {
			l.Reply.Head().Array(len(keys))
		}
		var listed map[string]struct{}
		all := keys
		l.Between = func() { listed = setOf(all) }
		l.Step = func() bool {
			if m.lookups.keys == nil {
				if m.lookups.keys = listed; listed == nil {
					return true
				}
			}
			n := min(longStep, len(keys))
			for i, key := range keys[:n] {
				if i%store.WarmGroup == 0 {
					db.WarmNext(keys[i:n], 1)
				}
				e, found := lookAt(db, key, now, leave)
				m.lookups.found(e, found)
				if put != nil {
					put(l.Reply.Next(), e, found)
				}
			}
			keys = keys[n:]
			m.named.whole = len(keys) == 0
			return m.named.whole
		}
		return l
	})
}

func setOf(keys [][]byte) map[string]struct{} {
	set := make(map[string]struct{}, len(keys))
	for _, key := range keys {
		set[string(key)] = struct{}{}
	}
	return set
}

// lookAt finds a key that is not past its time, and perhaps uses it.
func lookAt(db *store.DB, key []byte, now int64, untouched bool) (e store.Entry, found bool) {
	if !untouched {
		return db.Get(key, now)
	}
	if e, found = db.Peek(key); found && e.Expired(now) {
		e.MetExpired()
		return e, false
	}
	return e, found
}

// lookedUp replies with what longLookups found, and counts it; false when there is nothing.
func (c *Ctx) lookedUp() bool {
	if c.made == nil || c.made.lookups == nil {
		return false
	}
	c.countLooked()
	if k := c.made.lookups; k.counts {
		c.Out.Int(k.n)
	} else {
		c.made.named.reply.MoveTo(c.Out)
	}
	return true
}

func (c *Ctx) countLooked() {
	c.Hits += c.made.lookups.n
	c.Misses += c.made.lookups.missed
}

// hllCost is how many elements that are read take the time of a HyperLogLog that is united with others.
const hllCost = 128

// longUnion unites the HyperLogLogs at all arguments. When PFMERGE meets an expired key, which has to go before, nothing comes of
// it.
func (c *Ctx) longUnion() bool {
	if !c.isLong((len(c.Args)-1)*hllCost) || c.Conf != nil && c.Conf.NotifyEvents&EventKeyMiss != 0 {
		return false
	}
	return c.longMade(c.Args[1], c.Args[1:2], func(m *Made) *Long {
		db, now, keys := c.DB, c.Now, slices.Clone(c.Args[1:])
		for i := 0; c.FromMaster && i < len(keys); i++ {
			keys[i] = bytes.Clone(keys[i]) // these are the stream's
		}
		leave, stays, goes := c.NoTouch, c.FromMaster, c.Cmd.IsWrite()
		look := func(key []byte) (e store.Entry, found, usable bool) {
			if e, found = db.Peek(key); !found || stays || goes && e.Expired(now) {
				return e, found, !found || stays
			}
			e, found = lookAt(db, key, now, leave)
			return e, found, true
		}
		m.union, m.lookups = &hllUnion{}, &lookups{}
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), End: func() {}}
		var listed map[string]struct{}
		l.Between = func() { listed = setOf(keys) }
		left := keys
		l.Step = func() bool {
			if m.lookups.keys = listed; listed == nil {
				return true
			}
			u := m.union
			if len(left) == 0 || u.problem != "" {
				u.whole = true
				return true
			}
			e, found, usable := look(left[0])
			if !usable {
				return true
			}
			if m.lookups.found(e, found); found {
				u.add(e)
			}
			left = left[1:]
			return false
		}
		return l
	})
}
