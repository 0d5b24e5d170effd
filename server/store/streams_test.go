package store

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
)

// streamModel is a stream as plain data.
type streamModel struct {
	entries           []streamEntry
	last, first, maxD StreamID
	added             uint64
	groups            map[string]*groupModel
}

type streamEntry struct {
	id     StreamID
	fields string
}

type groupModel struct {
	last      StreamID
	read      int64
	pending   map[StreamID]pendingModel
	consumers map[string]int64
}

type pendingModel struct {
	time  int64
	count uint64
	owner string
}

func (m *streamModel) clone() *streamModel {
	c := *m
	c.entries = slices.Clone(m.entries)
	c.groups = map[string]*groupModel{}
	for name, g := range m.groups {
		n := *g
		n.pending, n.consumers = maps.Clone(g.pending), maps.Clone(g.consumers)
		c.groups[name] = &n
	}
	return &c
}

// dump prints a model so that equal ones are equal strings.
func (m *streamModel) dump() string {
	var b strings.Builder
	fmt.Fprintln(&b, m.last, m.first, m.maxD, m.added, len(m.entries))
	for _, e := range m.entries {
		fmt.Fprintln(&b, e.id, e.fields)
	}
	for _, name := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[name]
		fmt.Fprintln(&b, "group", name, g.last, g.read)
		for _, id := range slices.SortedFunc(maps.Keys(g.pending), StreamID.Compare) {
			fmt.Fprintln(&b, id, g.pending[id])
		}
		for _, c := range slices.Sorted(maps.Keys(g.consumers)) {
			fmt.Fprintln(&b, c, g.consumers[c])
		}
	}
	return b.String()
}

// readStream makes a model of a stream through its reading handle.
func readStream(t *testing.T, s *Stream) *streamModel {
	t.Helper()
	m := &streamModel{last: s.LastID(), first: s.FirstID(), maxD: s.MaxDeletedID(), added: s.Added(), groups: map[string]*groupModel{}}
	for it := s.Range(StreamID{}, MaxStreamID, false); ; {
		id, ok := it.Next()
		if !ok {
			break
		}
		m.entries = append(m.entries, streamEntry{id, fieldsOf(&it)})
	}
	back := []StreamID{}
	for it := s.Range(StreamID{}, MaxStreamID, true); ; {
		id, ok := it.Next()
		if !ok {
			break
		}
		back = append(back, id)
	}
	slices.Reverse(back)
	if s.Len() != len(m.entries) || len(back) != len(m.entries) {
		t.Fatalf("length %d, %d entries forward, %d backward", s.Len(), len(m.entries), len(back))
	}
	for i := range s.Groups() {
		g := s.GroupAt(i)
		gm := &groupModel{last: g.LastID(), read: g.Read(), pending: map[StreamID]pendingModel{}, consumers: map[string]int64{}}
		m.groups[g.Name()] = gm
		g.Each(StreamID{}, 0, func(id StreamID, p Pending) bool {
			gm.pending[id] = pendingModel{p.Time, p.Count, g.ConsumerName(p.Consumer)}
			return true
		})
		if g.Len() != len(gm.pending) {
			t.Fatalf("group %s: %d pending, %d given", g.Name(), g.Len(), len(gm.pending))
		}
		owned := 0
		g.EachConsumer(func(no uint32, name string, seen int64, pending int) {
			gm.consumers[name] = seen
			g.Each(StreamID{}, no, func(id StreamID, p Pending) bool {
				if p.Consumer != no || gm.pending[id].owner != name {
					t.Fatalf("%v of %s belongs to another", id, name)
				}
				owned++
				return true
			})
		})
		if owned != g.Len() {
			t.Fatalf("group %s: %d pending, %d owned", g.Name(), g.Len(), owned)
		}
	}
	return m
}

func fieldsOf(it *StreamRange) string {
	var b []byte
	it.Each(func(name, value *listpack.Value) {
		b = append(append(name.Append(b), '='), ' ')
		b = append(value.Append(b), ';')
	})
	return string(b)
}

// streamSink loads a cut's parts into a stream of another store.
type streamSink struct {
	t     *testing.T
	d     *DB
	key   []byte
	group StreamGroup
	owner uint32
	s     Stream
	left  int
	done  bool
}

