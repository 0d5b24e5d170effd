package link

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestSegmentsGoToTheDiskInPieces: no more than writeBehind and one block of a segment wait for the system to begin.
func TestSegmentsGoToTheDiskInPieces(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "segment"))
	if err != nil {
		t.Fatal(err)
	}
	f := &segmentFile{File: file, later: func(begin func()) { begin() }}
	defer f.Close()
	var want []byte
	for i := range 160 {
		block := bytes.Repeat([]byte{byte(i)}, 64<<10)
		if _, err := f.WriteAt(block, int64(len(want))); err != nil {
			t.Fatal(err)
		}
		want = append(want, block...)
		if waits := int64(len(want)) - f.begun; waits >= writeBehind {
			t.Fatalf("%d bytes wait behind byte %d", waits, f.begun)
		}
	}
	if f.begun != 2*writeBehind {
		t.Errorf("begun up to %d", f.begun)
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, int64(len(want))))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v: %d bytes read of %d", err, len(got), len(want))
	}
}
