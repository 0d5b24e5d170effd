package snapshot

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/servertest/oracle"
	"github.com/understudy-db/understudy/server/store"
)

// mutateSet adds and removes some members: integers of all widths, in small sets mostly nothing else.
func mutateSet(d *store.DB, key []byte, r *rand.Rand, spread int) {
	s, wrong := d.SetForWrite(key)
	if wrong {
		return
	}
	for range 1 + r.Intn(20) {
		m := fmt.Append(nil, r.Int63n(int64(spread))<<[]uint{0, 0, 10, 40}[r.Intn(4)])
		if r.Intn(100) == 0 {
			m = bytes.Repeat(append(m, 'm'), r.Intn(500))
		}
		if s.Len() == 0 || r.Intn(3) != 0 {
			s.Add(m)
		} else if s.Len() > 1 {
			s.Remove(m)
		}
	}
}

// TestSetsKeepTheirEncoding saves sets on either side of every border and compares what a redis-server makes of them
// with what loading here makes of them.
func TestSetsKeepTheirEncoding(t *testing.T) {
	oracle.NeedRedis(t)
	st := store.New(store.Options{Seed: 1})
	for _, n := range []int{1, 2, 127, 128, 129, 511, 512, 513, 2000} {
		for name, member := range map[string]func(i int) string{
			"int16": func(i int) string { return fmt.Sprint(i - 100) }, "int32": func(i int) string { return fmt.Sprint(i << 16) },
			"int64": func(i int) string { return fmt.Sprint(-(i << 40)) }, "text": func(i int) string { return fmt.Sprint("m", i) },
			"both": func(i int) string {
				if i == n-1 {
					return "text"
				}
				return fmt.Sprint(i)
			},
		} {
			s, _ := st.DB(0).SetForWrite(fmt.Append(nil, name, n))
			for i := range n {
				s.Add([]byte(member(i)))
			}
		}
	}
	var w sink
	if err := Save(st, &w, Options{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), w.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	redis := oracle.StartIn(t, dir)
	diff(t, redisImage(redis), image(st))
	back := store.New(store.Options{Seed: 2})
	if _, _, err := Load(bytes.NewReader(w.Bytes()), back, LoadOptions{Now: 1}); err != nil {
		t.Fatal(err)
	}
	diff(t, image(back), image(st))
	redis.Must("SELECT", "0")
	back.DB(0).EachKey(func(key []byte, e store.Entry) bool {
		want := string(redis.Must("OBJECT", "ENCODING", string(key)).Str)
		was, _ := st.DB(0).Peek(key)
		if e.Encoding() != want || was.Encoding() != want {
			t.Errorf("%s: redis-server says %s; saved as %s, loaded as %s", key, want, was.Encoding(), e.Encoding())
		}
		return true
	})
}

// TestLoadsSetsOfRedis72 reads a set that Redis 7.2 packs, and drops one without members.
func TestLoadsSetsOfRedis72(t *testing.T) {
	lp := listpack.Begin(nil)
	for _, m := range []string{"a", "17", "-70000", "bcd"} {
		lp = listpack.AppendString(lp, []byte(m))
	}
	b := rdb.AppendMagic(nil, 11)
	b = rdb.AppendString(append(b, byte(rdb.TypeSetListpack)), []byte("packed"), false)
	b = rdb.AppendString(b, listpack.Finish(lp, 0, 4), false)
	b = rdb.AppendString(append(b, byte(rdb.TypeSetListpack)), []byte("empty"), false)
	b = rdb.AppendString(b, listpack.Finish(listpack.Begin(nil), 0, 0), false)
	got, meta := load(t, rdb.AppendEOF(b, 0, false))
	want := map[string]value{"0/packed": {fields: map[string]string{"member a": "", "member 17": "", "member -70000": "", "member bcd": ""}}}
	diff(t, got, want)
	if meta.Keys != 1 {
		t.Errorf("%d keys are counted, want 1", meta.Keys)
	}
}
