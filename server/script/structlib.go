package script

import (
	"encoding/binary"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// structFormat walks through a format of the struct library: byte order, alignment and directives.
type structFormat struct {
	l      *lua.LState
	format string
	at     int
	order  interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}
	align int
}

func newStructFormat(l *lua.LState, format string) *structFormat {
	return &structFormat{l: l, format: format, order: binary.LittleEndian, align: 1}
}

// digits reads a number, or answers otherwise when there is none.
func (f *structFormat) digits(otherwise int) int {
	if f.at >= len(f.format) || f.format[f.at] < '0' || f.format[f.at] > '9' {
		return otherwise
	}
	n := 0
	for f.at < len(f.format) && f.format[f.at] >= '0' && f.format[f.at] <= '9' {
		if n > math.MaxInt32/10 || n*10 > math.MaxInt32-int(f.format[f.at]-'0') {
			f.l.RaiseError("integral size overflow")
		}
		n = n*10 + int(f.format[f.at]-'0')
		f.at++
	}
	return n
}

// next answers the next directive with its size and the padding that its alignment asks for at a position.
func (f *structFormat) next(total int) (verb byte, size, pad int) {
	verb = f.format[f.at]
	f.at++
	switch verb {
	case 'b', 'B', 'x':
		size = 1
	case 'h', 'H':
		size = 2
	case 'l', 'L', 'T', 'd':
		size = 8
	case 'f':
		size = 4
	case 'c':
		size = f.digits(1)
	case 'i', 'I':
		if size = f.digits(4); size > 32 {
			f.l.RaiseError("integral size %d is larger than limit of %d", size, 32)
		}
	}
	if size == 0 || verb == 'c' || verb == 'x' {
		return verb, size, 0
	}
	align := min(size, f.align)
	if align > 1 {
		pad = (align - total&(align-1)) & (align - 1)
	}
	return verb, size, pad
}

// control obeys what is no value.
func (f *structFormat) control(verb byte) {
	switch verb {
	case ' ':
	case '>':
		f.order = binary.BigEndian
	case '<':
		f.order = binary.LittleEndian
	case '!':
		a := f.digits(8)
		if a == 0 || a&(a-1) != 0 {
			f.l.RaiseError("alignment %d is not a power of 2", a)
		}
		f.align = a
	default:
		f.l.RaiseError("invalid format option '%c'", verb)
	}
}

func structPack(l *lua.LState) int {
	f, arg := newStructFormat(l, l.CheckString(1)), 1
	var b []byte
	for f.at < len(f.format) {
		verb, size, pad := f.next(len(b))
		if len(b)+size+pad > maxString {
			l.RaiseError("resulting string too large")
		}
		b = append(b, make([]byte, pad)...)
		switch verb {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			arg++
			b = f.putInt(b, integerOf(float64(l.CheckNumber(arg))), size)
		case 'x':
			b = append(b, 0)
		case 'f':
			arg++
			b = f.order.AppendUint32(b, math.Float32bits(float32(l.CheckNumber(arg))))
		case 'd':
			arg++
			b = f.order.AppendUint64(b, math.Float64bits(float64(l.CheckNumber(arg))))
		case 'c', 's':
			arg++
			s := l.CheckString(arg)
			if verb == 's' || size == 0 {
				size = len(s)
			}
			if len(s) < size {
				l.ArgError(arg, "string too short")
			}
			b = append(b, s[:size]...)
			if verb == 's' {
				b = append(b, 0)
			}
		default:
			f.control(verb)
		}
	}
	l.Push(lua.LString(b))
	return 1
}

// integerOf converts as C does where it is defined.
func integerOf(f float64) uint64 {
	if f < 0 {
		return uint64(int64(f))
	}
	return uint64(f)
}

