package rdb

import (
	"bytes"
	"testing"
)

// ValueSize tells what there is to deal with, whatever stands there.
func TestValueSize(t *testing.T) {
	long := bytes.Repeat([]byte("abc"), 50_000)
	packed := AppendString([]byte{byte(TypeString)}, long, true)
	if len(packed) > 10_000 {
		t.Fatalf("the string takes %d bytes", len(packed))
	}
	for _, c := range []struct {
		p    []byte
		want int
	}{
		{packed, len(long)},
		{AppendString([]byte{byte(TypeString)}, long, false), 1 + 5 + len(long)},
		{AppendString([]byte{byte(TypeSet)}, long, true), len(packed)},
		{AppendString([]byte{byte(TypeString)}, []byte("12"), true), 3},
		{append([]byte{byte(TypeString), 0xc3, 1, 0x81}, 255, 0, 0, 0, 0, 0, 0, 0), 12 * mostExpanded},
		{packed[:2], 2}, {packed[:5], 5}, {packed[:1], 1}, {nil, 0},
	} {
		if got := ValueSize(c.p); got != c.want {
			t.Errorf("of %d bytes: %d, want %d", len(c.p), got, c.want)
		}
	}
}
