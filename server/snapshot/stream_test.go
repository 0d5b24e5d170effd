package snapshot

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/servertest/oracle"
	"github.com/understudy-db/understudy/server/store"
)

// streamText prints all that there is to know of a database's streams.
func streamText(d *store.DB) string {
	all := map[string]string{}
	d.EachKey(func(key []byte, e store.Entry) bool {
		if e.Kind() == store.StreamKind {
			s := e.Stream()
			all[string(key)] = oneStream(&s)
		}
		return true
	})
	return fmt.Sprint(all)
}

func oneStream(s *store.Stream) string {
	var b []byte
	b = fmt.Appendln(b, s.Len(), s.LastID(), s.FirstID(), s.MaxDeletedID(), s.Added())
	for it := s.Range(store.StreamID{}, store.MaxStreamID, false); ; {
		id, ok := it.Next()
		if !ok {
			break
		}
		b = fmt.Append(b, id)
		it.Each(func(n, v *listpack.Value) { b = append(v.Append(append(n.Append(append(b, ' ')), '=')), '\n') })
	}
	for i := range s.Groups() {
		g := s.GroupAt(i)
		b = fmt.Appendln(b, "group", g.Name(), g.LastID(), g.Read())
		g.EachConsumer(func(no uint32, name string, seen int64, pending int) {
			b = fmt.Appendln(b, "consumer", name, seen, pending)
			g.Each(store.StreamID{}, no, func(id store.StreamID, p store.Pending) bool {
				b = fmt.Appendln(b, id, p.Time, p.Count)
				return true
			})
		})
	}
	return string(b)
}

// mutateStream is one random write of a stream.
func mutateStream(d *store.DB, r *rand.Rand) {
	s, _ := d.StreamForWrite(fmt.Append(nil, "s", r.Intn(3)))
	last := s.LastID()
	id := store.StreamID{Ms: uint64(r.Int63n(int64(last.Ms + 1)))}
	switch n := r.Intn(20); {
	case n < 12:
		last.Ms++
		value := bytes.Repeat([]byte("v"), r.Intn(100))
		if r.Intn(200) == 0 {
			value = bytes.Repeat(value, 300)
		}
		s.Append(last, [][]byte{[]byte("field"), value, []byte("n"), fmt.Append(nil, r.Intn(1000))})
	case n < 14:
		s.Delete(id)
		s.FixFirstID()
	case n == 14 && r.Intn(20) == 0:
		s.Trim(&store.StreamTrim{MaxLen: uint64(s.Len() / 2)})
	default:
		name := fmt.Append(nil, "g", r.Intn(3))
		if !s.CreateGroup(name, last, -1) {
			g, _ := s.Group(name)
			who := fmt.Append(nil, "c", r.Intn(50))
			no, ok := g.Consumer(who)
			switch {
			case !ok:
				g.AddConsumer(who, int64(r.Intn(1e6)))
			case n == 15:
				g.Ack(id)
			default:
				g.Assign(id, store.Pending{Time: r.Int63(), Count: r.Uint64() >> r.Intn(64), Consumer: no})
			}
		}
	}
}

func streams(seed int64, n int) (*store.Store, *rand.Rand) {
	r := rand.New(rand.NewSource(seed))
	st := store.New(store.Options{Seed: uint64(seed), Databases: 4})
	for range n {
		mutateStream(st.DB(0), r)
	}
	return st, r
}

// TestStreamsUnderWrites saves streams while they change and compares what is loaded with what they were at the cut.
func TestStreamsUnderWrites(t *testing.T) {
	st, r := streams(5, 20000)
	var lock mutex
	stop := writerOf(&lock, func() { mutateStream(st.DB(0), r) })
	var want string
	var w sink
	snap := Start(&lock, st, &w, Options{Spill: spillTo(t.TempDir()), AtCut: func() []Aux { want = streamText(st.DB(0)); return nil }})
	err := snap.Wait()
	stop()
	if err != nil {
		t.Fatal(err)
	}
	back := store.New(store.Options{Seed: 3, Databases: 4})
	if _, _, err := Load(bytes.NewReader(w.Bytes()), back, LoadOptions{Now: 1}); err != nil {
		t.Fatal(err)
	}
	if got := streamText(back.DB(0)); got != want {
		t.Fatalf("the streams differ: %d bytes of text, want %d", len(got), len(want))
	}
}

