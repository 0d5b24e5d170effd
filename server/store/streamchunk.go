package store

import (
	"errors"

	"github.com/understudy-db/understudy/server/listpack"
)

// A chunk of a stream is a listpack as t_stream.c lays it out, so that snapshots carry chunks as they are:
//
//	entries there, entries deleted, number of fields n, n field names, 0     the master entry; its ID is the chunk's
//	then per entry:
//	flags, ms - master's ms, seq - master's seq,
//	  [number of fields, name and value of each] or, with entrySame, [a value for each of the master's fields],
//	number of elements of the entry before this one
const (
	entryDeleted = 1
	entrySame    = 2
)

var (
	errChunkOrder   = errors.New("a stream's listpacks are not in order")
	errChunkEmpty   = errors.New("an empty listpack in a stream")
	errChunkDamaged = errors.New("a listpack of a stream does not hold entries as it should")
	errStreamLength = errors.New("a stream's length does not agree with its entries")
	errStreamLast   = errors.New("a stream's last ID is smaller than that of its last entry")
)

// newChunk returns a listpack with the master entry of a first entry that is yet to be added.
func newChunk(fields [][]byte) []byte {
	lp := listpack.Begin(make([]byte, 0, 64))
	lp = listpack.AppendInt(lp, 0)
	lp = listpack.AppendInt(lp, 0)
	lp = listpack.AppendInt(lp, int64(len(fields)/2))
	for i := 0; i < len(fields); i += 2 {
		lp = listpack.AppendString(lp, fields[i])
	}
	lp = listpack.AppendInt(lp, 0)
	return listpack.Finish(lp, 0, 4+len(fields)/2)
}

// appendToChunk adds an entry behind the others.
func appendToChunk(lp []byte, master, id StreamID, fields [][]byte) []byte {
	live, _ := listpack.Int(lp, listpack.Header)
	lp = listpack.PutInt(lp, listpack.Header, live+1)
	flags, n := int64(0), int64(len(fields)/2)
	elements := 2*n + 5
	if sameFields(lp, fields) {
		flags, elements = entrySame, n+4
	}
	lp = lp[:listpack.End(lp)]
	lp = listpack.AppendInt(lp, flags)
	lp = listpack.AppendInt(lp, int64(id.Ms-master.Ms))
	lp = listpack.AppendInt(lp, int64(id.Seq-master.Seq))
	if flags == 0 {
		lp = listpack.AppendInt(lp, n)
	}
	for i := 0; i < len(fields); i += 2 {
		if flags == 0 {
			lp = listpack.AppendString(lp, fields[i])
		}
		lp = listpack.AppendString(lp, fields[i+1])
	}
	lp = listpack.AppendInt(lp, elements-1)
	lp = append(lp, 0xFF)
	listpack.Grown(lp, int(elements))
	return lp
}

// sameFields compares an entry's field names with the master's.
func sameFields(lp []byte, fields [][]byte) bool {
	at := listpack.Skip(lp, listpack.Skip(lp, listpack.Header))
	n, at := listpack.Int(lp, at)
	if n != int64(len(fields)/2) {
		return false
	}
	for i := 0; i < len(fields); i += 2 {
		v, next := listpack.At(lp, at)
		if !v.Is(fields[i]) {
			return false
		}
		at = next
	}
	return true
}

// countDeleted moves n entries from those there to those deleted.
func countDeleted(lp []byte, n int64) []byte {
	live, _ := listpack.Int(lp, listpack.Header)
	lp = listpack.PutInt(lp, listpack.Header, live-n)
	at := listpack.Skip(lp, listpack.Header)
	gone, _ := listpack.Int(lp, at)
	return listpack.PutInt(lp, at, gone+n)
}

// entryReader walks the entries of a chunk.
type entryReader struct {
	lp     []byte
	master StreamID
	names  int // where the master's field names begin
	fields int // and how many there are
	start  int // of the first entry

	at    int // of the present entry
	flags int64
	id    StreamID
	data  int // behind the fixed part
	n     int // fields of the present entry
	after int // behind the present entry; 0 where it was not looked for
}

