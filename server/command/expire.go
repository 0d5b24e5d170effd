package command

import (
	"bytes"
	"math"
	"strings"
)

func cmdExpire(c *Ctx) { c.expireGeneric(c.Now, true) }

func cmdPexpire(c *Ctx) { c.expireGeneric(c.Now, false) }

func cmdExpireat(c *Ctx) { c.expireGeneric(0, true) }

func cmdPexpireat(c *Ctx) { c.expireGeneric(0, false) }

type expireOptions struct{ nx, xx, gt, lt bool }

func (c *Ctx) parseExpireOptions() (o expireOptions, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.is(i, "nx"):
			o.nx = true
		case c.is(i, "xx"):
			o.xx = true
		case c.is(i, "gt"):
			o.gt = true
		case c.is(i, "lt"):
			o.lt = true
		default:
			word := c.Args[i]
			if end := bytes.IndexByte(word, 0); end >= 0 {
				word = word[:end]
			}
			c.Out.Error("Unsupported option " + strings.TrimRight(string(word), "\r\n"))
			return o, false
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		c.Out.Error("NX and XX, GT or LT options at the same time are not compatible")
	case o.gt && o.lt:
		c.Out.Error("GT and LT options at the same time are not compatible")
	default:
		return o, true
	}
	return o, false
}

// refuses tells whether the options forbid to change an expiry (0: none) to at. No expiry counts as the longest one.
func (o expireOptions) refuses(current, at int64) bool {
	switch {
	case o.nx && current != 0, o.xx && current == 0:
		return true
	case o.gt && (current == 0 || at <= current):
		return true
	}
	return o.lt && current != 0 && at >= current
}

// expireGeneric is EXPIRE and its variants: argument 2 counts from base.
func (c *Ctx) expireGeneric(base int64, seconds bool) {
	o, ok := c.parseExpireOptions()
	if !ok {
		return
	}
	at, ok := c.intArg(2)
	if !ok {
		return
	}
	if seconds {
		if at > math.MaxInt64/1000 || at < math.MinInt64/1000 {
			c.badExpire()
			return
		}
		at *= 1000
	}
	if at > math.MaxInt64-base {
		c.badExpire()
		return
	}
	at += base
	key := c.Args[1]
	e, found := c.LookupWrite(key)
	if !found || o.refuses(e.ExpireAt(), at) {
		c.Out.Int(0)
		return
	}
	if c.past(at) {
		c.deleteAsExpired(key)
		c.Out.Int(1)
		return
	}
	c.DB.SetExpire(key, max(at, 1)) // a stream may carry a time before 1970; 0 would mean none
	if base != 0 || seconds {       // PEXPIREAT is its own effect
		c.propagateExpire(key, at)
	}
	c.touched(EventGeneric, "expire", key)
	c.Out.Int(1)
}

// propagateExpire makes the time absolute and keeps the options.
func (c *Ctx) propagateExpire(key []byte, at int64) {
	if len(c.Args) == 3 {
		c.Propagate(verbPExpireAt, key, c.decimal(at))
		return
	}
	args := append([][]byte{verbPExpireAt, key, c.decimal(at)}, c.Args[3:]...)
	c.Propagate(args...)
}

func cmdTtl(c *Ctx) { c.ttl(false, false) }

func cmdPttl(c *Ctx) { c.ttl(true, false) }

func cmdExpiretime(c *Ctx) { c.ttl(false, true) }

func cmdPexpiretime(c *Ctx) { c.ttl(true, true) }

func (c *Ctx) ttl(millis, absolute bool) {
	e, ok := c.lookupUntouched(c.Args[1])
	if !ok {
		c.Out.Int(-2)
		return
	}
	at := e.ExpireAt()
	if at == 0 {
		c.Out.Int(-1)
		return
	}
	if !absolute {
		at = max(at-c.Now, 0)
	}
	if !millis {
		at = int64((uint64(at) + 500) / 1000)
	}
	c.Out.Int(at)
}

func cmdPersist(c *Ctx) {
	key := c.Args[1]
	if _, found := c.LookupWrite(key); !found || !c.DB.Persist(key) {
		c.Out.Int(0)
		return
	}
	c.touched(EventGeneric, "persist", key)
	c.Out.Int(1)
}
