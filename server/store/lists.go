package store

import "encoding/binary"

// listObject is a big list: a tree of chunks that hold elements as listpack.go encodes them. An element from blobElem
// bytes on is a chunk of its own, a blob.
type listObject struct {
	objectBase
	tree chunks
}

const (
	// listPackMax is the size in bytes up to which a list is flat bytes in its entry: u16 elements, elements.
	listPackMax = 4 << 10
	listHeader  = 2
	blobElem    = 8 << 10
)

// plainFrom is the size from which an element is a blob.
func (p *part) plainFrom() int {
	if n := p.space.store.Config.ListPlainElement; n > 0 {
		return min(n, blobElem)
	}
	return blobElem
}

func (p *part) newList() *listObject {
	o := &listObject{}
	p.adopt(o)
	o.tree = chunks{home: p, owner: o.id}
	return o
}

func (o *listObject) entryType() uint8 { return typeBigList }

func (o *listObject) size() int { return int(o.tree.count) }

func (o *listObject) free(n int) (left int, more bool) { return o.tree.clear(n) }

func (o *listObject) memoryUsage() int64 { return o.tree.memoryUsage() }

// within implements object.
func (o *listObject) within(n int) bool {
	t := &o.tree
	if t.bytes > int64(n) {
		return false
	}
	var c chunkCursor
	for ok := t.edge(&c, false); ok; ok = t.next(&c) {
		if t.blob(&c) != nil {
			return false
		}
	}
	return true
}

func (o *listObject) relocate(ref uint32, b []byte) { o.tree.moveSlot(ref, b) }

func (o *listObject) pin(c *Cut, id uint64) objectWalk { return o.tree.pin(c, id) }

func (o *listObject) copyTo(p *part) object {
	twin := p.newList()
	var from, to chunkCursor
	t := &o.tree
	for ok := t.edge(&from, false); ok; ok = t.next(&from) {
		if twin.tree.root != 0 {
			twin.tree.edge(&to, true)
		}
		if blob := t.blob(&from); blob != nil {
			blob.Retain()
			twin.tree.insertBlob(&to, false, blob, 1)
			continue
		}
		data := t.contents(&from)
		copy(twin.tree.insert(&to, false, len(data), t.size(&from)), data)
	}
	return twin
}

// push adds an element at an end.
func (o *listObject) push(head bool, v []byte) {
	one := [1][]byte{v}
	o.pushSome(head, one[:])
}

// pushSome adds some of the elements at an end, one after the other, and returns how many: the first at least.
func (o *listObject) pushSome(head bool, vs [][]byte) int {
	if n := o.pushInto(head, vs); n > 0 {
		return n
	}
	var c chunkCursor
	o.tree.edge(&c, !head)
	o.place(&c, head, vs[0])
	return 1
}

// edge is the way to the outermost leaf at an end of a tree, all of it the tree's alone: nearly always it is, and who is content
// with what the leaf has the room for then needs one look at it.
type edge struct {
	counts [tallEdge][]byte // of elements below, from the leaf up
	ref    uint32           // the leaf's slot
}

const tallEdge = 3

// edgeOf makes w the edge at an end; ok is false when it is not the tree's alone, or does not end in a leaf of packed elements.
func (t *chunks) edgeOf(w *edge, head bool) (leaf []byte, ok bool) {
	if t.root == 0 || t.height > tallEdge {
		return nil, false
	}
	node := t.nodes[t.root]
	for l := t.height; l > 0 && node.held == 1; l-- {
		b, i := t.home.slab.at(node.ref), 0
		if !head {
			i = innerLen(b) - 1
		}
		e := childAt(b, i)
		w.counts[l-1], node = e[4:], t.nodes[childID(e)]
	}
	if node.held > 1 {
		return nil, false
	}
	w.ref = node.ref
	leaf = t.home.slab.at(node.ref)
	return leaf, *header(leaf)&flagValBlob == 0
}

// add changes the number of elements in the edge's leaf.
func (w *edge) add(t *chunks, n int) {
	for l := range t.height {
		sum := w.counts[l]
		binary.LittleEndian.PutUint64(sum, binary.LittleEndian.Uint64(sum)+uint64(n))
	}
	t.count += uint64(n)
}

// pushInto adds the first elements at an end, as many as the outermost leaf has the room for where it stands.
func (o *listObject) pushInto(head bool, vs [][]byte) (n int) {
	var w edge
	t := &o.tree
	b, ok := t.edgeOf(&w, head)
	if !ok {
		return 0
	}
	n = putAtEnd(b[:t.home.slab.size(w.ref)], head, vs, o.home.plainFrom())
	w.add(t, n)
	return n
}

