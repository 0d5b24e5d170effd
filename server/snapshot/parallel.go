package snapshot

import (
	"errors"
	"io"
	"sync"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// A load into an empty store goes on in parallel:
//
//	                              +-> chunks -> loader -> shard 0 --+
//	stream -> splitter: by key ---+                                 +-> Join
//	          (checksum, bounds)  +-> chunks -> loader -> shard 1 --+
//
// The splitter does not read values: it finds where entries end and hands their bytes on, whatever they are. A shard's
// loader is the one that loads a file alone, over a part of it. All entries of a key, and what they are to replace,
// come to the same shard in their order.

const (
	chunkSize   = 64 << 10
	chunksAhead = 3 // chunks that wait for a loader
)

// chunk is a stretch of a shard's part.
type chunk struct {
	data   []byte
	db     int      // in which its entries are
	hashes []uint64 // of the keys of the entries that begin here
	starts []int64  // their positions in the whole stream
}

// splitter reads a stream and hands its entries on.
type splitter struct {
	*loader
	parts []*partLoader
	to    *partLoader // gets the entry at hand
	stop  chan struct{}
	once  sync.Once
	bad   error // why the entry at hand cannot be loaded
}

// errStopped is the splitter's error when a loader has failed, and a loader's when the splitter has.
var errStopped = errors.New("snapshot: the load was stopped")

// parallel loads everything with n shards.
func (l *loader) parallel(n int) (err error) {
	shards := l.store.Shards(n)
	s := &splitter{loader: l, stop: make(chan struct{})}
	var work sync.WaitGroup
	for _, shard := range shards {
		p := newPartLoader(s, shard)
		s.parts = append(s.parts, p)
		work.Go(p.run)
	}
	err = l.steps(func() (more bool, err error) {
		more, err = s.some()
		l.giveWay()
		return more, err
	})
	for _, p := range s.parts {
		if err == nil {
			p.next.data = append(p.next.data, rdb.EndPart...)
			p.whole = p.send() == nil // else a loader has failed and says why; the others only stopped
		}
		close(p.chunks)
	}
	work.Wait()
	l.meta.Keys = 0 // the loaders know better: they drop values that turn out empty
	for _, p := range s.parts {
		l.meta.Keys += p.meta.Keys
		l.meta.Empty += p.meta.Empty
		l.meta.Timed.Kept += p.meta.Timed.Kept
		l.meta.Timed.Expired += p.meta.Timed.Expired
		if p.err != nil && !errors.Is(p.err, errStopped) {
			err = p.err // what it found stands before the place where the splitter is
		}
	}
	l.locked(func() { l.store.Join(shards) })
	return err
}

// some hands on a batch and reports whether more follow.
func (s *splitter) some() (more bool, err error) {
	from, items := s.in.Pos(), s.batch()
	for n := 0; n < items && s.in.Pos()-from < batchBytes; n++ {
		ev, err := s.in.NextRaw(s)
		switch {
		case err == nil && s.bad != nil:
			err = s.bad
		case err == nil && ev.Kind == rdb.EOF:
			return false, nil
		case err == nil && ev.Kind != rdb.Entry:
			err = s.other(&ev)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// other is an event that is no entry: for all shards, or for nobody but the caller.
func (s *splitter) other(ev *rdb.Event) error {
	switch ev.Kind {
	case rdb.SelectDB:
		if err := s.event(ev); err != nil {
			return err
		}
		for _, p := range s.parts { // a chunk is in one database
			if err := p.send(); err != nil {
				return err
			}
			p.next.db = ev.DB
			p.next.data = rdb.AppendSelectDB(p.next.data, ev.DB)
		}
	case rdb.Resize:
		for _, p := range s.parts {
			p.next.data = rdb.AppendResizeDB(p.next.data, int(min(ev.Keys, maxSize)), int(min(ev.Expires, maxSize)))
		}
	default:
		return s.event(ev)
	}
	return nil
}

// Begin implements rdb.RawSink.
func (s *splitter) Begin(ev *rdb.Event, pos int64) bool {
	if s.bad = supported(ev); s.bad != nil || s.leftOut(ev) {
		return false
	}
	s.meta.Keys++
	h := s.store.Hash(ev.Key)
	s.to = s.parts[s.store.ShardOf(h, len(s.parts))]
	s.to.next.hashes = append(s.to.next.hashes, h)
	s.to.next.starts = append(s.to.next.starts, pos)
	return true
}

// Bytes implements rdb.RawSink.
func (s *splitter) Bytes(p []byte) error {
	c := &s.to.next.data
	*c = append(*c, p...)
	if len(*c) < chunkSize {
		return nil
	}
	return s.to.send()
}

// fail stops the splitter, and so the other loaders.
func (s *splitter) fail() { s.once.Do(func() { close(s.stop) }) }

// partLoader loads one shard's part. The splitter fills next and sends it; the rest belongs to run's goroutine.
type partLoader struct {
	loader
	s      *splitter
	next   *chunk
	whole  bool // the end was sent
	chunks chan *chunk
	spare  chan *chunk

	at     *chunk
	unread []byte  // of it
	first  int     // number of the entry that starts holds first
	starts []int64 // of the newest chunk in which an entry begins
	warmed uint32
	err    error
}

func newPartLoader(s *splitter, shard *store.Store) *partLoader {
	p := &partLoader{s: s, next: newChunk(), chunks: make(chan *chunk, chunksAhead), spare: make(chan *chunk, chunksAhead+2)}
	o := s.opts
	shard.Tick(o.Now)
	p.loader = loader{
		store: shard, in: rdb.NewPartReader(p, rdb.Limits{}), meta: newMeta(), db: shard.DB(0),
		opts: LoadOptions{Now: o.Now, EmptyKey: o.EmptyKey},
	}
	return p
}

func newChunk() *chunk {
	const keys = chunkSize / 64
	return &chunk{data: make([]byte, 0, chunkSize+chunkSize/8), hashes: make([]uint64, 0, keys), starts: make([]int64, 0, keys)}
}

// send hands the chunk that was filled to the loader.
func (p *partLoader) send() error {
	if len(p.next.data) == 0 {
		return nil
	}
	select {
	case p.chunks <- p.next:
	case <-p.s.stop:
		return errStopped
	}
	db := p.next.db
	select {
	case p.next = <-p.spare:
	default:
		p.next = newChunk()
	}
	p.next.db = db
	return nil
}

func (p *partLoader) run() {
	if p.s.opts.Background {
		Background()
	}
	for more := true; more && p.err == nil; {
		more, p.err = p.some()
		p.s.giveWay()
	}
	if p.err != nil {
		p.err = p.inStream(p.err)
		p.s.fail()
	}
}

// Read implements io.Reader for the loader's own reader.
func (p *partLoader) Read(b []byte) (int, error) {
	for len(p.unread) == 0 {
		if err := p.turn(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.unread)
	p.unread = p.unread[n:]
	return n, nil
}

// turn goes on to the next chunk.
func (p *partLoader) turn() error {
	if c := p.at; c != nil && cap(c.data) < 2*chunkSize {
		c.data, c.hashes, c.starts = c.data[:0], c.hashes[:0], c.starts[:0]
		select {
		case p.spare <- c:
		default:
		}
	}
	c, ok := <-p.chunks
	switch {
	case ok:
	case p.whole:
		return io.ErrUnexpectedEOF
	default:
		return errStopped
	}
	p.at, p.unread = c, c.data
	if len(c.starts) > 0 {
		p.first += len(p.starts)
		p.starts, c.starts = c.starts, p.starts
	}
	p.warmed += p.store.DB(c.db).WarmForInsert(c.hashes)
	return nil
}

// inStream makes an error in a part name the byte of the whole stream.
func (p *partLoader) inStream(err error) error {
	var e *rdb.Error
	if i := p.current - p.first; errors.As(err, &e) && i >= 0 && i < len(p.starts) {
		e.Pos += p.starts[i] - p.began
	}
	return err
}
