package store

import (
	"math/bits"
	"sync/atomic"
)

// Options of a Store. Zero values mean the defaults.
type Options struct {
	Databases  int    // 16
	Partitions int    // per database, a power of two up to 256; 16
	Seed       uint64 // of the hash: secret, fixed for the process (cursors depend on it)
	Pages      Pages  // nil: the Go heap; ignored by the debug build
}

// Config holds the settings that may change at any time.
type Config struct {
	HashMaxListpackEntries int   // a hash with more fields becomes a table
	HashMaxListpackValue   int   // or with a longer field or value, in bytes
	ZSetMaxListpackEntries int   // a sorted set with more members becomes a table with an order
	ZSetMaxListpackValue   int   // or with a longer member
	SetMaxIntsetEntries    int   // a set of more integers is no intset any more
	StreamNodeMaxBytes     int64 // a chunk of a stream that would get longer is full, 0: never
	StreamNodeMaxEntries   int64 // or with as many entries, 0: never
	ListPlainElement       int   // a list's element of so many bytes is kept apart from others, 0: the default
	LFU                    bool
	LFULogFactor           int
	LFUDecayTime           int  // minutes
	ClockCounts            bool // the access clocks decide about eviction, so what is saved of a key tells its own
}

// Store is a set of databases. The caller serializes its methods: any number of reads together, or one write.
type Store struct {
	Config Config

	hash      hasher
	mem       *counted // shared with siblings
	partBits  uint8
	parts     int
	dbs       []*DB
	epoch     uint32 // of the latest cut
	fed       uint64 // the last number given to a stream: see Stream.Fed
	cuts      []*Cut // under way
	kept      int64  // bytes that pins of big values take, about: see keeps
	little    int    // bytes of a big value up to which it is delivered at once
	pinned    int64  // above so much of kept writes walk on through big values
	clock     atomic.Uint32
	draws     draws
	hinted    atomic.Bool // a part has hints for the expiry
	seenPool  []*seenArray
	scratch   []byte // of one operation
	draft     draft
	fragSlack int64
	blobs     *blobStats // shared with siblings
	zero      bool       // the memory of the latest blob is
	dead      []*space   // detached keyspaces to be freed
	deadObjs  []object   // detached big values to be freed
	// freedLater counts the big values, and the keys of detached keyspaces, that were freed and count as lazily freed.
	freedLater int64
	countLazy  bool // what is deleted now does

	shard, shards int // of a shard: its number, and how many there are; see Shards
}

// DB is one numbered database. FLUSHDB and SWAPDB change the keyspace behind it, never the DB itself.
type DB struct {
	store *Store
	index int
	space *space
}

// space is a keyspace: what SWAPDB swaps and FLUSHDB replaces.
type space struct {
	store *Store
	parts []*part // nil until the partition's first key
	gen   uint32  // raised by every write; the debug build checks handles against it
	born  uint32  // the epoch when it became visible: older cuts have no interest in it
	pins  int     // cuts that still walk it
	gone  bool    // detached: freed when pins is 0
	lazy  bool    // its keys count as lazily freed
	keys  int64   // how many it had when it was detached
	walk  int     // partition at which the expiry cycle stands
	key   []byte  // scratch of the expiry cycle
	met   met
}

// part is a partition: a table and the memory of its entries.
type part struct {
	space   *space
	index   uint32
	keys    table
	slab    slab
	tables  int64 // bytes of its tables, big values' included
	expires int
	blobs   []*Blob
	noBlob  []uint32 // free indices of blobs
	objs    []object
	noObj   []uint32 // free indices of objs
	hints   hintRing
	walk    expireWalk
	compact defragWalk
}

// New returns an empty store.
func New(o Options) *Store {
	if o.Databases == 0 {
		o.Databases = 16
	}
	if o.Partitions == 0 {
		o.Partitions = 16
	}
	if o.Partitions&(o.Partitions-1) != 0 || o.Partitions > 256 {
		panic("store: Partitions must be a power of two up to 256")
	}
	if o.Pages == nil || debug {
		o.Pages = goPages{}
	}
	s := &Store{
		Config: Config{HashMaxListpackEntries: 128, HashMaxListpackValue: 64, ZSetMaxListpackEntries: 128, ZSetMaxListpackValue: 64, SetMaxIntsetEntries: 512, StreamNodeMaxBytes: 4096, StreamNodeMaxEntries: 100, LFULogFactor: 10, LFUDecayTime: 1},
		hash:   newHasher(o.Seed),
		blobs:  &blobStats{}, fragSlack: fragSlack, little: littleBytes, pinned: pinnedMost,
		mem: &counted{Pages: o.Pages}, parts: o.Partitions, partBits: uint8(bits.TrailingZeros(uint(o.Partitions))),
	}
	for i := range o.Databases {
		s.dbs = append(s.dbs, &DB{store: s, index: i, space: s.newSpace()})
	}
	return s
}

