package fsys

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Volatile makes of the end of a process a loss of power: on the real disk there is only what was synced. Everything else
// is in the memory of the process, kill -9 takes it, and the next process finds what a machine would find that starts again.
// A system also writes by itself, in no order that a program could count on: this one now and then does so with the
// beginning of what was written, or with the names of a directory.
type Volatile struct {
	OS    // for what is not below the roots
	mem   *Mem
	roots []string
	temp  string // a file on the same disk, outside of the roots

	mu      sync.Mutex // also makes one step of a sync and of its copy to the disk
	r       *rand.Rand
	written map[string][]byte // what the disk has
}

var _ FS = (*Volatile)(nil)

// NewVolatile reads what is below the roots. temp is the name of a file that it may use, on the disk of the roots.
func NewVolatile(seed uint64, temp string, roots ...string) (*Volatile, error) {
	v := &Volatile{mem: NewMem(), roots: roots, temp: temp, r: rand.New(rand.NewPCG(seed, 0)), written: map[string][]byte{}}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(name)
			if err == nil {
				err = writeSynced(v.mem, name, writeAll(text))
			}
			return errors.Join(err, v.mem.SyncDir(filepath.Dir(name)))
		})
		if err != nil {
			return nil, err
		}
	}
	v.written = v.mem.survivors()
	return v, nil
}

func (v *Volatile) inside(name string) bool {
	for _, root := range v.roots {
		if rest, ok := strings.CutPrefix(filepath.Clean(name), filepath.Clean(root)); ok && (rest == "" || rest[0] == filepath.Separator) {
			return true
		}
	}
	return false
}

// at is where a name belongs.
func (v *Volatile) at(name string) FS {
	if v.inside(name) {
		return v.mem
	}
	return v.OS
}

func (v *Volatile) Open(name string) (File, error)         { return v.at(name).Open(name) }
func (v *Volatile) Size(name string) (int64, error)        { return v.at(name).Size(name) }
func (v *Volatile) List(dir string) ([]string, error)      { return v.at(dir).List(dir) }
func (v *Volatile) MkdirAll(dir string) error              { return v.at(dir).MkdirAll(dir) }
func (v *Volatile) Remove(name string) error               { return v.at(name).Remove(name) }
func (v *Volatile) Rename(from, to string) error           { return v.at(from).Rename(from, to) }
func (v *Volatile) Truncate(name string, size int64) error { return v.at(name).Truncate(name, size) }

func (v *Volatile) Create(name string) (File, error) { return v.handle(v.at(name).Create(name)) }

func (v *Volatile) OpenAppend(name string) (File, error) {
	return v.handle(v.at(name).OpenAppend(name))
}

func (v *Volatile) handle(f File, err error) (File, error) {
	if h, ok := f.(*memHandle); ok && err == nil {
		return &volatileFile{h, v}, nil
	}
	return f, err
}

// SyncDir returns when the names are on the disk.
func (v *Volatile) SyncDir(dir string) error {
	if !v.inside(dir) {
		return v.OS.SyncDir(dir)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return errors.Join(v.mem.SyncDir(dir), v.copy())
}

// copy brings to the disk what has become durable, file by file: each is there whole or as before. v.mu is held.
func (v *Volatile) copy() error {
	now := v.mem.survivors()
	for name, text := range now {
		if old, there := v.written[name]; there && sameSlice(old, text) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := errors.Join(os.WriteFile(v.temp, text, fileMode), os.Rename(v.temp, name)); err != nil {
			return err
		}
	}
	for name := range v.written {
		if _, there := now[name]; !there {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	v.written = now
	return nil
}

func sameSlice(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// perhaps lets the system write by itself.
func (v *Volatile) perhaps(h *memHandle) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch v.r.IntN(40) {
	case 0:
		h.keep(v.r.Float64())
	case 1:
		if err := v.mem.SyncDir(filepath.Dir(h.name)); err != nil {
			return err
		}
	default:
		return nil
	}
	return v.copy()
}

type volatileFile struct {
	*memHandle
	v *Volatile
}

func (f *volatileFile) Write(p []byte) (int, error) {
	n, err := f.memHandle.Write(p)
	return n, errors.Join(err, f.v.perhaps(f.memHandle))
}

func (f *volatileFile) Sync() error {
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	return errors.Join(f.memHandle.Sync(), f.v.copy())
}
