package command

import "math"

// Positions are kept as scores: 52 bits, 26 of the latitude and 26 of the longitude in turn, each the fraction of its
// range in binary. A prefix of 2*step bits names a box; members within it have neighbouring scores. All arithmetic is
// done as Redis does it (geohash.c, geohash_helper.c), since its results are compared and stored in all their digits:
// where a product is added, a conversion keeps the compiler from fusing the two.

const (
	geoSteps     = 26
	longitudeMax = 180.0
	latitudeMax  = 85.05112878 // of the Mercator projection
	earthRadius  = 6372797.560856
	mercatorMax  = 20037726.37
)

// degree in radians, as a quotient of doubles.
var degree = func(pi float64) float64 { return pi / 180 }(math.Pi)

func radians(deg float64) float64 { return deg * degree }

// geoBox is a box of the grid. The zero value is none.
type geoBox struct {
	bits uint64
	step uint8
}

// geoRange is a range of degrees.
type geoRange struct{ min, max float64 }

var (
	longitudes = geoRange{-longitudeMax, longitudeMax}
	latitudes  = geoRange{-latitudeMax, latitudeMax}
)

// spread puts a zero bit before each bit.
func spread(n uint32) uint64 {
	x := uint64(n)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// squeeze takes every second bit.
func squeeze(x uint64) uint32 {
	x &= 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0f0f0f0f0f0f0f0f
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16)
}

// boxAt is the box of a step that holds a position.
func boxAt(xs, ys geoRange, x, y float64, step uint8) geoBox {
	lat := (y - ys.min) / (ys.max - ys.min) * float64(uint64(1)<<step)
	long := (x - xs.min) / (xs.max - xs.min) * float64(uint64(1)<<step)
	return geoBox{bits: spread(uint32(lat)) | spread(uint32(long))<<1, step: step}
}

// area returns the degrees that a box covers.
func (b geoBox) area() (long, lat geoRange) {
	if b == (geoBox{}) {
		return geoRange{}, geoRange{}
	}
	side := func(r geoRange, n uint32) geoRange {
		scale, all := r.max-r.min, float64(uint64(1)<<b.step)
		return geoRange{r.min + float64(float64(n)/all*scale), r.min + float64(float64(n+1)/all*scale)}
	}
	return side(longitudes, squeeze(b.bits>>1)), side(latitudes, squeeze(b.bits))
}

// move is the box dx to the east and dy to the north, each -1, 0 or 1, round the grid.
func (b geoBox) move(dx, dy int) geoBox {
	const odd, even = 0xaaaaaaaaaaaaaaaa, 0x5555555555555555
	unused := 64 - 2*uint(b.step)
	b.bits = stepAlong(b.bits, odd, even, unused, dx)
	b.bits = stepAlong(b.bits, even, odd, unused, dy)
	return b
}

// stepAlong adds d to the number that the bits under mine make.
func stepAlong(bits, mine, others uint64, unused uint, d int) uint64 {
	n, fill := bits&mine, others>>unused
	switch {
	case d > 0:
		n += fill + 1
	case d < 0:
		n = (n | fill) - (fill + 1)
	default:
		return bits
	}
	return n&(mine>>unused) | bits&others
}

// scores is the range of scores, the last excluded, of the positions in a box.
func (b geoBox) scores() (from, to float64) {
	shift := 52 - 2*b.step
	return float64(b.bits << shift), float64((b.bits + 1) << shift)
}

// geoScore is the score of a position.
func geoScore(x, y float64) uint64 { return boxAt(longitudes, latitudes, x, y, geoSteps).bits }

// geoPosition is the middle of the box that a score names; false for none.
func geoPosition(score float64) (x, y float64) {
	long, lat := geoBox{bits: toBits(score), step: geoSteps}.area()
	x = min(max((long.min+long.max)/2, -longitudeMax), longitudeMax)
	y = min(max((lat.min+lat.max)/2, -latitudeMax), latitudeMax)
	return x, y
}

// toBits converts as C does on the machines that Redis runs on; scores may be anything.
func toBits(f float64) uint64 {
	const half = 1 << 63
	if f < half {
		return uint64(int64(f))
	}
	if math.IsInf(f, 1) {
		return 0
	}
	return uint64(int64(f-half)) ^ half
}

// latitudeDistance is the distance of two points of a meridian in meters.
func latitudeDistance(y1, y2 float64) float64 {
	return earthRadius * math.Abs(radians(y2)-radians(y1))
}

