package store

// List is a handle on a list, valid until the next write of its DB that does not go through it.
type List struct {
	handle
	obj *listObject // nil for a pack
}

// List is a handle for reading an entry's list.
func (e Entry) List() (l List) {
	l.read(e)
	l.open()
	return l
}

// ForWrite makes l a handle for writing the list at key, an empty new one when there is none. The caller deletes the key when
// it leaves the list empty.
func (l *List) ForWrite(d *DB, key []byte) (wrongType bool) {
	if l.forWrite(d, key, ListKind, typeListPack, listHeader) {
		return true
	}
	l.open()
	return false
}

// ForWriteMet is ForWrite of a list that the latest Use of d has found at key, when nothing was written since.
func (l *List) ForWriteMet(d *DB, key []byte) {
	l.forWriteMet(d, key)
	l.open()
}

// ListForWrite is ForWrite where the copy of the handle does not matter.
func (d *DB) ListForWrite(key []byte) (l List, wrongType bool) {
	wrongType = l.ForWrite(d, key)
	return l, wrongType
}

// open finds the object of a big list.
func (l *List) open() {
	l.obj = nil
	if o := l.object(); o != nil {
		l.obj = o.(*listObject)
	}
}

// Len is the number of elements.
func (l *List) Len() int {
	l.check()
	if l.obj != nil {
		return l.obj.size()
	}
	return packLen(l.bytes())
}

// Chunks is the number of pieces in which a cut delivers the list; 1 for a small one.
func (l *List) Chunks() int {
	if l.obj != nil {
		return l.obj.tree.leaves
	}
	return 1
}

// Packed is a small list's elements in the encoding of a listpack, without its frame.
func (l *List) Packed() (data []byte, elements int) {
	b := l.bytes()
	return b[listHeader:], packLen(b)
}

// Push adds an element at the head or the tail. v must not point into the store.
func (l *List) Push(head bool, v []byte) {
	l.check()
	l.wrote()
	if l.obj == nil {
		e, b := packElem(v), l.bytes()
		if len(v) < l.p.plainFrom() && len(b)+e.size <= listPackMax {
			at := len(b)
			if head {
				at = listHeader
			}
			l.insertPacked(at, &e)
			return
		}
		l.convert()
	}
	l.obj.push(head, v)
}

// PushAll is Push of several elements, one after the other.
func (l *List) PushAll(head bool, vs [][]byte) {
	for len(vs) > 0 {
		if l.obj == nil {
			l.Push(head, vs[0])
			vs = vs[1:]
			continue
		}
		l.check()
		l.wrote()
		vs = vs[l.obj.pushSome(head, vs):]
	}
}

// insertPacked puts an element at an offset of a small list.
func (l *List) insertPacked(at int, e *packedElem) {
	b := l.splice(at, at, e.size)
	e.put(b[at:])
	packSetLen(b, packLen(b)+1)
}

// convert makes a small list a big one.
func (l *List) convert() {
	o := l.p.newList()
	if data, n := l.Packed(); n > 0 {
		var c chunkCursor
		copy(o.tree.insert(&c, false, len(data), n), data)
	}
	l.become(o)
	l.obj = o
}

// Insert adds an element at a position, 0 <= pos <= Len.
func (l *List) Insert(pos int, v []byte) {
	if n := l.Len(); pos == 0 || pos == n {
		l.Push(pos == 0, v)
		return
	}
	l.wrote()
	if l.obj == nil {
		e, b := packElem(v), l.bytes()
		if len(v) < l.p.plainFrom() && len(b)+e.size <= listPackMax {
			l.insertPacked(listHeader+elemOffset(b[listHeader:], pos, packLen(b)), &e)
			return
		}
		l.convert()
	}
	l.obj.insert(pos, v)
}

// Set replaces the element at a position, 0 <= pos < Len.
func (l *List) Set(pos int, v []byte) {
	l.check()
	l.wrote()
	if l.obj == nil {
		e, b := packElem(v), l.bytes()
		at := listHeader + elemOffset(b[listHeader:], pos, packLen(b))
		end := at + elemSize(b[at:])
		if len(v) < l.p.plainFrom() && len(b)-(end-at)+e.size <= listPackMax {
			e.put(l.splice(at, end, e.size)[at:])
			return
		}
		l.convert()
	}
	l.obj.set(pos, v)
}

// Remove removes n elements from a position on; all of them must be there.
func (l *List) Remove(pos, n int) {
	l.check()
	if n == 0 {
		return
	}
	l.wrote()
	if l.obj != nil {
		l.obj.removeRange(pos, n)
		return
	}
	b := l.bytes()
	count, data := packLen(b), b[listHeader:]
	start, end := elemOffset(data, pos, count), len(data)
	if pos+n < count {
		end = elemOffset(data, pos+n, count)
	}
	b = l.splice(listHeader+start, listHeader+end, 0)
	packSetLen(b, count-n)
}

// Pop takes the element at the head or the tail of a big list, where that is done without moving others; text nil: it is the
// integer n. The text points into the store, and is good until the next write of the DB. ok false: nothing was done.
func (l *List) Pop(head bool) (text []byte, n int64, ok bool) {
	l.check()
	if l.obj == nil {
		return nil, 0, false
	}
	if text, n, ok = l.obj.pop(head); ok {
		l.wrote()
	}
	return text, n, ok
}

// RemoveEqual removes elements with the given text, the first ones or with back the last ones, as many as limit (0: all),
// and returns how many those were.
func (l *List) RemoveEqual(v []byte, limit int, back bool) (removed int) {
	n := NeedleOf(v)
	if l.obj != nil {
		l.check()
		l.wrote()
		return l.obj.removeEqual(&n, limit, back)
	}
	pos, step := 0, 1
	if back {
		pos, step = l.Len()-1, -1
	}
	for {
		at, found := pos, false
		l.Each(pos, back, func(e Elem) bool {
			if found = e.Is(&n); !found {
				at += step
			}
			return !found
		})
		if !found {
			return removed
		}
		l.Remove(at, 1)
		removed++
		if removed == limit {
			return removed
		}
		if pos = at; back {
			pos--
		}
	}
}

// At is the element at a position, 0 <= pos < Len.
func (l *List) At(pos int) (e Elem) {
	l.Each(pos, false, func(x Elem) bool { e = x; return false })
	return e
}

// Each calls fn for the elements from a position on, forwards or backwards, until it returns false. A position outside
// of the list has none. fn must not write.
func (l *List) Each(pos int, back bool, fn func(Elem) bool) {
	if n := l.Len(); pos < 0 || pos >= n {
		return
	}
	if l.obj != nil {
		l.obj.each(pos, back, fn)
		return
	}
	b := l.bytes()
	if back {
		pos++
	}
	eachIn(b[listHeader:], elemOffset(b[listHeader:], pos, packLen(b)), back, fn)
}

// EachRun is Each forwards, in runs of elements: to call a function for every single one costs more than to copy it.
func (l *List) EachRun(pos int, fn func(Run) bool) {
	if n := l.Len(); pos < 0 || pos >= n {
		return
	}
	if l.obj != nil {
		l.obj.eachRun(pos, fn)
		return
	}
	b := l.bytes()
	fn(Run{data: b[listHeader+elemOffset(b[listHeader:], pos, packLen(b)):]})
}
