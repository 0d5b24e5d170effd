package command

import (
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

func cmdHrandfield(c *Ctx) {
	if len(c.Args) == 2 {
		h, found, ok := c.hashToRead(c.Args[1])
		switch {
		case !ok:
		case !found:
			c.Out.Null()
		default:
			f, _ := h.Random(c.Random())
			c.Out.Bulk(f)
		}
		return
	}
	count, withValues, ok := c.randomOptions("withvalues")
	if !ok {
		return
	}
	h, found, ok := c.hashToRead(c.Args[1])
	switch {
	case !ok:
	case !found || count == 0:
		c.Out.Array(0)
	case c.longDraw(c.Args[1], draw{n: max(count, -count), alike: count < 0, both: withValues}):
	case count < 0:
		c.randomFields(&h, -count, withValues)
	default:
		c.distinctFields(&h, int(min(count, int64(h.Len()))), withValues)
	}
}

func (c *Ctx) randomHeader(n int64, withValues bool) { membersHeader(c.Out, n, withValues) }

func membersHeader(w *resp.Writer, n int64, withValues bool) {
	if withValues && w.Proto() == 2 {
		n *= 2
	}
	w.Array(int(n))
}

func (c *Ctx) randomPair(f, v []byte, withValues bool) {
	if withValues && c.Out.Proto() > 2 {
		c.Out.Array(2)
	}
	c.Out.Bulk(f)
	if withValues {
		c.Out.Bulk(v)
	}
}

// randomFields picks n fields, each independent of the others.
func (c *Ctx) randomFields(h *store.Hash, n int64, withValues bool) {
	c.randomHeader(n, withValues)
	if h.Draw(int(n), c.Random, true, c.pairs(withValues)) {
		return
	}
	for ; n > 0 && !c.TooLong(); n-- {
		f, v := h.Random(c.Random())
		c.randomPair(f, v, withValues)
	}
}

// pairs replies with what it is given as long as that is not too long.
func (c *Ctx) pairs(withValues bool) func(f, v []byte) bool {
	return func(f, v []byte) bool {
		c.randomPair(f, v, withValues)
		return !c.TooLong()
	}
}

// distinctFields picks n different fields.
func (c *Ctx) distinctFields(h *store.Hash, n int, withValues bool) {
	c.randomHeader(int64(n), withValues)
	if h.Draw(n, c.Random, false, c.pairs(withValues)) {
		return
	}
	// Selection sampling: every field is taken with the chance that leaves all choices of n equally likely.
	left := h.Len()
	h.Each(func(f, v []byte) bool {
		if c.Random()%uint64(left) < uint64(n) {
			c.randomPair(f, v, withValues)
			n--
		}
		left--
		return n > 0
	})
}
