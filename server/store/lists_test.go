package store

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"testing"
)

// The model keeps a list's elements under their positions.

func elementsOf(e Entry) map[string]string {
	l := e.List()
	m, n := map[string]string{}, l.Len()
	l.Each(0, false, func(x Elem) bool {
		m[strconv.Itoa(len(m))] = string(x.Append(nil))
		return true
	})
	i := n
	l.Each(n-1, true, func(x Elem) bool {
		i--
		if m[strconv.Itoa(i)] != string(x.Append(nil)) {
			panic("a list reads otherwise backwards")
		}
		return true
	})
	if len(m) != n || i != 0 {
		panic(fmt.Sprintf("a list of %d elements gives %d, %d backwards", n, len(m), n-i))
	}
	return m
}

// listChunk adds the elements of a chunk, which come in order.
func (r *recorder) listChunk(h *recorded, c Chunk) {
	if c.Blob != nil {
		if !bytes.Equal(c.Data, c.Blob.Bytes()) {
			r.t.Fatal("a chunk's data are not its blob's")
		}
		c.Blob.Retain()
		if _, twice := r.blobs[c.Blob]; twice {
			c.Blob.Release()
		}
		r.blobs[c.Blob] = string(c.Data)
		h.v.fields[strconv.Itoa(len(h.v.fields))] = string(c.Data)
		return
	}
	eachIn(c.Data, 0, false, func(e Elem) bool {
		h.v.fields[strconv.Itoa(len(h.v.fields))] = string(e.Append(nil))
		return true
	})
}

// recount checks the tree's invariants and returns the bytes of its slots; -1 when it is half freed.
func (t *chunks) recount() (slots int64) {
	if t.root == 0 && t.count > 0 {
		return -1
	}
	for _, n := range t.nodes {
		if n.held > 0 {
			slots += int64(t.home.slab.size(n.ref))
		}
	}
	if slots != t.bytes {
		panic(fmt.Sprintf("slots %d, counted %d", slots, t.bytes))
	}
	leaves, count := 0, uint64(0)
	var walk func(id uint32, level int) (n uint64)
	walk = func(id uint32, level int) (n uint64) {
		b := t.slot(id)
		if level == 0 {
			leaves++
			if t.blobOf(id) != nil {
				return 1
			}
			eachIn(t.contentsOf(id), 0, false, func(Elem) bool { n++; return true })
			return n
		}
		for i := range innerLen(b) {
			e := childAt(b, i)
			if k := walk(childID(e), level-1); k != childCount(e) || k == 0 {
				panic(fmt.Sprintf("a node at level %d has %d elements, counted %d", level-1, k, childCount(e)))
			}
			n += childCount(e)
		}
		if innerLen(b) == 0 {
			panic("an inner node without children")
		}
		return n
	}
	if t.root != 0 {
		count = walk(t.root, t.height)
	}
	if leaves != t.leaves || count != t.count {
		panic(fmt.Sprintf("%d leaves, counted %d; %d elements, counted %d", leaves, t.leaves, count, t.count))
	}
	return slots
}

// listOf is the model's list as a slice.
func listOf(v value) []string {
	list := make([]string, len(v.fields))
	for i := range list {
		list[i] = v.fields[strconv.Itoa(i)]
	}
	return list
}

func (w *world) list(d *DB, m map[string]value, k []byte, old value, exists bool) {
	var l List
	wrong := pick(w, l.ForWrite, l.Draft)(d, k)
	if wrong != (exists && old.kind != ListKind) {
		w.t.Fatal("wrong type")
	}
	if wrong {
		return
	}
	list := listOf(old)
	for n := w.r.Intn([]int{4, 40, 400, 2000}[w.r.Intn(4)]); n >= 0; n-- {
		list = w.listOp(&l, list)
	}
	if l.Len() != len(list) {
		w.t.Fatalf("a list has %d elements, want %d", l.Len(), len(list))
	}
	l.Store()
	old.kind, old.fields = ListKind, make(map[string]string, len(list))
	for i, v := range list {
		old.fields[strconv.Itoa(i)] = v
	}
	m[string(k)] = old
	if len(list) == 0 {
		d.Delete(k)
		delete(m, string(k))
	}
}

