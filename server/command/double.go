package command

import (
	"math"
	"strconv"
)

// parseDouble reads a floating point number as getDoubleFromObject does: the whole argument, no blank in front, no NaN,
// and no number that overflows, or that is not zero but too small.
func parseDouble(s []byte) (float64, bool) {
	if n, ok := fewDigits(s); ok {
		return float64(n), true
	}
	f, fits, ok := scanDouble(s)
	return f, ok && fits
}

// fewDigits reads a short integer, which is what most scores are.
func fewDigits(s []byte) (n int64, ok bool) {
	if len(s) == 0 || len(s) > 15 {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// scanDouble reads a number in the syntax of strtod. fits is false for a number beyond what a double holds, which is then
// infinite or zero.
func scanDouble(s []byte) (f float64, fits, ok bool) {
	digits := s
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if IsWord(digits, "inf") || IsWord(digits, "infinity") {
		if s[0] == '-' {
			return math.Inf(-1), true, true
		}
		return math.Inf(1), true, true
	}
	hex := len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x'
	var zero, exponent bool
	if hex {
		zero, exponent, ok = numberSyntax(digits[2:], isHexDigit, 'p')
	} else {
		zero, exponent, ok = numberSyntax(digits, isDigit, 'e')
	}
	switch {
	case !ok:
		return 0, false, false
	case zero: // whatever its exponent
		f = 0
		if s[0] == '-' {
			f = math.Copysign(0, -1)
		}
		return f, true, true
	case hex && !exponent:
		f, _ = strconv.ParseFloat(string(s)+"p0", 64)
	default:
		f, _ = strconv.ParseFloat(string(s), 64)
	}
	return f, f != 0 && !math.IsInf(f, 0), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHexDigit(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// numberSyntax checks digits with at most one point, and perhaps an exponent behind a letter. zero tells that all digits
// are zeros.
func numberSyntax(s []byte, digit func(byte) bool, letter byte) (zero, exponent, ok bool) {
	i, digits, points := 0, 0, 0
	zero = true
	for ; i < len(s) && (digit(s[i]) || s[i] == '.' && points == 0); i++ {
		if s[i] == '.' {
			points++
			continue
		}
		digits++
		zero = zero && s[i] == '0'
	}
	if digits == 0 || i == len(s) {
		return zero, false, digits > 0
	}
	if s[i]|0x20 != letter {
		return zero, false, false
	}
	if i++; i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	from := i
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return zero, true, i == len(s) && i > from
}

// floatArg reads a floating point argument, or replies with an error.
func (c *Ctx) floatArg(i int) (float64, bool) {
	f, ok := parseDouble(c.Args[i])
	if !ok {
		c.Out.Error(errNotFloat)
	}
	return f, ok
}

// leastArg reads an integer that is not below least, or replies with the given error.
func (c *Ctx) leastArg(i int, least int64, otherwise string) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok || n < least {
		c.Out.Error(otherwise)
		return 0, false
	}
	return n, true
}
