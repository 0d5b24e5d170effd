package store

import (
	"encoding/binary"
	"math"
)

// zsetObject is a big sorted set: a table whose elements' values are scores (float64, little endian), and the order of
// its members. Cuts see the table only: it tells all of the set, and the order is always the present one.
type zsetObject struct {
	tableObject
	order    scoreTree
	readings []*ZSetReading
}

func (p *part) newZSet() *zsetObject {
	o := &zsetObject{tableObject: tableObject{typ: typeZSetTable}}
	p.adopt(o)
	o.order.owner = o.id
	return o
}

// scored returns a member and its score by the ref of its entry.
func (p *part) scored(ref uint32) (member []byte, score float64) {
	member, v := p.pair(ref)
	return member, scoreOf(v)
}

// Score is the score of a member that a cut gives as BigField.
func (e Entry) Score() float64 {
	_, score := e.p.scored(e.ref)
	return score
}

func scoreOf(v []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(v)) }

// set stores a member and reports whether it is new or has another score now.
func (o *zsetObject) set(member []byte, score float64) (created, changed bool) {
	p := o.home
	h, at, ok := o.find(member)
	if !ok {
		o.beforeWrite(h)
		o.comes(member, score)
		ref, s := p.write(member, 0, false, form{typ: typeField, vlen: 8, clock: o.id})
		binary.LittleEndian.PutUint64(p.openValue(ref, s, 8), math.Float64bits(score))
		o.fields.insert(p, h, ref)
		o.order.insert(p, score, ref)
		return true, true
	}
	_, v := p.pair(at.ref)
	old := scoreOf(v)
	if old == score {
		return false, false
	}
	o.beforeWrite(h)
	o.leaves(member, old)
	o.comes(member, score)
	o.order.remove(p, old, member)
	binary.LittleEndian.PutUint64(v, math.Float64bits(score))
	o.order.insert(p, score, at.ref)
	return false, true
}

func (o *zsetObject) del(member []byte) bool {
	h, at, ok := o.find(member)
	if !ok {
		return false
	}
	_, score := o.home.scored(at.ref)
	o.leaves(member, score)
	o.order.remove(o.home, score, member)
	o.removeAt(h, at)
	return true
}

// cutRange takes n members from a rank on out of the set.
func (o *zsetObject) cutRange(rank, n int) {
	var buf [maxLeaf]uint32
	for n > 0 {
		refs := o.order.removeRun(o.home, buf[:0], rank, n)
		for _, ref := range refs {
			if len(o.readings) > 0 {
				member, score := o.home.scored(ref)
				o.leaves(member, score)
			}
		}
		o.removeRefs(refs)
		n -= len(refs)
	}
}

// free implements object.
func (o *zsetObject) free(n int) (left int, more bool) {
	if n = o.order.free(o.home, n); o.order.root != 0 {
		return n, true
	}
	return o.tableObject.free(n)
}

func (o *zsetObject) copyTo(p *part) object {
	twin := p.newZSet()
	o.order.each(o.home, 0, o.order.count, false, func(score float64, ref uint32) bool {
		member, _ := o.home.pair(ref)
		twin.set(member, score)
		return true
	})
	return twin
}

func (o *zsetObject) memoryUsage() int64 {
	return o.tableObject.memoryUsage() + int64(o.order.count)*leafRow*9/8
}

// relocate implements object: it moves a member's entry, or a node of the order.
func (o *zsetObject) relocate(ref uint32, b []byte) {
	p := o.home
	if b[0] == nodeMark {
		o.order.moveNode(p, ref)
		return
	}
	h, _ := p.rehash(ref)
	at := o.fields.findRef(p, h, ref)
	to := p.slab.alloc(len(b))
	copy(p.slab.at(to)[:len(b)], b)
	at.replace(to)
	_, score := p.scored(to)
	o.order.moved(p, score, ref, to)
	p.slab.free(ref)
}
