package script

import (
	"slices"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// The compiler makes every function with room for a long one: 17 KiB for a line. Code is kept for long, so what it does not
// use is given back.

// clip gives back the room that a compiled function and those in it do not use.
func clip(p *lua.FunctionProto) {
	p.Code, p.DbgSourcePositions = fitting(p.Code), fitting(p.DbgSourcePositions)
	p.Constants, p.FunctionPrototypes = fitting(p.Constants), fitting(p.FunctionPrototypes)
	p.DbgLocals, p.DbgCalls, p.DbgUpvalues = fitting(p.DbgLocals), fitting(p.DbgCalls), fitting(p.DbgUpvalues)
	for _, inner := range p.FunctionPrototypes {
		clip(inner)
	}
}

func fitting[T any](list []T) []T {
	if len(list) == cap(list) {
		return list
	}
	if len(list) == 0 {
		return nil
	}
	return slices.Clip(append(make([]T, 0, len(list)), list...))
}

// weight is what a compiled function and those in it take, in bytes.
func weight(p *lua.FunctionProto) int64 {
	const hidden = 32 * int64(unsafe.Sizeof("")) // the strings among the constants a second time: room that clip does not reach
	n := int64(unsafe.Sizeof(*p)) + hidden + size(p.Code) + size(p.DbgSourcePositions) + size(p.Constants) + size(p.FunctionPrototypes) +
		size(p.DbgLocals) + size(p.DbgCalls) + size(p.DbgUpvalues)
	for _, c := range p.Constants {
		n += int64(unsafe.Sizeof(c))
		if s, ok := c.(lua.LString); ok {
			n += int64(len(s))
		}
	}
	for _, local := range p.DbgLocals {
		n += int64(unsafe.Sizeof(*local)) + int64(len(local.Name))
	}
	for _, inner := range p.FunctionPrototypes {
		n += weight(inner)
	}
	return n
}

func size[T any](list []T) int64 {
	var one T
	return int64(cap(list)) * int64(unsafe.Sizeof(one))
}
