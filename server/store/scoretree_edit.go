package store

import (
	"sync/atomic"
	"unsafe"
)

// rowBytes is what a row takes in a node of the level, maxRows how many there may be.
func rowBytes(level uint8) int {
	if level == 0 {
		return leafRow
	}
	return innerRow
}

func maxRows(level uint8) int {
	if level == 0 {
		return maxLeaf
	}
	return maxInner
}

// roomy is the room for a node that has so many rows and may get more.
func roomy(rows int) int { return rows + rows/8 + 3 }

// newNode makes an empty node with room for at least rows.
func (t *scoreTree) newNode(p *part, level uint8, rows int) uint32 {
	n := nodeHeader + min(rows, maxRows(level))*rowBytes(level)
	ref := p.slab.alloc(n)
	b := p.slab.at(ref)
	atomic.StoreUint32(header(b), t.owner<<8|nodeMark)
	room := min((slotSize(n)-nodeHeader)/rowBytes(level), maxRows(level))
	*(*node)(unsafe.Pointer(unsafe.SliceData(b))) = node{owner: t.owner<<8 | nodeMark, room: uint8(room), level: level}
	return ref
}

// move appends n's rows [from, to) to dst, which has the room.
func (n *node) move(dst *node, from, to int) {
	at := int(dst.rows)
	copy(dst.scores()[at:], n.scores()[from:to])
	copy(dst.refs()[at:], n.refs()[from:to])
	if n.level > 0 {
		copy(dst.children()[at:], n.children()[from:to])
		copy(dst.below()[at:], n.below()[from:to])
	}
	dst.rows += uint8(to - from)
}

// insert puts a row at i; there is room.
func (n *node) insert(i int, r row) {
	rows := int(n.rows)
	copy(n.scores()[i+1:rows+1], n.scores()[i:rows])
	copy(n.refs()[i+1:rows+1], n.refs()[i:rows])
	if n.level > 0 {
		copy(n.children()[i+1:rows+1], n.children()[i:rows])
		copy(n.below()[i+1:rows+1], n.below()[i:rows])
	}
	n.rows++
	n.setRow(i, r)
}

// cut takes the rows [from, to) out.
func (n *node) cut(from, to int) {
	rows := int(n.rows)
	copy(n.scores()[from:], n.scores()[to:rows])
	copy(n.refs()[from:], n.refs()[to:rows])
	if n.level > 0 {
		copy(n.children()[from:], n.children()[to:rows])
		copy(n.below()[from:], n.below()[to:rows])
	}
	n.rows -= uint8(to - from)
}

// insert adds a member that is not in the tree, by the ref of its entry.
func (t *scoreTree) insert(p *part, score float64, ref uint32) {
	t.count++
	r := row{score: score, ref: ref}
	if t.root == 0 {
		t.root = t.newNode(p, 0, 1)
		p.node(t.root).insert(0, r)
		return
	}
	b := p.slab.at(ref)
	s := shapeOf(b)
	w := t.pathTo(p, score, p.keyBytes(b, s))
	for _, up := range w.steps[1:w.height] {
		p.node(up.ref).below()[up.at]++
	}
	t.insertRow(p, &w, 0, r)
}

// insertRow puts a row where the path stands at a level. The counts above include its members already.
func (t *scoreTree) insertRow(p *part, w *path, level int, r row) {
	at := w.steps[level].at
	n := p.node(w.steps[level].ref)
	if n.rows == n.room {
		if int(n.room) == maxRows(n.level) {
			t.split(p, w, level, r)
			return
		}
		n = t.refit(p, w, level, roomy(int(n.rows)))
	}
	n.insert(at, r)
	if at == 0 {
		t.newFirst(p, w, level)
	}
}

// refit moves the node on the path to a slot with room for so many rows.
func (t *scoreTree) refit(p *part, w *path, level int, rows int) *node {
	old := w.steps[level].ref
	n := p.node(old)
	ref := t.newNode(p, n.level, rows)
	fresh := p.node(ref)
	n.move(fresh, 0, int(n.rows))
	t.relink(p, w, level, ref)
	p.slab.free(old)
	return fresh
}

// relink makes ref the node on the path at a level.
func (t *scoreTree) relink(p *part, w *path, level int, ref uint32) {
	w.steps[level].ref = ref
	if level+1 == w.height {
		t.root = ref
		return
	}
	up := w.steps[level+1]
	p.node(up.ref).children()[up.at] = ref
}

