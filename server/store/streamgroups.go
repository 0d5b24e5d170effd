package store

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// A consumer group: its pending entries by ID, each with its consumer, and for each consumer the IDs of its own. The Go
// objects are per group and per consumer, never per entry.

// groupSet is a stream's groups in the order of their names.
type groupSet struct {
	refs int
	list []*streamGroup
}

type streamGroup struct {
	refs      int
	name      string
	last      StreamID
	read      int64 // entries read, -1: not known
	pending   idTree
	consumers *consumerSet
}

type consumerSet struct {
	refs  int
	list  []*streamConsumer // in the order of their names
	byNo  []*streamConsumer // pending entries name them by their index here; nil for a free one
	spare []uint32
}

type streamConsumer struct {
	refs    int
	no      uint32
	name    string
	seen    int64 // unix ms: when it last asked for something
	active  int64 // unix ms: when it last got something, NeverActive before
	pending idTree
}

// A pending entry in its group: delivery time (8), deliveries (8), consumer (4). In its consumer: nothing but the ID.
const (
	pendingVal  = 20
	groupBytes  = 200
	memberBytes = 128
)

// dropGroups takes a holder from a set and, with the last one, from what is in it.
func (o *streamObject) dropGroups(s *groupSet) {
	if s == nil {
		return
	}
	if s.refs--; s.refs > 0 {
		return
	}
	for _, g := range s.list {
		o.dropGroup(g)
	}
}

func (o *streamObject) dropGroup(g *streamGroup) {
	if g.refs--; g.refs > 0 {
		return
	}
	o.charge(-groupBytes - int64(len(g.name)))
	o.mem.drop(g.pending.root)
	if g.consumers.refs--; g.consumers.refs > 0 {
		return
	}
	for _, c := range g.consumers.list {
		o.dropConsumer(c)
	}
}

func (o *streamObject) dropConsumer(c *streamConsumer) {
	if c.refs--; c.refs > 0 {
		return
	}
	o.charge(-memberBytes - int64(len(c.name)))
	o.mem.drop(c.pending.root)
}

func (o *streamObject) holdRoot(t idTree) idTree {
	if t.root != 0 {
		o.mem.hold(t.root)
	}
	return t
}

// ownGroups returns the stream's groups for writing.
func (o *streamObject) ownGroups() *groupSet {
	switch s := o.groups; {
	case s == nil:
		o.groups = &groupSet{refs: 1}
	case s.refs > 1:
		s.refs--
		o.groups = &groupSet{refs: 1, list: slices.Clone(s.list)}
		for _, g := range s.list {
			g.refs++
		}
	}
	return o.groups
}

// ownGroup returns group i for writing.
func (o *streamObject) ownGroup(i int) *streamGroup {
	s := o.ownGroups()
	g := s.list[i]
	if g.refs > 1 {
		g.refs--
		twin := *g
		twin.refs = 1
		twin.pending = o.holdRoot(g.pending)
		twin.consumers.refs++
		o.charge(groupBytes + int64(len(g.name)))
		o.keeps(groupBytes + 8*len(s.list) + 24*len(g.consumers.list))
		s.list[i] = &twin
	}
	return s.list[i]
}

// ownConsumers returns the consumers of a group that is owned, for writing.
func (g *streamGroup) ownConsumers() *consumerSet {
	if s := g.consumers; s.refs > 1 {
		s.refs--
		g.consumers = &consumerSet{refs: 1, list: slices.Clone(s.list), byNo: slices.Clone(s.byNo), spare: slices.Clone(s.spare)}
		for _, c := range s.list {
			c.refs++
		}
	}
	return g.consumers
}

// ownConsumer returns a consumer of a group that is owned, for writing.
func (o *streamObject) ownConsumer(g *streamGroup, no uint32) *streamConsumer {
	s := g.ownConsumers()
	c := s.byNo[no]
	if c.refs > 1 {
		c.refs--
		twin := *c
		twin.refs = 1
		twin.pending = o.holdRoot(c.pending)
		o.charge(memberBytes + int64(len(c.name)))
		i, _ := s.find(c.name)
		s.list[i], s.byNo[no] = &twin, &twin
	}
	return s.byNo[no]
}

