package script

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// cjson is the state of the library's settings.
type cjson struct {
	null *lua.LUserData

	encodeDepth, decodeDepth     int
	precision                    int
	sparseConvert                bool
	sparseRatio, sparseSafe      int
	encodeInvalid, decodeInvalid int // 0 refuse, 1 accept, 2 encode as null
	keepBuffer                   bool
}

func newCJSON(null *lua.LUserData) *cjson {
	return &cjson{null: null, encodeDepth: 1000, decodeDepth: 1000, precision: 14, sparseRatio: 2, sparseSafe: 10, decodeInvalid: 1, keepBuffer: true}
}

func (j *cjson) open(l *lua.LState) *lua.LTable {
	t := l.NewTable()
	for name, fn := range map[string]lua.LGFunction{
		"encode": j.encode, "decode": j.decode, "encode_max_depth": j.intOption(&j.encodeDepth, 1, math.MaxInt32),
		"decode_max_depth": j.intOption(&j.decodeDepth, 1, math.MaxInt32), "encode_number_precision": j.intOption(&j.precision, 1, 14),
		"encode_sparse_array": j.sparseOption, "encode_keep_buffer": j.keepOption,
		"encode_invalid_numbers": j.invalidOption(&j.encodeInvalid, true), "decode_invalid_numbers": j.invalidOption(&j.decodeInvalid, false),
		"new": func(l *lua.LState) int { l.Push(newCJSON(j.null).open(l)); return 1 },
	} {
		t.RawSetString(name, l.NewFunction(fn))
	}
	t.RawSetString("null", j.null)
	t.RawSetString("_NAME", lua.LString("cjson"))
	t.RawSetString("_VERSION", lua.LString("2.1.0"))
	return t
}

func (j *cjson) intOption(at *int, least, most int) lua.LGFunction {
	return func(l *lua.LState) int {
		if l.GetTop() > 1 {
			l.RaiseError("bad argument #2 (found too many arguments)")
		}
		if l.GetTop() == 1 && l.Get(1) != lua.LNil {
			n := l.CheckInt(1)
			if n < least || n > most {
				l.ArgError(1, fmt.Sprintf("expected integer between %d and %d", least, most))
			}
			*at = n
		}
		l.Push(lua.LNumber(*at))
		return 1
	}
}

func (j *cjson) sparseOption(l *lua.LState) int {
	if l.GetTop() > 0 && l.Get(1) != lua.LNil {
		j.sparseConvert = lua.LVAsBool(l.Get(1))
	}
	for i, at := range []*int{&j.sparseRatio, &j.sparseSafe} {
		if l.GetTop() > i+1 && l.Get(i+2) != lua.LNil {
			n := l.CheckInt(i + 2)
			if n < 0 {
				l.ArgError(i+2, fmt.Sprintf("expected integer between 0 and %d", math.MaxInt32))
			}
			*at = n
		}
	}
	l.Push(lua.LBool(j.sparseConvert))
	l.Push(lua.LNumber(j.sparseRatio))
	l.Push(lua.LNumber(j.sparseSafe))
	return 3
}

func (j *cjson) keepOption(l *lua.LState) int {
	if l.GetTop() > 0 && l.Get(1) != lua.LNil {
		j.keepBuffer = lua.LVAsBool(l.Get(1))
	}
	l.Push(lua.LBool(j.keepBuffer))
	return 1
}

func (j *cjson) invalidOption(at *int, null bool) lua.LGFunction {
	return func(l *lua.LState) int {
		switch v := l.Get(1).(type) {
		case lua.LBool:
			*at = 0
			if bool(v) {
				*at = 1
			}
		case lua.LString:
			switch {
			case v == "off":
				*at = 0
			case v == "on":
				*at = 1
			case v == "null" && null:
				*at = 2
			default:
				l.ArgError(1, "invalid option '"+string(v)+"'")
			}
		}
		if *at == 2 {
			l.Push(lua.LString("null"))
		} else {
			l.Push(lua.LBool(*at == 1))
		}
		return 1
	}
}

