package oplog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

func id(c string) string { return strings.Repeat(c, 40) }

// from is what a replica at offset gets.
func from(t *testing.T, l *Log, offset int64) string {
	t.Helper()
	c, err := l.Replica(offset)
	if err != nil {
		t.Fatalf("from %d: %v", offset, err)
	}
	defer c.Close()
	return read(t, c)
}

func TestRestoredTailIsServedToThoseBehind(t *testing.T) {
	for name, place := range map[string]func(*Log, *Tail){
		"master":  func(l *Log, tail *Tail) { l.Restore(id("x"), 110, tail) },
		"replica": func(l *Log, tail *Tail) { l.Follow(id("x"), 110, tail) },
	} {
		t.Run(name, func(t *testing.T) {
			tail := NewTail(1 << 20)
			tail.Add(id("x"), 100, []byte("01234"))
			tail.Add(id("x"), 105, []byte("56789"))
			l := New(Options{NewID: counting()})
			l.Append([]byte("before"), ToAll)
			place(l, tail)
			file := l.File()
			for at, want := range map[int64]string{100: "0123456789", 107: "789", 110: ""} {
				if err := l.CanServe("r", id("x"), at+1); err != nil {
					t.Errorf("at %d: %v", at, err)
				}
				if got := from(t, l, at); got != want {
					t.Errorf("from %d: %q, want %q", at, got, want)
				}
			}
			for _, at := range []int64{99, 111} {
				if l.CanServe("r", id("x"), at+1) == nil {
					t.Errorf("a replica at %d is served", at)
				}
			}
			if _, err := l.Replica(99); !errors.Is(err, ErrGone) {
				t.Errorf("a cursor before the tail: %v", err)
			}
			if b := l.Backlog(); b.FirstByte != 101 || b.Length != 10 || b.Memory == 0 {
				t.Errorf("%+v", b)
			}
			l.Append([]byte("new"), ToAll)
			if got := from(t, l, 105); got != "56789new" {
				t.Errorf("with what was appended: %q", got)
			}
			if list, at := wholes(t, file); len(list) != 1 || !strings.HasPrefix(list[0], "new@") || at.Offset != 113 {
				t.Errorf("the file is given %q at %+v", list, at)
			}
			if name == "master" && l.CanServe("r", id("x"), 112) == nil {
				t.Error("S9: the old history goes on")
			}
			l.Follow(id("z"), 5, nil)
			if _, err := l.Replica(4); !errors.Is(err, ErrGone) {
				t.Errorf("the tail outlives its history: %v", err)
			}
		})
	}
}

// TestTailKeepsWhatAdjoins: only stretches that are known to follow each other are kept.
func TestTailKeepsWhatAdjoins(t *testing.T) {
	x, y := id("x"), id("y")
	for _, c := range []struct {
		name string
		tell func(*Tail)
		want int64 // bytes that end at 30 of y
	}{
		{"a place alone", func(t *Tail) { t.Add(y, 30, nil) }, 0},
		{"one history opened the next", func(t *Tail) { t.Add(x, 10, make([]byte, 10)); t.Add(y, 20, make([]byte, 10)) }, 20},
		{"and wrote nothing", func(t *Tail) { t.Add(x, 10, make([]byte, 20)); t.Add(y, 30, nil) }, 20},
		{"an unrelated one", func(t *Tail) { t.Add(x, 10, make([]byte, 10)); t.Add(y, 21, make([]byte, 9)) }, 9},
		{"a step back", func(t *Tail) { t.Add(y, 20, make([]byte, 20)); t.Add(y, 25, make([]byte, 5)) }, 5},
		{"own writes between", func(t *Tail) { t.Add(y, 20, make([]byte, 5)); t.Own(); t.Add(y, 25, make([]byte, 5)) }, 10},
		{"uncounted ones between histories", func(t *Tail) { t.Add(x, 20, make([]byte, 5)); t.Own(); t.Add(y, 25, make([]byte, 5)) }, 5},
		{"own writes at the end", func(t *Tail) { t.Add(y, 20, make([]byte, 10)); t.Own() }, 10},
		{"what nobody knows", func(t *Tail) { t.Add(y, 20, make([]byte, 5)); t.Lose(); t.Add(y, 25, make([]byte, 5)) }, 5},
		{"what nobody knows at the end", func(t *Tail) { t.Add(y, 20, make([]byte, 10)); t.Lose() }, 0},
		{"the end elsewhere", func(t *Tail) { t.Add(x, 20, make([]byte, 9)) }, 0},
		{"a PING at the end", func(t *Tail) { t.Add(y, 6, make([]byte, 10)) }, 24},
		{"a gap that no commands fill", func(t *Tail) { t.Add(y, 5, make([]byte, 10)); t.Add(y, 28, make([]byte, 2)) }, 2},
	} {
		tail := NewTail(1 << 20)
		c.tell(tail)
		l := New(Options{})
		l.Restore(y, 30, tail)
		if got := l.Backlog().Length; got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
		if got := int64(len(from(t, l, 30-c.want))); got != c.want {
			t.Errorf("%s: %d bytes are read, want %d", c.name, got, c.want)
		}
	}
}

