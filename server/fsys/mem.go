package fsys

import (
	"bytes"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
)

// Mem is a file system in memory. The zero value is not usable: see NewMem.
type Mem struct {
	mu      sync.Mutex
	live    map[string]*memFile // what programs see
	durable map[string]*memFile // names that survive a crash
	epoch   int                 // files opened before the last crash are dead
}

type memFile struct {
	data   []byte
	synced []byte // what survives a crash
	lost   []span // that no sync makes durable: see Forget
}

type span struct{ from, to int }

// NewMem answers an empty file system; every directory exists.
func NewMem() *Mem {
	return &Mem{live: map[string]*memFile{}, durable: map[string]*memFile{}}
}

// Crash loses what was not synced: bytes since File.Sync, names and renamings since SyncDir. Files that
// were open fail from now on.
func (m *Mem) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	m.live = map[string]*memFile{}
	for name, f := range m.durable {
		kept := &memFile{data: slices.Clone(f.synced), synced: f.synced}
		m.live[name] = kept
	}
	m.durable = map[string]*memFile{}
	for name, f := range m.live {
		m.durable[name] = f
	}
}

// Forget makes of a file what Linux does when its sync has failed: the bytes that were to be made durable can still be read,
// but the system takes them for written. A later sync succeeds and keeps only what is written from now on.
func (m *Mem) Forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.live[filepath.Clean(name)]; f != nil {
		f.lost = append(f.lost, span{len(f.synced), len(f.data)})
	}
}

func notExist(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.live[filepath.Clean(name)]
	if f == nil {
		return nil, notExist("open", name)
	}
	return &memHandle{fs: m, f: f, epoch: m.epoch, name: name, readOnly: true}, nil
}

func (m *Mem) Create(name string) (File, error) { return m.openWrite(name, true) }

func (m *Mem) OpenAppend(name string) (File, error) { return m.openWrite(name, false) }

func (m *Mem) openWrite(name string, truncate bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clean := filepath.Clean(name)
	f := m.live[clean]
	if f == nil {
		f = &memFile{}
		m.live[clean] = f
	}
	if truncate {
		f.data = nil
	}
	return &memHandle{fs: m, f: f, epoch: m.epoch, name: name}, nil
}

func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.live[filepath.Clean(from)]
	if f == nil {
		return notExist("rename", from)
	}
	delete(m.live, filepath.Clean(from))
	m.live[filepath.Clean(to)] = f
	return nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live[filepath.Clean(name)] == nil {
		return notExist("remove", name)
	}
	delete(m.live, filepath.Clean(name))
	return nil
}

func (m *Mem) Size(name string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.live[filepath.Clean(name)]
	if f == nil {
		return 0, notExist("stat", name)
	}
	return int64(len(f.data)), nil
}

func (m *Mem) Truncate(name string, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.live[filepath.Clean(name)]
	if f == nil {
		return notExist("truncate", name)
	}
	f.data = append([]byte(nil), f.data[:min(int64(len(f.data)), size)]...)
	return nil
}

func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.live {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (m *Mem) MkdirAll(string) error { return nil }

func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	for name := range m.durable {
		if filepath.Dir(name) == dir && m.live[name] == nil {
			delete(m.durable, name)
		}
	}
	for name, f := range m.live {
		if filepath.Dir(name) == dir {
			m.durable[name] = f
		}
	}
	return nil
}

type memHandle struct {
	fs       *Mem
	f        *memFile
	epoch    int
	name     string
	offset   int
	readOnly bool
	closed   bool
}

// use locks the file system and checks that the handle still works.
func (h *memHandle) use(op string) error {
	h.fs.mu.Lock()
	if h.closed || h.epoch != h.fs.epoch {
		h.fs.mu.Unlock()
		return &fs.PathError{Op: op, Path: h.name, Err: fs.ErrClosed}
	}
	return nil
}

func (h *memHandle) Read(p []byte) (int, error) {
	if err := h.use("read"); err != nil {
		return 0, err
	}
	defer h.fs.mu.Unlock()
	if h.offset >= len(h.f.data) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[h.offset:])
	h.offset += n
	return n, nil
}

func (h *memHandle) ReadAt(p []byte, at int64) (int, error) {
	if err := h.use("read"); err != nil {
		return 0, err
	}
	defer h.fs.mu.Unlock()
	if at >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) Write(p []byte) (int, error) {
	if err := h.use("write"); err != nil {
		return 0, err
	}
	defer h.fs.mu.Unlock()
	if h.readOnly {
		return 0, &fs.PathError{Op: "write", Path: h.name, Err: fs.ErrPermission}
	}
	h.f.data = append(h.f.data, p...)
	return len(p), nil
}

func (h *memHandle) Sync() error {
	if err := h.use("sync"); err != nil {
		return err
	}
	defer h.fs.mu.Unlock()
	h.f.synced = slices.Clone(h.f.data)
	for _, s := range h.f.lost {
		clear(h.f.synced[min(s.from, len(h.f.synced)):min(s.to, len(h.f.synced))])
	}
	return nil
}

func (h *memHandle) Close() error {
	if err := h.use("close"); err != nil {
		return err
	}
	defer h.fs.mu.Unlock()
	h.closed = true
	return nil
}

// keep makes a share of the bytes durable that are not yet, from the first one on, as a system does that writes by itself.
func (h *memHandle) keep(share float64) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	f := h.f
	if more := len(f.data) - len(f.synced); more > 0 && bytes.HasPrefix(f.data, f.synced) {
		f.synced = slices.Clone(f.data[:len(f.synced)+int(share*float64(more))])
	}
}

// survivors is what a crash would leave now, by name. A file that was not synced since has the same slice as before.
func (m *Mem) survivors() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := make(map[string][]byte, len(m.durable))
	for name, f := range m.durable {
		left[name] = f.synced
	}
	return left
}
