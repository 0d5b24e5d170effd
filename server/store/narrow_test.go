package store

import (
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"testing"
)

// reading is one read under way of TestReadingsUnderWrites: what it has to give, and what it gave.
type reading struct {
	what      string
	ordered   bool
	want, got []string
	step      func() bool
	end       func()
}

type narrowWorld struct {
	t    *testing.T
	s    *Store
	r    *rand.Rand
	open []*reading
}

// imageOf collects a narrow cut.
type imageOf struct {
	recorder
	got *[]string
}

func (v *imageOf) Entry(_ int, e Entry)              { *v.got = append(*v.got, string(e.Key())) }
func (v *imageOf) BigPinned(uint64, int, Entry, int) {}
func (v *imageOf) BigOpen(uint64)                    {}
func (v *imageOf) BigClose(uint64)                   {}
func (v *imageOf) BigField(_ uint64, f Entry) {
	*v.got = append(*v.got, fieldText(f.Key(), f.Bytes(nil)))
}
func (v *imageOf) BigChunk(_ uint64, c Chunk) {
	c.Each(func(e Elem) bool { *v.got = append(*v.got, string(e.Bytes(nil))); return true })
}
func fieldText(k, v []byte) string                   { return string(k) + "=" + string(v) }
func memberText(member []byte, score float64) string { return fmt.Sprint(string(member), " ", score) }
func (w *narrowWorld) name() []byte                  { return []byte("m" + strconv.Itoa(w.r.Intn(900))) }
func (w *narrowWorld) db() *DB                       { return w.s.DB(0) }
func (w *narrowWorld) entry(key string) (e Entry, big bool) {
	e, ok := w.db().Peek([]byte(key))
	return e, ok && e.Size() > 0
}

// write changes something. The values are mostly big.
func (w *narrowWorld) write() {
	d, r := w.db(), w.r
	switch n := r.Intn(1000); {
	case n < 250:
		h, _ := d.HashForWrite([]byte("hash"))
		h.Set(w.name(), []byte(strconv.Itoa(r.Int())))
	case n < 300:
		if _, big := w.entry("hash"); big {
			h, _ := d.HashForWrite([]byte("hash"))
			h.Del(w.name())
		}
	case n < 400:
		s, _ := d.SetForWrite([]byte("set"))
		s.Add(w.name())
	case n < 450:
		if _, big := w.entry("set"); big {
			s, _ := d.SetForWrite([]byte("set"))
			s.Remove(w.name())
		}
	case n < 700:
		z, _ := d.ZSetForWrite([]byte("zset"))
		z.Set(w.name(), float64(r.Intn(40)-20))
	case n < 800:
		if _, big := w.entry("zset"); big {
			z, _ := d.ZSetForWrite([]byte("zset"))
			z.Del(w.name())
			if k := z.Len(); n < 705 && k > 10 {
				z.Cut(r.Intn(k-5), 5)
			}
		}
	case n < 900:
		l, _ := d.ListForWrite([]byte("list"))
		l.Push(n%2 == 0, append(w.name(), make([]byte, 20)...))
	case n < 950:
		if _, big := w.entry("list"); big {
			l, _ := d.ListForWrite([]byte("list"))
			l.Set(r.Intn(l.Len()), w.name())
		}
	case n < 980:
		d.SetString(w.name(), []byte("v"), 0)
	case n < 995:
		d.Delete(w.name())
	case n < 997:
		d.Delete([]byte([]string{"hash", "set", "zset", "list"}[r.Intn(4)]))
	case n < 998:
		d.Rename([]byte("zset"), []byte("zset2"))
		d.Delete([]byte("zset2"))
	case n < 999:
		w.s.SwapDB(0, 1)
	default:
		if r.Intn(3) == 0 {
			w.s.FlushAll()
		}
	}
	w.s.Reclaim(10)
	w.s.Defrag(5)
}

