package diff

import (
	"strconv"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
)

// restore makes the arguments of a RESTORE: the value of a small key of any type in any of its encodings, now and then
// damaged in its footer.
func (g *Gen) restore(args []string) []string {
	p := string(g.payload())
	if g.chance(5) {
		p = p[:len(p)-1] + string(p[len(p)-1]^1)
	}
	ttl := "0"
	absolute := g.chance(10)
	switch {
	case absolute && g.chance(50):
		ttl = strconv.FormatInt(g.now+3_600_000, 10)
	case absolute:
		ttl = strconv.FormatInt(g.now-3_600_000, 10)
	case g.chance(20):
		if ttl = g.relative("milliseconds"); ttl == "9223372036854775807" { // overflows there
			ttl = "0"
		}
	}
	args = append(args, pick(g, g.keys), ttl, p)
	if g.chance(70) {
		args = append(args, g.token("REPLACE"))
	}
	if absolute {
		args = append(args, g.token("ABSTTL"))
	}
	args = g.maybe(8, args, func(g *Gen, a []string) []string {
		return append(a, g.token("IDLETIME"), pick(g, []string{"0", "100", "-1", "x"}))
	})
	args = g.maybe(8, args, func(g *Gen, a []string) []string {
		return append(a, g.token("FREQ"), pick(g, []string{"0", "5", "255", "256", "-1", "x"}))
	})
	return args
}

// payload is what DUMP could say.
func (g *Gen) payload() []byte {
	n := 1 + g.r.IntN(4)
	packed := func(elements int, elem func(i int) string) []byte {
		lp := listpack.Begin(nil)
		for i := range elements {
			lp = listpack.AppendString(lp, []byte(elem(i)))
		}
		return listpack.Finish(lp, 0, elements)
	}
	word := func(i int) string { return strconv.Itoa(i*i*100) + "abc"[:g.r.IntN(3)] }
	name := func(i int) string { return pick(g, []string{"m", "field", "7"}) + strconv.Itoa(i) }
	pair := func(i int) string {
		if i%2 == 0 {
			return name(i)
		}
		return strconv.Itoa(i)
	}
	dst := []byte{}
	add := func(s string) { dst = rdb.AppendString(dst, []byte(s), g.chance(50)) }
	begin := func(t rdb.Type, lengths ...int) {
		dst = append(dst, byte(t))
		for _, l := range lengths {
			dst = rdb.AppendLen(dst, uint64(l))
		}
	}
	switch g.r.IntN(8) {
	case 0:
		begin(rdb.TypeString)
		add(word(g.r.IntN(50)))
	case 1:
		begin(rdb.TypeList, n)
		for i := range n {
			add(word(i))
		}
	case 2:
		begin(rdb.TypeListQuicklist2, 1, 2)
		add(string(packed(n, word)))
	case 3:
		begin(rdb.TypeSet, n)
		for i := range n {
			add(name(i))
		}
	case 4:
		begin(rdb.TypeHash, n)
		for i := range n {
			add(name(i))
			add(word(i))
		}
	case 5:
		begin(rdb.TypeHashListpack)
		add(string(packed(2*n, pair)))
	case 6:
		begin(rdb.TypeZset2, n)
		for i := range n {
			add(name(i))
			dst = rdb.AppendScore(dst, float64(i)/2)
		}
	default:
		begin(rdb.TypeZsetListpack)
		add(string(packed(2*n, pair)))
	}
	return rdb.AppendFooter(dst, 0)
}
