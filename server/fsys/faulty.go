package fsys

import (
	"io/fs"
	"sync"
	"syscall"
)

// Op is one call on a file system or on a file of it.
type Op struct {
	Name string // open create append rename remove size list mkdir truncate syncdir read write sync close
	Path string
	N    int // calls made before this one, all kinds together
}

// Faulty fails calls of another file system.
type Faulty struct {
	FS

	mu     sync.Mutex
	calls  int
	decide func(Op) error
	space  int64 // bytes that may still be written; negative: no limit
}

// NewFaulty asks decide before every call: an error is returned instead of calling. A nil decide never
// fails.
func NewFaulty(inner FS, decide func(Op) error) *Faulty {
	return &Faulty{FS: inner, decide: decide, space: -1}
}

// SetSpace lets n more bytes be written; then writes come back short with ENOSPC. Negative: no limit.
func (f *Faulty) SetSpace(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.space = n
}

// Calls is the number of calls so far: run a sequence once to learn how many points it can fail at.
func (f *Faulty) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *Faulty) check(name, path string) error {
	f.mu.Lock()
	op := Op{Name: name, Path: path, N: f.calls}
	f.calls++
	decide := f.decide
	f.mu.Unlock()
	if decide == nil {
		return nil
	}
	if err := decide(op); err != nil {
		return &fs.PathError{Op: name, Path: path, Err: err}
	}
	return nil
}

func (f *Faulty) wrap(name, path string, open func(string) (File, error)) (File, error) {
	if err := f.check(name, path); err != nil {
		return nil, err
	}
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, fs: f, path: path}, nil
}

func (f *Faulty) Open(path string) (File, error)   { return f.wrap("open", path, f.FS.Open) }
func (f *Faulty) Create(path string) (File, error) { return f.wrap("create", path, f.FS.Create) }
func (f *Faulty) OpenAppend(path string) (File, error) {
	return f.wrap("append", path, f.FS.OpenAppend)
}

func (f *Faulty) Rename(from, to string) error {
	if err := f.check("rename", from); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *Faulty) Remove(path string) error {
	if err := f.check("remove", path); err != nil {
		return err
	}
	return f.FS.Remove(path)
}

func (f *Faulty) Size(path string) (int64, error) {
	if err := f.check("size", path); err != nil {
		return 0, err
	}
	return f.FS.Size(path)
}

func (f *Faulty) Truncate(path string, size int64) error {
	if err := f.check("truncate", path); err != nil {
		return err
	}
	return f.FS.Truncate(path, size)
}

func (f *Faulty) List(dir string) ([]string, error) {
	if err := f.check("list", dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

func (f *Faulty) MkdirAll(dir string) error {
	if err := f.check("mkdir", dir); err != nil {
		return err
	}
	return f.FS.MkdirAll(dir)
}

func (f *Faulty) SyncDir(dir string) error {
	if err := f.check("syncdir", dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

type faultyFile struct {
	File
	fs   *Faulty
	path string
}

func (f *faultyFile) Read(p []byte) (int, error) {
	if err := f.fs.check("read", f.path); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.fs.check("write", f.path); err != nil {
		return 0, err
	}
	room := f.fs.reserve(len(p))
	n, err := f.File.Write(p[:room])
	if err == nil && room < len(p) {
		err = &fs.PathError{Op: "write", Path: f.path, Err: syscall.ENOSPC}
	}
	return n, err
}

// reserve answers how many of n bytes still fit.
func (f *Faulty) reserve(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.space < 0 {
		return n
	}
	n = int(min(int64(n), f.space))
	f.space -= int64(n)
	return n
}

func (f *faultyFile) Sync() error {
	if err := f.fs.check("sync", f.path); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Close() error {
	if err := f.fs.check("close", f.path); err != nil {
		_ = f.File.Close() // the handle must not leak
		return err
	}
	return f.File.Close()
}
