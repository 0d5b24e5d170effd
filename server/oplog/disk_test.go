package oplog

import (
	"bytes"
	"errors"
	"math/rand"
	"sync"
	"sync/atomic"
	"testing"
)

// segments makes files in memory, counts those that are open, and fails on command.
type segments struct {
	open                          atomic.Int64
	opened                        atomic.Int64
	failOpen, failWrite, failRead atomic.Bool
}

type memSegment struct {
	s  *segments
	mu sync.Mutex
	b  []byte
}

var errNoSpace = errors.New("no space left on device")

func (s *segments) make() (SegmentFile, error) {
	if s.failOpen.Load() {
		return nil, errNoSpace
	}
	s.open.Add(1)
	s.opened.Add(1)
	return &memSegment{s: s}, nil
}

func (m *memSegment) WriteAt(p []byte, at int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.s.failWrite.Load() {
		return 0, errNoSpace
	}
	m.b = append(m.b[:at], p...)
	return len(p), nil
}

func (m *memSegment) ReadAt(p []byte, at int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.s.failRead.Load() {
		return 0, errors.New("input/output error")
	}
	return copy(p, m.b[at:]), nil
}

func (m *memSegment) Close() error { m.s.open.Add(-1); return nil }

// onDisk is a log with segments and a replica at its beginning.
func onDisk(t *testing.T, limit int64) (*Log, *segments, *Cursor) {
	t.Helper()
	var files segments
	l := New(Options{BacklogSize: 1 << 20})
	l.SetDisk(limit, files.make)
	l.CreateBacklog()
	c, err := l.Replica(0)
	if err != nil {
		t.Fatal(err)
	}
	return l, &files, c
}

