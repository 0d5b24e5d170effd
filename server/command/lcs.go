package command

import (
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

type lcsOptions struct {
	length, indexes, withLen bool
	minLen                   int64
}

func (c *Ctx) parseLCS() (o lcsOptions, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.is(i, "idx"):
			o.indexes = true
		case c.is(i, "len"):
			o.length = true
		case c.is(i, "withmatchlen"):
			o.withLen = true
		case c.is(i, "minmatchlen") && i+1 < len(c.Args):
			n, ok := c.intArg(i + 1)
			if !ok {
				return o, false
			}
			o.minLen = max(n, 0)
			i++
		default:
			c.Out.Error(errSyntax)
			return o, false
		}
	}
	if o.length && o.indexes {
		c.Out.Error("If you want both the length and indexes, please just use IDX.")
		return o, false
	}
	return o, true
}

func cmdLcs(c *Ctx) {
	var text [2][]byte
	strings := true
	for i := range text { // both are looked up before anything is refused
		e, ok := c.LookupRead(c.Args[1+i])
		switch {
		case ok && e.Kind() != store.String:
			strings = false
		case ok:
			text[i] = e.AppendString(nil)
		}
	}
	if !strings {
		c.Out.Error("The specified keys must contain string values")
		return
	}
	o, ok := c.parseLCS()
	if !ok {
		return
	}
	a, b := text[0], text[1]
	if (uint64(len(a))+1)*(uint64(len(b))+1)*4 > uint64(c.maxBulk()) {
		c.Out.Error("Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
		return
	}
	if !c.isLong(len(a)*len(b)/cellsPerElement) || !c.longLCS(a, b, o) {
		replyLCS(c.Out, a, b, o)
	}
}

// cellsPerElement is how many cells of the table take the time of an element that is read.
const cellsPerElement = 64

// longLCS goes on without the lock: the strings are copies already.
func (c *Ctx) longLCS(a, b []byte, o lcsOptions) bool {
	return c.long(func() *Long {
		l := &Long{Reply: resp.NewPieces(c.Out.Proto()), Step: func() bool { return true }, End: func() {}}
		l.Rest = func() { replyLCS(l.Reply.Head(), a, b, o) }
		return l
	})
}

func replyLCS(w *resp.Writer, a, b []byte, o lcsOptions) {
	t := newLCSTable(a, b)
	switch {
	case o.indexes:
		replyLCSRanges(w, t, o)
	case o.length:
		w.Int(int64(t.at(len(a), len(b))))
	default:
		w.Bulk(t.walk(nil))
	}
}

// lcsTable holds the length of the longest common subsequence of every pair of prefixes.
type lcsTable struct {
	a, b  []byte
	cells []uint32
}

func newLCSTable(a, b []byte) *lcsTable {
	t := &lcsTable{a: a, b: b, cells: make([]uint32, (len(a)+1)*(len(b)+1))}
	width := len(b) + 1
	for i := 1; i <= len(a); i++ {
		above, row := t.cells[(i-1)*width:i*width], t.cells[i*width:(i+1)*width]
		for j := 1; j <= len(b); j++ {
			if a[i-1] == b[j-1] {
				row[j] = above[j-1] + 1
			} else {
				row[j] = max(above[j], row[j-1])
			}
		}
	}
	return t
}

func (t *lcsTable) at(i, j int) uint32 { return t.cells[i*(len(t.b)+1)+j] }

// lcsRange is a run of bytes that match in both strings, ends included.
type lcsRange struct{ aStart, aEnd, bStart, bEnd int }

// walk goes back from the ends, gives every contiguous match to emit (last first) and returns the subsequence.
func (t *lcsTable) walk(emit func(lcsRange)) []byte {
	i, j := len(t.a), len(t.b)
	result := make([]byte, t.at(i, j))
	next := len(result)
	var run lcsRange
	open := false
	flush := func() {
		if open && emit != nil {
			emit(run)
		}
		open = false
	}
	for i > 0 && j > 0 {
		if t.a[i-1] != t.b[j-1] {
			if t.at(i-1, j) > t.at(i, j-1) {
				i--
			} else {
				j--
			}
			flush()
			continue
		}
		next--
		result[next] = t.a[i-1]
		i--
		j--
		if !open {
			run, open = lcsRange{i, i, j, j}, true
		} else {
			run.aStart, run.bStart = i, j
		}
	}
	flush()
	return result
}

func replyLCSRanges(w *resp.Writer, t *lcsTable, o lcsOptions) {
	w.Map(2)
	w.BulkString("matches")
	mark, n := w.DeferArray(), 0
	t.walk(func(r lcsRange) {
		length := int64(r.aEnd - r.aStart + 1)
		if length < o.minLen {
			return
		}
		n++
		w.Array(2 + int(boolInt(o.withLen)))
		w.Array(2)
		w.Int(int64(r.aStart))
		w.Int(int64(r.aEnd))
		w.Array(2)
		w.Int(int64(r.bStart))
		w.Int(int64(r.bEnd))
		if o.withLen {
			w.Int(length)
		}
	})
	w.SetArrayLen(mark, n)
	w.BulkString("len")
	w.Int(int64(t.at(len(t.a), len(t.b))))
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
