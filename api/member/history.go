package member

import (
	"fmt"
	"slices"
	"strings"
)

// Epoch is one reign in the life of a data set: writes behind offset Start (and up to the next
// epoch's Start) were made by the master of Term under ReplID. One term has one master incarnation,
// so two data sets that share an epoch agree on everything before its end in either.
type Epoch struct {
	Term   Term   `json:"term"`
	ReplID string `json:"replid"`
	Start  int64  `json:"start"`
}

// History is the lineage of a data set, oldest first, terms and starts ascending. It travels with the
// data: with a full sync, in the replication handshake, in the file. It may lack its oldest epochs.
type History []Epoch

// MaxHistory is how many epochs a history keeps; older ones are forgotten.
const MaxHistory = 64

// Position says how far a data set is: the term of the last write applied, then the offset. Within
// one history the greater position holds everything that the smaller one does.
type Position struct {
	Term   Term  `json:"term"`
	Offset int64 `json:"offset"`
}

// Less orders by term, then by offset.
func (p Position) Less(o Position) bool {
	if p.Term != o.Term {
		return p.Term < o.Term
	}
	return p.Offset < o.Offset
}

func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Term, p.Offset) }

// At is the position of a data set with this history at offset. An epoch that begins at the offset
// has written nothing yet: knowing of it is not having applied from it (S5).
func (h History) At(offset int64) Position {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Start < offset {
			return Position{Term: h[i].Term, Offset: offset}
		}
	}
	return Position{Offset: offset}
}

// Reign is the history of a data set that ends at offset when a new reign begins there. Epochs that it
// knows of but has not reached are not on its line any more. A reign that wrote nothing (same start as
// the new one) stays listed: it is harmless and tells the story.
func (h History) Reign(t Term, replid string, offset int64) History {
	out := append(h.Until(offset), Epoch{Term: t, ReplID: replid, Start: offset})
	if len(out) > MaxHistory {
		out = out[len(out)-MaxHistory:]
	}
	return out
}

// Until is the history with the epochs that begin at or before offset, as a data set cut there has it.
func (h History) Until(offset int64) History {
	n := len(h)
	for n > 0 && h[n-1].Start > offset {
		n--
	}
	return slices.Clone(h[:n])
}

func (h History) end(i int, offset int64) int64 {
	if i+1 < len(h) {
		return min(h[i+1].Start, offset)
	}
	return offset
}

// Common is the offset up to which data set (h, offset) equals (o, other). related is false when they
// share no epoch: then nothing is known to be common.
func (h History) Common(offset int64, o History, other int64) (end int64, related bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if j := slices.Index(o, h[i]); j >= 0 {
			return min(h.end(i, offset), o.end(j, other)), true
		}
	}
	return 0, false
}

func (h History) String() string {
	var b strings.Builder
	for i, e := range h {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d@%d", e.Term, e.Start)
	}
	return b.String()
}
