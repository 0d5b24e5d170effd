package oplog

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"sync/atomic"
)

// Target says who reads an entry.
type Target uint8

// The readers of the log. PING, GETACK and PUBLISH go to replicas only; the writes of a writable replica go to the file
// only.
const (
	ToReplicas Target = 1 << iota
	ToFile
	ToAll = ToReplicas | ToFile
)

// NoDB is the selected database of a stream whose reader must be told which one it is: the next effect needs a SELECT.
const NoDB = -1

// Options of a Log. The zero value is a usable one.
type Options struct {
	// BacklogSize is repl-backlog-size in bytes; 0 means 1 MiB. At least one block is always kept.
	BacklogSize int64
	// NewID makes a replication ID of 40 hexadecimal characters; nil means from the system's randomness.
	NewID func() string
}

// Log is the sequence of effects. The zero value is not usable; see New.
type Log struct {
	newID func() string

	wanted   atomic.Uint32 // Target mask of the readers that exist
	offset   atomic.Int64
	woken    atomic.Bool // something was appended since the last Wake
	selected int         // database of the last effect; only the writer touches it

	endPos   atomic.Int64 // physical position after the last byte
	resets   atomic.Int64 // cursors of the file that ended with their history
	wholePos atomic.Int64 // physical position after the last whole unit

	mu      sync.Mutex
	ids     IDs
	eras    []string // IDs under which bytes were appended, the newest last
	whole   int64    // replication offset at wholePos
	size    int64    // repl-backlog-size
	backlog bool     // replicas are served
	start   int64    // offset before the first byte that replicas can be given
	gaps    []gap    // fillers in the tail of a file: see Tail
	pos     int64    // physical position after the last byte
	blocks  []*block
	spare   []*block // reset blocks, at most maxSpare
	memory  int64    // bytes of blocks and spare
	cursors map[*Cursor]struct{}
	leaving map[*Cursor]struct{} // given up, and not closed yet by their readers
	files   int                  // cursors of the file
	limit   int64                // physical position up to which replicas may read: see LimitReplicas
	disk    disk
}

const maxSpare = 16

// New opens a log with a fresh history and no reader: nothing is kept until CreateBacklog or a file cursor asks for it.
func New(o Options) *Log {
	l := &Log{newID: o.NewID, size: o.BacklogSize, selected: NoDB, limit: NoLimit, cursors: map[*Cursor]struct{}{}, leaving: map[*Cursor]struct{}{}}
	if l.newID == nil {
		l.newID = RandomID
	}
	if l.size <= 0 {
		l.size = 1 << 20
	}
	l.ids = IDs{ID: l.newID(), ID2: noID, Second: -1}
	l.disk.C = make(chan struct{}, 1)
	return l
}

// RandomID makes a replication ID from the system's randomness.
func RandomID() string {
	var b [20]byte
	rand.Read(b[:]) // never fails; it crashes the program if the system has no randomness
	return hex.EncodeToString(b[:])
}

// Appending: the writer's side, with the engine lock held.

// Wanted is the mask of targets that have a reader. When it is 0 an effect needs no encoding at all.
func (l *Log) Wanted() Target { return Target(l.wanted.Load()) }

// Append adds one whole effect, or several, for the given readers and returns the replication offset after it. Bytes
// for readers that do not exist are dropped; p is copied. Call Wake when the batch is over.
func (l *Log) Append(p []byte, target Target) int64 { return l.append(p, target, true) }

// AppendPart is Append for a unit (a transaction) that goes on with other readers: until Append ends it the file is not
// cut here, nor is its place told.
func (l *Log) AppendPart(p []byte, target Target) int64 { return l.append(p, target, false) }

func (l *Log) append(p []byte, target Target, whole bool) int64 {
	target &= l.Wanted()
	if target == 0 && l.wholePos.Load() == l.endPos.Load() || len(p) == 0 {
		return l.offset.Load()
	}
	l.mu.Lock()
	if target == 0 {
		p = nil
	}
	offset := l.offset.Load()
	for rest := p; len(rest) > 0; {
		b := l.room(target, offset)
		n := copy(b.data[b.used:], rest)
		b.used += n
		l.pos += int64(n)
		if target&ToReplicas != 0 {
			offset += int64(n)
		}
		rest = rest[n:]
	}
	l.offset.Store(offset)
	l.endPos.Store(l.pos)
	if whole {
		l.whole = offset
		l.wholePos.Store(l.pos)
	}
	l.mu.Unlock()
	l.woken.Store(true)
	return offset
}

// room is the last block, with at least one free byte and its last run open for target.
func (l *Log) room(target Target, offset int64) *block {
	var b *block
	if n := len(l.blocks); n > 0 && l.blocks[n-1].free() > 0 {
		b = l.blocks[n-1]
	} else {
		b = l.take()
		l.blocks = append(l.blocks, b)
		l.trim()
	}
	era := l.eraLocked()
	if n := len(b.runs); n == 0 || b.runs[n-1].target != target || b.runs[n-1].era != era {
		b.runs = append(b.runs, run{at: b.used, offset: offset, target: target, era: era})
	}
	return b
}