func (f *structFormat) putInt(b []byte, v uint64, size int) []byte {
	from := len(b)
	for range size {
		b = append(b, byte(v))
		v >>= 8
	}
	if f.order == binary.BigEndian {
		reverse(b[from:])
	}
	return b
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

func (f *structFormat) getInt(p string, signed bool) lua.LNumber {
	b := []byte(p)
	if f.order == binary.BigEndian {
		reverse(b)
	}
	v := uint64(0)
	for i := min(len(b), 8) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	if !signed {
		return lua.LNumber(v)
	}
	if n := len(b); n > 0 && n < 8 {
		shift := uint(64 - 8*n)
		return lua.LNumber(int64(v<<shift) >> shift)
	}
	return lua.LNumber(int64(v))
}

func structUnpack(l *lua.LState) int {
	u := structReader{l: l, f: newStructFormat(l, l.CheckString(1)), data: l.CheckString(2)}
	start := l.OptInt(3, 1)
	if start < 1 {
		l.ArgError(3, "offset must be 1 or greater")
	}
	u.pos = start - 1
	for u.f.at < len(u.f.format) {
		verb, size, pad := u.f.next(u.pos)
		u.pos += pad
		if verb != 's' && verb != 'c' && size > 0 {
			u.has(size)
		}
		v := u.value(verb, size)
		if v == nil {
			continue
		}
		if u.n++; u.n > 7000 {
			l.RaiseError("too many results to unpack")
		}
		l.Push(v)
		u.last = v
	}
	l.Push(lua.LNumber(u.pos + 1))
	return u.n + 1
}

// structReader reads values from data. n of them stand on the stack, last above.
type structReader struct {
	l    *lua.LState
	f    *structFormat
	data string
	pos  int
	n    int
	last lua.LValue
}

func (u *structReader) has(size int) {
	if size > len(u.data) || u.pos > len(u.data)-size {
		u.l.ArgError(2, "data string too short")
	}
}

func (u *structReader) take(size int) string {
	u.has(size)
	u.pos += size
	return u.data[u.pos-size : u.pos]
}

// value reads one item of the format; nil is one that gives no value.
func (u *structReader) value(verb byte, size int) lua.LValue {
	switch verb {
	case 'b', 'h', 'l', 'i':
		return u.f.getInt(u.take(size), true)
	case 'B', 'H', 'L', 'T', 'I':
		return u.f.getInt(u.take(size), false)
	case 'x':
		u.take(1)
	case 'f':
		return lua.LNumber(math.Float32frombits(u.f.order.Uint32([]byte(u.take(4)))))
	case 'd':
		return lua.LNumber(math.Float64frombits(u.f.order.Uint64([]byte(u.take(8)))))
	case 'c':
		if size == 0 {
			size = u.counted()
		}
		return lua.LString(u.take(size))
	case 's':
		return u.terminated()
	default:
		u.f.control(verb)
	}
	return nil
}

// counted takes the value before for a length.
func (u *structReader) counted() int {
	k, ok := u.last.(lua.LNumber)
	if !ok || u.n == 0 {
		u.l.RaiseError("format 'c0' needs a previous size")
	}
	u.l.Pop(1)
	u.n--
	if k < 0 || float64(k) > float64(len(u.data)) {
		u.l.ArgError(2, "data string too short")
	}
	return int(k)
}

func (u *structReader) terminated() lua.LValue {
	if u.pos > len(u.data) {
		u.l.ArgError(2, "data string too short")
	}
	end := strings.IndexByte(u.data[u.pos:], 0)
	if end < 0 {
		u.l.RaiseError("unfinished string in data")
	}
	text := u.take(end)
	u.pos++
	return lua.LString(text)
}

func structSize(l *lua.LState) int {
	f, total := newStructFormat(l, l.CheckString(1)), 0
	for f.at < len(f.format) {
		verb, size, pad := f.next(total)
		switch {
		case verb == 's':
			l.ArgError(1, "variable-size format in 'size'")
		case verb == 'c' && size == 0:
			l.ArgError(1, "variable-length format in 'size'")
		case size == 0:
			f.control(verb)
		}
		if size+pad > math.MaxInt32-total {
			l.ArgError(1, "item too large to compute")
		}
		total += size + pad
	}
	l.Push(lua.LNumber(total))
	return 1
}
