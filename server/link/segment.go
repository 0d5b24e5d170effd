package link

import (
	"os"

	"github.com/understudy-db/understudy/server/oplog"
)

// writeBehind is how much of a segment may be in the system's memory before its way to the disk begins.
const writeBehind = 4 << 20

// segmentFile is a part of the log on disk. The system by itself would begin to write after half a minute, or when a tenth of
// all memory waits; a disk that had nothing to do until then falls behind that much earlier, and what it does not take stays in
// this process's memory.
type segmentFile struct {
	*os.File
	begun int64 // up to here the way to the disk has begun
}

// WriteAt writes at the end.
func (f *segmentFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	if end := at + int64(n); end-f.begun >= writeBehind {
		beginWriteback(f.File, f.begun, end-f.begun)
		f.begun = end
	}
	return n, err
}

// segment opens a file for a part of the log; like spill's it has no name.
func (n *Node) segment() (oplog.SegmentFile, error) {
	f, err := n.nameless()
	if err != nil {
		return nil, err
	}
	return &segmentFile{File: f}, nil
}
