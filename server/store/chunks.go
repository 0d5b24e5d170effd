package store

import "encoding/binary"

// chunks is an ordered sequence of byte strings, the chunks, each with a number of elements that its owner keeps in it: a
// counted B+ tree whose leaves are the chunks. Elements are found by position.
//
// Nodes are slots of the owner's partition, named by ids of the tree's own, so that Defrag may move them:
//
//	inner: u32 header, u32 id, u16 children, u16 -,     then per child: u32 id, u64 elements below
//	leaf:  u32 header, u32 id, u16 start, u16 end,  contents are bytes [start, end) of the slot
//	       or a blob's index, with flagValBlob in the header: contents that are never changed in place
//
// A node has a number of holders: parents, the tree for its root, cuts for the root that they began with. One with several
// is frozen. A write makes a copy of every frozen node on its path (own), so a cut costs nothing at its start, and what
// only a cut holds goes as its walk passes.
//
// Invariant: all leaves are height levels below the root; no inner node is without children, no leaf without elements
// outside of its owner's operations.
type chunks struct {
	home   *part
	owner  uint32      // id of the object, for Defrag
	nodes  []chunkNode // by id; the first is not used
	spare  uint32      // first unused id, linked by ref; 0 none
	root   uint32      // 0 when there is nothing
	height int         // levels of inner nodes
	count  uint64      // elements
	leaves int
	bytes  int64 // in slots
}

// chunkNode is a node's slot and the number of its holders, 0 for an unused id.
type chunkNode struct{ ref, held uint32 }

const chunkNodeBytes = 8 // of a chunkNode

const (
	innerHeader    = 12
	leafHeader     = 12
	childBytes     = 12
	fanout         = 64
	fanoutStep     = 8 // children by which an inner node's slot grows
	maxChunkHeight = 16
	// chunkSlot is the slot to which leaves grow, about what a node of Redis' lists holds: with 4 KiB, what each leaf has beside elements was
	// a hundredth. One element that is longer has a leaf of its own, up to maxSlot.
	chunkSlot = 8 << 10
	chunkRoom = chunkSlot - leafHeader
	maxChunk  = maxSlot - leafHeader
)

// chunkCursor is a path: node[0] is a leaf, node[l] its ancestor at level l, at[l] the index of the child that leads on.
// It is good until the tree changes otherwise than through it.
type chunkCursor struct {
	node [maxChunkHeight]uint32
	at   [maxChunkHeight]int
}

func (t *chunks) slot(id uint32) []byte { return t.home.slab.at(t.nodes[id].ref) }

func innerLen(b []byte) int { return int(binary.LittleEndian.Uint16(b[8:])) }

func childAt(b []byte, i int) []byte {
	return b[innerHeader+i*childBytes:][:childBytes:childBytes]
}

func childID(e []byte) uint32 { return binary.LittleEndian.Uint32(e) }

func childCount(e []byte) uint64 { return binary.LittleEndian.Uint64(e[4:]) }

// newNode makes a node with one holder.
func (t *chunks) newNode(size int, flags uint32) uint32 {
	ref := t.home.slab.alloc(size)
	id := t.spare
	if id != 0 {
		t.spare = t.nodes[id].ref
	} else {
		if len(t.nodes) == 0 {
			t.nodes = append(t.nodes, chunkNode{})
			t.home.tables += chunkNodeBytes
		}
		id = uint32(len(t.nodes))
		t.nodes = append(t.nodes, chunkNode{})
		t.home.tables += chunkNodeBytes
	}
	t.nodes[id] = chunkNode{ref, 1}
	b := t.home.slab.at(ref)
	binary.LittleEndian.PutUint32(b, t.owner<<8|flags|typeField)
	binary.LittleEndian.PutUint32(b[4:], id)
	binary.LittleEndian.PutUint32(b[8:], 0)
	t.bytes += int64(t.home.slab.size(ref))
	return id
}

func (t *chunks) newLeaf(n int) uint32 {
	id := t.newNode(leafHeader+n, 0)
	setWindow(t.slot(id), leafHeader, leafHeader+n)
	return id
}

// setWindow says where a leaf's contents lie.
func setWindow(b []byte, start, end int) {
	binary.LittleEndian.PutUint16(b[8:], uint16(start))
	binary.LittleEndian.PutUint16(b[10:], uint16(end))
}

func window(b []byte) (start, end int) {
	return int(binary.LittleEndian.Uint16(b[8:])), int(binary.LittleEndian.Uint16(b[10:]))
}

// freeNode frees a node without looking at what it leads to.
func (t *chunks) freeNode(id uint32) {
	ref := t.nodes[id].ref
	t.bytes -= int64(t.home.slab.size(ref))
	t.home.slab.free(ref)
	t.nodes[id] = chunkNode{ref: t.spare}
	t.spare = id
}

// reslot moves a node to a slot of another size, of which the first keep bytes are as they were.
func (t *chunks) reslot(id uint32, size, keep int) []byte {
	old := t.nodes[id].ref
	ref := t.home.slab.alloc(size)
	b := t.home.slab.at(ref)
	copy(b[:keep], t.home.slab.at(old))
	t.swapSlot(id, ref)
	return b
}

// swapSlot gives a node the slot ref, which has its contents already.
func (t *chunks) swapSlot(id, ref uint32) {
	old := t.nodes[id].ref
	t.bytes += int64(t.home.slab.size(ref)) - int64(t.home.slab.size(old))
	t.home.slab.free(old)
	t.nodes[id].ref = ref
}

