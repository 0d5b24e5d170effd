package command

import (
	"cmp"
	"slices"

	"github.com/understudy-db/understudy/server/store"
)

// geoSearch is a search for members by their positions, as GEORADIUS, GEOSEARCH and their kin ask for it.
type geoSearch struct {
	key   []byte
	z     store.ZSet
	found bool // the key is there
	shape geoShape

	byMember  bool // GEORADIUSBYMEMBER
	searching bool // GEOSEARCH, GEOSEARCHSTORE
	mayStore  bool // STORE and STOREDIST name a key; in GEOSEARCHSTORE it is named already
	dst       []byte

	fromMember, fromPoint, byRadius, byBox       bool
	withDistance, withHash, withPoint, storeDist bool
	order                                        int // 1 nearest first, -1 farthest first, 0 as found
	count                                        int64
	any                                          bool
}

func cmdGeoradius(c *Ctx) { c.geoRadius(&geoSearch{mayStore: true}) }

func cmdGeoradiusRO(c *Ctx) { c.geoRadius(&geoSearch{}) }

func cmdGeoradiusbymember(c *Ctx) { c.geoRadius(&geoSearch{mayStore: true, byMember: true}) }

func cmdGeoradiusbymemberRO(c *Ctx) { c.geoRadius(&geoSearch{byMember: true}) }

func (c *Ctx) geoRadius(s *geoSearch) {
	if !s.open(c, c.Args[1]) {
		return
	}
	options := 6
	switch {
	case !s.byMember:
		var ok bool
		if s.shape.x, s.shape.y, ok = c.position(2); !ok || !s.radius(c, 4) {
			return
		}
	case s.found:
		options = 5
		if !s.around(c, c.Args[2]) || !s.radius(c, 3) {
			return
		}
	default:
		options = 5 // the rest tells how to answer
	}
	if s.parse(c, options) {
		s.run(c)
	}
}

func cmdGeosearch(c *Ctx) {
	s := &geoSearch{searching: true}
	if s.open(c, c.Args[1]) && s.parse(c, 2) {
		s.run(c)
	}
}

func cmdGeosearchstore(c *Ctx) {
	s := &geoSearch{searching: true, dst: c.Args[1]}
	if s.open(c, c.Args[2]) && s.parse(c, 3) {
		s.run(c)
	}
}

// open finds the sorted set, or replies with an error.
func (s *geoSearch) open(c *Ctx, key []byte) bool {
	lookup := c.LookupRead
	if c.Cmd.IsWrite() {
		lookup = c.lookupCounted
	}
	e, found := lookup(key)
	if found && e.Kind() != store.ZSetKind {
		c.Out.Error(errWrongType)
		return false
	}
	s.key = key
	if s.found = found; found {
		s.z = e.ZSet()
	}
	return true
}

// around puts the middle of the search at a member, or replies with an error.
func (s *geoSearch) around(c *Ctx, member []byte) bool {
	score, ok := s.z.Score(member)
	if !ok {
		c.Out.Error("could not decode requested zset member")
		return false
	}
	s.shape.x, s.shape.y = geoPosition(score)
	return true
}

// radius reads a radius with its unit, or replies with an error.
func (s *geoSearch) radius(c *Ctx, i int) (ok bool) {
	if s.shape.radius, ok = parseDouble(c.Args[i]); !ok {
		c.Out.Error("need numeric radius")
		return false
	}
	if s.shape.radius < 0 {
		c.Out.Error("radius cannot be negative")
		return false
	}
	s.shape.unit, ok = c.unitArg(i + 1)
	return ok
}

// rectangle reads a width and a height with their unit, or replies with an error.
func (s *geoSearch) rectangle(c *Ctx, i int) (ok bool) {
	if s.shape.width, ok = parseDouble(c.Args[i]); !ok {
		c.Out.Error("need numeric width")
		return false
	}
	if s.shape.height, ok = parseDouble(c.Args[i+1]); !ok {
		c.Out.Error("need numeric height")
		return false
	}
	if s.shape.height < 0 || s.shape.width < 0 {
		c.Out.Error("height or width cannot be negative")
		return false
	}
	s.shape.box = true
	s.shape.unit, ok = c.unitArg(i + 2)
	return ok
}

// parse reads the options from argument i on, or replies with an error.
func (s *geoSearch) parse(c *Ctx, i int) bool {
	for i < len(c.Args) {
		taken, ok := s.flag(c, i), true
		if taken == 0 {
			taken, ok = s.option(c, i, len(c.Args)-i-1)
		}
		if !ok {
			return false
		}
		if taken == 0 {
			c.Out.Error(errSyntax)
			return false
		}
		i += taken
	}
	return s.consistent(c)
}

