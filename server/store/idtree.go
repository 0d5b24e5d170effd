package store

import (
	"cmp"
	"encoding/binary"
)

// StreamID names an entry of a stream: milliseconds and a sequence number.
type StreamID struct{ Ms, Seq uint64 }

// MaxStreamID is the greatest ID.
var MaxStreamID = StreamID{1<<64 - 1, 1<<64 - 1}

// Compare orders IDs.
func (id StreamID) Compare(o StreamID) int {
	if c := cmp.Compare(id.Ms, o.Ms); c != 0 {
		return c
	}
	return cmp.Compare(id.Seq, o.Seq)
}

// IsZero tells whether the ID is 0-0.
func (id StreamID) IsZero() bool { return id == StreamID{} }

// Next is the ID behind this one; false for the greatest.
func (id StreamID) Next() (StreamID, bool) {
	if id.Seq++; id.Seq == 0 {
		id.Ms++
		return id, id.Ms != 0
	}
	return id, true
}

// Prev is the ID before this one; false for 0-0.
func (id StreamID) Prev() (StreamID, bool) {
	if id.Seq--; id.Seq == 1<<64-1 {
		id.Ms--
		return id, id.Ms != 1<<64-1
	}
	return id, true
}

// idTree is a B+tree of records by StreamID. A record is the ID and a value of fixed size; a record of an inner node is
// a lower bound of a child's IDs (of the first child: any) and the child's number. Trees whose values are chunkVal bytes
// hold the chunks that the values name.
type idTree struct {
	root uint32 // 0: empty
	n    int    // records
}

const (
	idBytes   = 16
	childVal  = 4
	chunkVal  = 4 // the directory of a stream: the chunk's number
	minFill   = idNodeMax / 4
	joinFill  = idNodeMax * 3 / 4
	firstRoom = 4 // records that a new leaf has room for
)

// node is a tree node's bytes; they stay good until a node is made or moved.
type idNode struct {
	b    []byte
	size int // of a record
}

func idNodeOf(b []byte) idNode {
	size := idBytes + int(b[13])
	if b[12] > 0 {
		size = idBytes + childVal
	}
	return idNode{b, size}
}

func (n idNode) leaf() bool       { return n.b[12] == 0 }
func (n idNode) len() int         { return int(binary.LittleEndian.Uint16(n.b[14:])) }
func (n idNode) used() int        { return n.len() * n.size }
func (n idNode) most() int        { return (idNodeMax - idNodeHead) / n.size }
func (n idNode) setLen(l int)     { binary.LittleEndian.PutUint16(n.b[14:], uint16(l)) }
func (n idNode) rec(i int) []byte { return n.b[idNodeHead+i*n.size : idNodeHead+(i+1)*n.size] }
func (n idNode) val(i int) []byte { return n.rec(i)[idBytes:] }

func (n idNode) id(i int) StreamID {
	r := n.rec(i)
	return StreamID{binary.LittleEndian.Uint64(r), binary.LittleEndian.Uint64(r[8:])}
}

func (n idNode) setID(i int, id StreamID) {
	r := n.rec(i)
	binary.LittleEndian.PutUint64(r, id.Ms)
	binary.LittleEndian.PutUint64(r[8:], id.Seq)
}

func (n idNode) child(i int) uint32 { return binary.LittleEndian.Uint32(n.val(i)) }

func (n idNode) setChild(i int, no uint32) { binary.LittleEndian.PutUint32(n.val(i), no) }

