package oplog

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Tail is the end of a history as a file of it tells: what a log that starts from the file can give to replicas which had
// not got all of it. Stretches of the stream are added in their order; what stays is what adjoins the end, at most so many
// bytes.
//
// Bytes that only replicas got (PING, PUBLISH, GETACK) are not in a file, but how many there were is: an offset that jumps
// ahead within one history. They changed nothing that the file knows of, so a filler stands in their place: a replica that
// reads it holds what the file does, at the offset of everybody else. Gaps that can be so many PINGs, or GETACKs, are filled
// with as many commands of that length, others with one that is as long, a PING with an argument. A replica that stands within
// such a command is not served (see CanServe); from anywhere else it gets whole commands, whatever was there.
type Tail struct {
	limit  int64
	size   int // of a block
	id     string
	end    int64 // offset after the last byte
	bytes  int64
	blocks []*block
	spare  *block
	gaps   []gap
	broken bool // bytes that the stream does not count came after the last that it does
}

// gap is a filler: the stretch of offsets from from to to, of commands of unit bytes.
type gap struct{ from, to, unit int64 }

// inside reports whether a replica at offset would begin in the midst of a command.
func (g gap) inside(offset int64) bool {
	return offset > g.from && offset < g.to && (offset-g.from)%g.unit != 0
}

// NewTail makes one of at most limit bytes (repl-backlog-size).
func NewTail(limit int64) *Tail { return &Tail{limit: limit, size: sizeOfBlocks(limit)} }

// Add adds bytes of history id that begin behind offset; none tell a place. They go on from those before if they adjoin them,
// within one history or from one to the next that it opened (S9); otherwise those before are of no use any more.
func (t *Tail) Add(id string, offset int64, p []byte) {
	same := id == t.id
	switch {
	case t.id == "", offset < t.end, !same && (t.broken || offset != t.end):
		t.restart(offset)
	case offset > t.end && !t.fill(offset-t.end):
		t.restart(offset)
	}
	t.id, t.broken = id, false
	t.append(p)
}

// Own tells that bytes follow which the stream does not count: a writable replica's own writes, or those of a master while
// nobody counted. They are between two histories, or nothing to the one history that goes on behind them.
func (t *Tail) Own() { t.broken = true }

// Lose tells that nothing is known of what follows.
func (t *Tail) Lose() { t.id = ""; t.restart(0) }

// Len is the number of bytes.
func (t *Tail) Len() int64 { return t.bytes }

func (t *Tail) restart(offset int64) {
	if len(t.blocks) > 0 {
		t.spare = t.blocks[0]
	}
	clear(t.blocks)
	t.blocks, t.gaps, t.bytes, t.end = t.blocks[:0], nil, 0, offset
}

func (t *Tail) append(p []byte) {
	for len(p) > 0 {
		b := t.room()
		n := copy(b.data[b.used:], p)
		b.used += n
		t.bytes += int64(n)
		t.end += int64(n)
		p = p[n:]
	}
}

// room is the last block, with at least one free byte. The first ones go when there are too many: with this one full, what is
// left must keep to the limit.
func (t *Tail) room() *block {
	if n := len(t.blocks); n > 0 && t.blocks[n-1].free() > 0 {
		return t.blocks[n-1]
	}
	for len(t.blocks) > 0 && t.bytes+int64(t.size) > t.limit {
		t.spare = t.blocks[0]
		t.bytes -= int64(t.spare.used)
		t.blocks[0] = nil
		t.blocks = t.blocks[1:]
		t.gaps = t.gaps[gapBehind(t.gaps, t.end-t.bytes):]
	}
	b := t.spare
	if t.spare = nil; b == nil {
		b = newBlock(t.size)
	}
	b.reset(0)
	b.runs = append(b.runs, run{offset: t.end, target: ToReplicas, era: tailEra})
	t.blocks = append(t.blocks, b)
	return b
}

// tailEra is the era of a tail's bytes: the file, which alone asks for it, has them already.
const tailEra = -1

const (
	pingSize   = 14 // of a PING, what a stream has most
	getackSize = 37 // of a REPLCONF GETACK *, one for each batch of a synchronous master
)

// fill puts a filler of n bytes at the end; false when there is none of this length, or it is as long as the tail may be.
func (t *Tail) fill(n int64) bool {
	if n >= t.limit {
		return false
	}
	unit := n
	switch {
	case n%pingSize == 0:
		unit = pingSize
	case n%getackSize == 0:
		unit = getackSize
	}
	p := pingOf(int(unit))
	if p == nil {
		return false
	}
	t.gaps = append(t.gaps, gap{t.end, t.end + n, unit})
	for ; n > 0; n -= unit {
		t.append(p)
	}
	return true
}

// pingOf is a PING of n bytes, by an argument if it needs one; nil when none has this length.
func pingOf(n int) []byte {
	if n == pingSize {
		return []byte("*1\r\n$4\r\nPING\r\n")
	}
	for digits := 1; digits <= 10; digits++ {
		text := n - len("*2\r\n$4\r\nPING\r\n$\r\n\r\n") - digits
		if text >= 0 && len(strconv.Itoa(text)) == digits {
			return fmt.Appendf(nil, "*2\r\n$4\r\nPING\r\n$%d\r\n%s\r\n", text, strings.Repeat("-", text))
		}
	}
	return nil
}

// adoptLocked makes the tail what replicas can be given, if it ends where the log does.
func (l *Log) adoptLocked(t *Tail, id string, offset int64) {
	if t == nil {
		return
	}
	if t.Add(id, offset, nil); t.bytes == 0 {
		return
	}
	for _, b := range t.blocks {
		b.pos = l.pos
		l.pos += int64(b.used)
		l.memory += int64(b.size)
	}
	l.blocks = append(l.blocks, t.blocks...)
	l.gaps = t.gaps
	l.start = t.blocks[0].startOffset()
	l.endPos.Store(l.pos)
	l.wholePos.Store(l.pos)
	*t = Tail{}
}

// withinLocked reports whether offset is inside a command of a filler.
func (l *Log) withinLocked(offset int64) bool {
	i := gapBehind(l.gaps, offset)
	return i < len(l.gaps) && l.gaps[i].inside(offset)
}

// gapBehind is the index of the first gap that ends behind offset.
func gapBehind(gaps []gap, offset int64) int {
	return sort.Search(len(gaps), func(i int) bool { return gaps[i].to > offset })
}
