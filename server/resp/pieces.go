package resp

// Pieces collects a reply that may be very long in pieces of memory that are handed on as they are: nothing is copied
// when it grows, nor when it is sent.
type Pieces struct {
	head, now *Writer
	full      []*Writer
	size      int64
	proto     int
}

// pieceSize is the length from which a piece is complete.
const pieceSize = 128 << 10

// NewPieces returns an empty reply in a version of the protocol.
func NewPieces(proto int) *Pieces {
	p := &Pieces{proto: proto}
	p.head = p.fresh(64)
	p.now = p.fresh(4 << 10)
	return p
}

func (p *Pieces) fresh(room int) *Writer {
	w := NewWriter(make([]byte, 0, room))
	w.SetProto(p.proto)
	return w
}

// Proto is the version of the protocol.
func (p *Pieces) Proto() int { return p.proto }

// Head is where what comes first is written, even if last: an aggregate's header.
func (p *Pieces) Head() *Writer { return p.head }

// Next is where the next element is written.
func (p *Pieces) Next() *Writer {
	if p.now.Len() >= pieceSize {
		p.size += int64(p.now.Len())
		p.full = append(p.full, p.now)
		p.now = p.fresh(pieceSize + pieceSize/8)
	}
	return p.now
}

// Len is the length of the plain bytes so far.
func (p *Pieces) Len() int64 { return p.size + int64(p.now.Len()) }

// Errors is the number of errors written; they are in the head.
func (p *Pieces) Errors() int { return p.head.Errors() }

// Drop forgets the reply and lets its blobs go.
func (p *Pieces) Drop() {
	for _, w := range append(p.full, p.now, p.head) {
		w.Reset()
	}
	p.full, p.size = nil, 0
}

// Join puts another reply, which has a last element, behind this one, and copies nothing. q must not be used any more.
func (p *Pieces) Join(q *Pieces) {
	p.size += int64(p.now.Len()) + int64(q.head.Len()) + q.size
	if p.now.Len() > 0 {
		p.full = append(p.full, p.now)
	}
	p.full = append(append(p.full, q.head), q.full...)
	p.now = q.now
}

// MoveTo puts the reply behind what w holds, copying no more than its head and its last piece. p is empty afterwards.
func (p *Pieces) MoveTo(w *Writer) {
	w.Take(p.head)
	for _, piece := range p.full {
		piece.Segments(0, piece.Len(), func(plain []byte, blob Blob) {
			if blob == nil {
				blob = memory(plain)
			}
			w.refs = append(w.refs, ref{at: len(w.buf), blob: blob}) // never the last of w: an element follows
		})
	}
	w.Take(p.now)
	p.full, p.size = nil, 0
}

// memory is a blob that the collector takes care of.
type memory []byte

func (m memory) Bytes() []byte { return m }
func (memory) Release()        {}
