package command

import (
	"math"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// zsetToRead finds a sorted set. found is false for a missing key; ok is false after an error reply.
func (c *Ctx) zsetToRead(key []byte) (z store.ZSet, found, ok bool) {
	e, found := c.LookupRead(key)
	switch {
	case !found:
		return z, false, true
	case e.Kind() != store.ZSetKind:
		c.Out.Error(errWrongType)
		return z, true, false
	}
	return e.ZSet(), true, true
}

// zsetToChange makes z the sorted set that is to change, without creating one.
func (c *Ctx) zsetToChange(key []byte, z *store.ZSet) (found, ok bool) {
	e, found := c.LookupWrite(key)
	switch {
	case !found:
		return false, true
	case e.Kind() != store.ZSetKind:
		c.Out.Error(errWrongType)
		return true, false
	}
	z.ForWriteMet(c.DB, key)
	return true, true
}

// zsetShrank ends a command that removed n members: an empty sorted set goes.
func (c *Ctx) zsetShrank(z *store.ZSet, key []byte, event string, n int) {
	if n == 0 {
		return
	}
	emptied := z.Len() == 0
	if emptied {
		c.DB.Delete(key)
	}
	c.touched(EventZSet, event, key)
	c.Dirty(n - 1)
	if emptied {
		c.Notify(EventGeneric, "del", key)
	}
}

// zaddOptions are those of ZADD, and where the scores begin.
type zaddOptions struct {
	nx, xx, gt, lt, ch, incr bool
	at                       int
}

func cmdZadd(c *Ctx) { c.zadd(zaddOptions{}) }

func cmdZincrby(c *Ctx) { c.zadd(zaddOptions{incr: true}) }

func (c *Ctx) zadd(o zaddOptions) {
	if !c.parseZadd(&o) {
		return
	}
	scores := c.scores[:0]
	for i := o.at; i < len(c.Args); i += 2 {
		score, ok := c.floatArg(i)
		if !ok {
			return
		}
		scores = append(scores, score)
	}
	if cap(scores) <= 1<<10 {
		c.scores = scores
	}
	key := c.Args[1]
	e, found := c.LookupWrite(key)
	if found && e.Kind() != store.ZSetKind {
		c.Out.Error(errWrongType)
		return
	}
	if !found && o.xx {
		c.zaddReply(&o, 0, 0, 0, false)
		return
	}
	var z store.ZSet
	if found && len(scores) == 1 {
		z.ForWriteMet(c.DB, key)
	} else {
		z.Draft(c.DB, key)
	}
	added, updated, score, done := 0, 0, 0.0, false
	for i, s := range scores {
		if i%store.WarmGroup == 0 {
			z.WarmNext(c.Args[o.at+1+2*i:], 2)
		}
		var created, changed bool
		score, created, changed, done = o.apply(&z, c.Args[o.at+1+2*i], s)
		switch {
		case created:
			added++
		case changed:
			updated++
		}
	}
	z.Store()
	if math.IsNaN(score) {
		c.Out.Error("resulting score is not a number (NaN)")
		return
	}
	c.born(found, key)
	if added+updated > 0 {
		c.touched(EventZSet, o.event(), key)
		c.Dirty(added + updated - 1)
	}
	c.zaddReply(&o, added, updated, score, done)
}

func (o *zaddOptions) event() string {
	if o.incr {
		return "zincr"
	}
	return "zadd"
}

func (c *Ctx) zaddReply(o *zaddOptions, added, updated int, score float64, done bool) {
	switch {
	case o.incr && done:
		c.Out.Double(score)
	case o.incr:
		c.Out.Null()
	case o.ch:
		c.Out.Int(int64(added + updated))
	default:
		c.Out.Int(int64(added))
	}
}

// parseZadd reads options up to the first score and checks them, or replies with an error.
func (c *Ctx) parseZadd(o *zaddOptions) bool {
	words := []struct {
		name string
		set  *bool
	}{{"nx", &o.nx}, {"xx", &o.xx}, {"ch", &o.ch}, {"incr", &o.incr}, {"gt", &o.gt}, {"lt", &o.lt}}
options:
	for o.at = 2; o.at < len(c.Args); o.at++ {
		for _, w := range words {
			if c.is(o.at, w.name) {
				*w.set = true
				continue options
			}
		}
		break
	}
	elements := len(c.Args) - o.at
	switch {
	case elements%2 != 0 || elements == 0:
		c.Out.Error(errSyntax)
	case o.nx && o.xx:
		c.Out.Error("XX and NX options at the same time are not compatible")
	case o.gt && o.nx || o.lt && o.nx || o.gt && o.lt:
		c.Out.Error("GT, LT, and/or NX options at the same time are not compatible")
	case o.incr && elements > 2:
		c.Out.Error("INCR option supports a single increment-element pair")
	default:
		return true
	}
	return false
}

// apply adds a member or changes its score as the options say. done is false when they forbid it. A score that is not a
// number leaves the member as it was.
func (o *zaddOptions) apply(z *store.ZSet, member []byte, by float64) (score float64, created, changed, done bool) {
	if *o == (zaddOptions{at: o.at, ch: o.ch}) {
		created, changed = z.Set(member, by)
		return by, created, changed, true
	}
	old, exists := z.Score(member)
	score = by
	if exists && o.incr && !o.nx {
		score += old
	}
	forbidden := exists && (o.nx || o.lt && score >= old || o.gt && score <= old) || !exists && o.xx
	if math.IsNaN(score) || forbidden {
		return score, false, false, false
	}
	created, changed = z.Set(member, score)
	return score, created, changed, true
}

func cmdZrem(c *Ctx) {
	key := c.Args[1]
	var z store.ZSet
	found, ok := c.zsetToChange(key, &z)
	if !ok {
		return
	}
	removed := 0
	if found {
		removed = z.DelAll(c.Args[2:])
		c.zsetShrank(&z, key, "zrem", removed)
	}
	c.Out.Int(int64(removed))
}

func cmdZcard(c *Ctx) {
	z, found, ok := c.zsetToRead(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Int(0)
	default:
		c.Out.Int(int64(z.Len()))
	}
}

func cmdZscore(c *Ctx) {
	z, found, ok := c.zsetToRead(c.Args[1])
	if ok {
		c.score(&z, found, c.Args[2])
	}
}

// score replies with a member's score.
func (c *Ctx) score(z *store.ZSet, found bool, member []byte) {
	if found {
		if score, ok := z.Score(member); ok {
			c.Out.Double(score)
			return
		}
	}
	c.Out.Null()
}

func cmdZmscore(c *Ctx) {
	c.readNamed(store.ZSetKind, (*resp.Writer).Null, writeScores)
}

// writeScores writes the scores of members of a sorted set.
func writeScores(w *resp.Writer, e store.Entry, members [][]byte) {
	eachScore(e, members, func(score float64, found bool) {
		if found {
			w.Double(score)
		} else {
			w.Null()
		}
	})
}

// eachScore looks up the scores of members of a sorted set.
func eachScore(e store.Entry, members [][]byte, fn func(score float64, found bool)) {
	z := e.ZSet()
	for i, member := range members {
		if i%store.WarmGroup == 0 {
			z.Warm(members[i:])
		}
		fn(z.Score(member))
	}
}

func cmdZrank(c *Ctx) { c.zrank(false) }

func cmdZrevrank(c *Ctx) { c.zrank(true) }

func (c *Ctx) zrank(down bool) {
	withScore := len(c.Args) > 3
	if len(c.Args) > 4 {
		c.Out.Error(c.Cmd.ArityError())
		return
	}
	if withScore && !c.is(3, "withscore") {
		c.Out.Error(errSyntax)
		return
	}
	z, found, ok := c.zsetToRead(c.Args[1])
	if !ok {
		return
	}
	rank, score := 0, 0.0
	if found {
		rank, score, found = z.Rank(c.Args[2])
	}
	if found && down {
		rank = z.Len() - 1 - rank
	}
	switch {
	case found && withScore:
		c.Out.Array(2)
		c.Out.Int(int64(rank))
		c.Out.Double(score)
	case found:
		c.Out.Int(int64(rank))
	case withScore:
		c.Out.NullArray()
	default:
		c.Out.Null()
	}
}

func cmdZscan(c *Ctx) {
	cursor, ok := c.cursorArg(2)
	if !ok {
		return
	}
	z, found, ok := c.zsetToRead(c.Args[1])
	if !ok {
		return
	}
	if !found {
		c.Out.Array(2)
		c.Out.BulkString("0")
		c.Out.Array(0)
		return
	}
	o, ok := c.parseScan(3, false)
	if !ok {
		return
	}
	scan := func(z *store.ZSet, cursor uint64, n int, emit func(parts ...[]byte)) uint64 {
		return z.Scan(cursor, n, func(member []byte, score float64) {
			if o.matches(member) {
				emit(member, appendDouble(nil, score))
			}
		})
	}
	if c.longScanIn(cursor, &o, z.Len(), func(e store.Entry, cursor uint64, n int, emit func(parts ...[]byte)) uint64 {
		z := e.ZSet()
		return scan(&z, cursor, n, emit)
	}) {
		return
	}
	c.Out.Array(2)
	c.scanReply(func(emit func(parts ...[]byte)) uint64 { return scan(&z, cursor, int(min(o.count, maxScan)), emit) })
}
