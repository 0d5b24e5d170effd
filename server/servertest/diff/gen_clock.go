package diff

import (
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/resp"
)

// clockKey holds a stream whose IDs are drawn from the clock, "*": the two sides hardly ever draw the same. Whatever tells
// one of them apart from the others stays away from it, and where such IDs are compared they need only be near.
const clockKey = "by:clock"

// clockShapes are commands on the stream of the clock.
var clockShapes = map[string]func(g *Gen, args []string) []string{
	"xadd": func(g *Gen, args []string) []string {
		args = append(args, clockKey)
		args = g.maybe(10, args, func(g *Gen, a []string) []string { return append(a, g.token("NOMKSTREAM")) })
		args = g.maybe(20, args, (*Gen).clockTrim)
		return append(args, "*", "f", strconv.Itoa(g.r.IntN(100)))
	},
	"xlen":  func(g *Gen, args []string) []string { return append(args, clockKey) },
	"xtrim": func(g *Gen, args []string) []string { return g.clockTrim(append(args, clockKey)) },
	"xrange": func(g *Gen, args []string) []string {
		return g.maybe(40, append(args, clockKey, "-", "+"), (*Gen).counted)
	},
	"xrevrange": func(g *Gen, args []string) []string {
		return g.maybe(40, append(args, clockKey, "+", "-"), (*Gen).counted)
	},
	"xread": func(g *Gen, args []string) []string {
		return append(args, g.token("STREAMS"), clockKey, pick(g, []string{"0", "$"}))
	},
	"xreadgroup": func(g *Gen, args []string) []string {
		args = g.maybe(40, append(args, g.token("GROUP"), "g1", g.consumer()), (*Gen).counted)
		return append(args, g.token("STREAMS"), clockKey, pick(g, []string{">", ">", "0"}))
	},
	"xgroup|create": func(g *Gen, args []string) []string { return append(args, clockKey, "g1", pick(g, []string{"0", "$"})) },
	"xpending":      func(g *Gen, args []string) []string { return append(args, clockKey, "g1", "-", "+", "100") },
	"xautoclaim": func(g *Gen, args []string) []string {
		args = append(args, clockKey, "g1", g.consumer(), g.idle(), "0")
		return g.maybe(30, args, func(g *Gen, a []string) []string { return append(a, g.token("JUSTID")) })
	},
	"xinfo|groups":    func(g *Gen, args []string) []string { return append(args, clockKey) },
	"xinfo|consumers": func(g *Gen, args []string) []string { return append(args, clockKey, "g1") },
}

// clockTrim keeps few entries, none of which it names.
func (g *Gen) clockTrim(args []string) []string {
	return append(g.operator(append(args, g.token("MAXLEN"))), pick(g, []string{"0", "1", "5", "20", "100", "150"}))
}

// clockID splits an ID that a clock has drawn.
func clockID(id string) (ms int64, ok bool) {
	head, tail, found := strings.Cut(id, "-")
	if !found || len(head) != 13 {
		return 0, false
	}
	ms, err := strconv.ParseInt(head, 10, 64)
	_, err2 := strconv.ParseUint(tail, 10, 64)
	return ms, err == nil && err2 == nil && ms > since2001
}

// nearIDs tells whether two IDs of the clock may come from the same command.
func nearIDs(a, b string) bool {
	x, ok := clockID(a)
	y, ok2 := clockID(b)
	return ok && ok2 && near(x, y)
}

// withoutClockIDs replaces IDs of the clock by a word.
func withoutClockIDs(v *resp.Value) {
	if _, ok := clockID(string(v.Str)); ok {
		v.Str = []byte("clock")
	}
	for i := range v.Elems {
		withoutClockIDs(&v.Elems[i])
	}
}
