package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"runtime"
	"slices"
	"testing"
)

// scoreText is a score as a member's value in the model.
func scoreText(score float64) string {
	return string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(score)))
}

func membersOf(e Entry) map[string]string {
	m, z := map[string]string{}, e.ZSet()
	z.Each(func(member []byte, score float64) bool {
		m[string(member)] = scoreText(score)
		return true
	})
	return m
}

// zset changes a sorted set by members and by ranks, and compares its order and its borders with the model's.
func (w *world) zset(d *DB, m map[string]value, k []byte, old value, exists bool) {
	var z ZSet
	wrong := pick(w, z.ForWrite, z.Draft)(d, k)
	if wrong != (exists && old.kind != ZSetKind) {
		w.t.Fatal("wrong type")
	}
	if wrong {
		return
	}
	if !exists {
		old.kind, old.fields = ZSetKind, map[string]string{}
	}
	members := []int{10, 150, 150, 5000}[w.r.Intn(4)]
	for n := w.r.Intn(members); n >= 0; n-- {
		w.zsetMember(&z, old.fields, fmt.Appendf(nil, "m%d", w.r.Intn(members)))
	}
	sorted := sortedMembers(old.fields)
	if n := len(sorted); n > 0 && w.r.Intn(3) == 0 {
		from := w.r.Intn(n)
		if w.r.Intn(3) == 0 { // much, so that little stays
			from = w.r.Intn(1 + n/10)
			n = min(n-from, n-w.r.Intn(1+n/8))
		} else {
			n = min(n-from, w.r.Intn(100))
		}
		z.Cut(from, n)
		for _, it := range sorted[from : from+n] {
			delete(old.fields, it.member)
		}
		sorted = slices.Delete(sorted, from, from+n)
	}
	if w.r.Intn(4) == 0 {
		w.zsetDelAll(&z, old.fields, members)
		sorted = sortedMembers(old.fields)
	}
	checkZSet(w.t, w.r, &z, sorted)
	z.Store()
	m[string(k)] = old
	if len(old.fields) == 0 {
		d.Delete(k)
		delete(m, string(k))
	}
}

// zsetDelAll removes members by many: some are there, some are named twice.
func (w *world) zsetDelAll(z *ZSet, fields map[string]string, members int) {
	var names [][]byte
	for range w.r.Intn(1 + pick(w, 20, members)) {
		names = append(names, fmt.Appendf(nil, "m%d", w.r.Intn(members)))
	}
	if w.r.Intn(8) == 0 {
		for name := range fields {
			names = append(names, []byte(name))
		}
	}
	was := len(fields)
	for _, name := range names {
		delete(fields, string(name))
	}
	if n := z.DelAll(names); n != was-len(fields) {
		w.t.Fatalf("DelAll of %d removed %d, want %d", len(names), n, was-len(fields))
	}
}

func (w *world) zsetMember(z *ZSet, members map[string]string, name []byte) {
	_, has := members[string(name)]
	switch w.r.Intn(20) {
	case 0, 1, 2, 3, 4:
		if z.Del(name) != has {
			w.t.Fatal("Del")
		}
		delete(members, string(name))
		return
	case 5:
		name = append(name, w.fill(w.r.Intn(100))...)
		if w.r.Intn(40) == 0 {
			name = append(name, w.fill(w.r.Intn(20000))...)
		}
		_, has = members[string(name)]
	}
	score := someScore(w.r)
	was := members[string(name)]
	other := !has || scoreOf([]byte(was)) != score // an equal one stays: a zero keeps its sign
	if created, changed := z.Set(name, score); created == has || changed != other {
		w.t.Fatalf("Set of %.40q, there before: %v, with %x: %v, %v", name, has, was, created, changed)
	}
	if score == 0 { // in a small set it has no sign
		score, _ = z.Score(name)
	}
	if other {
		members[string(name)] = scoreText(score)
	}
}

func someScore(r *rand.Rand) float64 {
	switch r.Intn(8) {
	case 0:
		return []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), 5e-324, math.MaxFloat64}[r.Intn(6)]
	case 1:
		return r.NormFloat64()
	case 2:
		return float64(r.Int63() - r.Int63())
	case 3:
		return float64(float32(r.NormFloat64()))
	case 4:
		return float64(r.Intn(1<<17) - 1<<16)
	}
	return float64(r.Intn(20))
}

func sortedMembers(members map[string]string) (items []treeItem) {
	for m, s := range members {
		items = append(items, treeItem{score: scoreOf([]byte(s)), member: m})
	}
	slices.SortFunc(items, func(a, b treeItem) int { return a.compare(b.score, b.member) })
	return items
}