func (s *groupSet) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.list, name, func(g *streamGroup, n string) int { return strings.Compare(g.name, n) })
}

func (s *consumerSet) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.list, name, func(c *streamConsumer, n string) int { return strings.Compare(c.name, n) })
}

// copyGroups gives a new stream the groups of another.
func (o *streamObject) copyGroups(from *streamObject) {
	if from.groups == nil {
		return
	}
	for i, g := range from.groups.list {
		o.addGroup(g.name, g.last, g.read)
		twin := o.groups.list[i]
		twin.consumers.byNo = make([]*streamConsumer, len(g.consumers.byNo))
		twin.consumers.spare = slices.Clone(g.consumers.spare)
		for _, c := range g.consumers.list {
			n := &streamConsumer{refs: 1, no: c.no, name: c.name, seen: c.seen, active: c.active}
			twin.consumers.list = append(twin.consumers.list, n)
			twin.consumers.byNo[c.no] = n
			o.charge(memberBytes + int64(len(c.name)))
			for at := from.mem.from(&c.pending, StreamID{}); at.valid(); at.next() {
				o.mem.put(&n.pending, 0, at.id())
			}
		}
		for at := from.mem.from(&g.pending, StreamID{}); at.valid(); at.next() {
			v, _ := o.mem.put(&twin.pending, pendingVal, at.id())
			copy(v, at.val())
		}
	}
}

// addGroup makes a group that there is not.
func (o *streamObject) addGroup(name string, last StreamID, read int64) {
	s := o.ownGroups()
	i, _ := s.find(name)
	g := &streamGroup{refs: 1, name: name, last: last, read: read, consumers: &consumerSet{refs: 1, byNo: make([]*streamConsumer, 1)}}
	s.list = slices.Insert(s.list, i, g)
	o.charge(groupBytes + int64(len(name)))
}

// StreamGroup is a handle on a group of a stream; it is good as long as the stream's.
type StreamGroup struct {
	s *Stream
	i int
}

// Pending is an entry that was delivered and not acknowledged.
type Pending struct {
	Time     int64  // of the last delivery, unix ms
	Count    uint64 // deliveries
	Consumer uint32 // its number in the group
}

// Groups is the number of groups.
func (s *Stream) Groups() int {
	s.check()
	if s.o.groups == nil {
		return 0
	}
	return len(s.o.groups.list)
}

// GroupAt is group i in the order of names.
func (s *Stream) GroupAt(i int) StreamGroup { return StreamGroup{s, i} }

// Group finds a group.
func (s *Stream) Group(name []byte) (StreamGroup, bool) {
	s.check()
	if s.o.groups == nil {
		return StreamGroup{}, false
	}
	i, ok := s.o.groups.find(string(name))
	return StreamGroup{s, i}, ok
}

// CreateGroup makes a group; false when it is there already. read is the number of entries read, -1 for not known.
func (s *Stream) CreateGroup(name []byte, last StreamID, read int64) bool {
	if _, ok := s.Group(name); ok {
		return false
	}
	s.wrote()
	s.o.addGroup(string(name), last, read)
	return true
}

// DestroyGroup removes a group; false when there is none.
func (s *Stream) DestroyGroup(name []byte) bool {
	g, ok := s.Group(name)
	if !ok {
		return false
	}
	s.wrote()
	set := s.o.ownGroups()
	gone := set.list[g.i]
	set.list = slices.Delete(set.list, g.i, g.i+1)
	s.o.dropGroup(gone)
	s.o.sweepLater()
	return true
}

// get is the group for reading.
func (g *StreamGroup) get() *streamGroup {
	g.s.check()
	return g.s.o.groups.list[g.i]
}

// own is the group for writing.
func (g *StreamGroup) own() *streamGroup {
	g.s.check()
	g.s.wrote()
	return g.s.o.ownGroup(g.i)
}

// Name is the group's name.
func (g *StreamGroup) Name() string { return g.get().name }

// LastID is the last ID that was delivered.
func (g *StreamGroup) LastID() StreamID { return g.get().last }

// Read is the number of entries read so far, -1 when it is not known.
func (g *StreamGroup) Read() int64 { return g.get().read }

