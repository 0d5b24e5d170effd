package store

import "encoding/binary"

// add changes the number of elements in c's leaf. Its path is owned.
func (t *chunks) add(c *chunkCursor, delta int) {
	for l := 1; l <= t.height; l++ {
		e := childAt(t.slot(c.node[l]), c.at[l])
		binary.LittleEndian.PutUint64(e[4:], childCount(e)+uint64(delta))
	}
	t.count += uint64(delta)
}

// splice puts n bytes of undefined contents in the place of bytes [start, end) of c's leaf, and returns the contents for
// writing. What results must fit maxChunk; a leaf with a blob must not be spliced. It moves as little as it can, so that
// growing and shrinking at both ends costs no more than what comes or goes.
func (t *chunks) splice(c *chunkCursor, start, end, n int) []byte {
	t.own(c, 0)
	id := c.node[0]
	b, size := t.slot(id), t.home.slab.size(t.nodes[id].ref)
	from, to := window(b)
	grow := n - (end - start)
	head := start < to-from-end // the shorter side moves
	switch {
	case grow == 0:
	case head && from-grow >= leafHeader:
		copy(b[from-grow:], b[from:from+start])
		from -= grow
	case !head && to+grow <= size:
		copy(b[from+end+grow:], b[from+end:to])
		to += grow
	default:
		b, from, to = t.respace(id, from, to, start, end, n, head)
	}
	setWindow(b, from, to)
	return b[from:to:to]
}

// respace is splice where neither end has the room: the contents slide to the far end of the slot, or go to a bigger one.
func (t *chunks) respace(id uint32, from, to, start, end, n int, head bool) (b []byte, newFrom, newTo int) {
	need := to - from + n - (end - start)
	old, ref := t.slot(id), t.nodes[id].ref
	if size := t.home.slab.size(ref); leafHeader+need > size {
		want := leafHeader + need
		if want < chunkSlot {
			more := min(t.bytes/16, chunkSlot) // so little of a list is room for more, and a long one soon has whole leaves
			want = min(max(want, size+int(more)), chunkSlot)
		}
		ref = t.home.slab.alloc(want)
		copy(t.home.slab.at(ref)[:leafHeader], old)
	}
	b = t.home.slab.at(ref)
	size := t.home.slab.size(ref)
	newFrom = leafHeader
	if head {
		newFrom = size - need
	}
	newTo = newFrom + need
	if head { // what lies behind goes right, out of the way of what lies before
		copy(b[newFrom+start+n:newTo], old[from+end:to])
		copy(b[newFrom:], old[from:from+start])
	} else {
		copy(b[newFrom:], old[from:from+start])
		copy(b[newFrom+start+n:newTo], old[from+end:to])
	}
	if ref != t.nodes[id].ref {
		t.swapSlot(id, ref)
	}
	return b, newFrom, newTo
}

// insert makes a leaf of n bytes and some elements before or behind c's (or the first of all), moves c to it and returns
// its contents for writing.
func (t *chunks) insert(c *chunkCursor, before bool, n, elements int) []byte {
	id := t.newLeaf(n)
	t.link(c, before, id, elements)
	b := t.slot(id)
	start, end := window(b)
	return b[start:end:end]
}

// insertBlob is insert for a blob, of which it takes over the caller's reference.
func (t *chunks) insertBlob(c *chunkCursor, before bool, blob *Blob, elements int) {
	id := t.newNode(leafHeader+4, flagValBlob)
	binary.LittleEndian.PutUint32(t.slot(id)[leafHeader:], t.home.addBlob(blob))
	t.link(c, before, id, elements)
}

func (t *chunks) link(c *chunkCursor, before bool, leaf uint32, elements int) {
	t.leaves++
	if t.root == 0 {
		t.root, t.height, t.count = leaf, 0, uint64(elements)
		c.node[0] = leaf
		return
	}
	t.own(c, 1)
	if t.height == 0 {
		t.raise(c)
	}
	at := c.at[1]
	if !before {
		at++
	}
	var room [childBytes]byte
	e := room[:]
	binary.LittleEndian.PutUint32(e, leaf)
	t.insertChild(c, 1, at, e)
	t.add(c, elements)
}

