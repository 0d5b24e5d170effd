package oplog

import "math"

// What the append-only file needs of the log: whole units, each piece with its place in a history.

// Piece is a stretch of the log for the file. It begins and ends between two commands, unless it was cut at the end of a
// block.
type Piece struct {
	Data   []byte
	Counts bool   // the bytes are part of the replicas' stream, too
	ID     string // of that history
	Offset int64  // of the stream before the first byte
}

// Mark is a place in the log.
type Mark struct {
	Pos    int64  // physical: the bytes for all readers
	ID     string // of the history at hand; "" when nobody counts it
	Offset int64
	Whole  bool // between two units: every effect before it is complete
}

// WholePos is the physical position after the last whole unit: who has read up to there has seen every effect so far. It
// takes no lock.
func (l *Log) WholePos() int64 { return l.wholePos.Load() }

// FileResets counts how often the history under a file has ended. It takes no lock.
func (l *Log) FileResets() int64 { return l.resets.Load() }

// FileMark is the place at which a file that is opened now begins. The lock of the engine is held.
func (l *Log) FileMark() Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.markLocked(l.wholePos.Load())
}

func (l *Log) markLocked(pos int64) Mark {
	m := Mark{Pos: pos, Whole: pos == l.wholePos.Load(), Offset: l.whole}
	if m.Whole && l.backlog {
		m.ID = l.ids.ID
	}
	return m
}

// NoLimit reads as far as there are whole units.
const NoLimit = math.MaxInt64

// StopAt makes Whole end at a physical position, NoLimit to go on. Set under the engine's lock it is heeded from the next
// effect on.
func (c *Cursor) StopAt(pos int64) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.stop = pos
}

// Whole appends to dst the pieces between the cursor and the last whole unit. at is where they end; at a stop, or when
// blocks lie on disk, that may be before. The pieces are valid until Pass.
func (c *Cursor) Whole(dst []Piece) (pieces []Piece, at Mark, err error) {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.err != nil {
		return dst, Mark{}, c.err
	}
	until := min(c.stop, l.wholePos.Load())
	if c.pos < until && c.b.data == nil {
		if err := c.load(); err != nil {
			return dst, Mark{}, err
		}
	}
	b, i, pos := c.b, c.at, c.pos
	for pos < until {
		data := c.bytesOf(b)
		if data == nil {
			break // on disk: when the cursor gets there
		}
		n := b.runAt(i)
		if n < 0 {
			if b = l.after(b); b == nil {
				break
			}
			i = 0
			continue
		}
		end := min(b.endOfRun(n), i+int(until-pos))
		if r := &b.runs[n]; r.target&c.target != 0 {
			p := Piece{Data: data[i:end:end], Counts: r.target&ToReplicas != 0, ID: l.eras[r.era], Offset: r.offset}
			if p.Counts {
				p.Offset += int64(i - r.at)
			}
			dst = append(dst, p)
			c.lent = b.pos + int64(end)
		}
		pos += int64(end - i)
		i = end
	}
	return dst, l.markLocked(pos), nil
}

// Pass moves the cursor to a place that Whole has returned.
func (c *Cursor) Pass(pos int64) {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for c.err == nil && c.pos < pos {
		i := c.b.runAt(c.at)
		if i < 0 {
			next := l.after(c.b)
			if next == nil {
				panic("oplog: cursor passed the end of the log")
			}
			c.b.pins--
			c.stand(next, 0)
			continue
		}
		n := min(c.b.endOfRun(i)-c.at, int(pos-c.pos))
		c.skip(n, c.b.runs[i].target)
	}
	l.trim()
}
