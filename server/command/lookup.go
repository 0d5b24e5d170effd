package command

import (
	"math"
	"strconv"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Error texts shared by many commands. Those with a leading dash carry a code of their own; the others get ERR.
const (
	errSyntax     = "syntax error"
	errWrongType  = "-WRONGTYPE Operation against a key holding the wrong kind of value"
	errNotInteger = "value is not an integer or out of range"
	errNotFloat   = "value is not a valid float"
	errNoKey      = "no such key"
	errSameObject = "source and destination objects are the same"
	errDBIndex    = "DB index is out of range"
	errOverflow   = "increment or decrement would overflow"
	errNaNOrInf   = "increment would produce NaN or Infinity"
	errTooLong    = "string exceeds maximum allowed size (proto-max-bulk-len)"
)

// LookupRead finds key for a command that reads it. An expired key counts as missing and stays for the expiry cycle,
// since reads change nothing.
func (c *Ctx) LookupRead(key []byte) (store.Entry, bool) {
	e, ok := c.quietRead(key)
	c.count(ok, key)
	return e, ok
}

// lookupUntouched is LookupRead for commands that look at a key without using it: the access clock stays.
func (c *Ctx) lookupUntouched(key []byte) (store.Entry, bool) {
	e, ok := c.DB.Peek(key)
	ok = ok && !c.hides(e)
	c.count(ok, key)
	return e, ok
}

// quietRead is LookupRead without counting.
func (c *Ctx) quietRead(key []byte) (store.Entry, bool) {
	if c.FromMaster {
		return c.DB.Peek(key)
	}
	if c.NoTouch {
		e, ok := c.DB.Peek(key)
		return e, ok && !c.hides(e)
	}
	return c.DB.Get(key, c.Now)
}

func (c *Ctx) count(hit bool, key []byte) {
	if hit {
		c.Hits++
		return
	}
	c.Misses++
	c.Notify(EventKeyMiss, "keymiss", key)
}

// LookupWrite finds key for a command that changes it. On a master an expired key is deleted first, and its deletion is
// an effect before the command's own; a replica hides it from clients, and shows it to its master's stream.
func (c *Ctx) LookupWrite(key []byte) (store.Entry, bool) {
	return c.lookupWriteIn(c.DB, c.DBIndex, key)
}

// lookupCounted is LookupWrite for a write command that answers with the value: it counts as a read too.
func (c *Ctx) lookupCounted(key []byte) (store.Entry, bool) {
	e, ok := c.LookupWrite(key)
	c.count(ok, key)
	return e, ok
}

func (c *Ctx) lookupWriteIn(db *store.DB, index int, key []byte) (store.Entry, bool) {
	var e store.Entry
	var ok bool
	if c.NoTouch {
		e, ok = db.Peek(key)
	} else {
		e, ok = db.Use(key, c.Now)
	}
	if !ok || !c.expired(e) {
		return e, ok
	}
	if !c.Replica || c.WritableReplica {
		c.deleteExpired(db, index, key)
	}
	return store.Entry{}, false
}

func (c *Ctx) expired(e store.Entry) bool {
	return !c.FromMaster && e.Expired(c.Now)
}

// hides is expired for commands that only read: the key stays until the engine comes to it.
func (c *Ctx) hides(e store.Entry) bool {
	if !c.expired(e) {
		return false
	}
	e.MetExpired()
	return true
}

// DeleteExpired removes a key whose time has come and makes that an effect. The expiry cycle of a master uses it too.
func (c *Ctx) DeleteExpired(key []byte) { c.deleteExpired(c.DB, c.DBIndex, key) }

func (c *Ctx) deleteExpired(db *store.DB, index int, key []byte) {
	if !c.deleteAs(db, key, c.Conf != nil && c.Conf.LazyfreeExpire) {
		return
	}
	c.Expired++
	if !c.Unheard {
		c.effects.add(index, [][]byte{c.expiryVerb(), key})
	}
	c.notifyDB(index, EventExpired, "expired", key)
	c.goneDB(index, key)
}

// deleteAs deletes a key for a reason of its own: other deletions count as lazyfree-lazy-server-del says.
func (c *Ctx) deleteAs(db *store.DB, key []byte, lazy bool) bool {
	was := c.Store.CountLazy(lazy)
	defer c.Store.CountLazy(was)
	return db.Delete(key)
}

// Evict removes a key to make room, and makes that an effect; false when there is no such key.
func (c *Ctx) Evict(key []byte) bool {
	if !c.deleteAs(c.DB, key, c.Conf != nil && c.Conf.LazyfreeEviction) {
		return false
	}
	if !c.Unheard {
		verb := verbDel
		if c.Conf != nil && c.Conf.LazyfreeEviction {
			verb = verbUnlink
		}
		c.effects.add(c.DBIndex, [][]byte{verb, key})
	}
	c.Notify(EventEvicted, "evicted", key)
	c.goneDB(c.DBIndex, key)
	return true
}

var (
	verbDel       = []byte("DEL")
	verbUnlink    = []byte("UNLINK")
	verbSet       = []byte("SET")
	verbHSet      = []byte("HSET")
	verbPExpireAt = []byte("PEXPIREAT")
	verbPersist   = []byte("PERSIST")
	wordPXAT      = []byte("PXAT")
	wordKeepTTL   = []byte("KEEPTTL")
)

// expiryVerb is how the deletion of an expired key is propagated.
func (c *Ctx) expiryVerb() []byte {
	if c.Conf != nil && c.Conf.LazyfreeExpire {
		return verbUnlink
	}
	return verbDel
}

func (c *Ctx) modifiedDB(db int, key []byte) {
	if c.Env != nil {
		c.Env.Modified(db, key)
	}
}

func (c *Ctx) goneDB(db int, key []byte) {
	if c.Env != nil {
		c.Env.Expired(db, key)
	}
}

// isString checks the type of a value, or replies with an error.
func (c *Ctx) isString(e store.Entry) bool {
	if e.Kind() == store.String {
		return true
	}
	c.Out.Error(errWrongType)
	return false
}

// blobFrom is the length from which a value is sent in place instead of being copied into the reply.
const blobFrom = 16 << 10

// value appends a string value as a bulk reply.
func (c *Ctx) value(e store.Entry) { writeValue(c.Out, e) }

func writeValue(w *resp.Writer, e store.Entry) {
	if n, ok := e.Int(); ok {
		w.BulkInt(n)
		return
	}
	n := e.StrLen()
	if n >= blobFrom {
		if b := e.Blob(); b != nil {
			w.BulkRef(resp.Blob(b))
			return
		}
	}
	e.AppendString(w.BeginBulk(n)[:0])
}

// bytes returns the value of a string; the slice may point into the store and is good until the next write.
func (c *Ctx) bytes(e store.Entry) []byte {
	return e.Bytes(c.scratch[:0])
}

// decimal writes n into the context's scratch memory.
func (c *Ctx) decimal(n int64) []byte {
	c.scratch = strconv.AppendInt(c.scratch[:0], n, 10)
	return c.scratch
}

// intArg reads an integer argument, or replies with an error.
func (c *Ctx) intArg(i int) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok {
		c.Out.Error(errNotInteger)
	}
	return n, ok
}

