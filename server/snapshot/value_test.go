package snapshot

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// values are payloads without footers: all that this server dumps, and the encodings that only older and newer servers
// write.
func values() map[string][]byte {
	st := store.New(store.Options{})
	db := st.DB(0)
	out := map[string][]byte{}
	take := func(name string) {
		e, _ := db.Peek([]byte("k"))
		p := AppendValue(nil, e, true)
		out[name] = p[:len(p)-10]
		db.Delete([]byte("k"))
	}
	for _, n := range []int{3, 700} {
		h, _ := db.HashForWrite([]byte("k"))
		for i := range n {
			h.Set([]byte(strconv.Itoa(i)), fmt.Append(nil, "value", i))
		}
		take(fmt.Sprint("hash ", n))
		l, _ := db.ListForWrite([]byte("k"))
		for i := range n {
			l.Push(false, fmt.Append(nil, "element", i))
		}
		take(fmt.Sprint("list ", n))
		for _, prefix := range []string{"", "m"} {
			s, _ := db.SetForWrite([]byte("k"))
			for i := range n {
				s.Add([]byte(prefix + strconv.Itoa(i*i*i)))
			}
			take(fmt.Sprint("set ", prefix, n))
		}
		z, _ := db.ZSetForWrite([]byte("k"))
		for i := range n {
			z.Set(fmt.Append(nil, "m", i), float64(i)/4)
		}
		take(fmt.Sprint("zset ", n))
	}
	for _, s := range []string{"", "7", "text", strings.Repeat("abc", 100)} {
		db.SetString([]byte("k"), []byte(s), 0)
		take("string " + s[:min(3, len(s))])
	}
	l, _ := db.ListForWrite([]byte("k"))
	l.Push(false, make([]byte, 10000))
	take("list of a big element")
	packed := func(elems ...string) string {
		lp := listpack.Begin(nil)
		for _, e := range elems {
			lp = listpack.AppendString(lp, []byte(e))
		}
		return string(listpack.Finish(lp, 0, len(elems)))
	}
	const ziplist = "\x14\x00\x00\x00\x10\x00\x00\x00\x03\x00\x00\x02ab\x04\xf2\x02\x01c\xff"
	pairs := "\x13\x00\x00\x00\x0e\x00\x00\x00\x02\x00\x00\x02ab\x04\xc0\x2c\x01\xff"
	str := func(s string) string { return string(rdb.AppendString(nil, []byte(s), false)) }
	for name, v := range map[string]string{
		"list plain": "\x01\x02" + str("a") + str("7"), "list ziplist": "\x0a" + str(ziplist), "quicklist": "\x0e\x02" + str(ziplist) + str(ziplist),
		"hash ziplist": "\x0d" + str(pairs), "hash zipmap": "\x09" + str("\x01\x01f\x01\x00v\xff"), "zset ziplist": "\x0c" + str(pairs),
		"zset old doubles": "\x03\x03" + str("a") + "\x031.5" + str("b") + "\xfe" + str("c") + "\xff", "set listpack": "\x14" + str(packed("a", "b", "300")),
		"intset": "\x0b" + str("\x02\x00\x00\x00\x02\x00\x00\x00\xff\xff\x05\x00"), "hash listpack": "\x10" + str(packed("f", "v")), "zset listpack": "\x11" + str(packed("m", "1.5")),
	} {
		out[name] = []byte(v)
	}
	for _, t := range []rdb.Type{rdb.TypeStreamListpacks, rdb.TypeStreamListpacks2, rdb.TypeStreamListpacks3} {
		out[fmt.Sprint("stream ", t)] = streamValue(t)
	}
	return out
}

// streamValue cuts the value out of streamFile: the bytes between its key and its end.
func streamValue(t rdb.Type) []byte {
	file := streamFile(t)
	sink := &valueSink{}
	if _, err := rdb.NewReader(bytes.NewReader(file), rdb.Limits{}).NextRaw(sink); err != nil {
		panic(err)
	}
	key := rdb.AppendString(nil, sink.key, false)
	return append([]byte{byte(t)}, sink.data[1+len(key):]...)
}

type valueSink struct{ key, data []byte }

func (s *valueSink) Begin(ev *rdb.Event, _ int64) bool {
	s.key = append([]byte(nil), ev.Key...)
	return true
}

func (s *valueSink) Bytes(p []byte) error {
	s.data = append(s.data, p...)
	return nil
}

// TestValuesOfAllEncodings: every encoding is read, what is dumped of it is read again, and both are the same value; cut
// short anywhere it is refused and leaves no key.
func TestValuesOfAllEncodings(t *testing.T) {
	for name, v := range values() {
		st := store.New(store.Options{})
		db := st.DB(0)
		if err := ReadValue(st, db, []byte("k"), v); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again(t, name, st)
		db.Delete([]byte("k"))
		for n := 0; n < len(v); n += 1 + len(v)/500 {
			if err := ReadValue(st, db, []byte("k"), v[:n]); err == nil {
				t.Errorf("%s: the first %d bytes of %d are taken", name, n, len(v))
			}
			if db.Len() != 0 {
				t.Fatalf("%s: a refused value left a key", name)
			}
		}
	}
}

