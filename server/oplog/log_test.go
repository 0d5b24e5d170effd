package oplog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"testing"
)

// counting makes IDs that a test can name: aaaa..., bbbb..., and so on.
func counting() func() string {
	n := 0
	return func() string { n++; return strings.Repeat(string(rune('a'+n-1)), 40) }
}

func read(t *testing.T, c *Cursor) string {
	t.Helper()
	var out []byte
	for {
		pieces, err := c.Read(nil, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(pieces) == 0 {
			return string(out)
		}
		n := 0
		for _, p := range pieces {
			out = append(out, p...)
			n += len(p)
		}
		c.Advance(n)
	}
}

func TestNothingIsKeptOrCountedWithoutReaders(t *testing.T) {
	l := New(Options{NewID: counting()})
	if l.Wanted() != 0 {
		t.Fatalf("wanted %d before any reader", l.Wanted())
	}
	if off := l.Append([]byte("lost"), ToAll); off != 0 || l.Backlog().Memory != 0 {
		t.Fatalf("offset %d, backlog %+v", off, l.Backlog())
	}
	if !l.CreateBacklog() || l.CreateBacklog() {
		t.Fatal("CreateBacklog must open a history once")
	}
	if ids := l.IDs(); ids.ID[0] != 'b' || ids.ID2 != noID || ids.Second != -1 {
		t.Fatalf("a new backlog did not open a new history: %+v", ids)
	}
}

func TestTargetsShareTheLogButNotTheOffset(t *testing.T) {
	l := New(Options{})
	l.CreateBacklog()
	file := l.File()
	replica, err := l.Replica(0)
	if err != nil {
		t.Fatal(err)
	}
	l.Append([]byte("both1."), ToAll)
	l.Append([]byte("ping."), ToReplicas)
	l.Append([]byte("own."), ToFile)
	if off := l.Append([]byte("both2."), ToAll); off != int64(len("both1.ping.both2.")) {
		t.Fatalf("offset %d counts bytes of the file", off)
	}
	if got := read(t, replica); got != "both1.ping.both2." {
		t.Errorf("replica read %q", got)
	}
	if got := read(t, file); got != "both1.own.both2." {
		t.Errorf("file read %q", got)
	}
	if replica.Offset() != l.Offset() || file.Offset() != l.Offset() || replica.Behind() != 0 {
		t.Errorf("offsets %d %d at the end of %d", replica.Offset(), file.Offset(), l.Offset())
	}
}

func TestWakeIsCoalescedAndReachesWaiters(t *testing.T) {
	l := New(Options{})
	l.CreateBacklog()
	c, _ := l.Replica(0)
	l.Append([]byte("a"), ToAll)
	l.Append([]byte("b"), ToAll)
	select {
	case <-c.C:
		t.Fatal("woken before the batch ended")
	default:
	}
	l.Wake()
	l.Wake()
	<-c.C
	select {
	case <-c.C:
		t.Fatal("woken twice for one batch")
	default:
	}
}

func TestBacklogIsBoundedAndASlowCursorPinsItsBytes(t *testing.T) {
	l := New(Options{BacklogSize: 4 * blockSize})
	l.CreateBacklog()
	slow, _ := l.Replica(0)
	chunk := bytes.Repeat([]byte("x"), blockSize/2)
	for range 40 {
		l.Append(chunk, ToAll)
	}
	if b := l.Backlog(); b.FirstByte != 1 {
		t.Fatalf("bytes under a cursor were dropped: %+v", b)
	}
	slow.Close()
	b := l.Backlog()
	if b.Length < 4*blockSize || b.Length > 6*blockSize {
		t.Fatalf("backlog holds %d bytes, want about %d", b.Length, 4*blockSize)
	}
	if _, err := l.Replica(b.FirstByte - 2); !errors.Is(err, ErrGone) {
		t.Fatalf("cursor before the backlog: %v", err)
	}
	if _, err := l.Replica(l.Offset() + 1); !errors.Is(err, ErrGone) {
		t.Fatalf("cursor after the end: %v", err)
	}
	first, err := l.Replica(b.FirstByte - 1)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, first)); int64(n) != b.Length {
		t.Fatalf("read %d of %d bytes", n, b.Length)
	}
}

