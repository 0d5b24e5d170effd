package command

import (
	"math"

	"github.com/understudy-db/understudy/server/store"
)

func cmdZrandmember(c *Ctx) {
	if len(c.Args) == 2 {
		z, found, ok := c.zsetToRead(c.Args[1])
		switch {
		case !ok:
		case !found:
			c.Out.Null()
		default:
			member, _ := z.Random(c.Random())
			c.Out.Bulk(member)
		}
		return
	}
	count, withScores, ok := c.randomOptions("withscores")
	if !ok {
		return
	}
	z, found, ok := c.zsetToRead(c.Args[1])
	switch {
	case !ok:
	case !found || count == 0:
		c.Out.Array(0)
	case c.longDraw(c.Args[1], draw{n: max(count, -count), alike: count < 0, both: withScores}):
	case count < 0:
		c.randomHeader(-count, withScores)
		if z.Draw(int(-count), c.Random, true, c.scoreds(withScores)) {
			return
		}
		for n := -count; n > 0 && !c.TooLong(); n-- {
			member, score := z.Random(c.Random())
			c.scored(member, score, withScores)
		}
	default:
		c.distinctScored(&z, int(min(count, int64(z.Len()))), withScores)
	}
}

// scoreds replies with what it is given as long as that is not too long.
func (c *Ctx) scoreds(withScores bool) func(member []byte, score float64) bool {
	return func(member []byte, score float64) bool {
		c.scored(member, score, withScores)
		return !c.TooLong()
	}
}

// sampleFactor: from this many members per wanted one on, drawing until enough differ is cheaper than listing all.
const sampleFactor = 3

// distinctScored picks n different members.
func (c *Ctx) distinctScored(z *store.ZSet, n int, withScores bool) {
	c.randomHeader(int64(n), withScores)
	size := z.Len()
	if n > 1 && z.Draw(n, c.Random, false, c.scoreds(withScores)) {
		return
	}
	if n > 1 && n < size && n*sampleFactor <= size {
		seen := make(map[int]struct{}, n)
		for len(seen) < n {
			rank := int(c.Random() % uint64(size))
			if _, again := seen[rank]; !again {
				seen[rank] = struct{}{}
				member, score := z.At(rank)
				c.scored(member, score, withScores)
			}
		}
		return
	}
	// Selection sampling: every member is taken with the chance that leaves all choices of n equally likely.
	left := size
	z.Range(size-1, size, true, func(member []byte, score float64) bool {
		if c.Random()%uint64(left) < uint64(n) {
			c.scored(member, score, withScores)
			n--
		}
		left--
		return n > 0
	})
}

// randomOptions reads "count [WITHSCORES]" (or WITHVALUES) from the third argument on, or replies with an error.
func (c *Ctx) randomOptions(with string) (count int64, both, ok bool) {
	if count, ok = c.intArg(2); !ok {
		return 0, false, false
	}
	both = len(c.Args) == 4
	switch {
	case count == math.MinInt64:
		c.Out.Error("value is out of range, value must between -9223372036854775807 and 9223372036854775807")
	case len(c.Args) > 4 || both && !c.is(3, with):
		c.Out.Error(errSyntax)
	case both && (count < -math.MaxInt64/2 || count > math.MaxInt64/2):
		c.Out.Error("value is out of range")
	default:
		return count, both, true
	}
	return 0, false, false
}
