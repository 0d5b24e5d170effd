package store

import (
	"bytes"
	"testing"
)

// TestBigValueIsOverwrittenInPlace checks when a blob's memory is used again, and what is counted for it.
func TestBigValueIsOverwrittenInPlace(t *testing.T) {
	s := New(Options{Seed: 1})
	d := s.DB(0)
	key := []byte("k")
	set := func(fill byte, n int, expire int64) *Blob {
		t.Helper()
		want := bytes.Repeat([]byte{fill}, n)
		d.SetString(key, want, expire)
		e, _ := d.Peek(key)
		b := e.Blob()
		if b == nil || !bytes.Equal(b.Bytes(), want) || !bytes.Equal(e.Bytes(nil), want) || e.ExpireAt() != max(expire, 0) {
			t.Fatalf("a value of %d bytes, to expire at %d, is wrong", n, expire)
		}
		if got := s.blobs.bytes.Load(); got < int64(n) || got >= int64(n+blobStep) {
			t.Fatalf("%d bytes are counted for a blob of %d", got, n)
		}
		b.Release()
		return b
	}
	first := set('a', 40_000, 0)
	if b := set('b', 40_000-blobStep+1, 0); b != first {
		t.Error("a value that is a little shorter got memory of its own")
	}
	if b := set('c', 40_000-blobStep, 0); b == first {
		t.Error("a blob stayed that is too big for its value")
	}
	second := set('d', 40_000, 0)
	if b := set('e', 40_001, 0); b == second {
		t.Error("a value is longer than its memory")
	}
	set('f', 40_001, 1000)
	third := set('g', 40_001, 2000)
	if b := set('h', 40_001, 3000); b != third {
		t.Error("a value whose expiry moved got memory of its own")
	}

	held := set('i', 40_001, 3000)
	held.Retain()
	d.SetString(key, bytes.Repeat([]byte("j"), 40_001), 3000)
	if !bytes.Equal(held.Bytes(), bytes.Repeat([]byte("i"), 40_001)) {
		t.Fatal("a blob changed while somebody held it")
	}
	held.Release()
	set('k', 40_001, 3000)
	d.SetString(key, []byte("short"), 0)
	if n := s.blobs.bytes.Load(); n != 0 {
		t.Fatalf("%d bytes are counted for no blob", n)
	}
}

// usedPages gives memory that was used before.
type usedPages struct{ goPages }

func (usedPages) AllocBlob(n int) ([]byte, bool) { return bytes.Repeat([]byte{0xff}, n), false }

// TestWhatIsNewOfStringsIsZero: a blob's memory has whatever was in it.
func TestWhatIsNewOfStringsIsZero(t *testing.T) {
	s := New(Options{Seed: 1, Pages: usedPages{}})
	d := s.DB(0)
	key := []byte("k")
	for _, was := range []string{"", "7", "text", string(bytes.Repeat([]byte("v"), 20_000))} {
		d.Delete(key)
		if was != "" {
			d.SetString(key, []byte(was), 0)
		}
		for _, n := range []int{30_000, 90_000, 2 << 20} {
			if b := d.EditString(key, n); len(b) != n || string(b[:len(was)]) != was || len(bytes.Trim(b[len(was):], "\x00")) > 0 {
				t.Errorf("a string of %d bytes that had %d is wrong", n, len(was))
			}
		}
	}
}
