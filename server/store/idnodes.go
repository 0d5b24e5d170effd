package store

import "encoding/binary"

// nodes is the memory of one stream: tree nodes (idtree.go) and chunks of entries, in slots of the stream's home. They
// are named by numbers, not refs, so that Defrag and growth move a node without touching what names it.
//
//	u32  typeField | owner's id << 8
//	u32  holders: nodes, roots of trees and versions (stream.go) that name it
//	u32  its number
//	u8   level of a tree node, or idNodeChunk
//	u8   bytes of a record's value; of a chunk: 1 when it is a blob
//	u16  records
//	...  records; of a chunk the listpack, or the blob's index
//
// Invariant: a node with more than one holder, or below such a node, does not change. A write copies what it passes on
// its way down; so holding a root keeps a whole tree as it is, at no cost.
type idNodes struct {
	p     *part
	owner uint32
	refs  []uint32 // by number; 0 is nobody's
	spare []uint32
	dead  []uint32 // numbers from which a holder is yet to be taken: see sweep
	live  int
}

const (
	idNodeHead  = 16
	idNodeMax   = 1024 // bytes of a tree node
	idNodeChunk = 0xff
)

func (a *idNodes) init(p *part, owner uint32) { a.p, a.owner, a.refs = p, owner, make([]uint32, 1, 4) }

// at returns a node's bytes, to the slot's end or beyond.
func (a *idNodes) at(no uint32) []byte { return a.p.slab.at(a.refs[no]) }

func (a *idNodes) room(no uint32) int { return a.p.slab.size(a.refs[no]) - idNodeHead }

// alloc makes a node with one holder and room for n bytes behind its head.
func (a *idNodes) alloc(n int, level, val uint8) (no uint32) {
	if k := len(a.spare); k > 0 {
		no = a.spare[k-1]
		a.spare = a.spare[:k-1]
	} else {
		before := cap(a.refs)
		a.refs = append(a.refs, 0)
		a.p.tables += 4 * int64(cap(a.refs)-before)
		no = uint32(len(a.refs) - 1)
	}
	a.live++
	a.refs[no] = a.p.slab.alloc(idNodeHead + n)
	b := a.at(no)
	binary.LittleEndian.PutUint32(b, a.owner<<8|typeField)
	binary.LittleEndian.PutUint32(b[4:], 1)
	binary.LittleEndian.PutUint32(b[8:], no)
	b[12], b[13], b[14], b[15] = level, val, 0, 0
	return no
}

// free gives a node's slot and number back.
func (a *idNodes) free(no uint32) {
	a.p.slab.free(a.refs[no])
	a.refs[no] = 0
	a.spare = append(a.spare, no)
	a.live--
}

// relocate moves a node out of its slot; see object.
func (a *idNodes) relocate(ref uint32, b []byte) {
	no := binary.LittleEndian.Uint32(b[8:])
	to := a.p.slab.alloc(len(b))
	copy(a.p.slab.at(to)[:len(b)], b)
	a.refs[no] = to
	a.p.slab.free(ref)
}

// resize moves a node into a slot with room for n bytes, of which keep are copied.
func (a *idNodes) resize(no uint32, n, keep int) {
	to := a.p.slab.alloc(idNodeHead + n)
	copy(a.p.slab.at(to)[:idNodeHead+keep], a.at(no))
	a.p.slab.free(a.refs[no])
	a.refs[no] = to
}

func holders(b []byte) uint32 { return binary.LittleEndian.Uint32(b[4:]) }

func (a *idNodes) hold(no uint32) {
	b := a.at(no)
	binary.LittleEndian.PutUint32(b[4:], holders(b)+1)
}

// letGo takes a holder from a node that has others too.
func (a *idNodes) letGo(no uint32) {
	b := a.at(no)
	binary.LittleEndian.PutUint32(b[4:], holders(b)-1)
}

// drop takes a holder from a node, when sweep comes to it.
func (a *idNodes) drop(no uint32) {
	if no != 0 {
		a.dead = append(a.dead, no)
	}
}

// sweep takes holders from about n dropped nodes, frees those that have none left and drops what they held.
func (a *idNodes) sweep(n int) (left int) {
	for ; n > 0 && len(a.dead) > 0; n-- {
		no := a.dead[len(a.dead)-1]
		a.dead = a.dead[:len(a.dead)-1]
		b := a.at(no)
		if holders(b) > 1 {
			a.letGo(no)
			continue
		}
		a.eachChild(no, a.drop)
		if b[12] == idNodeChunk && b[13] == 1 {
			a.p.dropBlob(binary.LittleEndian.Uint32(b[idNodeHead:]))
		}
		a.free(no)
	}
	return n
}

// release gives the table of numbers back; no node is left.
func (a *idNodes) release() {
	a.p.tables -= 4 * int64(cap(a.refs)-4)
	a.refs, a.spare, a.dead = nil, nil, nil
}

// eachChild calls fn for the nodes that a node holds.
func (a *idNodes) eachChild(no uint32, fn func(uint32)) {
	b := a.at(no)
	if b[12] == idNodeChunk || b[12] == 0 && b[13] != chunkVal {
		return
	}
	n := idNodeOf(b)
	for i := range n.len() {
		fn(n.child(i))
	}
}