// element draws few different ones, so that equal ones are found, and some of any size.
func (w *world) element() []byte {
	if w.r.Intn(60) == 0 {
		return w.bytes()
	}
	return strconv.AppendInt(nil, int64(w.r.Intn(40)-20)<<w.r.Intn(50), 10)
}

func (w *world) listOp(l *List, list []string) []string {
	v := w.element()
	switch op := w.r.Intn(100); {
	case op < 40 || len(list) == 0:
		l.Push(false, v)
		return append(list, string(v))
	case op < 50:
		l.Push(true, v)
		return slices.Insert(list, 0, string(v))
	case op < 60:
		vs, head := [][]byte{v, w.element(), w.element()}, op < 55
		l.PushAll(head, vs)
		for _, v := range vs {
			at := len(list)
			if head {
				at = 0
			}
			list = slices.Insert(list, at, string(v))
		}
		return list
	case op < 75:
		i := w.r.Intn(len(list) + 1)
		l.Insert(i, v)
		return slices.Insert(list, i, string(v))
	case op < 82:
		i := w.r.Intn(len(list))
		l.Set(i, v)
		list[i] = string(v)
		return list
	case op < 94:
		i := []int{0, len(list) - 1, w.r.Intn(len(list))}[w.r.Intn(3)]
		n := 1
		if w.r.Intn(30) == 0 {
			n += w.r.Intn(len(list) - i)
		}
		if n == 1 && i == 0 && w.pop(l, true, list[0]) || n == 1 && i == len(list)-1 && w.pop(l, false, list[i]) {
			return slices.Delete(list, i, i+1)
		}
		l.Remove(i, n)
		return slices.Delete(list, i, i+n)
	case op < 97:
		i := w.r.Intn(len(list))
		if got := string(ptr(l.At(i)).Append(nil)); got != list[i] {
			w.t.Fatalf("element %d of %d is %.40q, want %.40q", i, len(list), got, list[i])
		}
		return list
	}
	if w.r.Intn(3) > 0 {
		v = []byte(list[w.r.Intn(len(list))])
	}
	limit, back := w.r.Intn(4), w.r.Intn(2) == 0
	want := removeEqual(list, string(v), limit, back)
	removed := len(list) - len(want)
	if got := l.RemoveEqual(v, limit, back); got != removed {
		w.t.Fatalf("RemoveEqual removed %d, want %d", got, removed)
	}
	return want
}

// pop takes the element at an end when Pop does.
func (w *world) pop(l *List, head bool, want string) bool {
	text, n, ok := l.Pop(head)
	if text == nil {
		text = strconv.AppendInt(nil, n, 10)
	}
	if ok && string(text) != want {
		w.t.Fatalf("Pop gives %.40q, want %.40q", text, want)
	}
	return ok
}

// TestPop empties a list from both ends, nearly all of it by Pop.
func TestPop(t *testing.T) {
	w := &world{t: t, r: rand.New(rand.NewSource(1)), s: New(Options{Seed: 1})}
	key := []byte("list")
	l, _ := w.s.DB(0).ListForWrite(key)
	var list []string
	for range 50_000 {
		v := w.element()
		l.Push(false, v)
		list = append(list, string(v))
	}
	popped := 0
	for all := len(list); len(list) > 0; {
		i, head := 0, w.r.Intn(3) > 0
		if !head {
			i = len(list) - 1
		}
		if w.pop(&l, head, list[i]) {
			popped++
		} else {
			l.Remove(i, 1)
		}
		if list = list[1-min(i, 1):]; i > 0 {
			list = list[:i]
		}
		if l.Len() != len(list) {
			t.Fatalf("%d elements are left, want %d", l.Len(), len(list))
		}
		if len(list)%5000 == 0 {
			audit(t, w.s)
			if got := listOf(value{fields: elementsOf(mustPeek(w.s.DB(0), key))}); !slices.Equal(got, list) {
				t.Fatalf("%d elements are left, and are not those that were not taken", len(got))
			}
		}
		if len(list) == 0 && popped < all*9/10 {
			t.Errorf("Pop took %d of %d", popped, all)
		}
	}
}

// removeEqual is the model's RemoveEqual.
func removeEqual(list []string, v string, limit int, back bool) []string {
	out, removed := slices.Clone(list), 0
	if back {
		slices.Reverse(out)
	}
	out = slices.DeleteFunc(out, func(x string) bool {
		if x != v || limit > 0 && removed == limit {
			return false
		}
		removed++
		return true
	})
	if back {
		slices.Reverse(out)
	}
	return out
}

