package rdb

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Limits bound what a file may ask of memory.
type Limits struct {
	MaxString    int64 // longest string, 0: any, as proto-max-bulk-len bounds what clients bring, not what is stored
	SkipChecksum bool  // do not compute the checksum (rdbchecksum no)
}

// Kind says what an Event is.
type Kind uint8

// Kinds of events.
const (
	Aux      Kind = iota + 1 // Key and Value
	SelectDB                 // DB
	Resize                   // Keys, Expires
	Entry                    // Key, Type, ExpireMS, Idle, Freq; a string's Value; a hash's or a set's Fields
	Function                 // Value: the source of a function library
	EOF                      // the file ended and its checksum, if it has one, is right
)

// Event is one item of the file. Key and Value are valid until the next call of the Reader.
type Event struct {
	Kind          Kind
	Key, Value    []byte
	DB            int
	Keys, Expires uint64 // sizes as announced: hints, not to be trusted
	Type          Type
	ExpireMS      int64 // unix milliseconds, 0: none
	Idle          int64 // seconds since the last use, -1: not told
	Freq          int   // access frequency, -1: not told
	Fields        int   // pairs or members as announced, -1: not known; a hint
}

// IsHash reports whether NextField gives the entry out.
func (e *Event) IsHash() bool { return e.Type.Name() == "hash" }

// supported are the types of values that can be read, by name.
var supported = map[string]bool{"string": true, "hash": true, "list": true, "set": true, "stream": true, "zset": true}

// Supported reports whether the entry's value can be read; others can only be skipped, which the next
// call of Next does.
func (e *Event) Supported() bool { return supported[e.Type.Name()] }

// Reader reads a file event by event. After an error it must not be used again.
type Reader struct {
	src     stringSource
	version int

	key, val, blob []byte // rooms that outlive a read
	raw            Event  // of NextRaw
	fieldNum       [24]byte

	// the value of the entry given out last, as far as it is unread
	pending  Type
	isOpen   bool   // NextField has something to read
	left     uint64 // pairs of a hash that is not packed
	earliest uint64 // time at which the first field of a hash expires
	fieldAt  int64
	pack     packed
	rest     []byte // unread part of an intset
	ordered  bool   // the integers before were in order, and this was
	last     int64  // the last of them
	width    int    // bytes of an intset's integers
	stream   streamReader
	hasMagic bool
}

// NewReader reads from r, which needs no buffer of its own. After EOF bytes of what follows may have
// been read ahead: see Rest.
func NewReader(r io.Reader, lim Limits) *Reader {
	rd := &Reader{}
	rd.src.r = r
	rd.src.buf = make([]byte, inputSize)
	rd.src.checksum = !lim.SkipChecksum
	rd.src.maxString = lim.maxString()
	return rd
}

func (l *Limits) maxString() int64 {
	if l.MaxString > 0 {
		return l.MaxString
	}
	return math.MaxInt64
}

// Version of the file, known after the first event.
func (r *Reader) Version() int { return r.version }

// Pos is the number of bytes consumed.
func (r *Reader) Pos() int64 { return r.src.pos() }

// Rest answers the bytes that were read from the stream and do not belong to the file; call it after
// EOF.
func (r *Reader) Rest() []byte { return r.src.buf[r.src.start:r.src.end] }

// Next answers the next event; what is unread of the last entry is skipped.
func (r *Reader) Next() (Event, error) {
	if !r.hasMagic {
		if err := r.magic(); err != nil {
			return Event{}, err
		}
	}
	if err := r.skipPending(); err != nil {
		return Event{}, err
	}
	ev := Event{Idle: -1, Freq: -1, Fields: -1}
	for {
		op, err := r.src.byte()
		if err != nil {
			return Event{}, err
		}
		done, err := r.item(op, &ev)
		if done || err != nil {
			return ev, err
		}
	}
}

func (r *Reader) magic() error {
	p, err := r.src.take(9)
	if err != nil {
		return err
	}
	r.src.start -= 9 // so that errors name byte 0
	if string(p[:5]) != "REDIS" {
		return r.src.fail("not an RDB file: it does not begin with REDIS")
	}
	for _, c := range p[5:] {
		if c < '0' || c > '9' {
			return r.src.fail("not an RDB file: bad version")
		}
		r.version = r.version*10 + int(c-'0')
	}
	if r.version < 1 || r.version > maxVersion {
		return r.src.fail(fmt.Sprintf("Can't handle RDB format version %d", r.version))
	}
	r.src.start += 9
	r.hasMagic = true
	return nil
}