func (k *streamSink) Entry(_ int, e Entry) {
	k.BigOpen(0)
	s := e.Stream()
	new(StreamImage).Each(&s, func(p *StreamPart) { k.StreamPart(0, p) })
	k.BigClose(0)
}
func (k *streamSink) BigPinned(uint64, int, Entry, int)  {}
func (k *streamSink) BigField(uint64, Entry)             { k.t.Fatal("a field") }
func (k *streamSink) BigChunk(uint64, Chunk)             { k.t.Fatal("a chunk") }
func (k *streamSink) BigOpen(uint64)                     { k.s, _ = k.d.StreamForWrite(k.key) }
func (k *streamSink) BigClose(uint64)                    { k.closeGroup(); k.done = true }
func (k *streamSink) StreamPart(_ uint64, p *StreamPart) { k.must(k.load(p)) }
func (k *streamSink) must(err error) {
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *streamSink) closeGroup() {
	if k.group.s != nil {
		k.must(k.group.LoadDone())
	}
}

func (k *streamSink) load(p *StreamPart) error {
	k.s, _ = k.d.StreamForWrite(k.key)
	switch p.Kind {
	case StreamHead:
		k.left = int(p.N)
	case StreamChunk:
		k.left--
		return k.s.LoadChunk(p.ID, bytes.Clone(p.Chunk))
	case StreamState:
		if k.left != 0 {
			k.t.Fatalf("%d chunks are missing", k.left)
		}
		return k.s.LoadCounters(p.N, p.ID, p.MaxDeleted, &p.First, p.Added)
	case StreamGroupPart:
		k.closeGroup()
		k.s.CreateGroup([]byte(p.Name), p.ID, p.Read)
		g, _ := k.s.Group([]byte(p.Name))
		k.group = StreamGroup{&k.s, g.i}
	case StreamPending:
		return k.group.LoadPending(p.ID, p.Time, p.N)
	case StreamOwner:
		k.owner = k.group.AddConsumer([]byte(p.Name), p.Time)
	case StreamOwned:
		return k.group.LoadOwned(k.owner, p.ID)
	}
	return nil
}

// streamWorld drives a stream and its model.
type streamWorld struct {
	t    *testing.T
	r    *rand.Rand
	s    *Store
	d    *DB
	key  []byte
	m    *streamModel
	cuts []*streamCut
	now  int64
}

type streamCut struct {
	cut  *Cut
	sink *streamSink
	to   *Store
	want *streamModel
}

func (w *streamWorld) model() *streamModel {
	if w.m == nil {
		w.m = &streamModel{groups: map[string]*groupModel{}}
	}
	return w.m
}

func (w *streamWorld) stream() *Stream {
	w.model()
	s, wrong := w.d.StreamForWrite(w.key)
	if wrong {
		w.t.Fatal("wrong type")
	}
	return &s
}

func (w *streamWorld) fields() (args [][]byte, text string) {
	n := 1 + w.r.Intn(3)
	if w.r.Intn(4) > 0 {
		n = 2
	}
	var b strings.Builder
	for i := range n {
		name := fmt.Sprintf("f%d", i)
		if w.r.Intn(10) == 0 {
			name = fmt.Sprint(w.r.Intn(1000))
		}
		value := fmt.Sprint(w.r.Int63() >> w.r.Intn(63))
		switch w.r.Intn(60) {
		case 0:
			value = strings.Repeat("v", w.r.Intn(6000))
		case 1:
			value = strings.Repeat("v", w.r.Intn(60000))
		case 2, 3, 4, 5, 6:
			value = strings.Repeat("x", w.r.Intn(200))
		}
		args = append(args, []byte(name), []byte(value))
		fmt.Fprintf(&b, "%s= %s;", name, value)
	}
	return args, b.String()
}

func (w *streamWorld) someID() StreamID {
	if len(w.m.entries) > 0 && w.r.Intn(8) > 0 {
		return w.m.entries[w.r.Intn(len(w.m.entries))].id
	}
	return StreamID{uint64(w.r.Intn(1000)), uint64(w.r.Intn(5))}
}

func (m *streamModel) fix() {
	m.first = StreamID{}
	if len(m.entries) > 0 {
		m.first = m.entries[0].id
	}
}

