package diff

import (
	"strconv"
	"strings"
)

// streamShapes draw the arguments of the commands of streams, whose IDs, groups and consumers must have something in
// common to be of interest. "*" has a stream of its own: see clockShapes.
var streamShapes = map[string]func(g *Gen, args []string) []string{
	"xadd": func(g *Gen, args []string) []string {
		args = append(args, pick(g, g.keys))
		if g.chance(10) {
			args = append(args, g.token("NOMKSTREAM"))
		}
		args = g.maybe(15, args, (*Gen).trimming)
		args = append(args, g.newID())
		for range 1 + g.r.IntN(3) {
			args = append(args, g.field(), g.text())
		}
		return args
	},
	"xtrim":     func(g *Gen, args []string) []string { return g.trimming(append(args, pick(g, g.keys))) },
	"xlen":      func(g *Gen, args []string) []string { return append(args, pick(g, g.keys)) },
	"xrange":    (*Gen).streamRange,
	"xrevrange": (*Gen).streamRange,
	"xdel":      func(g *Gen, args []string) []string { return g.streamIDs(append(args, pick(g, g.keys))) },
	"xsetid": func(g *Gen, args []string) []string {
		args = append(args, pick(g, g.keys), g.streamID())
		args = g.maybe(30, args, func(g *Gen, a []string) []string { return append(a, g.token("ENTRIESADDED"), g.integer("")) })
		return g.maybe(30, args, func(g *Gen, a []string) []string { return append(a, g.token("MAXDELETEDID"), g.streamID()) })
	},
	"xread": func(g *Gen, args []string) []string {
		return g.streamsOf(g.readOptions(args), []string{"$", "0", "0-0"})
	},
	"xreadgroup": func(g *Gen, args []string) []string {
		args = append(args, g.token("GROUP"), g.group(), g.consumer())
		args = g.maybe(15, g.readOptions(args), func(g *Gen, a []string) []string { return append(a, g.token("NOACK")) })
		return g.streamsOf(args, []string{">", ">", ">", ">", "0"})
	},
	"xack": func(g *Gen, args []string) []string {
		return g.streamIDs(append(args, pick(g, g.keys), g.group()))
	},
	"xpending": func(g *Gen, args []string) []string {
		args = append(args, pick(g, g.keys), g.group())
		if g.chance(30) {
			return args
		}
		if g.chance(30) {
			args = append(args, g.token("IDLE"), g.idle())
		}
		args = append(args, g.edgeID("-"), g.edgeID("+"), g.integer(""))
		return g.maybe(30, args, func(g *Gen, a []string) []string { return append(a, g.consumer()) })
	},
	"xclaim": func(g *Gen, args []string) []string {
		args = g.streamIDs(append(args, pick(g, g.keys), g.group(), g.consumer(), g.idle()))
		for _, o := range [][]string{{"FORCE"}, {"JUSTID"}, {"RETRYCOUNT", g.integer("")}, {"IDLE", g.idle()}, {"TIME", "1700000000000"}, {"LASTID", g.streamID()}} {
			if g.chance(20) {
				args = append(append(args, g.token(o[0])), o[1:]...)
			}
		}
		return args
	},
	"xautoclaim": func(g *Gen, args []string) []string {
		args = append(args, pick(g, g.keys), g.group(), g.consumer(), g.idle(), g.edgeID("-"))
		args = g.maybe(30, args, func(g *Gen, a []string) []string { return append(a, g.token("COUNT"), strconv.Itoa(g.r.IntN(5)-1)) })
		return g.maybe(30, args, func(g *Gen, a []string) []string { return append(a, g.token("JUSTID")) })
	},
	"xgroup|create": func(g *Gen, args []string) []string {
		args = append(args, pick(g, g.keys), g.group(), pick(g, []string{"$", "0", "0", g.streamID()}))
		args = g.maybe(40, args, func(g *Gen, a []string) []string { return append(a, g.token("MKSTREAM")) })
		return g.maybe(20, args, (*Gen).entriesRead)
	},
	"xgroup|setid": func(g *Gen, args []string) []string {
		args = append(args, pick(g, g.keys), g.group(), pick(g, []string{"$", "0", "-", "+", g.streamID()}))
		return g.maybe(20, args, (*Gen).entriesRead)
	},
	"xgroup|destroy": func(g *Gen, args []string) []string {
		return append(args, pick(g, g.keys), pick(g, []string{"g3", "g3", "g3", g.group()}))
	},
	"xgroup|createconsumer": (*Gen).groupConsumer,
	"xgroup|delconsumer":    (*Gen).groupConsumer,
	"xinfo|stream": func(g *Gen, args []string) []string {
		args = append(args, pick(g, g.keys))
		if g.chance(70) {
			args = append(args, g.token("FULL"))
			args = g.maybe(50, args, (*Gen).counted)
		}
		return args
	},
	"xinfo|groups":    func(g *Gen, args []string) []string { return append(args, pick(g, g.keys)) },
	"xinfo|consumers": func(g *Gen, args []string) []string { return append(args, pick(g, g.keys), g.group()) },
}