// first readies a reader for the first entry: next must follow.
func (e entryReader) first() entryReader {
	at := listpack.Skip(e.lp, listpack.Skip(e.lp, listpack.Header))
	n, at := listpack.Int(e.lp, at)
	e.names, e.fields = at, int(n)
	for range e.fields {
		at = listpack.Skip(e.lp, at)
	}
	e.start = listpack.Skip(e.lp, at)
	e.after = e.start
	return e
}

// behind readies a reader for the last entry: prev must follow.
func (e entryReader) behind() entryReader {
	e = e.first()
	e.at = listpack.End(e.lp)
	return e
}

func (e *entryReader) isDeleted() bool { return e.flags&entryDeleted != 0 }

// read reads the fixed part of the entry at a place.
func (e *entryReader) read(at int) {
	e.at = at
	e.flags, at = listpack.Int(e.lp, at)
	ms, at := listpack.Int(e.lp, at)
	seq, at := listpack.Int(e.lp, at)
	e.id = StreamID{e.master.Ms + uint64(ms), e.master.Seq + uint64(seq)}
	e.n = e.fields
	if e.flags&entrySame == 0 {
		var n int64
		n, at = listpack.Int(e.lp, at)
		e.n = int(n)
	}
	e.data, e.after = at, 0
}

// end is where the next entry begins.
func (e *entryReader) end() int {
	if e.after == 0 {
		at, n := e.data, e.n
		if e.flags&entrySame == 0 {
			n *= 2
		}
		for range n + 1 {
			at = listpack.Skip(e.lp, at)
		}
		e.after = at
	}
	return e.after
}

func (e *entryReader) next() bool {
	at := e.end()
	if listpack.AtEnd(e.lp, at) {
		return false
	}
	e.read(at)
	return true
}

func (e *entryReader) prev() bool {
	if e.at <= e.start {
		return false
	}
	at := listpack.Before(e.lp, e.at)
	n, _ := listpack.Int(e.lp, at)
	for range n {
		at = listpack.Before(e.lp, at)
	}
	e.read(at)
	return true
}

// each calls fn for the names and values of the present entry.
func (e *entryReader) each(fn func(name, value *listpack.Value)) {
	names, at := e.names, e.data
	for range e.n {
		var name, value listpack.Value
		if e.flags&entrySame != 0 {
			name, names = listpack.At(e.lp, names)
		} else {
			name, at = listpack.At(e.lp, at)
		}
		value, at = listpack.At(e.lp, at)
		fn(&name, &value)
	}
}

// lastOf is the ID of the last entry of a chunk, deleted or not.
func lastOf(lp []byte, master StreamID) StreamID {
	e := entryReader{lp: lp, master: master}.behind()
	if !e.prev() {
		return master
	}
	return e.id
}

// checkChunk tells whether bytes from outside are a chunk with the given ID, and returns the last ID and the number of
// the entries that are not deleted.
func checkChunk(id StreamID, lp []byte) (last StreamID, live int, err error) {
	elements, err := listpack.Check(lp)
	if err != nil {
		return last, 0, err
	}
	if elements == 0 {
		return last, 0, errChunkEmpty
	}
	c := chunkChecker{lp: lp, at: listpack.Header, left: elements}
	there, gone, fields := c.count(), c.count(), c.count()
	c.skip(fields)
	if c.int() != 0 || c.bad {
		return last, 0, errChunkDamaged
	}
	for first := true; c.left > 0; first = false {
		e, deleted := c.entry(id, fields)
		switch {
		case c.bad || first && e != id || !deleted && live > 0 && e.Compare(last) <= 0:
			return last, 0, errChunkDamaged
		case deleted:
			gone--
		default:
			last = e
			live++
		}
	}
	if gone != 0 || there != int64(live) {
		return last, 0, errChunkDamaged
	}
	return last, live, nil
}

// chunkChecker reads elements that may not be there.
type chunkChecker struct {
	lp   []byte
	at   int
	left int
	bad  bool
}

func (c *chunkChecker) take() listpack.Value {
	if c.left == 0 || c.bad {
		c.bad = true
		return listpack.Value{}
	}
	c.left--
	v, next := listpack.At(c.lp, c.at)
	c.at = next
	return v
}