func (w *streamWorld) step() {
	w.now++
	s := w.stream()
	m := w.m
	switch op := w.r.Intn(100); {
	case op < 40:
		id := m.last
		if w.r.Intn(2) == 0 {
			id.Ms += uint64(w.r.Intn(3))
		}
		id.Seq += 1 + uint64(w.r.Intn(3))
		args, text := w.fields()
		s.Append(id, args)
		m.entries = append(m.entries, streamEntry{id, text})
		m.last = id
		m.added++
		m.fix()
	case op < 44:
		w.deleteAll(s)
	case op < 50:
		id := w.someID()
		i := slices.IndexFunc(m.entries, func(e streamEntry) bool { return e.id == id })
		if s.Delete(id) != (i >= 0) {
			w.t.Fatalf("Delete(%v) is wrong: %d", id, i)
		}
		if i >= 0 {
			m.entries = slices.Delete(m.entries, i, i+1)
			s.FixFirstID()
			m.fix()
		}
	case op < 53:
		w.trim(s)
	case op < 55:
		m.maxD = StreamID{w.r.Uint64() >> 1, 0}
		m.added += 5
		s.SetCounters(m.last, m.maxD, m.added)
	case op == 55 && w.r.Intn(8) == 0:
		w.d.Delete(w.key)
		w.m = nil
	case op < 57:
		to := fmt.Appendf(nil, "s%d", w.r.Intn(9))
		if w.r.Intn(2) == 0 {
			w.d.Rename(w.key, to)
		} else {
			w.d.Copy(w.key, to, w.d)
			if !bytes.Equal(w.key, to) {
				w.d.Delete(w.key)
			}
		}
		w.key = to
	default:
		w.stepGroup(s)
	}
}

// someIDs are IDs of which some are twice, perhaps of very many entries.
func (w *streamWorld) someIDs() (ids []StreamID) {
	for range w.r.Intn([]int{3, 20, 300}[w.r.Intn(3)]) {
		ids = append(ids, w.someID())
	}
	if len(w.m.entries) > 0 && w.r.Intn(4) == 0 {
		from := w.r.Intn(len(w.m.entries))
		for _, e := range w.m.entries[from:] {
			ids = append(ids, e.id)
		}
	}
	return ids
}

func (w *streamWorld) deleteAll(s *Stream) {
	m, ids := w.m, w.someIDs()
	var want, got []StreamID
	m.entries = slices.DeleteFunc(m.entries, func(e streamEntry) bool {
		is := slices.Contains(ids, e.id)
		if is {
			want = append(want, e.id)
		}
		return is
	})
	if n := s.DeleteAll(SortIDs(ids), func(id StreamID) { got = append(got, id) }); n != len(want) || !slices.Equal(got, want) {
		w.t.Fatalf("DeleteAll removed %d, %v, want %v", n, got, want)
	}
	s.FixFirstID()
	m.fix()
}

func (w *streamWorld) trim(s *Stream) {
	m := w.m
	t := StreamTrim{MaxLen: uint64(w.r.Intn(len(m.entries) + 2))}
	cut := max(len(m.entries)-int(t.MaxLen), 0)
	if w.r.Intn(2) == 0 {
		id := w.someID()
		t.MinID = &id
		cut = len(m.entries)
		for i, e := range m.entries {
			if e.id.Compare(id) >= 0 {
				cut = i
				break
			}
		}
	}
	if w.r.Intn(3) == 0 {
		t.Whole = true
		n := s.Trim(&t)
		if int(n) > cut {
			w.t.Fatalf("trimmed %d of at most %d", n, cut)
		}
		cut = int(n)
	} else if n := s.Trim(&t); int(n) != cut {
		w.t.Fatalf("trimmed %d, want %d", n, cut)
	}
	m.entries = slices.Delete(m.entries, 0, cut)
	m.fix()
}

func (w *streamWorld) stepGroup(s *Stream) {
	m := w.m
	name := fmt.Sprintf("g%d", w.r.Intn(4))
	gm := m.groups[name]
	if gm == nil {
		if !s.CreateGroup([]byte(name), m.last, 7) {
			w.t.Fatal("a group is there that should not")
		}
		m.groups[name] = &groupModel{last: m.last, read: 7, pending: map[StreamID]pendingModel{}, consumers: map[string]int64{}}
		return
	}
	g, ok := s.Group([]byte(name))
	if !ok {
		w.t.Fatal("a group is missing")
	}
	owner := fmt.Sprintf("c%d", w.r.Intn(5))
	no, ok := g.Consumer([]byte(owner))
	if _, has := gm.consumers[owner]; has != ok {
		w.t.Fatalf("consumer %s: %v, want %v", owner, ok, has)
	}
	if !ok {
		no = g.AddConsumer([]byte(owner), w.now)
		gm.consumers[owner] = w.now
	}
	switch op := w.r.Intn(30); {
	case op == 0 && w.r.Intn(6) == 0:
		s.DestroyGroup([]byte(name))
		delete(m.groups, name)
	case op == 1 && w.r.Intn(3) == 0:
		g.DeleteConsumer(no)
		delete(gm.consumers, owner)
		maps.DeleteFunc(gm.pending, func(_ StreamID, p pendingModel) bool { return p.owner == owner })
	case op < 4:
		gm.last, gm.read = w.someID(), int64(w.r.Intn(50))
		g.Set(gm.last, gm.read)
	case op < 6:
		g.Saw(no, w.now)
		gm.consumers[owner] = w.now
	case op < 9:
		ids, n := w.someIDs(), len(gm.pending)
		for _, id := range ids {
			delete(gm.pending, id)
		}
		if got := g.AckAll(SortIDs(ids)); got != n-len(gm.pending) {
			w.t.Fatalf("AckAll ended %d, want %d", got, n-len(gm.pending))
		}
	case op < 12:
		for range w.r.Intn(20) {
			id := w.someID()
			_, has := gm.pending[id]
			if g.Ack(id) != has {
				w.t.Fatalf("Ack(%v) is not %v", id, has)
			}
			delete(gm.pending, id)
		}
	case op < 18:
		var moves Moves
		for _, id := range w.someIDs() {
			p := Pending{Time: w.now, Count: uint64(w.r.Intn(9)), Consumer: no}
			g.AssignLater(&moves, id, p)
			gm.pending[id] = pendingModel{p.Time, p.Count, owner}
		}
		g.End(&moves)
	default:
		for range w.r.Intn(40) {
			id := w.someID()
			p := Pending{Time: w.now, Count: uint64(w.r.Intn(9)), Consumer: no}
			g.Assign(id, p)
			gm.pending[id] = pendingModel{p.Time, p.Count, owner}
		}
	}
}

