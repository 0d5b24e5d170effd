package diff

import (
	"slices"
	"strconv"
	"strings"
)

// lexKey holds a sorted set whose scores are all 0: what ranges by name give from others depends in redis-server on the
// form of the value, and on chance.
const lexKey = "by:name"

// sortedSet gives commands on sorted sets the shapes that their documentation does not tell.
func (g *Gen) sortedSet(args []string) []string {
	name := g.current.FullName
	switch {
	case g.current.Group != "sorted-set":
		return args
	case name == "zadd" && g.chance(12):
		return g.named(args[:1])
	case strings.HasPrefix(name, "zunion"), strings.HasPrefix(name, "zinter"), strings.HasPrefix(name, "zdiff"):
		if g.chance(80) {
			return g.algebra(args[:1], name)
		}
	case strings.HasSuffix(name, "mpop"):
		at := slices.IndexFunc(args, func(a string) bool { return strings.EqualFold(a, "min") || strings.EqualFold(a, "max") })
		if from := strings.Index(name, "z") + 1; at > from+1 && g.chance(80) { // BZMPOP's timeout comes first
			args[from] = strconv.Itoa(at - from - 1)
		}
	case name == "zrangestore" && len(args) > 4:
		g.ends(args, 2)
	case strings.Contains(name, "range") || strings.HasSuffix(name, "count"):
		if len(args) > 3 {
			g.ends(args, 1)
		}
	}
	return args
}

// named is a ZADD of members with score 0.
func (g *Gen) named(args []string) []string {
	args = append(args, lexKey)
	for range 1 + g.r.IntN(4) {
		args = append(args, "0", pick(g, []string{"", "a", "aa", "ab", "b", "m", "\xff", "\xff\xff", "\x00", g.member()}))
	}
	return args
}

// ends puts the two ends of a range behind the key at i.
func (g *Gen) ends(args []string, i int) {
	lex := strings.Contains(g.current.FullName, "lex")
	score := strings.Contains(g.current.FullName, "score") || g.current.FullName == "zcount"
	for _, a := range args[i+3:] {
		lex = lex || strings.EqualFold(a, "bylex")
		score = score || strings.EqualFold(a, "byscore")
	}
	if lex {
		args[i] = lexKey
	}
	for j := i + 1; j <= i+2; j++ {
		switch {
		case lex:
			args[j] = g.lexEnd()
		case score:
			args[j] = g.scoreEnd()
		default:
			args[j] = g.integer("rank")
		}
	}
}

func (g *Gen) lexEnd() string {
	if g.chance(40) {
		return pick(g, []string{"-", "+", "-", "+", "-x", "+\x00", "", "a", "(", "["})
	}
	return pick(g, []string{"[", "("}) + pick(g, []string{"", "a", "aa", "ab", "b", "m5", "\xff", "\x00", g.member()})
}

func (g *Gen) scoreEnd() string {
	s := pick(g, []string{"-inf", "+inf", "inf", "0", "-0", g.score(), g.score(), strconv.Itoa(g.r.IntN(100) - 30), " 5", "", "1e400", "nan", "x"})
	if g.chance(30) {
		s = "(" + s
	}
	return s
}

// score draws a score: often one of a few, so that members share it.
func (g *Gen) score() string {
	switch g.r.IntN(4) {
	case 0:
		return pick(g, []string{"inf", "-inf", "+inf", "0", "-0", "5e-324", "1e-320", "1.7976931348623157e308", "16777217", "4294967296", "9007199254740993", "-32769", "239", "240", "0.1"})
	case 1:
		return g.float()
	}
	return strconv.Itoa(g.r.IntN(12) - 4)
}

// algebra is a well formed command of set algebra, or nearly.
func (g *Gen) algebra(args []string, name string) []string {
	if strings.HasSuffix(name, "store") {
		args = append(args, pick(g, g.keys))
	}
	n := 1 + g.r.IntN(4)
	args = append(args, strconv.Itoa(n))
	for range n {
		args = append(args, pick(g, g.keys))
	}
	if g.chance(30) {
		args = append(args, "WEIGHTS")
		for range n {
			args = append(args, g.score())
		}
	}
	if g.chance(30) {
		args = append(args, "aggregate", pick(g, []string{"sum", "MIN", "Max", "avg"}))
	}
	if g.chance(40) {
		args = append(args, "WithScores")
	}
	if g.chance(10) || name == "zintercard" && g.chance(50) {
		args = append(args, "LIMIT", pick(g, []string{"0", "1", "2", "-1", "x"}))
	}
	return args
}