// search returns the number of records with an ID of at most id.
func (n idNode) search(id StreamID) int {
	lo, hi := 0, n.len()
	if hi > 0 && n.id(hi-1).Compare(id) <= 0 { // appending is the rule
		return hi
	}
	for lo < hi {
		if mid := (lo + hi) / 2; n.id(mid).Compare(id) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// way is the index of the child that holds id, if any does.
func (n idNode) way(id StreamID) int { return max(n.search(id)-1, 0) }

func (a *idNodes) node(no uint32) idNode { return idNodeOf(a.at(no)) }

// find returns the value of a record, nil when there is none.
func (a *idNodes) find(t *idTree, id StreamID) []byte {
	if t.root == 0 {
		return nil
	}
	n := a.node(t.root)
	for !n.leaf() {
		n = a.node(n.child(n.way(id)))
	}
	if i := n.search(id) - 1; i >= 0 && n.id(i) == id {
		return n.val(i)
	}
	return nil
}

// put returns the value of a record for writing, and makes the record if there is none; its value is undefined then.
func (a *idNodes) put(t *idTree, val uint8, id StreamID) (v []byte, created bool) {
	if t.root == 0 {
		t.root = a.alloc(firstRoom*(idBytes+int(val)), 0, val)
	}
	t.root = a.own(t.root)
	if v = a.edit(t, id); v != nil {
		return v, false
	}
	t.n++
	right, v := a.insert(t.root, id)
	if right != 0 {
		level := a.at(t.root)[12] + 1
		top := a.alloc(2*(idBytes+childVal), level, val)
		n := a.node(top)
		n.setLen(2)
		n.setID(0, StreamID{})
		n.setChild(0, t.root)
		n.setID(1, a.node(right).id(0))
		n.setChild(1, right)
		t.root = top
	}
	return v, true
}

// idTail adds records in the order of their IDs to a tree that nobody else writes to meanwhile: it stays at the last leaf.
type idTail struct {
	a    *idNodes
	t    *idTree
	val  uint8
	leaf uint32 // 0: not known
}

// add adds a record; v may be the bytes of another tree's.
func (w *idTail) add(id StreamID, v []byte) {
	var room [chunkVal + pendingVal]byte
	n := copy(room[:], v) // nodes may move
	if w.leaf == 0 || w.a.node(w.leaf).len() == w.a.node(w.leaf).most() {
		to, _ := w.a.put(w.t, w.val, id)
		copy(to, room[:n])
		at := w.a.seek(w.t, id)
		w.leaf = at.path[at.depth].no
		return
	}
	_, to := w.a.open(w.leaf, w.a.node(w.leaf).len(), id)
	copy(to, room[:n])
	w.t.n++
}

// edit returns the value of a record for writing, nil when there is none. What it passes is owned afterwards.
func (a *idNodes) edit(t *idTree, id StreamID) []byte {
	if t.root == 0 {
		return nil
	}
	t.root = a.own(t.root)
	n := a.node(t.root)
	for !n.leaf() {
		n = a.ownChild(n, n.way(id))
	}
	if i := n.search(id) - 1; i >= 0 && n.id(i) == id {
		return n.val(i)
	}
	return nil
}

// ownChild makes child i of an owned node owned.
func (a *idNodes) ownChild(n idNode, i int) idNode {
	no := n.child(i)
	if twin := a.own(no); twin != no {
		n.setChild(i, twin)
		no = twin
	}
	return a.node(no)
}

// insert adds a record to an owned tree and returns its value, and the new right half when the node was split.
func (a *idNodes) insert(no uint32, id StreamID) (right uint32, v []byte) {
	n := a.node(no)
	if n.leaf() {
		return a.open(no, n.search(id), id)
	}
	i := n.way(id)
	below, v := a.insert(n.child(i), id)
	if below == 0 {
		return 0, v
	}
	right, rec := a.open(no, i+1, a.node(below).id(0))
	binary.LittleEndian.PutUint32(rec, below)
	return right, v
}

// open makes record i of a node, and returns its value and the right half when the node had to be split.
func (a *idNodes) open(no uint32, i int, id StreamID) (right uint32, v []byte) {
	n := a.node(no)
	if n.len() == n.most() {
		right = a.split(no, i)
		if left := a.node(no).len(); i > left || i == left && i == n.most() {
			no, i = right, i-left
		}
		n = a.node(no)
	}
	l := n.len()
	if need := (l + 1) * n.size; need > a.room(no) {
		a.resize(no, min(need+need/2, idNodeMax-idNodeHead), l*n.size)
		n = a.node(no)
	}
	n.setLen(l + 1)
	copy(n.b[idNodeHead+(i+1)*n.size:idNodeHead+(l+1)*n.size], n.b[idNodeHead+i*n.size:])
	n.setID(i, id)
	return right, n.val(i)
}

// split moves the upper half of a full node to a new one; when the node grows at its end it stays full.
func (a *idNodes) split(no uint32, at int) (right uint32) {
	n := a.node(no)
	l, half := n.len(), n.len()/2
	if at == l {
		half = l
	}
	right = a.alloc(max((l-half)*n.size, firstRoom*n.size), n.b[12], n.b[13])
	n = a.node(no)
	r := a.node(right)
	r.setLen(l - half)
	copy(r.b[idNodeHead:], n.b[idNodeHead+half*n.size:idNodeHead+l*n.size])
	n.setLen(half)
	return right
}

// del removes a record if there is one. What its value names is the caller's.
func (a *idNodes) del(t *idTree, id StreamID) {
	if a.find(t, id) == nil {
		return
	}
	t.root = a.own(t.root)
	a.remove(t.root, id)
	t.n--
	a.lower(t)
}

// lower takes away roots that hold nothing or one child only.
func (a *idNodes) lower(t *idTree) {
	for t.root != 0 {
		n := a.node(t.root)
		root := t.root
		switch {
		case n.len() == 0:
			t.root = 0
		case n.len() == 1 && !n.leaf():
			t.root = n.child(0)
		default:
			return
		}
		a.free(root)
	}
}

// remove takes a record out of an owned tree.
func (a *idNodes) remove(no uint32, id StreamID) {
	n := a.node(no)
	if n.leaf() {
		a.cutOut(no, n.search(id)-1)
		return
	}
	i := n.way(id)
	a.ownChild(n, i)
	below := a.node(no).child(i)
	a.remove(below, id)
	a.settle(no, i)
}

// settle frees child i of an owned node when nothing is left in it, and joins it with a neighbour when that is little.
func (a *idNodes) settle(no uint32, i int) {
	n := a.node(no)
	below := n.child(i)
	switch c := a.node(below); {
	case c.len() == 0:
		a.free(below)
		a.cutOut(no, i)
	case c.used() >= minFill || n.len() == 1:
	case i+1 < n.len():
		a.join(no, i)
	default:
		a.join(no, i-1)
	}
}

// cutOut removes record i of a node.
func (a *idNodes) cutOut(no uint32, i int) {
	n := a.node(no)
	l := n.len() - 1
	copy(n.b[idNodeHead+i*n.size:], n.b[idNodeHead+(i+1)*n.size:idNodeHead+(l+1)*n.size])
	a.shrink(no, l)
}

// shrink leaves a node its first l records, and gives back room when most of it is empty.
func (a *idNodes) shrink(no uint32, l int) {
	n := a.node(no)
	n.setLen(l)
	if need := max(l, firstRoom) * n.size; need*3 < a.room(no) {
		a.resize(no, need*3/2, l*n.size)
	}
}

// join merges children i and i+1 of an owned node when they fit one.
func (a *idNodes) join(no uint32, i int) {
	n := a.node(no)
	if a.node(n.child(i)).used()+a.node(n.child(i+1)).used() > joinFill-idNodeHead {
		return
	}
	a.ownChild(n, i)
	a.ownChild(a.node(no), i+1)
	n = a.node(no)
	left, right := n.child(i), n.child(i+1)
	lu, ru := a.node(left).used(), a.node(right).used()
	if lu+ru > a.room(left) {
		a.resize(left, lu+ru, lu)
	}
	l, r := a.node(left), a.node(right)
	if !r.leaf() {
		r.setID(0, n.id(i+1)) // the first one's may be any
	}
	copy(l.b[idNodeHead+lu:], r.b[idNodeHead:idNodeHead+ru])
	l.setLen((lu + ru) / l.size)
	a.free(right)
	a.cutOut(no, i+1)
}

// idCursor is a place in a tree, good until the tree's next write.
type idCursor struct {
	a     *idNodes
	path  [maxLevels]idStep
	depth int // of the leaf's step, -1 behind the ends
}

const maxLevels = 16

type idStep struct {
	no uint32
	i  int
}

func (c *idCursor) valid() bool { return c.depth >= 0 }

func (c *idCursor) leaf() (idNode, int) {
	s := &c.path[c.depth]
	return c.a.node(s.no), s.i
}

func (c *idCursor) id() StreamID {
	n, i := c.leaf()
	return n.id(i)
}

func (c *idCursor) val() []byte {
	n, i := c.leaf()
	return n.val(i)
}

// seek places a cursor at the last record of at most id, if there is one, else at the first.
func (a *idNodes) seek(t *idTree, id StreamID) (c idCursor) {
	c = idCursor{a: a, depth: -1}
	for no := t.root; no != 0; {
		n := a.node(no)
		i := n.way(id)
		c.depth++
		c.path[c.depth] = idStep{no, i}
		if n.leaf() {
			break
		}
		no = n.child(i)
	}
	return c
}

// from places a cursor at the first record of at least id.
func (a *idNodes) from(t *idTree, id StreamID) idCursor {
	c := a.seek(t, id)
	if c.valid() && c.id().Compare(id) < 0 {
		c.next()
	}
	return c
}

// upTo places a cursor at the last record of at most id.
func (a *idNodes) upTo(t *idTree, id StreamID) idCursor {
	c := a.seek(t, id)
	if c.valid() && c.id().Compare(id) > 0 {
		c.depth = -1
	}
	return c
}

func (c *idCursor) next() {
	for d := c.depth; d >= 0; d-- {
		if s := &c.path[d]; s.i+1 < c.a.node(s.no).len() {
			s.i++
			c.descend(d, false)
			return
		}
	}
	c.depth = -1
}

func (c *idCursor) prev() {
	for d := c.depth; d >= 0; d-- {
		if s := &c.path[d]; s.i > 0 {
			s.i--
			c.descend(d, true)
			return
		}
	}
	c.depth = -1
}

// descend goes from an inner step to the first or the last record below it.
func (c *idCursor) descend(d int, last bool) {
	for n := c.a.node(c.path[d].no); !n.leaf(); d++ {
		no := n.child(c.path[d].i)
		n = c.a.node(no)
		c.path[d+1] = idStep{no, 0}
		if last {
			c.path[d+1].i = n.len() - 1
		}
	}
	c.depth = d
}