func (s *Store) newSpace() *space {
	return &space{store: s, parts: make([]*part, s.parts), born: s.epoch}
}

// Databases is the number of databases.
func (s *Store) Databases() int { return len(s.dbs) }

// DB returns database i.
func (s *Store) DB(i int) *DB { return s.dbs[i] }

// Index is the database's number.
func (d *DB) Index() int { return d.index }

// SwapDB exchanges the contents of two databases.
func (s *Store) SwapDB(a, b int) {
	x, y := s.dbs[a], s.dbs[b]
	x.space.gen++
	y.space.gen++
	x.space, y.space = y.space, x.space
}

// FlushDB empties a database at once; its memory is freed by Reclaim.
func (s *Store) FlushDB(i int) {
	old := s.dbs[i].space
	old.lazy = s.countLazy
	s.dbs[i].space = s.newSpace()
	s.detach(old)
}

// FlushAll empties every database.
func (s *Store) FlushAll() {
	for i := range s.dbs {
		s.FlushDB(i)
	}
}

// Sibling returns an empty store of the same shape, seed and settings, to load a data set beside this one; see Adopt.
func (s *Store) Sibling() *Store {
	n := &Store{Config: s.Config, hash: s.hash, blobs: s.blobs, fragSlack: s.fragSlack, mem: s.mem, parts: s.parts, partBits: s.partBits}
	for i := range s.dbs {
		n.dbs = append(n.dbs, &DB{store: n, index: i, space: n.newSpace()})
	}
	return n
}

// Adopt replaces all contents by those of a sibling, which is empty afterwards. The old contents are detached.
func (s *Store) Adopt(n *Store) {
	if n.mem != s.mem || n.parts != s.parts || n.hash != s.hash || len(n.dbs) != len(s.dbs) || len(n.cuts) > 0 {
		panic("store: Adopt needs a sibling without cuts")
	}
	for i, d := range s.dbs {
		old := d.space
		d.space = n.dbs[i].space
		d.space.store, d.space.born = s, s.epoch
		d.space.gen++
		n.dbs[i].space = n.newSpace()
		s.detach(old)
	}
	for _, sp := range n.dead {
		sp.store = s
	}
	s.dead, n.dead = append(s.dead, n.dead...), nil
	s.deadObjs, n.deadObjs = append(s.deadObjs, n.deadObjs...), nil
}

// detach hands a keyspace that nothing refers to any more to Reclaim, or to the cuts that still walk it.
func (s *Store) detach(sp *space) {
	sp.gen++
	sp.gone = true
	sp.keys = int64(sp.len())
	s.dead = append(s.dead, sp)
}

// CountLazy says whether Lazy counts what is deleted from now on, and answers whether it did until now. All memory is
// given back in the same way: the counts are for those who compare them with the directives lazyfree-lazy-*.
func (s *Store) CountLazy(on bool) (was bool) {
	was, s.countLazy = s.countLazy, on
	return was
}

// Lazy tells how many of the values and keys that CountLazy chose wait for Reclaim, and how many were freed.
func (s *Store) Lazy() (pending, freed int64) {
	for _, o := range s.deadObjs {
		if o.base().lazy {
			pending++
		}
	}
	for _, sp := range s.dead {
		if sp.lazy {
			pending += sp.keys
		}
	}
	return pending, s.freedLater
}

// TableBytes is the memory of a database's tables, without that of its entries.
func (d *DB) TableBytes() (n int64) {
	for _, p := range d.space.parts {
		if p != nil {
			n += p.tables
		}
	}
	return n
}

