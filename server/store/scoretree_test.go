package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"
)

// treeModel is a scoreTree with entries of its own beside a sorted slice of the same members.
type treeModel struct {
	t     *testing.T
	p     *part
	tree  scoreTree
	items []treeItem
}

type treeItem struct {
	score  float64
	member string
	ref    uint32
}

func (a treeItem) compare(score float64, member string) int {
	switch {
	case a.score < score:
		return -1
	case a.score > score:
		return 1
	}
	return bytes.Compare([]byte(a.member), []byte(member))
}

func newTreeModel(t *testing.T) *treeModel {
	s := New(Options{Seed: 1})
	return &treeModel{t: t, p: s.DB(0).space.part(0), tree: scoreTree{owner: 7}}
}

// entry makes the entry of a member, as a table would.
func (m *treeModel) entry(score float64, member string) uint32 {
	ref, s := m.p.write([]byte(member), 0, false, form{typ: typeField, vlen: 8, clock: 7})
	binary.LittleEndian.PutUint64(m.p.slab.at(ref)[s.val:], math.Float64bits(score))
	return ref
}

func (m *treeModel) search(score float64, member string) (int, bool) {
	return slices.BinarySearchFunc(m.items, 0, func(a treeItem, _ int) int { return a.compare(score, member) })
}

func (m *treeModel) insert(score float64, member string) {
	i, there := m.search(score, member)
	if there {
		return
	}
	ref := m.entry(score, member)
	m.items = slices.Insert(m.items, i, treeItem{score, member, ref})
	m.tree.insert(m.p, score, ref)
}

func (m *treeModel) remove(i int) {
	it := m.items[i]
	if !m.tree.remove(m.p, it.score, []byte(it.member)) {
		m.t.Fatalf("member %d of %d was not removed", i, len(m.items))
	}
	m.p.slab.free(it.ref)
	m.items = slices.Delete(m.items, i, i+1)
}

// removeRange takes items out in runs.
func (m *treeModel) removeRange(from, n int) {
	for n > 0 {
		refs := m.tree.removeRun(m.p, nil, from, n)
		for i, ref := range refs {
			if m.items[from+i].ref != ref {
				m.t.Fatalf("a run from %d gave another member at %d", from, i)
			}
			m.p.slab.free(ref)
		}
		m.items = slices.Delete(m.items, from, from+len(refs))
		n -= len(refs)
	}
}

// check compares everything and walks the tree for its invariants.
func (m *treeModel) check() {
	m.t.Helper()
	if m.tree.count != len(m.items) {
		m.t.Fatalf("count %d, want %d", m.tree.count, len(m.items))
	}
	if m.tree.root != 0 {
		m.checkNode(m.tree.root, m.p.node(m.tree.root).level, true)
	}
	i := 0
	m.tree.each(m.p, 0, m.tree.count, false, func(score float64, ref uint32) bool {
		if it := m.items[i]; it.score != score || it.ref != ref {
			m.t.Fatalf("member %d is %v %d, want %v %q %d", i, score, ref, it.score, it.member, it.ref)
		}
		i++
		return true
	})
	if i != len(m.items) {
		m.t.Fatalf("a walk gave %d of %d", i, len(m.items))
	}
	slots := int64(0)
	m.tree.eachNode(m.p, func(ref uint32) { slots += int64(m.p.slab.size(ref)) })
	for _, it := range m.items {
		slots += int64(m.p.slab.size(it.ref))
	}
	if slots != m.p.slab.used {
		m.t.Fatalf("%d bytes in nodes and members, %d handed out", slots, m.p.slab.used)
	}
}

func (m *treeModel) checkNode(ref uint32, level uint8, root bool) (first row, weight uint32) {
	n := m.p.node(ref)
	if n.level != level || n.rows == 0 || n.rows > n.room || int(n.room) > maxRows(level) || n.owner != 7<<8|nodeMark {
		m.t.Fatalf("node %+v at level %d", n, level)
	}
	if n.level > 0 && root && n.rows == 1 {
		m.t.Fatal("a root with one child")
	}
	for i := range int(n.rows) {
		if n.level == 0 {
			continue
		}
		r := n.row(i)
		f, w := m.checkNode(r.child, level-1, false)
		if w != r.below || f.score != r.score || f.ref != r.ref {
			m.t.Fatalf("row %+v above a node with first %+v and %d members", r, f, w)
		}
	}
	return n.row(0), n.weight()
}

