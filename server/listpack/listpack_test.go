package listpack

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// samples stand at the borders of every encoding, and of the length behind an element.
func samples() [][]byte {
	var all [][]byte
	for _, n := range []int64{0, 127, 128, -1, 4095, 4096, -4096, -4097, 32767, -32769, 1<<23 - 1, -1 << 23, 1<<31 - 1, -1 << 31, 1<<63 - 1, -1 << 63} {
		all = append(all, fmt.Append(nil, n))
	}
	for _, n := range []int{0, 1, 63, 64, 126, 127, 4095, 4096, 16380, 16383, 2097150} {
		all = append(all, []byte(strings.Repeat("x", n)))
	}
	return append(all, []byte("007"), []byte("-0"), []byte("9223372036854775808"), []byte("1 "))
}

func build(elems [][]byte) []byte {
	lp := Begin(nil)
	for _, s := range elems {
		lp = AppendString(lp, s)
	}
	return Finish(lp, 0, len(elems))
}

// TestBothWays reads forwards and backwards what was written.
func TestBothWays(t *testing.T) {
	want := samples()
	lp := build(want)
	if n, err := Check(lp); n != len(want) || err != nil || Len(lp) != len(lp) || Count(lp) != len(want) {
		t.Fatalf("%d elements, %v", n, err)
	}
	var starts []int
	off := Header
	for i := range want {
		v, next := At(lp, off)
		if got := v.Append(nil); !bytes.Equal(got, want[i]) || !v.Is(want[i]) || next != Skip(lp, off) {
			t.Fatalf("element %d is %.40q, want %.40q; next at %d or %d", i, got, want[i], next, Skip(lp, off))
		}
		starts = append(starts, off)
		off = next
	}
	if !AtEnd(lp, off) || off != End(lp) {
		t.Fatalf("the end stands at %d, not %d", End(lp), off)
	}
	for i := len(starts) - 1; i >= 0; i-- {
		if off = Before(lp, off); off != starts[i] {
			t.Fatalf("backwards element %d begins at %d, not %d", i, off, starts[i])
		}
	}
}

// FuzzCheck: what Check accepts can be walked to its end, one element at a time.
func FuzzCheck(f *testing.F) {
	f.Add(build(nil))
	f.Add(build(samples()[:24]))
	f.Fuzz(func(t *testing.T, lp []byte) {
		n, err := Check(lp)
		if err != nil {
			return
		}
		off := Header
		for range n {
			if AtEnd(lp, off) {
				t.Fatalf("fewer than %d elements", n)
			}
			v, next := At(lp, off)
			if next <= off || next > End(lp) || Before(lp, next) != off {
				t.Fatalf("element at %d (%.40q) ends at %d of %d", off, v.Append(nil), next, len(lp))
			}
			off = next
		}
		if off != End(lp) {
			t.Fatalf("the last element ends at %d of %d", off, len(lp))
		}
	})
}