// checkZSet compares a sorted set with its members in order.
func checkZSet(t *testing.T, r *rand.Rand, z *ZSet, want []treeItem) {
	t.Helper()
	if z.Len() != len(want) {
		t.Fatalf("%d members, want %d", z.Len(), len(want))
	}
	i := 0
	z.Each(func(m []byte, s float64) bool {
		if want[i].member != string(m) || math.Float64bits(want[i].score) != math.Float64bits(s) {
			t.Fatalf("rank %d is %.40q %v, want %.40q %v", i, m, s, want[i].member, want[i].score)
		}
		i++
		return true
	})
	if i != len(want) {
		t.Fatalf("%d members in order, want %d", i, len(want))
	}
	if i == 0 {
		return
	}
	at := r.Intn(len(want))
	it := want[at]
	if rank, s, ok := z.Rank([]byte(it.member)); !ok || rank != at || s != it.score {
		t.Fatalf("the rank of %.40q is %d (%v), want %d", it.member, rank, ok, at)
	}
	from, _ := slices.BinarySearchFunc(want, it.score, func(a treeItem, s float64) int { return cmp.Compare(a.score, s) })
	to := from
	for to < len(want) && want[to].score == it.score {
		to++
	}
	if a, b := z.Before(ScoreBorder(it.score, false)), z.Before(ScoreBorder(it.score, true)); a != from || b != to {
		t.Fatalf("the members of score %v are %d to %d, want %d to %d", it.score, a, b, from, to)
	}
	n, down := r.Intn(200), at
	z.Range(at, n, true, func(m []byte, _ float64) bool {
		if want[down].member != string(m) {
			t.Fatalf("downwards from %d: %d is %.40q", at, down, m)
		}
		down--
		return true
	})
	if got := at - down; got != min(n, at+1) {
		t.Fatalf("%d members downwards from %d, want %d", got, at, min(n, at+1))
	}
}

// TestCutOfHugeZSet changes and cuts short a sorted set of many members while a cut is inside it.
func TestCutOfHugeZSet(t *testing.T) {
	const members = 60_000
	for _, end := range []string{"keep", "delete", "trim", "copy"} {
		t.Run(end, func(t *testing.T) {
			r := rand.New(rand.NewSource(1))
			s := New(Options{Seed: 1, Databases: 2})
			d, key := s.DB(0), []byte("huge")
			want := model{{"huge": {kind: ZSetKind, fields: map[string]string{}}}, {}}
			z, _ := d.ZSetForWrite(key)
			for i := range members {
				m := fmt.Sprint("m", i)
				z.Set([]byte(m), float64(i))
				want[0]["huge"].fields[m] = scoreText(float64(i))
			}
			rec := newRecorder(t, 2)
			cut := s.BeginCut(rec)
			for steps := 0; !cut.Step(64); steps++ {
				switch {
				case steps < 300:
					z, _ := d.ZSetForWrite(key)
					z.Set(fmt.Append(nil, "m", r.Intn(members)), r.Float64())
					z.Set(fmt.Append(nil, "new", steps), float64(steps))
				case steps == 301 && end == "delete":
					d.Delete(key)
				case steps == 301 && end == "trim":
					z, _ := d.ZSetForWrite(key)
					z.Cut(100, members/2)
				case steps == 301 && end == "copy":
					d.Copy(key, []byte("twin"), s.DB(1))
				}
				s.Reclaim(100)
				s.Defrag(100)
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

func TestZSetScanAndRandomReachEveryMember(t *testing.T) {
	for _, n := range []int{1, 100, 129, 3000} {
		s := New(Options{Seed: 1})
		z, _ := s.DB(0).ZSetForWrite([]byte("z"))
		for i := range n {
			z.Set(k(i), float64(i))
		}
		seen := map[string]bool{}
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			cursor = z.Scan(cursor, 10, func(m []byte, score float64) {
				if string(m) != string(k(int(score))) {
					t.Fatalf("member %s has score %v", m, score)
				}
				seen[string(m)] = true
			})
		}
		drawn := map[string]bool{}
		for i := range 30 * n {
			m, _ := z.Random(uint64(i))
			drawn[string(m)] = true
		}
		if len(seen) != n || len(drawn) != n {
			t.Fatalf("of %d members a scan gave %d, chance %d", n, len(seen), len(drawn))
		}
		if (z.obj != nil) != (n > 128) {
			t.Errorf("%d members in the wrong form", n)
		}
	}
}

// TestZSetHasNoPointerPerMember counts what the collector would have to look at.
func TestZSetHasNoPointerPerMember(t *testing.T) {
	objects := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapObjects
	}
	before := objects()
	s := New(Options{Seed: 1})
	z, _ := s.DB(0).ZSetForWrite([]byte("z"))
	const n = 1_000_000
	for i := range n {
		z.Set(fmt.Appendf(nil, "member:%d", i), float64(i*7919%n))
	}
	if more := objects() - before; more > n/50 {
		t.Errorf("%d objects on the heap for a sorted set of %d members", more, n)
	}
	per := float64(s.UsedBytes()) / n
	t.Logf("%.1f bytes a member", per)
	if per > 60 {
		t.Errorf("%.1f bytes a member of 14 bytes", per)
	}
	runtime.KeepAlive(s)
}

func BenchmarkZSetSmall(b *testing.B) {
	s := New(Options{Seed: 1})
	members := make([][]byte, 10)
	for i := range members {
		members[i] = fmt.Appendf(nil, "member:%02d", i)
	}
	for i := range b.N {
		z, _ := s.DB(0).ZSetForWrite(fmt.Appendf(nil, "z:%06d", i%100_000))
		for j, m := range members {
			z.Set(m, float64((i*7919+j*104729)%1000))
		}
	}
}
