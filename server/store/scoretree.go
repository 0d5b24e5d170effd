package store

import (
	"bytes"
	"unsafe"
)

// A scoreTree keeps the members of a big sorted set in order (score, then bytes): a counted B+tree in slots of the
// partition's slab, so that ranks, ranges and their borders cost O(log n) and no element is a Go pointer. It refers to
// members by the refs of their entries, whose bytes it reads where scores are equal.
//
// A node is one slot of up to nodeBytes:
//
//	u32    owner's id << 8 | nodeMark
//	u8     rows; u8 room for rows; u8 level, 0 for a leaf; u8 unused
//	f64 x room   scores
//	u32 x room   refs of members
//	u32 x room   children, and
//	u32 x room   the numbers of members below them (above leaves only)
//
// Invariants: rows are in order; a row above a leaf has the score and the ref of the first member below it, exactly, so
// that no row refers to a member that is gone; no node but the root is empty; all leaves have level 0.
//
// Nodes have as many rows as they need and some room: a node that is full moves to a bigger slot before it splits at
// nodeBytes, so that leaves are about nine tenths full whatever the order of insertions.
type scoreTree struct {
	root  uint32 // 0: empty
	owner uint32 // id of the object, for Defrag
	count int
}

const (
	nodeMark   = typeField | 1<<7 // tells nodes from the entries of members
	nodeBytes  = 1024
	nodeHeader = 8
	leafRow    = 8 + 4
	innerRow   = leafRow + 4 + 4
	maxLeaf    = (nodeBytes - nodeHeader) / leafRow
	maxInner   = (nodeBytes - nodeHeader) / innerRow
	maxHeight  = 10 // 2^32 members at a third of the room
)

// node is the head of a slot; its rows lie behind it.
type node struct {
	owner uint32
	rows  uint8
	room  uint8
	level uint8
	_     uint8
}

// row is what a node holds of a member or a child. child and below are 0 in a leaf.
type row struct {
	score        float64
	ref          uint32
	child, below uint32
}

func (p *part) node(ref uint32) *node {
	n := (*node)(unsafe.Pointer(unsafe.SliceData(p.slab.at(ref))))
	if debug && n.owner&0xff != nodeMark {
		panic("store: a slot is not a node of a sorted set")
	}
	return n
}

func (n *node) array(at int) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(n), nodeHeader+at*int(n.room))
}

// The four arrays, each with room for rows that are not there yet.
func (n *node) scores() []float64  { return unsafe.Slice((*float64)(n.array(0)), n.room) }
func (n *node) refs() []uint32     { return unsafe.Slice((*uint32)(n.array(8)), n.room) }
func (n *node) children() []uint32 { return unsafe.Slice((*uint32)(n.array(leafRow)), n.room) }
func (n *node) below() []uint32    { return unsafe.Slice((*uint32)(n.array(leafRow+4)), n.room) }

func (n *node) row(i int) row {
	r := row{score: n.scores()[i], ref: n.refs()[i]}
	if n.level > 0 {
		r.child, r.below = n.children()[i], n.below()[i]
	}
	return r
}

func (n *node) setRow(i int, r row) {
	n.scores()[i], n.refs()[i] = r.score, r.ref
	if n.level > 0 {
		n.children()[i], n.below()[i] = r.child, r.below
	}
}

// weight is the number of members in and below a node.
func (n *node) weight() (sum uint32) {
	if n.level == 0 {
		return uint32(n.rows)
	}
	for _, b := range n.below()[:n.rows] {
		sum += b
	}
	return sum
}

// border is a place between members in the order of a sorted set: before or behind a member, whether there is such a
// one or not, before or behind all members of a score, or, ignoring scores, before or behind a member's bytes.
type border struct {
	score  float64
	member []byte
	whole  bool // all members of the score: member does not count
	lex    bool // score does not count
	behind bool
}

// passes tells whether a member lies before the border.
func (k *border) passes(p *part, score float64, ref uint32) bool {
	if !k.lex && score != k.score {
		return score < k.score
	}
	if k.whole {
		return k.behind
	}
	b := p.slab.at(ref)
	s := shapeOf(b)
	return k.admits(p.keyBytes(b, s))
}

// admits is passes for a member of the border's score.
func (k *border) admits(member []byte) bool {
	c := bytes.Compare(member, k.member)
	return c < 0 || c == 0 && k.behind
}

