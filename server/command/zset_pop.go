package command

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

var (
	verbZPopMin = []byte("ZPOPMIN")
	verbZPopMax = []byte("ZPOPMAX")
)

func cmdZpopmin(c *Ctx) { c.zpop(false) }

func cmdZpopmax(c *Ctx) { c.zpop(true) }

func (c *Ctx) zpop(highest bool) {
	if len(c.Args) > 3 {
		c.Out.Error(errSyntax)
		return
	}
	count := int64(1)
	if len(c.Args) == 3 {
		var ok bool
		if count, ok = c.countArg(2); !ok {
			return
		}
	}
	var z store.ZSet
	found, ok := c.zsetToChange(c.Args[1], &z)
	switch {
	case !ok:
		return
	case !found || count == 0:
		c.Out.Array(0)
		return
	}
	n := int(min(count, int64(z.Len())))
	nested := len(c.Args) == 3 && c.Out.Proto() > 2
	if c.longZpop(&z, c.Args[1:2], zpopping{highest, nested}, n) {
		return
	}
	if nested {
		c.Out.Array(n)
	} else {
		c.Out.Array(2 * n)
	}
	c.zpopped(&z, c.Args[1], zpopping{highest, nested}, n)
	c.zsetShrank(&z, c.Args[1], zpopEvent(highest), n)
}

// zpopping is from which end members are taken, and how they are replied with.
type zpopping struct {
	highest bool
	nested  bool // each as a pair of its own
}

func (p zpopping) write(w *resp.Writer, member []byte, score float64) {
	if p.nested {
		w.Array(2)
	}
	w.Bulk(member)
	w.Double(score)
}

// zpopped takes n members from one end of a sorted set and replies with them.
func (c *Ctx) zpopped(z *store.ZSet, key []byte, p zpopping, n int) {
	rank, size := 0, z.Len()
	if p.highest {
		rank = size - 1
	}
	if t := c.takenFrom(key); t != nil {
		t.reply.MoveTo(c.Out)
	} else {
		z.Range(rank, n, p.highest, func(member []byte, score float64) bool {
			p.write(c.Out, member, score)
			return true
		})
	}
	if p.highest {
		rank = size - n
	}
	c.zsetCut(z, key, rank, n)
}

// longZpop is zpopped of very many members of the set at the last of keys.
func (c *Ctx) longZpop(z *store.ZSet, keys [][]byte, p zpopping, n int) bool {
	rank := 0
	if p.highest {
		rank = z.Len() - n
	}
	return c.longZSetCut(z, keys, rank, n, &p)
}

func zpopEvent(highest bool) string {
	if highest {
		return "zpopmax"
	}
	return "zpopmin"
}

func zpopVerb(highest bool) []byte {
	if highest {
		return verbZPopMax
	}
	return verbZPopMin
}

// zmpop is what ZMPOP, BZMPOP, BZPOPMIN and BZPOPMAX ask for.
type zmpop struct {
	keys    [][]byte
	highest bool
	count   int64
	many    bool // ZMPOP's form of reply and effect
	long    bool // it may go on after its handler
}

// from takes members from a key, replies and makes the effect; false when the key holds no sorted set, or after an error.
func (o *zmpop) from(c *Ctx, key []byte) bool {
	var z store.ZSet
	found, ok := c.zsetToChange(key, &z)
	if !ok || !found {
		return false
	}
	n := int(min(o.count, int64(z.Len())))
	if p := (zpopping{o.highest, true}); o.long && c.longZpop(&z, o.upTo(key), p, n) {
		return true
	}
	if o.many {
		c.Out.Array(2)
		c.Out.Bulk(key)
		c.Out.Array(n)
	} else {
		c.Out.Array(3)
		c.Out.Bulk(key)
	}
	c.zpopped(&z, key, zpopping{o.highest, o.many}, n)
	c.zsetShrank(&z, key, zpopEvent(o.highest), n)
	if o.many {
		c.Propagate(zpopVerb(o.highest), key, strconv.AppendInt(nil, int64(n), 10))
	} else {
		c.Propagate(zpopVerb(o.highest), key)
	}
	return true
}

// upTo are the keys that decide that key is the one: all up to it.
func (o *zmpop) upTo(key []byte) [][]byte {
	i := slices.IndexFunc(o.keys, func(k []byte) bool { return bytes.Equal(k, key) })
	return o.keys[:i+1]
}

// first takes from the first key that holds a sorted set. It answers true when a reply was written, if only an error.
func (o *zmpop) first(c *Ctx) bool {
	errs := c.Out.Errors()
	for _, key := range o.keys {
		if o.from(c, key) || c.Out.Errors() > errs {
			return true
		}
	}
	return false
}

// orWait takes from the first key that has members, or waits for one.
func (o *zmpop) orWait(c *Ctx, timeout int64) {
	if o.first(c) {
		return
	}
	waits := c.Block(Wait{
		Keys: o.keys, Kind: "zset", Timeout: timeout,
		Expired: func(out *resp.Writer) { out.NullArray() },
		Serve: func(c *Ctx, key []byte) bool {
			if e, ok := c.LookupWrite(key); !ok || e.Kind() != store.ZSetKind {
				return false
			}
			return o.from(c, key)
		},
	})
	if !waits {
		c.Out.NullArray()
	}
}

func cmdBzpopmin(c *Ctx) { c.bzpop(false) }

func cmdBzpopmax(c *Ctx) { c.bzpop(true) }

func (c *Ctx) bzpop(highest bool) {
	last := len(c.Args) - 1
	if timeout, ok := c.secondsArg(last); ok {
		o := zmpop{keys: c.Args[1:last], highest: highest, count: 1}
		o.orWait(c, timeout)
	}
}

func cmdZmpop(c *Ctx) {
	o, ok := c.parseZmpop(1)
	if o.long = true; ok && !o.first(c) {
		c.Out.NullArray()
	}
}

func cmdBzmpop(c *Ctx) {
	o, ok := c.parseZmpop(2)
	if !ok {
		return
	}
	if timeout, ok := c.secondsArg(1); ok {
		o.orWait(c, timeout)
	}
}

// parseZmpop reads "numkeys key [key ...] MIN|MAX [COUNT count]" from argument i on, or replies with an error.
func (c *Ctx) parseZmpop(i int) (o zmpop, ok bool) {
	n, ok := c.leastArg(i, 1, "numkeys should be greater than 0")
	if !ok {
		return o, false
	}
	where := int(min(n, int64(len(c.Args)))) + i + 1
	switch {
	case where >= len(c.Args):
		c.Out.Error(errSyntax)
		return o, false
	case c.is(where, "min"):
	case c.is(where, "max"):
		o.highest = true
	default:
		c.Out.Error(errSyntax)
		return o, false
	}
	o.keys, o.many, o.count = c.Args[i+1:where], true, 1
	switch rest := len(c.Args) - where - 1; {
	case rest == 0:
		return o, true
	case rest < 2 || !c.is(where+1, "count"):
		c.Out.Error(errSyntax)
		return o, false
	}
	if o.count, ok = c.leastArg(where+2, 1, "count should be greater than 0"); !ok {
		return o, false
	}
	if where+3 < len(c.Args) {
		c.Out.Error(errSyntax)
		return o, false
	}
	return o, true
}
