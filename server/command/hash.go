package command

import (
	"math/big"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// hashToRead finds a hash. found is false for a missing key; ok is false after an error reply.
func (c *Ctx) hashToRead(key []byte) (h store.Hash, found, ok bool) {
	_, h, found, ok = c.wholeHash(key)
	return h, found, ok
}

// wholeHash is hashToRead with the entry too.
func (c *Ctx) wholeHash(key []byte) (e store.Entry, h store.Hash, found, ok bool) {
	if e, found = c.LookupRead(key); !found {
		return e, h, false, true
	}
	if e.Kind() != store.HashKind {
		c.Out.Error(errWrongType)
		return e, h, true, false
	}
	return e, e.Hash(), true, true
}

// hashToWrite finds or creates a hash; ok is false after an error reply. The caller adds at least one field.
func (c *Ctx) hashToWrite(key []byte) (h store.Hash, ok bool) {
	e, found := c.LookupWrite(key)
	if found && e.Kind() != store.HashKind {
		c.Out.Error(errWrongType)
		return h, false
	}
	h, _ = c.DB.HashForWrite(key)
	c.born(found, key)
	return h, true
}

func cmdHset(c *Ctx) {
	if created, ok := c.hset(); ok {
		c.Out.Int(int64(created))
	}
}

func cmdHmset(c *Ctx) {
	if _, ok := c.hset(); ok {
		c.Out.OK()
	}
}

func (c *Ctx) hset() (created int, ok bool) {
	if len(c.Args)%2 == 1 {
		c.Out.Error(c.Cmd.ArityError())
		return 0, false
	}
	key := c.Args[1]
	e, found := c.LookupWrite(key)
	if found && e.Kind() != store.HashKind {
		c.Out.Error(errWrongType)
		return 0, false
	}
	var h store.Hash
	if found && len(c.Args) == 4 {
		h.ForWriteMet(c.DB, key)
	} else {
		h.Draft(c.DB, key)
	}
	for i := 2; i < len(c.Args); i += 2 {
		if i%(2*store.WarmGroup) == 2 {
			h.WarmNext(c.Args[i:], 2)
		}
		if h.Set(c.Args[i], c.Args[i+1]) {
			created++
		}
	}
	h.Store()
	c.born(found, key)
	c.touched(EventHash, "hset", c.Args[1])
	c.Dirty((len(c.Args)-2)/2 - 1)
	return created, true
}

func cmdHsetnx(c *Ctx) {
	key, field := c.Args[1], c.Args[2]
	h, ok := c.hashToWrite(key)
	if !ok {
		return
	}
	if _, exists := h.Get(field); exists {
		c.Out.Int(0)
		return
	}
	h.Set(field, c.Args[3])
	c.touched(EventHash, "hset", key)
	c.Out.Int(1)
}

func cmdHget(c *Ctx) {
	h, found, ok := c.hashToRead(c.Args[1])
	if !ok {
		return
	}
	if !found {
		c.Out.Null()
		return
	}
	writeField(c.Out, &h, c.Args[2])
}

// writeField writes a field's value.
func writeField(w *resp.Writer, h *store.Hash, name []byte) {
	if v, ok := h.Get(name); ok {
		w.Bulk(v)
	} else {
		w.Null()
	}
}

func cmdHmget(c *Ctx) {
	c.readNamed(store.HashKind, (*resp.Writer).Null, writeFields)
}

// writeFields writes the values of fields of a hash.
func writeFields(w *resp.Writer, e store.Entry, names [][]byte) {
	h := e.Hash()
	for i, name := range names {
		if i%store.WarmGroup == 0 {
			h.Warm(names[i:])
		}
		writeField(w, &h, name)
	}
}

func cmdHgetall(c *Ctx) {
	e, h, found, ok := c.wholeHash(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Map(0)
	case c.isLong(e.Size()) && c.longTable(e, (*resp.Writer).Map, emitBoth):
	default:
		c.Out.Map(h.Len())
		h.Each(func(f, v []byte) bool {
			c.Out.Bulk(f)
			c.Out.Bulk(v)
			return true
		})
	}
}

func cmdHkeys(c *Ctx) { c.hashHalf(true) }

func cmdHvals(c *Ctx) { c.hashHalf(false) }

func (c *Ctx) hashHalf(names bool) {
	e, h, found, ok := c.wholeHash(c.Args[1])
	half := emitValue
	if names {
		half = emitName
	}
	switch {
	case !ok:
	case !found:
		c.Out.Array(0)
	case c.isLong(e.Size()) && c.longTable(e, (*resp.Writer).Array, half):
	default:
		c.Out.Array(h.Len())
		h.Each(func(f, v []byte) bool {
			if names {
				c.Out.Bulk(f)
			} else {
				c.Out.Bulk(v)
			}
			return true
		})
	}
}

func cmdHlen(c *Ctx) {
	h, found, ok := c.hashToRead(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Int(0)
	default:
		c.Out.Int(int64(h.Len()))
	}
}

func cmdHstrlen(c *Ctx) {
	h, found, ok := c.hashToRead(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Int(0)
	default:
		c.Out.Int(int64(h.FieldLen(c.Args[2])))
	}
}

func cmdHexists(c *Ctx) {
	h, found, ok := c.hashToRead(c.Args[1])
	if !ok {
		return
	}
	if found {
		_, found = h.Get(c.Args[2])
	}
	c.Out.Int(boolInt(found))
}

func cmdHdel(c *Ctx) {
	key := c.Args[1]
	e, found := c.LookupWrite(key)
	if !found {
		c.Out.Int(0)
		return
	}
	if e.Kind() != store.HashKind {
		c.Out.Error(errWrongType)
		return
	}
	h, _ := c.DB.HashForWrite(key)
	deleted, emptied := 0, false
	names := c.Args[2:]
	for i := 0; i < len(names) && !emptied; i++ {
		if i%store.WarmGroup == 0 {
			h.Warm(names[i:])
		}
		if h.Del(names[i]) {
			deleted++
			emptied = h.Len() == 0
		}
	}
	if emptied {
		c.DB.Delete(key)
	}
	if deleted > 0 {
		c.touched(EventHash, "hdel", key)
		c.Dirty(deleted - 1)
		if emptied {
			c.Notify(EventGeneric, "del", key)
		}
	}
	c.Out.Int(int64(deleted))
}

func cmdHincrby(c *Ctx) {
	key, field := c.Args[1], c.Args[2]
	by, ok := c.intArg(3)
	if !ok {
		return
	}
	h, ok := c.hashToWrite(key)
	if !ok {
		return
	}
	n := int64(0)
	if v, exists := h.Get(field); exists {
		if n, ok = ParseInt(v); !ok {
			c.Out.Error("hash value is not an integer")
			return
		}
	}
	if addOverflows(n, by) {
		c.Out.Error(errOverflow)
		return
	}
	n += by
	h.Set(field, c.decimal(n))
	c.touched(EventHash, "hincrby", key)
	c.Out.Int(n)
}

// cmdHincrbyfloat is propagated as an HSET of its result, so that no difference in rounding reaches a replica.
func cmdHincrbyfloat(c *Ctx) {
	key, field := c.Args[1], c.Args[2]
	by, ok := parseLongDouble(c.Args[3])
	if !ok {
		c.Out.Error(errNotFloat)
		return
	}
	if by.IsInf() {
		c.Out.Error("value is NaN or Infinity")
		return
	}
	h, ok := c.hashToWrite(key)
	if !ok {
		return
	}
	value := new(big.Float)
	if v, exists := h.Get(field); exists {
		if value, ok = parseLongDouble(v); !ok {
			c.Out.Error("hash value is not a float")
			return
		}
	}
	sum, ok := addLongDouble(value, by)
	if !ok {
		c.Out.Error(errNaNOrInf)
		return
	}
	text := appendLongDouble(nil, sum)
	h.Set(field, text)
	c.touched(EventHash, "hincrbyfloat", key)
	c.Propagate(verbHSet, key, field, text)
	c.Out.Bulk(text)
}