// item reads what follows one opcode or type; done tells that ev is complete.
func (r *Reader) item(op byte, ev *Event) (done bool, err error) {
	switch op {
	case opExpireMS, opExpire:
		return false, r.expire(op, ev)
	case opIdle:
		n, err := r.src.plainLength()
		ev.Idle = int64(min(n, 1<<62))
		return false, err
	case opFreq:
		c, err := r.src.byte()
		ev.Freq = int(c)
		return false, err
	case opSelectDB:
		n, err := r.src.plainLength()
		if err == nil && n > 1<<31-1 {
			err = r.src.fail(fmt.Sprintf("database number %d", n))
		}
		ev.Kind, ev.DB = SelectDB, int(n)
		return true, err
	case opResizeDB:
		ev.Kind = Resize
		if ev.Keys, err = r.src.plainLength(); err == nil {
			ev.Expires, err = r.src.plainLength()
		}
		return true, err
	case opAux:
		return true, r.aux(ev)
	case opModuleAux:
		return false, r.moduleAux()
	case opSlotInfo:
		return false, r.src.skipLengths(3)
	case opFunction2:
		ev.Kind = Function
		ev.Value, err = r.src.str(&r.val)
		return true, err
	case opFunction:
		return true, r.oldFunction(ev)
	case opEOF:
		ev.Kind = EOF
		return true, r.finish()
	}
	return true, r.entry(Type(op), ev)
}

func (r *Reader) expire(op byte, ev *Event) error {
	if op == opExpire {
		p, err := r.src.take(4)
		if err == nil {
			ev.ExpireMS = int64(int32(binary.LittleEndian.Uint32(p))) * 1000
		}
		return err
	}
	p, err := r.src.take(8)
	if err == nil {
		ev.ExpireMS = int64(binary.LittleEndian.Uint64(p))
	}
	return err
}

func (r *Reader) aux(ev *Event) error {
	ev.Kind = Aux
	if err := r.readKey(ev); err != nil {
		return err
	}
	var err error
	ev.Value, err = r.src.str(&r.val)
	return err
}

// readKey copies: the value's bytes may push the key out of the read buffer.
func (r *Reader) readKey(ev *Event) error {
	p, err := r.src.str(&r.val)
	r.key = append(r.key[:0], p...)
	ev.Key = r.key
	return err
}

// finish checks the checksum behind the end mark.
func (r *Reader) finish() error {
	if r.version < 5 {
		return nil
	}
	r.src.sum()
	want := r.src.crc
	p, err := r.src.take(8)
	if err != nil {
		return err
	}
	got := binary.LittleEndian.Uint64(p)
	if got != 0 && r.src.checksum && got != want {
		return r.src.fail(fmt.Sprintf("CRC error: wrong checksum: the file says %x, its bytes give %x", got, want))
	}
	return nil
}

// known refuses a byte that is no type.
func (r *Reader) known(t Type) error {
	if t.Name() != "unknown" {
		return nil
	}
	r.src.start-- // name the byte itself
	return r.src.fail(fmt.Sprintf("unknown object type %d", t))
}

func (r *Reader) entry(t Type, ev *Event) error {
	if err := r.known(t); err != nil {
		return err
	}
	ev.Kind, ev.Type = Entry, t
	if err := r.readKey(ev); err != nil {
		return err
	}
	return r.open(t, ev)
}

// open begins the value of an entry.
func (r *Reader) open(t Type, ev *Event) error {
	switch t.Name() {
	case "string":
		var err error
		ev.Value, err = r.src.str(&r.val)
		return err
	case "hash":
		return r.openHash(t, ev)
	case "list":
		return r.openList(t, ev)
	case "set":
		return r.openSet(t, ev)
	case "stream":
		r.openStream(t)
		return nil
	case "zset":
		return r.openZSet(t, ev)
	}
	return r.openModule(t)
}

// skipPending passes over what is unread of the value given out last.
func (r *Reader) skipPending() error {
	t, wasOpen := r.pending, r.isOpen
	r.pending, r.isOpen, r.rest = 0, false, nil
	switch t.Name() {
	case "string": // read whole, or nothing is pending
		return nil
	case "hash":
		return r.skipHash(t, wasOpen)
	case "list":
		return r.skipList(t, wasOpen)
	case "set":
		return r.skipSet(t, wasOpen)
	case "stream":
		return r.skipStream(t, wasOpen)
	case "zset":
		return r.skipZSet(t, wasOpen)
	}
	return r.src.skipValue(t)
}
