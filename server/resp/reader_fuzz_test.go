package resp

import (
	"bytes"
	"testing"
	"testing/iotest"
)

// FuzzReader: no reply panics or makes the reader believe an announced length; how the bytes are cut makes no difference.
func FuzzReader(f *testing.F) {
	for _, in := range []string{"+OK\r\n", "-ERR x\r\n", ":12\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*2\r\n$1\r\na\r\n:1\r\n", "*-1\r\n", "%1\r\n+a\r\n+b\r\n", "~1\r\n_\r\n", ",1.5\r\n", "#t\r\n",
		"(12345678901234567890\r\n", "=7\r\ntxt:abc\r\n", ">2\r\n+a\r\n+b\r\n", "*2147483647\r\n", "$536870912\r\nx", "|1\r\n+a\r\n+b\r\n+c\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n",
		"|0\r\n|0\r\n|0\r\n+a\r\n", "%9223372036854775807\r\n"} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		a, errA := NewReader(bytes.NewReader(in)).Read()
		b, errB := NewReader(iotest.OneByteReader(bytes.NewReader(in))).Read()
		if (errA == nil) != (errB == nil) || a.String() != b.String() {
			t.Fatalf("two readings differ: %s %v, %s %v", a.String(), errA, b.String(), errB)
		}
	})
}