// raise puts a root above the present one.
func (t *chunks) raise(c *chunkCursor) {
	id := t.newNode(innerHeader+fanoutStep*childBytes, 0)
	binary.LittleEndian.PutUint16(t.slot(id)[8:], 1)
	old := t.root
	t.root = id
	t.height++
	c.node[t.height], c.at[t.height] = id, 0
	t.describe(childAt(t.slot(id), 0), old, t.height-1)
	if t.height == 1 {
		binary.LittleEndian.PutUint64(childAt(t.slot(id), 0)[4:], t.count)
	}
}

// describe makes e the entry of a node at a level. For a leaf the number of elements stays as it is.
func (t *chunks) describe(e []byte, id uint32, level int) {
	binary.LittleEndian.PutUint32(e, id)
	if level == 0 {
		return
	}
	b, sum := t.slot(id), uint64(0)
	for i := range innerLen(b) {
		sum += childCount(childAt(b, i))
	}
	binary.LittleEndian.PutUint64(e[4:], sum)
}

// put inserts an entry into an inner node that is not full.
func (t *chunks) put(id uint32, at int, e []byte) {
	const s = childBytes
	b := t.slot(id)
	n := innerLen(b)
	if size := t.home.slab.size(t.nodes[id].ref); innerHeader+(n+1)*s > size {
		b = t.reslot(id, innerHeader+min(n+fanoutStep, fanout)*s, innerHeader+n*s)
	}
	copy(b[innerHeader+(at+1)*s:], b[innerHeader+at*s:innerHeader+n*s])
	copy(b[innerHeader+at*s:], e)
	binary.LittleEndian.PutUint16(b[8:], uint16(n+1))
}

// insertChild inserts an entry at an index of the node at c's level, splitting it if need be, and leads c to it. The path
// is owned. The sums above do not change: an entry is either new and of no elements yet, or what a split took off its
// neighbour.
func (t *chunks) insertChild(c *chunkCursor, level, at int, e []byte) {
	id := c.node[level]
	b := t.slot(id)
	n := innerLen(b)
	if n < fanout {
		t.put(id, at, e)
		c.at[level], c.node[level-1] = at, childID(e)
		return
	}
	fresh := t.newNode(innerHeader+fanoutStep*childBytes, 0)
	target, before := fresh, at == 0
	switch {
	case at == 0 || at == n: // growing at an end leaves full nodes behind
		at = 0
		t.put(fresh, 0, e)
	default:
		half := n / 2
		for i := half; i < n; i++ {
			t.put(fresh, i-half, childAt(b, i))
		}
		binary.LittleEndian.PutUint16(b[8:], uint16(half))
		if at > half {
			at -= half
			t.put(fresh, at, e)
		} else {
			target = id
			t.put(id, at, e)
		}
	}
	t.linkInner(c, level, fresh, before)
	if target == id {
		t.step(c, level, true)
	}
	c.node[level], c.at[level], c.node[level-1] = target, at, childID(e)
}

// linkInner makes a node that was split off the one at c's level its neighbour.
func (t *chunks) linkInner(c *chunkCursor, level int, fresh uint32, before bool) {
	id := c.node[level]
	if level == t.height {
		t.raise(c)
	} else {
		t.describe(childAt(t.slot(c.node[level+1]), c.at[level+1]), id, level)
	}
	var room [childBytes]byte
	e := room[:]
	t.describe(e, fresh, level)
	at := c.at[level+1]
	if !before {
		at++
	}
	t.insertChild(c, level+1, at, e)
}

// remove takes c's leaf out. c is of no use afterwards.
func (t *chunks) remove(c *chunkCursor) {
	t.own(c, 1)
	leaf := c.node[0]
	t.add(c, -t.size(c))
	t.leaves--
	for l := 1; ; l++ {
		if l > t.height {
			t.root, t.height = 0, 0
			break
		}
		if t.cutChild(c.node[l], c.at[l]) > 0 {
			break
		}
		t.freeNode(c.node[l])
	}
	if t.nodes[leaf].held > 1 {
		t.keeps(t.home.slab.size(t.nodes[leaf].ref))
	}
	t.release(leaf, 0)
	t.lower()
}

// cutChild takes an entry out of an inner node and returns how many are left.
func (t *chunks) cutChild(id uint32, at int) int {
	const s = childBytes
	b := t.slot(id)
	n := innerLen(b) - 1
	copy(b[innerHeader+at*s:innerHeader+n*s], b[innerHeader+(at+1)*s:])
	binary.LittleEndian.PutUint16(b[8:], uint16(n))
	return n
}

