package command

import (
	"bytes"

	"github.com/understudy-db/understudy/server/store"
)

func cmdDel(c *Ctx) { c.del(c.Conf != nil && c.Conf.LazyfreeUserDel) }

// cmdUnlink differs in what is counted: every deletion frees big values in the background.
func cmdUnlink(c *Ctx) { c.del(true) }

func (c *Ctx) del(lazy bool) {
	deleted := 0
	keys := c.Args[1:]
	for i, key := range keys {
		if i%store.WarmGroup == 0 {
			c.DB.WarmNext(keys[i:], 1)
		}
		if _, found := c.LookupWrite(key); found && c.deleteAs(c.DB, key, lazy) {
			c.touched(EventGeneric, "del", key)
			deleted++
		}
	}
	c.Out.Int(int64(deleted))
}

func cmdExists(c *Ctx) { c.countKeys(true, c.lookupUntouched) }

func cmdTouch(c *Ctx) {
	if !c.NoBlocking { // in a script it is the script that runs for the client
		c.NoTouch = false
	}
	c.countKeys(false, c.LookupRead)
}

func (c *Ctx) countKeys(untouched bool, lookup func(key []byte) (store.Entry, bool)) {
	if c.lookedUp() || c.longLookups(untouched, nil) {
		return
	}
	n := int64(0)
	keys := c.Args[1:]
	for i, key := range keys {
		if i%store.WarmGroup == 0 {
			c.DB.WarmNext(keys[i:], 1)
		}
		if _, ok := lookup(key); ok {
			n++
		}
	}
	c.Out.Int(n)
}

func cmdType(c *Ctx) {
	if e, ok := c.lookupUntouched(c.Args[1]); ok {
		c.Out.Simple(e.Kind().String())
	} else {
		c.Out.Simple("none")
	}
}

func cmdRandomkey(c *Ctx) {
	e, ok := c.DB.RandomKey(c.Random(), c.Now)
	if ok && (c.Replica || !c.hides(e)) { // a replica shows an expired key when there is nothing else, as in Redis
		c.Out.Bulk(e.Key())
	} else {
		c.Out.Null()
	}
}

func cmdRename(c *Ctx) {
	if _, ok := c.rename(false); ok {
		c.Out.OK()
	}
}

func cmdRenamenx(c *Ctx) {
	if renamed, ok := c.rename(true); ok {
		c.Out.Int(boolInt(renamed))
	}
}

// rename moves argument 1 to argument 2; ok is false after an error reply.
func (c *Ctx) rename(nx bool) (renamed, ok bool) {
	from, to := c.Args[1], c.Args[2]
	if _, found := c.LookupWrite(from); !found {
		c.Out.Error(errNoKey)
		return false, false
	}
	if bytes.Equal(from, to) {
		return false, true
	}
	_, taken := c.LookupWrite(to)
	if taken && nx {
		return false, true
	}
	if taken {
		c.DB.Delete(to)
	}
	c.DB.Rename(from, to)
	c.Notify(EventNew, "new", to)
	c.Modified(from)
	c.Modified(to)
	c.Notify(EventGeneric, "rename_from", from)
	c.Notify(EventGeneric, "rename_to", to)
	c.Dirty(1)
	return true, true
}

func cmdMove(c *Ctx) {
	key := c.Args[1]
	to, ok := c.dbArg(2)
	if !ok {
		return
	}
	if to == c.DBIndex {
		c.Out.Error(errSameObject)
		return
	}
	if _, found := c.LookupWrite(key); !found {
		c.Out.Int(0)
		return
	}
	target := c.Store.DB(to)
	if _, taken := c.lookupWriteIn(target, to, key); taken {
		c.Out.Int(0)
		return
	}
	c.DB.Move(key, target)
	c.notifyDB(to, EventNew, "new", key)
	c.Modified(key)
	c.modifiedDB(to, key)
	c.Notify(EventGeneric, "move_from", key)
	c.notifyDB(to, EventGeneric, "move_to", key)
	c.Dirty(1)
	c.Out.Int(1)
}

