package snapshot

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// Lock is the engine's lock.
type Lock interface {
	// Exclusive runs fn while nobody else reads or writes.
	Exclusive(fn func())
	// Background repeats step, each time exclusively, until it answers false; between steps clients go first.
	Background(step func() (more bool))
	// Beside is called when goroutines begin that work for long beside clients, and done when they end.
	Beside() (done func())
}

// Held is the lock for a caller that has it already, and keeps it until the snapshot is done (SAVE).
type Held struct{}

// Exclusive implements Lock.
func (Held) Exclusive(fn func()) { fn() }

// Beside implements Lock.
func (Held) Beside() (done func()) { return func() {} }

// Background implements Lock.
func (Held) Background(step func() (more bool)) {
	for step() {
	}
}

// Aux is an auxiliary field of the RDB's head, or, without a name, the source of a function library there.
type Aux struct{ Name, Value string }

// Libraries are the sources of function libraries, for AtCut.
func Libraries(codes []string) (list []Aux) {
	for _, code := range codes {
		list = append(list, Aux{Value: code})
	}
	return list
}

// Options of a snapshot. Zero values mean the defaults.
type Options struct {
	// AtCut is called under the exclusive lock at the cut's instant: no write lies between it and the image. It
	// answers the auxiliary fields; the caller notes offset and history there, and makes the stream SELECT anew.
	AtCut func() []Aux
	// Spill opens the file for pre-images behind a slow sink. Without it such a snapshot fails.
	Spill func() (SpillFile, error)

	NoCompress bool          // rdbcompression no
	NoChecksum bool          // rdbchecksum no
	Slice      time.Duration // longest hold of the lock, 150 us
	Buffer     int           // bytes before the sink at which the walk waits, 2 MiB
	SpillAt    int           // bytes in memory from which pre-images are spilled, 8 MiB
	Limit      int           // bytes in memory at which the snapshot fails, 256 MiB, the largest value not counted
	// KeyDelay is asked for how long to sleep after each key, without the lock: rdb-key-save-delay, for tests. A change counts
	// at once. Nil: never.
	KeyDelay func() time.Duration
}

func (o *Options) defaults() {
	for _, d := range []struct {
		v *int
		n int
	}{{&o.Buffer, 2 << 20}, {&o.SpillAt, 8 << 20}, {&o.Limit, 256 << 20}} {
		if *d.v == 0 {
			*d.v = d.n
		}
	}
	if o.Slice == 0 {
		o.Slice = 150 * time.Microsecond
	}
}

// ErrCanceled is the error of a snapshot that was canceled.
var ErrCanceled = errors.New("snapshot: canceled")

// Snapshot is one under way or done. Its methods may be called from anywhere.
type Snapshot struct {
	lock  Lock
	store *store.Store
	sink  io.Writer
	opts  Options

	q       *queue
	enc     *encoder
	cut     *store.Cut
	keys    int
	written atomic.Int64
	started time.Time
	beside  bool  // clients are served meanwhile
	delayed int64 // keys that the walk has waited for, see walkSlowly
	done    chan struct{}
	err     error
}

// Start begins a snapshot of st to sink, which gets plain writes from one goroutine; a failing one ends the snapshot.
// The cut's instant lies inside the call, which takes the lock for it.
func Start(lock Lock, st *store.Store, sink io.Writer, o Options) *Snapshot {
	s := prepare(lock, st, sink, o)
	lock.Exclusive(s.begin)
	go s.runBeside()
	return s
}

// StartLocked is Start for a caller that holds the exclusive lock and lets it go soon: the cut's instant is now.
func StartLocked(lock Lock, st *store.Store, sink io.Writer, o Options) *Snapshot {
	s := prepare(lock, st, sink, o)
	s.begin()
	go s.runBeside()
	return s
}

// Save writes a whole snapshot before it returns, for a caller that holds the exclusive lock all the time.
func Save(st *store.Store, sink io.Writer, o Options) error {
	s := prepare(Held{}, st, sink, o)
	s.begin()
	s.run()
	return s.err
}

func prepare(lock Lock, st *store.Store, sink io.Writer, o Options) *Snapshot {
	o.defaults()
	s := &Snapshot{lock: lock, store: st, sink: sink, opts: o, started: time.Now(), done: make(chan struct{})}
	s.q = newQueue(&s.opts)
	s.enc = newEncoder(s.q, !o.NoCompress)
	return s
}

// begin is the cut's instant.
func (s *Snapshot) begin() {
	head := rdb.AppendMagic(make([]byte, 0, pieceSize), rdb.Version)
	if s.opts.AtCut != nil {
		for _, a := range s.opts.AtCut() {
			if a.Name == "" {
				head = rdb.AppendFunction(head, []byte(a.Value), !s.opts.NoCompress)
			} else {
				head = rdb.AppendAux(head, a.Name, a.Value)
			}
		}
	}
	for i := range s.store.Databases() {
		if d := s.store.DB(i); d.Len() > 0 {
			head = rdb.AppendSelectDB(head, i)
			head = rdb.AppendResizeDB(head, d.Len(), d.Expires())
			s.q.main.db = i
		}
	}
	s.q.main.tail = head
	s.enc.ages, s.enc.lfu = s.store.Config.ClockCounts, s.store.Config.LFU
	s.cut = s.store.BeginCut(s.enc)
	s.keys = s.cut.Keys()
}

