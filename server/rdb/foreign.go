package rdb

import "fmt"

// What other servers put into their files beside data of Redis' own types.

// moduleName is the name in a module's or a module type's ID: nine characters of six bits, then ten bits of version.
func moduleName(id uint64) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var name [9]byte
	for i := range name {
		name[i] = letters[id>>(58-6*i)&63]
	}
	return string(name[:])
}

// moduleAux refuses what a module keeps beside its values, by the module's name.
func (r *Reader) moduleAux() error {
	id, err := r.src.plainLength()
	if err != nil {
		return err
	}
	return r.src.fail(fmt.Sprintf("The RDB file contains AUX module data I can't load: no matching module '%s'", moduleName(id)))
}

// openModule refuses a module's value, by the name of its type.
func (r *Reader) openModule(t Type) error {
	id, err := r.src.plainLength()
	if err != nil {
		return err
	}
	return r.src.fail(fmt.Sprintf("The RDB file contains module data I can't load: no matching module type '%s' (object type %d)", moduleName(id), t))
}

// oldFunction reads a function library as the release candidates of Redis 7.0 wrote it: name, engine, whether a
// description follows, description, code; and makes of it the form with a first line.
func (r *Reader) oldFunction(ev *Event) error {
	ev.Kind = Function
	out := r.key[:0]
	out = append(out, "#!"...)
	var name []byte
	for i := range 2 {
		p, err := r.src.str(&r.val)
		if err != nil {
			return err
		}
		if i == 0 {
			name = append([]byte(nil), p...)
		} else {
			out = append(lowered(out, p), " name="...)
		}
	}
	out = append(append(out, name...), '\n')
	described, err := r.src.plainLength()
	if err == nil && described != 0 {
		err = r.src.skipString()
	}
	if err != nil {
		return err
	}
	code, err := r.src.str(&r.val)
	out = append(out, code...)
	ev.Value, r.key = out, out
	return err
}

// lowered appends p in small letters.
func lowered(dst, p []byte) []byte {
	for _, c := range p {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