func cmdCopy(c *Ctx) {
	from, to := c.Args[1], c.Args[2]
	index, replace := c.DBIndex, false
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.is(i, "replace"):
			replace = true
		case c.is(i, "db") && i+1 < len(c.Args):
			var ok bool
			if index, ok = c.dbArg(i + 1); !ok {
				return
			}
			i++
		default:
			c.Out.Error(errSyntax)
			return
		}
	}
	if index == c.DBIndex && bytes.Equal(from, to) {
		c.Out.Error(errSameObject)
		return
	}
	target := c.Store.DB(index)
	_, found := c.lookupCounted(from)
	if !found {
		c.Out.Int(0)
		return
	}
	if _, taken := c.lookupWriteIn(target, index, to); taken && !replace {
		c.Out.Int(0)
		return
	}
	e, _ := c.DB.Peek(from) // a lookup may have deleted a key, which makes handles stale
	if c.isLong(e.Size()) && c.longCopy(e, from, to, index) || e.Kind() == store.StreamKind && c.longCopyStream(e, from, to, index) {
		return
	}
	if expires := e.ExpireAt(); !c.attachIn(target, to) {
		c.DB.Copy(from, to, target)
	} else if expires > 0 {
		target.SetExpire(to, expires)
	}
	c.notifyDB(index, EventNew, "new", to)
	c.modifiedDB(index, to)
	c.notifyDB(index, EventGeneric, "copy_to", to)
	c.Dirty(1)
	c.Out.Int(1)
}

func cmdDbsize(c *Ctx) { c.Out.Int(int64(c.DB.Len())) }

func cmdEcho(c *Ctx) { c.Out.Bulk(c.Args[1]) }

// flushSyntax checks the option of FLUSHDB and FLUSHALL. Both ways answer at once here: a flush detaches the contents,
// and their memory is freed in the background; lazy says whether that is counted.
func (c *Ctx) flushSyntax() (lazy, ok bool) {
	switch {
	case len(c.Args) == 1:
		return c.Conf != nil && c.Conf.LazyfreeUserFlush, true
	case len(c.Args) == 2 && (c.is(1, "sync") || c.is(1, "async")):
		return c.is(1, "async"), true
	}
	c.Out.Error(errSyntax)
	return false, false
}

func cmdFlushdb(c *Ctx) {
	lazy, ok := c.flushSyntax()
	if !ok {
		return
	}
	was := c.Store.CountLazy(lazy)
	defer c.Store.CountLazy(was)
	c.Dirty(c.DB.Len())
	if c.Env != nil {
		c.Env.Flushed(c.DBIndex)
	}
	c.Store.FlushDB(c.DBIndex)
	c.ForcePropagate(0)
	c.Out.OK()
}

func cmdFlushall(c *Ctx) {
	lazy, ok := c.flushSyntax()
	if !ok {
		return
	}
	was := c.Store.CountLazy(lazy)
	defer c.Store.CountLazy(was)
	for i := range c.Store.Databases() {
		c.Dirty(c.Store.DB(i).Len())
	}
	if c.Env != nil {
		c.Env.Flushed(-1)
	}
	c.Store.FlushAll()
	c.ForcePropagate(0)
	c.Out.OK()
}

func cmdSwapdb(c *Ctx) {
	var index [2]int
	for i, which := range [...]string{"first", "second"} {
		n, ok := ParseInt(c.Args[1+i])
		if !ok || n < -1<<31 || n > 1<<31-1 {
			c.Out.Error("invalid " + which + " DB index")
			return
		}
		index[i] = int(n)
	}
	a, b := index[0], index[1]
	if n := c.Store.Databases(); a < 0 || a >= n || b < 0 || b >= n {
		c.Out.Error(errDBIndex)
		return
	}
	if a != b {
		c.Store.SwapDB(a, b)
		if c.Env != nil {
			c.Env.Swapped(a, b, c.Now)
		}
	}
	c.Dirty(1)
	c.Out.OK()
}
