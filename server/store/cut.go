package store

// Cut is a consistent image under way.
type Cut struct{}

func (p *part) beforeWrite(h uint64) {}

func (o *hashObject) beforeWrite(h uint64) {}

func (s *segment) spreadSeen(n int) {}
