package store

import (
	"encoding/binary"

	"github.com/understudy-db/understudy/server/listpack"
)

// streamObject is a stream. What a cut pins of it is a version: roots of trees, and sets of groups and consumers, which
// are shared until the first write (idnodes.go states the invariant for nodes; for the Go objects below refs counts the
// holders in the same way). So a cut costs nothing at its instant, and a write copies what it changes once per cut.
type streamObject struct {
	objectBase
	streamVersion
	mem  idNodes
	tail uint32 // the last chunk, when it may be written as it stands; 0 for not known
	torn bool   // being freed
	held int64  // bytes charged for groups and consumers
	fed  uint64 // see Fed

	changes uint64 // see Changes
}

// streamVersion is a stream's whole state.
type streamVersion struct {
	count      int // entries
	last       StreamID
	first      StreamID // of the first entry, 0-0 when there is none
	maxDeleted StreamID
	added      uint64
	dir        idTree // chunks by the ID of their first entry
	groups     *groupSet
}

const streamBytes = 320 // that a streamObject takes

func (p *part) newStream() *streamObject {
	o := &streamObject{fed: p.space.store.nextFed()}
	p.adopt(o)
	o.mem.init(p, o.id)
	o.charge(streamBytes)
	return o
}

func (o *streamObject) charge(n int64) {
	o.held += n
	o.home.tables += n
}

func (o *streamObject) entryType() uint8 { return typeBigStream }

// size implements object: what there is to free.
func (o *streamObject) size() int { return o.mem.live }

// free implements object.
func (o *streamObject) free(n int) (left int, more bool) {
	if !o.torn {
		o.torn = true
		o.dropVersion(&o.streamVersion)
	}
	left = o.mem.sweep(n)
	if len(o.mem.dead) > 0 {
		return left, true
	}
	o.mem.release()
	o.charge(-o.held)
	return left, false
}

// dropVersion gives up a version: sweep frees what nobody else holds.
func (o *streamObject) dropVersion(v *streamVersion) {
	o.mem.drop(v.dir.root)
	o.dropGroups(v.groups)
	v.dir, v.groups = idTree{}, nil
}

func (o *streamObject) relocate(ref uint32, b []byte) { o.mem.relocate(ref, b) }

// memoryUsage implements object; it extrapolates from the first nodes.
func (o *streamObject) memoryUsage() int64 {
	n, sum := 0, int64(0)
	for _, ref := range o.mem.refs {
		if ref != 0 && n < 64 {
			sum += int64(o.home.slab.size(ref))
			n++
		}
	}
	return o.held + 4*int64(cap(o.mem.refs)) + sum*int64(o.mem.live)/int64(max(n, 1))
}

// within implements object.
func (o *streamObject) within(n int) bool {
	n -= int(o.held - streamBytes)
	for _, ref := range o.mem.refs {
		if ref == 0 {
			continue
		}
		n -= o.home.slab.size(ref)
		if b := o.home.slab.at(ref); b[12] == idNodeChunk && b[13] == 1 {
			return false
		}
		if n < 0 {
			return false
		}
	}
	return n >= 0
}

// copyTo implements object.
func (o *streamObject) copyTo(p *part) object {
	twin := p.newStream()
	v := o.streamVersion
	v.dir, v.groups = idTree{}, nil
	twin.streamVersion = v
	for c := o.mem.from(&o.dir, StreamID{}); c.valid(); c.next() {
		lp, _ := o.mem.chunk(chunkOf(c.val()))
		twin.addChunk(c.id(), lp, 0)
	}
	twin.copyGroups(o)
	return twin
}

func chunkOf(val []byte) uint32 { return binary.LittleEndian.Uint32(val) }

// addChunk puts a listpack behind the others.
func (o *streamObject) addChunk(id StreamID, lp []byte, more int) (no uint32) {
	no = o.mem.newChunk(lp, more)
	v, _ := o.mem.put(&o.dir, chunkVal, id)
	binary.LittleEndian.PutUint32(v, no)
	return no
}

