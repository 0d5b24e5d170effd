package oplog

import (
	"errors"
	"sort"
)

// Errors of a cursor.
var (
	// ErrGone means that the log no longer has the bytes asked for: a full sync is needed.
	ErrGone = errors.New("oplog: the bytes asked for are not in the backlog")
	// ErrReset means that the history under the cursor ended (full sync, backlog freed): its reader must start anew.
	ErrReset = errors.New("oplog: the history ended under this cursor")
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("oplog: cursor is closed")
)

// Cursor reads the log for one target. One goroutine uses it at a time; C may be waited on by that goroutine.
type Cursor struct {
	// C receives one value, at most one is pending, when there may be something to read or the cursor ended.
	C chan struct{}

	l      *Log
	target Target
	b      *block // pinned; nil only once the cursor ended
	at     int    // next byte in b
	pos    int64  // physical position of that byte
	offset int64  // replication offset before that byte
	err    error
	stop   int64 // see StopAt
	own    bool  // the bytes do not leave this server: LimitReplicas does not count

	lent   int64  // physical position up to which Read has given bytes out
	back   []byte // the bytes of loaded, which are on disk
	loaded *block
}

// Replica opens a cursor after the byte numbered offset: the reader holds everything up to there. ErrGone means that
// the backlog starts later or ends earlier. Whether what follows is what a replica needs CanServe tells.
func (l *Log) Replica(offset int64) (*Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.replicaLocked(offset)
}

func (l *Log) replicaLocked(offset int64) (*Cursor, error) {
	end := l.offset.Load()
	if !l.backlog || offset < l.start || offset > end {
		return nil, ErrGone
	}
	c := &Cursor{C: make(chan struct{}, 1), l: l, target: ToReplicas, offset: offset}
	if offset < end {
		i := sort.Search(len(l.blocks), func(i int) bool { return l.blocks[i].startOffset() > offset }) - 1
		b := l.blocks[max(i, 0)]
		c.stand(b, b.seek(offset))
	} else {
		c.stand(l.end())
	}
	l.cursors[c] = struct{}{}
	return c, nil
}

// Past opens a cursor for who keeps the stream of history id before the offset until, as far as a replica could be given it and at
// most repl-backlog-size of it; the cursor's offset tells from where. It reads to the end of the log like any other. ErrGone means that
// there is nothing.
func (l *Log) Past(id string, until int64) (*Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := max(l.start, until-l.size)
	if n := len(l.gaps); n > 0 {
		from = max(from, l.gaps[n-1].to) // what is told of fillers is told of the tail alone
	}
	if known := id == l.ids.ID || id == l.ids.ID2 && until < l.ids.Second; !known || from >= until {
		return nil, ErrGone
	}
	c, err := l.replicaLocked(from)
	if err == nil {
		c.own = true
	}
	return c, err
}

// File opens a cursor at the end of the log for the append-only file; from here on file bytes are kept until it has read
// them.
func (l *Log) File() *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Cursor{C: make(chan struct{}, 1), l: l, target: ToFile, offset: l.offset.Load(), stop: NoLimit}
	c.stand(l.end())
	l.cursors[c] = struct{}{}
	l.files++
	l.wantLocked()
	return c
}

// Read appends to dst pieces of the log that follow the cursor, at most max bytes in all, and returns it; nothing
// appended means that the cursor is at the end: wait on C. The pieces are valid until Advance passes them.
func (c *Cursor) Read(dst [][]byte, max int) ([][]byte, error) {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.err != nil {
		return dst, c.err
	}
	c.settle()
	if c.b.data == nil {
		if err := c.load(); err != nil {
			return dst, err
		}
	}
	limit := l.limit
	if c.own {
		limit = NoLimit
	}
	for b, at := c.b, c.at; b != nil && max > 0 && b.pos+int64(at) < limit; {
		data := c.bytesOf(b)
		if data == nil { // on disk: when the cursor gets there
			break
		}
		i := b.runAt(at)
		if i < 0 { // end of this block
			b, at = l.after(b), 0
			continue
		}
		end := b.endOfRun(i)
		if b.runs[i].target&c.target != 0 {
			end = at + int(min(int64(end-at), int64(max), limit-b.pos-int64(at)))
			dst = append(dst, data[at:end:end])
			c.lent = b.pos + int64(end)
			max -= end - at
		}
		at = end
	}
	return dst, nil
}

