package resp

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestWriterShapes(t *testing.T) {
	for _, tc := range []struct {
		name         string
		write        func(w *Writer)
		resp2, resp3 string
	}{
		{"ok", func(w *Writer) { w.OK() }, "+OK\r\n", "+OK\r\n"},
		{"error", func(w *Writer) { w.Error("a\r\nb") }, "-ERR a  b\r\n", "-ERR a  b\r\n"},
		{"coded error", func(w *Writer) { w.ErrorBytes([]byte("-WRONGTYPE x")) }, "-WRONGTYPE x\r\n", "-WRONGTYPE x\r\n"},
		{"int", func(w *Writer) { w.Int(-12) }, ":-12\r\n", ":-12\r\n"},
		{"bulk", func(w *Writer) { w.Bulk([]byte("0123456789")) }, "$10\r\n0123456789\r\n", "$10\r\n0123456789\r\n"},
		{"bulk int", func(w *Writer) { w.BulkInt(-7) }, "$2\r\n-7\r\n", "$2\r\n-7\r\n"},
		{"begin bulk", func(w *Writer) { copy(w.BeginBulk(2), "hi") }, "$2\r\nhi\r\n", "$2\r\nhi\r\n"},
		{"null", func(w *Writer) { w.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(w *Writer) { w.NullArray() }, "*-1\r\n", "_\r\n"},
		{"map", func(w *Writer) { w.Map(2) }, "*4\r\n", "%2\r\n"},
		{"set", func(w *Writer) { w.Set(2) }, "*2\r\n", "~2\r\n"},
		{"push", func(w *Writer) { w.Push(3) }, "*3\r\n", ">3\r\n"},
		{"bool", func(w *Writer) { w.Bool(true); w.Bool(false) }, ":1\r\n:0\r\n", "#t\r\n#f\r\n"},
		{"double", func(w *Writer) { w.Double(3.25) }, "$4\r\n3.25\r\n", ",3.25\r\n"},
		{"big number", func(w *Writer) { w.BigNumber("123") }, "$3\r\n123\r\n", "(123\r\n"},
		{"verbatim", func(w *Writer) { w.Verbatim("txt", "hi") }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
		{"deferred", func(w *Writer) {
			m := w.DeferArray()
			for i := range 11 {
				w.Int(int64(i % 2))
			}
			w.SetArrayLen(m, 11)
		}, "*11\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n", "*11\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n"},
		{"deferred map", func(w *Writer) { m := w.DeferArray(); w.OK(); w.SetMapLen(m, 1) }, "*2\r\n+OK\r\n", "%1\r\n+OK\r\n"},
	} {
		w := NewWriter(nil)
		if tc.write(w); string(w.Bytes()) != tc.resp2 {
			t.Errorf("%s in RESP2: %q, want %q", tc.name, w.Bytes(), tc.resp2)
		}
		w.Reset()
		w.SetProto(3)
		if tc.write(w); string(w.Bytes()) != tc.resp3 {
			t.Errorf("%s in RESP3: %q, want %q", tc.name, w.Bytes(), tc.resp3)
		}
	}
}

func TestAppendDouble(t *testing.T) {
	for want, f := range map[string]float64{
		"0": 0, "-0": math.Copysign(0, -1), "0.10000000000000001": 0.1, "-2.5": -2.5, "100": 100, "1e+21": 1e21,
		"9.9999999999999995e-08": 1e-7, "inf": math.Inf(1), "-inf": math.Inf(-1), "nan": math.NaN(),
		"1.2345678901234568e+17": 123456789012345678, "10000000000000000": 1e16, "1e+17": 1e17, "-1e+17": -1e17,
		"99999999999999984": 99999999999999984, "0.0001": 0.0001, "1.0000000000000001e-05": 1e-5, "1.5e-09": 1.5e-9,
		"1.0000000000000001e+300": 1e300, "4.9406564584124654e-324": 5e-324, "1e+100": 1e100, "0.5": 0.5, "-9.2233720368547758e+18": -1 << 63,
	} {
		if got := string(AppendDouble(nil, f)); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
}

type testBlob struct {
	data     []byte
	released int
}

func (b *testBlob) Bytes() []byte { return b.data }
func (b *testBlob) Release()      { b.released++ }

func TestWriterBlobs(t *testing.T) {
	w := NewWriter(nil)
	a, b := &testBlob{data: []byte("aaa")}, &testBlob{data: []byte("bb")}
	w.OK()
	mark := w.Len()
	array := w.DeferArray()
	w.BulkRef(a)
	w.Int(1)
	w.BulkRef(b)
	w.SetArrayLen(array, 3)
	var got bytes.Buffer
	w.Segments(mark, w.Len(), func(plain []byte, blob Blob) {
		if blob != nil {
			plain = blob.Bytes()
			defer blob.Release()
		}
		got.Write(plain)
	})
	if want := "*3\r\n$3\r\naaa\r\n:1\r\n$2\r\nbb\r\n"; got.String() != want {
		t.Fatalf("got %q, want %q", got.String(), want)
	}
	w.Truncate(mark)
	if string(w.Bytes()) != "+OK\r\n" || w.HasRefs() || a.released != 1 || b.released != 1 {
		t.Fatalf("left %q, refs %v, released %d %d", w.Bytes(), w.HasRefs(), a.released, b.released)
	}
	w.BulkRef(a)
	w.Truncate(mark)
	if a.released != 2 || string(w.Bytes()) != "+OK\r\n" {
		t.Fatal("Truncate must release what it takes back")
	}
}

func TestReaderReadsWhatWriterWrites(t *testing.T) {
	w := NewWriter(nil)
	w.SetProto(3)
	w.Array(3)
	w.Map(1)
	w.Simple("k")
	w.Double(1.5)
	w.Null()
	w.Verbatim("txt", "hey")
	w.Error("no")
	r := NewReader(bytes.NewReader(w.Bytes()))
	v, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.String(), `*[%[k (double) 1.5] (nil) "txt:hey"]`; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if v, err = r.Read(); err != nil || v.Err() == nil || v.Err().Error() != "ERR no" {
		t.Fatalf("got %v, %v", v, err)
	}
}

func TestReaderRefusesNonsense(t *testing.T) {
	for _, in := range []string{"?1\r\n", "$x\r\n", "$-2\r\n", "$99999999999\r\n", ":1\n", "\r\n", ":a\r\n", "$5\r\nab"} {
		if v, err := NewReader(bytes.NewReader([]byte(in))).Read(); err == nil {
			t.Errorf("%q read as %v", in, v)
		}
	}
}

// TestBulkOfAnyLength: short ones are written in one piece, whatever room there is.
func TestBulkOfAnyLength(t *testing.T) {
	text := strings.Repeat("0123456789", 30)
	for n := range 250 {
		for room := range 20 {
			w := NewWriter(make([]byte, 0, n+room))
			w.Simple("x")
			w.Bulk([]byte(text[:n]))
			w.Int(1)
			if want := fmt.Sprintf("+x\r\n$%d\r\n%s\r\n:1\r\n", n, text[:n]); string(w.Bytes()) != want {
				t.Fatalf("%d bytes with room for %d: %q", n, n+room, w.Bytes())
			}
		}
	}
}

func TestIntegersOfAllLengths(t *testing.T) {
	for _, room := range []int{0, 4, 100} {
		for power := int64(1); power < 1e18; power *= 10 {
			for _, n := range []int64{power - 1, power, power + 1, 7 * power, 12345678901 % power} {
				w := NewWriter(make([]byte, 0, room))
				w.Int(n)
				w.Int(-n)
				w.Array(int(n))
				if got, want := string(w.Bytes()), fmt.Sprintf(":%d\r\n:%d\r\n*%d\r\n", n, -n, n); got != want {
					t.Fatalf("%q, want %q", got, want)
				}
			}
		}
	}
}
