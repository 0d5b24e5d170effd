package saving

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/snapshot"
)

// syncEvery is how many bytes are written between two syncs: so the last one, and whoever else uses the
// disk, need not wait for the whole file.
const syncEvery = 32 << 20

var saveNumber atomic.Int64

// target is the file of one save: written under a temporary name, which the first write creates, so that
// no system call falls into the cut.
type target struct {
	fs          fsys.FS
	path, temp  string
	incremental bool
	f           fsys.File
	unsynced    int
}

// newTarget begins a save. The one that clients or the end of the process wait for has Redis' name; there is one at a time.
func newTarget(fs fsys.FS, path string, incremental, waitedFor bool) *target {
	temp := fmt.Sprintf("temp-%d.rdb", os.Getpid())
	if !waitedFor {
		temp = fmt.Sprintf("temp-%d-%d.rdb", os.Getpid(), saveNumber.Add(1))
	}
	return &target{fs: fs, path: path, temp: filepath.Join(filepath.Dir(path), temp), incremental: incremental}
}

func (t *target) Write(p []byte) (int, error) {
	if t.f == nil {
		f, err := t.fs.Create(t.temp)
		if err != nil {
			return 0, err
		}
		t.f = f
	}
	n, err := t.f.Write(p)
	t.unsynced += n
	if err == nil && t.incremental && t.unsynced >= syncEvery {
		t.unsynced = 0
		err = t.f.Sync()
	}
	return n, err
}

// commit makes the file durable under its name.
func (t *target) commit() error {
	err := t.f.Sync()
	if cerr := t.f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = t.fs.Rename(t.temp, t.path)
	}
	if err != nil {
		_ = t.fs.Remove(t.temp) // the first error is the one to report
		return err
	}
	return t.fs.SyncDir(filepath.Dir(t.path))
}

// discard removes what was written.
func (t *target) discard() {
	if t.f != nil {
		_ = t.f.Close() // the save has failed already
		_ = t.fs.Remove(t.temp)
	}
}

// spill opens the file for pre-images; it has no name and so needs no cleaning up.
func (t *target) spill() (snapshot.SpillFile, error) {
	f, err := os.CreateTemp(filepath.Dir(t.path), "temp-spill-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// RemoveTemp removes the unfinished files of this process, which ends at once.
func (s *Saver) RemoveTemp() { sweep(s.fs, s.cfg.Dir(), fmt.Sprintf("temp-%d*.rdb", os.Getpid())) }

// leftBehind are the temporary files that a crash leaves behind.
const leftBehind = "temp-[0-9]*.rdb"

// sweep removes temporary files.
func sweep(fs fsys.FS, dir, pattern string) {
	names, err := fs.List(dir)
	if err != nil {
		return // the load that follows tells what is wrong with the directory
	}
	for _, name := range names {
		if ok, _ := filepath.Match(pattern, name); ok {
			_ = fs.Remove(filepath.Join(dir, name)) // costs space only
		}
		if ok, _ := filepath.Match("temp-rewriteaof-bg-[0-9]*.aof", name); ok {
			_ = fs.Remove(filepath.Join(dir, name))
		}
	}
}
