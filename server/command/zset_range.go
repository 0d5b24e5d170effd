package command

import (
	"bytes"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// appendDouble writes a score as replies, dumps and digests do.
func appendDouble(dst []byte, f float64) []byte { return resp.AppendDouble(dst, f) }

// edge is the end of a range of scores or names: a border, or one end of all members.
type edge struct {
	border      store.Border
	first, last bool // before all members, behind all
}

// rank is the number of members before the edge.
func (e *edge) rank(z *store.ZSet) int {
	switch {
	case e.first:
		return 0
	case e.last:
		return z.Len()
	}
	return z.Before(e.border)
}

// scoreEdge reads an end of a range of scores: a number, behind a parenthesis when it is not part of the range. As strtod
// does, it takes an empty one for 0 and passes over blanks; numbers too big are infinite.
func scoreEdge(arg []byte, upper bool) (edge, bool) {
	if i := bytes.IndexByte(arg, 0); i >= 0 {
		arg = arg[:i]
	}
	open := len(arg) > 0 && arg[0] == '('
	if open {
		arg = arg[1:]
	}
	score := 0.0
	if len(arg) > 0 {
		for len(arg) > 0 && (arg[0] == ' ' || arg[0] >= '\t' && arg[0] <= '\r') {
			arg = arg[1:]
		}
		f, _, ok := scanDouble(arg)
		if !ok {
			return edge{}, false
		}
		score = f
	}
	return edge{border: store.ScoreBorder(score, upper != open)}, true
}

// lexEdge reads an end of a range of names: "[name", "(name", "-" or "+".
func lexEdge(arg []byte, upper bool) (edge, bool) {
	if len(arg) == 0 {
		return edge{}, false
	}
	alone := len(arg) == 1 || arg[1] == 0
	switch c := arg[0]; {
	case c == '-' && alone:
		return edge{first: true}, true
	case c == '+' && alone:
		return edge{last: true}, true
	case c == '[':
		return edge{border: store.LexBorder(arg[1:], upper)}, true
	case c == '(':
		return edge{border: store.LexBorder(arg[1:], !upper)}, true
	}
	return edge{}, false
}

// zby says what a range is given by.
type zby uint8

const (
	byAny zby = iota // what the options say
	byRank
	byScore
	byLex
)

// zrange is a range of members as a command gives it.
type zrange struct {
	by            zby
	down          bool
	start, end    int64 // by rank
	min, max      edge  // by score, by name
	offset, limit int64
}

// bounds reads the two ends of a range, or replies with an error.
func (c *Ctx) bounds(r *zrange, i, j int) (ok bool) {
	switch r.by {
	case byScore, byLex:
		read, complaint := scoreEdge, "min or max is not a float"
		if r.by == byLex {
			read, complaint = lexEdge, "min or max not valid string range item"
		}
		if r.down {
			i, j = j, i
		}
		if r.min, ok = read(c.Args[i], false); ok {
			r.max, ok = read(c.Args[j], true)
		}
		if !ok {
			c.Out.Error(complaint)
		}
		return ok
	}
	if r.start, ok = c.intArg(i); ok {
		r.end, ok = c.intArg(j)
	}
	return ok
}

// resolve returns the rank of the first member to give and the number of them.
func (r *zrange) resolve(z *store.ZSet) (rank, n int) {
	size := int64(z.Len())
	var from, to int64 // in order, whatever the direction
	if r.by == byRank {
		from, to = r.start, r.end
		if from < 0 {
			from = max(from+size, 0)
		}
		if to < 0 {
			to += size
		}
		to = min(to, size-1) + 1
		if from >= to {
			return 0, 0
		}
		if r.down {
			from, to = size-to, size-from
		}
	} else {
		from, to = int64(r.min.rank(z)), int64(r.max.rank(z))
		if r.offset < 0 || to-from <= r.offset {
			return 0, 0
		}
		if r.down {
			to -= r.offset
		} else {
			from += r.offset
		}
	}
	n = int(to - from)
	if r.limit >= 0 && r.by != byRank {
		n = int(min(to-from, r.limit))
	}
	if r.down {
		return int(to - 1), n
	}
	return int(from), n
}

// parseZrange reads "min max [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]" from argument i on, with what the
// command leaves open in r, or replies with an error.
func (c *Ctx) parseZrange(r *zrange, i int, anyDirection, store bool) (withScores, ok bool) {
	r.limit = -1
	chosen := r.by
	for j := i + 2; j < len(c.Args); j++ {
		switch {
		case !store && c.is(j, "withscores"):
			withScores = true
		case c.is(j, "limit") && j+2 < len(c.Args):
			if r.offset, ok = c.intArg(j + 1); !ok {
				return false, false
			}
			if r.limit, ok = c.intArg(j + 2); !ok {
				return false, false
			}
			j += 2
		case anyDirection && !r.down && c.is(j, "rev"):
			r.down = true
		case chosen == byAny && c.is(j, "bylex"):
			chosen = byLex
		case chosen == byAny && c.is(j, "byscore"):
			chosen = byScore
		default:
			c.Out.Error(errSyntax)
			return false, false
		}
	}
	if r.by = chosen; chosen == byAny {
		r.by = byRank
	}
	switch {
	case r.limit != -1 && r.by == byRank:
		c.Out.Error("syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
		return false, false
	case withScores && r.by == byLex:
		c.Out.Error("syntax error, WITHSCORES not supported in combination with BYLEX")
		return false, false
	}
	return withScores, c.bounds(r, i, i+1)
}

func cmdZrange(c *Ctx) { c.zrange(zrange{}, true) }

func cmdZrevrange(c *Ctx) { c.zrange(zrange{by: byRank, down: true}, false) }

func cmdZrangebyscore(c *Ctx) { c.zrange(zrange{by: byScore}, false) }

func cmdZrevrangebyscore(c *Ctx) { c.zrange(zrange{by: byScore, down: true}, false) }

func cmdZrangebylex(c *Ctx) { c.zrange(zrange{by: byLex}, false) }

func cmdZrevrangebylex(c *Ctx) { c.zrange(zrange{by: byLex, down: true}, false) }

func (c *Ctx) zrange(r zrange, anyDirection bool) {
	withScores, ok := c.parseZrange(&r, 2, anyDirection, false)
	if !ok {
		return
	}
	z, found, ok := c.zsetToRead(c.Args[1])
	switch {
	case !ok:
		return
	case !found:
		c.Out.Array(0)
		return
	}
	rank, n := r.resolve(&z)
	if c.isLong(n) && c.longZRange(z, rank, n, r.down, withScores) {
		return
	}
	c.randomHeader(int64(n), withScores)
	z.Range(rank, n, r.down, func(member []byte, score float64) bool {
		c.scored(member, score, withScores)
		return true
	})
}

// scored replies with a member, and its score when that was asked for: a pair of its own in RESP3.
func (c *Ctx) scored(member []byte, score float64, withScore bool) {
	writeScored(c.Out, member, score, withScore)
}

func writeScored(w *resp.Writer, member []byte, score float64, withScore bool) {
	if withScore && w.Proto() > 2 {
		w.Array(2)
	}
	w.Bulk(member)
	if withScore {
		w.Double(score)
	}
}

func cmdZrangestore(c *Ctx) {
	r := zrange{}
	if _, ok := c.parseZrange(&r, 3, true, true); !ok {
		return
	}
	e, found := c.lookupCounted(c.Args[2])
	if found && e.Kind() != store.ZSetKind {
		c.Out.Error(errWrongType)
		return
	}
	if c.made != nil {
		c.storeZSet(c.Args[1], c.made.zset, "zrangestore")
		return
	}
	var list scoredList
	if found {
		z := e.ZSet()
		rank, n := r.resolve(&z)
		if c.isLong(n) && c.longZrangestore(z, rank, n, r.down) {
			return
		}
		z.Range(rank, n, r.down, func(member []byte, score float64) bool {
			list.add(member, score)
			return true
		})
	}
	c.storeZSet(c.Args[1], &list, "zrangestore")
}

func cmdZcount(c *Ctx) { c.zcount(byScore) }

func cmdZlexcount(c *Ctx) { c.zcount(byLex) }

func (c *Ctx) zcount(by zby) {
	r := zrange{by: by, limit: -1}
	if !c.bounds(&r, 2, 3) {
		return
	}
	z, found, ok := c.zsetToRead(c.Args[1])
	if !ok {
		return
	}
	n := 0
	if found {
		_, n = r.resolve(&z)
	}
	c.Out.Int(int64(n))
}

func cmdZremrangebyrank(c *Ctx) { c.zremrange(byRank, "zremrangebyrank") }

func cmdZremrangebyscore(c *Ctx) { c.zremrange(byScore, "zremrangebyscore") }

func cmdZremrangebylex(c *Ctx) { c.zremrange(byLex, "zremrangebylex") }

func (c *Ctx) zremrange(by zby, event string) {
	r := zrange{by: by, limit: -1}
	if !c.bounds(&r, 2, 3) {
		return
	}
	key := c.Args[1]
	var z store.ZSet
	found, ok := c.zsetToChange(key, &z)
	if !ok {
		return
	}
	n := 0
	if found {
		var rank int
		rank, n = r.resolve(&z)
		if c.longZSetCut(&z, c.Args[1:2], rank, n, nil) {
			return
		}
		c.zsetCut(&z, key, rank, n)
		c.zsetShrank(&z, key, event, n)
	}
	c.Out.Int(int64(n))
}