// TestHistories walks through the ways in which a history begins and ends; every answer is Redis' own line.
func TestHistories(t *testing.T) {
	a, b, c := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
	serve := func(l *Log, id string, next int64, want string) {
		t.Helper()
		got := "ok"
		if r := l.CanServe("10.0.0.1:6380", id, next); r != nil {
			got = r.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("PSYNC %s %d\n got %s\nwant %s", id, next, got, want)
		}
	}
	l := New(Options{NewID: counting()})
	serve(l, a, 1, "Unable to partial resync with replica 10.0.0.1:6380 for lack of backlog (Replica request was: 1).")
	l.CreateBacklog() // b
	l.Append([]byte("0123456789"), ToAll)
	serve(l, strings.ToUpper(b), 11, "ok")
	serve(l, b, 1, "ok")
	serve(l, b, 12, "Unable to partial resync with replica 10.0.0.1:6380 for lack of backlog (Replica request was: 12). Warning: replica 10.0.0.1:6380 tried to PSYNC with an offset that is greater")
	serve(l, "?", -1, "Full resync requested by replica 10.0.0.1:6380")
	serve(l, a, 5, "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '"+a+"', my replication IDs are '"+b+"' and '"+noID+"')")

	l.SetSelected(3)
	if ids := l.Shift(""); ids.ID != c || ids.ID2 != b || ids.Second != 11 { // a promotion
		t.Fatalf("after promotion %+v", ids)
	}
	if l.Selected() != NoDB {
		t.Fatal("a new master must start with SELECT")
	}
	l.Append([]byte("more"), ToAll)
	serve(l, b, 11, "ok")
	serve(l, b, 12, "Partial resynchronization not accepted: Requested offset for second ID was 12, but I can reply up to 11")
	serve(l, c, 15, "ok")

	// S9: a restart opens a history of its own and shares the old one up to the recovered byte, no further.
	r := New(Options{NewID: counting()})
	r.Restore(c, 14, nil)
	if ids := r.IDs(); ids.ID == c || ids.ID2 != c || ids.Second != 15 || r.Offset() != 14 {
		t.Fatalf("after restart %+v at %d", ids, r.Offset())
	}
	r.Append([]byte("new"), ToAll)
	serve(r, c, 15, "ok")
	serve(r, c, 16, "Partial resynchronization not accepted")
	serve(r, c, 14, "Unable to partial resync")

	before := r.IDs().ID
	r.FreeBacklog()
	if r.IDs().ID == before || r.Wanted() != 0 {
		t.Fatal("freeing the backlog must end the history")
	}
	r.Follow(b, 1000, nil)
	serve(r, b, 1001, "ok")
	serve(r, b, 1000, "Unable to partial resync")
	if r.Selected() != NoDB {
		t.Fatal("a new history must start with SELECT")
	}
}

// TestHistoriesBeforeTheSecond: who missed several promotions goes on all the same, up to where its history went another way.
func TestHistoriesBeforeTheSecond(t *testing.T) {
	l := New(Options{NewID: counting()})
	l.CreateBacklog()
	ids := []string{l.IDs().ID}
	for range keptPast + 4 {
		l.Append([]byte("0123456789"), ToAll)
		ids = append(ids, l.Shift("").ID)
	}
	for i, id := range ids {
		end := int64(10 * (i + 1)) // its last byte that is of the present history, too
		kept := i >= len(ids)-2-keptPast
		if got := l.CanServe("r", id, min(end, l.Offset())+1) == nil; got != kept {
			t.Errorf("history %d of %d is served: %v", i, len(ids), got)
		}
		if i < len(ids)-1 && l.CanServe("r", id, end+2) == nil {
			t.Errorf("history %d is served beyond its end", i)
		}
	}
	l.Follow(ids[3], 1000, nil)
	if l.CanServe("r", ids[len(ids)-1], 1001) == nil {
		t.Error("a past outlived its data set")
	}
}

