package snapshot

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/store"
)

// SpillFile holds pieces that have to wait. The queue writes it from start to end once and reads parts back; Close
// removes it.
type SpillFile interface {
	io.WriterAt
	io.ReaderAt
	io.Closer
}

// ErrTooSlow ends a snapshot whose sink and spill file fall behind the writes.
var ErrTooSlow = errors.New("snapshot: the consumer and the spill file are slower than the writes; retry when there are fewer writes or raise the limit")

// pieceSize is the size at which bytes become a piece, tailSize leaves room for the entry that gets there.
const (
	pieceSize = 64 << 10
	tailSize  = pieceSize + 8<<10
	spareMax  = 64 // buffers that are kept for the next pieces

	// A piece of less is copied out of its buffer, which goes on as the stream's tail: between strings that are pieces of their own
	// stand a few bytes each, and what waits is bounded by its size, not by its room.
	ownSize = pieceSize / 2

	// A stream that is one of as many as there are values in change has little room and becomes pieces, which are counted, soon.
	earlySize = 4 << 10
)

// piece is a stretch of the output: bytes as they are, or one string that the writer has yet to encode (what is long
// is not compressed under the lock). It waits in memory or in the spill file.
type piece struct {
	data    []byte
	blob    *store.Blob // holds data, when not nil
	encode  bool
	pinned  bool  // the store holds data as well: it takes no memory of the queue's
	busy    bool  // the spiller is writing it
	spilled bool  // stands in the spill file
	at      int64 // there
	stored  int   // bytes there
	size    int   // bytes as they came, which is what counts
}

// loose tells whether the spiller may take it.
func (p *piece) loose() bool { return !p.pinned && !p.busy && !p.spilled }

func (p *piece) release() {
	if p.blob != nil {
		p.blob.Release()
	}
	p.blob, p.data = nil, nil
}

// stream is a sequence of pieces with the database that a reader of it would be in.
type stream struct {
	pieces []*piece
	tail   []byte // not a piece yet
	size   int    // bytes in pieces, wherever they wait
	loose  int    // pieces that the spiller may take, not counted where early is set
	db     int    // -1: not known
	early  bool   // one of many
}

// append moves another stream's contents to the end of s.
func (s *stream) append(q *queue, o *stream) {
	q.cut(s)
	q.cut(o)
	q.mu.Lock()
	defer q.mu.Unlock()
	s.pieces = append(s.pieces, o.pieces...)
	s.size += o.size
	s.loose += o.loose
	for _, p := range o.pieces {
		if o.early && p.loose() {
			s.loose++
		}
	}
	if o.db >= 0 {
		s.db = o.db
	}
	if cap(o.tail) == tailSize {
		q.spareLocked(o.tail)
	}
	*o = stream{db: -1}
}

// queue is what waits for the sink. The encoder fills streams under the engine's lock; mu orders it with the writer
// and the spiller. A stream's tail and database belong to the encoder alone, so that an entry needs no second lock.
type queue struct {
	mu     sync.Mutex
	change sync.Cond
	main   stream
	aside  stream              // what comes while a big value is open in main
	all    map[*piece]struct{} // in memory and not busy: what the spiller may take, but for pinned pieces
	bytes  int                 // in memory, pinned pieces not counted
	most   int                 // size of the largest piece so far: it alone may be above the limit
	spillN int64               // bytes in the spill file
	fail   error
	failed atomic.Bool // fail is set
	closed bool        // nothing is added any more
	opts   *Options
	file   SpillFile
	spare  [][]byte // buffers of pieces that were written
	room   []byte   // the spiller's
	effort effort   // the spiller's
}

func newQueue(o *Options) *queue {
	q := &queue{main: stream{db: -1}, aside: stream{db: -1}, all: map[*piece]struct{}{}, opts: o}
	q.change.L = &q.mu
	return q
}

// cut makes a piece of a stream's tail.
func (q *queue) cut(s *stream) {
	switch n := len(s.tail); {
	case n == 0:
	case n < ownSize:
		q.add(s, &piece{data: append([]byte(nil), s.tail...), size: n})
		s.tail = s.tail[:0]
	default:
		q.add(s, &piece{data: s.tail, size: n})
		s.tail = nil
	}
}