// runBeside is run beside clients, who go first between two holds of the lock and two pieces.
func (s *Snapshot) runBeside() {
	s.beside = true
	defer s.lock.Beside()()
	ownThread(0)
	s.run()
}

func (s *Snapshot) giveWay() {
	if s.beside {
		GiveWay()
	}
}

// run walks the cut while the writer and the spiller work, and ends when all three have.
func (s *Snapshot) run() {
	var helpers sync.WaitGroup
	helpers.Go(func() {
		if s.beside {
			ownThread(0)
		}
		s.write()
	})
	helpers.Go(s.q.spill)
	s.walk()
	s.lock.Exclusive(s.cut.End)
	s.q.close()
	helpers.Wait()
	s.err = s.q.drop()
	for _, h := range s.enc.values {
		h.early = stream{}
	}
	close(s.done)
}

func (s *Snapshot) walk() {
	for complete := false; !complete; {
		if s.q.waitRoom() != nil {
			return
		}
		if s.opts.KeyDelay != nil && s.opts.KeyDelay() > 0 {
			complete = s.walkSlowly()
			continue
		}
		s.lock.Background(func() (more bool) {
			from := time.Now()
			for !complete && time.Since(from) < s.opts.Slice {
				complete = s.step(16)
			}
			s.q.flush()
			return false // the lock's own yield is for who waits for the lock, not for a processor
		})
		s.delayed = s.enc.keys.Load()
		s.giveWay()
	}
}

// step is one of the walk; the lock is held.
func (s *Snapshot) step(homes int) (complete bool) {
	s.enc.walking = true
	defer func() { s.enc.walking = false }()
	return s.cut.Step(homes)
}

// walkSlowly is one step of the walk with KeyDelay, which the keys that writes have delivered since the last one have to wait for as well.
func (s *Snapshot) walkSlowly() (complete bool) {
	s.lock.Exclusive(func() {
		complete = s.step(1)
		s.q.cut(&s.q.main) // each key is seen to arrive
	})
	all, began := s.enc.keys.Load(), time.Now()
	keys := time.Duration(all - s.delayed)
	s.delayed = all
	s.q.sleep(func() time.Duration { return keys*s.opts.KeyDelay() - time.Since(began) })
	return complete
}

// compressMax is the longest string that is compressed: a longer one goes out in parts, and needs no second copy.
const (
	compressMax = 16 << 20
	partSize    = 1 << 20
)

// output is the sink with the checksum of what went there.
type output struct {
	s       *Snapshot
	crc     uint64
	scratch []byte
}

func (o *output) put(b []byte) error {
	if !o.s.opts.NoChecksum {
		o.crc = rdb.CRC64(o.crc, b)
	}
	n, err := o.s.sink.Write(b)
	o.s.written.Add(int64(n))
	if err != nil {
		return fmt.Errorf("snapshot: writing: %w", err)
	}
	return nil
}

func (o *output) piece(p *piece) error {
	if p.encode && p.size > compressMax {
		return o.parts(p)
	}
	n := p.size
	if p.spilled {
		n = p.stored
	}
	b, err := o.s.q.load(p, 0, n)
	if err == nil && p.encode {
		o.scratch = rdb.AppendString(o.scratch[:0], b, !o.s.opts.NoCompress)
		b = o.scratch
	}
	if err == nil {
		err = o.put(b)
	}
	return err
}

// parts puts a string as it is, a part at a time.
func (o *output) parts(p *piece) error {
	err := o.put(rdb.AppendLen(nil, uint64(p.size)))
	for from := 0; from < p.size && err == nil; from += partSize {
		var b []byte
		if b, err = o.s.q.load(p, from, min(partSize, p.size-from)); err == nil {
			err = o.put(b)
		}
	}
	return err
}

// write gives the pieces to the sink.
func (s *Snapshot) write() {
	o := output{s: s}
	for {
		p, err := s.q.next()
		if err != nil {
			return
		}
		if p == nil {
			break
		}
		err = o.piece(p)
		s.q.done(p)
		s.giveWay()
		if err != nil {
			s.q.abort(err)
			return
		}
	}
	n, err := s.sink.Write(rdb.AppendEOF(nil, o.crc, !s.opts.NoChecksum))
	s.written.Add(int64(n))
	if err != nil {
		s.q.abort(fmt.Errorf("snapshot: writing the end: %w", err))
	}
}

// Done is closed when the snapshot has ended.
func (s *Snapshot) Done() <-chan struct{} { return s.done }

// Wait blocks until the end and returns the reason when the snapshot failed.
func (s *Snapshot) Wait() error {
	<-s.done
	return s.err
}

// Cancel ends the snapshot early; Wait then returns ErrCanceled. A sink that blocks must be closed by its owner.
func (s *Snapshot) Cancel() { s.q.abort(ErrCanceled) }

// Progress is how far a snapshot is.
type Progress struct {
	Keys, KeysDone int   // of the image; encoded
	Bytes          int64 // written to the sink
	Waiting        int   // bytes in memory that wait for it
	Spilled        int64 // bytes that went through the spill file
	Started        time.Time
}

// Progress tells how far the snapshot is.
func (s *Snapshot) Progress() Progress {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	return Progress{
		Keys: s.keys, KeysDone: int(s.enc.keys.Load()), Bytes: s.written.Load(),
		Waiting: s.q.bytes, Spilled: s.q.spillN, Started: s.started,
	}
}
