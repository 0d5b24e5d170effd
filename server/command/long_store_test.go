package command

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// COPY's target may be swapped away while the value is made, and come back before it gets its key.
func TestPartOfACopyIsGivenUp(t *testing.T) {
	s, key := store.New(store.Options{}), []byte("k")
	m := &Made{kind: store.SetKind, key: key, elsewhere: true, target: 1, copy: &copiedCursor{}}
	m.loose = s.DB(1).NewLoose(key, m.kind)
	m.loose.Add([]byte("first"))
	s.SwapDB(1, 2)
	if !m.Step(s.DB(0)) {
		t.Fatal("the copy goes on in a database that has other contents")
	}
	s.SwapDB(1, 2)
	c := &Ctx{made: m, Store: s, DB: s.DB(0)}
	if c.attachIn(s.DB(1), key) {
		t.Fatal("a part of a copy got the key")
	}
}

// A draw may be of any number of elements, so it ends when nobody waits for it any more.
func TestDrawEndsWhenItsClientLeaves(t *testing.T) {
	d := &drawing{draw: draw{n: 1 << 40, alike: true}, kind: store.SetKind, rnd: rand.New(rand.NewPCG(1, 2))}
	d.room.add([]byte("member"), 0)
	looks := 0
	l := &Long{Reply: resp.NewPieces(2), Left: func() bool { looks++; return looks > 3 }}
	d.reply(l)
	if n := l.Reply.Len(); n == 0 || n > 4*leftLook*12 {
		t.Fatalf("%d bytes were drawn for nobody", n)
	}
}

type countedBlob struct{ released int }

func (b *countedBlob) Bytes() []byte { return make([]byte, 64<<10) }
func (b *countedBlob) Release()      { b.released++ }

// What LPOP of great elements has found holds them, so it must let them go when it is of no use.
func TestDroppedReplyLetsItsBlobsGo(t *testing.T) {
	for _, used := range []bool{false, true} {
		b, m, out := &countedBlob{}, &Made{taken: &taken{reply: resp.NewPieces(2)}}, resp.NewWriter(nil)
		m.taken.reply.Next().BulkRef(b)
		m.taken.reply.Next().BulkRef(b)
		if used {
			m.taken.reply.MoveTo(out)
		}
		m.Drop()
		if want := map[bool]int{false: 2, true: 0}[used]; b.released != want {
			t.Fatalf("used %v: %d were let go, %d should be", used, b.released, want)
		}
		if out.Reset(); b.released != 2 {
			t.Fatalf("used %v: %d were let go in the end", used, b.released)
		}
	}
}

// TestManySmallInputsTakeLittleRoom: set algebra goes on with copies of its inputs, of which there may be ten thousand with one member each.
func TestManySmallInputsTakeLittleRoom(t *testing.T) {
	s := store.New(store.Options{})
	c, o, n := &Ctx{Store: s, DB: s.DB(0), Out: resp.NewWriter(nil)}, &zalgebra{how: sumScores}, 3000
	var sets []operand
	for i := range n {
		key := []byte(strconv.Itoa(i % (n - 1))) // one comes twice
		set, _ := s.DB(0).SetForWrite(key)
		set.Add([]byte("member"))
		sets = append(sets, operand{key: key, there: true})
		o.list = append(o.list, zsource{key: key, weight: 1})
	}
	for i := range n {
		e, _ := s.DB(0).Peek(sets[i].key)
		set := e.Set()
		sets[i].set, o.list[i].set = set, &set
	}
	room := func(k *copied) int {
		if k.n != 1 || len(k.full) > 0 {
			t.Fatalf("%d elements were copied, in %d pieces", k.n, len(k.full)+1)
		}
		return cap(k.now)
	}
	_, copies := c.copySets(sets)
	c.copySources(o)
	total := 0
	for i := range n {
		total += room(&copies[i].copy.copied) + room(&o.list[i].copy.copied)
	}
	if total > 2*n*firstPiece {
		t.Errorf("%d inputs of a member each took %d bytes twice", n, total)
	}
	if first, last := copies[0].copy, copies[n-1].copy; first != last || o.list[0].copy != o.list[n-1].copy {
		t.Error("an input that comes twice was copied twice")
	}
	if list := o.union(); len(list.items) != 1 || list.items[0].score != float64(n) {
		t.Errorf("the union has %v", list.items)
	}
}