// Advance moves the cursor past n bytes that Read has returned.
func (c *Cursor) Advance(n int) {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.err != nil {
		return
	}
	for {
		c.settle()
		if n == 0 {
			break
		}
		i := c.b.runAt(c.at)
		if i < 0 {
			panic("oplog: cursor advanced past the end of the log")
		}
		step := min(n, c.b.endOfRun(i)-c.at)
		c.skip(step, c.b.runs[i].target)
		n -= step
	}
	l.trim()
}

// settle moves the cursor over bytes for others and to the block where the next byte is.
func (c *Cursor) settle() {
	for {
		i := c.b.runAt(c.at)
		if i < 0 {
			next := c.l.after(c.b)
			if next == nil {
				return
			}
			c.b.pins--
			c.stand(next, 0)
			continue
		}
		if c.b.runs[i].target&c.target != 0 {
			return
		}
		c.skip(c.b.endOfRun(i)-c.at, c.b.runs[i].target)
	}
}

func (c *Cursor) skip(n int, target Target) {
	c.at += n
	c.pos += int64(n)
	if target&ToReplicas != 0 {
		c.offset += int64(n)
	}
}

func (c *Cursor) stand(b *block, at int) {
	c.b, c.at, c.pos = b, at, b.pos+int64(at)
	b.pins++
}

// Offset is the replication offset of the cursor: every stream byte up to it has been passed.
func (c *Cursor) Offset() int64 {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.offset
}

// Behind is the number of log bytes after the cursor.
func (c *Cursor) Behind() int64 {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.err != nil {
		return 0
	}
	return c.l.pos - c.pos
}

// Held is the number of log bytes after the cursor that wait in memory.
func (c *Cursor) Held() int64 {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.err != nil {
		return 0
	}
	return c.l.pos - max(c.pos, c.l.disk.from)
}

// Err is why the cursor ended, nil while it lives.
func (c *Cursor) Err() error {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.err
}

// Close gives up what the cursor pinned. The goroutine that reads calls it, when it uses nothing of what Read returned
// any more; more than once is harmless.
func (c *Cursor) Close() {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	c.endLocked(ErrClosed)
	delete(l.leaving, c)
	l.trim()
}

func (c *Cursor) endLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.b != nil {
		c.b.pins--
		c.b = nil
	}
	delete(c.l.cursors, c)
	if c.target == ToFile {
		c.l.files--
		c.l.wantLocked()
	}
	c.signal()
}

func (c *Cursor) signal() {
	select {
	case c.C <- struct{}{}:
	default:
	}
}

// resetLocked ends the cursors of the given targets: their history is over. The file's owner rewrites the file then.
func (l *Log) resetLocked(targets Target) {
	for c := range l.cursors {
		if c.target&targets != 0 {
			if c.target == ToFile {
				l.resets.Add(1)
			}
			c.endLocked(ErrReset)
		}
	}
}

// after is the block that follows b, nil when b is the last.
func (l *Log) after(b *block) *block {
	i := l.index(b.pos)
	if i+1 < len(l.blocks) {
		return l.blocks[i+1]
	}
	return nil
}

// end is the place where the next byte will be appended, or one that leads to it.
func (l *Log) end() (*block, int) {
	if len(l.blocks) == 0 {
		l.blocks = append(l.blocks, l.take())
	}
	b := l.blocks[len(l.blocks)-1]
	return b, b.used
}

func (l *Log) index(pos int64) int {
	i := sort.Search(len(l.blocks), func(i int) bool { return l.blocks[i].pos > pos }) - 1
	if i < 0 {
		panic("oplog: position before the first block")
	}
	return i
}

// runAt is the index of the run that holds byte at, -1 at the end of the block.
func (b *block) runAt(at int) int {
	if at >= b.used {
		return -1
	}
	return sort.Search(len(b.runs), func(i int) bool { return b.runs[i].at > at }) - 1
}
