package rdb

import "io"

// RawSink takes entries as they stand in the stream.
type RawSink interface {
	// Begin announces an entry that starts at a position of the stream; the event tells all but the value. With false
	// the entry is passed over.
	Begin(ev *Event, pos int64) bool
	// Bytes gives the entry's bytes, expiry and the like included, in one call or in several. They are valid until it
	// returns. An error ends the reading and is returned as it is.
	Bytes(p []byte) error
}

// NextRaw is Next for a caller that hands entries on instead of reading them: an entry goes to sink, whole, before its
// event is answered. A Reader made by NewPartReader reads what sink got.
func (r *Reader) NextRaw(sink RawSink) (Event, error) {
	if !r.hasMagic {
		if err := r.magic(); err != nil {
			return Event{}, err
		}
	}
	ev := &r.raw // what sink is told lives on the heap
	*ev = Event{Idle: -1, Freq: -1, Fields: -1}
	defer r.src.untap()
	for pos := r.src.tapFromHere(); ; {
		op, err := r.src.byte()
		if err != nil {
			return Event{}, err
		}
		if op < opSlotInfo {
			err := r.rawEntry(Type(op), ev, pos, sink)
			return *ev, err
		}
		done, err := r.item(op, ev)
		if done || err != nil {
			return *ev, err
		}
		if op == opModuleAux || op == opSlotInfo { // stands between entries
			pos = r.src.tapFromHere()
		}
	}
}

func (r *Reader) rawEntry(t Type, ev *Event, pos int64, sink RawSink) error {
	if err := r.known(t); err != nil {
		return err
	}
	ev.Kind, ev.Type = Entry, t
	if err := r.readKey(ev); err != nil {
		return err
	}
	if t == TypeModule || t == TypeModule2 {
		return r.openModule(t)
	}
	if !sink.Begin(ev, pos) {
		r.src.untap()
		return r.src.skipValue(t)
	}
	if err := r.src.pourTo(sink); err != nil {
		return err
	}
	if err := r.src.skipValue(t); err != nil {
		return err
	}
	return r.src.pour()
}

// NewPartReader reads entries, and databases' numbers and sizes, out of their file: without magic and checksum. The
// bytes end with EndPart.
func NewPartReader(r io.Reader, lim Limits) *Reader {
	lim.SkipChecksum = true
	rd := NewReader(r, lim)
	rd.hasMagic = true // and version 0, which has no checksum
	return rd
}

// EndPart is what a part ends with.
var EndPart = []byte{opEOF}

// tap gives out the bytes that are read, besides.
type tap struct {
	on   bool
	from int // in the buffer: the first byte that was not given out
	sink RawSink
	held []byte // as long as there is no sink
}

const maxHeld = 64 << 10 // that is kept for the next entry

// tapFromHere begins to give out, or to hold back, what follows the present position, which it answers.
func (in *input) tapFromHere() int64 {
	t := &in.tap
	t.on, t.from, t.sink, t.held = true, in.start, nil, t.held[:0]
	return in.pos()
}

func (in *input) untap() {
	t := &in.tap
	t.on, t.sink = false, nil
	if cap(t.held) > maxHeld {
		t.held = nil
	}
}

// pourTo gives sink what was held back; pour what was read since.
func (in *input) pourTo(sink RawSink) error {
	t := &in.tap
	t.sink = sink
	if len(t.held) > 0 {
		return sink.Bytes(t.held)
	}
	return nil
}

func (in *input) pour() error {
	from := in.tap.from
	in.tap.from = in.start
	return in.give(in.buf[from:in.start])
}

func (in *input) give(p []byte) error {
	t := &in.tap
	switch {
	case len(p) == 0:
	case t.sink != nil:
		return t.sink.Bytes(p)
	default:
		t.held = append(t.held, p...)
	}
	return nil
}
