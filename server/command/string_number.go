package command

import (
	"math"
	"math/big"

	"github.com/understudy-db/understudy/server/store"
)

func cmdIncr(c *Ctx) { c.incr(1) }

func cmdDecr(c *Ctx) { c.incr(-1) }

func cmdIncrby(c *Ctx) {
	if by, ok := c.intArg(2); ok {
		c.incr(by)
	}
}

func cmdDecrby(c *Ctx) {
	by, ok := c.intArg(2)
	if !ok {
		return
	}
	if by == math.MinInt64 {
		c.Out.Error("decrement would overflow")
		return
	}
	c.incr(-by)
}

func (c *Ctx) incr(by int64) {
	key := c.Args[1]
	e, found := c.LookupWrite(key)
	if found && !c.isString(e) {
		return
	}
	n := int64(0)
	if found {
		var ok bool
		if n, ok = e.Int(); !ok {
			if n, ok = ParseInt(c.bytes(e)); !ok {
				c.Out.Error(errNotInteger)
				return
			}
		}
	}
	if addOverflows(n, by) {
		c.Out.Error(errOverflow)
		return
	}
	n += by
	c.DB.SetInt(key, n, store.KeepTTL)
	c.born(found, key)
	c.touched(EventString, "incrby", key)
	c.Out.Int(n)
}

// cmdIncrbyfloat is propagated as a SET of its result, so that no difference in rounding reaches a replica.
func cmdIncrbyfloat(c *Ctx) {
	key := c.Args[1]
	e, found := c.LookupWrite(key)
	if found && !c.isString(e) {
		return
	}
	value := new(big.Float)
	if found {
		var ok bool
		if value, ok = parseLongDouble(c.bytes(e)); !ok {
			c.Out.Error(errNotFloat)
			return
		}
	}
	by, ok := parseLongDouble(c.Args[2])
	if !ok {
		c.Out.Error(errNotFloat)
		return
	}
	sum, ok := addLongDouble(value, by)
	if !ok {
		c.Out.Error(errNaNOrInf)
		return
	}
	text := appendLongDouble(nil, sum)
	c.DB.SetText(key, text, store.KeepTTL)
	c.born(found, key)
	c.touched(EventString, "incrbyfloat", key)
	c.Propagate(verbSet, key, text, wordKeepTTL)
	c.Out.Bulk(text)
}
