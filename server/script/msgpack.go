package script

import (
	"encoding/binary"
	"math"

	lua "github.com/yuin/gopher-lua"
)

// msgpackDepth is how deep tables are packed; what lies deeper is packed as nil.
const msgpackDepth = 16

func openMsgpack(l *lua.LState) *lua.LTable {
	t := l.NewTable()
	for name, fn := range map[string]lua.LGFunction{"pack": msgPack, "unpack": msgUnpack, "unpack_one": msgUnpackOne, "unpack_limit": msgUnpackLimit} {
		t.RawSetString(name, l.NewFunction(fn))
	}
	t.RawSetString("_NAME", lua.LString("cmsgpack"))
	t.RawSetString("_VERSION", lua.LString("lua-cmsgpack 0.4.0"))
	t.RawSetString("_COPYRIGHT", lua.LString("Copyright (C) 2012, Salvatore Sanfilippo"))
	t.RawSetString("_DESCRIPTION", lua.LString("MessagePack C implementation for Lua"))
	return t
}

func msgPack(l *lua.LState) int {
	if l.GetTop() == 0 {
		l.ArgError(0, "MessagePack pack needs input.")
	}
	var b []byte
	for i := 1; i <= l.GetTop(); i++ {
		b = packValue(l, b, l.Get(i), 0)
	}
	l.Push(lua.LString(b))
	return 1
}

var be = binary.BigEndian

func packValue(l *lua.LState, b []byte, v lua.LValue, depth int) []byte {
	if len(b) > maxString {
		l.RaiseError("resulting string too large")
	}
	if _, table := v.(*lua.LTable); table && depth == msgpackDepth {
		v = lua.LNil
	}
	switch v := v.(type) {
	case lua.LString:
		n := len(v)
		switch {
		case n < 32:
			b = append(b, 0xa0|byte(n))
		case n <= 0xff:
			b = append(b, 0xd9, byte(n))
		case n <= 0xffff:
			b = be.AppendUint16(append(b, 0xda), uint16(n))
		default:
			b = be.AppendUint32(append(b, 0xdb), uint32(n))
		}
		return append(b, v...)
	case lua.LBool:
		if v {
			return append(b, 0xc3)
		}
		return append(b, 0xc2)
	case lua.LNumber:
		return packNumber(b, float64(v))
	case *lua.LTable:
		return packTable(l, b, v, depth)
	}
	return append(b, 0xc0)
}

func packNumber(b []byte, f float64) []byte {
	if n := int64(f); f >= -1<<63 && f < 1<<63 && float64(n) == f {
		return packInt(b, n)
	}
	if s := float32(f); float64(s) == f {
		return be.AppendUint32(append(b, 0xca), math.Float32bits(s))
	}
	return be.AppendUint64(append(b, 0xcb), math.Float64bits(f))
}