// add counts a piece and appends it.
func (q *queue) add(s *stream, p *piece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.pieces = append(s.pieces, p)
	s.size += p.size
	q.all[p] = struct{}{}
	if !p.pinned {
		if !s.early {
			s.loose++
		}
		q.bytes += p.size
		q.most = max(q.most, p.size)
		if q.bytes > q.opts.Limit+q.most {
			q.failLocked(ErrTooSlow)
		}
	}
	q.change.Broadcast()
}

func (q *queue) failLocked(err error) {
	if q.fail == nil {
		q.fail = err
		q.failed.Store(true)
	}
}

// flush makes what the walk has encoded visible to the writer when it has nothing else to do; otherwise a piece is worth
// waiting for: half-filled ones take as much memory.
func (q *queue) flush() {
	q.mu.Lock()
	idle := len(q.main.pieces) == 0
	q.mu.Unlock()
	if idle && len(q.main.tail) >= ownSize {
		q.cut(&q.main)
	}
}

// waitRoom blocks until the walk may go on.
func (q *queue) waitRoom() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.main.size >= q.opts.Buffer && q.fail == nil {
		q.change.Wait()
	}
	return q.fail
}

// sleep waits until nothing is left of a time, or the queue fails.
func (q *queue) sleep(left func() time.Duration) {
	for d := left(); d > 0 && !q.failed.Load(); d = left() {
		time.Sleep(min(d, 5*time.Millisecond))
	}
}

// next takes the first piece off the main stream for the writer; nil at the end.
func (q *queue) next() (*piece, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.fail == nil {
		if len(q.main.pieces) > 0 {
			if p := q.main.pieces[0]; !p.busy {
				q.main.pieces[0] = nil
				q.main.pieces = q.main.pieces[1:]
				q.main.size -= p.size
				if p.loose() {
					q.main.loose--
				}
				delete(q.all, p)
				return p, nil
			}
		} else if q.closed {
			return nil, nil
		}
		q.change.Wait()
	}
	return nil, q.fail
}

// done frees a piece that was written.
func (q *queue) done(p *piece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !p.spilled && !p.pinned {
		q.bytes -= p.size
	}
	q.releaseLocked(p)
	q.change.Broadcast()
}

// releaseLocked gives up a piece's bytes.
func (q *queue) releaseLocked(p *piece) {
	if p.blob == nil && cap(p.data) == tailSize {
		q.spareLocked(p.data)
	}
	p.release()
}

func (q *queue) spareLocked(b []byte) {
	if len(q.spare) < spareMax {
		q.spare = append(q.spare, b[:0])
	}
}

// buffer is an empty tail for a stream.
func (q *queue) buffer() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if k := len(q.spare); k > 0 {
		b := q.spare[k-1]
		q.spare = q.spare[:k-1]
		return b
	}
	return make([]byte, 0, tailSize)
}

// load returns n of a piece's bytes, from the spill file if they are there.
func (q *queue) load(p *piece, from, n int) ([]byte, error) {
	if !p.spilled {
		return p.data[from : from+n], nil
	}
	b := make([]byte, n)
	if _, err := q.file.ReadAt(b, p.at+int64(from)); err != nil {
		return nil, fmt.Errorf("snapshot: reading the spill file: %w", err)
	}
	return b, nil
}

// close says that all is encoded.
func (q *queue) close() {
	q.cut(&q.main)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.change.Broadcast()
}

// abort fails the queue; the first reason stays.
func (q *queue) abort(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failLocked(err)
	q.change.Broadcast()
}

// drop releases all that still waits and returns why the queue failed. The writer and the spiller have ended; somebody may still cancel
// the snapshot.
func (q *queue) drop() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for p := range q.all {
		p.release()
	}
	q.all, q.main, q.aside = nil, stream{db: -1}, stream{db: -1}
	if q.file != nil {
		_ = q.file.Close() // its contents are of no use to anybody any more
		q.file = nil
	}
	return q.fail
}
