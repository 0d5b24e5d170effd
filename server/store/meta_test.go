package store

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Int64("seed", 0, "run the metamorphic test with this seed alone")
	stepsFlag = flag.Int("steps", 4000, "operations per seed of the metamorphic test")
)

// value is the model's value: a string, or a value with elements: a hash's fields, a set's members without values, a
// sorted set's members with the eight bytes of their scores.
type value struct {
	kind   Kind
	str    string
	fields map[string]string
	expire int64
}

type model []map[string]value

func (m model) clone() model {
	out := make(model, len(m))
	for i := range m {
		out[i] = make(map[string]value, len(m[i]))
		for k, v := range m[i] {
			v.fields = maps.Clone(v.fields)
			out[i][k] = v
		}
	}
	return out
}

// recorder collects a cut's image and checks the visitor's protocol.
type recorder struct {
	t      *testing.T
	image  model
	hashes map[uint64]*recorded
	open   uint64
	blobs  map[*Blob]string
}

type recorded struct {
	db     int
	key    string
	v      value
	n      int
	closed bool
}

func newRecorder(t *testing.T, dbs int) *recorder {
	r := &recorder{t: t, hashes: map[uint64]*recorded{}, blobs: map[*Blob]string{}}
	for range dbs {
		r.image = append(r.image, map[string]value{})
	}
	return r
}

func (r *recorder) add(db int, key string, v value) {
	if _, twice := r.image[db][key]; twice {
		r.t.Fatalf("db %d key %.40q was delivered twice", db, key)
	}
	r.image[db][key] = v
}

func (r *recorder) bytesOf(e Entry) string {
	if b := e.Blob(); b != nil {
		if _, twice := r.blobs[b]; twice { // copies share blobs
			b.Release()
		}
		r.blobs[b] = string(b.Bytes())
	}
	return string(e.Bytes(nil))
}

func (r *recorder) Entry(db int, e Entry) {
	v := value{kind: e.Kind(), expire: e.ExpireAt()}
	switch v.kind {
	case String:
		v.str = r.bytesOf(e)
	case HashKind:
		v.fields = map[string]string{}
		h := e.Hash()
		h.Each(func(f, val []byte) bool { v.fields[string(f)] = string(val); return true })
	case ZSetKind:
		v.fields = membersOf(e)
	case ListKind:
		v.fields = elementsOf(e)
	case SetKind:
		v.fields = map[string]string{}
		h := e.Set()
		h.Each(func(m []byte) bool { v.fields[string(m)] = ""; return true })
	}
	r.add(db, string(e.Key()), v)
}

func (r *recorder) BigPinned(id uint64, db int, key Entry, n int) {
	h := &recorded{
		db: db, key: string(key.Key()), n: n,
		v: value{kind: key.Kind(), expire: key.ExpireAt(), fields: map[string]string{}},
	}
	r.hashes[id] = h
	r.add(db, h.key, h.v)
}

func (r *recorder) BigOpen(id uint64) {
	if r.open != 0 {
		r.t.Fatal("a hash was opened while another is open")
	}
	r.open = id
}

func (r *recorder) BigField(id uint64, f Entry) {
	h := r.hashes[id]
	name := string(f.Key())
	if _, twice := h.v.fields[name]; twice || h.closed {
		r.t.Fatalf("field %.40q of %q was delivered twice or late", name, h.key)
	}
	h.v.fields[name] = r.bytesOf(f)
}

func (r *recorder) BigChunk(id uint64, c Chunk) {
	if h := r.hashes[id]; h.v.kind != ListKind || r.open != id || h.closed {
		r.t.Fatalf("a chunk of a %s out of turn", h.v.kind)
	}
	r.listChunk(r.hashes[id], c)
}

func (r *recorder) StreamPart(id uint64, p *StreamPart) { r.t.Fatal("a part of a stream") }

func (r *recorder) BigClose(id uint64) {
	h := r.hashes[id]
	if r.open != id || h.closed || len(h.v.fields) != h.n {
		r.t.Fatalf("hash %q closed with %d of %d fields", h.key, len(h.v.fields), h.n)
	}
	h.closed, r.open = true, 0
}

func (r *recorder) finish(want model) {
	r.t.Helper()
	for _, h := range r.hashes {
		if !h.closed {
			r.t.Fatalf("hash %q was never closed", h.key)
		}
	}
	compare(r.t, "cut", r.image, want)
	for b, was := range r.blobs {
		if string(b.Bytes()) != was {
			r.t.Fatal("a pinned blob changed")
		}
		b.Release()
	}
}

