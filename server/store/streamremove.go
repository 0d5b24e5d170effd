package store

import (
	"slices"

	"github.com/understudy-db/understudy/server/listpack"
)

// Entries, and what is pending, go by many: each chunk and each leaf is looked through once.

// SortIDs puts IDs in order, each once, where they are.
func SortIDs(ids []StreamID) []StreamID {
	if !slices.IsSortedFunc(ids, StreamID.Compare) {
		slices.SortFunc(ids, StreamID.Compare)
	}
	return slices.Compact(ids)
}

// DeleteAll removes entries, whose IDs are in order and each there once. It calls gone for each that was there.
func (s *Stream) DeleteAll(ids []StreamID, gone func(id StreamID)) (deleted int) {
	s.check()
	o := s.o
	var room [128]int
	for len(ids) > 0 {
		c := o.mem.upTo(&o.dir, ids[0])
		if !c.valid() { // before all chunks
			ids = ids[1:]
			continue
		}
		master, n := c.id(), len(ids)
		lp, _ := o.mem.chunk(chunkOf(c.val()))
		if c.next(); c.valid() {
			n, _ = slices.BinarySearchFunc(ids, c.id(), StreamID.Compare)
		}
		places := placesOf(room[:0], lp, master, ids[:n], gone)
		if len(places) > 0 {
			s.wrote()
			o.markDeleted(master, lp, places)
			deleted += len(places)
		}
		ids = ids[n:]
	}
	return deleted
}

// placesOf appends the places in a chunk of the flags of the entries that have the IDs and are there.
func placesOf(dst []int, lp []byte, master StreamID, ids []StreamID, found func(id StreamID)) []int {
	e := entryReader{lp: lp, master: master}.first()
	for len(ids) > 0 && e.next() {
		if e.isDeleted() {
			continue
		}
		for len(ids) > 0 && ids[0].Compare(e.id) < 0 {
			ids = ids[1:]
		}
		if len(ids) > 0 && ids[0] == e.id {
			dst, ids = append(dst, e.at), ids[1:]
			found(e.id)
		}
	}
	return dst
}

// Delete removes an entry and tells whether there was one.
func (s *Stream) Delete(id StreamID) bool {
	one := [1]StreamID{id}
	return s.DeleteAll(one[:], func(StreamID) {}) == 1
}

// markDeleted deletes the entries at some places of a chunk.
func (o *streamObject) markDeleted(master StreamID, lp []byte, places []int) {
	o.count -= len(places)
	if live, _ := listpack.Int(lp, listpack.Header); live <= int64(len(places)) {
		o.dropChunk(master)
		return
	}
	no := o.ownChunk(master)
	lp = o.mem.editChunk(no, 16, 0)
	for _, at := range places {
		lp[at] |= entryDeleted // a small integer: the element's first byte
	}
	o.mem.keepChunk(no, countDeleted(lp, int64(len(places))))
}

// AckAll ends the waiting of entries, whose IDs are in order and each there once, and returns how many were pending.
func (g *StreamGroup) AckAll(ids []StreamID) (n int) {
	if len(ids) == 1 && g.Ack(ids[0]) {
		return 1
	}
	mem, group := &g.s.o.mem, g.get()
	gone := make([]StreamID, 0, len(ids))
	by := make([][]StreamID, len(group.consumers.byNo)) // by consumer; 0 is nobody
	var c idCursor
	for _, id := range ids {
		if !c.goTo(mem, &group.pending, id) {
			continue
		}
		gone = append(gone, id)
		no := pendingOf(c.val()).Consumer
		by[no] = append(by[no], id)
	}
	if len(gone) == 0 {
		return 0
	}
	own, o := g.own(), g.s.o
	o.mem.delAll(&own.pending, gone)
	for no, list := range by {
		if no != 0 && len(list) > 0 {
			o.mem.delAll(&o.ownConsumer(own, uint32(no)).pending, list)
		}
	}
	return len(gone)
}

// goTo places the cursor at the record of an ID and tells whether there is one. It stays where it is while the ID may be in
// the same leaf: the IDs of calls must ascend.
func (c *idCursor) goTo(a *idNodes, t *idTree, id StreamID) bool {
	if c.a == nil || !c.valid() {
		*c = a.seek(t, id)
	} else if n, _ := c.leaf(); n.id(n.len()-1).Compare(id) < 0 {
		*c = a.seek(t, id)
	}
	if !c.valid() {
		return false
	}
	n, _ := c.leaf()
	i := n.search(id) - 1
	if i < 0 || n.id(i) != id {
		return false
	}
	c.path[c.depth].i = i
	return true
}