func (c *chunkChecker) int() int64 {
	v := c.take()
	c.bad = c.bad || !v.IsInt
	return v.Int
}

// count is an integer that counts something.
func (c *chunkChecker) count() int64 {
	n := c.int()
	if n < 0 || n > int64(len(c.lp)) {
		c.bad = true
		return 0
	}
	return n
}

func (c *chunkChecker) skip(n int64) {
	for ; n > 0 && !c.bad; n-- {
		c.take()
	}
}

func (c *chunkChecker) entry(master StreamID, fields int64) (id StreamID, deleted bool) {
	before := c.left
	if c.lp[c.at] > entryDeleted|entrySame { // flags are changed in place, so they must stand in one byte
		c.bad = true
	}
	v := c.take()
	ms, seq := c.int(), c.int()
	id = StreamID{master.Ms + uint64(ms), master.Seq + uint64(seq)}
	if v.Int&entrySame != 0 {
		c.skip(fields)
	} else {
		n := c.count()
		c.skip(2 * n)
	}
	taken := before - c.left
	if c.int() != int64(taken) {
		c.bad = true
	}
	return id, v.Int&entryDeleted != 0
}

// StreamRange walks the entries of a stream between two IDs, good until the next write.
type StreamRange struct {
	mem     *idNodes
	lo, hi  StreamID
	reverse bool
	deleted bool // deleted entries that still stand in a chunk are given too
	dir     idCursor
	entryReader
}

// Range returns the entries with IDs from lo to hi, both included, perhaps backwards.
func (s *Stream) Range(lo, hi StreamID, reverse bool) StreamRange {
	s.check()
	return rangeOf(&s.o.mem, &s.o.dir, lo, hi, reverse)
}

func rangeOf(mem *idNodes, dir *idTree, lo, hi StreamID, reverse bool) StreamRange {
	r := StreamRange{mem: mem, lo: lo, hi: hi, reverse: reverse}
	if reverse {
		r.dir = mem.upTo(dir, hi)
	} else {
		r.dir = mem.seek(dir, lo)
	}
	return r
}

// Next goes to the next entry and returns its ID; false behind the last.
func (r *StreamRange) Next() (StreamID, bool) {
	for r.dir.valid() {
		if r.lp == nil {
			r.openChunk()
		}
		for r.step() {
			if r.isDeleted() && !r.deleted {
				continue
			}
			if before := r.id.Compare(r.lo) < 0; before || r.id.Compare(r.hi) > 0 {
				if before == r.reverse {
					r.dir.depth = -1
					return StreamID{}, false
				}
				continue
			}
			return r.id, true
		}
		r.lp = nil
		if r.reverse {
			r.dir.prev()
		} else {
			r.dir.next()
		}
	}
	return StreamID{}, false
}

func (r *StreamRange) openChunk() {
	lp, _ := r.mem.chunk(chunkOf(r.dir.val()))
	r.entryReader = entryReader{lp: lp, master: r.dir.id()}
	if r.reverse {
		r.entryReader = r.behind()
	} else {
		r.entryReader = r.first()
	}
}

func (r *StreamRange) step() bool {
	if r.reverse {
		return r.prev()
	}
	return r.next()
}

// Fields is the number of fields of the present entry.
func (r *StreamRange) Fields() int { return r.n }

// Each calls fn for the fields of the present entry.
func (r *StreamRange) Each(fn func(name, value *listpack.Value)) { r.each(fn) }

// Entries calls fn for the entries of a chunk, in order; of the range that it is given it may look at the present entry's fields.
func (p *StreamPart) Entries(fn func(id StreamID, entry *StreamRange)) {
	r := StreamRange{entryReader: entryReader{lp: p.Chunk, master: p.ID}}
	for r.entryReader = r.first(); r.next(); {
		if !r.isDeleted() {
			fn(r.id, &r)
		}
	}
}

// Has tells whether there is an entry.
func (s *Stream) Has(id StreamID) bool {
	r := s.Range(id, id, false)
	_, ok := r.Next()
	return ok
}
