package command

import (
	"math"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// stringOptions are the options of SET and GETEX.
type stringOptions struct {
	nx, xx, get, keepTTL, persist bool
	expire                        int // position of the time argument; 0: none
	seconds, relative             bool
}

// timeOption sets the expiry option named by an argument; false when another one excludes it.
func (o *stringOptions) timeOption(i int, seconds, relative bool) bool {
	same := o.expire == 0 || o.seconds == seconds && o.relative == relative
	if o.keepTTL || o.persist || !same {
		return false
	}
	o.expire, o.seconds, o.relative = i+1, seconds, relative
	return true
}

// parseStringOptions reads the options from argument i on; set chooses SET's, otherwise GETEX's.
func (c *Ctx) parseStringOptions(i int, set bool) (o stringOptions, ok bool) {
	for ok = true; i < len(c.Args) && ok; i++ {
		more := i+1 < len(c.Args)
		switch {
		case set && c.is(i, "nx") && !o.xx:
			o.nx = true
		case set && c.is(i, "xx") && !o.nx:
			o.xx = true
		case set && c.is(i, "get"):
			o.get = true
		case set && c.is(i, "keepttl") && !o.persist && o.expire == 0:
			o.keepTTL = true
		case !set && c.is(i, "persist") && o.expire == 0:
			o.persist = true
		case more && c.is(i, "ex"):
			ok = o.timeOption(i, true, true)
			i++
		case more && c.is(i, "px"):
			ok = o.timeOption(i, false, true)
			i++
		case more && c.is(i, "exat"):
			ok = o.timeOption(i, true, false)
			i++
		case more && c.is(i, "pxat"):
			ok = o.timeOption(i, false, false)
			i++
		default:
			ok = false
		}
	}
	if !ok {
		c.Out.Error(errSyntax)
	}
	return o, ok
}

// expireTime turns the time argument into unix milliseconds, or replies with an error.
func (c *Ctx) expireTime(o stringOptions) (int64, bool) {
	at, ok := c.intArg(o.expire)
	if !ok {
		return 0, false
	}
	if at <= 0 || o.seconds && at > math.MaxInt64/1000 {
		return 0, c.badExpire()
	}
	if o.seconds {
		at *= 1000
	}
	if o.relative {
		if at > math.MaxInt64-c.Now {
			return 0, c.badExpire()
		}
		at += c.Now
	}
	return at, true
}

func (c *Ctx) badExpire() bool {
	c.Out.Error("invalid expire time in '" + c.Cmd.FullName + "' command")
	return false
}

// putString stores a value that replaces whatever key held.
func (c *Ctx) putString(key, val []byte, expireAt int64, existed bool) {
	c.DB.SetString(key, val, expireAt)
	c.born(existed, key)
	c.touched(EventString, "set", key)
}

func cmdSet(c *Ctx) {
	if len(c.Args) == 3 { // the common case needs no option
		_, found := c.LookupWrite(c.Args[1])
		c.putString(c.Args[1], c.Args[2], 0, found)
		c.Out.OK()
		return
	}
	if o, ok := c.parseStringOptions(3, true); ok {
		c.set(o, c.Args[2])
	}
}

func (c *Ctx) set(o stringOptions, val []byte) {
	key, at := c.Args[1], int64(0)
	if o.expire != 0 {
		var ok bool
		if at, ok = c.expireTime(o); !ok {
			return
		}
	}
	var found bool
	if o.get {
		e, ok := c.lookupCounted(key)
		if ok && !c.isString(e) {
			return
		}
		if found = ok; found {
			c.value(e)
		} else {
			c.Out.Null()
		}
	} else {
		_, found = c.LookupWrite(key)
	}
	if o.nx && found || o.xx && !found {
		if !o.get {
			c.Out.Null()
		}
		return
	}
	if o.keepTTL {
		at = store.KeepTTL
	}
	c.putString(key, val, at, found)
	c.propagateSet(o, key, val, at)
	if !o.get {
		c.Out.OK()
	}
}

// propagateSet rewrites SET: a relative time becomes absolute, GET is left out.
func (c *Ctx) propagateSet(o stringOptions, key, val []byte, at int64) {
	switch {
	case o.expire != 0:
		c.Notify(EventGeneric, "expire", key)
		c.Propagate(verbSet, key, val, wordPXAT, c.decimal(at))
	case o.get:
		args := [][]byte{c.Cmd.canonicalBytes}
		for i := 1; i < len(c.Args); i++ {
			if i < 3 || !c.is(i, "get") {
				args = append(args, c.Args[i])
			}
		}
		c.Propagate(args...)
	}
}

func cmdSetnx(c *Ctx) {
	if _, found := c.LookupWrite(c.Args[1]); found {
		c.Out.Int(0)
		return
	}
	c.putString(c.Args[1], c.Args[2], 0, false)
	c.Out.Int(1)
}

func cmdSetex(c *Ctx) { c.set(stringOptions{expire: 2, seconds: true, relative: true}, c.Args[3]) }

func cmdPsetex(c *Ctx) { c.set(stringOptions{expire: 2, relative: true}, c.Args[3]) }

func cmdGet(c *Ctx) {
	e, ok := c.LookupRead(c.Args[1])
	if !ok {
		c.Out.Null()
		return
	}
	if c.isString(e) {
		c.value(e)
	}
}

func cmdGetex(c *Ctx) {
	o, ok := c.parseStringOptions(2, false)
	if !ok {
		return
	}
	key := c.Args[1]
	e, ok := c.lookupCounted(key)
	if !ok {
		c.Out.Null()
		return
	}
	if !c.isString(e) {
		return
	}
	at := int64(0)
	if o.expire != 0 {
		if at, ok = c.expireTime(o); !ok {
			return
		}
	}
	hadExpiry := e.ExpireAt() != 0
	c.value(e)
	switch {
	case o.expire != 0 && !o.relative && c.past(at):
		c.deleteAsExpired(key)
	case o.expire != 0:
		c.DB.SetExpire(key, at)
		c.Propagate(verbPExpireAt, key, c.decimal(at))
		c.touched(EventGeneric, "expire", key)
	case o.persist && hadExpiry:
		c.DB.Persist(key)
		c.Propagate(verbPersist, key)
		c.touched(EventGeneric, "persist", key)
	}
}

// past tells whether a new expiry deletes its key at once. A stream or a replica never decides that by itself.
func (c *Ctx) past(at int64) bool { return at <= c.Now && !c.FromMaster && !c.Replica }

// deleteAsExpired deletes a key that was given an expiry in the past, and propagates just that.
func (c *Ctx) deleteAsExpired(key []byte) {
	c.deleteAs(c.DB, key, c.Conf != nil && c.Conf.LazyfreeExpire)
	c.Propagate(c.expiryVerb(), key)
	c.touched(EventGeneric, "del", key)
}

func cmdGetdel(c *Ctx) {
	key := c.Args[1]
	e, ok := c.lookupCounted(key)
	if !ok {
		c.Out.Null()
		return
	}
	if !c.isString(e) {
		return
	}
	c.value(e)
	c.DB.Delete(key)
	verb := verbDel
	if c.Conf != nil && c.Conf.LazyfreeUserDel {
		verb = verbUnlink
	}
	c.Propagate(verb, key)
	c.touched(EventGeneric, "del", key)
}

func cmdGetset(c *Ctx) {
	key, val := c.Args[1], c.Args[2]
	e, ok := c.lookupCounted(key)
	if ok && !c.isString(e) {
		return
	}
	if ok {
		c.value(e)
	} else {
		c.Out.Null()
	}
	c.putString(key, val, 0, ok)
	c.Propagate(verbSet, key, val)
}

func cmdMget(c *Ctx) {
	if c.lookedUp() || c.longLookups(false, writeString) {
		return
	}
	keys := c.Args[1:]
	c.Out.Array(len(keys))
	for i, key := range keys {
		if i%store.WarmGroup == 0 {
			c.DB.WarmNext(keys[i:], 1)
		}
		e, found := c.LookupRead(key)
		writeString(c.Out, e, found)
	}
}

// writeString writes the value of a string, null for what is none.
func writeString(w *resp.Writer, e store.Entry, found bool) {
	if found && e.Kind() == store.String {
		writeValue(w, e)
	} else {
		w.Null()
	}
}

func cmdMset(c *Ctx) { c.mset(false) }

func cmdMsetnx(c *Ctx) { c.mset(true) }

func (c *Ctx) mset(nx bool) {
	if len(c.Args)%2 == 0 {
		c.Out.Error(c.Cmd.ArityError())
		return
	}
	if nx {
		for i := 1; i < len(c.Args); i += 2 {
			if _, found := c.LookupWrite(c.Args[i]); found {
				c.Out.Int(0)
				return
			}
		}
	}
	for i := 1; i < len(c.Args); i += 2 {
		if i%(2*store.WarmGroup) == 1 {
			c.DB.WarmNext(c.Args[i:], 2)
		}
		_, found := c.LookupWrite(c.Args[i])
		c.putString(c.Args[i], c.Args[i+1], 0, found)
	}
	if nx {
		c.Out.Int(1)
	} else {
		c.Out.OK()
	}
}

func cmdStrlen(c *Ctx) {
	e, ok := c.LookupRead(c.Args[1])
	switch {
	case !ok:
		c.Out.Int(0)
	case c.isString(e):
		c.Out.Int(int64(e.StrLen()))
	}
}

func cmdAppend(c *Ctx) {
	key, tail := c.Args[1], c.Args[2]
	e, ok := c.LookupWrite(key)
	if !ok {
		c.DB.SetString(key, tail, 0)
		c.born(false, key)
		c.touched(EventString, "append", key)
		c.Out.Int(int64(len(tail)))
		return
	}
	if !c.isString(e) {
		return
	}
	old := e.StrLen()
	if !c.lengthOK(int64(old), int64(len(tail))) {
		return
	}
	copy(c.DB.EditString(key, old+len(tail))[old:], tail)
	c.touched(EventString, "append", key)
	c.Out.Int(int64(old + len(tail)))
}

func cmdSetrange(c *Ctx) {
	key, val := c.Args[1], c.Args[3]
	offset, ok := c.intArg(2)
	if !ok {
		return
	}
	if offset < 0 {
		c.Out.Error("offset is out of range")
		return
	}
	e, found := c.LookupWrite(key)
	if found && !c.isString(e) {
		return
	}
	size := int64(0)
	if found {
		size = int64(e.StrLen())
	}
	if len(val) == 0 {
		c.Out.Int(size)
		return
	}
	if !c.lengthOK(offset, int64(len(val))) {
		return
	}
	size = max(size, offset+int64(len(val)))
	copy(c.DB.EditString(key, int(size))[offset:], val)
	c.born(found, key)
	c.touched(EventString, "setrange", key)
	c.Out.Int(size)
}

func cmdSubstr(c *Ctx) { cmdGetrange(c) }

func cmdGetrange(c *Ctx) {
	start, ok := c.intArg(2)
	if !ok {
		return
	}
	end, ok := c.intArg(3)
	if !ok {
		return
	}
	e, found := c.LookupRead(c.Args[1])
	if found && !c.isString(e) {
		return
	}
	if !found {
		c.Out.BulkString("")
		return
	}
	b := c.bytes(e)
	size := int64(len(b))
	if start < 0 && end < 0 && start > end || size == 0 {
		c.Out.BulkString("")
		return
	}
	start, end = clampRange(start, end, size)
	if start > end {
		c.Out.BulkString("")
		return
	}
	c.Out.Bulk(b[start : end+1])
}

// clampRange turns offsets that may count from the end into offsets inside size.
func clampRange(start, end, size int64) (int64, int64) {
	if start < 0 {
		start = max(size+start, 0)
	}
	if end < 0 {
		end = max(size+end, 0)
	}
	return start, min(end, size-1)
}
