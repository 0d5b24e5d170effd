package diff

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/command"
)

// Gen makes random commands.
type Gen struct {
	r       *rand.Rand
	cmds    []*command.Cmd
	keys    []string
	current *command.Cmd // being made
	now     int64        // unix milliseconds, for absolute times
	ids     int          // drawn for streams

	relStep, relStride int64 // the last relative time, and the way to the next one
}

// unsuited commands are not drawn (nor scripts, which random text is not, nor those about a cluster, which are all refused): their replies are random by nature, or they end or bind the connection.
var unsuited = map[string]bool{
	"randomkey": true, "hrandfield": true, "scan": true, "hscan": true, "dbsize": true, // compared by their own tests
	"xgroup|help": true, "xinfo|help": true,
	"pfselftest": true,                  // draws its own numbers
	"migrate":    true,                  // dials
	"dump":       true,                  // the same value has many dumps
	"sort":       true, "sort_ro": true, // the order of equal elements is open
	"spop": true, "srandmember": true, "sscan": true, "zrandmember": true, "zscan": true,
	"object|refcount": true,                      // depends on which command made a small number
	"slowlog|get":     true, "slowlog|len": true, // what took long
	"memory|usage": true, "memory|help": true, "memory|doctor": true, "memory|stats": true, "memory|malloc-stats": true,
	"latency|doctor": true, "latency|graph": true, "latency|help": true, "latency|histogram": true, "latency|history": true, "latency|latest": true, "latency|reset": true,
	"object|help": true, "command|help": true, "module|help": true,
	"command": true, "command|info": true, "command|docs": true, "command|list": true, "command|count": true,
	"command|getkeys": true, "command|getkeysandflags": true,
}

// rare commands would empty the key space too often; so are blocking ones, which take their time.
var rare = map[string]bool{"flushall": true, "flushdb": true, "swapdb": true, "move": true}

// NewGen draws from the commands that suits accepts.
func NewGen(seed uint64, table *command.Table, now int64, suits func(*command.Cmd) bool) *Gen {
	g := &Gen{r: rand.New(rand.NewPCG(seed, 1)), now: now,
		keys: []string{"a", "b", "c", "key:1", "key:2", "key:3", "", "\x00\xff\r\n", strings.Repeat("long", 40)}}
	g.relStep, g.relStride = g.r.Int64N(relTimes), 1+2*g.r.Int64N(relTimes/2)
	for _, c := range table.All() {
		if len(c.Subs) == 0 && c.Handler != nil && !unsuited[c.FullName] && c.Group != "scripting" && c.Group != "cluster" && suits(c) {
			g.cmds = append(g.cmds, c)
		}
	}
	return g
}

func (g *Gen) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *Gen, list []T) T { return list[g.r.IntN(len(list))] }

// Next returns a command, the name first; mostly well formed.
func (g *Gen) Next() []string {
	c := pick(g, g.cmds)
	for (rare[c.FullName] || c.Flags&command.Blocking != 0) && !g.chance(5) {
		c = pick(g, g.cmds)
	}
	g.current = c
	args := strings.Split(c.FullName, "|")
	if g.chance(20) {
		args[0] = strings.ToUpper(args[0])
	}
	if shape := clockShapes[c.FullName]; shape != nil && g.chance(8) {
		return shape(g, args)
	} else if shape := streamShapes[c.FullName]; shape != nil {
		args = shape(g, args)
	} else if c.FullName == "restore" || c.FullName == "restore-asking" {
		args = g.restore(args)
	} else {
		args = g.sortedSet(g.sequence(args, c.Documented()))
	}
	switch {
	case slices.Contains(args, lexKey): // whose scores must stay 0
	case c.Flags&command.Blocking != 0: // a number that got to the timeout's place would take its time
	case g.chance(2) && len(args) > 1:
		args = args[:len(args)-1]
	case g.chance(2):
		args = append(args, g.noise())
	case g.chance(1) && len(args) > 2:
		args[1+g.r.IntN(len(args)-1)] = g.noiseFor(c.FullName)
	}
	if c.FullName == "zrank" || c.FullName == "zrevrank" { // take a word more since 7.2
		args = args[:min(len(args), 3)]
	}
	return args
}

func (g *Gen) sequence(args []string, shape []command.Arg) []string {
	for i := range shape {
		args = g.arg(args, &shape[i])
	}
	return args
}

func (g *Gen) arg(args []string, a *command.Arg) []string {
	if a.Optional && !g.chance(35) || a.Since == "7.2.0" {
		return args
	}
	times := 1
	if (a.Name == "member" || a.Name == "element") && a.Multiple && g.chance(4) {
		return g.crowdOf(args, g.crowd())
	}
	if a.Multiple {
		times = 1 + g.r.IntN(3)
	}
	for i := range times {
		if a.Token != "" && (i == 0 || a.MultipleToken) {
			args = append(args, g.token(a.Token))
		}
		args = g.value(args, a)
	}
	return args
}