// TestStreamsBothWays lets a redis-server load ours and ours load what it saves.
func TestStreamsBothWays(t *testing.T) {
	oracle.NeedRedis(t)
	st, _ := streams(9, 3000)
	st.DB(0).StreamForWrite([]byte("empty"))
	var w sink
	if err := Save(st, &w, Options{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), w.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	redis := oracle.StartIn(t, dir)
	full := redis.Must("XINFO", "STREAM", "s1", "FULL", "COUNT", "0").String()
	s, _, _ := st.DB(0).Stream([]byte("s1"), 1)
	if want := fmt.Sprintf("\"length\" (integer) %d ", s.Len()); !strings.Contains(full, want) {
		t.Fatalf("redis-server finds something else than %s: %.300s", want, full)
	}
	redis.Must("SAVE")
	b, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	back := store.New(store.Options{Seed: 3, Databases: 4})
	if _, _, err := Load(bytes.NewReader(b), back, LoadOptions{Now: 1}); err != nil {
		t.Fatal(err)
	}
	if got, want := streamText(back.DB(0)), streamText(st.DB(0)); got != want {
		t.Fatalf("the streams differ: %d bytes of text, want %d", len(got), len(want))
	}
}

// streamFile is a file with one stream of the given type.
func streamFile(kind rdb.Type) []byte {
	lp := listpack.Begin(nil)
	for _, n := range []int64{1, 0, 1} {
		lp = listpack.AppendInt(lp, n)
	}
	lp = listpack.AppendInt(listpack.AppendString(lp, []byte("field")), 0)
	for _, n := range []int64{2, 0, 0, 77, 4} {
		lp = listpack.AppendInt(lp, n)
	}
	lp = listpack.Finish(lp, 0, 10)
	b := rdb.AppendMagic(nil, 11)
	b = rdb.AppendString(append(b, byte(kind)), []byte("s"), false)
	id := append(bytes.Repeat([]byte{0}, 7), 5, 0, 0, 0, 0, 0, 0, 0, 1) // 5-1
	b = rdb.AppendString(append(b, 1), id, false)
	b = rdb.AppendString(b, lp, false)
	b = append(b, 1, 5, 1) // length, last ID
	if kind != rdb.TypeStreamListpacks {
		b = append(b, 5, 1, 0, 0, 1) // first, greatest deleted, added
	}
	b = rdb.AppendString(append(b, 1), []byte("group"), false)
	b = append(b, 5, 1)
	if kind != rdb.TypeStreamListpacks {
		b = append(b, 1) // read
	}
	b = append(append(b, 1), id...)
	b = append(b, 9, 0, 0, 0, 0, 0, 0, 0, 3) // delivered at, times
	b = rdb.AppendString(append(b, 1), []byte("consumer"), false)
	b = append(b, 8, 0, 0, 0, 0, 0, 0, 0)
	if kind == rdb.TypeStreamListpacks3 {
		b = append(b, 7, 0, 0, 0, 0, 0, 0, 0)
	}
	b = append(append(b, 1), id...)
	return rdb.AppendEOF(b, 0, false)
}

func TestStreamsOfAllVersions(t *testing.T) {
	want := "1 {5 1} {5 1} {0 0} 1\n{5 1} field=77\ngroup group {5 1} 1\nconsumer consumer 8 1\n{5 1} 9 3\n"
	for _, kind := range []rdb.Type{rdb.TypeStreamListpacks, rdb.TypeStreamListpacks2, rdb.TypeStreamListpacks3} {
		st := store.New(store.Options{})
		if _, _, err := Load(bytes.NewReader(streamFile(kind)), st, LoadOptions{Now: 1}); err != nil {
			t.Errorf("type %d: %v", kind, err)
			continue
		}
		s, _, _ := st.DB(0).Stream([]byte("s"), 1)
		if got := oneStream(&s); got != want {
			t.Errorf("type %d:\n%s\nwant\n%s", kind, got, want)
		}
		active := int64(8) // when it was seen, where no more is known
		if kind == rdb.TypeStreamListpacks3 {
			active = 7
		}
		g := s.GroupAt(0)
		if no, _ := g.Consumer([]byte("consumer")); g.ActiveTime(no) != active {
			t.Errorf("type %d: the consumer was active at %d, want %d", kind, g.ActiveTime(no), active)
		}
	}
}

// TestDamagedStreams changes every bit of a file: what is accepted can be read, written and saved.
func TestDamagedStreams(t *testing.T) {
	file, refused := streamFile(rdb.TypeStreamListpacks2), 0
	for i := range file {
		for bit := range 8 {
			bad := bytes.Clone(file)
			bad[i] ^= 1 << bit
			st := store.New(store.Options{})
			if _, _, err := Load(bytes.NewReader(bad), st, LoadOptions{Now: 1, NoChecksum: true}); err != nil {
				refused++
				continue
			}
			useStreams(st)
		}
	}
	if refused < 4*len(file) {
		t.Errorf("%d of %d damaged files are refused", refused, 8*len(file))
	}
}

// useStreams does everything with whatever streams there are.
func useStreams(st *store.Store) {
	for i := range st.Databases() {
		d := st.DB(i)
		var keys [][]byte
		d.EachKey(func(key []byte, e store.Entry) bool {
			if e.Kind() == store.StreamKind {
				keys = append(keys, bytes.Clone(key))
			}
			return true
		})
		streamText(d)
		for _, k := range keys {
			s, _ := d.StreamForWrite(k)
			if id, ok := s.LastID().Next(); ok {
				s.Append(id, [][]byte{[]byte("a"), []byte("b")})
			}
			if id, ok := s.Edge(true, true); ok {
				s.Delete(id)
				s.FixFirstID()
			}
			for g := range s.Groups() {
				group := s.GroupAt(g)
				group.Assign(store.StreamID{Ms: 1}, store.Pending{Consumer: group.AddConsumer([]byte("new"), 1)})
			}
		}
	}
	_ = Save(st, &sink{}, Options{})
}