// TestGoingBack takes heartbeats out of the stream: replicas get what is appended afterwards in their place, the file everything.
func TestGoingBack(t *testing.T) {
	for _, gap := range []int{0, 3, 40_000} { // so much lies before the place, and behind it
		l := New(Options{BacklogSize: 1 << 20, NewID: counting()})
		l.CreateBacklog()
		file := l.File()
		filler := strings.Repeat("w", gap)
		l.Append([]byte("first."+filler), ToAll)
		to := l.Offset()
		reader, err := l.Replica(0)
		if err != nil {
			t.Fatal(err)
		}
		l.Append([]byte("ping."), ToReplicas)
		l.Append([]byte("PING."+filler), ToAll) // of a replica
		end, pos := l.Offset(), l.WholePos()
		if l.GoBack(end+1) || !l.GoBack(to) {
			t.Fatal("it goes back to where it was, and nowhere else")
		}
		if l.Offset() != to || l.WholePos() != pos {
			t.Fatalf("offset %d, position %d: want %d and %d", l.Offset(), l.WholePos(), to, pos)
		}
		if _, err := reader.Read(nil, 1); !errors.Is(err, ErrReset) {
			t.Errorf("the cursor of a replica that had them: %v", err)
		}
		if m := l.FileMark(); m.Offset != to || !m.Whole {
			t.Errorf("the file's mark is %+v", m)
		}
		l.Shift("")
		if off := l.Append([]byte("next."), ToAll); off != to+5 {
			t.Errorf("offset %d", off)
		}
		for from, want := range map[int64]string{0: "first." + filler + "next.", to: "next.", to + 2: "xt.", to + 5: ""} {
			c, err := l.Replica(from)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, c); got != want || c.Offset() != to+5 {
				t.Errorf("from %d: %d bytes %.20q, offset %d", from, len(got), got, c.Offset())
			}
			c.Close()
		}
		pieces, at, err := file.Whole(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range pieces {
			got += string(p.Data)
			if p.Counts && strings.HasPrefix(string(p.Data), "next") && p.Offset != to {
				t.Errorf("the file is told offset %d of what followed", p.Offset)
			}
		}
		if got != "first."+filler+"PING."+filler+"next." || at.Offset != to+5 {
			t.Errorf("the file read %d bytes up to %+v", len(got), at)
		}
	}
}

// TestGoingBackLeavesNoOldClaims: whoever has what was taken out, by whatever name, must not go on with what came in its place.
func TestGoingBackLeavesNoOldClaims(t *testing.T) {
	l := New(Options{NewID: counting()})
	l.CreateBacklog()
	ids := []string{l.IDs().ID}
	for range 3 {
		l.Append([]byte("ping."), ToAll)
		ids = append(ids, l.Shift("").ID)
	}
	l.Append([]byte("ping."), ToAll) // histories end at 5, 10, 15, and the present one is at 20
	if !l.GoBack(8) {
		t.Fatal("it does not go back")
	}
	ids = append(ids, l.Shift("").ID)
	l.Append([]byte("other bytes, more of them"), ToAll)
	for i, end := range []int64{5, 8, 8, 8, l.Offset()} {
		if why := l.CanServe("r", ids[i], end+1); why != nil {
			t.Errorf("history %d up to its last common byte: %v", i, why)
		}
		if l.CanServe("r", ids[i], end+2) == nil {
			t.Errorf("history %d is served behind byte %d", i, end)
		}
	}
}

