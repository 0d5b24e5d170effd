package rdb

import "encoding/binary"

// A stream, as types 15, 19 and 21 hold it:
//
//	number of listpacks; each: the ID of its first entry (16 bytes, big endian, as a string), the listpack as a string
//	length, last ID [19: first ID, greatest deleted ID, entries ever added]
//	number of groups; each: name, last ID [19: entries read],
//	  number of pending entries; each: ID (16), time of delivery (8, LE), deliveries
//	  number of consumers; each: name, time seen (8) [21: time active (8)], number of its pending entries; each: ID (16)
//
// IDs are two lengths where nothing else is said. StreamPart is one line of this.
type StreamPart struct {
	Kind       StreamPartKind
	ID         ID     // of a listpack or an entry; the last ID of the stream or a group
	First      ID     // StreamState
	MaxDeleted ID     // StreamState
	N          uint64 // StreamState: length; StreamPending: deliveries; others: how many follow
	Added      uint64 // StreamState
	Groups     uint64 // StreamState: that follow
	Read       int64  // StreamGroup: entries read, -1 for not known
	Time       int64  // of delivery, seen: unix ms
	Active     int64  // StreamOwner: unix ms, -1 for never; where only type 21 tells it, as good as when it was seen
	Bytes      []byte // a listpack, a name: valid until the next read
	Old        bool   // StreamState, StreamGroup: type 15 does not tell what only 19 does
}

// ID is a stream's ID.
type ID struct{ Ms, Seq uint64 }

// StreamPartKind says what a StreamPart is.
type StreamPartKind uint8

// The kinds of parts.
const (
	StreamEnd     StreamPartKind = iota
	StreamHead                   // N listpacks follow
	StreamChunk                  // ID, Bytes
	StreamState                  // counters; Groups follow
	StreamGroup                  // Bytes, ID, Read; N pending entries follow
	StreamPending                // ID, Time, N deliveries
	StreamOwners                 // N consumers follow
	StreamOwner                  // Bytes, Time, Active; N of its entries follow
	StreamOwned                  // ID
)

// AppendStreamEntry begins a stream; its parts follow.
func AppendStreamEntry(dst, key []byte, compress bool) []byte {
	return AppendString(append(dst, byte(TypeStreamListpacks2)), key, compress)
}

// AppendStreamPart writes a part in the form of type 19. Of a StreamChunk the listpack is left to the caller.
func AppendStreamPart(dst []byte, p *StreamPart, compress bool) []byte {
	switch p.Kind {
	case StreamHead, StreamOwners:
		return AppendLen(dst, p.N)
	case StreamChunk:
		return appendRawID(AppendLen(dst, 16), p.ID)
	case StreamState:
		dst = appendID(AppendLen(dst, p.N), p.ID)
		dst = appendID(appendID(dst, p.First), p.MaxDeleted)
		return AppendLen(AppendLen(dst, p.Added), p.Groups)
	case StreamGroup:
		dst = appendID(AppendString(dst, p.Bytes, compress), p.ID)
		return AppendLen(AppendLen(dst, uint64(p.Read)), p.N)
	case StreamPending:
		dst = binary.LittleEndian.AppendUint64(appendRawID(dst, p.ID), uint64(p.Time))
		return AppendLen(dst, p.N)
	case StreamOwner:
		dst = binary.LittleEndian.AppendUint64(AppendString(dst, p.Bytes, compress), uint64(p.Time))
		return AppendLen(dst, p.N)
	case StreamOwned:
		return appendRawID(dst, p.ID)
	}
	panic("rdb: a part of a stream of no known kind")
}

func appendID(dst []byte, id ID) []byte { return AppendLen(AppendLen(dst, id.Ms), id.Seq) }

func appendRawID(dst []byte, id ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, id.Ms), id.Seq)
}

// streamReader is where the reading of a stream stands: the part that comes next, and how many more of each kind.
type streamReader struct {
	next                                      StreamPartKind
	chunks, groups, pending, consumers, owned uint64
}

// NextStreamPart answers the next part of the stream given out last; StreamEnd behind the last one.
func (r *Reader) NextStreamPart() (p StreamPart, err error) {
	if !r.isOpen {
		return p, nil
	}
	s := &r.stream
	s.advance()
	p.Kind = s.next
	switch p.Kind {
	case StreamEnd:
		r.isOpen = false
	case StreamHead:
		p.N, err = r.src.plainLength()
		s.chunks, s.next = p.N, StreamChunk
	case StreamChunk:
		s.chunks--
		err = r.streamChunk(&p)
	case StreamState:
		err = r.streamState(&p)
		s.groups, s.next = p.Groups, StreamGroup
	case StreamGroup:
		s.groups--
		err = r.streamGroup(&p)
		s.pending, s.next = p.N, StreamPending
	case StreamPending:
		s.pending--
		err = r.streamPending(&p)
	case StreamOwners:
		p.N, err = r.src.plainLength()
		s.consumers, s.next = p.N, StreamOwner
	case StreamOwner:
		s.consumers--
		err = r.streamOwner(&p)
		s.owned, s.next = p.N, StreamOwned
	case StreamOwned:
		s.owned--
		p.ID, err = r.rawID()
	}
	return p, err
}