func (j *cjson) encode(l *lua.LState) int {
	if l.GetTop() != 1 {
		l.ArgError(1, "expected 1 argument")
	}
	var b strings.Builder
	j.value(l, &b, l.Get(1), 0)
	l.Push(lua.LString(b.String()))
	return 1
}

func (j *cjson) value(l *lua.LState, b *strings.Builder, v lua.LValue, depth int) {
	if b.Len() > maxString {
		l.RaiseError("resulting string too large")
	}
	switch v := v.(type) {
	case lua.LString:
		quoteJSON(b, string(v))
	case lua.LNumber:
		j.number(l, b, float64(v))
	case lua.LBool:
		b.WriteString(strconv.FormatBool(bool(v)))
	case *lua.LNilType:
		b.WriteString("null")
	case *lua.LTable:
		j.table(l, b, v, depth+1)
	default:
		if v == lua.LValue(j.null) {
			b.WriteString("null")
			return
		}
		l.RaiseError("Cannot serialise %s: type not supported", v.Type().String())
	}
}

func (j *cjson) number(l *lua.LState, b *strings.Builder, f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		switch j.encodeInvalid {
		case 0:
			l.RaiseError("Cannot serialise number: must not be NaN or Inf")
		case 2:
			b.WriteString("null")
			return
		}
		switch {
		case math.IsNaN(f):
			b.WriteString("nan")
		case f > 0:
			b.WriteString("inf")
		default:
			b.WriteString("-inf")
		}
		return
	}
	b.WriteString(number(f, j.precision))
}

func (j *cjson) table(l *lua.LState, b *strings.Builder, t *lua.LTable, depth int) {
	if depth > j.encodeDepth {
		l.RaiseError("Cannot serialise, excessive nesting (%d)", depth)
	}
	if n := j.arrayLength(l, t); n > 0 {
		b.WriteByte('[')
		for i := 1; i <= n; i++ {
			if i > 1 {
				b.WriteByte(',')
			}
			j.value(l, b, t.RawGetInt(i), depth)
		}
		b.WriteByte(']')
		return
	}
	b.WriteByte('{')
	first := true
	each(t, func(k, v lua.LValue) {
		if !first {
			b.WriteByte(',')
		}
		first = false
		switch k := k.(type) {
		case lua.LString:
			quoteJSON(b, string(k))
		case lua.LNumber:
			b.WriteByte('"')
			j.number(l, b, float64(k))
			b.WriteByte('"')
		default:
			l.RaiseError("Cannot serialise %s: table key must be a number or string", k.Type().String())
		}
		b.WriteByte(':')
		j.value(l, b, v, depth)
	})
	b.WriteByte('}')
}

// arrayLength is the highest index when all keys are positive integers, -1 otherwise.
func (j *cjson) arrayLength(l *lua.LState, t *lua.LTable) int {
	highest, items, array := 0, 0, true
	each(t, func(k, _ lua.LValue) {
		n, ok := k.(lua.LNumber)
		if !ok || float64(n) != math.Floor(float64(n)) || n < 1 || n > math.MaxInt32 {
			array = false
			return
		}
		highest = max(highest, int(n))
		items++
	})
	if !array {
		return -1
	}
	if j.sparseRatio > 0 && highest > items*j.sparseRatio && highest > j.sparseSafe {
		if !j.sparseConvert {
			l.RaiseError("Cannot serialise table: excessively sparse array")
		}
		return -1
	}
	return highest
}

func quoteJSON(b *strings.Builder, s string) {
	b.WriteByte('"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != '/' && c != 0x7f {
			continue
		}
		b.WriteString(s[from:i])
		from = i + 1
		switch c {
		case '"', '\\', '/':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\b':
			b.WriteString(`\b`)
		case '\t':
			b.WriteString(`\t`)
		case '\n':
			b.WriteString(`\n`)
		case '\f':
			b.WriteString(`\f`)
		case '\r':
			b.WriteString(`\r`)
		default:
			fmt.Fprintf(b, `\u%04x`, c)
		}
	}
	b.WriteString(s[from:])
	b.WriteByte('"')
}