// again dumps the value at k, reads it under another name, and compares what it dumps.
func again(t *testing.T, name string, st *store.Store) {
	t.Helper()
	db := st.DB(0)
	first, _ := db.Peek([]byte("k"))
	p := AppendValue(nil, first, true)
	value, err := rdb.CheckFooter(p, false)
	if err != nil {
		t.Fatalf("%s: our own footer: %v", name, err)
	}
	if err := ReadValue(st, db, []byte("twin"), value); err != nil {
		t.Fatalf("%s: our own dump %q: %v", name, p, err)
	}
	first, _ = db.Peek([]byte("k")) // a handle is good until the next write
	twin, _ := db.Peek([]byte("twin"))
	if a, b := sortedValue(first), sortedValue(twin); a != b {
		t.Errorf("%s: %s came back as %s", name, a, b)
	}
	db.Delete([]byte("twin"))
}

// sortedValue is a value's dump, of sets and hashes its sorted elements.
func sortedValue(e store.Entry) string {
	var all []string
	switch e.Kind() {
	case store.SetKind:
		s := e.Set()
		s.Each(func(m []byte) bool { all = append(all, fmt.Sprintf("%q", m)); return true })
	case store.HashKind:
		h := e.Hash()
		h.Each(func(f, v []byte) bool { all = append(all, fmt.Sprintf("%q=%q", f, v)); return true })
	default:
		return string(AppendValue(nil, e, false))
	}
	slices.Sort(all)
	return e.Kind().String() + strings.Join(all, " ")
}

// FuzzReadValue: no payload, however damaged, makes RESTORE's reader panic or leave half a value; what it takes can be
// dumped and read again.
func FuzzReadValue(f *testing.F) {
	for _, v := range values() {
		if len(v) < 4096 {
			f.Add(v)
		}
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		st := store.New(store.Options{})
		db := st.DB(0)
		if err := ReadValue(st, db, []byte("k"), v); err != nil {
			if db.Len() != 0 {
				t.Fatalf("%v, but there is a key", err)
			}
			return
		}
		again(t, "fuzz", st)
		useStreams(st)
	})
}

// TestSaveTellsAccessClocks: under a policy that looks at them, of small and big values of every type; else nothing is told.
func TestSaveTellsAccessClocks(t *testing.T) {
	const now = 1_700_000_000_000
	for _, c := range []struct{ counts, lfu bool }{{false, false}, {true, false}, {true, true}} {
		st, _ := filled(1)
		st.Config.LFU, st.Config.ClockCounts = c.lfu, c.counts
		st.Tick(now)
		keys := 0
		for db := range st.Databases() {
			st.DB(db).EachKey(func(_ []byte, e store.Entry) bool {
				keys++
				if c.lfu {
					e.SetFrequency(uint8(100+keys%7), now)
				} else {
					e.SetIdle(int64(1000*(1+keys%7)), now)
				}
				return true
			})
		}
		var out bytes.Buffer
		if err := Save(st, &out, Options{}); err != nil {
			t.Fatal(err)
		}
		told, db, kinds := 0, 0, map[rdb.Type]bool{}
		for r := rdb.NewReader(&out, rdb.Limits{}); ; {
			ev, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == rdb.EOF {
				break
			}
			if ev.Kind == rdb.SelectDB {
				db = ev.DB
			}
			if ev.Kind != rdb.Entry {
				continue
			}
			kinds[ev.Type] = true
			e, _ := st.DB(db).Peek(ev.Key)
			idle, freq := int64(-1), -1
			if c.counts && c.lfu {
				freq = int(e.Frequency(now))
			} else if c.counts {
				idle = e.IdleSeconds(now)
			}
			if ev.Idle != idle || ev.Freq != freq {
				t.Errorf("%+v: %s %q: idle %d, frequency %d; want %d, %d", c, ev.Type.Name(), ev.Key, ev.Idle, ev.Freq, idle, freq)
			}
			told++
		}
		if told != keys || len(kinds) < 6 {
			t.Errorf("%+v: %d of %d keys, of types %v", c, told, keys, kinds)
		}
	}
}

// TestLoadKeepsAccessClocks: idle times and frequencies of a file are those of the keys, under the policy that looks at them.
func TestLoadKeepsAccessClocks(t *testing.T) {
	const now = 1_700_000_000_000
	b := rdb.AppendMagic(nil, rdb.Version)
	b = rdb.AppendStringEntry(rdb.AppendIdle(b, 1000), []byte("idle"), []byte("v"), false)
	b = append(rdb.AppendString(append(rdb.AppendIdle(b, 2000), byte(rdb.TypeSetIntset)), []byte("set"), false), "\x0a\x02\x00\x00\x00\x01\x00\x00\x00\x05\x00"...)
	b = rdb.AppendStringEntry(rdb.AppendFreq(b, 77), []byte("freq"), []byte("v"), false)
	b = rdb.AppendEOF(b, 0, false)
	for _, lfu := range []bool{false, true} {
		for _, workers := range []int{1, 2} {
			st := store.New(store.Options{})
			st.Config.LFU = lfu
			if _, _, err := Load(bytes.NewReader(b), st, LoadOptions{Now: now, Workers: workers}); err != nil {
				t.Fatal(err)
			}
			db := st.DB(0)
			idle, _ := db.Peek([]byte("idle"))
			set, _ := db.Peek([]byte("set"))
			freq, _ := db.Peek([]byte("freq"))
			if !lfu && (idle.IdleSeconds(now) != 1000 || set.IdleSeconds(now) != 2000 || freq.IdleSeconds(now) != 0) {
				t.Errorf("%d workers: idle for %d, %d and %d s", workers, idle.IdleSeconds(now), set.IdleSeconds(now), freq.IdleSeconds(now))
			}
			if lfu && freq.Frequency(now) != 77 {
				t.Errorf("%d workers: frequency %d", workers, freq.Frequency(now))
			}
		}
	}
}
