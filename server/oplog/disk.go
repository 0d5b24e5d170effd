package oplog

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Blocks that only slow replicas need go to disk: when more than spillFrom bytes before the backlog wait in memory, the
// oldest are written to segments and their memory is let go. A cursor reads them back one at a time. Writing, reading
// and deleting happen without the log's lock, by Spill and by the readers, so a write never waits for the disk. When the
// disk is full or fails, the replica that is furthest behind is given up.

// SegmentFile is the file of a segment. It is written from start to end once; Close removes it.
type SegmentFile interface {
	io.WriterAt
	io.ReaderAt
	io.Closer
}

const (
	segmentSize = 16 << 20
	// extentSize bounds what counts as one block once it is on disk: a block takes 150 bytes of memory wherever its bytes are.
	extentSize = 1 << 20
	// SpillFrom is how much may wait in memory beyond the backlog.
	SpillFrom = 8 << 20
)

// ErrDisk means that the replica was given up because the disk does not take, or give back, what it has yet to get.
var ErrDisk = errors.New("oplog: the replica is too far behind")

// disk is the part of a log that lies in segments. Its fields are guarded by Log.mu, but for open and current, which
// belong to Spill.
type disk struct {
	open  func() (SegmentFile, error)
	limit int64 // repl-disk-backlog-size
	C     chan struct{}

	from    int64 // physical position before which blocks were looked at
	used    int64 // bytes in segments that are not deleted yet
	current *diskSegment
	dead    []*diskSegment // to be deleted
}

type diskSegment struct {
	file SegmentFile
	size int64 // written
	live int   // blocks that are still needed
	full bool
}