// newFirst makes the rows above say what the first row of the node on the path at a level now is.
func (t *scoreTree) newFirst(p *part, w *path, level int) {
	first := p.node(w.steps[level].ref).row(0)
	for level++; level < w.height; level++ {
		up := w.steps[level]
		n := p.node(up.ref)
		n.scores()[up.at], n.refs()[up.at] = first.score, first.ref
		if up.at > 0 {
			return
		}
	}
}

// split divides the full node on the path and inserts a row into one of the halves. At the tree's edges the old node
// stays full, so that members that come in order fill the nodes.
func (t *scoreTree) split(p *part, w *path, level int, r row) {
	at, rows := w.steps[level].at, int(p.node(w.steps[level].ref).rows)
	keep := rows / 2
	switch {
	case at == rows && w.atEdge(p, level, true):
		keep = rows
	case at == 0 && w.atEdge(p, level, false):
		keep = 0
	}
	toRight := at > keep || keep == rows
	rightRef := t.newNode(p, uint8(level), rows-keep+1)
	right, left := p.node(rightRef), p.node(w.steps[level].ref)
	left.move(right, keep, rows)
	left.rows = uint8(keep)
	if keep < rows {
		left = t.refit(p, w, level, keep+1)
	}
	if toRight {
		right.insert(at-keep, r)
	} else {
		left.insert(at, r)
	}
	t.insertBeside(p, w, level, left, rightRef)
	// The path is not valid from here on.
}

// atEdge tells whether the path runs along the tree's last (or first) rows above a level.
func (w *path) atEdge(p *part, level int, last bool) bool {
	for level++; level < w.height; level++ {
		s := w.steps[level]
		if last && s.at != int(p.node(s.ref).rows)-1 || !last && s.at != 0 {
			return false
		}
	}
	return true
}

// insertBeside enters the node that was split off the one on the path, left, into the level above.
func (t *scoreTree) insertBeside(p *part, w *path, level int, left *node, right uint32) {
	leftRow, rightRow := left.row(0), p.node(right).row(0)
	leftRow.child, leftRow.below = w.steps[level].ref, left.weight()
	rightRow.child, rightRow.below = right, p.node(right).weight()
	if level+1 == w.height {
		t.root = t.newNode(p, uint8(level+1), 2)
		root := p.node(t.root)
		root.insert(0, leftRow)
		root.insert(1, rightRow)
		return
	}
	up := &w.steps[level+1]
	p.node(up.ref).setRow(up.at, leftRow)
	if up.at == 0 {
		t.newFirst(p, w, level+1)
	}
	up.at++
	t.insertRow(p, w, level+1, rightRow)
}

// remove takes a member out of the tree and reports whether it was there.
func (t *scoreTree) remove(p *part, score float64, member []byte) bool {
	if t.root == 0 {
		return false
	}
	w := t.pathTo(p, score, member)
	leaf, at := p.node(w.steps[0].ref), w.steps[0].at
	k := border{score: score, member: member, behind: true}
	if at == int(leaf.rows) || !k.passes(p, leaf.scores()[at], leaf.refs()[at]) {
		return false
	}
	t.cut(p, &w, at, at+1)
	return true
}

// removeRun takes up to max members from a rank on out of the tree, all of one leaf, and appends their refs to dst.
func (t *scoreTree) removeRun(p *part, dst []uint32, rank, max int) []uint32 {
	w := t.pathAt(p, rank)
	leaf, from := p.node(w.steps[0].ref), w.steps[0].at
	to := min(int(leaf.rows), from+max)
	dst = append(dst, leaf.refs()[from:to]...)
	t.cut(p, &w, from, to)
	return dst
}

// removeListed takes the first members of a list, which is in order and of which all must be there, out of one leaf, and
// returns how many.
func (t *scoreTree) removeListed(p *part, list []leaving) (n int) {
	member, score := p.scored(list[0].ref)
	w := t.pathTo(p, score, member)
	leaf, first := p.node(w.steps[0].ref), w.steps[0].at
	scores, refs, to := leaf.scores(), leaf.refs(), first
	for at := first; at < int(leaf.rows); at++ {
		if n < len(list) && refs[at] == list[n].ref {
			n++
			continue
		}
		scores[to], refs[to] = scores[at], refs[at]
		to++
	}
	if n == 0 {
		panic("store: a member of a sorted set is not in its order")
	}
	leaf.rows = uint8(to)
	t.count -= n
	for _, up := range w.steps[1:w.height] {
		p.node(up.ref).below()[up.at] -= uint32(n)
	}
	t.shrank(p, &w, 0, first == 0)
	return n
}