// delAll removes records, whose IDs are in order and all there. What their values name is the caller's.
func (a *idNodes) delAll(t *idTree, ids []StreamID) {
	t.root = a.own(t.root)
	a.removeAll(t.root, ids)
	t.n -= len(ids)
	a.lower(t)
}

// removeAll takes records out of an owned tree.
func (a *idNodes) removeAll(no uint32, ids []StreamID) {
	n := a.node(no)
	if n.leaf() {
		a.cutOutAll(no, ids)
		return
	}
	for i := n.way(ids[len(ids)-1]); len(ids) > 0; i-- { // from the end, so that places stay
		from, n := 0, a.node(no)
		if i > 0 {
			from, _ = slices.BinarySearchFunc(ids, n.id(i), StreamID.Compare)
		}
		if from == len(ids) {
			continue
		}
		a.ownChild(n, i)
		below := a.node(no).child(i)
		a.removeAll(below, ids[from:])
		ids = ids[:from]
		a.settle(no, i)
	}
}

// cutOutAll removes records of a leaf.
func (a *idNodes) cutOutAll(no uint32, ids []StreamID) {
	n := a.node(no)
	to := n.search(ids[0]) - 1
	for i := to; i < n.len(); i++ {
		if len(ids) > 0 && n.id(i) == ids[0] {
			ids = ids[1:]
			continue
		}
		copy(n.rec(to), n.rec(i))
		to++
	}
	a.shrink(no, to)
}

// delWhere removes the records whose values are those that go, which must be some.
func (a *idNodes) delWhere(t *idTree, goes func(v []byte) bool) {
	t.root = a.own(t.root)
	t.n -= a.removeWhere(t.root, goes)
	a.lower(t)
}

// removeWhere takes records out of an owned tree and returns how many.
func (a *idNodes) removeWhere(no uint32, goes func(v []byte) bool) (removed int) {
	n := a.node(no)
	if n.leaf() {
		l, to := n.len(), 0
		for i := range l {
			if goes(n.val(i)) {
				continue
			}
			if to < i {
				copy(n.rec(to), n.rec(i))
			}
			to++
		}
		if to < l {
			a.shrink(no, to)
		}
		return l - to
	}
	for i := n.len() - 1; i >= 0; i-- { // from the end, so that places stay
		a.ownChild(a.node(no), i)
		removed += a.removeWhere(a.node(no).child(i), goes)
		a.settle(no, i)
	}
	return removed
}

// Moves are entries on their way from consumers to another one: what the group knows of them says whose they are now, the
// lists of the consumers follow with End. Nothing may read these lists, or change what they say of these entries, before.
type Moves struct {
	to   uint32
	from [][]StreamID // by consumer
	all  []StreamID
}

// AssignLater is Assign whose last part is left to End. All entries of m are assigned to one consumer.
func (g *StreamGroup) AssignLater(m *Moves, id StreamID, p Pending) {
	own := g.own()
	had := g.s.o.setPending(own, id, p)
	if had == p.Consumer {
		return
	}
	if n := len(own.consumers.byNo); len(m.from) < n {
		m.from = append(m.from, make([][]StreamID, n-len(m.from))...)
	}
	if had != 0 {
		m.from[had] = append(m.from[had], id)
	}
	m.to, m.all = p.Consumer, append(m.all, id)
}

// End makes the lists of the consumers agree with their group. m is of no use then.
func (g *StreamGroup) End(m *Moves) {
	if len(m.all) == 0 {
		return
	}
	own, o := g.own(), g.s.o
	for no, list := range m.from {
		if len(list) > 0 {
			o.mem.delAll(&o.ownConsumer(own, uint32(no)).pending, SortIDs(list))
		}
	}
	t := &o.ownConsumer(own, m.to).pending
	ids := SortIDs(m.all)
	if last := o.mem.upTo(t, MaxStreamID); !last.valid() || last.id().Compare(ids[0]) < 0 {
		tail := idTail{a: &o.mem, t: t}
		for _, id := range ids {
			tail.add(id, nil)
		}
	} else {
		for _, id := range ids {
			o.mem.put(t, 0, id)
		}
	}
}
