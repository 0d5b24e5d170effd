package settings

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// value is a parsed value; it never changes once published.
type value struct {
	num  int64  // bool, number, enum, bits of a set of words
	text string // strings, and the canonical form of special values
	aux  any    // parsed form of special values
}

// reason is an error text shown to whoever sets the directive, as Redis words it.
type reason string

func (r reason) Error() string { return string(r) }

var errArgs = reason("wrong number of arguments")

// parse reads the words after the directive's name. old is the value in force: a few special
// directives change only a part of it.
func (d *Directive) parse(words []string, old *value, appendSave bool) (*value, error) {
	if d.kind != kindSpecial && d.kind != kindEnumSet && len(words) != 1 {
		return nil, errArgs
	}
	var v *value
	var err error
	switch d.kind {
	case kindBool:
		v, err = parseBool(words[0])
	case kindInt, kindMemory, kindOctal, kindPercentOrMemory:
		v, err = d.parseNumber(words[0])
	case kindEnum, kindEnumSet:
		v, err = d.parseWords(words)
	case kindString:
		v = &value{text: words[0]}
	case kindSpecial:
		v, err = d.special.parse(words, old, appendSave)
	}
	if err != nil {
		return nil, err
	}
	if d.validate != nil {
		if err := d.validate(v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func parseBool(s string) (*value, error) {
	switch strings.ToLower(s) {
	case "yes":
		return &value{num: 1}, nil
	case "no":
		return &value{}, nil
	}
	return nil, reason("argument must be 'yes' or 'no'")
}

func (d *Directive) parseWords(words []string) (*value, error) {
	var v value
	matched := 0
	for _, w := range words {
		if n, ok := d.word(w); ok {
			v.num |= n
			matched++
		}
	}
	if matched != len(words) || matched == 0 {
		return nil, reason("argument(s) must be one of the following: " + strings.Join(d.words, ", "))
	}
	return &v, nil
}

func (d *Directive) word(s string) (int64, bool) {
	for i, w := range d.words {
		if strings.EqualFold(w, s) {
			if d.values != nil {
				return d.values[i], true
			}
			return int64(i), true
		}
	}
	return 0, false
}

func (d *Directive) parseNumber(s string) (*value, error) {
	var n int64
	switch d.kind {
	case kindOctal:
		u, err := strconv.ParseUint(s, 8, 63)
		if err != nil {
			return nil, reason("argument couldn't be parsed as an octal number")
		}
		n = int64(u)
	case kindMemory:
		u, ok := parseMemory(s)
		if !ok {
			return nil, reason("argument must be a memory value")
		}
		return d.bounded(u)
	case kindPercentOrMemory:
		return d.parsePercent(s)
	default:
		v, ok := strictInt(s)
		if !ok {
			return nil, reason("argument couldn't be parsed into an integer")
		}
		n = v
	}
	if n < d.lo || n > d.hi {
		if d.kind == kindOctal {
			return nil, reason(fmt.Sprintf("argument must be between %o and %o inclusive", d.lo, d.hi))
		}
		return nil, d.outOfBounds()
	}
	return &value{num: n}, nil
}

func (d *Directive) outOfBounds() error {
	if d.flags&flagUnsigned != 0 {
		return reason(fmt.Sprintf("argument must be between %d and %d inclusive", uint64(d.lo), uint64(d.hi)))
	}
	return reason(fmt.Sprintf("argument must be between %d and %d inclusive", d.lo, d.hi))
}

// bounded checks an unsigned number against limits that may themselves be unsigned (hi is then the
// bit pattern of a uint64).
func (d *Directive) bounded(u uint64) (*value, error) {
	if u > uint64(d.hi) || (d.lo > 0 && u < uint64(d.lo)) {
		return nil, d.outOfBounds()
	}
	return &value{num: int64(u)}, nil
}

func (d *Directive) parsePercent(s string) (*value, error) {
	if p, ok := strings.CutSuffix(s, "%"); ok {
		n, ok := strictInt(p)
		if !ok || n < 0 {
			return nil, reason("argument must be a memory or percent value")
		}
		if n > -d.lo {
			return nil, reason(fmt.Sprintf("percentage argument must be less or equal to %d", -d.lo))
		}
		return &value{num: -n}, nil
	}
	u, ok := parseMemory(s)
	if !ok {
		return nil, reason("argument must be a memory or percent value")
	}
	return d.bounded(u)
}

// strictInt accepts exactly the decimal form that printing the number gives back.
func strictInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

var units = []struct {
	suffix string
	factor uint64
}{{"", 1}, {"b", 1}, {"k", 1000}, {"kb", 1 << 10}, {"m", 1000 * 1000}, {"mb", 1 << 20}, {"g", 1000 * 1000 * 1000}, {"gb", 1 << 30}}

// parseMemory reads "100", "64k" (thousands), "64kb" (1024s), likewise m and g, in any case. Unlike
// Redis it refuses what does not fit 64 bits instead of wrapping around.
func parseMemory(s string) (uint64, bool) {
	digits := 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	if digits == 0 {
		return 0, s == ""
	}
	n, err := strconv.ParseUint(s[:digits], 10, 64)
	if err != nil {
		return 0, false
	}
	for _, u := range units {
		if strings.EqualFold(u.suffix, s[digits:]) {
			hi, lo := bits.Mul64(n, u.factor)
			return lo, hi == 0
		}
	}
	return 0, false
}

// ParseMemory reads a size as directives do.
func ParseMemory(s string) (uint64, bool) { return parseMemory(s) }

// format is the text that CONFIG GET shows.
func format(d *Directive, v *value) string {
	switch d.kind {
	case kindBool:
		if v.num != 0 {
			return "yes"
		}
		return "no"
	case kindOctal:
		return strconv.FormatInt(v.num, 8)
	case kindPercentOrMemory:
		if v.num < 0 {
			return strconv.FormatInt(-v.num, 10) + "%"
		}
		return strconv.FormatInt(v.num, 10)
	case kindInt, kindMemory:
		if d.flags&flagUnsigned != 0 {
			return strconv.FormatUint(uint64(v.num), 10)
		}
		return strconv.FormatInt(v.num, 10)
	case kindEnum:
		return d.wordOf(v.num)
	case kindEnumSet:
		return d.wordsOf(v.num)
	}
	return v.text
}

func (d *Directive) wordOf(n int64) string {
	if d.values == nil {
		return d.words[n]
	}
	for i, x := range d.values {
		if x == n {
			return d.words[i]
		}
	}
	panic("settings: " + d.Name + " holds a value without a word")
}

func (d *Directive) wordsOf(n int64) string {
	if n == 0 {
		return d.wordOf(0)
	}
	var set []string
	for i, x := range d.values {
		if x != 0 && n&x == x {
			set = append(set, d.words[i])
		}
	}
	return strings.Join(set, " ")
}

func checkHostname(v *value) error {
	if len(v.text) >= 256 {
		return reason("Hostnames must be less than 256 characters")
	}
	for _, c := range []byte(v.text) {
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return reason("Hostnames may only contain alphanumeric characters, hyphens or dots")
		}
	}
	return nil
}

func baseName(name, what string, mayBeEmpty bool) func(*value) error {
	return func(v *value) error {
		if v.text == "" && !mayBeEmpty {
			return reason(name + " can't be empty")
		}
		if strings.ContainsAny(v.text, "/\\") {
			return reason(name + " can't be a path, just a " + what)
		}
		return nil
	}
}

var titleVariables = map[string]bool{"title": true, "listen-addr": true, "server-mode": true, "port": true,
	"tls-port": true, "unixsocket": true, "config-file": true}

func checkTitle(v *value) error {
	bad := reason("template format is invalid or contains unknown variables")
	rest := v.text
	for {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			return nil
		}
		name, after, ok := strings.Cut(rest[open+1:], "}")
		if !ok || !titleVariables[name] {
			return bad
		}
		rest = after
	}
}

// clampHz takes a rate out of range as the nearest one, as Redis does.
func clampHz(v *value) error {
	v.num = min(max(v.num, 1), 500)
	return nil
}

// atLeast takes a smaller number as the least one that works.
func atLeast(n int64) func(*value) error {
	return func(v *value) error {
		v.num = max(v.num, n)
		return nil
	}
}

// isReason tells texts meant for users from failures of the system.
func isReason(err error) bool {
	var r reason
	return errors.As(err, &r)
}