// moveSlot is reslot to the same size, for Defrag. b are the slot's bytes.
func (t *chunks) moveSlot(ref uint32, b []byte) {
	id := binary.LittleEndian.Uint32(b[4:])
	to := t.home.slab.alloc(len(b))
	copy(t.home.slab.at(to)[:len(b)], b)
	t.nodes[id].ref = to
	t.home.slab.free(ref)
}

// release gives up one hold of a node at a level; the last one frees it and gives up its holds. Child 0 stands for one
// that was given up already.
func (t *chunks) release(id uint32, level int) {
	if t.nodes[id].held--; t.nodes[id].held > 0 {
		return
	}
	b := t.slot(id)
	if level > 0 {
		for i := range innerLen(b) {
			if c := childID(childAt(b, i)); c != 0 {
				t.release(c, level-1)
			}
		}
	} else if *header(b)&flagValBlob != 0 {
		t.home.dropBlob(binary.LittleEndian.Uint32(b[leafHeader:]))
	}
	t.freeNode(id)
}

// clone copies a node for a writer, who is its only holder, and gives up the writer's hold of the original.
func (t *chunks) clone(id uint32, level int) uint32 {
	from := t.slot(id)
	size := t.home.slab.size(t.nodes[id].ref)
	fresh := t.newNode(size, *header(from)&flagValBlob)
	b := t.slot(fresh)
	copy(b[8:size], from[8:size])
	switch {
	case level > 0:
		for i := range innerLen(b) {
			t.nodes[childID(childAt(b, i))].held++
		}
	case *header(b)&flagValBlob != 0:
		blob := t.home.blobAt(b[leafHeader:])
		blob.Retain()
		binary.LittleEndian.PutUint32(b[leafHeader:], t.home.addBlob(blob))
	}
	t.nodes[id].held--
	t.keeps(size)
	return fresh
}

// keeps counts the bytes of a node that stays for a cut alone.
func (t *chunks) keeps(size int) { t.home.objs[t.owner].base().keeps(size) }

// own makes the path down to a level the tree's alone.
func (t *chunks) own(c *chunkCursor, level int) {
	if t.height >= level && t.nodes[t.root].held > 1 {
		t.root = t.clone(t.root, t.height)
	}
	c.node[t.height] = t.root
	for l := t.height; l > level; l-- {
		id := childID(childAt(t.slot(c.node[l]), c.at[l]))
		if t.nodes[id].held > 1 {
			id = t.clone(id, l-1)
			binary.LittleEndian.PutUint32(childAt(t.slot(c.node[l]), c.at[l]), id)
		}
		c.node[l-1] = id
	}
}

// descend follows the outermost children below level l, the first ones or the last ones.
func (t *chunks) descend(c *chunkCursor, l int, last bool) {
	for ; l > 0; l-- {
		b := t.slot(c.node[l])
		c.at[l] = 0
		if last {
			c.at[l] = innerLen(b) - 1
		}
		c.node[l-1] = childID(childAt(b, c.at[l]))
	}
}

// edge puts c on the first or the last leaf and reports whether there is one.
func (t *chunks) edge(c *chunkCursor, last bool) bool {
	if t.root == 0 {
		return false
	}
	c.node[t.height] = t.root
	t.descend(c, t.height, last)
	return true
}

// seek puts c on the leaf of the element at pos < count and returns how many elements of the leaf come before it.
func (t *chunks) seek(c *chunkCursor, pos uint64) (rest int) {
	c.node[t.height] = t.root
	switch pos { // the ends, without a search
	case 0:
		t.descend(c, t.height, false)
		return 0
	case t.count - 1:
		t.descend(c, t.height, true)
		return t.size(c) - 1
	}
	for l := t.height; l > 0; l-- {
		b := t.slot(c.node[l])
		i := 0
		for ; ; i++ {
			n := childCount(childAt(b, i))
			if pos < n {
				break
			}
			pos -= n
		}
		c.at[l] = i
		c.node[l-1] = childID(childAt(b, i))
	}
	return int(pos)
}

// step moves c to the next node at a level, or the previous one, and to an outermost leaf below it.
func (t *chunks) step(c *chunkCursor, level int, back bool) bool {
	for l := level + 1; l <= t.height; l++ {
		b := t.slot(c.node[l])
		if back && c.at[l] == 0 || !back && c.at[l] == innerLen(b)-1 {
			continue
		}
		if back {
			c.at[l]--
		} else {
			c.at[l]++
		}
		c.node[l-1] = childID(childAt(b, c.at[l]))
		t.descend(c, l-1, back)
		return true
	}
	return false
}

func (t *chunks) next(c *chunkCursor) bool { return t.step(c, 0, false) }

func (t *chunks) prev(c *chunkCursor) bool { return t.step(c, 0, true) }

// size is the number of elements in c's leaf.
func (t *chunks) size(c *chunkCursor) int {
	if t.height == 0 {
		return int(t.count)
	}
	return int(childCount(childAt(t.slot(c.node[1]), c.at[1])))
}

// blob is what c's leaf holds when that is a blob, else nil.
func (t *chunks) blob(c *chunkCursor) *Blob { return t.blobOf(c.node[0]) }

func (t *chunks) blobOf(id uint32) *Blob {
	b := t.slot(id)
	if *header(b)&flagValBlob == 0 {
		return nil
	}
	return t.home.blobAt(b[leafHeader:])
}

// contents are the bytes of c's leaf, for reading.
func (t *chunks) contents(c *chunkCursor) []byte { return t.contentsOf(c.node[0]) }

func (t *chunks) contentsOf(id uint32) []byte {
	if blob := t.blobOf(id); blob != nil {
		return blob.data
	}
	b := t.slot(id)
	start, end := window(b)
	return b[start:end:end]
}
