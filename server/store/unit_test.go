package store

import (
	"bytes"
	"fmt"
	"math"
	"math/rand"
	"testing"
)

func TestHashScanAndRandomReachEveryField(t *testing.T) {
	for _, n := range []int{1, 100, 129, 5000} {
		s := New(Options{Seed: 1})
		h, _ := s.DB(0).HashForWrite([]byte("h"))
		for i := range n {
			h.Set(k(i), k(i))
		}
		seen := map[string]bool{}
		for cursor := uint64(0); ; {
			cursor = h.Scan(cursor, 10, func(f, v []byte) {
				if string(f) != string(v) {
					t.Fatalf("field %s has value %s", f, v)
				}
				seen[string(f)] = true
			})
			if cursor == 0 {
				break
			}
		}
		if len(seen) != n {
			t.Fatalf("HSCAN gave %d of %d fields", len(seen), n)
		}
		counts := map[string]int{}
		tries := 50 * n
		for i := range tries {
			f, _ := h.Random(uint64(i))
			counts[string(f)]++
		}
		if len(counts) != n {
			t.Errorf("Random reached %d of %d fields in %d tries", len(counts), n, tries)
		}
		for f, c := range counts {
			if c > 50*4 {
				t.Errorf("%s was chosen %d times, 50 expected", f, c)
			}
		}
	}
}

func TestRandomKey(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	if _, ok := d.RandomKey(1, 0); ok {
		t.Fatal("a key of an empty DB")
	}
	for i := range 1000 {
		d.SetString(k(i), []byte("x"), int64(i%2)*100) // every second expires at 100
	}
	counts := map[string]int{}
	for i := range 50_000 {
		e, _ := d.RandomKey(uint64(i), 101)
		if e.ExpireAt() != 0 {
			t.Fatal("an expired key was chosen")
		}
		counts[string(e.Key())]++
	}
	if len(counts) != 500 {
		t.Errorf("%d of 500 keys were chosen", len(counts))
	}
	for i := 1; i < 999; i++ { // nearly empty: falls back to a walk
		d.Delete(k(i))
	}
	if e, ok := d.RandomKey(7, 0); !ok || len(e.Key()) == 0 {
		t.Fatal("no key of a nearly empty DB")
	}
}

// TestScanAcrossJoins deletes nearly all keys in the middle of a SCAN, so that segments are joined under its cursor.
func TestScanAcrossJoins(t *testing.T) {
	for seed := range int64(10) {
		r := rand.New(rand.NewSource(seed))
		s := New(Options{Seed: uint64(seed), Partitions: 2})
		d := s.DB(0)
		const n, stay = 40_000, 500
		for i := range n {
			d.SetString(k(i), []byte("x"), 0)
		}
		before := s.UsedBytes()
		seen := map[string]bool{}
		steps := 0
		for cursor := uint64(0); ; steps++ {
			cursor = d.Scan(cursor, 20, func(key []byte, e Entry) { seen[string(key)] = true })
			if cursor == 0 {
				break
			}
			if steps == 20+r.Intn(50) || steps == 100 {
				for i := stay; i < n; i++ {
					d.Delete(k(i))
				}
				for s.Defrag(1000) {
				}
			}
		}
		for i := range stay {
			if !seen[string(k(i))] {
				t.Fatalf("seed %d: SCAN missed %s", seed, k(i))
			}
		}
		if after := s.UsedBytes(); after > before/20 {
			t.Errorf("seed %d: %d bytes before, %d after deleting nearly all: the tables did not shrink", seed, before, after)
		}
		audit(t, s)
	}
}

func TestAccessClocks(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	s.Tick(5_000_000)
	d.SetString([]byte("k"), []byte("v"), 0)
	if e, _ := d.Peek([]byte("k")); e.IdleSeconds(5_007_000) != 7 {
		t.Errorf("idle %d s, want 7", e.IdleSeconds(5_007_000))
	}
	if e, _ := d.Get([]byte("k"), 5_010_000); e.IdleSeconds(5_010_000) != 0 {
		t.Error("Get did not set the clock")
	}
	s.Config.LFU = true
	s.Tick(6_000_000)
	d.SetString([]byte("f"), []byte("v"), 0)
	if e, _ := d.Peek([]byte("f")); e.Frequency(6_000_000) != lfuInit {
		t.Errorf("a new key's counter is %d", e.Frequency(6_000_000))
	}
	for i := range int64(5000) {
		d.Get([]byte("f"), 6_000_000+i/1000) // a pipeline's come in one millisecond
	}
	e, _ := d.Peek([]byte("f"))
	hot := e.Frequency(6_005_000)
	if hot < 15 || hot > 80 { // Redis: 10 after 100 hits, 18 after 1000, 142 after 100k with factor 10
		t.Errorf("the counter is %d after 5000 hits", hot)
	}
	if cold := e.Frequency(6_005_000 + 5*60_000); cold != hot-5 {
		t.Errorf("the counter is %d five minutes later, was %d", cold, hot)
	}
}

// TestUseIsAnAccess looks keys up as writes do: also one that has expired, which the caller deletes.
func TestUseIsAnAccess(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	s.Tick(1_000_000)
	d.SetString([]byte("k"), []byte("v"), 1_010_000)
	for now, want := range map[int64]int64{1_009_000: 0, 1_060_000: 0} {
		e, ok := d.Use([]byte("k"), now)
		if !ok || e.IdleSeconds(now) != want {
			t.Errorf("at %d the key is there: %v, idle for %d s, want %d", now, ok, e.IdleSeconds(now), want)
		}
	}
	if _, ok := d.Use([]byte("none"), 1_060_000); ok {
		t.Error("a key that is not there was used")
	}
}

