package command

import "github.com/understudy-db/understudy/server/store"

// object finds the key of an OBJECT subcommand; it looks without touching the access clock.
func (c *Ctx) object() (store.Entry, bool) {
	e, ok := c.DB.Peek(c.Args[2])
	if ok && c.hides(e) {
		ok = false
	}
	if !ok {
		c.Out.Null()
	}
	return e, ok
}

func cmdObjectEncoding(c *Ctx) {
	if e, ok := c.object(); ok {
		c.Out.BulkString(e.Encoding())
	}
}

// sharedInteger: Redis shares the objects of the numbers below 10000 and reports this for them.
const (
	sharedIntegers  = 10000
	sharedReference = 1<<31 - 1
)

func cmdObjectRefcount(c *Ctx) {
	e, ok := c.object()
	if !ok {
		return
	}
	own := c.Conf != nil && c.Conf.OwnIntegers
	if n, isInt := e.Int(); isInt && n >= 0 && n < sharedIntegers && !own {
		c.Out.Int(sharedReference)
		return
	}
	c.Out.Int(1)
}

func cmdObjectIdletime(c *Ctx) {
	e, ok := c.object()
	if !ok {
		return
	}
	if c.Store.Config.LFU {
		c.Out.Error("An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
		return
	}
	c.Out.Int(e.IdleSeconds(c.Now))
}

func cmdObjectFreq(c *Ctx) {
	e, ok := c.object()
	if !ok {
		return
	}
	if !c.Store.Config.LFU {
		c.Out.Error("An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
		return
	}
	c.Out.Int(int64(e.Frequency(c.Now)))
}

func cmdObjectHelp(c *Ctx) {
	c.Help("OBJECT",
		"ENCODING <key>", "    Show how the value is held in memory.",
		"FREQ <key>", "    Show the logarithmic access counter (with an LFU policy).",
		"IDLETIME <key>", "    Show the seconds since the key was last used (without an LFU policy).",
		"REFCOUNT <key>", "    Show the number of references to the value.")
}