func ptr[T any](v T) *T { return &v }

// TestCutOfHugeList changes a list everywhere, or gives it up, while a cut is inside it; what only the cut held is gone
// when it ends.
func TestCutOfHugeList(t *testing.T) {
	const elements = 180_000
	for _, end := range []string{"keep", "delete", "rename", "copy", "flush", "overwrite", "two cuts", "give up", "trim"} {
		t.Run(end, func(t *testing.T) {
			w := &world{t: t, r: rand.New(rand.NewSource(1)), s: New(Options{Seed: 1, Databases: 2})}
			d, key := w.s.DB(0), []byte("huge")
			want := model{{"huge": {kind: ListKind, fields: map[string]string{}}}, {}}
			l, _ := d.ListForWrite(key)
			list := make([]string, elements)
			for i := range list {
				list[i] = fmt.Sprint("element ", i)
				l.Push(false, []byte(list[i]))
				want[0]["huge"].fields[strconv.Itoa(i)] = list[i]
			}
			before := w.s.UsedBytes()
			rec, second := newRecorder(t, 2), newRecorder(t, 2)
			cut := w.s.BeginCut(rec)
			var other *Cut
			var want2 model
			steps := 0
			for ; !cut.Step(16); steps++ {
				switch {
				case steps < 200:
					l, _ := d.ListForWrite(key)
					for range 20 {
						list = w.listOp(&l, list)
					}
					if steps == 100 && end == "two cuts" {
						want2 = model{{"huge": {kind: ListKind, fields: elementsOf(mustPeek(d, key))}}, {}}
						other = w.s.BeginCut(second)
					}
				case steps > 200:
				case end == "delete":
					d.Delete(key)
				case end == "rename":
					d.Rename(key, []byte("elsewhere"))
				case end == "copy":
					d.Copy(key, []byte("twin"), d)
				case end == "flush":
					w.s.FlushAll()
				case end == "overwrite":
					d.SetString(key, []byte("a string now"), 0)
				case end == "trim":
					l, _ := d.ListForWrite(key)
					l.Remove(1, l.Len()-1)
				}
				if end == "give up" && steps == 300 {
					break
				}
				w.s.Reclaim(100)
				w.s.Defrag(10)
			}
			cut.End()
			if steps < 300 {
				t.Fatalf("the cut took %d steps: not all happened that should", steps)
			}
			if end != "give up" {
				rec.finish(want)
			}
			if other != nil {
				for !other.Step(100) {
				}
				other.End()
				second.finish(want2)
			}
			audit(t, w.s)
			if end == "keep" && w.s.UsedBytes() > before*3/2 {
				t.Errorf("%d bytes are used after the cut, %d before", w.s.UsedBytes(), before)
			}
			if end == "trim" && w.s.UsedBytes() > 64<<10 {
				t.Errorf("%d bytes are used for one element", w.s.UsedBytes())
			}
			w.s.FlushAll()
			for w.s.Reclaim(1000) {
			}
			if n := w.s.UsedBytes(); n != 0 {
				t.Errorf("%d bytes are left", n)
			}
			for b := range rec.blobs {
				if end == "give up" {
					b.Release()
				}
			}
		})
	}
}

func mustPeek(d *DB, key []byte) Entry {
	e, ok := d.Peek(key)
	if !ok {
		panic("no key")
	}
	return e
}