// spillAll does what there is to do, as the owner of the log does when Crowded says so, and returns the errors.
func spillAll(l *Log) (errs []error) {
	select {
	case <-l.Crowded():
	default:
		return nil
	}
	for more := true; more; {
		var err error
		if more, err = l.Spill(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// TestASlowReplicaReadsFromDisk: memory stays bounded however much is written, the replica gets every byte, and what
// it has got leaves the disk.
func TestASlowReplicaReadsFromDisk(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewSource(seed))
	l, files, c := onDisk(t, 1<<30)
	var want []byte
	for len(want) < 100<<20 {
		p := make([]byte, 1+r.Intn(200<<10))
		for i := 0; i < len(p); i += 7 {
			p[i] = byte(r.Int())
		}
		l.Append(p, ToReplicas)
		want = append(want, p...)
		if errs := spillAll(l); errs != nil {
			t.Fatal(errs)
		}
		if m := l.Backlog().Memory; m > 1<<20+SpillFrom+(maxSpare+8)*blockSize {
			t.Fatalf("%d bytes in memory after %d", m, len(want))
		}
	}
	if d := l.Backlog().Disk; d < 80<<20 {
		t.Fatalf("%d bytes on disk: the test does not show what it should", d)
	}
	if n, most := len(l.blocks), len(want)/extentSize*5/4+(1<<20+SpillFrom)/blockSize+8; n > most {
		t.Errorf("%d blocks are remembered, want %d at most", n, most)
	}
	if held, behind := c.Held(), c.Behind(); behind != int64(len(want)) || held > 1<<20+SpillFrom+2*blockSize {
		t.Errorf("%d bytes behind, %d of them in memory", behind, held)
	}
	late, err := l.Replica(50 << 20) // a replica that comes back finds its place on disk
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, late); got != string(want[50<<20:]) {
		t.Error("the replica that came back got other bytes")
	}
	late.Close()
	if got := read(t, c); got != string(want) {
		t.Error("the slow replica got other bytes")
	}
	spillAll(l)
	if d := l.Backlog().Disk; d > segmentSize {
		t.Errorf("%d bytes stay on disk", d)
	}
	c.Close()
	l.CloseDisk()
	if n := files.open.Load(); n != 0 || files.opened.Load() < 5 {
		t.Errorf("%d of %d files are open at the end", n, files.opened.Load())
	}
}

// TestTheFurthestBehindIsGivenUpWhenTheDiskIsFull, and nobody else, and no write.
func TestTheFurthestBehindIsGivenUpWhenTheDiskIsFull(t *testing.T) {
	for name, spoil := range map[string]func(*segments){
		"full":  func(*segments) {},
		"open":  func(s *segments) { s.failOpen.Store(true) },
		"write": func(s *segments) { s.failWrite.Store(true) },
	} {
		l, files, slow := onDisk(t, 32<<20)
		spoil(files)
		quick, err := l.Replica(0)
		if err != nil {
			t.Fatal(err)
		}
		p := bytes.Repeat([]byte("x"), 100<<10)
		var errs []error
		for range 600 {
			l.Append(p, ToReplicas)
			read(t, quick)
			errs = append(errs, spillAll(l)...)
		}
		if len(errs) != 1 || !errors.Is(errs[0], ErrDisk) || !errors.Is(slow.Err(), ErrDisk) {
			t.Fatalf("%s: %v, cursor %v", name, errs, slow.Err())
		}
		if name != "full" && !errors.Is(slow.Err(), errNoSpace) {
			t.Errorf("%s: the reason is lost: %v", name, slow.Err())
		}
		if quick.Err() != nil || l.Offset() != 600*int64(len(p)) || l.Backlog().Memory > 4<<20 {
			t.Errorf("%s: quick %v, offset %d, %d bytes in memory", name, quick.Err(), l.Offset(), l.Backlog().Memory)
		}
		slow.Close()
		quick.Close()
		l.CloseDisk()
		if n := files.open.Load(); n != 0 {
			t.Errorf("%s: %d files are open at the end", name, n)
		}
	}
}

func TestADiskThatDoesNotGiveBackEndsTheReplica(t *testing.T) {
	l, files, c := onDisk(t, 1<<30)
	for range 400 {
		l.Append(bytes.Repeat([]byte("x"), 100<<10), ToReplicas)
		spillAll(l)
	}
	files.failRead.Store(true)
	var err error
	for err == nil {
		var pieces [][]byte
		if pieces, err = c.Read(nil, 1<<20); err == nil {
			n := 0
			for _, p := range pieces {
				n += len(p)
			}
			c.Advance(n)
		}
	}
	if !errors.Is(err, ErrDisk) {
		t.Errorf("%v", err)
	}
	c.Close()
	l.CloseDisk()
}

// TestSegmentsUnderConcurrency: a writer, the spiller, two slow readers that come and go, and ends of the history.
func TestSegmentsUnderConcurrency(t *testing.T) {
	l, files, first := onDisk(t, 1<<30)
	first.Close()
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-l.Crowded():
				for more := true; more; {
					more, _ = l.Spill()
				}
			}
		}
	})
	for n := range 2 {
		work.Go(func() {
			r := rand.New(rand.NewSource(int64(n)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				b := l.Backlog()
				c, err := l.Replica(b.FirstByte - 1 + r.Int63n(b.Length+1))
				if err != nil {
					continue
				}
				at := c.Offset()
				for range r.Intn(300) {
					pieces, err := c.Read(nil, 1+r.Intn(256<<10))
					if err != nil {
						break
					}
					sum := 0
					for _, p := range pieces {
						for i := range p {
							if p[i] != byte((at+int64(i))%251) {
								t.Errorf("a wrong byte at offset %d", at+int64(i))
								return
							}
						}
						at, sum = at+int64(len(p)), sum+len(p)
					}
					c.Advance(sum)
				}
				c.Close()
			}
		})
	}
	pin, _ := l.Replica(l.Offset()) // keeps all that follows
	p := make([]byte, 30<<10)
	for i := range 4000 {
		at := l.Offset()
		for j := range p {
			p[j] = byte((at + int64(j)) % 251)
		}
		l.Append(p, ToReplicas)
		if i%1000 == 999 {
			l.Follow(l.IDs().ID, l.Offset(), nil)
			pin.Close()
			pin, _ = l.Replica(l.Offset())
		}
	}
	close(stop)
	work.Wait()
	pin.Close()
	if files.opened.Load() == 0 {
		t.Error("nothing went to disk: the test does not show what it should")
	}
	l.CloseDisk()
	if n := files.open.Load(); n != 0 {
		t.Errorf("%d files are open at the end", n)
	}
}

// TestAReaderThatIsGivenUpKeepsWhatItSends: its goroutine may be in the middle of a write to a socket.
func TestAReaderThatIsGivenUpKeepsWhatItSends(t *testing.T) {
	l, _, c := onDisk(t, 16<<20)
	mark := func(b byte) { l.Append(bytes.Repeat([]byte{b}, blockSize), ToReplicas) }
	for range 200 {
		mark('a')
	}
	pieces, err := c.Read(nil, 1<<20)
	if err != nil || len(pieces) < 16 {
		t.Fatalf("%d pieces, %v", len(pieces), err)
	}
	for i := range 2000 {
		mark(byte('b' + i%20))
		spillAll(l)
	}
	if !errors.Is(c.Err(), ErrDisk) {
		t.Fatalf("the reader was not given up: %v", c.Err())
	}
	for i, p := range pieces {
		if !bytes.Equal(p, bytes.Repeat([]byte("a"), len(p))) {
			t.Fatalf("piece %d changed while it was being sent", i)
		}
	}
	c.Close()
	l.CloseDisk()
}
