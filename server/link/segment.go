package link

import (
	"os"

	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/snapshot"
)

// writeBehind is how much of a segment may be in the system's memory before its way to the disk begins.
const writeBehind = 4 << 20

// segmentFile is a part of the log on disk, or pre-images of a snapshot. The system by itself would begin to write after half a
// minute, or when a tenth of all memory waits; a disk that had nothing to do until then falls behind that much earlier, and what it
// does not take stays in this process's memory. To begin may block while the disk is busy, so somebody else does it, one stretch
// after the other: meanwhile the system's memory takes what is written.
type segmentFile struct {
	*os.File
	later func(begin func()) // calls begin soon
	begun int64              // up to here the way to the disk has begun
}

// WriteAt writes at the end.
func (f *segmentFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	if end := at + int64(n); end-f.begun >= writeBehind {
		from := f.begun
		f.later(func() { beginWriteback(f.File, from, end-from) })
		f.begun = end
	}
	return n, err
}

// segment opens a file for a part of the log; like spill's it has no name.
func (n *Node) segment() (oplog.SegmentFile, error) { return n.fileBehind() }

// spill opens the file for what a slow replica leaves behind.
func (n *Node) spill() (snapshot.SpillFile, error) { return n.fileBehind() }

func (n *Node) fileBehind() (*segmentFile, error) {
	f, err := n.nameless()
	if err != nil {
		return nil, err
	}
	return &segmentFile{File: f, later: n.writeLater}, nil
}

// writeLater is what segmentFile.later wants. Who calls it works for the node.
func (n *Node) writeLater(begin func()) {
	n.work.Go(func() {
		n.writing.Lock()
		defer n.writing.Unlock()
		begin()
	})
}

// nameless opens a file that a crash leaves nothing of.
func (n *Node) nameless() (*os.File, error) {
	f, err := os.CreateTemp(n.s.Dir(), "temp-spill-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
