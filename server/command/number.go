package command

import (
	"bytes"
	"math"
	"strconv"
)

// ParseInt reads a 64-bit integer as Redis does: no sign but '-', no leading zero, no blank (string2ll in util.c).
func ParseInt(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	if len(s) == 1 && s[0] == '0' {
		return 0, true
	}
	negative := s[0] == '-'
	digits := s
	if negative {
		digits = s[1:]
	}
	if len(digits) == 0 || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	var v uint64
	for _, d := range digits {
		if d < '0' || d > '9' || v > math.MaxUint64/10 {
			return 0, false
		}
		v *= 10
		if v > math.MaxUint64-uint64(d-'0') {
			return 0, false
		}
		v += uint64(d - '0')
	}
	switch {
	case negative && v <= 1<<63:
		return -int64(v), true
	case !negative && v <= math.MaxInt64:
		return int64(v), true
	}
	return 0, false
}

// ParseCursor reads a SCAN cursor as strtoul does: an optional sign, decimal digits, no leading blank.
func ParseCursor(s []byte) (uint64, bool) {
	if i := bytes.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	if len(s) == 0 {
		return 0, true
	}
	digits, negative := s, s[0] == '-'
	if s[0] == '-' || s[0] == '+' {
		digits = s[1:]
	}
	v, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil || len(digits) == 0 || digits[0] == '+' {
		return 0, false
	}
	if negative {
		v = -v
	}
	return v, true
}

// addOverflows tells whether a+b leaves the range of a 64-bit integer.
func addOverflows(a, b int64) bool {
	return b < 0 && a < 0 && b < math.MinInt64-a || b > 0 && a > 0 && b > math.MaxInt64-a
}

// IsWord compares s with word, which must be in lower case, without regard to case.
func IsWord(s []byte, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i, b := range s {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != word[i] {
			return false
		}
	}
	return true
}
