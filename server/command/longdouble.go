package command

import (
	"bytes"
	"math/big"
	"regexp"
	"strings"
)

// INCRBYFLOAT and HINCRBYFLOAT compute in the 80-bit extended format of x86 (64 bits of mantissa), since that is what
// Redis does there and the digits show it: 5.0e3 + 2.0e2 must print 5200, 0.1 + 0.2 must print 0.3. A big.Float of 64
// bits rounds alike.

const (
	longDoubleBits = 64
	longDoubleMax  = 16384 // values of 2^16384 and more are infinite
	longDoubleMin  = -16445
	maxFloatText   = 5 * 1024
)

var floatSyntax = regexp.MustCompile(`^[+-]?(0x([0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(p[+-]?[0-9]+)?|([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?)$`)

// parseLongDouble reads a number as strtold does, without leading blanks; infinities are numbers, NaN is not.
func parseLongDouble(s []byte) (*big.Float, bool) {
	if len(s) == 0 || len(s) >= maxFloatText {
		return nil, false
	}
	text := strings.ToLower(string(s))
	switch strings.TrimPrefix(text, "+") {
	case "inf", "infinity":
		return new(big.Float).SetInf(false), true
	case "-inf", "-infinity":
		return new(big.Float).SetInf(true), true
	}
	if !floatSyntax.MatchString(text) {
		return nil, false
	}
	mantissa, exponent := cutExponent(text)
	if !strings.ContainsAny(strings.Replace(mantissa, "0x", "", 1), "123456789abcdef") {
		return new(big.Float).SetPrec(longDoubleBits), true // zero, whatever its exponent
	}
	if len(strings.TrimLeft(exponent, "+-0")) > 5 {
		return nil, false // far outside the format: never build a rational of that size
	}
	// Converted exactly and rounded once, which big.Float's own parser does not promise.
	r, ok := new(big.Rat).SetString(strings.TrimPrefix(text, "+"))
	if !ok {
		return nil, false
	}
	f := new(big.Float).SetPrec(longDoubleBits).SetRat(r)
	exp := f.MantExp(nil)
	return f, exp <= longDoubleMax && exp >= longDoubleMin
}

func cutExponent(text string) (mantissa, exponent string) {
	if strings.Contains(text, "0x") {
		mantissa, exponent, _ = strings.Cut(text, "p")
	} else {
		mantissa, exponent, _ = strings.Cut(text, "e")
	}
	return mantissa, exponent
}

// addLongDouble adds two numbers; false when the sum is no finite number.
func addLongDouble(a, b *big.Float) (*big.Float, bool) {
	if a.IsInf() || b.IsInf() {
		return nil, false
	}
	sum := new(big.Float).SetPrec(longDoubleBits).Add(a, b)
	return sum, sum.Sign() == 0 || sum.MantExp(nil) <= longDoubleMax
}

// appendLongDouble writes a number with up to 17 decimals and without trailing zeros, never with an exponent.
func appendLongDouble(dst []byte, f *big.Float) []byte {
	start := len(dst)
	dst = f.Append(dst, 'f', 17)
	if bytes.IndexByte(dst[start:], '.') >= 0 {
		dst = bytes.TrimRight(dst, "0")
		dst = bytes.TrimSuffix(dst, []byte{'.'})
	}
	if string(dst[start:]) == "-0" {
		dst = append(dst[:start], '0')
	}
	return dst
}