func compare(t *testing.T, what string, got, want model) {
	t.Helper()
	for db := range want {
		for k, w := range want[db] {
			g, ok := got[db][k]
			if !ok || g.kind != w.kind || g.str != w.str || g.expire != w.expire || !maps.Equal(g.fields, w.fields) || (g.fields == nil) != (w.fields == nil) {
				t.Fatalf("%s: db %d key %.40q (there: %v): expire %d want %d, %d fields want %d, %d bytes want %d", what, db, k, ok,
					g.expire, w.expire, len(g.fields), len(w.fields), len(g.str), len(w.str))
			}
		}
		if len(got[db]) != len(want[db]) {
			t.Fatalf("%s: db %d has %d keys, want %d", what, db, len(got[db]), len(want[db]))
		}
	}
}

// world drives a store and its model side by side.
type world struct {
	t    *testing.T
	r    *rand.Rand
	s    *Store
	m    model
	now  int64
	cuts []*running
}

type running struct {
	cut  *Cut
	rec  *recorder
	want model
}

func (w *world) key() []byte {
	i := w.r.Intn(40)
	if w.r.Intn(3) == 0 {
		i = w.r.Intn(2000)
	}
	k := fmt.Appendf(nil, "k%d", i)
	if i%37 == 5 {
		k = append(k, bytes.Repeat([]byte("long"), 1500)...)
	}
	return k
}

func (w *world) bytes() []byte {
	switch w.r.Intn(12) {
	case 0:
		return fmt.Appendf(nil, "%d", w.r.Int63()-w.r.Int63())
	case 1:
		return w.fill(w.r.Intn(5000))
	case 2:
		return w.fill(16000 + w.r.Intn(1000))
	case 3:
		return w.fill(w.r.Intn(100000))
	}
	return w.fill(w.r.Intn(200))
}

func (w *world) fill(n int) []byte {
	b := make([]byte, n)
	c := byte(w.r.Intn(256))
	for i := range b {
		b[i] = c + byte(i)
	}
	return b
}

func (w *world) db() int { return w.r.Intn(len(w.m)) }

func (w *world) step() {
	i, k := w.db(), w.key()
	d, m := w.s.DB(i), w.m[i]
	old, exists := m[string(k)]
	switch op := w.r.Intn(100); {
	case op < 25:
		b, at := w.bytes(), []int64{0, KeepTTL, w.now + int64(w.r.Intn(3000))}[w.r.Intn(3)]
		d.SetString(k, b, at)
		if at == KeepTTL {
			at = old.expire
		}
		m[string(k)] = value{str: string(b), expire: at}
	case op < 33:
		if exists && old.kind != String {
			return
		}
		n := w.r.Intn(2 * (len(old.str) + 10))
		b := d.EditString(k, n)
		want := make([]byte, n)
		copy(want, old.str)
		if !bytes.Equal(b, want) {
			w.t.Fatalf("EditString(%d) of %d bytes gave something else", n, len(old.str))
		}
		if n > 0 {
			j := w.r.Intn(n)
			b[j], want[j] = 'E', 'E'
		}
		m[string(k)] = value{str: string(want), expire: old.expire}
	case op < 42:
		if d.Delete(k) != exists {
			w.t.Fatal("Delete")
		}
		delete(m, string(k))
	case op < 50:
		w.expiry(d, m, k, old, exists)
	case op < 58:
		w.transfer(i, k, old, exists)
	case op < 66:
		w.hash(d, m, k, old, exists)
	case op < 72:
		w.list(d, m, k, old, exists)
	case op < 78:
		w.zset(d, m, k, old, exists)
	case op < 86:
		w.set(d, m, k, old, exists)
	case op < 88:
		w.maintain()
		w.s.little = []int{-1, 500, littleBytes}[w.r.Intn(3)]
		w.s.pinned = []int64{0, 5 * pinBytes, pinnedMost}[w.r.Intn(3)]
	case op < 91:
		w.reshape()
	default:
		w.advance()
	}
}

func (w *world) expiry(d *DB, m map[string]value, k []byte, old value, exists bool) {
	switch w.r.Intn(3) {
	case 0:
		at := w.now + 1 + int64(w.r.Intn(3000))
		if d.SetExpire(k, at) != exists {
			w.t.Fatal("SetExpire")
		}
		if exists {
			old.expire = at
			m[string(k)] = old
		}
	case 1:
		if d.Persist(k) != (exists && old.expire != 0) {
			w.t.Fatal("Persist")
		}
		if exists {
			old.expire = 0
			m[string(k)] = old
		}
	default:
		w.now += int64(w.r.Intn(300))
		d.ExpireStep(w.now, w.r.Intn(3000), w.r.Intn(10), func(key []byte) {
			v, ok := m[string(key)]
			if !ok || v.expire == 0 || v.expire >= w.now {
				w.t.Fatalf("ExpireStep gave %.40q, which expires at %d, now %d", key, v.expire, w.now)
			}
			d.Delete(key)
			delete(m, string(key))
		})
	}
}

