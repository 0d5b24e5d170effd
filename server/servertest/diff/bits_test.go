package diff

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// bitString has n bytes: in the middle all bits are alike, so that one that differs may be far away.
func bitString(r *rand.Rand, n int) string {
	b := []byte(strings.Repeat(string([]byte{byte(-r.IntN(2))}), n))
	for range r.IntN(4) {
		if i := r.IntN(n + 1); i < n {
			b[i] ^= byte(1 << r.IntN(8))
		}
	}
	if r.IntN(3) == 0 {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	return string(b)
}

// TestBitsOfBigStrings compares BITCOUNT, BITPOS and BITOP of strings longer than a word, a block, a piece and a step, and
// of ranges that begin and end anywhere.
func TestBitsOfBigStrings(t *testing.T) {
	for _, long := range []bool{false, true} {
		s := *seed + 2
		t.Logf("seed %d", s)
		r := rand.New(rand.NewPCG(s, 5))
		ours := NewDirect()
		if long {
			ours.Ctx.Conf.LongFrom = 1
		}
		real := oracle.Start(t, "--save", "")
		compare := func(args ...string) {
			t.Helper()
			if want, got := real.Do(args...), ours.Do(args...); !Same(args, want, got) {
				t.Fatalf("%.100q\nredis-server: %.100s\nours:         %.100s", args, want, got)
			}
		}
		lengths := []int{0, 1, 7, 8, 31, 32, 33, 63, 100, 257, 4000, 16<<10 + 5, 64 << 10, 70_001, 300_000}
		keys := []string{"missing", "int", "list"}
		compare("SET", "int", "1234567890")
		compare("RPUSH", "list", "a")
		for i, n := range lengths {
			keys = append(keys, "k"+strconv.Itoa(i))
			compare("SET", keys[len(keys)-1], bitString(r, n))
		}
		place := func(n int) string { return strconv.Itoa(r.IntN(2*n+9) - n - 4) }
		for i := range 1500 {
			at := r.IntN(len(keys))
			key, n := keys[at], 10
			if at > 2 {
				n = lengths[at-3]
			}
			unit := [][]string{{}, {"BIT"}, {"BYTE"}, {"byt"}, {"BIT", "x"}}[r.IntN(5)]
			if len(unit) == 1 && unit[0] == "BIT" {
				n *= 8
			}
			tail := [][]string{{}, {place(n)}, append([]string{place(n), place(n)}, unit...)}[r.IntN(3)]
			compare(append([]string{"BITCOUNT", key}, tail...)...)
			compare(append([]string{"BITPOS", key, strconv.Itoa(r.IntN(2))}, tail...)...)
			switch i % 5 {
			case 0:
				args := []string{"BITOP", []string{"AND", "OR", "XOR", "not", "nand"}[r.IntN(5)], keys[r.IntN(len(keys))]}
				for range 1 + r.IntN(3) {
					args = append(args, keys[r.IntN(len(keys))])
				}
				to := args[2]
				if to == "missing" || to == "list" {
					to, args[2] = "to", "to"
				}
				compare(args...)
				compare("GET", to)
				compare("STRLEN", to)
			case 1:
				at = 3 + r.IntN(len(lengths))
				compare("SET", keys[at], bitString(r, lengths[at-3]), "PX", "1000000")
			}
		}
		for _, name := range []string{"bitcount", "bitpos"} {
			if (ours.Long[name] > 0) != long {
				t.Errorf("%s went on after its handler %d times", name, ours.Long[name])
			}
		}
	}
}