// pop takes the element at an end out where it stands, when its leaf keeps others; text nil: it is the integer n. A leaf that
// becomes short stays: at an end it is filled again, or emptied soon.
func (o *listObject) pop(head bool) (text []byte, n int64, ok bool) {
	var w edge
	t := &o.tree
	b, ok := t.edgeOf(&w, head)
	if !ok || t.height == 0 && t.count < 2 || t.height > 0 && binary.LittleEndian.Uint64(w.counts[0]) < 2 {
		return nil, 0, false
	}
	from, to := window(b)
	at := from
	if head {
		from += elemSize(b[from:])
	} else {
		at = elemBefore(b, to)
		to = at
	}
	setWindow(b, from, to)
	w.add(t, -1)
	text, n = elemText(b[at:])
	return text, n, true
}

// putAtEnd puts elements shorter than plain at an end of a leaf's slot, as many as it has the room for, and returns how many.
func putAtEnd(b []byte, head bool, vs [][]byte, plain int) int {
	var e packedElem
	from, to := window(b)
	for n, v := range vs {
		e.pack(v)
		first, last := from, to+e.size
		if head {
			first, last = from-e.size, to
		}
		if len(v) >= plain || first < leafHeader || last > len(b) || last-first > chunkRoom {
			vs = vs[:n]
			break
		}
		if head {
			e.put(b[first:])
		} else {
			e.put(b[to:])
		}
		from, to = first, last
	}
	setWindow(b, from, to)
	return len(vs)
}

// place adds an element right before all of c's leaf, or behind: in it, or in a new leaf beside it.
func (o *listObject) place(c *chunkCursor, before bool, v []byte) {
	t := &o.tree
	if len(v) >= o.home.plainFrom() {
		blob := o.home.space.store.newBlob(len(v), len(v))
		copy(blob.data, v)
		t.insertBlob(c, before, blob, 1)
		return
	}
	e := packElem(v)
	if t.root != 0 && t.blob(c) == nil {
		if n := len(t.contents(c)); n+e.size <= chunkRoom {
			at := n
			if before {
				at = 0
			}
			e.put(t.splice(c, at, at, e.size)[at:])
			t.add(c, 1)
			return
		}
	}
	e.put(t.insert(c, before, e.size, 1))
}

// insert adds an element at a position that is neither end.
func (o *listObject) insert(pos int, v []byte) {
	t := &o.tree
	var c chunkCursor
	rest := t.seek(&c, uint64(pos))
	if rest == 0 { // at the end of the leaf before, when it has the room
		before := c
		if e := packElem(v); t.prev(&before) && t.blob(&before) == nil && len(v) < o.home.plainFrom() && len(t.contents(&before))+e.size <= chunkRoom {
			o.place(&before, false, v)
			return
		}
		o.place(&c, true, v)
		return
	}
	at := elemOffset(t.contents(&c), rest, t.size(&c))
	if e := packElem(v); len(v) < o.home.plainFrom() && len(t.contents(&c))+e.size <= chunkRoom {
		e.put(t.splice(&c, at, at, e.size)[at:])
		t.add(&c, 1)
		return
	}
	o.split(&c, at, rest)
	o.place(&c, false, v)
}

// split moves what c's leaf has from an offset on, behind a number of elements, to a new leaf; c stays.
func (o *listObject) split(c *chunkCursor, at, elements int) {
	t := &o.tree
	tail := append([]byte(nil), t.contents(c)[at:]...)
	moved := t.size(c) - elements
	t.splice(c, at, at+len(tail), 0)
	t.add(c, -moved)
	copy(t.insert(c, false, len(tail), moved), tail)
	t.prev(c)
}

// set replaces the element at a position.
func (o *listObject) set(pos int, v []byte) {
	t := &o.tree
	var c chunkCursor
	rest := t.seek(&c, uint64(pos))
	if t.blob(&c) == nil && len(v) < o.home.plainFrom() {
		e, data := packElem(v), t.contents(&c)
		at := elemOffset(data, rest, t.size(&c))
		end := at + elemSize(data[at:])
		if len(data)-(end-at)+e.size <= chunkRoom {
			e.put(t.splice(&c, at, end, e.size)[at:])
			return
		}
	}
	last := pos == int(t.count)-1
	o.removeRange(pos, 1)
	switch {
	case pos == 0:
		o.push(true, v)
	case last:
		o.push(false, v)
	default:
		o.insert(pos, v)
	}
}

// removeRange removes n elements from a position on, which are all there.
func (o *listObject) removeRange(pos, n int) {
	t := &o.tree
	var c chunkCursor
	for n > 0 {
		rest := t.seek(&c, uint64(pos))
		size := t.size(&c)
		k := min(n, size-rest)
		n -= k
		if k == size {
			t.remove(&c)
			continue
		}
		data := t.contents(&c)
		start := elemOffset(data, rest, size)
		end := len(data)
		if rest+k < size {
			end = elemOffset(data, rest+k, size)
		}
		t.splice(&c, start, end, 0)
		t.add(&c, -k)
		o.merge(&c)
	}
}

