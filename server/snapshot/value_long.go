package snapshot

import (
	"errors"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// Dump makes of a big value's parts what AppendValue makes of the value, without a store.
type Dump struct {
	a    valueAppender
	part rdb.StreamPart
}

// NewDump begins a value: n are a table's elements, or a list's chunks.
func NewDump(kind store.Kind, n int, compress bool) *Dump {
	d := &Dump{a: valueAppender{compress: compress}}
	switch kind {
	case store.String:
		d.a.begin(rdb.TypeString)
		return d
	case store.StreamKind:
		d.a.begin(rdb.TypeStreamListpacks2)
		return d
	case store.ListKind:
		d.a.begin(rdb.TypeListQuicklist2)
	case store.SetKind:
		d.a.begin(rdb.TypeSet)
	case store.ZSetKind:
		d.a.begin(rdb.TypeZset2)
	case store.HashKind:
		d.a.begin(rdb.TypeHash)
	default:
		panic("snapshot: no dump of parts of this kind")
	}
	d.a.length(n)
	return d
}

// String adds a member, a field or its value.
func (d *Dump) String(b []byte) { d.a.string(b) }

// Score adds the score of the member before it.
func (d *Dump) Score(score float64) { d.a.score(score) }

// Chunk adds a list's chunk; of an element of its own elements is 0.
func (d *Dump) Chunk(data []byte, elements int) {
	if elements == 0 {
		d.a.dst = rdb.AppendPlainNode(d.a.dst)
		d.a.string(data)
		return
	}
	d.a.dst = rdb.AppendPackedNode(d.a.dst)
	d.a.room = append(listpack.Begin(d.a.room[:0]), data...)
	d.a.packed(elements)
}

// AppendPart encodes a part of a stream, which Encoded adds, but for a chunk's bytes, which String adds behind it.
func (d *Dump) AppendPart(dst []byte, p *store.StreamPart) []byte {
	streamPart(&d.part, p)
	return rdb.AppendStreamPart(dst, &d.part, d.a.compress)
}

// Encoded adds what is encoded already.
func (d *Dump) Encoded(b []byte) { d.a.dst = append(d.a.dst, b...) }

// Finish ends the value and gives all of it.
func (d *Dump) Finish() []byte { return rdb.AppendFooter(d.a.dst, 0) }

// ValueReader reads a value of many elements as AppendValue writes it, without the footer, into a store.Loose, or a string.
type ValueReader struct {
	in     *rdb.Reader
	kind   store.Kind
	text   []byte
	stream streamLoader
}

var errNotLoose = errors.New("snapshot: a value that is made where it belongs")

// NewValueReader begins to read; the error is one for values that ReadValue has to deal with. room is memory for a string, or
// nil.
func NewValueReader(value, room []byte) (*ValueReader, error) {
	r := &ValueReader{in: rdb.NewValueReader(value, rdb.Limits{})}
	r.in.Into(room)
	ev, err := r.in.Value()
	if err != nil {
		return nil, err
	}
	switch name := ev.Type.Name(); {
	case !ev.Supported() || ev.Type.HasTimes():
		return nil, errNotLoose
	case name == "string":
		r.kind, r.text = store.String, ev.Value
	case name == "hash":
		r.kind = store.HashKind
	case name == "set":
		r.kind = store.SetKind
	case name == "zset":
		r.kind = store.ZSetKind
	case name == "list":
		r.kind = store.ListKind
	case name == "stream":
		r.kind, r.stream.loader = store.StreamKind, &loader{in: r.in}
	default:
		return nil, errNotLoose
	}
	return r, nil
}

// Kind is the value's.
func (r *ValueReader) Kind() store.Kind { return r.kind }

// Text is the whole value when it is a string, which AddTo knows nothing of.
func (r *ValueReader) Text() []byte { return r.text }

var errTwice = errors.New("snapshot: an element is there twice")

// AddTo adds the next element; more is false behind the last.
func (r *ValueReader) AddTo(l *store.Loose) (more bool, err error) {
	fresh := true
	switch r.kind {
	case store.HashKind:
		var field, value []byte
		if field, value, more, err = r.in.NextField(); more && err == nil {
			fresh = l.SetField(field, value)
		}
	case store.SetKind:
		var member []byte
		if member, more, err = r.in.NextMember(); more && err == nil {
			fresh = l.Add(member)
		}
	case store.ZSetKind:
		var member []byte
		var score float64
		if member, score, more, err = r.in.NextScored(); more && err == nil {
			fresh = l.Set(member, score)
		}
	case store.ListKind:
		var element []byte
		if element, more, err = r.in.NextElement(); more && err == nil {
			l.Push(element)
		}
	case store.StreamKind:
		s := l.Stream()
		more, err = r.stream.next(&s)
		more = !more
	}
	if !fresh {
		err = errTwice
	}
	return more, err
}
