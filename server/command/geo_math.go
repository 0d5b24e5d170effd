package command

import (
	"math"
	"math/big"
	"sync"
)

// Distances are stored and compared in all their digits, so sines must come out as they do from the C library that Redis
// is linked with: rounded correctly, nearly always. Package math is good to a unit or two in the last place only, and so
// the functions here add what is missing: a sine near a table's entry, summed in two doubles.

const (
	sineSteps = 64 // entries of the table per unit
	sineMax   = 4  // beyond it package math does
)

// sine holds sin and cos of an entry, each as the sum of two doubles.
type sine struct{ sin, sinLow, cos, cosLow float64 }

var sineTable = sync.OnceValue(func() *[sineMax*sineSteps + 1]sine {
	var table [sineMax*sineSteps + 1]sine
	for i := range table {
		e := &table[i]
		x := big.NewFloat(float64(i) / sineSteps).SetPrec(160)
		e.sin, e.sinLow = twoDoubles(taylor(x, x, 1))
		e.cos, e.cosLow = twoDoubles(taylor(big.NewFloat(1).SetPrec(160), x, 0))
	}
	return &table
})

// taylor sums the series of sin (from x, n 1) or cos (from 1, n 0).
func taylor(first, x *big.Float, n int64) *big.Float {
	square := new(big.Float).Mul(x, x)
	term, sum := new(big.Float).Copy(first), new(big.Float).Copy(first)
	for ; n < 80; n += 2 {
		term.Mul(term, square)
		term.Quo(term, big.NewFloat(float64((n+1)*(n+2))).SetPrec(160))
		term.Neg(term)
		sum.Add(sum, term)
	}
	return sum
}

func twoDoubles(f *big.Float) (high, low float64) {
	high, _ = f.Float64()
	low, _ = new(big.Float).Sub(f, big.NewFloat(high)).Float64()
	return high, low
}

// nearEntry splits x >= 0 into an entry of the table and the rest.
func nearEntry(x float64) (e *sine, rest float64) {
	i := int(x*sineSteps + 0.5)
	return &sineTable()[i], x - float64(i)/sineSteps
}

// twoSines returns sin(x), 0 <= x < sineMax, as the sum of two doubles.
func twoSines(x float64) (high, low float64) {
	e, r := nearEntry(x)
	square := r * r
	odd := -square * (1.0/6 - square*(1.0/120-square/5040)) // sin(r)/r - 1
	even := -square * (0.5 - square*(1.0/24-square/720))    // cos(r) - 1
	return sumAround(e.sin, e.sinLow, e.cos, e.cosLow, r, odd, even)
}

// cosine returns cos(x), rounded.
func cosine(x float64) float64 {
	if x = math.Abs(x); !(x < sineMax-1) {
		return math.Cos(x)
	}
	e, r := nearEntry(x)
	square := r * r
	odd := -square * (1.0/6 - square*(1.0/120-square/5040))
	even := -square * (0.5 - square*(1.0/24-square/720))
	high, low := sumAround(e.cos, e.cosLow, -e.sin, -e.sinLow, r, odd, even)
	return high + low
}

// sumAround is a*cos(r) + b*sin(r) for small r, as two doubles.
func sumAround(a, aLow, b, bLow, r, odd, even float64) (high, low float64) {
	product := b * r
	productLow := math.FMA(b, r, -product)
	high = a + product
	back := high - a
	low = (a - (high - back)) + (product - back)
	low += aLow + productLow + (float64(bLow*r) + (float64(a*even) + float64(product*odd)))
	sum := high + low
	return sum, low - (sum - high)
}

// sineOf returns sin(x), rounded.
func sineOf(x float64) float64 {
	positive := math.Abs(x)
	if !(positive < sineMax-1) && !(positive <= math.Pi) {
		return math.Sin(x)
	}
	high, low := twoSines(positive)
	return math.Copysign(1, x) * (high + low)
}

// arcsine returns asin(x), 0 <= x <= 1, rounded: one step of Newton's from a good value.
func arcsine(x float64) float64 {
	y := math.Asin(x)
	if slope := math.Cos(y); slope > 1e-3 {
		high, low := twoSines(y)
		y += ((x - high) - low) / slope
	}
	return y
}