// Set changes the last delivered ID and the number of entries read.
func (g *StreamGroup) Set(last StreamID, read int64) {
	o := g.own()
	o.last, o.read = last, read
}

// Len is the number of pending entries.
func (g *StreamGroup) Len() int { return g.get().pending.n }

// Consumers is the number of consumers.
func (g *StreamGroup) Consumers() int { return len(g.get().consumers.list) }

// Consumer finds a consumer's number.
func (g *StreamGroup) Consumer(name []byte) (no uint32, ok bool) {
	s := g.get().consumers
	i, ok := s.find(string(name))
	if !ok {
		return 0, false
	}
	return s.list[i].no, true
}

// EachConsumer calls fn for the consumers in the order of their names.
func (g *StreamGroup) EachConsumer(fn func(no uint32, name string, seen int64, pending int)) {
	for _, c := range g.get().consumers.list {
		fn(c.no, c.name, c.seen, c.pending.n)
	}
}

// PendingOf is the number of entries that are pending for a consumer.
func (g *StreamGroup) PendingOf(no uint32) int { return g.get().consumers.byNo[no].pending.n }

// ConsumerName is the name of a consumer.
func (g *StreamGroup) ConsumerName(no uint32) string { return g.get().consumers.byNo[no].name }

// NeverActive is the time of activity of a consumer that never got an entry.
const NeverActive = -1

// ActiveTime is when a consumer last got or claimed an entry in unix ms, or NeverActive.
func (g *StreamGroup) ActiveTime(no uint32) int64 { return g.get().consumers.byNo[no].active }

// AddConsumer makes a consumer that there is not, and that was never active.
func (g *StreamGroup) AddConsumer(name []byte, seen int64) (no uint32) {
	s := g.own().ownConsumers()
	c := &streamConsumer{refs: 1, name: string(name), seen: seen, active: NeverActive}
	if k := len(s.spare); k > 0 {
		c.no = s.spare[k-1]
		s.spare = s.spare[:k-1]
		s.byNo[c.no] = c
	} else {
		c.no = uint32(len(s.byNo))
		s.byNo = append(s.byNo, c)
	}
	i, _ := s.find(c.name)
	s.list = slices.Insert(s.list, i, c)
	g.s.o.charge(memberBytes + int64(len(name)))
	return c.no
}

// Saw records when a consumer was last heard of.
func (g *StreamGroup) Saw(no uint32, now int64) {
	if g.get().consumers.byNo[no].seen != now {
		g.s.o.ownConsumer(g.own(), no).seen = now
	}
}

// Served records when a consumer got or claimed an entry.
func (g *StreamGroup) Served(no uint32, at int64) {
	if g.get().consumers.byNo[no].active != at {
		g.s.o.ownConsumer(g.own(), no).active = at
	}
}

// DeleteConsumer removes a consumer with its pending entries.
func (g *StreamGroup) DeleteConsumer(no uint32) {
	own, o := g.own(), g.s.o
	s := own.ownConsumers()
	c := s.byNo[no]
	switch {
	case c.pending.n == own.pending.n: // nothing else is pending
		o.mem.drop(own.pending.root)
		own.pending = idTree{}
	case c.pending.n*keepShare >= own.pending.n:
		o.mem.delWhere(&own.pending, func(v []byte) bool { return binary.LittleEndian.Uint32(v[16:]) == no })
	default:
		for at := o.mem.from(&c.pending, StreamID{}); at.valid(); at.next() {
			o.mem.del(&own.pending, at.id())
		}
	}
	i, _ := s.find(c.name)
	s.list = slices.Delete(s.list, i, i+1)
	s.byNo[no] = nil
	s.spare = append(s.spare, no)
	o.dropConsumer(c)
	o.sweepLater()
}

// keepShare: when a consumer has one in so many of its group's pending entries, it is faster to look through all of them than
// to look for its own.
const keepShare = 16

func pendingOf(v []byte) Pending {
	return Pending{int64(binary.LittleEndian.Uint64(v)), binary.LittleEndian.Uint64(v[8:]), binary.LittleEndian.Uint32(v[16:])}
}

