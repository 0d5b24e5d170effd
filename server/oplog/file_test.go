package oplog

import (
	"errors"
	"strings"
	"testing"
)

// wholes reads what the file may have, one text per piece, and passes it.
func wholes(t *testing.T, c *Cursor) (list []string, at Mark) {
	t.Helper()
	pieces, at, err := c.Whole(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		s := string(p.Data)
		if p.Counts {
			s += "@" + p.ID[:1] + string(rune('0'+p.Offset))
		}
		list = append(list, s)
	}
	c.Pass(at.Pos)
	return list, at
}

func TestFileReadsWholeUnitsWithTheirPlaces(t *testing.T) {
	l := New(Options{NewID: counting()})
	l.CreateBacklog() // history b
	c := l.File()
	check := func(want string, id string, offset int64) {
		t.Helper()
		list, at := wholes(t, c)
		if got := strings.Join(list, " "); got != want || !at.Whole || at.ID[:1] != id || at.Offset != offset || c.Offset() != offset {
			t.Errorf("%q at %+v, want %q at %s%d", got, at, want, id, offset)
		}
	}
	l.Append([]byte("xy"), ToAll)
	check("xy@b0", "b", 2)
	l.AppendPart([]byte("m"), ToAll)
	l.AppendPart([]byte("own"), ToFile)
	check("", "b", 2) // the unit goes on
	l.Append([]byte("e"), ToAll)
	check("m@b2 own e@b3", "b", 4)
	l.Append([]byte("p"), ToReplicas)
	check("", "b", 5)
	l.Shift("")
	check("", "c", 5)
	l.Append([]byte("z"), ToAll)
	check("z@c5", "c", 6)
}

func TestFileStopsAtACut(t *testing.T) {
	l := New(Options{NewID: counting()})
	c := l.File()
	l.Append([]byte("before"), ToAll)
	cut := l.WholePos()
	c.StopAt(cut)
	l.Append([]byte("behind"), ToAll)
	if list, at := wholes(t, c); strings.Join(list, " ") != "before" || at.Pos != cut || at.Whole {
		t.Errorf("%v at %+v", list, at)
	}
	if list, _ := wholes(t, c); len(list) != 0 {
		t.Errorf("behind the cut: %v", list)
	}
	c.StopAt(NoLimit)
	if list, at := wholes(t, c); strings.Join(list, " ") != "behind" || !at.Whole || at.ID != "" {
		t.Errorf("%v at %+v, though nobody counts", list, at)
	}
}

func TestFileEndsWithItsHistory(t *testing.T) {
	l := New(Options{NewID: counting()})
	l.CreateBacklog()
	c := l.File()
	l.Append(make([]byte, 3*blockSize+7), ToAll)
	if pieces, at, err := c.Whole(nil); err != nil || len(pieces) != 4 || at.Pos != l.WholePos() {
		t.Fatalf("%d pieces up to %d: %v", len(pieces), at.Pos, err)
	}
	l.Follow(strings.Repeat("x", 40), 7, nil)
	if _, _, err := c.Whole(nil); !errors.Is(err, ErrReset) {
		t.Fatal(err)
	}
	if l.Wanted()&ToFile != 0 {
		t.Error("bytes of the file are kept for nobody")
	}
	if list, at := wholes(t, l.File()); len(list) != 0 || at.Offset != 7 || at.ID[0] != 'x' {
		t.Errorf("the next file begins with %v at %+v", list, at)
	}
}

// TestReplicasReadNoFurtherThanTheLimit: in one piece of a run, across blocks, and from a cursor that is opened later.
func TestReplicasReadNoFurtherThanTheLimit(t *testing.T) {
	l := New(Options{BacklogSize: 4 * minBlockSize, NewID: counting()})
	l.CreateBacklog()
	c, err := l.Replica(0)
	if err != nil {
		t.Fatal(err)
	}
	read := func(c *Cursor) (n int) {
		t.Helper()
		for {
			parts, err := c.Read(nil, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if len(parts) == 0 {
				return n
			}
			step := 0
			for _, p := range parts {
				step += len(p)
			}
			c.Advance(step)
			n += step
		}
	}
	l.LimitReplicas(3)
	l.Append(make([]byte, 10), ToAll)
	if n := read(c); n != 3 {
		t.Errorf("%d bytes with a limit of 3", n)
	}
	<-c.C // the limit's signal, and that of nobody else: Wake was not called
	l.Append(make([]byte, 3*minBlockSize), ToAll)
	l.LimitReplicas(2*minBlockSize + 7)
	select {
	case <-c.C:
	default:
		t.Error("a limit that moves wakes nobody")
	}
	if n := read(c); n != 2*minBlockSize+4 {
		t.Errorf("%d bytes up to the middle of the third block", n)
	}
	late, err := l.Replica(l.Offset())
	if err != nil {
		t.Fatal(err)
	}
	if n := read(late); n != 0 {
		t.Errorf("%d bytes behind the limit", n)
	}
	l.LimitReplicas(NoLimit)
	if n := read(c); n != minBlockSize+3 {
		t.Errorf("%d bytes without a limit", n)
	}
	l.Append(make([]byte, 5), ToAll)
	if n := read(late); n != 5 {
		t.Errorf("%d bytes of what came later", n)
	}
}
