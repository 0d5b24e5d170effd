package store

// StreamCopier makes a stream of the parts of another's image (streamcut.go), little by little.
type StreamCopier struct {
	group string
	owner uint32
}

// Add adds a part to a loose stream. An error is a programmer's: an image is in order.
func (c *StreamCopier) Add(l *Loose, p *StreamPart) error {
	s := l.Stream()
	switch p.Kind {
	case StreamHead, StreamOwners:
		return nil
	case StreamChunk:
		s.wrote()
		s.o.addChunk(p.ID, p.Chunk, 0)
		return nil
	case StreamState:
		s.wrote()
		v := &s.o.streamVersion
		v.count, v.last, v.first, v.maxDeleted, v.added = int(p.N), p.ID, p.First, p.MaxDeleted, p.Added
		return nil
	case StreamGroupPart:
		c.group = p.Name
		s.CreateGroup([]byte(p.Name), p.ID, p.Read)
		return nil
	}
	g, _ := s.Group([]byte(c.group))
	switch p.Kind {
	case StreamPending:
		return g.LoadPending(p.ID, p.Time, p.N)
	case StreamOwner:
		c.owner = g.AddConsumer([]byte(p.Name), p.Time)
		g.Served(c.owner, p.Active)
	case StreamOwned:
		return g.LoadOwned(c.owner, p.ID)
	}
	return nil
}