// Find returns a pending entry.
func (g *StreamGroup) Find(id StreamID) (Pending, bool) {
	v := g.s.o.mem.find(&g.get().pending, id)
	if v == nil {
		return Pending{}, false
	}
	return pendingOf(v), true
}

// Assign makes an entry pending, or changes how it is; perhaps it comes from another consumer.
func (g *StreamGroup) Assign(id StreamID, p Pending) {
	own, o := g.own(), g.s.o
	had := o.setPending(own, id, p)
	if had == p.Consumer {
		return
	}
	if had != 0 {
		o.mem.del(&o.ownConsumer(own, had).pending, id)
	}
	o.mem.put(&o.ownConsumer(own, p.Consumer).pending, 0, id)
}

// setPending changes what the group knows of an entry, and returns whose it was, 0 for nobody's.
func (o *streamObject) setPending(own *streamGroup, id StreamID, p Pending) (had uint32) {
	v, created := o.mem.put(&own.pending, pendingVal, id)
	if !created {
		had = pendingOf(v).Consumer
	}
	binary.LittleEndian.PutUint64(v, uint64(p.Time))
	binary.LittleEndian.PutUint64(v[8:], p.Count)
	binary.LittleEndian.PutUint32(v[16:], p.Consumer)
	return had
}

// Ack ends the waiting of an entry; false when it was not pending.
func (g *StreamGroup) Ack(id StreamID) bool {
	p, ok := g.Find(id)
	if !ok {
		return false
	}
	own, o := g.own(), g.s.o
	o.mem.del(&own.pending, id)
	if p.Consumer != 0 {
		o.mem.del(&o.ownConsumer(own, p.Consumer).pending, id)
	}
	return true
}

// Each calls fn for the pending entries of the group from an ID on, or of one consumer when no is not 0, until fn
// returns false. fn must not write.
func (g *StreamGroup) Each(from StreamID, no uint32, fn func(id StreamID, p Pending) bool) {
	own, mem := g.get(), &g.s.o.mem
	t := &own.pending
	if no != 0 {
		t = &own.consumers.byNo[no].pending
	}
	for c := mem.from(t, from); c.valid(); c.next() {
		v := c.val()
		if no != 0 {
			v = mem.find(&own.pending, c.id())
		}
		if !fn(c.id(), pendingOf(v)) {
			return
		}
	}
}

// Last is the greatest ID that is pending.
func (g *StreamGroup) Last() (StreamID, bool) {
	c := g.s.o.mem.upTo(&g.get().pending, MaxStreamID)
	if !c.valid() {
		return StreamID{}, false
	}
	return c.id(), true
}

var (
	errPendingTwice = errors.New("a stream's pending entry is there twice")
	errPendingAlien = errors.New("an entry of a stream's consumer is not pending in its group")
	errPendingLost  = errors.New("a pending entry of a stream has no consumer")
)

// LoadPending adds a pending entry of a snapshot whose consumer comes later.
func (g *StreamGroup) LoadPending(id StreamID, at int64, count uint64) error {
	own := g.own()
	v, created := g.s.o.mem.put(&own.pending, pendingVal, id)
	if !created {
		return errPendingTwice
	}
	binary.LittleEndian.PutUint64(v, uint64(at))
	binary.LittleEndian.PutUint64(v[8:], count)
	binary.LittleEndian.PutUint32(v[16:], 0)
	return nil
}

// LoadOwned says whose a pending entry is.
func (g *StreamGroup) LoadOwned(no uint32, id StreamID) error {
	own, o := g.own(), g.s.o
	v := o.mem.edit(&own.pending, id)
	if v == nil || binary.LittleEndian.Uint32(v[16:]) != 0 {
		return errPendingAlien
	}
	binary.LittleEndian.PutUint32(v[16:], no)
	o.mem.put(&o.ownConsumer(own, no).pending, 0, id)
	return nil
}

// LoadDone ends the loading of a group.
func (g *StreamGroup) LoadDone() error {
	n := 0
	g.EachConsumer(func(_ uint32, _ string, _ int64, pending int) { n += pending })
	if n != g.Len() {
		return errPendingLost
	}
	return nil
}