func (j *cjson) decode(l *lua.LState) int {
	if l.GetTop() != 1 {
		l.ArgError(1, "expected 1 argument")
	}
	d := jsonReader{l: l, j: j, s: l.CheckString(1)}
	if len(d.s) >= 2 && (d.s[0] == 0 || d.s[1] == 0) {
		l.RaiseError("JSON parser does not support UTF-16 or UTF-32")
	}
	v := d.value(0)
	d.space()
	if d.at < len(d.s) {
		d.expected("the end")
	}
	l.Push(v)
	return 1
}

type jsonReader struct {
	l  *lua.LState
	j  *cjson
	s  string
	at int
}

func (d *jsonReader) space() {
	for d.at < len(d.s) && strings.IndexByte(" \t\n\r", d.s[d.at]) >= 0 {
		d.at++
	}
}

// expected raises the error for what stands at the present position.
func (d *jsonReader) expected(what string) {
	d.l.RaiseError("Expected %s but found %s at character %d", what, d.token(), d.at+1)
}

func (d *jsonReader) token() string {
	if d.at >= len(d.s) {
		return "T_END"
	}
	rest := d.s[d.at:]
	switch c := rest[0]; {
	case c == '{':
		return "T_OBJ_BEGIN"
	case c == '}':
		return "T_OBJ_END"
	case c == '[':
		return "T_ARR_BEGIN"
	case c == ']':
		return "T_ARR_END"
	case c == ':':
		return "T_COLON"
	case c == ',':
		return "T_COMMA"
	case c == '"':
		return "T_STRING"
	case c == '-' || c >= '0' && c <= '9':
		return "T_NUMBER"
	case strings.HasPrefix(rest, "true"), strings.HasPrefix(rest, "false"):
		return "T_BOOLEAN"
	case strings.HasPrefix(rest, "null"):
		return "T_NULL"
	}
	return "invalid token"
}

func (d *jsonReader) value(depth int) lua.LValue {
	d.space()
	rest := d.s[d.at:]
	switch {
	case rest == "":
		d.expected("value")
	case rest[0] == '"':
		return lua.LString(d.text())
	case rest[0] == '{':
		return d.object(depth + 1)
	case rest[0] == '[':
		return d.array(depth + 1)
	case strings.HasPrefix(rest, "true"):
		d.at += 4
		return lua.LTrue
	case strings.HasPrefix(rest, "false"):
		d.at += 5
		return lua.LFalse
	case strings.HasPrefix(rest, "null"):
		d.at += 4
		return d.j.null
	}
	if strings.IndexByte("]},:", rest[0]) >= 0 {
		d.expected("value")
	}
	return d.number()
}

func (d *jsonReader) deeper(depth int) {
	if depth > d.j.decodeDepth {
		d.l.RaiseError("Found too many nested data structures (%d) at character %d", depth, d.at+1)
	}
}

func (d *jsonReader) object(depth int) lua.LValue {
	d.deeper(depth)
	t := d.l.NewTable()
	d.at++
	if d.space(); d.at < len(d.s) && d.s[d.at] == '}' {
		d.at++
		return t
	}
	for {
		if d.space(); d.at >= len(d.s) || d.s[d.at] != '"' {
			d.expected("object key string")
		}
		key := d.text()
		if d.space(); d.at >= len(d.s) || d.s[d.at] != ':' {
			d.expected("colon")
		}
		d.at++
		t.RawSetString(key, d.value(depth))
		d.space()
		switch {
		case d.at < len(d.s) && d.s[d.at] == '}':
			d.at++
			return t
		case d.at < len(d.s) && d.s[d.at] == ',':
			d.at++
		default:
			d.expected("comma or object end")
		}
	}
}

