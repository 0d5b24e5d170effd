package store

import "testing"

// recount is the bytes of an object's slots, -1 when it is half freed and so not walkable, and of its tables.
func recount(o object) (slots, tables int64) {
	base := o.base()
	whole := !base.gone || base.pins > 0 || o.size() == 0
	if !whole {
		slots = -1
	}
	switch o := o.(type) {
	case *tableObject:
		if whole {
			o.fields.each(func(ref uint32) bool { slots += int64(o.home.slab.size(ref)); return true })
		}
		return slots, o.fields.bytes
	case *zsetObject:
		if whole {
			o.fields.each(func(ref uint32) bool { slots += int64(o.home.slab.size(ref)); return true })
			o.order.eachNode(o.home, func(ref uint32) { slots += int64(o.home.slab.size(ref)) })
		}
		return slots, o.fields.bytes
	case *listObject:
		return o.tree.recount(), chunkNodeBytes * int64(len(o.tree.nodes))
	}
	if n, held, ok := recountStream(o); ok {
		return n, held
	}
	panic("recount of an object of no known type")
}

// audit recounts what the store counts.
func audit(t *testing.T, s *Store) {
	t.Helper()
	pages := func(p *part) (n int64) {
		for i := range p.slab.info {
			if p.slab.pages[i] != nil {
				n += int64(p.slab.info[i].used) * int64(classSize[p.slab.info[i].class])
			}
		}
		return n
	}
	if len(s.cuts) == 0 && s.kept != 0 {
		t.Fatalf("%d bytes are said to be kept for pins, and there are none", s.kept)
	}
	for _, d := range s.dbs {
		for _, p := range d.space.parts {
			if p == nil {
				continue
			}
			slots, tables, expires, vol := int64(0), p.keys.bytes, 0, 0
			p.keys.each(func(ref uint32) bool {
				slots += int64(p.slab.size(ref))
				b := p.slab.at(ref)
				if shapeOf(b).meta&flagExpire != 0 {
					expires++
				}
				return true
			})
			for i, seg := range p.keys.dir {
				if from, _ := seg.span(p.keys.depth); from == uint64(i) {
					vol += seg.vol
				}
			}
			for _, o := range p.objs {
				if o == nil {
					continue
				}
				n, held := recount(o)
				tables += held
				if slots += n; n < 0 {
					slots = -1 << 60
				}
			}
			if slots >= 0 && slots != p.slab.used || pages(p) != p.slab.used {
				t.Fatalf("slots %d, pages %d, counted %d", slots, pages(p), p.slab.used)
			}
			if tables != p.tables || expires != p.expires || vol != p.expires {
				t.Fatalf("tables %d counted %d; expires %d, by segment %d, counted %d", tables, p.tables, expires, vol, p.expires)
			}
		}
	}
}

// recountStream is the bytes of a stream's slots and what it is charged for besides.
func recountStream(o object) (slots, tables int64, ok bool) {
	switch o := o.(type) {
	case *streamRest:
		return 0, 0, true
	case *streamObject:
		for _, ref := range o.mem.refs {
			if ref != 0 {
				slots += int64(o.home.slab.size(ref))
			}
		}
		tables = 4 * int64(max(cap(o.mem.refs)-4, 0))
		return slots, tables + streamBytes + groupsHeld(o), true // one that is being freed is charged for to its end
	}
	return 0, 0, false
}

// groupsHeld is the charge of the groups that are alive; versions that cuts hold share them or are counted by held.
func groupsHeld(o *streamObject) (n int64) {
	if o.pins > 0 {
		return o.held - streamBytes
	}
	if o.groups == nil {
		return 0
	}
	for _, g := range o.groups.list {
		n += groupBytes + int64(len(g.name))
		for _, c := range g.consumers.list {
			n += memberBytes + int64(len(c.name))
		}
	}
	return n
}
