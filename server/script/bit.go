package script

import (
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// toBit rounds a number to an integer and takes its low 32 bits, as LuaBitOp does: by adding 2^52+2^51, so halves go to
// the even neighbour.
func toBit(n lua.LNumber) int32 {
	return int32(uint32(math.Float64bits(float64(n) + 6755399441055744.0)))
}

func bitArg(l *lua.LState, i int) int32 { return toBit(l.CheckNumber(i)) }

func bitFold(op func(a, b int32) int32) lua.LGFunction {
	return func(l *lua.LState) int {
		v := bitArg(l, 1)
		for i := 2; i <= l.GetTop(); i++ {
			v = op(v, bitArg(l, i))
		}
		l.Push(lua.LNumber(v))
		return 1
	}
}

func bitShift(op func(v uint32, n uint) int32) lua.LGFunction {
	return func(l *lua.LState) int {
		v, n := uint32(bitArg(l, 1)), uint(bitArg(l, 2))&31
		l.Push(lua.LNumber(op(v, n)))
		return 1
	}
}

func bitHex(l *lua.LState) int {
	v, n := uint32(bitArg(l, 1)), int32(8)
	if l.GetTop() > 1 {
		n = bitArg(l, 2)
	}
	format := "%08x"
	if n < 0 {
		format = "%08X"
		n = -max(n, -8)
	}
	text := fmt.Sprintf(format, v)
	l.Push(lua.LString(text[8-min(n, 8):]))
	return 1
}

var bitFunctions = map[string]lua.LGFunction{
	"tobit":   func(l *lua.LState) int { l.Push(lua.LNumber(bitArg(l, 1))); return 1 },
	"bnot":    func(l *lua.LState) int { l.Push(lua.LNumber(^bitArg(l, 1))); return 1 },
	"band":    bitFold(func(a, b int32) int32 { return a & b }),
	"bor":     bitFold(func(a, b int32) int32 { return a | b }),
	"bxor":    bitFold(func(a, b int32) int32 { return a ^ b }),
	"lshift":  bitShift(func(v uint32, n uint) int32 { return int32(v << n) }),
	"rshift":  bitShift(func(v uint32, n uint) int32 { return int32(v >> n) }),
	"arshift": bitShift(func(v uint32, n uint) int32 { return int32(v) >> n }),
	"rol":     bitShift(func(v uint32, n uint) int32 { return int32(v<<n | v>>(32-n)) }),
	"ror":     bitShift(func(v uint32, n uint) int32 { return int32(v>>n | v<<(32-n)) }),
	"bswap": func(l *lua.LState) int {
		v := uint32(bitArg(l, 1))
		l.Push(lua.LNumber(int32(v>>24 | v>>8&0xff00 | v<<8&0xff0000 | v<<24)))
		return 1
	},
	"tohex": bitHex,
}

// number prints a number as Lua 5.1 does, with so many digits.
func number(f float64, digits int) string {
	switch {
	case math.IsNaN(f) && math.Signbit(f):
		return "-nan"
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return fmt.Sprintf("%.*g", digits, f)
}

// format is string.format of Lua 5.1, whose directives are those of C.
func format(l *lua.LState) int {
	text, arg := l.CheckString(1), 1
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i++; i < len(text) && text[i] == '%' {
			b.WriteByte('%')
			continue
		}
		start := i
		for i < len(text) && strings.IndexByte("-+ #0", text[i]) >= 0 {
			i++
		}
		if i-start > 5 {
			l.RaiseError("invalid format (repeated flags)")
		}
		digits := i
		for i < len(text) && (text[i] >= '0' && text[i] <= '9' || text[i] == '.') {
			i++
		}
		if i-digits > 5 {
			l.RaiseError("invalid format (width or precision too long)")
		}
		if i >= len(text) {
			l.RaiseError("invalid option '%%' to 'format'")
		}
		arg++
		formatOne(l, &b, text[start:i], text[i], arg)
	}
	l.Push(lua.LString(b.String()))
	return 1
}

func formatOne(l *lua.LState, b *strings.Builder, spec string, verb byte, arg int) {
	switch verb {
	case 'c':
		fmt.Fprintf(b, "%"+spec+"s", string([]byte{byte(l.CheckInt(arg))}))
	case 'd', 'i':
		fmt.Fprintf(b, "%"+spec+"d", int64(l.CheckNumber(arg)))
	case 'u':
		fmt.Fprintf(b, "%"+spec+"d", uint64(int64(l.CheckNumber(arg))))
	case 'o', 'x', 'X':
		fmt.Fprintf(b, "%"+spec+string(verb), uint64(int64(l.CheckNumber(arg))))
	case 'e', 'E', 'f', 'g', 'G':
		f := float64(l.CheckNumber(arg))
		if math.IsInf(f, 0) || math.IsNaN(f) {
			fmt.Fprintf(b, "%"+strings.TrimLeft(strings.SplitN(spec, ".", 2)[0], "0")+"s", number(f, 6))
			return
		}
		if (verb == 'g' || verb == 'G') && !strings.Contains(spec, ".") {
			spec += ".6"
		}
		fmt.Fprintf(b, "%"+spec+string(verb), f)
	case 'q':
		quoteLua(b, l.CheckString(arg))
	case 's':
		if n, ok := l.Get(arg).(lua.LNumber); ok {
			fmt.Fprintf(b, "%"+spec+"s", number(float64(n), 14))
			return
		}
		fmt.Fprintf(b, "%"+spec+"s", l.CheckString(arg))
	default:
		l.RaiseError("invalid option '%%%c' to 'format'", verb)
	}
}

// quoteLua writes s so that Lua reads it back.
func quoteLua(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\r':
			b.WriteString("\\r")
		case 0:
			b.WriteString("\\000")
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

// text is what tostring answers.
func text(l *lua.LState, v lua.LValue) string {
	if n, ok := v.(lua.LNumber); ok {
		return number(float64(n), 14)
	}
	if s, ok := v.(lua.LString); ok {
		return string(s)
	}
	return l.ToStringMeta(v).String()
}