// probe compares ranks, borders and ranges at a random place.
func (m *treeModel) probe(r *rand.Rand, score func() float64, member func() string) {
	m.t.Helper()
	k := border{score: score(), member: []byte(member()), whole: r.Intn(2) == 0, behind: r.Intn(2) == 0}
	want := 0
	for _, it := range m.items {
		if it.score < k.score || it.score == k.score && (k.whole && k.behind || !k.whole && k.admits([]byte(it.member))) {
			want++
		}
	}
	if got := m.tree.rank(m.p, &k); got != want {
		m.t.Fatalf("rank of %+v is %d, want %d", k, got, want)
	}
	if len(m.items) == 0 {
		return
	}
	from, n, down := r.Intn(len(m.items)), r.Intn(300), r.Intn(2) == 0
	if s, ref := m.tree.at(m.p, from); s != m.items[from].score || ref != m.items[from].ref {
		m.t.Fatalf("at %d: %v %d", from, s, ref)
	}
	at, seen := from, 0
	m.tree.each(m.p, from, n, down, func(_ float64, ref uint32) bool {
		if m.items[at].ref != ref {
			m.t.Fatalf("each from %d, %d on: another member", from, seen)
		}
		if seen++; down {
			at--
		} else {
			at++
		}
		return true
	})
	left := len(m.items) - from
	if down {
		left = from + 1
	}
	if seen != min(n, left) {
		m.t.Fatalf("each gave %d, want %d", seen, min(n, left))
	}
}

func TestScoreTreeAgainstASortedSlice(t *testing.T) {
	kinds := map[string]func(r *rand.Rand, i int) (float64, string){
		"spread": func(r *rand.Rand, i int) (float64, string) { return r.NormFloat64(), fmt.Sprint(i) },
		"ties":   func(r *rand.Rand, i int) (float64, string) { return float64(r.Intn(4)), fmt.Sprint(r.Intn(5000)) },
		"lex":    func(r *rand.Rand, i int) (float64, string) { return 0, fmt.Sprint(r.Int63()) },
		"up":     func(r *rand.Rand, i int) (float64, string) { return float64(i), "m" + fmt.Sprint(i) },
		"down":   func(r *rand.Rand, i int) (float64, string) { return float64(-i), "m" + fmt.Sprint(i) },
		"edges": func(r *rand.Rand, i int) (float64, string) {
			return []float64{math.Inf(-1), math.Inf(1), 0, math.Copysign(0, -1), 5e-324, -1.5}[r.Intn(6)], fmt.Sprint(r.Intn(900))
		},
	}
	for name, make := range kinds {
		t.Run(name, func(t *testing.T) {
			for seed := range int64(4) {
				m := newTreeModel(t)
				r := rand.New(rand.NewSource(seed))
				if seed == 0 { // three levels
					for i := range 15_000 {
						m.insert(make(r, -i))
					}
				}
				m.live(r, make)
			}
		})
	}
}

// live grows and shrinks a tree in phases and empties it at last.
func (m *treeModel) live(r *rand.Rand, item func(r *rand.Rand, i int) (float64, string)) {
	const steps = 6000
	serial := 0
	add := func() {
		score, member := item(r, serial)
		serial++
		m.insert(score, member)
	}
	score := func() float64 { s, _ := item(r, r.Intn(serial+1)); return s }
	member := func() string { _, s := item(r, r.Intn(serial+1)); return s }
	for i := range steps {
		grow := 8 - 6*(i/1000%2) // phases of growth and of decline
		switch {
		case r.Intn(10) < grow || len(m.items) == 0:
			add()
		case r.Intn(50) == 0:
			from := r.Intn(len(m.items))
			m.removeRange(from, min(r.Intn(400), len(m.items)-from))
		default:
			m.remove(r.Intn(len(m.items)))
		}
		if r.Intn(20) == 0 {
			m.probe(r, score, member)
		}
		if i%500 == 0 {
			m.shuffle(r)
			m.check()
		}
	}
	m.check()
	for i := 0; len(m.items) > 0; i++ {
		if i%1000 == 0 {
			m.check()
		}
		m.remove(r.Intn(len(m.items)))
	}
	m.check()
	if m.tree.root != 0 || m.p.slab.used != 0 {
		m.t.Fatalf("an empty tree holds %d bytes", m.p.slab.used)
	}
}