// UsedBytes is the memory in slots, tables and blobs, detached ones that are not freed yet included, and the blobs of
// siblings.
func (s *Store) UsedBytes() int64 {
	n := s.blobs.bytes.Load()
	for _, d := range s.dbs {
		n += d.space.usedBytes()
	}
	for _, sp := range s.dead {
		n += sp.usedBytes()
	}
	return n
}

// HeldBytes is the memory that this store and its siblings together have made resident in pages and blobs, what waits for Reclaim
// included, tables not. Safe for concurrent use.
func (s *Store) HeldBytes() int64 { return s.mem.resident.Load() + s.blobs.bytes.Load() }

// TouchedBytes is UsedBytes plus the free slots of pages in use: what the store makes resident.
func (s *Store) TouchedBytes() int64 {
	n := s.blobs.bytes.Load()
	for _, d := range s.dbs {
		n += d.space.touchedBytes()
	}
	for _, sp := range s.dead {
		n += sp.touchedBytes()
	}
	return n
}

func (sp *space) usedBytes() (n int64) {
	for _, p := range sp.parts {
		if p != nil {
			n += p.slab.used + p.tables
		}
	}
	return n
}

func (sp *space) touchedBytes() (n int64) {
	for _, p := range sp.parts {
		if p != nil {
			n += p.slab.touched + p.tables
		}
	}
	return n
}

// Reclaim frees detached memory in steps of about n slots or pages and reports whether more is left.
func (s *Store) Reclaim(n int) (more bool) {
	n = s.reclaimObjects(n)
	kept := s.dead[:0]
	for _, sp := range s.dead {
		if sp.pins > 0 || n <= 0 || sp.release(&n) {
			kept = append(kept, sp)
			continue
		}
		if sp.lazy {
			s.freedLater += sp.keys
		}
	}
	clear(s.dead[len(kept):])
	s.dead = kept
	for _, sp := range s.dead {
		more = more || sp.pins == 0
	}
	return more || len(s.deadObjs) > 0
}

// release frees up to *n pages and blobs of a detached keyspace and reports whether more are left.
func (sp *space) release(n *int) (more bool) {
	for i, p := range sp.parts {
		if p == nil {
			continue
		}
		for len(p.blobs) > 0 && *n > 0 {
			last := len(p.blobs) - 1
			if b := p.blobs[last]; b != nil {
				b.Release()
				*n--
			}
			p.blobs = p.blobs[:last]
		}
		before := len(p.slab.pages)
		if len(p.blobs) > 0 || p.slab.release(max(*n, 1)) {
			return true
		}
		*n -= before + 1
		sp.parts[i] = nil
	}
	return false
}

// partOf is the partition of a hash, nil when it has no key yet.
func (sp *space) partOf(h uint64) *part { return sp.parts[h>>(64-sp.store.partBits)] }

// partFor is the partition of a hash, made on demand.
func (sp *space) partFor(h uint64) *part { return sp.part(int(h >> (64 - sp.store.partBits))) }

func (sp *space) part(i int) *part {
	if sp.parts[i] == nil {
		p := &part{space: sp, index: uint32(i)}
		p.slab.init(sp.store.mem)
		sp.parts[i] = p
	}
	return sp.parts[i]
}

// Len is the number of keys, expired ones that are not deleted yet included.
func (d *DB) Len() int { return d.space.len() }

func (sp *space) len() int {
	n := 0
	for _, p := range sp.parts {
		if p != nil {
			n += p.keys.count
		}
	}
	return n
}

// Expires is the number of keys with an expiry.
func (d *DB) Expires() int {
	n := 0
	for _, p := range d.space.parts {
		if p != nil {
			n += p.expires
		}
	}
	return n
}

// maxReserve bounds what Reserve believes: the number often comes from outside.
const maxReserve = 8 << 20

// Reserve makes the tables of an empty database big enough for a number of keys, so that loading them does not split
// segments. It is a hint: too small a number costs the splits, too big a one memory until Defrag.
func (d *DB) Reserve(keys int) {
	const full = segBuckets * bucketSlots * 7 / 10
	each, depth := min(keys, maxReserve)/d.store.parts, uint8(0)
	for each>>depth > full {
		depth++
	}
	if depth == 0 {
		return
	}
	for i := range d.space.parts {
		if !d.store.mine(i) {
			continue
		}
		if p := d.space.part(i); p.keys.dir == nil {
			p.keys.reserve(p, depth)
		}
	}
}