// own returns a node that only its caller holds: the given one, or a copy in its place.
func (a *idNodes) own(no uint32) uint32 {
	if holders(a.at(no)) == 1 {
		return no
	}
	if b := a.at(no); b[12] == idNodeChunk {
		return a.copyChunk(no)
	}
	used := idNodeOf(a.at(no)).used()
	twin := a.alloc(used, 0, 0)
	b, t := a.at(no), a.at(twin)
	copy(t[12:idNodeHead+used], b[12:])
	a.letGo(no)
	a.eachChild(twin, a.hold)
	a.keeps(twin)
	return twin
}

// keeps counts a node's copy, which was made because a pinned version has the node.
func (a *idNodes) keeps(twin uint32) { a.p.objs[a.owner].base().keeps(a.sizeOf(twin)) }

// sizeOf is the bytes that a node takes, those of a blob included.
func (a *idNodes) sizeOf(no uint32) int {
	n := a.p.slab.size(a.refs[no])
	if b := a.at(no); b[12] == idNodeChunk && b[13] == 1 {
		n += len(a.p.blobAt(b[idNodeHead:]).whole)
	}
	return n
}

// Chunks

// newChunk makes a chunk of a listpack, with room for some bytes more.
func (a *idNodes) newChunk(lp []byte, more int) (no uint32) {
	if n := len(lp) + more; idNodeHead+n <= maxSlot {
		no = a.alloc(n, idNodeChunk, 0)
		copy(a.at(no)[idNodeHead:], lp)
		return no
	}
	no = a.alloc(4, idNodeChunk, 1)
	blob := a.p.space.store.newBlob(len(lp), len(lp)+more)
	copy(blob.data, lp)
	binary.LittleEndian.PutUint32(a.at(no)[idNodeHead:], a.p.addBlob(blob))
	return no
}

// chunk returns a chunk's listpack and the blob that it lies in, if it does.
func (a *idNodes) chunk(no uint32) ([]byte, *Blob) {
	b := a.at(no)
	if b[13] == 1 {
		blob := a.p.blobAt(b[idNodeHead:])
		return blob.data, blob
	}
	n := idNodeHead + int(binary.LittleEndian.Uint32(b[idNodeHead:]))
	return b[idNodeHead:n:n], nil
}

func (a *idNodes) copyChunk(no uint32) (twin uint32) {
	a.letGo(no)
	if lp, blob := a.chunk(no); blob != nil {
		twin = a.newChunk(lp, 0)
	} else {
		twin = a.alloc(a.room(no), idNodeChunk, 0)
		lp, _ := a.chunk(no)
		copy(a.at(twin)[idNodeHead:], lp)
	}
	a.keeps(twin)
	return twin
}

// growth is the room that a chunk gets when it needs n bytes and is expected to end at about most.
func growth(n, most int) int { return max(n, min(n+n/2, most)) }

// editChunk returns the listpack of a chunk that only the caller holds, for writing; it may grow by more bytes where it
// stands. keepChunk must follow. most is the size at which chunks usually end.
func (a *idNodes) editChunk(no uint32, more, most int) []byte {
	lp, blob := a.chunk(no)
	need := len(lp) + more
	if blob == nil {
		if need > a.room(no) {
			if idNodeHead+need > maxSlot {
				a.toBlob(no, need)
				return a.editChunk(no, more, most)
			}
			a.resize(no, min(growth(need, most), maxSlot-idNodeHead), len(lp))
		}
		return a.at(no)[idNodeHead : idNodeHead+len(lp) : idNodeHead+a.room(no)]
	}
	if blob.refs.Load() > 1 || need > len(blob.whole) {
		fresh := a.p.space.store.newBlob(len(lp), max(len(lp), room(need)))
		copy(fresh.data, lp)
		blob.Release()
		a.p.blobs[binary.LittleEndian.Uint32(a.at(no)[idNodeHead:])] = fresh
		blob = fresh
	}
	return blob.whole[:len(lp)]
}

// toBlob moves a chunk into a blob of n bytes.
func (a *idNodes) toBlob(no uint32, n int) {
	lp, _ := a.chunk(no)
	blob := a.p.space.store.newBlob(len(lp), room(n))
	copy(blob.data, lp)
	i := a.p.addBlob(blob)
	a.resize(no, 4, 0)
	b := a.at(no)
	b[13] = 1
	binary.LittleEndian.PutUint32(b[idNodeHead:], i)
}

// keepChunk ends an edit: lp is what editChunk returned, changed, perhaps longer.
func (a *idNodes) keepChunk(no uint32, lp []byte) {
	if b := a.at(no); b[13] == 1 {
		a.p.blobAt(b[idNodeHead:]).data = lp
	}
}

// fitChunk gives back the room that a chunk does not need any more.
func (a *idNodes) fitChunk(no uint32) {
	lp, blob := a.chunk(no)
	if blob == nil && slotSize(idNodeHead+len(lp)) < a.p.slab.size(a.refs[no]) {
		a.resize(no, len(lp), len(lp))
	}
}