// dbArg reads a database's number, or replies with an error.
func (c *Ctx) dbArg(i int) (int, bool) {
	n, ok := c.intArg(i)
	switch {
	case !ok:
		return 0, false
	case n < -1<<31 || n > 1<<31-1:
		c.Out.Error("value is out of range, value must between -2147483648 and 2147483647")
		return 0, false
	case n < 0 || n >= int64(c.Store.Databases()):
		c.Out.Error(errDBIndex)
		return 0, false
	}
	return int(n), true
}

// is compares an argument with an option's name in lower case, without regard to case.
func (c *Ctx) is(i int, word string) bool { return IsWord(c.Args[i], word) }

// lengthOK checks that a string of n bytes may grow by more, or replies with an error.
func (c *Ctx) lengthOK(n, more int64) bool {
	if n <= math.MaxInt64-more && (c.FromMaster || n+more <= c.maxBulk()) {
		return true
	}
	c.Out.Error(errTooLong)
	return false
}

// touched is what every change of a value ends in.
func (c *Ctx) touched(class EventClass, event string, key []byte) {
	c.Modified(key)
	c.Notify(class, event, key)
	c.Dirty(1)
}

// born announces a key that did not exist before.
func (c *Ctx) born(existed bool, key []byte) {
	if !existed {
		c.Notify(EventNew, "new", key)
	}
}

// Help replies with the help of a container command: lines alternate between a form and its indented explanation.
func (c *Ctx) Help(container string, lines ...string) {
	c.Out.Array(len(lines) + 3)
	c.Out.Simple(container + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, l := range lines {
		c.Out.Simple(l)
	}
	c.Out.Simple("HELP")
	c.Out.Simple("    Prints this help.")
}
