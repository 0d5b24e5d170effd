package command

import (
	"math"
	"strconv"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

var (
	verbZAdd = []byte("ZADD")
	errUnit  = "unsupported unit provided. please use M, KM, FT, MI"
)

// position reads a longitude and a latitude, or replies with an error.
func (c *Ctx) position(i int) (x, y float64, ok bool) {
	if x, ok = c.floatArg(i); !ok {
		return 0, 0, false
	}
	if y, ok = c.floatArg(i + 1); !ok {
		return 0, 0, false
	}
	if math.Abs(x) > longitudeMax || math.Abs(y) > latitudeMax {
		c.Out.Error("invalid longitude,latitude pair " + sixDecimals(x) + "," + sixDecimals(y))
		return 0, 0, false
	}
	return x, y, true
}

func sixDecimals(f float64) string {
	if math.IsInf(f, 0) {
		return string(appendDouble(nil, f))
	}
	return strconv.FormatFloat(f, 'f', 6, 64)
}

// unitArg reads a unit as its length in meters, or replies with an error.
func (c *Ctx) unitArg(i int) (float64, bool) {
	switch {
	case c.is(i, "m"):
		return 1, true
	case c.is(i, "km"):
		return 1000, true
	case c.is(i, "ft"):
		return 0.3048, true
	case c.is(i, "mi"):
		return 1609.34, true
	}
	c.Out.Error(errUnit)
	return 0, false
}

// cmdGeoadd is a ZADD of scores that stand for positions, and so are its effects.
func cmdGeoadd(c *Ctx) {
	at := 2
	nx, xx := false, false
	for ; at < len(c.Args); at++ {
		isNX, isXX := c.is(at, "nx"), c.is(at, "xx")
		if !isNX && !isXX && !c.is(at, "ch") {
			break
		}
		nx, xx = nx || isNX, xx || isXX
	}
	if (len(c.Args)-at)%3 != 0 || nx && xx {
		c.Out.Error(errSyntax)
		return
	}
	args := append([][]byte{verbZAdd}, c.Args[1:at]...)
	for i := at; i < len(c.Args); i += 3 {
		x, y, ok := c.position(i)
		if !ok {
			return
		}
		args = append(args, strconv.AppendUint(nil, geoScore(x, y), 10), c.Args[i+2])
	}
	called := c.Args
	c.Args = args
	c.zadd(zaddOptions{})
	c.Args = called
	if c.IsDirty() {
		c.Propagate(args...)
	}
}

func cmdGeohash(c *Ctx) {
	c.readNamed(store.ZSetKind, (*resp.Writer).Null, func(w *resp.Writer, e store.Entry, members [][]byte) {
		eachScore(e, members, func(score float64, found bool) {
			if !found {
				w.Null()
				return
			}
			text := geohashText(geoPosition(score))
			w.Bulk(text[:])
		})
	})
}

func cmdGeopos(c *Ctx) {
	c.readNamed(store.ZSetKind, (*resp.Writer).NullArray, func(w *resp.Writer, e store.Entry, members [][]byte) {
		eachScore(e, members, func(score float64, found bool) {
			if !found {
				w.NullArray()
				return
			}
			x, y := geoPosition(score)
			writeCoordinates(w, x, y)
		})
	})
}

// writeCoordinates writes a pair of degrees.
func writeCoordinates(w *resp.Writer, x, y float64) {
	w.Array(2)
	var room [32]byte
	for _, f := range [2]float64{x, y} {
		text := appendDegrees(room[:0], f)
		if w.Proto() > 2 {
			w.RawString("," + string(text) + "\r\n")
		} else {
			w.Bulk(text)
		}
	}
}

// appendDegrees writes up to 17 decimals, without zeros at the end.
func appendDegrees(dst []byte, f float64) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', 17, 64)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	if string(dst[start:]) == "-0" {
		return append(dst[:start], '0')
	}
	return dst
}

// distance replies with a length, rounded to four decimals.
func (c *Ctx) distance(d float64) {
	n := int64(math.RoundToEven(d * 10000))
	text := strconv.AppendInt(nil, n/10000, 10)
	text = strconv.AppendInt(append(text, '.'), n%10000+10000, 10)
	dot := len(text) - 5
	text = append(text[:dot], text[dot+1:]...) // the 1 that kept the zeros
	c.Out.Bulk(text)
}

func cmdGeodist(c *Ctx) {
	unit := 1.0
	switch {
	case len(c.Args) == 5:
		var ok bool
		if unit, ok = c.unitArg(4); !ok {
			return
		}
	case len(c.Args) > 5:
		c.Out.Error(errSyntax)
		return
	}
	z, found, ok := c.zsetToRead(c.Args[1])
	if !ok {
		return
	}
	var score [2]float64
	for i := 0; i < 2 && found; i++ {
		score[i], found = z.Score(c.Args[2+i])
	}
	if !found {
		c.Out.Null()
		return
	}
	x1, y1 := geoPosition(score[0])
	x2, y2 := geoPosition(score[1])
	c.distance(geoDistance(x1, y1, x2, y2) / unit)
}

// geoPoint is a member that a search found, in units of its list's members.
type geoPoint struct {
	scoredItem
	x, y, distance float64
}

// geoPoints collects what a search finds; with a limit it ends there.
type geoPoints struct {
	list  scoredList
	found []geoPoint
	limit int
}

// scoreRun is a run of members with consecutive ranks.
type scoreRun struct{ rank, n int }

// runs tells where members that may be within the shape stand in z, and how many there are.
func (s *geoShape) runs(z *store.ZSet) (list []scoreRun, all int) {
	last := geoBox{}
	for i, box := range s.cover() {
		if box == (geoBox{}) || i > 0 && box == last {
			continue // adjacent ones may be the same when the shape is huge
		}
		from, to := box.scores()
		rank := z.Before(store.ScoreBorder(from, false))
		if n := z.Before(store.ScoreBorder(to, false)) - rank; n > 0 {
			list = append(list, scoreRun{rank, n})
			all += n
		}
		if i > 0 {
			last = box
		}
	}
	return list, all
}

// search adds the members of z within a shape.
func (p *geoPoints) search(z *store.ZSet, s *geoShape) {
	list, _ := s.runs(z)
	for _, r := range list {
		if p.full() {
			return
		}
		z.Range(r.rank, r.n, false, func(member []byte, score float64) bool {
			p.consider(s, member, score)
			return !p.full()
		})
	}
}

// consider adds a member if it is within the shape.
func (p *geoPoints) consider(s *geoShape, member []byte, score float64) {
	x, y := geoPosition(score)
	if d, ok := s.distance(x, y); ok {
		p.list.add(member, score)
		p.found = append(p.found, geoPoint{p.list.items[len(p.list.items)-1], x, y, d})
	}
}

func (p *geoPoints) full() bool { return p.limit > 0 && len(p.found) >= p.limit }
