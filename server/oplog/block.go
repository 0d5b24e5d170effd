package oplog

// blockSize is the unit of sharing, reuse and trimming: big enough that the hot path almost never leaves a block, small
// enough that the backlog keeps close to its size. A small backlog has smaller blocks, for the same reason.
const (
	blockSize    = 64 << 10
	minBlockSize = 16 << 10
)

// sizeOfBlocks is the size for a backlog of so many bytes.
func sizeOfBlocks(backlog int64) int { return int(min(max(backlog/16, minBlockSize), blockSize)) }

// run is a stretch of bytes of one block with the same targets. It ends where the next one starts.
type run struct {
	at     int    // index of the first byte in the block
	offset int64  // replication offset before the first byte
	target Target // who reads it
	era    int    // of the history, in Log.eras
}

// block is a fixed piece of the log. Bytes below used never change while the block is in the log.
type block struct {
	data []byte // nil: on disk
	size int    // len(data)
	used int
	pos  int64 // physical position of data[0]
	runs []run // ordered; runs[0].at == 0 once something was appended
	pins int   // cursors that stand on this block

	seg   *diskSegment // where the bytes are when data is nil
	segAt int64
	busy  bool // Spill is writing it
}

func newBlock(size int) *block { return &block{data: make([]byte, size), size: size} }

func (b *block) reset(pos int64) {
	b.used, b.pos, b.pins = 0, pos, 0
	b.runs = b.runs[:0]
}

func (b *block) free() int { return b.size - b.used }

// endOfRun is the index one past the last byte of run i.
func (b *block) endOfRun(i int) int {
	if i+1 < len(b.runs) {
		return b.runs[i+1].at
	}
	return b.used
}

// startOffset is the replication offset before the block's first byte.
func (b *block) startOffset() int64 { return b.runs[0].offset }

// seek is the index of the first byte whose preceding offset is offset and that a reader of replica bytes may start at.
func (b *block) seek(offset int64) int {
	for i, r := range b.runs {
		if r.target&ToReplicas == 0 {
			continue
		}
		n := int64(b.endOfRun(i) - r.at)
		if offset < r.offset+n {
			return r.at + int(offset-r.offset)
		}
	}
	return b.used
}

// goBack makes the bytes for replicas behind offset ones for nobody. It reports whether the block begins before offset.
func (b *block) goBack(offset int64) (done bool) {
	for i := len(b.runs) - 1; i >= 0; i-- {
		r := b.runs[i]
		switch end := r.offset + int64(b.endOfRun(i)-r.at); {
		case r.offset >= offset:
			b.runs[i].offset, b.runs[i].target = offset, r.target&^ToReplicas
		case r.target&ToReplicas != 0 && end > offset:
			rest := run{at: r.at + int(offset-r.offset), offset: offset, target: r.target &^ ToReplicas, era: r.era}
			b.runs = append(b.runs[:i+1], append([]run{rest}, b.runs[i+1:]...)...)
			return true
		default:
			return true
		}
	}
	return false
}
