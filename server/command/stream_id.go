package command

import (
	"bytes"
	"math"
	"strconv"

	"github.com/understudy-db/understudy/server/store"
)

const errStreamID = "Invalid stream ID specified as stream command argument"

// parseUnsigned reads half an ID as string2ull does: what is no plain integer is tried with strtoull, which takes leading
// blanks, a sign and zeros.
func parseUnsigned(s []byte) (uint64, bool) {
	if n, ok := ParseInt(s); ok {
		return uint64(n), n >= 0
	}
	s = bytes.TrimLeft(s, " \t\n\v\f\r")
	negative := len(s) > 0 && s[0] == '-'
	if negative || len(s) > 0 && s[0] == '+' {
		s = s[1:]
	}
	if len(s) == 0 || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s), 10, 64)
	if err != nil {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// parsedID is an ID as an argument gives it.
type parsedID struct {
	store.StreamID
	auto bool // "ms-*": the sequence number is to be chosen
}

// idForm says which forms of an ID an argument may have.
type idForm struct {
	missing uint64 // the sequence number of an ID without one
	edges   bool   // "-" and "+" are taken
	auto    bool   // "ms-*" is taken
}

func parseStreamID(arg []byte, f idForm) (id parsedID, ok bool) {
	if i := bytes.IndexByte(arg, 0); i >= 0 && len(arg) < 128 {
		arg = arg[:i] // read as a C string
	}
	switch {
	case len(arg) > 127:
		return id, false
	case string(arg) == "-":
		return id, f.edges
	case string(arg) == "+":
		id.StreamID = store.MaxStreamID
		return id, f.edges
	}
	ms, seq, both := bytes.Cut(arg, []byte{'-'})
	if id.Ms, ok = parseUnsigned(ms); !ok {
		return id, false
	}
	switch {
	case !both:
		id.Seq = f.missing
	case f.auto && string(seq) == "*":
		id.auto = true
	default:
		id.Seq, ok = parseUnsigned(seq)
	}
	return id, ok
}

// streamIDArg reads a whole ID, or replies with an error.
func (c *Ctx) streamIDArg(i int) (store.StreamID, bool) {
	id, ok := parseStreamID(c.Args[i], idForm{})
	if !ok {
		c.Out.Error(errStreamID)
	}
	return id.StreamID, ok
}

// streamIDArgs reads the IDs of arguments [from, to), or replies with an error.
func (c *Ctx) streamIDArgs(from, to int) ([]store.StreamID, bool) {
	ids := make([]store.StreamID, 0, to-from)
	for i := from; i < to; i++ {
		id, ok := c.streamIDArg(i)
		if !ok {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// rangeStart and rangeEnd read the ends of an interval: "(" in front excludes the ID itself.
func (c *Ctx) rangeStart(i int) (store.StreamID, bool) {
	id, exclusive, ok := c.intervalID(i, 0)
	if ok && exclusive {
		if id, ok = id.Next(); !ok {
			c.Out.Error("invalid start ID for the interval")
		}
	}
	return id, ok
}

func (c *Ctx) rangeEnd(i int) (store.StreamID, bool) {
	id, exclusive, ok := c.intervalID(i, math.MaxUint64)
	if ok && exclusive {
		if id, ok = id.Prev(); !ok {
			c.Out.Error("invalid end ID for the interval")
		}
	}
	return id, ok
}

func (c *Ctx) intervalID(i int, missing uint64) (_ store.StreamID, exclusive, ok bool) {
	arg := c.Args[i]
	exclusive = len(arg) > 1 && arg[0] == '('
	if exclusive {
		arg = arg[1:]
	}
	id, ok := parseStreamID(arg, idForm{missing: missing, edges: !exclusive})
	if !ok {
		c.Out.Error(errStreamID)
	}
	return id.StreamID, exclusive, ok
}

func appendStreamID(dst []byte, id store.StreamID) []byte {
	dst = append(strconv.AppendUint(dst, id.Ms, 10), '-')
	return strconv.AppendUint(dst, id.Seq, 10)
}

// idText is an ID's text in memory of its own.
func idText(id store.StreamID) []byte { return appendStreamID(make([]byte, 0, 41), id) }

// streamID replies with an ID.
func (c *Ctx) streamID(id store.StreamID) {
	var room [41]byte
	c.Out.Bulk(appendStreamID(room[:0], id))
}

// cText is an argument as C prints it.
func cText(arg []byte) string {
	if i := bytes.IndexByte(arg, 0); i >= 0 {
		arg = arg[:i]
	}
	return string(arg)
}
