package tracking

import (
	"bytes"
	"slices"
	"strings"
)

// Nobody is who changed a key when no client did: it expired, or had to make room.
const Nobody int64 = 0

// Prefixes are what broadcasting clients listen to. The zero value is ready.
type Prefixes struct {
	byName  map[string]*prefix
	lengths []int // the different lengths of prefixes, ascending: a key is looked up once for each
	changed []*prefix
}

type prefix struct {
	name    string
	clients []int64          // in the order of their coming
	keys    map[string]int64 // changed since Settle, and by whom last
}

// Add lets a client hear of the keys that begin with name.
func (p *Prefixes) Add(client int64, name string) {
	x := p.byName[name]
	if x == nil {
		x = &prefix{name: name}
		if p.byName == nil {
			p.byName = map[string]*prefix{}
		}
		p.byName[name] = x
		p.measure()
	}
	if !slices.Contains(x.clients, client) {
		x.clients = append(x.clients, client)
	}
}

// Remove ends what Add began.
func (p *Prefixes) Remove(client int64, name string) {
	x := p.byName[name]
	if x == nil {
		return
	}
	x.clients = slices.DeleteFunc(x.clients, func(c int64) bool { return c == client })
	if len(x.clients) == 0 {
		delete(p.byName, name)
		x.keys = nil // if it is among the changed ones there is nobody to tell
		p.measure()
	}
}

func (p *Prefixes) measure() {
	p.lengths = p.lengths[:0]
	for name := range p.byName {
		if !slices.Contains(p.lengths, len(name)) {
			p.lengths = append(p.lengths, len(name))
		}
	}
	slices.Sort(p.lengths)
}

// Len is the number of prefixes.
func (p *Prefixes) Len() int { return len(p.byName) }

// Changed notes that a client, or Nobody, changed a key.
func (p *Prefixes) Changed(key []byte, by int64) {
	for _, n := range p.lengths {
		if n > len(key) {
			return
		}
		x := p.byName[string(key[:n])]
		if x == nil {
			continue
		}
		if len(x.keys) == 0 {
			p.changed = append(p.changed, x)
			if x.keys == nil {
				x.keys = map[string]int64{}
			}
		}
		x.keys[string(key)] = by
	}
}

// Pending reports whether there is something to tell.
func (p *Prefixes) Pending() bool { return len(p.changed) > 0 }

// Settle gives everybody what changed since the last call: the keys of one prefix at a time, in order. others leaves out
// what the client changed itself.
func (p *Prefixes) Settle(tell func(client int64, keys []string), others func(client int64) bool) {
	slices.SortFunc(p.changed, func(a, b *prefix) int { return strings.Compare(a.name, b.name) })
	for i, x := range p.changed {
		p.changed[i] = nil
		if len(x.keys) == 0 {
			continue
		}
		all := make([]string, 0, len(x.keys))
		for key := range x.keys {
			all = append(all, key)
		}
		slices.Sort(all)
		for _, client := range x.clients {
			keys := all
			if others(client) {
				keys = slices.DeleteFunc(slices.Clone(all), func(k string) bool { return x.keys[k] == client })
			}
			if len(keys) > 0 {
				tell(client, keys)
			}
		}
		x.keys = nil
	}
	p.changed = p.changed[:0]
}

// Overlap reports whether one of two prefixes begins with the other, so that one key would be told twice.
func Overlap(a, b []byte) bool { return bytes.HasPrefix(a, b) || bytes.HasPrefix(b, a) }