// flag reads an option without arguments and returns the number of arguments taken.
func (s *geoSearch) flag(c *Ctx, i int) int {
	switch {
	case c.is(i, "withdist"):
		s.withDistance = true
	case c.is(i, "withhash"):
		s.withHash = true
	case c.is(i, "withcoord"):
		s.withPoint = true
	case c.is(i, "any"):
		s.any = true
	case c.is(i, "asc"):
		s.order = 1
	case c.is(i, "desc"):
		s.order = -1
	case s.searching && s.dst != nil && c.is(i, "storedist"):
		s.storeDist = true
	default:
		return 0
	}
	return 1
}

// option reads an option with arguments, of which there are at most `more`, and returns the number of arguments taken.
// ok is false after an error reply.
func (s *geoSearch) option(c *Ctx, i, more int) (taken int, ok bool) {
	switch {
	case more >= 1 && c.is(i, "count"):
		if s.count, ok = c.intArg(i + 1); ok && s.count <= 0 {
			c.Out.Error("COUNT must be > 0")
			ok = false
		}
		return 2, ok
	case more >= 1 && s.mayStore && (c.is(i, "store") || c.is(i, "storedist")):
		s.dst, s.storeDist = c.Args[i+1], c.is(i, "storedist")
		return 2, true
	case !s.searching:
	case more >= 1 && !s.fromPoint && c.is(i, "frommember"):
		s.fromMember = true
		return 2, !s.found || s.around(c, c.Args[i+1])
	case more >= 2 && !s.fromMember && c.is(i, "fromlonlat"):
		s.fromPoint = true
		s.shape.x, s.shape.y, ok = c.position(i + 1)
		return 3, ok
	case more >= 2 && !s.byBox && c.is(i, "byradius"):
		s.byRadius = true
		return 3, s.radius(c, i+1)
	case more >= 3 && !s.byRadius && c.is(i, "bybox"):
		s.byBox = true
		return 4, s.rectangle(c, i+1)
	}
	return 0, true
}

// consistent checks the options against each other, or replies with an error.
func (s *geoSearch) consistent(c *Ctx) bool {
	name := "STORE option in GEORADIUS"
	if s.searching {
		name = "GEOSEARCHSTORE"
	}
	switch {
	case s.dst != nil && (s.withDistance || s.withHash || s.withPoint):
		c.Out.Error(name + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
	case s.searching && !s.fromMember && !s.fromPoint:
		c.Out.Error("exactly one of FROMMEMBER or FROMLONLAT can be specified for " + string(c.Args[0]))
	case s.searching && !s.byRadius && !s.byBox:
		c.Out.Error("exactly one of BYRADIUS and BYBOX can be specified for " + string(c.Args[0]))
	case s.any && s.count == 0:
		c.Out.Error("the ANY argument requires COUNT argument")
	default:
		return true
	}
	return false
}

// run searches, and stores or replies.
func (s *geoSearch) run(c *Ctx) {
	if c.made != nil {
		c.storeZSet(s.dst, c.made.zset, s.event())
		return
	}
	if s.found && s.longSearch(c) {
		return
	}
	p := &geoPoints{}
	if s.any {
		p.limit = int(s.count)
	}
	if s.found {
		p.search(&s.z, &s.shape)
	}
	s.choose(p)
	if s.dst != nil {
		s.store(c, p)
		return
	}
	c.Out.Array(len(p.found))
	for i := range p.found {
		s.reply(c, p, &p.found[i])
	}
}

// choose orders what was found and leaves what was asked for.
func (s *geoSearch) choose(p *geoPoints) {
	order := s.order
	if s.count > 0 && order == 0 && !s.any {
		order = 1 // the nearest ones are meant
	}
	if order != 0 {
		slices.SortStableFunc(p.found, func(a, b geoPoint) int { return order * cmp.Compare(a.distance, b.distance) })
	}
	if s.count > 0 {
		p.found = p.found[:min(int64(len(p.found)), s.count)]
	}
}

func (s *geoSearch) store(c *Ctx, p *geoPoints) {
	c.storeZSet(s.dst, s.scores(p), s.event())
}

// scores are what is stored of what was found.
func (s *geoSearch) scores(p *geoPoints) *scoredList {
	list := &scoredList{bytes: p.list.bytes, longest: 0}
	for _, at := range p.found {
		if s.storeDist {
			at.score = at.distance / s.shape.unit
		}
		list.items = append(list.items, at.scoredItem)
		list.longest = max(list.longest, at.len)
	}
	return list
}

func (s *geoSearch) event() string {
	if s.searching {
		return "geosearchstore"
	}
	return "georadiusstore"
}

// reply gives one member with what was asked for beside it.
func (s *geoSearch) reply(c *Ctx, p *geoPoints, at *geoPoint) {
	extra := int(boolInt(s.withDistance) + boolInt(s.withHash) + boolInt(s.withPoint))
	if extra > 0 {
		c.Out.Array(1 + extra)
	}
	c.Out.Bulk(p.list.member(at.scoredItem))
	if s.withDistance {
		c.distance(at.distance / s.shape.unit)
	}
	if s.withHash {
		c.Out.Int(int64(at.score))
	}
	if s.withPoint {
		writeCoordinates(c.Out, at.x, at.y)
	}
}
