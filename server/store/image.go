package store

// StreamImage is the room in which the parts of a stream's image are made, one stream after the other.
type StreamImage struct{ walk streamWalk }

// Each calls fn for the parts of a stream's image, as a cut gives them. It changes nothing of the stream, so that it may run
// under a shared lock; the part is valid until fn returns.
func (m *StreamImage) Each(s *Stream, fn func(p *StreamPart)) {
	s.check()
	w := &m.walk
	*w = streamWalk{o: s.o, v: s.o.streamVersion}
	for w.stage != walkDone {
		w.part = StreamPart{}
		if w.one() {
			fn(&w.part)
		}
	}
	*w = streamWalk{}
}

// EachChunk calls fn for the pieces of a list from its head on; see Chunks for their number. It
// changes nothing, so that it may run under a shared lock.
func (l *List) EachChunk(fn func(c Chunk)) {
	l.check()
	if l.obj == nil {
		data, n := l.Packed()
		fn(Chunk{Data: data, Elements: n})
		return
	}
	var at chunkCursor
	t := &l.obj.tree
	for ok := t.edge(&at, false); ok; ok = t.next(&at) {
		c := Chunk{Elements: t.size(&at), Blob: t.blob(&at)}
		if c.Blob != nil {
			c.Data = c.Blob.Bytes()
		} else {
			c.Data = t.contents(&at)
		}
		fn(c)
	}
}
