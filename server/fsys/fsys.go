// Package fsys is the file system as an interface, so that whoever writes files can be tested against
// crashes, full disks and failing calls.
//
// Four implementations: OS is the real one; Mem lives in memory and knows what a power loss would
// take (bytes that were not synced, names whose directory was not); Volatile lets real processes lose
// just that when they are killed; Faulty wraps another one and fails on demand. The rules of durability are POSIX's: a file's bytes survive after File.Sync, its name and
// its renaming survive after SyncDir of the directory.
package fsys

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is what the server needs of a file system. Names are paths; errors satisfy errors.Is with
// fs.ErrNotExist and friends.
type FS interface {
	Open(name string) (File, error)       // for reading
	Create(name string) (File, error)     // for writing, emptied when it exists
	OpenAppend(name string) (File, error) // for writing at the end, created when missing
	Rename(from, to string) error         // replaces to in one step
	Remove(name string) error
	Size(name string) (int64, error)
	List(dir string) ([]string, error) // names of the files in dir, sorted
	MkdirAll(dir string) error
	Truncate(name string, size int64) error
	SyncDir(dir string) error // makes the names in dir durable
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	Sync() error // makes the bytes durable
}

// OS is the real file system.
type OS struct{}

const fileMode = 0o600 // data and terms are nobody else's

func (OS) Open(name string) (File, error) { return file(os.Open(name)) }

func (OS) Create(name string) (File, error) {
	return file(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode))
}

func (OS) OpenAppend(name string) (File, error) {
	return file(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, fileMode))
}

// file keeps a nil *os.File from becoming a non-nil File.
func file(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (OS) Rename(from, to string) error { return os.Rename(from, to) }
func (OS) Remove(name string) error     { return os.Remove(name) }
func (OS) MkdirAll(dir string) error    { return os.MkdirAll(dir, 0o700) }

func (OS) Truncate(name string, size int64) error { return os.Truncate(name, size) }

func (OS) Size(name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadFile reads a whole file.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Replace writes a file so that after a crash at any moment name holds either its old or its new
// content, whole: the new one is written and synced under a temporary name in the same directory and
// renamed, and the directory is synced. When it fails the temporary file is removed and the old
// content stands (unless only the last sync failed: then either may be found).
func Replace(fsys FS, name string, write func(io.Writer) error) error {
	temp := name + ".new"
	if err := writeSynced(fsys, temp, write); err != nil {
		_ = fsys.Remove(temp) // the first error is the one to report
		return err
	}
	if err := fsys.Rename(temp, name); err != nil {
		_ = fsys.Remove(temp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

func writeSynced(fsys FS, name string, write func(io.Writer) error) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// ReplaceBytes is Replace with the content at hand.
func ReplaceBytes(fsys FS, name string, content []byte) error {
	return Replace(fsys, name, writeAll(content))
}

func writeAll(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

// IsNotExist reports whether the error says that there is no such file.
func IsNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