func (g *Gen) maybe(percent int, args []string, more func(*Gen, []string) []string) []string {
	if g.chance(percent) {
		return more(g, args)
	}
	return args
}

func (g *Gen) counted(args []string) []string { return append(args, g.token("COUNT"), g.integer("")) }

func (g *Gen) entriesRead(args []string) []string {
	return append(args, g.token("ENTRIESREAD"), strconv.Itoa(g.r.IntN(30)-2))
}

func (g *Gen) groupConsumer(args []string) []string {
	return append(args, pick(g, g.keys), g.group(), g.consumer())
}

func (g *Gen) group() string { return pick(g, []string{"g1", "g1", "g1", "g2", "g3", "", "no"}) }

func (g *Gen) consumer() string { return pick(g, []string{"c1", "c1", "c2", "c3", "\x00\n"}) }

func (g *Gen) trimming(args []string) []string {
	if by := g.r.IntN(2); by == 0 {
		args = g.operator(append(args, g.token("MAXLEN")))
		args = append(args, pick(g, []string{"0", "1", "5", "20", "100", "150", g.integer("")}))
	} else {
		args = g.operator(append(args, g.token("MINID")))
		args = append(args, g.streamID())
	}
	return g.maybe(15, args, func(g *Gen, a []string) []string { return append(a, g.token("LIMIT"), g.integer("")) })
}

func (g *Gen) operator(args []string) []string {
	return g.maybe(60, args, func(g *Gen, a []string) []string { return append(a, pick(g, []string{"~", "="})) })
}

func (g *Gen) readOptions(args []string) []string {
	args = g.maybe(40, args, (*Gen).counted)
	if g.chance(3) {
		args = append(args, g.token("BLOCK"), pick(g, []string{"1", "-1", "x"}))
	}
	return args
}

func (g *Gen) streamsOf(args []string, ids []string) []string {
	args = append(args, g.token("STREAMS"))
	n := 1 + g.r.IntN(4)/3
	for range n {
		args = append(args, pick(g, g.keys))
	}
	for range n {
		if g.chance(60) {
			args = append(args, pick(g, ids))
		} else {
			args = append(args, g.streamID())
		}
	}
	return args
}

func (g *Gen) streamRange(args []string) []string {
	from, to := "-", "+"
	if g.current.FullName == "xrevrange" {
		from, to = to, from
	}
	return g.maybe(40, append(args, pick(g, g.keys), g.edgeID(from), g.edgeID(to)), (*Gen).counted)
}

func (g *Gen) edgeID(edge string) string {
	if g.chance(50) {
		return edge
	}
	if g.chance(30) {
		return "(" + g.streamID()
	}
	return g.streamID()
}

func (g *Gen) streamIDs(args []string) []string {
	for range 1 + g.r.IntN(4) {
		args = append(args, g.streamID())
	}
	return args
}

// newID is an ID that is mostly greater than those before.
func (g *Gen) newID() string {
	g.ids++
	if g.chance(80) {
		return strconv.Itoa(g.ids/20) + pick(g, []string{"-*", "-*", "-*", "", "-" + strconv.Itoa(g.ids%20)})
	}
	return g.streamID()
}

// streamID is the ID of an entry that may exist, a partial one, one at an edge, or none.
func (g *Gen) streamID() string {
	if g.chance(3) {
		return pick(g, []string{"18446744073709551615-18446744073709551615", "18446744073709551615", "0-0", "0", "-", "+", "x", "1-x", "18446744073709551616-0", "-1-0",
			"1--1", "007-01", " 5-1", "+5-+1", "5-", "-5", "5-*", "(5", "1-1-1", "1-1\x00x", "\x00", strings.Repeat("0", 128) + "1", strings.Repeat("0", 120) + "1"})
	}
	ms := max(g.ids/20-g.r.IntN(12), 0)
	if g.chance(20) {
		return strconv.Itoa(ms)
	}
	return strconv.Itoa(ms) + "-" + strconv.Itoa(g.r.IntN(5))
}

// asOldest turns effects into those of redis-server 7.0, which tells replicas the entries_read of a group only when
// nothing becomes pending; since 7.2 it always does, and so do we.
func asOldest(list [][]string) [][]string {
	var out [][]string
	unit := false
	for _, words := range list {
		last := len(out) - 1
		unit = unit && words[0] != "EXEC" || words[0] == "MULTI"
		switch {
		case unit && len(words) == 7 && words[0] == "XGROUP" && words[1] == "SETID" && out[last][0] == "XCLAIM":
			continue
		case last > 0 && words[0] == "EXEC" && out[last-1][0] == "MULTI":
			out = append(out[:last-1], out[last]) // one is left
			continue
		}
		out = append(out, words)
	}
	return out
}