func (g *Gen) token(t string) string {
	if g.chance(30) {
		return strings.ToLower(t)
	}
	return t
}

func (g *Gen) value(args []string, a *command.Arg) []string {
	switch a.Type {
	case "pure-token":
		return args
	case "oneof":
		return g.arg(args, &a.Args[g.r.IntN(len(a.Args))])
	case "block":
		return g.sequence(args, a.Args)
	case "key":
		return append(args, pick(g, g.keys))
	case "integer":
		return append(args, g.integer(a.Name))
	case "double":
		switch a.Name {
		case "timeout":
			return append(args, g.timeout())
		case "score":
			return append(args, g.score())
		case "longitude", "latitude":
			return append(args, g.degrees(a.Name))
		case "radius", "width", "height":
			return append(args, g.length())
		}
		return append(args, g.float())
	case "unix-time":
		return append(args, g.time(a.Name))
	case "pattern":
		return append(args, g.pattern())
	}
	return append(args, g.bitfieldOr(a.Name))
}

func (g *Gen) integer(name string) string {
	switch {
	case name == "seconds" || name == "milliseconds":
		return g.relative(name)
	case strings.HasSuffix(name, "index1") || strings.HasSuffix(name, "index2") || name == "destination-db":
		return pick(g, []string{"0", "1", "1", "2", "15", "16", "-1", "x"})
	case name == "numkeys":
		return pick(g, []string{"1", "1", "2", "3", "0", "-1", "100", "x"})
	case name == "bit":
		return pick(g, []string{"0", "1", "0", "1", "2"})
	case g.chance(10):
		return pick(g, []string{"9223372036854775807", "-9223372036854775808", "9223372036854775808", "-0", "+1", " 1", "1 ", "1.5", "abc", "", "00", "4294967296"})
	}
	return strconv.Itoa(g.r.IntN(300) - 60)
}

func (g *Gen) float() string {
	if g.chance(50) {
		return strconv.FormatFloat(g.r.NormFloat64()*100, pick(g, []byte("feg")), g.r.IntN(18), 64)
	}
	return pick(g, []string{"0.1", "0.2", "-0.3", "3", "1e5", "1e-5", "5.0e3", "1.797e308", "-inf", "+inf", "nan", "0x1p3", "0x.8", ".5", "5.", ".", "e5", "1e", " 1",
		"1 ", "1e4931", "1e4932", "-1e4932", "1e-4940", "1e-5000", "100000000000000000000", "0.00000000000000001", "123456789012345678", "1e20", "\x31\x00", "--1", "+-1", "1_0", "010", "0x", "1e+5", "1e+-5"})
}

func (g *Gen) pattern() string {
	return pick(g, []string{"*", "key:*", "?", "[a-b]", "[^a]", "*[", "k*1", "\\*", "[\\]a]", "", "l*g*g", "[a-", "\x00*"})
}

// bitfieldOr draws a value; encodings and offsets of BITFIELD have forms of their own.
func (g *Gen) bitfieldOr(name string) string {
	switch name {
	case "encoding":
		return pick(g, []string{"u8", "i8", "u1", "i1", "u63", "i64", "u64", "i16", "u7", "i5", "i0", "u", "x8"})
	case "operation":
		return pick(g, []string{"AND", "or", "XOR", "NOT", "nand"})
	case "field":
		return g.field()
	case "member":
		return g.member()
	case "subcommand":
		return pick(g, []string{"ENCODING", "decode", "TODENSE", "getreg", "nonsense"})
	case "element", "pivot":
		return g.element()
	}
	return g.text()
}

func (g *Gen) field() string {
	if g.chance(80) {
		return "f" + strconv.Itoa(g.r.IntN(12))
	}
	return g.text()
}

// noise is a word where none belongs: short, since errors quote it.
func (g *Gen) noise() string {
	w := g.text()
	return w[:min(len(w), 200)]
}

// text draws a value: numbers, words, and bytes of the lengths where an encoding changes.
func (g *Gen) text() string {
	switch g.r.IntN(6) {
	case 0:
		return strconv.Itoa(g.r.IntN(30000) - 10000)
	case 1:
		return g.float()
	case 2:
		return pick(g, []string{"", "x", "GET", "EX", "\r\n", "hello world", "9223372036854775807", "-9223372036854775808", "#3", "10"})
	}
	n := pick(g, []int{1, 2, 7, 20, 21, 43, 44, 45, 63, 64, 65, 100, 300})
	if g.chance(2) {
		n = pick(g, []int{4000, 4096, 16384, 16385, 20000, 70000})
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.r.IntN(256))
	}
	if g.chance(50) { // text that LCS finds something in
		for i := range b {
			b[i] = "abc"[b[i]%3]
		}
	}
	return string(b)
}
