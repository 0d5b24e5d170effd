package store

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"strconv"
	"testing"
)

// member is a member of a set: integers of all widths, short texts, sometimes a long one.
func (w *world) member(spread int) []byte {
	n := w.r.Intn(spread)
	switch w.r.Intn(300) {
	case 0:
		return fmt.Appendf(nil, "%d", int64(n)<<40)
	case 1:
		return fmt.Appendf(nil, "-%d", n+40000)
	case 2:
		return w.fill(w.r.Intn(20000))
	case 3:
		return fmt.Appendf(nil, "m%d", n)
	}
	return strconv.AppendInt(nil, int64(n), 10)
}

func (w *world) set(d *DB, m map[string]value, k []byte, old value, exists bool) {
	var s Set
	wrong := pick(w, s.ForWrite, s.Draft)(d, k)
	if wrong != (exists && old.kind != SetKind) {
		w.t.Fatal("wrong type")
	}
	if wrong {
		return
	}
	if old.fields == nil {
		old.kind, old.fields = SetKind, map[string]string{}
	}
	if w.r.Intn(20) == 0 {
		s.Clear()
		clear(old.fields)
	}
	spread := []int{10, 150, 600, 5000}[w.r.Intn(4)]
	for n := w.r.Intn(spread); n >= 0; n-- {
		member := w.member(spread)
		if w.r.Intn(4) == 3 && s.Len() > 0 && w.r.Intn(2) == 0 {
			member = bytes.Clone(s.Random(w.r.Uint64(), nil))
		}
		_, has := old.fields[string(member)]
		if s.Has(member) != has {
			w.t.Fatalf("Has(%.40q) is %v", member, !has)
		}
		if w.r.Intn(4) == 0 {
			if s.Remove(member) != has {
				w.t.Fatal("Remove")
			}
			delete(old.fields, string(member))
		} else {
			if s.Add(member) == has {
				w.t.Fatal("Add")
			}
			old.fields[string(member)] = ""
		}
	}
	if n := s.Len(); n > 0 && w.r.Intn(4) == 0 {
		s.Take(w.r.Intn(n+1), w.r.Uint64, func(member []byte) {
			if _, has := old.fields[string(member)]; !has {
				w.t.Fatalf("%.40q is taken, and was not there", member)
			}
			delete(old.fields, string(member))
		})
	}
	if s.Len() != len(old.fields) {
		w.t.Fatalf("a set has %d members, want %d", s.Len(), len(old.fields))
	}
	s.Store()
	m[string(k)] = old
	if len(old.fields) == 0 {
		d.Delete(k)
		delete(m, string(k))
	}
}

// TestSetEncodings walks over every border between encodings.
func TestSetEncodings(t *testing.T) {
	long := bytes.Repeat([]byte("x"), setPackMember+1)
	for _, c := range []struct {
		name  string
		max   int
		build func(add func(m any))
		want  string
		typ   uint8
	}{
		{"integers", 512, func(add func(any)) { add(1); add(2) }, "intset", typeIntset},
		{"the last integer that fits", 4, func(add func(any)) { add(1); add(2); add(3); add(4) }, "intset", typeIntset},
		{"one integer too many", 4, func(add func(any)) { add(1); add(2); add(3); add(4); add(5) }, "hashtable", typeSetPack},
		{"no intsets", 0, func(add func(any)) { add(1) }, "hashtable", typeSetPack},
		{"a text", 512, func(add func(any)) { add("a") }, "hashtable", typeSetPack},
		{"a text behind integers", 512, func(add func(any)) { add(-1); add(70000); add("a") }, "hashtable", typeSetPack},
		{"not canonical", 512, func(add func(any)) { add("01") }, "hashtable", typeSetPack},
		{"a long text behind an integer", 512, func(add func(any)) { add(1); add(long) }, "hashtable", typeSetTable},
		{"many integers and a text", 512, func(add func(any)) {
			for i := range setPackEntries {
				add(i)
			}
			add("a")
		}, "hashtable", typeSetTable},
		{"many texts", 512, func(add func(any)) {
			for i := range setPackEntries + 1 {
				add(fmt.Sprint("m", i))
			}
		}, "hashtable", typeSetTable},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := New(Options{Seed: 1})
			st.Config.SetMaxIntsetEntries = c.max
			s, _ := st.DB(0).SetForWrite([]byte("s"))
			var want []string
			c.build(func(m any) {
				text := fmt.Sprintf("%v", m)
				if b, ok := m.([]byte); ok {
					text = string(b)
				}
				want = append(want, text)
				if !s.Add([]byte(text)) || s.Add([]byte(text)) {
					t.Fatalf("Add(%.20q)", text)
				}
			})
			var got []string
			s.Each(func(m []byte) bool { got = append(got, string(m)); return true })
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) || s.Encoding() != c.want || s.typ() != c.typ {
				t.Errorf("%d members, want %d; encoding %s, type %d", len(got), len(want), s.Encoding(), s.typ())
			}
			st.DB(0).SetExpire([]byte("s"), 77)
			s, _ = st.DB(0).SetForWrite([]byte("s"))
			s.Clear()
			s.Add([]byte("5"))
			if e, _ := st.DB(0).Peek([]byte("s")); e.ExpireAt() != 77 || s.Len() != 1 || c.max > 0 && e.Encoding() != "intset" {
				t.Error("Clear leaves something")
			}
			audit(t, st)
		})
	}
}