func (w *streamWorld) check() {
	w.t.Helper()
	if w.m == nil {
		return
	}
	s, ok, _ := w.d.Stream(w.key, w.now)
	if !ok {
		w.t.Fatal("the stream is gone")
	}
	if got, want := readStream(w.t, &s).dump(), w.m.dump(); got != want {
		w.t.Fatalf("the stream differs:\n%s", firstDifference(got, want))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got %.300s\nwant %.300s", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func (w *streamWorld) begin() {
	to := New(Options{Databases: 1, Partitions: 1})
	c := &streamCut{to: to, sink: &streamSink{t: w.t, d: to.DB(0), key: []byte("image")}}
	if w.m != nil {
		c.want = w.m.clone()
	}
	c.cut = w.s.BeginCut(c.sink)
	w.cuts = append(w.cuts, c)
}

func (w *streamWorld) walk(c *streamCut, n int) (done bool) {
	if !c.cut.Step(n) {
		return false
	}
	c.cut.End()
	if c.sink.done != (c.want != nil) {
		w.t.Fatalf("the cut gave a stream: %v", c.sink.done)
	}
	if c.want == nil {
		return true
	}
	s, _, _ := c.to.DB(0).Stream([]byte("image"), 0)
	if got, want := readStream(w.t, &s).dump(), c.want.dump(); got != want {
		w.t.Fatalf("the image differs:\n%s", firstDifference(got, want))
	}
	return true
}

// TestStreamsMetamorphic drives a stream beside a model, with cuts under way, defragmentation and reclaiming.
func TestStreamsMetamorphic(t *testing.T) {
	seeds := []int64{1, 2, 3}
	if *seedFlag != 0 {
		seeds = []int64{*seedFlag}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := New(Options{Databases: 2, Partitions: 2, Seed: uint64(seed)})
			s.fragSlack = 0
			w := &streamWorld{t: t, r: rand.New(rand.NewSource(seed)), s: s, d: s.DB(0), key: []byte("s0")}
			s.Config.StreamNodeMaxEntries = int64(w.r.Intn(3) * 20)
			for i := range *stepsFlag {
				w.step()
				if w.r.Intn(60) == 0 && len(w.cuts) < 3 {
					w.begin()
				}
				w.cuts = slices.DeleteFunc(w.cuts, func(c *streamCut) bool {
					if w.r.Intn(300) == 0 {
						c.cut.End()
						return true
					}
					return w.walk(c, 1+w.r.Intn(60))
				})
				s.little = []int{-1, 2000, littleBytes}[w.r.Intn(3)]
				s.pinned = []int64{0, pinBytes, pinnedMost}[w.r.Intn(3)]
				if w.r.Intn(10) == 0 {
					s.Reclaim(1 + w.r.Intn(50))
				}
				if w.r.Intn(10) == 0 {
					s.Defrag(1 + w.r.Intn(200))
				}
				if i%200 == 0 {
					w.check()
					if len(w.cuts) == 0 {
						audit(t, s)
					}
				}
			}
			for _, c := range w.cuts {
				for !w.walk(c, 100) {
				}
			}
			w.check()
			w.d.Delete(w.key)
			for s.Reclaim(100) {
			}
			audit(t, s)
			for s.Defrag(1000) {
			}
			if n := s.UsedBytes(); n > 4096 {
				t.Fatalf("%d bytes are left after all was deleted", n)
			}
		})
	}
}
