package command

import (
	"bytes"

	"github.com/understudy-db/understudy/server/store"
)

// past is a database as it was at one instant, for lookups of single keys while writes go on: a write tells it what it is
// about to change. When it would have to keep too much, or the database has other contents, it is torn.
type past struct {
	db     *store.DB
	place  store.Place
	cut    *store.Cut
	now    int64
	fields [][]byte // of hashes: what is asked for
	before map[string]pastValue
	bytes  int
	torn   bool
}

// pastValue is what a key had. Of hashes values are those of past's fields, nil where there was none.
type pastValue struct {
	kind   store.Kind
	values [][]byte
}

const (
	pastMax  = 64 << 20
	pastCost = 100 // bytes of a kept key, beside key and value
)

// newPast keeps a database as it is. Its lookups need the shared lock; cut.End must follow.
func (c *Ctx) newPast(patterns [][]byte) *past {
	p := &past{db: c.DB, place: c.DB.Place(), now: c.Now, before: map[string]pastValue{}}
	for _, pattern := range patterns {
		if _, field, ok := leadsTo(pattern, nil); ok && field != nil {
			p.fields = append(p.fields, field)
		}
	}
	p.cut = c.DB.CutKeys(&image{entry: p.keep})
	return p
}

// keep is told of keys right before the first change of any of their home's.
func (p *past) keep(e store.Entry) {
	if p.torn {
		return
	}
	key, v := e.Key(), pastValue{kind: e.Kind()}
	switch {
	case e.Expired(p.now):
		v.kind = 0
	case v.kind == store.String && e.StrLen() < pastMax:
		v.values = [][]byte{e.AppendString(nil)}
	case v.kind == store.String:
		p.bytes = pastMax
	case v.kind == store.HashKind:
		h := e.Hash()
		for _, f := range p.fields {
			value, ok := h.Get(f)
			if ok {
				value = append([]byte{}, value...)
			}
			v.values = append(v.values, value)
		}
	}
	p.bytes += pastCost + len(key)
	for _, value := range v.values {
		p.bytes += len(value)
	}
	if p.bytes > pastMax {
		p.torn, p.before = true, nil
		return
	}
	p.before[string(key)] = v
}

// ready implements sortSource.
func (p *past) ready() {}

func (p *past) end() { p.cut.End() }

// whole tells whether lookups answer with what was.
func (p *past) whole() bool { return !p.torn && p.place == p.db.Place() }

// follow is Ctx.follow in the past. The bytes are good until the lock is given up.
func (p *past) follow(pattern, element []byte) (value []byte, found bool) {
	if string(pattern) == "#" {
		return element, true
	}
	key, field, ok := leadsTo(pattern, element)
	if !ok {
		return nil, false
	}
	if v, was := p.before[string(key)]; was {
		return v.value(p.fields, field)
	}
	if p.cut.Changed(key) {
		return nil, false // it came since
	}
	e, found := p.db.Peek(key)
	switch {
	case !found || e.Expired(p.now):
	case field == nil && e.Kind() == store.String:
		return e.AppendString(nil), true
	case field != nil && e.Kind() == store.HashKind:
		h := e.Hash()
		return h.Get(field)
	}
	return nil, false
}

func (v *pastValue) value(fields [][]byte, field []byte) ([]byte, bool) {
	switch {
	case field == nil && v.kind == store.String:
		return v.values[0], true
	case field != nil && v.kind == store.HashKind:
		for i := range fields {
			if bytes.Equal(fields[i], field) {
				return v.values[i], v.values[i] != nil
			}
		}
	}
	return nil, false
}