// ownChunk returns the chunk that the record id of the directory names, for writing.
func (o *streamObject) ownChunk(id StreamID) (no uint32) {
	v := o.mem.edit(&o.dir, id)
	no = o.mem.own(chunkOf(v))
	binary.LittleEndian.PutUint32(v, no)
	return no
}

// keepsChunk counts a chunk that is about to be taken out, if a pinned version has it too.
func (o *streamObject) keepsChunk(no uint32) {
	if holders(o.mem.at(no)) > 1 {
		o.keeps(o.mem.sizeOf(no))
	}
}

// dropChunk removes a chunk.
func (o *streamObject) dropChunk(id StreamID) {
	v := o.mem.edit(&o.dir, id)
	o.keepsChunk(chunkOf(v))
	o.mem.drop(chunkOf(v))
	o.mem.del(&o.dir, id)
	o.tail = 0
	o.mem.sweep(1)
}

// wrote makes other handles stale, not this one.
func (s *Stream) wrote() {
	s.o.changes++
	s.handle.wrote()
}

// Changes is a number that grows with every change of the stream or of its groups.
func (s *Stream) Changes() uint64 { s.check(); return s.o.changes }

// Stream is a handle on a stream, valid until the next write of its DB that does not go through it.
type Stream struct {
	handle
	o *streamObject
}

// Stream returns the stream at key. Expired keys are hidden. Safe under a shared lock.
func (d *DB) Stream(key []byte, now int64) (s Stream, found, wrongType bool) {
	e, ok := d.Get(key, now)
	if !ok {
		return Stream{}, false, false
	}
	if e.Kind() != StreamKind {
		return Stream{}, false, true
	}
	return e.Stream(), true, false
}

// Stream is a handle for reading an entry's stream.
func (e Entry) Stream() (s Stream) {
	s.read(e)
	s.o = s.object().(*streamObject)
	return s
}

// StreamForWrite returns the stream at key for writing, an empty new one when there is none. Streams may be empty.
func (d *DB) StreamForWrite(key []byte) (s Stream, wrongType bool) {
	if s.forWrite(d, key, StreamKind, typeStreamPack, 0) {
		return Stream{}, true
	}
	if o := s.object(); o != nil {
		s.o = o.(*streamObject)
	} else {
		s.o = s.p.newStream()
		s.become(s.o)
	}
	return s, false
}

// Len is the number of entries.
func (s *Stream) Len() int { s.check(); return s.o.count }

// LastID is the greatest ID that was ever added or set.
func (s *Stream) LastID() StreamID { s.check(); return s.o.last }

// FirstID is the ID of the first entry, 0-0 when there is none.
func (s *Stream) FirstID() StreamID { s.check(); return s.o.first }

// MaxDeletedID is the greatest ID that XDEL removed.
func (s *Stream) MaxDeletedID() StreamID { s.check(); return s.o.maxDeleted }

// Added is the number of entries that were ever added.
func (s *Stream) Added() uint64 { s.check(); return s.o.added }

// Fed is a number that no stream had before the last entry was added to this one, or before it was made: two equal ones
// say that there is nothing new. It is not kept in snapshots.
func (s *Stream) Fed() uint64 { s.check(); return s.o.fed }

func (s *Store) nextFed() uint64 {
	s.fed++
	return s.fed
}

// Chunks is the number of listpacks that hold the entries.
func (s *Stream) Chunks() int { s.check(); return s.o.dir.n }

// Ahead is about the number of entries with IDs of at least id, a chunk's too many at most; it counts no further than most.
func (s *Stream) Ahead(id StreamID, most int) (n int) {
	s.check()
	for c := s.o.mem.seek(&s.o.dir, id); c.valid() && n < most; c.next() {
		lp, _ := s.o.mem.chunk(chunkOf(c.val()))
		live, _ := listpack.Int(lp, listpack.Header)
		n += int(live)
	}
	return n
}

// EachChunk calls fn for the ID of each chunk in order.
func (s *Stream) EachChunk(fn func(id StreamID)) {
	s.check()
	for c := s.o.mem.from(&s.o.dir, StreamID{}); c.valid(); c.next() {
		fn(c.id())
	}
}

