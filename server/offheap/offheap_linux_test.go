package offheap

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/store"
)

func rss(t testing.TB) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n * int64(os.Getpagesize())
}

func TestPagesAreApartAndComeBack(t *testing.T) {
	p := New()
	const n = 1000
	var pages []*store.Page
	seen := map[*store.Page]bool{}
	before := rss(t)
	for i := range n {
		pg := p.AllocPage()
		if seen[pg] {
			t.Fatal("a page was handed out twice")
		}
		seen[pg] = true
		for j := range pg {
			pg[j] = byte(i)
		}
		pages = append(pages, pg)
	}
	for i, pg := range pages {
		if pg[0] != byte(i) || pg[store.PageSize-1] != byte(i) {
			t.Fatal("pages overlap")
		}
		p.FreePage(pg)
	}
	if grown := rss(t) - before; grown > (warmPages+80)*store.PageSize {
		t.Errorf("%d KiB stay resident after freeing %d pages", grown>>10, n)
	}
	for range n {
		if !seen[p.AllocPage()] {
			t.Fatal("a freed page was not used again")
		}
	}
}

func TestBlobs(t *testing.T) {
	p := New()
	for _, n := range []int{1, 4096, 4097, 20000, keptBlob, keptBlob + 1, 1 << 20} {
		a, b := blobOf(p, n), blobOf(p, n)
		if len(a) < n || len(b) < n || &a[0] == &b[0] {
			t.Fatalf("blobs of %d bytes have %d and %d, or are the same", n, len(a), len(b))
		}
		a[0], a[len(a)-1], b[0], b[len(b)-1] = 1, 1, 2, 2
		if a[0] != 1 || a[len(a)-1] != 1 {
			t.Fatalf("blobs of %d bytes overlap", n)
		}
		p.FreeBlob(a)
		if c := blobOf(p, n); n <= keptBlob && &c[0] != &a[0] {
			t.Fatalf("a freed blob of %d bytes was not used again", n)
		}
		p.FreeBlob(b)
	}
}

// What freed blobs keep is bounded, and the sizes that were freed last are kept.
func TestFreedBlobsGoBack(t *testing.T) {
	p := New()
	before := rss(t)
	for _, size := range []int{4096, 16 << 10, 64 << 10, keptBlob, 1 << 20} {
		var all [][]byte
		for range 64 << 20 / size {
			b := blobOf(p, size)
			for i := 0; i < len(b); i += osPage {
				b[i] = 1
			}
			all = append(all, b)
		}
		for _, b := range all {
			p.FreeBlob(b)
		}
		kept := 0
		for _, b := range p.kept {
			kept += len(b)
		}
		if kept != p.bytes || kept > keptBytes || len(p.kept) > keptBlobs {
			t.Fatalf("%d blobs of %d bytes are kept, counted as %d", len(p.kept), kept, p.bytes)
		}
		if last := p.kept[len(p.kept)-1]; size <= keptBlob && len(last) != size {
			t.Fatalf("blobs of %d bytes were freed, of %d are kept", size, len(last))
		}
		if grown := rss(t) - before; grown > shadow*(keptBytes+4<<20) {
			t.Fatalf("%d KiB stay resident after freeing 64 MiB in blobs of %d bytes", grown>>10, size)
		}
	}
}

// TestStoreOutsideTheHeap runs a store over mapped memory: contents, and what is resident against what is used.
func TestStoreOutsideTheHeap(t *testing.T) {
	s := store.New(store.Options{Seed: 1, Pages: New()})
	d := s.DB(0)
	val := bytes.Repeat([]byte("v"), 64)
	const n = 200_000
	for i := range n {
		d.SetString(fmt.Appendf(nil, "key:%012d", i), val, 0)
	}
	big := bytes.Repeat([]byte("b"), 100_000)
	d.SetString([]byte("big"), big, 0)
	for i := range n {
		if e, ok := d.Get(fmt.Appendf(nil, "key:%012d", i), 1); !ok || !bytes.Equal(e.Bytes(nil), val) {
			t.Fatalf("key %d is missing or wrong", i)
		}
	}
	if e, _ := d.Get([]byte("big"), 1); !bytes.Equal(e.Bytes(nil), big) {
		t.Fatal("the big value is wrong")
	}
	d.EditString([]byte("big"), 200_000)[150_000] = 'x'
	if e, _ := d.Get([]byte("big"), 1); e.StrLen() != 200_000 || e.Bytes(nil)[150_000] != 'x' || e.Bytes(nil)[99_999] != 'b' {
		t.Fatal("the edited big value is wrong")
	}
	s.FlushAll()
	for s.Reclaim(1000) {
	}
	if s.UsedBytes() != 0 {
		t.Fatalf("%d bytes are left", s.UsedBytes())
	}
}

func blobOf(p *Pages, n int) []byte {
	b, _ := p.AllocBlob(n)
	return b
}

// Memory that is said to be zero is, however much was used and freed before.
func TestZeroBlobs(t *testing.T) {
	p := New()
	zeros := 0
	for i := range 200 {
		b, zero := p.AllocBlob((i%7 + 1) * 100 << 10)
		if zero {
			if zeros++; bytes.ContainsFunc(b, func(r rune) bool { return r != 0 }) {
				t.Fatal("memory that is said to be zero was used before")
			}
		}
		for j := range b {
			b[j] = 0xff
		}
		p.FreeBlob(b)
	}
	if zeros == 0 || zeros == 200 {
		t.Errorf("%d of 200 blobs were of fresh memory", zeros)
	}
}