func packInt(b []byte, n int64) []byte {
	switch {
	case n >= 0 && n < 128, n < 0 && n >= -32:
		return append(b, byte(n))
	case n >= 0 && n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		return be.AppendUint16(append(b, 0xcd), uint16(n))
	case n >= 0 && n <= math.MaxUint32:
		return be.AppendUint32(append(b, 0xce), uint32(n))
	case n >= 0:
		return be.AppendUint64(append(b, 0xcf), uint64(n))
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(n))
	case n >= math.MinInt16:
		return be.AppendUint16(append(b, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return be.AppendUint32(append(b, 0xd2), uint32(n))
	}
	return be.AppendUint64(append(b, 0xd3), uint64(n))
}

func packTable(l *lua.LState, b []byte, t *lua.LTable, depth int) []byte {
	count, highest, array := 0, 0, true
	each(t, func(k, _ lua.LValue) {
		count++
		n, ok := k.(lua.LNumber)
		if !ok || n < 1 || float64(n) != math.Floor(float64(n)) || n > math.MaxInt32 {
			array = false
			return
		}
		highest = max(highest, int(n))
	})
	if array && highest == count && count > 0 {
		b = packHead(b, count, 0x90, 0xdc)
		for i := 1; i <= count; i++ {
			b = packValue(l, b, t.RawGetInt(i), depth+1)
		}
		return b
	}
	if count == 0 {
		return append(b, 0x90)
	}
	b = packHead(b, count, 0x80, 0xde)
	each(t, func(k, v lua.LValue) {
		b = packValue(l, b, k, depth+1)
		b = packValue(l, b, v, depth+1)
	})
	return b
}

func packHead(b []byte, n int, short, long byte) []byte {
	switch {
	case n <= 15:
		return append(b, short|byte(n))
	case n <= 0xffff:
		return be.AppendUint16(append(b, long), uint16(n))
	}
	return be.AppendUint32(append(b, long+1), uint32(n))
}

func msgUnpack(l *lua.LState) int      { return unpackMany(l, 0, 0) }
func msgUnpackOne(l *lua.LState) int   { return unpackMany(l, 1, l.OptInt(2, 0)) }
func msgUnpackLimit(l *lua.LState) int { return unpackMany(l, l.CheckInt(2), l.OptInt(3, 0)) }

// unpackMany decodes up to limit values from an offset on. With a limit the offset of the rest, or -1, comes first; with
// neither limit nor offset all values are returned.
func unpackMany(l *lua.LState, limit, offset int) int {
	s := l.CheckString(1)
	all := limit == 0 && offset == 0
	switch {
	case offset < 0 || limit < 0:
		l.RaiseError("Invalid request to unpack with offset of %d and limit of %d.", offset, len(s))
	case offset > len(s):
		l.RaiseError("Start offset %d greater than input length %d.", offset, len(s))
	}
	if all {
		limit = math.MaxInt32
	}
	u := unpacker{l: l, s: s, at: offset}
	var values []lua.LValue
	for u.at < len(s) && len(values) < limit {
		values = append(values, u.value(0))
	}
	n := 0
	if !all {
		rest := u.at
		if u.at >= len(s) {
			rest = -1
		}
		l.Push(lua.LNumber(rest))
		n = 1
	}
	if len(values) > 7000 {
		l.RaiseError("too many results to unpack")
	}
	for _, v := range values {
		l.Push(v)
	}
	return n + len(values)
}

type unpacker struct {
	l  *lua.LState
	s  string
	at int
}

func (u *unpacker) take(n int) string {
	if n < 0 || n > len(u.s)-u.at {
		u.l.RaiseError("Missing bytes in input.")
	}
	u.at += n
	return u.s[u.at-n : u.at]
}

func (u *unpacker) uint(n int) uint64 {
	v := uint64(0)
	for _, c := range []byte(u.take(n)) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (u *unpacker) value(depth int) lua.LValue {
	if depth > 200 {
		u.l.RaiseError("Bad data format in input.")
	}
	c := u.take(1)[0]
	switch {
	case c < 0x80:
		return lua.LNumber(c)
	case c >= 0xe0:
		return lua.LNumber(int8(c))
	case c < 0x90:
		return u.fields(int(c&15), depth)
	case c < 0xa0:
		return u.items(int(c&15), depth)
	case c < 0xc0:
		return lua.LString(u.take(int(c & 31)))
	}
	switch c {
	case 0xc0:
		return lua.LNil
	case 0xc2, 0xc3:
		return lua.LBool(c == 0xc3)
	case 0xca:
		return lua.LNumber(math.Float32frombits(uint32(u.uint(4))))
	case 0xcb:
		return lua.LNumber(math.Float64frombits(u.uint(8)))
	case 0xcc, 0xcd, 0xce, 0xcf:
		return lua.LNumber(u.uint(1 << (c - 0xcc)))
	case 0xd0:
		return lua.LNumber(int8(u.uint(1)))
	case 0xd1:
		return lua.LNumber(int16(u.uint(2)))
	case 0xd2:
		return lua.LNumber(int32(u.uint(4)))
	case 0xd3:
		return lua.LNumber(int64(u.uint(8)))
	case 0xc4, 0xc5, 0xc6:
		return lua.LString(u.take(int(u.uint(1 << (c - 0xc4)))))
	case 0xd9, 0xda, 0xdb:
		return lua.LString(u.take(int(u.uint(1 << (c - 0xd9)))))
	case 0xdc, 0xdd:
		return u.items(int(u.uint(2<<(c-0xdc))), depth)
	case 0xde, 0xdf:
		return u.fields(int(u.uint(2<<(c-0xde))), depth)
	}
	u.l.RaiseError("Bad data format in input.")
	return nil
}

func (u *unpacker) items(n, depth int) lua.LValue {
	t := u.l.NewTable()
	for i := 1; i <= n; i++ {
		t.RawSetInt(i, u.value(depth+1))
	}
	return t
}

func (u *unpacker) fields(n, depth int) lua.LValue {
	t := u.l.NewTable()
	for range n {
		k := u.value(depth + 1)
		v := u.value(depth + 1)
		if f, ok := k.(lua.LNumber); k == lua.LNil || ok && math.IsNaN(float64(f)) {
			u.l.RaiseError("Bad data format in input.")
		}
		t.RawSet(k, v)
	}
	return t
}
