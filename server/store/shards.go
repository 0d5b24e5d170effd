package store

// Shards are siblings of an empty store that fill it together, each in a goroutine of its own: shard i of n holds the
// keys of the partitions p with p%n == i, see ShardOf. A shard is a store like any other, so whatever can be loaded into
// a store can be loaded into shards, and they share nothing but what is safe to share (Pages, the count of blobs). Join
// puts them together without touching a key.
func (s *Store) Shards(n int) []*Store {
	all := make([]*Store, min(n, s.parts))
	for i := range all {
		all[i] = s.Sibling()
		all[i].shard, all[i].shards = i, len(all)
	}
	return all
}

// Hash is what keys are placed by.
func (s *Store) Hash(key []byte) uint64 { return s.hash.sum(key) }

// ShardOf is the shard out of n that a key with this hash belongs to.
func (s *Store) ShardOf(hash uint64, n int) int { return int(hash>>(64-s.partBits)) % min(n, s.parts) }

// mine reports whether a store holds the keys of a partition: all but shards hold all.
func (s *Store) mine(part int) bool { return s.shards == 0 || part%s.shards == s.shard }

// Fillable reports whether Join may be called: there is nothing in the store and no cut under way.
func (s *Store) Fillable() bool {
	for _, d := range s.dbs {
		for _, p := range d.space.parts {
			if p != nil && (p.keys.count > 0 || p.slab.used > 0) {
				return false
			}
		}
	}
	return len(s.cuts) == 0
}

// Join moves the contents of all its shards into s, which must be Fillable. The shards are empty afterwards.
func (s *Store) Join(shards []*Store) {
	if !s.Fillable() {
		panic("store: Join needs an empty store without cuts")
	}
	for i, n := range shards {
		if n.mem != s.mem || n.parts != s.parts || n.hash != s.hash || len(n.dbs) != len(s.dbs) || len(n.cuts) > 0 || len(n.dead) > 0 || n.shard != i || n.shards != len(shards) {
			panic("store: Join needs the shards of this store")
		}
		for db, d := range s.dbs {
			d.space.take(n.dbs[db].space, n)
		}
		s.deadObjs, n.deadObjs = append(s.deadObjs, n.deadObjs...), nil
	}
}

// take moves the partitions of a shard's keyspace.
func (sp *space) take(from *space, shard *Store) {
	sp.gen++
	from.gen++
	for i, p := range from.parts {
		if p == nil {
			continue
		}
		if !shard.mine(i) {
			panic("store: a shard was given a key of another shard")
		}
		if old := sp.parts[i]; old != nil {
			old.slab.release(len(old.slab.pages))
		}
		p.space = sp
		sp.parts[i], from.parts[i] = p, nil
	}
}
