package diff

import "strconv"

// degrees draws a longitude or a latitude: mostly near a few places, so that searches find something; often enough at
// the poles and at the line where the days meet.
func (g *Gen) degrees(name string) string {
	limit, places := 180.0, []float64{13.361389, 15.087269, -179.9, 179.95, 0, -73.98, 2.35}
	if name == "latitude" {
		limit, places = 85.05112878, []float64{38.115556, 37.502669, 84.9, -84.9, 0, 40.75, 48.85, -66.3}
	}
	switch n := g.r.IntN(40); {
	case n == 0:
		return pick(g, []string{"180", "-180", "85.05112878", "-85.05112878", "85.06", "-181", "1e5", "nan", "inf", "x", ""})
	case n < 25:
		return strconv.FormatFloat(max(min(pick(g, places)+g.r.NormFloat64()/10, limit), -limit), 'f', 1+g.r.IntN(14), 64)
	}
	return strconv.FormatFloat((g.r.Float64()*2-1)*limit, 'f', -1, 64)
}

// length draws a radius or the side of a box, for units of any size.
func (g *Gen) length() string {
	if g.chance(8) {
		return pick(g, []string{"0", "-1", "1e9", "1e300", "x", "inf", "0.0001", "nan"})
	}
	return strconv.FormatFloat(g.r.Float64()*pick(g, []float64{1, 50, 500, 5000, 40000}), 'f', g.r.IntN(6), 64)
}
