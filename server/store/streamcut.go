package store

// StreamPart is a piece of a stream's image, in the order of Redis' snapshots: StreamHead, chunks, StreamState, then
// each group followed by its pending entries and its consumers, and each consumer by what it owns.
type StreamPart struct {
	Kind       StreamPartKind
	ID         StreamID // of a chunk, of an entry; last ID of a group or of the stream
	First      StreamID // StreamState
	MaxDeleted StreamID // StreamState
	N          uint64   // chunks; length; pending entries or owned entries that follow; deliveries
	Added      uint64   // StreamState
	Groups     int      // StreamState: groups that follow
	Read       int64    // StreamGroupPart
	Consumers  int      // StreamOwners: that follow
	Time       int64    // delivered, seen
	Active     int64    // StreamOwner
	Name       string
	Chunk      []byte
	Blob       *Blob // holds Chunk, when not nil
}

// StreamPartKind says what a StreamPart is.
type StreamPartKind uint8

// The kinds of parts.
const (
	StreamHead      StreamPartKind = iota // N chunks follow
	StreamChunk                           // ID, Chunk
	StreamState                           // counters; Groups follow
	StreamGroupPart                       // Name, ID, Read; N pending entries follow
	StreamPending                         // ID, Time, N deliveries
	StreamOwners                          // Consumers follow
	StreamOwner                           // Name, Time, Active; N of its entries follow
	StreamOwned                           // ID
)

// streamWalk gives a pinned version to a cut.
type streamWalk struct {
	o       *streamObject
	v       streamVersion
	visitor Visitor
	id      uint64
	part    StreamPart
	stage   streamStage
	at      idCursor
	group   int
	owner   int
	ended   bool
}

type streamStage uint8

const (
	walkHead streamStage = iota
	walkChunks
	walkState
	walkGroup
	walkPending
	walkOwner
	walkOwned
	walkDone
)

// pin implements object.
func (o *streamObject) pin(c *Cut, id uint64) objectWalk {
	w := &streamWalk{o: o, v: o.streamVersion, visitor: c.visitor, id: id}
	o.holdRoot(o.dir)
	if o.groups != nil {
		o.groups.refs++
	}
	o.tail = 0
	return w
}

// end implements objectWalk.
func (w *streamWalk) end() {
	if !w.ended {
		w.ended = true
		w.o.dropVersion(&w.v)
		w.o.sweepLater()
	}
}

// step implements objectWalk.
func (w *streamWalk) step(n int) (work int, done bool) {
	for ; work < n && w.stage != walkDone; work++ {
		w.part = StreamPart{}
		if w.one() {
			w.visitor.StreamPart(w.id, &w.part)
		}
		if w.part.Kind == StreamChunk {
			work += 7 // some kilobytes
		}
	}
	return work, w.stage == walkDone
}

// one prepares the next part, or changes the stage and returns false.
func (w *streamWalk) one() bool {
	p := &w.part
	switch w.stage {
	case walkHead:
		p.Kind, p.N = StreamHead, uint64(w.v.dir.n)
		w.enter(walkChunks, &w.v.dir)
		return true
	case walkChunks:
		return w.chunk()
	case walkState:
		v := &w.v
		*p = StreamPart{
			Kind: StreamState, ID: v.last, First: v.first, MaxDeleted: v.maxDeleted, N: uint64(v.count), Added: v.added,
			Groups: len(w.groups()),
		}
		w.stage = walkGroup
		return true
	case walkGroup:
		return w.openGroup()
	case walkPending:
		return w.pending()
	case walkOwner:
		return w.openOwner()
	case walkOwned:
		if !w.at.valid() {
			w.stage = walkOwner
			return false
		}
		p.Kind, p.ID = StreamOwned, w.at.id()
		w.at.next()
		return true
	}
	return false
}

func (w *streamWalk) enter(s streamStage, t *idTree) {
	w.stage, w.at = s, w.o.mem.from(t, StreamID{})
}

func (w *streamWalk) groups() []*streamGroup {
	if w.v.groups == nil {
		return nil
	}
	return w.v.groups.list
}

func (w *streamWalk) chunk() bool {
	if !w.at.valid() {
		w.stage = walkState
		return false
	}
	w.part.Kind, w.part.ID = StreamChunk, w.at.id()
	w.part.Chunk, w.part.Blob = w.o.mem.chunk(chunkOf(w.at.val()))
	w.at.next()
	return true
}

func (w *streamWalk) openGroup() bool {
	if w.group == len(w.groups()) {
		w.stage = walkDone
		return false
	}
	g := w.groups()[w.group]
	w.part = StreamPart{Kind: StreamGroupPart, Name: g.name, ID: g.last, Read: g.read, N: uint64(g.pending.n)}
	w.enter(walkPending, &g.pending)
	return true
}

func (w *streamWalk) pending() bool {
	p := &w.part
	if !w.at.valid() {
		p.Kind, p.Consumers = StreamOwners, len(w.groups()[w.group].consumers.list)
		w.stage, w.owner = walkOwner, 0
		return true
	}
	v := pendingOf(w.at.val())
	p.Kind, p.ID, p.Time, p.N = StreamPending, w.at.id(), v.Time, v.Count
	w.at.next()
	return true
}

func (w *streamWalk) openOwner() bool {
	all := w.groups()[w.group].consumers.list
	if w.owner == len(all) {
		w.group++
		w.stage = walkGroup
		return false
	}
	c := all[w.owner]
	w.owner++
	w.part = StreamPart{Kind: StreamOwner, Name: c.name, Time: c.seen, Active: c.active, N: uint64(c.pending.n)}
	w.enter(walkOwned, &c.pending)
	return true
}

// sweepAtOnce is the number of dropped nodes that a write or a cut's end frees itself.
const sweepAtOnce = 64

// sweepLater frees what was dropped: a little now, the rest by Reclaim.
func (o *streamObject) sweepLater() {
	if o.mem.sweep(sweepAtOnce); len(o.mem.dead) > 0 && !o.torn {
		g := &streamRest{o: o, objectBase: objectBase{gone: true}} // no value of its own: not counted
		o.home.adopt(g)
		o.home.space.store.discard(g)
	}
}

// streamRest stands in Reclaim's queue for what a living stream dropped.
type streamRest struct {
	objectBase
	o *streamObject
}

func (g *streamRest) entryType() uint8        { return typeBigStream }
func (g *streamRest) size() int               { return freeAtOnce + 1 }
func (g *streamRest) copyTo(*part) object     { panic("store: the rest of a stream has no copies") }
func (g *streamRest) memoryUsage() int64      { return 0 }
func (g *streamRest) within(int) bool         { return false }
func (g *streamRest) relocate(uint32, []byte) {}
func (g *streamRest) pin(*Cut, uint64) objectWalk {
	panic("store: a cut met the rest of a stream")
}

func (g *streamRest) free(n int) (left int, more bool) {
	left = g.o.mem.sweep(n)
	return left, len(g.o.mem.dead) > 0
}
