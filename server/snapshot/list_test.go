package snapshot

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/servertest/oracle"
	"github.com/understudy-db/understudy/server/store"
)

// mutateList changes a list at its ends and inside.
func mutateList(d *store.DB, key []byte, r *rand.Rand) {
	l, wrong := d.ListForWrite(key)
	if wrong {
		return
	}
	for range 1 + r.Intn(20) {
		v := fmt.Append(nil, r.Int63()>>uint(r.Intn(63)))
		switch r.Intn(40) {
		case 0:
			v = bytes.Repeat(append(v, 'x'), r.Intn(1000))
		case 1:
			v = bytes.Repeat([]byte("text"), r.Intn(10))
		}
		n := l.Len()
		if n < 2 || r.Intn(3) == 0 {
			l.Push(r.Intn(2) == 0, v)
			continue
		}
		switch r.Intn(4) {
		case 0, 1:
			l.Insert(r.Intn(n), v)
		case 2:
			l.Set(r.Intn(n), v)
		default:
			l.Remove(r.Intn(n), 1)
		}
	}
}

// imageOfList is a list in a value: fields by position.
func imageOfList(e store.Entry) map[string]string {
	m := map[string]string{}
	l := e.List()
	l.Each(0, false, func(x store.Elem) bool {
		m[fmt.Sprint("at ", len(m))] = string(x.Append(nil))
		return true
	})
	return m
}

// TestListsKeepTheirElements gives lists of all sizes to a redis-server, which checks the file first, and takes its own
// file back.
func TestListsKeepTheirElements(t *testing.T) {
	oracle.NeedRedis(t)
	st := store.New(store.Options{Seed: 1})
	d := st.DB(0)
	for _, n := range []int{1, 2, 100, 128, 5000} {
		for name, element := range map[string]func(i int) []byte{
			"int": func(i int) []byte { return fmt.Append(nil, (i-100)<<(i%40)) }, "text": func(i int) []byte { return fmt.Append(nil, "element ", i) },
			"long": func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i*i%5000) }, "huge": func(i int) []byte { return bytes.Repeat([]byte("huge"), i%11*1000) },
		} {
			if l, _ := d.ListForWrite(fmt.Append(nil, name, n)); n < 1000 || name != "huge" {
				for i := range n {
					l.Push(i%3 == 0, element(i))
				}
			} else {
				d.Delete(fmt.Append(nil, name, n))
			}
		}
	}
	var w sink
	if err := Save(st, &w, Options{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "dump.rdb")
	if err := os.WriteFile(file, w.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("redis-check-rdb", file).CombinedOutput(); err != nil {
		t.Errorf("redis-check-rdb: %v\n%s", err, out)
	}
	want := image(st)
	got, _ := load(t, w.Bytes())
	diff(t, got, want)
	redis := oracle.StartIn(t, dir)
	diff(t, redisImage(redis), want)
	for _, size := range []string{"-2", "-5", "3"} { // several shapes of nodes
		redis.Must("CONFIG", "SET", "list-max-listpack-size", size)
		redis.Must("CONFIG", "SET", "list-compress-depth", "1")
		redis.Must("SELECT", "0")
		redis.Must("COPY", "text5000", "again"+size)
		redis.Must("LINSERT", "again"+size, "BEFORE", "element 7", "new")
		for i := range 30 {
			redis.Must("RPUSH", "pushed"+size, fmt.Sprint(i))
		}
		redis.Must("SAVE")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := load(t, b)
		diff(t, got, redisImage(redis))
	}
}

// TestListWithoutElementsIsDropped as Redis does.
func TestListWithoutElementsIsDropped(t *testing.T) {
	b := rdb.AppendMagic(nil, 10)
	b = rdb.AppendListEntry(b, []byte("empty"), 0, false)
	b = rdb.AppendListEntry(b, []byte("empty node"), 1, false)
	b = rdb.AppendString(rdb.AppendPackedNode(b), listpack.Finish(listpack.Begin(nil), 0, 0), false)
	b = rdb.AppendStringEntry(b, []byte("k"), []byte("v"), false)
	got, meta := load(t, rdb.AppendEOF(b, 0, false))
	diff(t, got, map[string]value{"0/k": {str: "v"}})
	if meta.Keys != 1 {
		t.Errorf("%d keys are counted, want 1", meta.Keys)
	}
}
