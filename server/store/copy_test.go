package store

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestCopyValue copies to and from odd places, of lengths around those at which the way changes, and looks at what lies beside.
func TestCopyValue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	from := make([]byte, 600<<10)
	for i := range from {
		from[i] = byte(r.Uint32())
	}
	lengths := []int{0, 1, 7, 4<<10 - 1, 4 << 10, 4<<10 + 1, 16 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1, 512<<10 + 3}
	for range 200 {
		n, a, b := lengths[r.IntN(len(lengths))], r.IntN(70), r.IntN(70)
		to := bytes.Repeat([]byte{0xee}, b+n+64)
		copyValue(to[b:], from[a:a+n])
		if !bytes.Equal(to[b:b+n], from[a:a+n]) || len(bytes.Trim(to[:b], "\xee")) > 0 || len(bytes.Trim(to[b+n:], "\xee")) > 0 {
			t.Fatalf("%d bytes from %d to %d came otherwise, or more than they", n, a, b)
		}
	}
}