// merge empties a leaf that became small into a neighbour of the same parent that has the room.
func (o *listObject) merge(c *chunkCursor) {
	t := &o.tree
	data := t.contents(c)
	if t.height == 0 || len(data) > chunkRoom/4 {
		return
	}
	for _, back := range []bool{true, false} {
		to := *c
		if !t.step(&to, 0, back) || to.node[1] != c.node[1] || t.blob(&to) != nil {
			continue
		}
		n := len(t.contents(&to))
		if n+len(data) > chunkRoom*3/4 {
			continue
		}
		at, moved := 0, t.size(c)
		if back {
			at = n
		}
		copy(t.splice(&to, at, at, len(data))[at:], data)
		t.add(&to, moved)
		t.own(c, 1)
		t.remove(c)
		return
	}
}

// removeEqual removes elements equal to a needle, the first ones or the last ones, as many as limit (0: all), and
// returns how many those were.
func (o *listObject) removeEqual(n *Needle, limit int, back bool) (removed int) {
	t := &o.tree
	if limit == 0 {
		limit = int(t.count)
	}
	for pos := 0; removed < limit && pos < int(t.count); {
		at := pos
		if back {
			at = int(t.count) - 1 - pos
		}
		var c chunkCursor
		passed := t.seek(&c, uint64(at)) // elements of the leaf, which merge may have made of two
		size := t.size(&c)
		if back {
			passed = size - 1 - passed
		}
		k := o.dropFrom(&c, n, limit-removed, back)
		removed += k
		pos += size - passed - k
	}
	return removed
}

// dropFrom is removeEqual for c's leaf. c is of no use afterwards.
func (o *listObject) dropFrom(c *chunkCursor, n *Needle, limit int, back bool) (removed int) {
	t := &o.tree
	size := t.size(c)
	if blob := t.blob(c); blob != nil {
		if string(blob.data) != string(n.b) {
			return 0
		}
		t.remove(c)
		return 1
	}
	matches := 0
	for data, at := t.contents(c), 0; at < len(data); at += elemSize(data[at:]) {
		if elemAt(data[at:]).Is(n) {
			matches++
		}
	}
	if matches == 0 {
		return 0
	}
	if matches == size && limit >= size {
		t.remove(c)
		return size
	}
	skip := 0 // matches to be left alone
	if back {
		skip = max(matches-limit, 0)
	}
	data, to := t.splice(c, 0, 0, 0), 0
	for at := 0; at < len(data); {
		k := elemSize(data[at:])
		switch {
		case removed == limit || !elemAt(data[at:]).Is(n):
			to += copy(data[to:], data[at:at+k])
		case skip > 0:
			skip--
			to += copy(data[to:], data[at:at+k])
		default:
			removed++
		}
		at += k
	}
	t.splice(c, to, len(data), 0)
	t.add(c, -removed)
	o.merge(c)
	return removed
}

// each calls fn for the elements from a position on, forwards or backwards, until it returns false.
func (o *listObject) each(pos int, back bool, fn func(Elem) bool) {
	t := &o.tree
	var c chunkCursor
	rest := t.seek(&c, uint64(pos))
	for first, ok := true, true; ok; ok = t.step(&c, 0, back) {
		data := t.contents(&c)
		if blob := t.blob(&c); blob != nil {
			if !fn(Elem{b: data, blob: blob}) {
				return
			}
			first = false
			continue
		}
		at := 0
		switch {
		case first && back:
			at = elemOffset(data, rest+1, t.size(&c))
		case first:
			at = elemOffset(data, rest, t.size(&c))
		case back:
			at = len(data)
		}
		first = false
		if !eachIn(data, at, back, fn) {
			return
		}
	}
}

// eachRun calls fn for the leaves from a position on, the first from there, until it returns false.
func (o *listObject) eachRun(pos int, fn func(Run) bool) {
	t := &o.tree
	var c chunkCursor
	rest := t.seek(&c, uint64(pos))
	for ok := true; ok; ok = t.next(&c) {
		r := Run{data: t.contents(&c), blob: t.blob(&c)}
		if r.blob == nil {
			r.data = r.data[elemOffset(r.data, rest, t.size(&c)):]
		}
		if !fn(r) {
			return
		}
		rest = 0
	}
}

// eachIn calls fn for the elements of flat bytes from an offset on, or those that end at it and before.
func eachIn(data []byte, at int, back bool, fn func(Elem) bool) bool {
	for back && at > 0 {
		at = elemBefore(data, at)
		if !fn(elemAt(data[at:])) {
			return false
		}
	}
	for !back && at < len(data) {
		b := data[at:]
		if c := b[0]; c >= 0x80 && c < 0xC0 { // short text: the common case, in one look
			n := 1 + int(c&63)
			if !fn(Elem{b: b[1:n:n]}) {
				return false
			}
			at += n + 1
			continue
		}
		if !fn(elemAt(b)) {
			return false
		}
		at += elemSize(b)
	}
	return true
}

// memoryUsage is the bytes that the tree holds.
func (t *chunks) memoryUsage() int64 {
	n := t.bytes + chunkNodeBytes*int64(len(t.nodes))
	var c chunkCursor
	blobs := 0
	for ok := t.edge(&c, false); ok && blobs < 64; ok = t.next(&c) {
		if b := t.blob(&c); b != nil {
			n += int64(len(b.whole))
		}
		blobs++
	}
	return n
}