// lower takes away roots with a single child.
func (t *chunks) lower() {
	for t.height > 0 && t.nodes[t.root].held == 1 {
		b := t.slot(t.root)
		if innerLen(b) > 1 {
			return
		}
		child := childID(childAt(b, 0))
		t.freeNode(t.root)
		t.root = child
		t.height--
	}
}

// clear frees about n nodes, all of them cuts' too, and returns what is left of n. The tree is not usable before all are
// gone; then it is empty.
func (t *chunks) clear(n int) (left int, more bool) {
	t.root = 0 // nothing is reached through it any more
	for len(t.nodes) > 1 && n > 0 {
		id := len(t.nodes) - 1
		if node := t.nodes[id]; node.held > 0 {
			b := t.home.slab.at(node.ref)
			if *header(b)&flagValBlob != 0 {
				t.home.dropBlob(binary.LittleEndian.Uint32(b[leafHeader:]))
			}
			t.bytes -= int64(t.home.slab.size(node.ref))
			t.home.slab.free(node.ref)
			n--
		}
		t.nodes = t.nodes[:id]
		t.home.tables -= chunkNodeBytes
	}
	if len(t.nodes) > 1 {
		return n, true
	}
	t.home.tables -= chunkNodeBytes * int64(len(t.nodes))
	*t = chunks{home: t.home, owner: t.owner}
	return n, false
}

// chunkWalk is a cut's walk through the leaves of the tree as it was when the walk began. It holds the old root.
type chunkWalk struct {
	t     *chunks
	cut   *Cut
	id    uint64
	root  uint32
	top   int // height of root
	count int // elements
	stack []walkFrame
	keeps bool // what it passes stays until its end: it may be under the shared lock
}

// walkFrame is a node on the way to where the walk stands. Children before next were delivered, those before freed were
// given up.
type walkFrame struct {
	node        uint32
	next, freed int
}

func (t *chunks) pin(c *Cut, id uint64) *chunkWalk {
	w := &chunkWalk{t: t, cut: c, keeps: c.narrow != 0, id: id, root: t.root, top: t.height, count: int(t.count)}
	if t.root != 0 {
		t.nodes[t.root].held++
		w.stack = append(w.stack, walkFrame{node: t.root})
	}
	return w
}

// step implements objectWalk; its measure is a chunk, which counts as much as some fields of a table do.
func (w *chunkWalk) step(n int) (work int, done bool) {
	const each = 32
	for work < n && len(w.stack) > 0 {
		depth := len(w.stack) - 1
		f, level := &w.stack[depth], w.top-depth
		if level == 0 {
			w.cut.visitor.BigChunk(w.id, Chunk{
				Data: w.t.contentsOf(f.node), Blob: w.t.blobOf(f.node), Elements: w.elements(),
			})
			work += each
			w.pop()
			continue
		}
		b := w.t.slot(f.node)
		if f.next == innerLen(b) {
			w.pop()
			continue
		}
		f.next++
		w.stack = append(w.stack, walkFrame{node: childID(childAt(b, f.next-1))})
	}
	return work, len(w.stack) == 0
}

// elements is the number of elements in the leaf on top of the stack.
func (w *chunkWalk) elements() int {
	if len(w.stack) == 1 {
		return w.count
	}
	parent := &w.stack[len(w.stack)-2]
	return int(childCount(childAt(w.t.slot(parent.node), parent.next-1)))
}

// pop leaves a node that was delivered; what nobody but the walk holds is freed.
func (w *chunkWalk) pop() {
	w.stack = w.stack[:len(w.stack)-1]
	if w.keeps {
		return
	}
	for i := range w.stack {
		if w.t.nodes[w.stack[i].node].held > 1 {
			return // the tree, or another cut, still leads there
		}
	}
	if depth := len(w.stack) - 1; depth >= 0 {
		f := &w.stack[depth]
		for b := w.t.slot(f.node); f.freed < f.next; f.freed++ {
			e := childAt(b, f.freed)
			child := childID(e)
			binary.LittleEndian.PutUint32(e, 0)
			w.t.release(child, w.top-depth-1)
		}
	}
}

// end implements objectWalk.
func (w *chunkWalk) end() {
	if w.root != 0 {
		w.t.release(w.root, w.top)
		w.root, w.stack = 0, nil
	}
}
