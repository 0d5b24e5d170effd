package diff

import "strconv"

// timeout is one of a blocking command: short, since nobody will come.
func (g *Gen) timeout() string {
	if g.chance(90) {
		return pick(g, []string{"0.001", "0.002", "1e-3", "0.0001", "0x0.01"})
	}
	return pick(g, []string{"-1", "-0.1", "x", "nan", "inf", "-inf", "1e17", "9223372036854775807", "", "0.001x", "1e4932"})
}

// element draws few different ones, so that lists have equal ones.
func (g *Gen) element() string {
	if g.chance(60) {
		return pick(g, []string{"e1", "e2", "e3", "10", "-1", "100000", ""})
	}
	if g.chance(50) {
		return strconv.FormatInt(g.r.Int64N(2)-g.r.Int64N(1<<g.r.IntN(63)+1), 10)
	}
	return g.text()
}