// shuffle moves some members' entries and some nodes, as Defrag does.
func (m *treeModel) shuffle(r *rand.Rand) {
	for range min(20, len(m.items)) {
		it := &m.items[r.Intn(len(m.items))]
		ref := m.entry(it.score, it.member)
		m.tree.moved(m.p, it.score, it.ref, ref)
		m.p.slab.free(it.ref)
		it.ref = ref
	}
	var nodes []uint32
	m.tree.eachNode(m.p, func(ref uint32) { nodes = append(nodes, ref) })
	for _, ref := range nodes {
		if r.Intn(3) == 0 {
			m.tree.moveNode(m.p, ref)
		}
	}
}

func TestScoreTreeIgnoresScoresForLexBorders(t *testing.T) {
	m := newTreeModel(t)
	for i := range 1000 {
		m.insert(3, fmt.Sprintf("%04d", i))
	}
	for i := range 1000 {
		for _, behind := range []bool{false, true} {
			k := border{member: fmt.Appendf(nil, "%04d", i), lex: true, behind: behind}
			want := i
			if behind {
				want++
			}
			if got := m.tree.rank(m.p, &k); got != want {
				t.Fatalf("rank %d, want %d", got, want)
			}
		}
	}
}

func TestScoreTreeIsFreedInSteps(t *testing.T) {
	m := newTreeModel(t)
	for i := range 50_000 {
		m.insert(float64(i%1000), fmt.Sprint(i))
	}
	members := int64(0)
	for _, it := range m.items {
		members += int64(m.p.slab.size(it.ref))
	}
	steps := 0
	for m.tree.root != 0 {
		if left := m.tree.free(m.p, 10); left == 10 {
			t.Fatal("a step freed nothing")
		}
		steps++
	}
	if m.p.slab.used != members {
		t.Errorf("%d bytes of nodes are left", m.p.slab.used-members)
	}
	if steps < 50 {
		t.Errorf("freed in %d steps", steps)
	}
}

// The order costs little more than the 12 bytes a row that it must hold.
func TestScoreTreeBytes(t *testing.T) {
	for name, score := range map[string]func(r *rand.Rand, i int) float64{
		"up":     func(_ *rand.Rand, i int) float64 { return float64(i) },
		"down":   func(_ *rand.Rand, i int) float64 { return float64(-i) },
		"random": func(r *rand.Rand, _ int) float64 { return r.Float64() },
	} {
		m := newTreeModel(t)
		r := rand.New(rand.NewSource(1))
		const n = 200_000
		for i := range n {
			m.tree.insert(m.p, score(r, i), m.entry(0, fmt.Sprint(i)))
		}
		bytes := 0
		m.tree.eachNode(m.p, func(ref uint32) { bytes += m.p.slab.size(ref) })
		per := float64(bytes) / n
		t.Logf("%s: %.1f bytes a member", name, per)
		if per > 14.5 {
			t.Errorf("%s: %.1f bytes a member", name, per)
		}
	}
}

func BenchmarkScoreTreeInsert(b *testing.B) {
	s := New(Options{Seed: 1})
	p := s.DB(0).space.part(0)
	r := rand.New(rand.NewSource(1))
	tree := scoreTree{owner: 7}
	refs := make([]uint32, b.N)
	for i := range refs {
		refs[i], _ = p.write(fmt.Appendf(nil, "member:%d", i), 0, false, form{typ: typeField, vlen: 8, clock: 7})
	}
	b.ResetTimer()
	for i := range b.N {
		tree.insert(p, r.Float64(), refs[i])
	}
}

func BenchmarkScoreTreeRank(b *testing.B) {
	s := New(Options{Seed: 1})
	p := s.DB(0).space.part(0)
	r := rand.New(rand.NewSource(1))
	tree := scoreTree{owner: 7}
	for i := range 1_000_000 {
		ref, _ := p.write(fmt.Appendf(nil, "member:%d", i), 0, false, form{typ: typeField, vlen: 8, clock: 7})
		tree.insert(p, r.Float64(), ref)
	}
	b.ResetTimer()
	for range b.N {
		k := border{score: r.Float64(), whole: true}
		tree.rank(p, &k)
	}
}