// eraLocked is the number of the history that is appended to.
func (l *Log) eraLocked() int {
	if n := len(l.eras); n == 0 || l.eras[n-1] != l.ids.ID {
		l.eras = append(l.eras, l.ids.ID)
	}
	return len(l.eras) - 1
}

// maxSpare is how many blocks are kept for the next ones: an eighth of the backlog.
func (l *Log) maxSpare() int { return int(min(l.size/8/int64(l.blockSize()), maxSpare)) }

func (l *Log) blockSize() int { return sizeOfBlocks(l.size) }

func (l *Log) take() *block {
	var b *block
	for n := len(l.spare); b == nil && n > 0; n-- {
		b, l.spare = l.spare[n-1], l.spare[:n-1]
		if b.size != l.blockSize() { // from before a change of the backlog's size
			l.memory -= int64(b.size)
			b = nil
		}
	}
	if b == nil {
		b = newBlock(l.blockSize())
		l.memory += int64(b.size)
	}
	b.reset(l.pos)
	return b
}

// trim drops the oldest blocks that neither the backlog nor a cursor needs. The last block always stays.
func (l *Log) trim() {
	drop := 0
	kept := l.pos
	for drop < len(l.blocks)-1 {
		b, next := l.blocks[drop], l.blocks[drop+1]
		if b.pins > 0 || (l.backlog && kept-next.pos < l.size) {
			break
		}
		drop++
		l.unload(b)
		if b.data != nil {
			l.discard(b, l.backlog && !b.busy) // without a backlog a reader that was just reset may still be sending from b
		}
	}
	l.crowded()
	if drop == 0 {
		return
	}
	clear(l.blocks[:drop])
	l.blocks = l.blocks[drop:] // append moves what is left now and then: there may be very many
	if first := l.blocks[0]; len(first.runs) > 0 {
		l.start = max(l.start, first.startOffset())
	} else {
		l.start = l.offset.Load()
	}
}

// discard gives up the memory of a block, or keeps it for the next one when it may be reused and few are there.
func (l *Log) discard(b *block, reuse bool) {
	if reuse && len(l.spare) < l.maxSpare() && b.size == l.blockSize() && !l.lent(b) {
		l.spare = append(l.spare, b)
		return
	}
	l.memory -= int64(b.size)
}

// Wake tells the cursors that wait for bytes that there are some. The writer calls it once per batch, best after it
// gave up the engine lock; it costs one atomic operation when nothing was appended. The file's cursor is not told: who
// writes the file is asked before replies leave (see Whole).
func (l *Log) Wake() {
	if !l.woken.Load() || !l.woken.Swap(false) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.cursors {
		if c.target != ToFile {
			c.signal()
		}
	}
}

// LimitReplicas lets replicas read up to a physical position and no further, NoLimit to the end: what this server may still
// lose is not to be found on another one. It wakes those that wait, as Wake does, which need not do it again.
func (l *Log) LimitReplicas(pos int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit == pos {
		return
	}
	l.limit = pos
	if pos >= l.pos {
		l.woken.Store(false)
	}
	for c := range l.cursors {
		if c.target != ToFile {
			c.signal()
		}
	}
}

// Released reports whether replicas may read up to a physical position.
func (l *Log) Released(pos int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit >= pos
}

// Selected is the database that the last effect was in, NoDB when the next one must be preceded by SELECT.
func (l *Log) Selected() int { return l.selected }

// SetSelected records the database of the stream. A snapshot cut sets NoDB: what follows must start with SELECT.
func (l *Log) SetSelected(db int) { l.selected = db }

// Reading: from any goroutine.

// Offset is the replication offset: the number of stream bytes of this history so far.
func (l *Log) Offset() int64 { return l.offset.Load() }

// Backlog describes what can be given to a replica that comes back, in the terms of INFO.
type Backlog struct {
	Active    bool
	Size      int64 // repl-backlog-size
	FirstByte int64 // number of the first byte kept (offset before it, plus one); 0 when not active
	Length    int64 // bytes from there to the end
	Memory    int64 // bytes of memory held by all blocks, for every reader
	Spare     int64 // of them those of blocks that are empty and wait to be used again
	Own       int64 // bytes that the backlog has by itself: of Length no more than Size
	Behind    int64 // bytes of blocks that are held for readers who are behind, beyond those that the backlog may span
	Disk      int64 // bytes of the files that hold blocks for slow replicas
}

// Backlog reports the state of the backlog.
func (l *Log) Backlog() Backlog {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Backlog{Active: l.backlog, Size: l.size, Memory: l.memory, Disk: l.disk.used}
	unit := int64(l.blockSize())
	s.Spare = int64(len(l.spare)) * unit
	s.Behind = s.Memory - s.Spare
	if l.backlog {
		s.Own = min(s.Behind, l.size)
		s.Behind = max(s.Behind-(l.size+unit-1)/unit*unit-unit, 0)
		s.FirstByte, s.Length = l.start+1, l.offset.Load()-l.start
	}
	return s
}