// cut takes the rows [from, to) out of the leaf on the path.
func (t *scoreTree) cut(p *part, w *path, from, to int) {
	t.count -= to - from
	for _, up := range w.steps[1:w.height] {
		p.node(up.ref).below()[up.at] -= uint32(to - from)
	}
	t.cutRows(p, w, 0, from, to)
}

// cutRows takes rows out of the node on the path at a level. The counts above are right already.
func (t *scoreTree) cutRows(p *part, w *path, level, from, to int) {
	p.node(w.steps[level].ref).cut(from, to)
	t.shrank(p, w, level, from == 0)
}

// shrank puts the tree in order after rows went from the node on the path at a level, first tells whether the first one did.
func (t *scoreTree) shrank(p *part, w *path, level int, first bool) {
	n := p.node(w.steps[level].ref)
	if n.rows == 0 {
		p.slab.free(w.steps[level].ref)
		if level+1 == w.height {
			t.root = 0
			return
		}
		up := w.steps[level+1].at
		t.cutRows(p, w, level+1, up, up+1)
		return
	}
	if first {
		t.newFirst(p, w, level)
	}
	if level+1 == w.height {
		t.lower(p, n)
		return
	}
	if int(n.rows) < maxRows(n.level)/3 && t.merge(p, w, level) {
		return
	}
	if int(n.room) > int(n.rows)*3/2+8 {
		t.refit(p, w, level, roomy(int(n.rows)))
	}
}

// lower takes roots away that have one child only, and refits a root that became a small leaf.
func (t *scoreTree) lower(p *part, n *node) {
	for n.level > 0 && n.rows == 1 {
		old := t.root
		t.root = n.children()[0]
		p.slab.free(old)
		n = p.node(t.root)
	}
	if int(n.room) > int(n.rows)*3/2+8 {
		w := path{height: int(n.level) + 1}
		w.steps[n.level].ref = t.root
		t.refit(p, &w, int(n.level), roomy(int(n.rows)))
	}
}

// merge joins the node on the path with a neighbour when both fill no more than two thirds of one.
func (t *scoreTree) merge(p *part, w *path, level int) bool {
	up := &w.steps[level+1]
	parent := p.node(up.ref)
	limit := maxRows(uint8(level)) * 2 / 3
	rows := func(i int) int { return int(p.node(parent.children()[i]).rows) }
	left := up.at
	switch {
	case left+1 < int(parent.rows) && rows(left)+rows(left+1) <= limit:
	case left > 0 && rows(left-1)+rows(left) <= limit:
		left--
	default:
		return false
	}
	up.at = left
	w.steps[level].ref = parent.children()[left]
	rightRef := parent.children()[left+1]
	n, right := p.node(w.steps[level].ref), p.node(rightRef)
	if sum := int(n.rows) + int(right.rows); int(n.room) < sum {
		n = t.refit(p, w, level, roomy(sum))
	}
	right.move(n, 0, int(right.rows))
	parent.below()[left] += parent.below()[left+1]
	p.slab.free(rightRef)
	t.cutRows(p, w, level+1, left+1, left+2)
	return true
}

// moved tells the tree that the entry of a member stands in another slot; both slots still hold it.
func (t *scoreTree) moved(p *part, score float64, from, to uint32) {
	b := p.slab.at(to)
	s := shapeOf(b)
	w := t.pathTo(p, score, p.keyBytes(b, s))
	for level, at := range w.steps[:w.height] {
		refs := p.node(at.ref).refs()
		if refs[at.at] == from {
			refs[at.at] = to
		} else if level == 0 {
			panic("store: a member of a sorted set is not in its order")
		}
	}
}

// moveNode moves a node of the tree to another slot of its size.
func (t *scoreTree) moveNode(p *part, ref uint32) {
	n := p.node(ref)
	first := n.row(0)
	b := p.slab.at(first.ref)
	s := shapeOf(b)
	w := t.pathTo(p, first.score, p.keyBytes(b, s))
	if w.steps[n.level].ref != ref {
		panic("store: a node of a sorted set is not in its tree")
	}
	t.refit(p, &w, int(n.level), int(n.room))
}

// free gives about n nodes back, from the end, and returns what is left of n. The tree can do nothing else afterwards.
func (t *scoreTree) free(p *part, n int) int {
	for n > 0 && t.root != 0 {
		last := p.node(t.root)
		if last.level == 0 || last.rows == 0 {
			p.slab.free(t.root)
			t.root, t.count = 0, 0
			return n - 1
		}
		for last.level > 1 {
			child := p.node(last.children()[last.rows-1])
			if child.rows == 0 {
				break
			}
			last = child
		}
		p.slab.free(last.children()[last.rows-1])
		last.rows--
		n--
	}
	return n
}