// SetCounters sets what XSETID sets.
func (s *Stream) SetCounters(last, maxDeleted StreamID, added uint64) {
	s.check()
	s.wrote()
	s.o.last, s.o.maxDeleted, s.o.added = last, maxDeleted, added
}

// SetMaxDeletedID records the greatest ID that XDEL removed.
func (s *Stream) SetMaxDeletedID(id StreamID) {
	s.check()
	s.wrote()
	s.o.maxDeleted = id
}

// FixFirstID finds the first entry again after entries were removed.
func (s *Stream) FixFirstID() {
	s.check()
	s.wrote()
	s.o.first, _ = s.Edge(true, true)
	if s.o.count == 0 {
		s.o.first = StreamID{}
	}
}

// Edge is the ID of the first or the last entry, deleted ones that still stand in a chunk included unless live is set;
// false when there is none.
func (s *Stream) Edge(first, live bool) (StreamID, bool) {
	it := s.Range(StreamID{}, MaxStreamID, !first)
	it.deleted = !live
	return it.Next()
}

// LoadChunk adds a chunk of a snapshot behind the others, when it is well formed; loading ends with LoadCounters.
func (s *Stream) LoadChunk(id StreamID, lp []byte) error {
	s.check()
	s.wrote()
	o := s.o
	last, live, err := checkChunk(id, lp)
	if err != nil {
		return err
	}
	if o.dir.n > 0 && id.Compare(o.last) <= 0 {
		return errChunkOrder
	}
	if live > 0 {
		o.last = last
	} else {
		o.last = id
	}
	o.count += live
	o.addChunk(id, lp, 0)
	return nil
}

// LoadCounters ends the loading of chunks. length is what the snapshot says of the number of entries; first is nil when
// it does not tell.
func (s *Stream) LoadCounters(length uint64, last, maxDeleted StreamID, first *StreamID, added uint64) error {
	s.check()
	s.wrote()
	o := s.o
	if length != uint64(o.count) {
		return errStreamLength
	}
	if o.count > 0 && last.Compare(o.last) < 0 {
		return errStreamLast
	}
	o.last, o.maxDeleted, o.added = last, maxDeleted, added
	s.FixFirstID()
	if first != nil {
		o.first = *first
	}
	return nil
}

// HasTombstones tells whether an entry with an ID of at least from may have been deleted.
func (s *Stream) HasTombstones(from StreamID) bool {
	s.check()
	o := s.o
	return o.count > 0 && !o.maxDeleted.IsZero() && o.first.Compare(o.maxDeleted) <= 0 && from.Compare(o.maxDeleted) <= 0
}

// EntriesBefore estimates how many entries were added up to an ID, -1 when that cannot be told: what a group has read
// whose last ID it is (streamEstimateDistanceFromFirstEverEntry).
func (s *Stream) EntriesBefore(id StreamID) int64 {
	s.check()
	o := s.o
	if o.added == 0 {
		return 0
	}
	c := id.Compare(o.last)
	switch {
	case o.count == 0 && c < 1, c == 0:
		return int64(o.added)
	case c > 0:
		return -1
	}
	if o.maxDeleted.IsZero() || o.maxDeleted.Compare(o.first) < 0 {
		switch first := id.Compare(o.first); {
		case first < 0:
			return int64(o.added) - int64(o.count)
		case first == 0:
			return int64(o.added) - int64(o.count) + 1
		}
	}
	return -1
}

// Limits of chunks, as Redis' stream-node-max-bytes and stream-node-max-entries.
const maxChunkBytes = 1 << 30

// chunkFull tells whether an entry of n bytes needs a new chunk.
func (o *streamObject) chunkFull(lp []byte, n int) bool {
	c := &o.home.space.store.Config
	most := c.StreamNodeMaxBytes
	if most == 0 || most > maxChunkBytes {
		most = maxChunkBytes
	}
	if int64(len(lp)+n) >= most {
		return true
	}
	if c.StreamNodeMaxEntries == 0 {
		return false
	}
	live, at := listpack.Int(lp, listpack.Header)
	deleted, _ := listpack.Int(lp, at)
	return live+deleted >= c.StreamNodeMaxEntries
}