func TestResetEndsReplicaCursors(t *testing.T) {
	l := New(Options{})
	l.CreateBacklog()
	c, _ := l.Replica(0)
	f := l.File()
	l.Append([]byte("old"), ToAll)
	l.FreeBacklog()
	<-c.C
	if _, err := c.Read(nil, 10); !errors.Is(err, ErrReset) {
		t.Fatalf("replica cursor after the backlog was freed: %v", err)
	}
	if got := read(t, f); got != "old" {
		t.Fatalf("the file's cursor lost bytes: %q", got)
	}
	l.Follow(RandomID(), 7, nil)
	if _, err := f.Read(nil, 10); !errors.Is(err, ErrReset) {
		t.Fatalf("file cursor after a full sync: %v", err)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	l := New(Options{BacklogSize: 2 * blockSize})
	l.CreateBacklog()
	p := bytes.Repeat([]byte("y"), 100)
	for range 20000 { // fill the backlog and the spare blocks
		l.Append(p, ToAll)
	}
	if n := testing.AllocsPerRun(20000, func() { l.Append(p, ToAll); l.Wake() }); n != 0 {
		t.Fatalf("%v allocations per append", n)
	}
}

// TestRandomReadersAgainstAModel appends random entries while cursors open, read at their own pace and close; every
// reader must see exactly the model's bytes from its offset on.
func TestRandomReadersAgainstAModel(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewSource(seed))
	l := New(Options{BacklogSize: 3 * blockSize})
	l.CreateBacklog()
	var model []byte // all replica bytes
	type reader struct {
		c  *Cursor
		at int
	}
	var readers []reader
	for step := range 20000 {
		switch k := rnd.Intn(20); {
		case k < 12:
			p := bytes.Repeat([]byte{byte('a' + step%26)}, 1+rnd.Intn(3000))
			target := []Target{ToAll, ToAll, ToReplicas, ToFile}[rnd.Intn(4)]
			l.Append(p, target)
			if target&ToReplicas != 0 {
				model = append(model, p...)
			}
		case k < 13 && len(readers) < 5:
			from := l.Backlog().FirstByte - 1 + rnd.Int63n(l.Backlog().Length+1)
			c, err := l.Replica(from)
			if err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			readers = append(readers, reader{c, int(from)})
		case len(readers) > 0:
			i := rnd.Intn(len(readers))
			r := &readers[i]
			if k == 13 {
				r.c.Close()
				readers = append(readers[:i], readers[i+1:]...)
				break
			}
			pieces, err := r.c.Read(nil, 1+rnd.Intn(200000))
			if err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			got := bytes.Join(pieces, nil)
			if !bytes.Equal(got, model[r.at:r.at+len(got)]) {
				t.Fatalf("step %d: reader at %d saw other bytes", step, r.at)
			}
			n := rnd.Intn(len(got) + 1)
			r.c.Advance(n)
			r.at += n
			if r.c.Offset() != int64(r.at) {
				t.Fatalf("step %d: cursor says %d, read %d", step, r.c.Offset(), r.at)
			}
		}
	}
	if l.Offset() != int64(len(model)) {
		t.Fatalf("offset %d, model %d", l.Offset(), len(model))
	}
}

// TestConcurrentReaders is for the race detector: bytes handed out must never be written again while they are read.
func TestConcurrentReaders(t *testing.T) {
	l := New(Options{BacklogSize: 2 * blockSize})
	l.CreateBacklog()
	const total = 4 << 20
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range 3 {
		c, err := l.Replica(0)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer c.Close()
			var pieces [][]byte
			for at := 0; at < total; {
				pieces, _ = c.Read(pieces[:0], 64<<10)
				if len(pieces) == 0 {
					<-c.C
					continue
				}
				n := 0
				for _, p := range pieces {
					for _, b := range p {
						if b != byte(at+n) {
							errs <- fmt.Errorf("byte %d is %d", at+n, b)
							return
						}
						n++
					}
				}
				c.Advance(n)
				at += n
			}
		})
	}
	buf := make([]byte, 1024)
	for at := 0; at < total; at += len(buf) {
		for i := range buf {
			buf[i] = byte(at + i)
		}
		l.Append(buf, ToAll)
		l.Wake()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	l := New(Options{BacklogSize: 16 * blockSize})
	l.CreateBacklog()
	p := bytes.Repeat([]byte("z"), 100)
	b.ReportAllocs()
	for b.Loop() {
		l.Append(p, ToAll)
	}
}
