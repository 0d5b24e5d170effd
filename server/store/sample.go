package store

// Sample gives n entries chosen at random to fn, with repetitions: for eviction, which judges a few instead of ordering
// all. With volatile only entries with an expiry are given. fn must not write.
func (d *DB) Sample(rnd uint64, n int, volatile bool, fn func(e Entry)) {
	total := d.Len()
	if volatile {
		total = d.Expires()
	}
	for ; n > 0 && total > 0; n-- {
		i := int(splitmix(&rnd) % uint64(total))
		for _, p := range d.space.parts {
			if p == nil {
				continue
			}
			have := p.keys.count
			if volatile {
				have = p.expires
			}
			if i >= have {
				i -= have
				continue
			}
			if volatile {
				fn(p.entry(p.randomVolatile(splitmix(&rnd))))
			} else {
				fn(p.entry(p.keys.random(splitmix(&rnd))))
			}
			break
		}
	}
}

// randomVolatile returns an entry with an expiry, of which there must be one: the first from a random slot on, in a
// segment that has any: nearly equal chances will do.
func (p *part) randomVolatile(rnd uint64) uint32 {
	prefix := uint32(splitmix(&rnd))
	for {
		seg := p.keys.at(prefix)
		if seg.vol > 0 {
			slots := uint64(len(seg.buckets) * bucketSlots)
			start := splitmix(&rnd) % slots
			for i := range slots {
				at := (start + i) % slots
				b, j := &seg.buckets[at/bucketSlots], at%bucketSlots
				if b.tags[j] != 0 && *header(p.slab.at(b.refs[j]))&flagExpire != 0 {
					return b.refs[j]
				}
			}
			panic("store: a segment counts expiries that it does not have")
		}
		prefix = uint32(seg.after())
	}
}
