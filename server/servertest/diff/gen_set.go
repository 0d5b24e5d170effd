package diff

import "strconv"

// borders are the integers around which an intset's width changes, and forms that are no integers to Redis.
var borders = []string{"32767", "32768", "-32768", "-32769", "2147483647", "2147483648", "-2147483648", "-2147483649",
	"9223372036854775807", "-9223372036854775808", "9223372036854775808", "-0", "+1", "01", "1.0", " 1"}

// member draws an element of a set: mostly one of a few, so that sets have something in common.
func (g *Gen) member() string {
	switch n := g.r.IntN(20); {
	case n < 12:
		return strconv.Itoa(g.r.IntN(15))
	case n < 15:
		return pick(g, borders)
	case n < 19:
		return "m" + strconv.Itoa(g.r.IntN(10))
	}
	return g.text()
}

// crowd is the number of members for a set that crosses a border between encodings.
func (g *Gen) crowd() int { return pick(g, []int{127, 128, 129, 300, 513, 600}) }

// crowdOf appends n elements in a row; a few are no integers.
func (g *Gen) crowdOf(args []string, n int) []string {
	prefix, from := "", g.r.IntN(100)
	if g.chance(40) {
		prefix = "m"
	}
	for i := range n {
		args = append(args, prefix+strconv.Itoa(from+i))
	}
	return args
}