// geoDistance is the great circle distance in meters (haversine).
func geoDistance(x1, y1, x2, y2 float64) float64 {
	v := sineOf((radians(x2) - radians(x1)) / 2)
	if v == 0 {
		return latitudeDistance(y1, y2)
	}
	lat1, lat2 := radians(y1), radians(y2)
	u := sineOf((lat2 - lat1) / 2)
	a := float64(u*u) + float64(cosine(lat1)*cosine(lat2)*v*v)
	return 2 * earthRadius * arcsine(math.Sqrt(a))
}

// geoShape is the area of a search: a circle, or a rectangle when width is set.
type geoShape struct {
	x, y          float64
	radius        float64 // in units
	width, height float64 // in units
	box           bool
	unit          float64 // in meters
}

// distance returns how far a point is from the middle; ok is false for one outside.
func (s *geoShape) distance(x, y float64) (d float64, ok bool) {
	if !s.box {
		d = geoDistance(s.x, s.y, x, y)
		return d, !(d > s.radius*s.unit)
	}
	if latitudeDistance(y, s.y) > s.height*s.unit/2 || geoDistance(x, y, s.x, y) > s.width*s.unit/2 {
		return 0, false
	}
	return geoDistance(s.x, s.y, x, y), true
}

// bounds is the range of degrees that the shape lies in.
func (s *geoShape) bounds() (long, lat geoRange) {
	height, width := s.radius, s.radius
	if s.box {
		height, width = s.height/2, s.width/2
	}
	height, width = s.unit*height, s.unit*width
	up := height / earthRadius / degree
	wide := s.y + up
	if s.y < 0 {
		wide = s.y - up
	}
	side := width / earthRadius / cosine(radians(wide)) / degree
	return geoRange{s.x - side, s.x + side}, geoRange{s.y - up, s.y + up}
}

// steps is how fine the grid may be for a box and its neighbours to cover the shape.
func (s *geoShape) steps() uint8 {
	r := s.radius
	if s.box {
		r = math.Sqrt(float64(s.width/2*(s.width/2)) + float64(s.height/2*(s.height/2)))
	}
	r *= s.unit
	if r == 0 {
		return geoSteps
	}
	step := 1
	for ; r < mercatorMax; r *= 2 {
		step++
	}
	step -= 2
	if away := math.Abs(s.y); away > 80 {
		step -= 2
	} else if away > 66 {
		step--
	}
	return uint8(min(max(step, 1), geoSteps))
}

// cover returns the boxes that together hold the shape; some are none.
func (s *geoShape) cover() [9]geoBox {
	long, lat := s.bounds()
	step := s.steps()
	middle := boxAt(longitudes, latitudes, s.x, s.y, step)
	if step > 1 && !middle.reaches(long, lat) {
		step--
		middle = boxAt(longitudes, latitudes, s.x, s.y, step)
	}
	boxes := [9]geoBox{middle}
	myLong, myLat := middle.area()
	for i, d := range compass {
		useless := step >= 2 && (d.y < 0 && myLat.min < lat.min || d.y > 0 && myLat.max > lat.max ||
			d.x < 0 && myLong.min < long.min || d.x > 0 && myLong.max > long.max)
		if !useless {
			boxes[i+1] = middle.move(d.x, d.y)
		}
	}
	return boxes
}

// compass lists the neighbours in the order in which they are searched.
var compass = [8]struct{ x, y int }{{0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}}

// reaches tells whether the neighbours of a box reach as far as the given ranges.
func (b geoBox) reaches(long, lat geoRange) bool {
	_, north := b.move(0, 1).area()
	_, south := b.move(0, -1).area()
	east, _ := b.move(1, 0).area()
	west, _ := b.move(-1, 0).area()
	return !(north.max < lat.max || south.min > lat.min || east.max < long.max || west.min > long.min)
}

const geohashAlphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

// geohashText is the geohash string of a position, in the standard's own ranges: 50 bits, and a zero for the rest.
func geohashText(x, y float64) [11]byte {
	bits := boxAt(geoRange{-180, 180}, geoRange{-90, 90}, x, y, geoSteps).bits
	var text [11]byte
	for i := range 10 {
		text[i] = geohashAlphabet[bits>>(52-5*(i+1))&31]
	}
	text[10] = '0'
	return text
}