func (w *world) transfer(i int, k []byte, old value, exists bool) {
	j, k2 := w.db(), w.key()
	d, m := w.s.DB(i), w.m[i]
	old.fields = maps.Clone(old.fields)
	switch w.r.Intn(3) {
	case 0:
		if d.Rename(k, k2) != exists {
			w.t.Fatal("Rename")
		}
		if exists {
			delete(m, string(k))
			m[string(k2)] = old
		}
	case 1:
		if d.Copy(k, k2, w.s.DB(j)) != exists {
			w.t.Fatal("Copy")
		}
		if exists {
			w.m[j][string(k2)] = old
		}
	default:
		_, there := w.m[j][string(k)]
		if d.Move(k, w.s.DB(j)) != (exists && !there) {
			w.t.Fatal("Move")
		}
		if exists && !there {
			delete(m, string(k))
			w.m[j][string(k)] = old
		}
	}
}

// pick draws one of two ways to open a value for writing: in place, or as a draft.
func pick[F any](w *world, inPlace, draft F) F {
	if w.r.Intn(2) == 0 {
		return draft
	}
	return inPlace
}

func (w *world) hash(d *DB, m map[string]value, k []byte, old value, exists bool) {
	var h Hash
	wrong := pick(w, h.ForWrite, h.Draft)(d, k)
	if wrong != (exists && old.kind != HashKind) {
		w.t.Fatal("wrong type")
	}
	if wrong {
		return
	}
	if !exists {
		old.kind, old.fields = HashKind, map[string]string{}
	}
	fields := []int{10, 150, 150, 5000}[w.r.Intn(4)]
	for n := w.r.Intn(fields); n >= 0; n-- {
		f := fmt.Appendf(nil, "f%d", w.r.Intn(fields))
		_, has := old.fields[string(f)]
		if w.r.Intn(4) == 0 {
			if h.Del(f) != has {
				w.t.Fatal("Del")
			}
			delete(old.fields, string(f))
			continue
		}
		v := fmt.Appendf(nil, "%d", w.r.Int63())[:1+w.r.Intn(10)]
		if w.r.Intn(400) == 0 {
			v = w.bytes()
		}
		if h.Set(f, v) == has {
			w.t.Fatal("Set")
		}
		old.fields[string(f)] = string(v)
	}
	if h.Len() != len(old.fields) {
		w.t.Fatalf("a hash has %d fields, want %d", h.Len(), len(old.fields))
	}
	h.Store()
	m[string(k)] = old
	if len(old.fields) == 0 {
		d.Delete(k)
		delete(m, string(k))
	}
}

func (w *world) maintain() {
	w.s.Reclaim(w.r.Intn(2000))
	w.s.Defrag(w.r.Intn(2000))
}

// reshape is what moves whole keyspaces, and the start of cuts.
func (w *world) reshape() {
	switch op := w.r.Intn(20); {
	case op < 4:
		a, b := w.db(), w.db()
		w.s.SwapDB(a, b)
		w.m[a], w.m[b] = w.m[b], w.m[a]
	case op == 4:
		i := w.db()
		w.s.FlushDB(i)
		w.m[i] = map[string]value{}
	case op == 5 && w.r.Intn(3) == 0:
		w.s.FlushAll()
		for i := range w.m {
			w.m[i] = map[string]value{}
		}
	case op == 6 && w.r.Intn(3) == 0:
		n := w.s.Sibling()
		for i := range w.m {
			w.m[i] = map[string]value{}
			n.DB(i).Reserve(w.r.Intn(60000))
			for j := range w.r.Intn(3000) {
				k := fmt.Sprintf("k%d", j)
				n.DB(i).SetString([]byte(k), []byte("from the sibling"), 0)
				w.m[i][k] = value{str: "from the sibling"}
			}
		}
		w.s.Adopt(n)
	case op < 14 && len(w.cuts) < 3:
		rec := newRecorder(w.t, len(w.m))
		w.cuts = append(w.cuts, &running{w.s.BeginCut(rec), rec, w.m.clone()})
	}
}

