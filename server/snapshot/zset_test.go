package snapshot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/oracle"
	"github.com/understudy-db/understudy/server/store"
)

// mutateZSet gives some members scores and removes others, singly and by rank.
func mutateZSet(d *store.DB, key []byte, r *rand.Rand, spread int) {
	z, wrong := d.ZSetForWrite(key)
	if wrong {
		return
	}
	for range 1 + r.Intn(20) {
		m := fmt.Append(nil, "m", r.Intn(spread))
		if r.Intn(100) == 0 {
			m = bytes.Repeat(m, r.Intn(500))
		}
		switch n := z.Len(); {
		case n < 10 || r.Intn(3) != 0:
			z.Set(m, []float64{float64(r.Intn(300)), r.NormFloat64(), math.Inf(1 - 2*r.Intn(2)), float64(r.Int63())}[r.Intn(4)])
		case r.Intn(10) == 0:
			z.Cut(r.Intn(n-3), 2)
		default:
			z.Del(m)
		}
	}
}

// scoresOf is a sorted set as the fields of an image; their order is checked on the way.
func scoresOf(z *store.ZSet) map[string]string {
	fields, last := map[string]string{}, math.Inf(-1)
	z.Each(func(m []byte, score float64) bool {
		fields["scored "+string(m)] = string(resp.AppendDouble(nil, score))
		if score < last {
			fields["out of order"] = string(m)
		}
		last = score
		return true
	})
	return fields
}

// TestSortedSetsKeepTheirEncoding saves sorted sets on either side of every border and compares what a redis-server makes
// of them with what loading here makes of them; then it takes the redis-server's own file back.
func TestSortedSetsKeepTheirEncoding(t *testing.T) {
	oracle.NeedRedis(t)
	st := store.New(store.Options{Seed: 1})
	odd := []float64{0, math.Copysign(0, -1), 0.1, -1e-300, 5e-324, math.MaxFloat64, math.Inf(1), math.Inf(-1), 1 << 52, 1<<53 + 2, 1e17, -1 << 31, 32768, 240, math.Pi}
	for _, n := range []int{1, 2, 127, 128, 129, 2000} {
		for _, longest := range []int{4, 64, 65} {
			z, _ := st.DB(0).ZSetForWrite(fmt.Appendf(nil, "%d of %d", n, longest))
			for i := range n {
				z.Set(fmt.Appendf(nil, "%0*d", longest, i), odd[(i*7)%len(odd)])
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
	redis := oracle.StartIn(t, dir)
	diff(t, redisImage(redis), image(st))
	redis.Must("SAVE")
	theirs, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	redis.Must("SELECT", "0")
	for _, b := range [][]byte{w.Bytes(), theirs} {
		back := store.New(store.Options{Seed: 2})
		if _, _, err := Load(bytes.NewReader(b), back, LoadOptions{Now: 1}); err != nil {
			t.Fatal(err)
		}
		diff(t, image(back), image(st))
		back.DB(0).EachKey(func(key []byte, e store.Entry) bool {
			if want := string(redis.Must("OBJECT", "ENCODING", string(key)).Str); e.Encoding() != want {
				t.Errorf("%s: redis-server says %s, loaded as %s", key, want, e.Encoding())
			}
			return true
		})
	}
}

// TestLoadsOldSortedSets reads the forms that Redis wrote before 7.0, and refuses scores that are no numbers.
func TestLoadsOldSortedSets(t *testing.T) {
	b := rdb.AppendMagic(nil, 9)
	b = rdb.AppendString(append(b, byte(rdb.TypeZset)), []byte("text"), false) // scores as text
	b = rdb.AppendLen(b, 3)
	for _, it := range []struct{ member, score string }{{"a", "\x031.5"}, {"b", "\xfe"}, {"c", "\xff"}} {
		b = append(rdb.AppendString(b, []byte(it.member), false), it.score...)
	}
	b = rdb.AppendString(append(b, byte(rdb.TypeZsetZiplist)), []byte("ziplist"), false)
	entries := "\x00\x01a\x03\x032.5\x05\x01b\x03\xf5" // "a" 2.5, "b" 4: each behind the length of the one before
	zl := binary.LittleEndian.AppendUint32(nil, uint32(10+len(entries)+1))
	zl = binary.LittleEndian.AppendUint32(zl, uint32(10+len(entries)-2))
	zl = binary.LittleEndian.AppendUint16(zl, 4)
	b = rdb.AppendString(b, append(append(zl, entries...), 0xff), false)
	b = rdb.AppendZSetEntry(b, []byte("empty"), 0, false)
	got, meta := load(t, rdb.AppendEOF(b, 0, false))
	diff(t, got, map[string]value{
		"0/text":    {fields: map[string]string{"scored a": "1.5", "scored b": "inf", "scored c": "-inf"}},
		"0/ziplist": {fields: map[string]string{"scored a": "2.5", "scored b": "4"}},
	})
	if meta.Keys != 2 {
		t.Errorf("%d keys are counted, want 2", meta.Keys)
	}
	b = rdb.AppendZSetEntry(rdb.AppendMagic(nil, 10), []byte("k"), 1, false)
	b = rdb.AppendScore(rdb.AppendString(b, []byte("m"), false), math.NaN())
	_, _, err := Load(bytes.NewReader(rdb.AppendEOF(b, 0, false)), store.New(store.Options{}), LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), "NAN") {
		t.Errorf("a score that is not a number: %v", err)
	}
}
