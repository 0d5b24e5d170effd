package snapshot

import (
	"fmt"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// StreamPart implements store.Visitor.
func (c *encoder) StreamPart(_ uint64, p *store.StreamPart) {
	if c.q.failed.Load() {
		return
	}
	c.streamPart(&c.q.main, p)
	c.finish(&c.q.main)
}

func (c *encoder) streamPart(s *stream, p *store.StreamPart) {
	c.ready(s)
	streamPart(&c.part, p)
	s.tail = rdb.AppendStreamPart(s.tail, &c.part, c.compress)
	switch {
	case p.Kind != store.StreamChunk:
	case p.Blob != nil:
		p.Blob.Retain()
		c.q.cut(s)
		c.q.add(s, &piece{data: p.Blob.Bytes(), blob: p.Blob, encode: true, size: len(p.Chunk)})
	default:
		c.copied(s, p.Chunk)
	}
}

// streamPart tells the file's format what the store tells.
func streamPart(to *rdb.StreamPart, p *store.StreamPart) {
	*to = rdb.StreamPart{
		ID: rdb.ID(p.ID), First: rdb.ID(p.First), MaxDeleted: rdb.ID(p.MaxDeleted), N: p.N, Added: p.Added,
		Groups: uint64(p.Groups), Read: p.Read, Time: p.Time, Bytes: append(to.Bytes[:0], p.Name...),
	}
	switch p.Kind {
	case store.StreamHead:
		to.Kind = rdb.StreamHead
	case store.StreamChunk:
		to.Kind = rdb.StreamChunk
	case store.StreamState:
		to.Kind = rdb.StreamState
	case store.StreamGroupPart:
		to.Kind = rdb.StreamGroup
	case store.StreamPending:
		to.Kind = rdb.StreamPending
	case store.StreamOwners:
		to.Kind, to.N = rdb.StreamOwners, uint64(p.Consumers)
	case store.StreamOwner:
		to.Kind = rdb.StreamOwner
	case store.StreamOwned:
		to.Kind = rdb.StreamOwned
	}
}

// streamLoader stores the parts of the stream that is being read.
type streamLoader struct {
	*loader
	group   []byte
	inGroup bool
	owner   uint32
}

// parts stores as many parts as the batch still takes.
func (l *streamLoader) parts(n *int) (done bool, err error) {
	s, _ := l.db.StreamForWrite(l.key)
	for from := l.in.Pos(); !done && err == nil && l.room(*n, from); *n++ {
		done, err = l.next(&s)
	}
	return done || err != nil, err
}

// next stores one part; done is true behind the last.
func (l *streamLoader) next(s *store.Stream) (done bool, err error) {
	p, err := l.in.NextStreamPart()
	if err != nil {
		return true, err
	}
	if p.Kind == rdb.StreamEnd || p.Kind == rdb.StreamGroup {
		if err := l.endGroup(s); err != nil {
			return true, err
		}
	}
	if p.Kind == rdb.StreamEnd {
		return true, nil
	}
	if err := l.part(s, &p); err != nil {
		return true, l.damaged(err)
	}
	return false, nil
}

func (l *streamLoader) endGroup(s *store.Stream) error {
	if !l.inGroup {
		return nil
	}
	l.inGroup = false
	g, _ := s.Group(l.group)
	if err := g.LoadDone(); err != nil {
		return l.damaged(err)
	}
	return nil
}

func (l *streamLoader) part(s *store.Stream, p *rdb.StreamPart) error {
	switch p.Kind {
	case rdb.StreamChunk:
		if err := s.LoadChunk(store.StreamID(p.ID), p.Bytes); err != nil {
			return fmt.Errorf("Stream listpack integrity check failed: %w", err) //nolint:staticcheck // Redis' text
		}
		return nil
	case rdb.StreamState:
		first := (*store.StreamID)(&p.First)
		if p.Old {
			first = nil
		}
		return s.LoadCounters(p.N, store.StreamID(p.ID), store.StreamID(p.MaxDeleted), first, p.Added)
	case rdb.StreamGroup:
		read := p.Read
		if p.Old {
			read = s.EntriesBefore(store.StreamID(p.ID))
		}
		l.group, l.inGroup = append(l.group[:0], p.Bytes...), true
		if !s.CreateGroup(p.Bytes, store.StreamID(p.ID), read) {
			return fmt.Errorf("Duplicated consumer group name %q loaded", p.Bytes) //nolint:staticcheck // Redis' text
		}
		return nil
	}
	g, _ := s.Group(l.group)
	switch p.Kind {
	case rdb.StreamPending:
		return g.LoadPending(store.StreamID(p.ID), p.Time, p.N)
	case rdb.StreamOwner:
		if _, ok := g.Consumer(p.Bytes); ok {
			return fmt.Errorf("Duplicate stream consumer detected: %q in the group %q", p.Bytes, l.group) //nolint:staticcheck // Redis' text
		}
		l.owner = g.AddConsumer(p.Bytes, p.Time)
		g.Served(l.owner, p.Active)
	case rdb.StreamOwned:
		return g.LoadOwned(l.owner, store.StreamID(p.ID))
	}
	return nil
}
