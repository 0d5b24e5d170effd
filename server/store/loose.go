package store

import "math"

// Loose is a big value that no key has yet: it is made in many short steps, and then put in place in one. Its methods need
// the exclusive lock.
//
// Invariant: until Attach no cut knows the object, so nothing of it is delivered to any (born is above all epochs); a cut
// that is under way at Attach has got the key's home before, so it never meets the object.
type Loose struct {
	d     *DB
	space *space
	obj   object
}

// neverBorn is the birth of an object that has no key.
const neverBorn = math.MaxUint32

// NewLoose begins a set, a hash, a sorted set, a list or a stream that is to stand at a key of the database. Attach or Drop must follow.
func (d *DB) NewLoose(key []byte, kind Kind) *Loose {
	l := &Loose{d: d, space: d.space}
	p := d.space.partFor(d.store.hash.sum(key))
	switch kind {
	case SetKind:
		o := p.newTable(typeSetTable)
		o.born, l.obj = neverBorn, o
	case HashKind:
		o := p.newTable(typeHashTable)
		o.born, l.obj = neverBorn, o
	case ZSetKind:
		o := p.newZSet()
		o.born, l.obj = neverBorn, o
	case ListKind:
		l.obj = p.newList()
	case StreamKind:
		l.obj = p.newStream()
	default:
		panic("store: no loose value of this kind")
	}
	l.space.pins++
	return l
}

// Good tells whether the database has still the keyspace in which the value is made.
func (l *Loose) Good() bool { return l.d.space == l.space }

// Add adds a member to a set and reports whether it is new.
func (l *Loose) Add(member []byte) bool {
	l.space.gen++
	return l.obj.(*tableObject).set(member, nil)
}

// SetField gives a hash's field a value and reports whether the field is new.
func (l *Loose) SetField(field, value []byte) bool {
	l.space.gen++
	return l.obj.(*tableObject).set(field, value)
}

// Set gives a sorted set's member a score and reports whether the member is new.
func (l *Loose) Set(member []byte, score float64) bool {
	l.space.gen++
	created, _ := l.obj.(*zsetObject).set(member, score)
	return created
}

// Push adds an element at a list's tail.
func (l *Loose) Push(v []byte) {
	l.space.gen++
	l.obj.(*listObject).push(false, v)
}

// Stream is a handle for loading a stream, good until the next write of the database that does not go through it.
func (l *Loose) Stream() Stream {
	o := l.obj.(*streamObject)
	return Stream{handle: handle{p: o.home, gen: l.space.gen, rw: true}, o: o}
}

// Len is the number of elements so far, of a stream that of its pieces in memory.
func (l *Loose) Len() int { return l.obj.size() }

// Attach puts the value at a key, in the place of what is there. The value must be Good, and not empty.
func (d *DB) Attach(key []byte, l *Loose) {
	if d != l.d || !l.Good() || l.obj.size() == 0 {
		panic("store: a loose value is attached where it does not belong")
	}
	d.Delete(key)
	d.settle(key, l)
}

// Replace puts the value in the place of one of its kind, which keeps its expiry: what stays of it when most is taken out.
// The value must be Good, and not empty.
func (d *DB) Replace(key []byte, l *Loose) {
	if d != l.d || !l.Good() || l.obj.size() == 0 {
		panic("store: a loose value replaces one where it does not belong")
	}
	was := d.store.CountLazy(false) // elements are removed, no value is deleted
	defer d.store.CountLazy(was)
	d.settle(key, l)
}

func (d *DB) settle(key []byte, l *Loose) {
	var h handle
	switch o := l.obj.(type) {
	case *zsetObject:
		o.born = d.store.epoch
		h.forWrite(d, key, ZSetKind, typeZSetPack, packHeader)
	case *tableObject:
		o.born = d.store.epoch
		if o.typ == typeHashTable {
			h.forWrite(d, key, HashKind, typeHashPack, packHeader)
		} else {
			h.forWrite(d, key, SetKind, typeIntset, intsetHeader)
		}
	case *listObject:
		h.forWrite(d, key, ListKind, typeListPack, listHeader)
	case *streamObject:
		h.forWrite(d, key, StreamKind, typeStreamPack, 0)
	}
	h.wrote()
	h.become(l.obj)
	l.space.unpin()
	l.obj = nil
}

// Drop gives the value up.
func (l *Loose) Drop() {
	if l.obj == nil {
		return
	}
	l.space.unpin()
	l.space.store.discard(l.obj)
	l.obj = nil
}

// Place is the contents that a database has: another after FLUSHDB, SWAPDB and the like.
type Place struct{ space *space }

// Place tells which contents the database has.
func (d *DB) Place() Place { return Place{d.space} }

// Store is the store that the database belongs to.
func (d *DB) Store() *Store { return d.store }