func (d *jsonReader) array(depth int) lua.LValue {
	d.deeper(depth)
	t := d.l.NewTable()
	d.at++
	if d.space(); d.at < len(d.s) && d.s[d.at] == ']' {
		d.at++
		return t
	}
	for n := 1; ; n++ {
		t.RawSetInt(n, d.value(depth))
		d.space()
		switch {
		case d.at < len(d.s) && d.s[d.at] == ']':
			d.at++
			return t
		case d.at < len(d.s) && d.s[d.at] == ',':
			d.at++
		default:
			d.expected("comma or array end")
		}
	}
}

func (d *jsonReader) number() lua.LValue {
	end := d.at
	for end < len(d.s) && strings.IndexByte("+-.0123456789abcdefABCDEFxXnNiItTyY", d.s[end]) >= 0 {
		end++
	}
	word := d.s[d.at:end]
	bare := strings.ToLower(strings.TrimLeft(word, "+-"))
	odd := strings.HasPrefix(bare, "0x") || strings.HasPrefix(bare, "inf") || strings.HasPrefix(bare, "nan") || len(bare) > 1 && bare[0] == '0' && bare[1] >= '0' && bare[1] <= '9'
	if word == "" || word[0] == '+' || odd && d.j.decodeInvalid == 0 {
		d.l.RaiseError("Expected value but found invalid token at character %d", d.at+1)
	}
	if word == "-" {
		d.l.RaiseError("Expected value but found invalid number at character %d", d.at+1)
	}
	for n := len(word); n > 0; n-- { // as strtod: the longest start that is a number
		if f, ok := parseNumber(word[:n]); ok {
			d.at += n
			return lua.LNumber(f)
		}
	}
	d.l.RaiseError("Expected value but found invalid token at character %d", d.at+1)
	return nil
}

func parseNumber(s string) (float64, bool) {
	if strings.ContainsAny(s, "_pP") {
		return 0, false
	}
	if bare := strings.TrimLeft(s, "+-"); len(bare) > 2 && (bare[1] == 'x' || bare[1] == 'X') {
		n, err := strconv.ParseUint(bare[2:], 16, 64)
		f := float64(n)
		if s[0] == '-' {
			f = -f
		}
		return f, err == nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	return f, err == nil
}

func (d *jsonReader) text() string {
	start := d.at
	d.at++
	var b strings.Builder
	for d.at < len(d.s) {
		c := d.s[d.at]
		switch {
		case c == '"':
			d.at++
			return b.String()
		case c < 0x20:
			d.l.RaiseError("Expected value but found invalid token at character %d", d.at+1)
		case c != '\\':
			b.WriteByte(c)
			d.at++
		default:
			d.escape(&b)
		}
	}
	d.l.RaiseError("Expected value but found unexpected end of string at character %d", max(d.at, start)+1)
	return ""
}

func (d *jsonReader) escape(b *strings.Builder) {
	if d.at+1 >= len(d.s) {
		d.at++
		return
	}
	c := d.s[d.at+1]
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		b.WriteByte("\"\\/\b\f\n\r\t"[i])
		d.at += 2
		return
	}
	r, ok := d.hex(d.at)
	if c != 'u' || !ok {
		what := "invalid escape code"
		if c == 'u' {
			what = "invalid unicode escape code"
		}
		d.l.RaiseError("Expected value but found %s at character %d", what, d.at+1)
	}
	d.at += 6
	if r >= 0xd800 && r < 0xdc00 {
		low, ok := d.hex(d.at)
		if !ok || low < 0xdc00 || low > 0xdfff {
			d.l.RaiseError("Expected value but found invalid unicode escape code at character %d", d.at-5)
		}
		r = (r-0xd800)<<10 + (low - 0xdc00) + 0x10000
		d.at += 6
	} else if r >= 0xdc00 && r < 0xe000 {
		d.l.RaiseError("Expected value but found invalid unicode escape code at character %d", d.at-5)
	}
	b.Write(utf8.AppendRune(nil, r))
}

// hex reads \uXXXX at a position.
func (d *jsonReader) hex(at int) (rune, bool) {
	if at+6 > len(d.s) || d.s[at] != '\\' || d.s[at+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(d.s[at+2:at+6], 16, 32)
	return rune(n), err == nil
}