// advance passes over kinds of which no part is left.
func (s *streamReader) advance() {
	for {
		switch {
		case s.next == StreamChunk && s.chunks == 0:
			s.next = StreamState
		case s.next == StreamGroup && s.groups == 0:
			s.next = StreamEnd
		case s.next == StreamPending && s.pending == 0:
			s.next = StreamOwners
		case s.next == StreamOwner && s.consumers == 0:
			s.next = StreamGroup
		case s.next == StreamOwned && s.owned == 0:
			s.next = StreamOwner
		default:
			return
		}
	}
}

func (r *Reader) id() (id ID, err error) {
	if id.Ms, err = r.src.plainLength(); err == nil {
		id.Seq, err = r.src.plainLength()
	}
	return id, err
}

func (r *Reader) rawID() (id ID, err error) {
	p, err := r.src.take(16)
	if err == nil {
		id = ID{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])}
	}
	return id, err
}

func (r *Reader) time() (int64, error) {
	p, err := r.src.take(8)
	if err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(p)), nil
}

func (r *Reader) streamChunk(p *StreamPart) error {
	id, err := r.src.str(&r.val)
	if err != nil {
		return err
	}
	if len(id) != 16 {
		return r.src.fail("Stream node key entry is not the size of a stream ID")
	}
	p.ID = ID{binary.BigEndian.Uint64(id), binary.BigEndian.Uint64(id[8:])}
	p.Bytes, err = r.src.str(&r.val)
	return err
}

func (r *Reader) streamState(p *StreamPart) (err error) {
	if p.N, err = r.src.plainLength(); err != nil {
		return err
	}
	if p.ID, err = r.id(); err != nil {
		return err
	}
	if p.Old = r.pending == TypeStreamListpacks; p.Old {
		p.Added = p.N
	} else {
		if p.First, err = r.id(); err != nil {
			return err
		}
		if p.MaxDeleted, err = r.id(); err != nil {
			return err
		}
		if p.Added, err = r.src.plainLength(); err != nil {
			return err
		}
	}
	p.Groups, err = r.src.plainLength()
	return err
}

func (r *Reader) streamGroup(p *StreamPart) (err error) {
	if err = r.name(p); err != nil {
		return err
	}
	if p.ID, err = r.id(); err != nil {
		return err
	}
	if p.Old, p.Read = r.pending == TypeStreamListpacks, -1; !p.Old {
		n, err := r.src.plainLength()
		if err != nil {
			return err
		}
		if p.Read = int64(n); p.Read < -1 {
			return r.src.fail("a stream's group has a negative number of entries read")
		}
	}
	p.N, err = r.src.plainLength()
	return err
}

// name reads a name, which outlives the rest of its part.
func (r *Reader) name(p *StreamPart) error {
	b, err := r.src.str(&r.val)
	r.blob = append(r.blob[:0], b...)
	p.Bytes = r.blob
	return err
}

func (r *Reader) streamPending(p *StreamPart) (err error) {
	if p.ID, err = r.rawID(); err != nil {
		return err
	}
	if p.Time, err = r.time(); err != nil {
		return err
	}
	p.N, err = r.src.plainLength()
	return err
}

func (r *Reader) streamOwner(p *StreamPart) (err error) {
	if err = r.name(p); err != nil {
		return err
	}
	if p.Time, err = r.time(); err != nil {
		return err
	}
	if p.Active = p.Time; r.pending == TypeStreamListpacks3 {
		if p.Active, err = r.time(); err != nil {
			return err
		}
	}
	p.N, err = r.src.plainLength()
	return err
}

// openStream begins a stream, whose parts NextStreamPart gives.
func (r *Reader) openStream(t Type) {
	r.pending, r.isOpen, r.stream = t, true, streamReader{next: StreamHead}
}

// skipStream passes over what is unread of a stream.
func (r *Reader) skipStream(t Type, isOpen bool) error {
	if isOpen && r.stream.next == StreamHead {
		return r.src.skipValue(t)
	}
	r.pending, r.isOpen = t, isOpen
	for r.isOpen {
		if _, err := r.NextStreamPart(); err != nil {
			return err
		}
	}
	r.pending = 0
	return nil
}