// TestIntsetWidths adds and removes integers around the borders of widths in random order.
func TestIntsetWidths(t *testing.T) {
	var edges []int64
	for _, e := range []int64{0, math.MinInt16, math.MaxInt16, math.MinInt32, math.MaxInt32} {
		edges = append(edges, e-1, e, e+1)
	}
	edges = append(edges, math.MinInt64, math.MinInt64+1, math.MaxInt64-1, math.MaxInt64)
	for seed := range int64(50) {
		r := rand.New(rand.NewSource(seed))
		st := New(Options{Seed: 1})
		s, _ := st.DB(0).SetForWrite([]byte("s"))
		want := map[int64]bool{}
		for range 200 {
			n := edges[r.Intn(len(edges))]
			text := strconv.AppendInt(nil, n, 10)
			if r.Intn(3) == 0 {
				if s.Remove(text) != want[n] {
					t.Fatalf("seed %d: Remove(%d)", seed, n)
				}
				delete(want, n)
			} else {
				if s.Add(text) == want[n] {
					t.Fatalf("seed %d: Add(%d)", seed, n)
				}
				want[n] = true
			}
		}
		var got []int64
		s.Each(func(m []byte) bool {
			n, _ := strconv.ParseInt(string(m), 10, 64)
			got = append(got, n)
			return true
		})
		if !slices.Equal(got, slices.Sorted(maps.Keys(want))) || s.Encoding() != "intset" {
			t.Fatalf("seed %d: %v", seed, got)
		}
	}
}

// TestSetRandomIsFair draws from each encoding, and from a table that was emptied but for a few.
func TestSetRandomIsFair(t *testing.T) {
	for _, c := range []struct {
		prefix  string
		n, left int
	}{{"", 10, 10}, {"", 300, 300}, {"m", 10, 10}, {"m", 100, 100}, {"m", 1000, 1000}, {"m", 20000, 200}} {
		st := New(Options{Seed: 3})
		s, _ := st.DB(0).SetForWrite([]byte("s"))
		for i := range c.n {
			s.Add(fmt.Append(nil, c.prefix, i))
		}
		for i := c.left; i < c.n; i++ {
			s.Remove(fmt.Append(nil, c.prefix, i))
		}
		const each = 100
		counts, r := map[string]int{}, rand.New(rand.NewSource(1))
		var scratch [24]byte
		for range each * c.left {
			counts[string(s.Random(r.Uint64(), scratch[:0]))]++
		}
		chi := 0.0
		for _, n := range counts {
			chi += float64((n-each)*(n-each)) / each
		}
		chi += float64(each * (c.left - len(counts)))
		if df := float64(c.left - 1); math.Abs(chi-df) > 6*math.Sqrt(2*df) {
			t.Errorf("%d members left of %d: chi square %.0f for %.0f degrees of freedom, %d were drawn", c.left, c.n, chi, df, len(counts))
		}
	}
}

// TestDefragKeepsTheHomeOfAnEmptyObject renames an empty stream into other partitions, so that its home has no keys.
func TestDefragKeepsTheHomeOfAnEmptyObject(t *testing.T) {
	st := New(Options{Seed: 1})
	d := st.DB(0)
	d.StreamForWrite([]byte("k0"))
	for i := range 20 {
		d.Rename(fmt.Append(nil, "k", i), fmt.Append(nil, "k", i+1))
		for st.Defrag(1000) {
		}
		e, ok := d.Get(fmt.Append(nil, "k", i+1), 0)
		if s := e.Stream(); !ok || s.Len() != 0 {
			t.Fatal("the stream is lost")
		}
	}
	d.Delete([]byte("k20"))
	for st.Defrag(1000) || st.Reclaim(1000) {
	}
	if n := st.UsedBytes(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}