// SetDisk says how many bytes may wait on disk, in files that open makes; 0 means none.
func (l *Log) SetDisk(limit int64, open func() (SegmentFile, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disk.limit, l.disk.open = limit, open
}

// Crowded receives a value when there may be something for Spill to do.
func (l *Log) Crowded() <-chan struct{} { return l.disk.C }

// crowded wakes who calls Spill. l.mu is held.
func (l *Log) crowded() {
	if l.victim() == nil && len(l.disk.dead) == 0 {
		return
	}
	select {
	case l.disk.C <- struct{}{}:
	default:
	}
}

// victim is the block that goes to disk next, nil when none has to. l.mu is held.
func (l *Log) victim() *block {
	d := &l.disk
	if d.limit == 0 || !l.backlog || len(l.blocks) == 0 {
		return nil
	}
	d.from = max(d.from, l.blocks[0].pos)
	for l.pos-l.size-d.from > SpillFrom {
		b := l.blocks[l.index(d.from)]
		if b.pins == 0 && b.data != nil {
			return b
		}
		d.from = b.pos + int64(b.used) // a cursor is on it: it will go soon
	}
	return nil
}

// Spill writes one block to disk, or deletes what nobody needs any more, and reports whether there may be more to do.
// One goroutine calls it. An error is the reason why a replica was given up.
func (l *Log) Spill() (more bool, err error) {
	l.mu.Lock()
	d := &l.disk
	dead := d.dead
	d.dead = nil
	b := l.victim()
	full := b != nil && d.used+int64(b.used) > d.limit
	if b != nil && !full {
		b.busy = true // not reused while it is being written
	}
	l.mu.Unlock()
	for _, s := range dead {
		_ = s.file.Close() // its contents are of no use to anybody
	}
	switch {
	case b == nil:
		return false, nil
	case full:
		return l.giveUp(fmt.Errorf("%w: repl-disk-backlog-size (%d bytes) is full", ErrDisk, d.limit))
	}
	err = l.spill(b)
	l.mu.Lock()
	b.busy = false
	l.mu.Unlock()
	if err != nil {
		return l.giveUp(fmt.Errorf("%w, and the rest of the stream cannot be kept on disk: %w", ErrDisk, err))
	}
	return true, nil
}

// spill writes a block, whose bytes do not change any more.
func (l *Log) spill(b *block) error {
	s, err := l.segment()
	if err != nil {
		return err
	}
	data, pos := b.data[:b.used], b.pos
	if _, err := s.file.WriteAt(data, s.size); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &l.disk
	at := s.size
	s.size += int64(len(data))
	d.used += int64(len(data))
	if len(l.blocks) > 0 && pos >= l.blocks[0].pos && l.blocks[l.index(pos)] == b && b.pins == 0 { // else it went meanwhile, or is read
		l.discard(&block{data: b.data, size: b.size, pos: b.pos, used: b.used}, true)
		b.seg, b.segAt, b.data = s, at, nil
		if !l.extend(l.index(pos)) {
			s.live++
		}
	}
	d.from = max(d.from, pos+int64(len(data)))
	if s.size+blockSize > segmentSize {
		s.full = true
		d.current = nil
		l.bury(s)
	}
	return nil
}

// extend makes block i a part of the one before, if both are on disk, one after the other, and no cursor stands there. l.mu is held.
func (l *Log) extend(i int) bool {
	if i == 0 {
		return false
	}
	a, b := l.blocks[i-1], l.blocks[i]
	if a.data != nil || a.pins > 0 || a.seg != b.seg || a.segAt+int64(a.used) != b.segAt || a.used+b.used > extentSize {
		return false
	}
	for _, r := range b.runs {
		if last := &a.runs[len(a.runs)-1]; last.target != r.target || last.era != r.era || r.at > 0 {
			r.at += a.used
			a.runs = append(a.runs, r)
		}
	}
	a.used += b.used
	l.blocks = slices.Delete(l.blocks, i, i+1)
	return true
}

// lent reports whether a reader may be sending from a block. l.mu is held.
func (l *Log) lent(b *block) bool {
	for _, readers := range []map[*Cursor]struct{}{l.cursors, l.leaving} {
		for c := range readers {
			if c.lent > b.pos && c.pos < b.pos+int64(b.used) {
				return true
			}
		}
	}
	return false
}

// segment is the one that is being filled.
func (l *Log) segment() (*diskSegment, error) {
	if l.disk.current != nil {
		return l.disk.current, nil
	}
	l.mu.Lock()
	open := l.disk.open
	l.mu.Unlock()
	f, err := open()
	if err != nil {
		return nil, err
	}
	l.disk.current = &diskSegment{file: f}
	return l.disk.current, nil
}

// unload is called for a block that leaves the log. l.mu is held.
func (l *Log) unload(b *block) {
	if b.seg == nil {
		return
	}
	b.seg.live--
	l.bury(b.seg)
	b.seg = nil
}

// bury gives up a segment that is full and of no use any more. l.mu is held.
func (l *Log) bury(s *diskSegment) {
	if s.full && s.live == 0 {
		l.disk.used -= s.size
		l.disk.dead = append(l.disk.dead, s)
	}
}

// giveUp ends the cursor that is furthest behind.
func (l *Log) giveUp(why error) (more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var last *Cursor
	for c := range l.cursors {
		if c.target&ToReplicas != 0 && (last == nil || c.pos < last.pos) {
			last = c
		}
	}
	if last == nil {
		return false, nil
	}
	last.endLocked(why)
	l.leaving[last] = struct{}{} // its reader may still be sending
	l.trim()
	return true, why
}

// CloseDisk deletes the segments. Nobody calls Spill any more, and no replica is served.
func (l *Log) CloseDisk() {
	l.mu.Lock()
	l.disk.limit = 0
	all := l.disk.dead
	for _, b := range l.blocks {
		if b.seg != nil && (len(all) == 0 || all[len(all)-1] != b.seg) {
			all = append(all, b.seg)
		}
	}
	if s := l.disk.current; s != nil && (len(all) == 0 || all[len(all)-1] != s) {
		all = append(all, s)
	}
	l.disk.dead, l.disk.current = nil, nil
	l.mu.Unlock()
	for _, s := range all {
		_ = s.file.Close()
	}
}

// load brings the block on which a cursor stands back from disk. l.mu is held, but not while the disk is read.
func (c *Cursor) load() error {
	b, s := c.b, c.b.seg
	if c.loaded == b {
		return nil
	}
	if len(c.back) < b.used {
		c.back = make([]byte, max(b.used, blockSize))
	}
	c.loaded = nil
	c.l.mu.Unlock()
	_, err := s.file.ReadAt(c.back[:b.used], b.segAt)
	c.l.mu.Lock()
	if c.err == nil && err != nil {
		c.endLocked(fmt.Errorf("%w, and the rest of the stream cannot be read back from disk: %w", ErrDisk, err))
	}
	if c.err != nil {
		return c.err
	}
	c.loaded = b
	return nil
}

// bytesOf are the bytes of a block, nil when they are on disk and were not loaded.
func (c *Cursor) bytesOf(b *block) []byte {
	if b.data == nil && c.loaded == b {
		return c.back
	}
	return b.data
}