// TestFillersAreWholeCommandsOfTheirLength: every gap that is filled is filled with PINGs to the byte, and whoever is served in the
// midst of it begins with one.
func TestFillersAreWholeCommandsOfTheirLength(t *testing.T) {
	unfilled := 0
	for n := int64(1); n < 1300; n += 1 + n/150*13 {
		tail := NewTail(1 << 20)
		tail.Add(id("x"), 0, []byte("before"))
		tail.Add(id("x"), 6+n, []byte("behind"))
		l := New(Options{})
		l.Restore(id("x"), 12+n, tail)
		if l.Backlog().Length == 6 {
			unfilled++
			if n%pingSize == 0 || n%getackSize == 0 || n > 30 && n != 121 {
				t.Errorf("a gap of %d is not filled", n)
			}
			continue
		}
		if got := from(t, l, 0); !strings.HasPrefix(got, "before") || !strings.HasSuffix(got, "behind") || int64(len(got)) != 12+n {
			t.Fatalf("a gap of %d: %q", n, got)
		}
		served := 0
		for at := int64(6); at <= 6+n; at++ {
			if l.CanServe("r", id("x"), at+1) != nil {
				continue
			}
			served++
			rest := strings.TrimSuffix(from(t, l, at), "behind")
			for rest != "" {
				var words, size int
				if _, err := fmt.Sscanf(rest, "*%d\r\n$4\r\nPING\r\n", &words); err != nil || words > 2 {
					t.Fatalf("a gap of %d, at %d: %q", n, at, rest)
				}
				if rest = rest[pingSize:]; words == 2 {
					if _, err := fmt.Sscanf(rest, "$%d\r\n", &size); err != nil {
						t.Fatalf("a gap of %d, at %d: %q", n, at, rest)
					}
					rest = rest[len(fmt.Sprintf("$%d\r\n\r\n", size))+size:]
				}
			}
		}
		want := int64(2)
		if n%pingSize == 0 {
			want = n/pingSize + 1
		} else if n%getackSize == 0 {
			want = n/getackSize + 1
		}
		if int64(served) != want {
			t.Errorf("in a gap of %d replicas are served at %d places, want %d", n, served, want)
		}
	}
	if unfilled != 13+5+2 { // 1-13, 15-19, 30, 121
		t.Errorf("%d gaps are not filled", unfilled)
	}
}

// TestTailKeepsToItsLimit: whatever is told, the tail has no more memory than the backlog may, keeps most of it, and its bytes are the
// last ones.
func TestTailKeepsToItsLimit(t *testing.T) {
	for _, limit := range []int64{1, minBlockSize, 100_000, 1 << 20} {
		rng := rand.New(rand.NewSource(limit))
		tail := NewTail(limit)
		var all []byte
		for len(all) < 3<<20 {
			p := make([]byte, rng.Intn(9000))
			rng.Read(p)
			tail.Add(id("x"), int64(len(all)), p)
			all = append(all, p...)
			if len(all)%2 == 0 { // a gap
				all = append(all, "*1\r\n$4\r\nPING\r\n"...)
			}
			if len(tail.gaps) > 0 && tail.gaps[0].to <= tail.end-tail.bytes {
				t.Fatalf("limit %d: a gap at %+v of the bytes from %d on", limit, tail.gaps[0], tail.end-tail.bytes)
			}
			if n := int64(len(tail.blocks) * tail.size); n > max(limit, minBlockSize) {
				t.Fatalf("limit %d: %d bytes of memory", limit, n)
			}
		}
		l := New(Options{BacklogSize: limit})
		l.Restore(id("x"), int64(len(all)), tail)
		b := l.Backlog()
		if b.Length > max(limit, minBlockSize) || limit > minBlockSize && b.Length < limit*3/4 {
			t.Errorf("limit %d: %d bytes", limit, b.Length)
		}
		if got := from(t, l, b.FirstByte-1); !bytes.Equal([]byte(got), all[b.FirstByte-1:]) {
			t.Errorf("limit %d: other bytes", limit)
		}
		for range 100 { // and it goes as what is appended comes
			l.Append(make([]byte, limit/10), ToAll)
		}
		if b := l.Backlog(); limit > minBlockSize && (b.FirstByte <= int64(len(all)) || b.Memory > 2*limit) {
			t.Errorf("limit %d: in the end %+v", limit, b)
		}
	}
}