func TestMemoryUsage(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	d.SetString([]byte("small"), []byte("v"), 0)
	d.SetString([]byte("big"), make([]byte, 1<<20), 0)
	h, _ := d.HashForWrite([]byte("hash"))
	for i := range 10_000 {
		h.Set(k(i), make([]byte, 100))
	}
	for key, want := range map[string][2]int64{"small": {16, 64}, "big": {1 << 20, 1<<20 + 200}, "hash": {1_100_000, 1_700_000}} {
		e, _ := d.Peek([]byte(key))
		if n := e.MemoryUsage(); n < want[0] || n > want[1] {
			t.Errorf("%s uses %d bytes, want %v", key, n, want)
		}
	}
}

func TestHashSpreads(t *testing.T) {
	k := newHasher(1)
	for _, shape := range []string{"%d", "key:%012d", "a-longer-prefix-than-sixteen-bytes:%d", "%d-a-suffix-that-is-long-and-equal"} {
		const n = 1 << 14
		var low [64]int
		var high [256]int
		for i := range n {
			h := k.sum(fmt.Appendf(nil, shape, i))
			low[h%64]++
			high[h>>56]++
		}
		for _, c := range []struct {
			name   string
			counts []int
		}{{"low", low[:]}, {"high", high[:]}} {
			mean, chi := float64(n)/float64(len(c.counts)), 0.0
			for _, x := range c.counts {
				chi += (float64(x) - mean) * (float64(x) - mean) / mean
			}
			df := float64(len(c.counts) - 1)
			if math.Abs(chi-df) > 6*math.Sqrt(2*df) {
				t.Errorf("%s: %s bits: chi square %.0f for %.0f degrees of freedom", shape, c.name, chi, df)
			}
		}
	}
	other := newHasher(2)
	if k.sum([]byte("x")) == other.sum([]byte("x")) {
		t.Error("the seed does not matter")
	}
}

func TestStaleHandlesPanicInTheDebugBuild(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	d.SetString([]byte("k"), []byte("v"), 0)
	e, _ := d.Get([]byte("k"), 0)
	d.SetString([]byte("other"), []byte("v"), 0)
	defer func() {
		if r := recover(); (r != nil) != debug {
			t.Errorf("recovered %v; debug build: %v", r, debug)
		}
	}()
	e.Bytes(nil)
}

func TestWritesThroughAReadersHashPanic(t *testing.T) {
	s := New(Options{Seed: 1})
	h, _ := s.DB(0).HashForWrite([]byte("h"))
	h.Set([]byte("f"), []byte("v"))
	r, _, _ := s.DB(0).Hash([]byte("h"), 0)
	defer func() {
		if recover() == nil {
			t.Error("a write through a reader's handle went by the cuts unnoticed")
		}
	}()
	r.Set([]byte("f"), []byte("w"))
}

// FuzzPack drives one small hash and a map by the same bytes: per operation a field, a length and a verb.
func FuzzPack(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add(bytes.Repeat([]byte{1, 200, 0, 1, 3, 1}, 40))
	f.Fuzz(func(t *testing.T, program []byte) {
		s := New(Options{Seed: 1})
		s.Config.HashMaxListpackValue = 300
		h, _ := s.DB(0).HashForWrite([]byte("h"))
		want := map[string]string{}
		for ; len(program) >= 3; program = program[3:] {
			field := bytes.Repeat([]byte{program[0]}, int(program[0]%150))
			value := bytes.Repeat([]byte{program[1]}, int(program[1]))
			_, has := want[string(field)]
			if program[2]%3 == 0 {
				if h.Del(field) != has {
					t.Fatal("Del")
				}
				delete(want, string(field))
				continue
			}
			if h.Set(field, value) == has {
				t.Fatal("Set")
			}
			want[string(field)] = string(value)
		}
		if h.Len() != len(want) {
			t.Fatalf("Len %d, want %d", h.Len(), len(want))
		}
		h.Each(func(f, v []byte) bool {
			if w, ok := want[string(f)]; !ok || w != string(v) {
				t.Fatalf("field %q has %q, want %q", f, v, w)
			}
			return true
		})
		audit(t, s)
	})
}

func TestSample(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	d.Sample(1, 5, false, func(Entry) { t.Fatal("an entry of an empty DB") })
	for i := range 1000 {
		d.SetString(k(i), []byte("x"), int64(i%4/3)*1e12) // every fourth expires
	}
	for _, volatile := range []bool{false, true} {
		counts := map[string]int{}
		for i := range 20_000 {
			d.Sample(uint64(i), 5, volatile, func(e Entry) {
				if volatile && e.ExpireAt() == 0 {
					t.Fatal("an entry without expiry")
				}
				counts[string(e.Key())]++
			})
		}
		want := 1000
		if volatile {
			want = 250
		}
		for key, n := range counts {
			if mean := 100_000 / want; n > 20*mean {
				t.Errorf("%s was chosen %d times, %d expected", key, n, mean)
			}
		}
		if len(counts) != want {
			t.Errorf("%d of %d keys were chosen", len(counts), want)
		}
	}
}
