package member

import (
	"bytes"
	"testing"
	"testing/iotest"
)

// FuzzFrame: a line is refused or read; what is read can be said again and means the same, however the bytes are cut.
func FuzzFrame(f *testing.F) {
	for _, m := range []Message{Hello{Oldest: 1, Newest: 1, SetUID: "s"}, Ask{}, Adopt{}, Promote{}, Follow{}, Park{}, Lease{}, Report{}, Refusal{Code: RefusedRole, Why: "x"}} {
		line, err := Encode(Frame{ID: 1, Re: 2, Message: m})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte("{\"v\":1,\"k\":\"none\"}\n"))
	f.Add([]byte("{\"v\":-1,\"k\":\"ask\"}\n"))
	f.Add([]byte("\n\n{"))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, errA := ReadFrame(NewReader(bytes.NewReader(in)))
		b, errB := ReadFrame(NewReader(iotest.OneByteReader(bytes.NewReader(in))))
		if (errA == nil) != (errB == nil) {
			t.Fatalf("two readings differ: %v %v", errA, errB)
		}
		if errA != nil {
			return
		}
		first, err1 := Encode(a)
		second, err2 := Encode(b)
		if (err1 == nil) != (err2 == nil) || !bytes.Equal(first, second) {
			t.Fatalf("two readings differ: %s %s", first, second)
		}
		if err1 != nil {
			return // escaping made it too long
		}
		again, err := Decode(first)
		if err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		if third, err := Encode(again); err != nil || !bytes.Equal(third, first) {
			t.Fatalf("%s became %s (%v)", first, third, err)
		}
	})
}