// before returns how many of a node's rows lie before the border.
func (n *node) before(p *part, k *border) int {
	scores, refs := n.scores(), n.refs()
	lo, hi := 0, int(n.rows)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if k.passes(p, scores[mid], refs[mid]) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// rank is the number of members before a border.
func (t *scoreTree) rank(p *part, k *border) int {
	if t.root == 0 {
		return 0
	}
	rank := 0
	n := p.node(t.root)
	for n.level > 0 {
		i := n.before(p, k)
		if i == 0 {
			return rank
		}
		for _, b := range n.below()[:i-1] {
			rank += int(b)
		}
		n = p.node(n.children()[i-1])
	}
	return rank + n.before(p, k)
}

// step is a node on the way down to a leaf, and the row taken there.
type step struct {
	ref uint32
	at  int
}

// path is a way from a leaf (path[0]) up to the root (path[height-1]).
type path struct {
	steps  [maxHeight]step
	height int
}

// pathTo returns the way to a member, or to the place where it belongs: at the leaf, the first row not before it.
func (t *scoreTree) pathTo(p *part, score float64, member []byte) (w path) {
	k := border{score: score, member: member, behind: true}
	ref := t.root
	n := p.node(ref)
	w.height = int(n.level) + 1
	for n.level > 0 {
		i := max(n.before(p, &k)-1, 0)
		w.steps[n.level] = step{ref, i}
		ref = n.children()[i]
		n = p.node(ref)
	}
	k.behind = false
	w.steps[0] = step{ref, n.before(p, &k)}
	return w
}

// pathAt returns the way to the member of a rank, 0 <= rank < count.
func (t *scoreTree) pathAt(p *part, rank int) (w path) {
	ref := t.root
	n := p.node(ref)
	w.height = int(n.level) + 1
	for n.level > 0 {
		i, below := 0, n.below()
		for rank >= int(below[i]) {
			rank -= int(below[i])
			i++
		}
		w.steps[n.level] = step{ref, i}
		ref = n.children()[i]
		n = p.node(ref)
	}
	w.steps[0] = step{ref, rank}
	return w
}

// at returns the member of a rank, 0 <= rank < count.
func (t *scoreTree) at(p *part, rank int) (score float64, ref uint32) {
	w := t.pathAt(p, rank)
	r := p.node(w.steps[0].ref).row(w.steps[0].at)
	return r.score, r.ref
}

// each calls fn for up to n members from a rank on, upwards or downwards, until it returns false. fn must not write.
func (t *scoreTree) each(p *part, rank, n int, down bool, fn func(score float64, ref uint32) bool) {
	if rank < 0 || rank >= t.count || n <= 0 {
		return
	}
	w := t.pathAt(p, rank)
	for {
		leaf := p.node(w.steps[0].ref)
		scores, refs := leaf.scores(), leaf.refs()
		for i := w.steps[0].at; i >= 0 && i < int(leaf.rows); {
			if !fn(scores[i], refs[i]) {
				return
			}
			if n--; n == 0 {
				return
			}
			if down {
				i--
			} else {
				i++
			}
		}
		if !w.next(p, down) {
			return
		}
	}
}

// next moves a way to the neighbouring leaf; false at the tree's end.
func (w *path) next(p *part, down bool) bool {
	for level := 1; level < w.height; level++ {
		s := &w.steps[level]
		n := p.node(s.ref)
		if down && s.at == 0 || !down && s.at == int(n.rows)-1 {
			continue
		}
		if down {
			s.at--
		} else {
			s.at++
		}
		for ; level > 0; level-- {
			n = p.node(w.steps[level].ref)
			child := n.children()[w.steps[level].at]
			w.steps[level-1] = step{ref: child}
			if down {
				w.steps[level-1].at = int(p.node(child).rows) - 1
			}
		}
		return true
	}
	return false
}

// eachNode calls fn for the ref of every node.
func (t *scoreTree) eachNode(p *part, fn func(ref uint32)) {
	if t.root != 0 {
		p.eachNodeBelow(t.root, fn)
	}
}

func (p *part) eachNodeBelow(ref uint32, fn func(ref uint32)) {
	fn(ref)
	if n := p.node(ref); n.level > 0 {
		for _, child := range n.children()[:n.rows] {
			p.eachNodeBelow(child, fn)
		}
	}
}