// TestChunks inserts and removes chunks of one element anywhere, beside a slice, so that inner nodes split and empty.
func TestChunks(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	s := New(Options{Seed: 1, Partitions: 1})
	p := s.DB(0).space.part(0)
	tree := chunks{home: p}
	var want []string
	for i := range 40_000 {
		var c chunkCursor
		grow := r.Intn(10) < 7
		if i > 20_000 {
			grow = !grow
		}
		pos := r.Intn(len(want) + 1)
		switch {
		case grow || len(want) == 0:
			if len(want) > 0 {
				tree.seek(&c, uint64(min(pos, len(want)-1)))
			}
			v := fmt.Sprintf("%08d", i)
			copy(tree.insert(&c, pos < len(want), 8, 1), v)
			if string(tree.contents(&c)) != v || tree.size(&c) != 1 {
				t.Fatal("insert leaves the cursor elsewhere")
			}
			want = slices.Insert(want, pos, v)
		default:
			pos = min(pos, len(want)-1)
			tree.seek(&c, uint64(pos))
			if got := string(tree.contents(&c)); got != want[pos] {
				t.Fatalf("at %d is %s, want %s", pos, got, want[pos])
			}
			tree.remove(&c)
			want = slices.Delete(want, pos, pos+1)
		}
		if int(tree.count) != len(want) || tree.leaves != len(want) {
			t.Fatalf("%d elements, %d leaves, want %d", tree.count, tree.leaves, len(want))
		}
	}
	var c chunkCursor
	for i, ok := 0, tree.edge(&c, false); ok; i, ok = i+1, tree.next(&c) {
		if string(tree.contents(&c)) != want[i] {
			t.Fatal("the order is broken")
		}
	}
	for i, ok := len(want)-1, tree.edge(&c, true); ok; i, ok = i-1, tree.prev(&c) {
		if string(tree.contents(&c)) != want[i] {
			t.Fatal("the order is broken backwards")
		}
	}
	for more := true; more; {
		_, more = tree.clear(100)
	}
	if p.slab.used != 0 || p.tables != 0 {
		t.Errorf("%d bytes of slots, %d of tables are left", p.slab.used, p.tables)
	}
}

func TestElementsReadAsTheyWereWritten(t *testing.T) {
	var texts []string
	for _, n := range []int64{0, 1, 127, 128, -1, 4095, 4096, -4096, -4097, 32767, 32768, -32768, -32769, 1<<23 - 1, 1 << 23, -1 << 23, -1<<23 - 1,
		1<<31 - 1, 1 << 31, -1 << 31, -1<<31 - 1, 1<<63 - 1, -1 << 63} {
		texts = append(texts, strconv.FormatInt(n, 10))
	}
	for _, n := range []int{0, 1, 62, 63, 64, 126, 127, 128, 4095, 4096, 8000} {
		texts = append(texts, string(bytes.Repeat([]byte("x"), n)))
	}
	texts = append(texts, "007", "-0", "+1", "9223372036854775808")
	var all []byte
	for _, s := range texts {
		e := packElem([]byte(s))
		one := make([]byte, e.size)
		e.put(one)
		if elemSize(one) != e.size || elemBefore(one, len(one)) != 0 {
			t.Fatalf("%.20q takes %d bytes, reads as %d", s, e.size, elemSize(one))
		}
		n := NeedleOf([]byte(s))
		if x := elemAt(one); !x.Is(&n) || string(x.Append(nil)) != s || x.Len() != len(s) {
			t.Fatalf("%.20q reads as %.20q", s, elemAt(one).Append(nil))
		}
		all = append(all, one...)
	}
	for i, s := range texts {
		if got := string(elemAt(all[elemOffset(all, i, len(texts)):]).Append(nil)); got != s {
			t.Fatalf("element %d is %.20q, want %.20q", i, got, s)
		}
	}
}

// TestBigListAgainstSlice runs operations on lists of many chunks, in which equal elements lie close, so that removals
// leave small chunks to be merged.
func TestBigListAgainstSlice(t *testing.T) {
	for seed := range int64(6) {
		w := &world{t: t, r: rand.New(rand.NewSource(seed)), s: New(Options{Seed: 1, Partitions: 1})}
		d, key := w.s.DB(0), []byte("list")
		l, _ := d.ListForWrite(key)
		var list []string
		for i := range 6000 {
			v := fmt.Sprint("element ", w.r.Intn(3)+i/700)
			list = append(list, v)
			l.Push(false, []byte(v))
		}
		for op := range 600 {
			list = w.listOp(&l, list)
			if op%100 == 99 && len(list) > 0 { // most of a stretch of chunks at once
				v, back := list[w.r.Intn(len(list))], w.r.Intn(2) == 0
				limit := w.r.Intn(400)
				if limit == 0 {
					limit = len(list)
				}
				list = removeEqual(list, v, limit, back)
				l.RemoveEqual([]byte(v), limit, back)
			}
			if op%50 == 0 && !slices.Equal(listOf(value{fields: elementsOf(mustPeek(d, key))}), list) {
				t.Fatalf("seed %d: the list differs after %d operations", seed, op)
			}
			if op%50 == 0 {
				l, _ = d.ListForWrite(key)
			}
		}
		audit(t, w.s)
	}
}