// advance walks a cut on, seldom gives one up.
func (w *world) advance() {
	if len(w.cuts) == 0 {
		return
	}
	i := w.r.Intn(len(w.cuts))
	c := w.cuts[i]
	giveUp := w.r.Intn(200) == 0
	if !giveUp && !c.cut.Step(1+w.r.Intn(100)) {
		return
	}
	c.cut.End()
	if !giveUp {
		c.rec.finish(c.want)
	} else {
		for b := range c.rec.blobs {
			b.Release()
		}
	}
	w.cuts = append(w.cuts[:i], w.cuts[i+1:]...)
}

func (w *world) check() {
	w.t.Helper()
	got := newRecorder(w.t, len(w.m))
	for i := range w.m {
		d := w.s.DB(i)
		expires := 0
		d.EachKey(func(k []byte, e Entry) bool { got.Entry(i, e); return true })
		for k, v := range w.m[i] {
			if v.expire != 0 {
				expires++
			}
			if e, ok := d.Get([]byte(k), w.now); ok != (v.expire == 0 || v.expire >= w.now) || ok && string(e.Key()) != k {
				w.t.Fatalf("Get(%.40q) finds %v at %d, expiry %d", k, ok, w.now, v.expire)
			}
		}
		if d.Len() != len(w.m[i]) || d.Expires() != expires {
			w.t.Fatalf("db %d: Len %d want %d, Expires %d want %d", i, d.Len(), len(w.m[i]), d.Expires(), expires)
		}
	}
	compare(w.t, "store", got.image, w.m)
	for b := range got.blobs {
		b.Release()
	}
	audit(w.t, w.s)
}

func (w *world) run(steps int) {
	for i := range steps {
		w.step()
		if i%500 == 499 {
			w.check()
		}
	}
	for len(w.cuts) > 0 {
		w.advance()
	}
	w.check()
	w.s.FlushAll()
	for w.s.Reclaim(1000) {
	}
	if n := w.s.UsedBytes(); n != 0 {
		w.t.Fatalf("%d bytes are left after FLUSHALL", n)
	}
}

func TestMetamorphic(t *testing.T) {
	seeds := 12
	if testing.Short() || debug {
		seeds = 4
	}
	first := time.Now().UnixNano() % 1e9
	if *seedFlag != 0 {
		first, seeds = *seedFlag, 1
	}
	for seed := first; seed < first+int64(seeds); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			r := rand.New(rand.NewSource(seed))
			s := New(Options{Seed: uint64(seed), Databases: 3, Partitions: 1 << r.Intn(5)})
			s.fragSlack = int64(r.Intn(2)) * fragSlack
			s.Config.ListPlainElement = []int{0, 0, 9, 300}[r.Intn(4)]
			w := &world{t: t, r: r, s: s, m: make(model, 3), now: 1}
			for i := range w.m {
				w.m[i] = map[string]value{}
			}
			w.run(*stepsFlag)
		})
	}
}

// TestCutOfHugeHash changes, grows, renames and deletes a hash of many fields while a cut is inside it.
func TestCutOfHugeHash(t *testing.T) {
	const fields = 120_000
	for _, end := range []string{"keep", "delete", "rename", "flush", "overwrite"} {
		t.Run(end, func(t *testing.T) {
			r := rand.New(rand.NewSource(1))
			s := New(Options{Seed: 1, Databases: 2})
			d := s.DB(0)
			want := model{{"huge": {kind: HashKind, fields: map[string]string{}}}, {}}
			h, _ := d.HashForWrite([]byte("huge"))
			for i := range fields {
				f := fmt.Sprint("f", i)
				h.Set([]byte(f), []byte("before"))
				want[0]["huge"].fields[f] = "before"
			}
			rec := newRecorder(t, 2)
			cut := s.BeginCut(rec)
			for steps := 0; !cut.Step(64); steps++ {
				if h, ok, _ := d.Hash([]byte("huge"), 0); ok && h.Len() < fields {
					t.Fatal("reads during a cut miss fields")
				}
				switch {
				case steps < 500:
					h, _ := d.HashForWrite([]byte("huge"))
					h.Set(fmt.Append(nil, "f", r.Intn(fields)), []byte("after"))
					h.Set(fmt.Append(nil, "new", steps), []byte("after"))
				case steps > 500:
				case end == "delete":
					d.Delete([]byte("huge"))
				case end == "rename":
					d.Rename([]byte("huge"), []byte("elsewhere"))
				case end == "flush":
					s.FlushAll()
				case end == "overwrite":
					d.SetString([]byte("huge"), []byte("a string now"), 0)
				}
				s.Reclaim(100)
			}
			cut.End()
			rec.finish(want)
			audit(t, s)
			s.FlushAll()
			for s.Reclaim(1000) {
			}
			if n := s.UsedBytes(); n != 0 {
				t.Fatalf("%d bytes left", n)
			}
		})
	}
}
