package store

import (
	"fmt"
	"math/rand"
	"testing"
)

func k(i int) []byte { return fmt.Appendf(nil, "key:%d", i) }

func TestStringsBasics(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	for i := range 20000 {
		d.SetString(k(i), fmt.Appendf(nil, "v%d", i), 0)
	}
	if d.Len() != 20000 {
		t.Fatalf("Len = %d", d.Len())
	}
	for i := range 20000 {
		e, ok := d.Get(k(i), 1)
		if !ok || string(e.Bytes(nil)) != fmt.Sprintf("v%d", i) || string(e.Key()) != string(k(i)) {
			t.Fatalf("key %d: %v", i, ok)
		}
	}
	for i := range 20000 {
		if !d.Delete(k(i)) {
			t.Fatalf("key %d is not there to delete", i)
		}
	}
	if d.Len() != 0 {
		t.Fatalf("Len = %d after deleting all", d.Len())
	}
}

func TestEncodings(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	big := make([]byte, 100000)
	for _, c := range []struct {
		val  []byte
		want string
	}{
		{[]byte("12"), "int"}, {[]byte("-9223372036854775808"), "int"}, {[]byte("9223372036854775808"), "embstr"},
		{[]byte("012"), "embstr"}, {[]byte("-0"), "embstr"}, {[]byte(""), "embstr"},
		{make([]byte, 44), "embstr"}, {make([]byte, 45), "raw"}, {big, "raw"},
	} {
		d.SetString([]byte("k"), c.val, 0)
		e, _ := d.Get([]byte("k"), 0)
		if e.Encoding() != c.want || string(e.Bytes(nil)) != string(c.val) || e.StrLen() != len(c.val) {
			t.Errorf("%.30q: encoding %s, want %s", c.val, e.Encoding(), c.want)
		}
	}
}

func TestExpiry(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	for i := range 1000 {
		d.SetString(k(i), []byte("x"), int64(1000+i))
	}
	if d.Expires() != 1000 {
		t.Fatalf("Expires = %d", d.Expires())
	}
	if _, ok := d.Get(k(0), 1000); !ok {
		t.Fatal("a key is hidden in its last millisecond")
	}
	if _, ok := d.Get(k(0), 1001); ok {
		t.Fatal("an expired key is visible")
	}
	if found, _ := d.ExpireStep(1000, 5000, 0, func([]byte) {}); found != 0 {
		t.Fatalf("the cycle takes %d keys that readers still see", found)
	}
	if _, ok := d.Peek(k(0)); !ok {
		t.Fatal("Peek does not see an expired key")
	}
	n := 0
	for range 100 {
		found, _ := d.ExpireStep(1500, 200, 0, func(key []byte) { d.Delete(key); n++ })
		_ = found
	}
	if n != 500 || d.Expires() != 500 || d.Len() != 500 {
		t.Fatalf("expired %d, left %d with expiry, %d keys", n, d.Expires(), d.Len())
	}
	d.SetString(k(999), []byte("y"), KeepTTL)
	if e, _ := d.Get(k(999), 0); e.ExpireAt() != 1999 {
		t.Fatalf("KeepTTL lost the expiry: %d", e.ExpireAt())
	}
	d.SetString(k(999), []byte("y"), 0)
	if !d.Persist(k(998)) || d.Persist(k(998)) || d.Expires() != 498 {
		t.Fatalf("Expires = %d", d.Expires())
	}
}

func TestScanReturnsEverythingUnderGrowth(t *testing.T) {
	for seed := range int64(20) {
		r := rand.New(rand.NewSource(seed))
		s := New(Options{Seed: uint64(seed), Partitions: 4})
		d := s.DB(0)
		stay := 1 + r.Intn(3000)
		for i := range stay {
			d.SetString(k(i), []byte("stay"), 0)
		}
		seen := map[string]bool{}
		extra := 0
		for cursor := uint64(0); ; {
			cursor = d.Scan(cursor, 1+r.Intn(30), func(key []byte, e Entry) { seen[string(key)] = true })
			if cursor == 0 {
				break
			}
			for range r.Intn(300) {
				if extra < 30000 {
					d.SetString(fmt.Appendf(nil, "extra:%d", extra), []byte("x"), 0)
					extra++
				}
				d.Delete(fmt.Appendf(nil, "extra:%d", r.Intn(extra+1)))
			}
		}
		for i := range stay {
			if !seen[string(k(i))] {
				t.Fatalf("seed %d: SCAN missed %s of %d while %d keys came and went", seed, k(i), stay, extra)
			}
		}
	}
}

func TestHashBasics(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	h, wrong := d.HashForWrite([]byte("h"))
	if wrong {
		t.Fatal("wrong type")
	}
	for i := range 5000 {
		if !h.Set(k(i), k(i)) || h.Set(k(i), k(i+1)) || h.Set(k(i), k(i)) {
			t.Fatalf("field %d", i)
		}
		if want := map[bool]string{true: "listpack", false: "hashtable"}[i < 128]; h.Encoding() != want {
			t.Fatalf("%d fields: %s", i+1, h.Encoding())
		}
	}
	r, ok, _ := d.Hash([]byte("h"), 0)
	if !ok || r.Len() != 5000 {
		t.Fatalf("Len = %d", r.Len())
	}
	n := 0
	r.Each(func(f, v []byte) bool { n++; return string(f) == string(v) })
	if n != 5000 {
		t.Fatalf("Each gave %d", n)
	}
	if !d.Rename([]byte("h"), []byte("g")) || !d.Copy([]byte("g"), []byte("c"), s.DB(1)) {
		t.Fatal("rename or copy failed")
	}
	c, _, _ := s.DB(1).Hash([]byte("c"), 0)
	if v, _ := c.Get(k(77)); c.Len() != 5000 || string(v) != string(k(77)) {
		t.Fatalf("the copy has %d fields", c.Len())
	}
	d.Delete([]byte("g"))
	s.FlushDB(1)
	for s.Reclaim(100) {
	}
	if n := s.UsedBytes(); n > 64<<10 {
		t.Fatalf("%d bytes left after deleting everything", n)
	}
}