// Append adds an entry with an ID greater than LastID; fields alternates names and values.
func (s *Stream) Append(id StreamID, fields [][]byte) {
	s.check()
	s.wrote()
	o := s.o
	n := 0
	for _, f := range fields {
		n += len(f)
	}
	o.appendEntry(id, fields, n)
	o.fed = o.home.space.store.nextFed()
	o.count++
	o.added++
	o.last = id
	if o.count == 1 {
		o.first = id
	}
}

func (o *streamObject) appendEntry(id StreamID, fields [][]byte, n int) {
	usual := 0 // the size of the chunk before
	if o.dir.n > 0 {
		c := o.mem.upTo(&o.dir, MaxStreamID)
		master := c.id()
		lp, _ := o.mem.chunk(chunkOf(c.val()))
		if !o.chunkFull(lp, n) || master.Compare(id) >= 0 {
			if o.tail == 0 {
				o.tail = o.ownChunk(master)
			}
			room := n + 12*len(fields) + 64 // heads and lengths of elements, counters, IDs
			lp = o.mem.editChunk(o.tail, room, o.usualMost())
			o.mem.keepChunk(o.tail, appendToChunk(lp, master, id, fields))
			return
		}
		if o.tail != 0 {
			o.mem.fitChunk(o.tail)
		}
		usual = min(len(lp), maxSlot/2)
	}
	lp := appendToChunk(newChunk(fields), id, id, fields)
	o.tail = o.addChunk(id, lp, max(usual-len(lp), 0))
}

// usualMost is the size up to which a chunk's room grows ahead of need.
func (o *streamObject) usualMost() int {
	if most := o.home.space.store.Config.StreamNodeMaxBytes; most > 0 && most < maxSlot/2 {
		return int(most) + 256
	}
	return maxSlot
}

// StreamTrim says what Trim removes.
type StreamTrim struct {
	MinID  *StreamID // entries below; nil: by length
	MaxLen uint64
	Whole  bool  // whole chunks only
	Limit  int64 // entries at most, 0: any number
}

// Trim removes the oldest entries and returns how many.
func (s *Stream) Trim(t *StreamTrim) (removed int64) {
	s.check()
	o := s.o
	for o.dir.n > 0 && (t.MinID != nil || uint64(o.count) > t.MaxLen) {
		c := o.mem.from(&o.dir, StreamID{})
		master := c.id()
		lp, _ := o.mem.chunk(chunkOf(c.val()))
		live, _ := listpack.Int(lp, listpack.Header)
		if t.Limit > 0 && removed+live > t.Limit {
			break
		}
		if t.takes(o, master, lp, live) {
			s.wrote()
			o.dropChunk(master)
			o.count -= int(live)
			removed += live
			continue
		}
		if !t.Whole {
			s.wrote()
			removed += o.trimChunk(master, t)
		}
		break
	}
	if removed > 0 {
		s.FixFirstID()
	}
	return removed
}

// takes tells whether a chunk goes as a whole.
func (t *StreamTrim) takes(o *streamObject, master StreamID, lp []byte, live int64) bool {
	if t.MinID == nil {
		return uint64(int64(o.count)-live) >= t.MaxLen
	}
	return lastOf(lp, master).Compare(*t.MinID) < 0
}

// trimChunk removes entries from the first chunk.
func (o *streamObject) trimChunk(master StreamID, t *StreamTrim) (removed int64) {
	no := o.ownChunk(master)
	lp := o.mem.editChunk(no, 16, 0)
	for e := (entryReader{lp: lp, master: master}).first(); e.next(); {
		if t.MinID == nil && uint64(o.count) <= t.MaxLen || t.MinID != nil && e.id.Compare(*t.MinID) >= 0 {
			break
		}
		if !e.isDeleted() {
			lp[e.at] |= entryDeleted
			o.count--
			removed++
		}
	}
	o.mem.keepChunk(no, countDeleted(lp, removed))
	return removed
}