// begin starts a read of something and notes its image.
func (w *narrowWorld) begin() {
	o := &reading{}
	v := &imageOf{got: &o.got}
	key := []string{"hash", "set", "zset", "list", "keys"}[w.r.Intn(5)]
	e, big := w.entry(key)
	switch {
	case key == "keys":
		o.what = key
		w.db().EachKey(func(k []byte, _ Entry) bool { o.want = append(o.want, string(k)); return true })
		w.cut(o, w.db().CutKeys(v))
	case !big:
		return
	case key == "zset":
		w.beginZSet(o, e)
	case key == "list":
		o.what, o.ordered = key, true
		l := e.List()
		l.Each(0, false, func(x Elem) bool { o.want = append(o.want, string(x.Bytes(nil))); return true })
		w.cut(o, w.db().CutValues(v, e))
	case key == "hash":
		o.what = key
		h := e.Hash()
		h.Each(func(k, v []byte) bool { o.want = append(o.want, fieldText(k, v)); return true })
		w.cut(o, w.db().CutValues(v, e))
	default:
		o.what = key
		s := e.Set()
		s.Each(func(m []byte) bool { o.want = append(o.want, fieldText(m, nil)); return true })
		w.cut(o, w.db().CutValues(v, e))
	}
	w.open = append(w.open, o)
}

func (w *narrowWorld) cut(o *reading, c *Cut) {
	o.step, o.end = func() bool { return c.Step(1 + w.r.Intn(30)) }, c.End
}

func (w *narrowWorld) beginZSet(o *reading, e Entry) {
	z := e.ZSet()
	size := z.Len()
	rank, down := w.r.Intn(size), w.r.Intn(2) == 0
	n := 1 + w.r.Intn(size-rank)
	if down {
		n = 1 + w.r.Intn(rank+1)
	}
	o.what, o.ordered = fmt.Sprintf("zset from %d on, %d, down %v", rank, n, down), true
	z.Range(rank, n, down, func(m []byte, s float64) bool { o.want = append(o.want, memberText(m, s)); return true })
	r := z.Reading(rank, n, down)
	o.step = func() bool {
		return r.Step(1+w.r.Intn(30), func(m []byte, s float64) { o.got = append(o.got, memberText(m, s)) })
	}
	o.end = r.End
}

// goOn lets a read under way go on, and checks it when it is over. Some are given up.
func (w *narrowWorld) goOn() {
	i := w.r.Intn(len(w.open))
	o := w.open[i]
	over := o.step()
	if !over && w.r.Intn(100) > 0 {
		return
	}
	o.end()
	w.open = slices.Delete(w.open, i, i+1)
	if !over {
		return
	}
	if !o.ordered {
		slices.Sort(o.want)
		slices.Sort(o.got)
	}
	if !slices.Equal(o.want, o.got) {
		w.t.Fatalf("%s: read %d elements of %d; the first that differs: %s", o.what, len(o.got), len(o.want), whereTheyDiffer(o.want, o.got))
	}
}

func whereTheyDiffer(want, got []string) string {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			return fmt.Sprintf("%d: got %q too much", i, got[i])
		case i >= len(got):
			return fmt.Sprintf("%d: %q is missing", i, want[i])
		case want[i] != got[i]:
			return fmt.Sprintf("%d: want %q, got %q", i, want[i], got[i])
		}
	}
	return "none"
}

// TestReadingsUnderWrites: reads of keys and of big values that go on between writes give the image of the instant at
// which they began, also while a whole cut is under way, and whatever becomes of the keys meanwhile.
func TestReadingsUnderWrites(t *testing.T) {
	for seed := int64(1); seed <= 12; seed++ {
		if *seedFlag != 0 {
			seed = *seedFlag
		}
		t.Logf("seed %d", seed)
		s := New(Options{Seed: uint64(seed), Databases: 2})
		s.Config.HashMaxListpackEntries, s.Config.ZSetMaxListpackEntries, s.Config.SetMaxIntsetEntries = 8, 8, 8
		w := &narrowWorld{t: t, s: s, r: rand.New(rand.NewSource(seed))}
		w.run(*stepsFlag)
		if *seedFlag != 0 {
			return
		}
	}
}

func (w *narrowWorld) run(steps int) {
	var whole *Cut
	for range steps {
		for range 1 + w.r.Intn(10) {
			w.write()
		}
		if len(w.open) < 6 && w.r.Intn(4) == 0 {
			w.begin()
		}
		for range min(len(w.open), 4) {
			if len(w.open) > 0 {
				w.goOn()
			}
		}
		if whole == nil && w.r.Intn(50) == 0 {
			whole = w.s.BeginCut(newRecorder(w.t, 2))
		}
		if whole != nil && whole.Step(20) {
			whole.End()
			whole = nil
		}
	}
	for len(w.open) > 0 {
		w.goOn()
	}
	if whole != nil {
		whole.End()
	}
	if n := len(w.s.cuts); n > 0 {
		w.t.Fatalf("%d cuts were left", n)
	}
	for w.s.Reclaim(1000) {
	}
	audit(w.t, w.s)
}
