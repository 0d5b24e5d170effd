package offheap

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/understudy-db/understudy/server/store"
)

const (
	arenaPages = 64 // 4 MiB: what is asked of the kernel at once
	warmPages  = 32 // freed pages that keep their memory, for the next to come
	osPage     = 4096

	// Freed blobs that keep their memory, for others of their size: so many, up to so big, and so many bytes in all.
	keptBlobs = 64
	keptBlob  = 256 << 10
	keptBytes = 2 << 20
)

// Pages is a store.Pages over anonymous memory.
type Pages struct {
	mu   sync.Mutex
	warm []*store.Page // free, resident
	cold []*store.Page // free, given back to the kernel: addresses only

	kept  [][]byte // freed blobs, the latest last
	bytes int      // in kept
}

// New returns an empty pool.
func New() *Pages { return &Pages{} }

// AllocPage implements store.Pages.
func (p *Pages) AllocPage() *store.Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.warm) == 0 && len(p.cold) == 0 {
		p.grow()
	}
	list := &p.warm
	if len(p.warm) == 0 {
		list = &p.cold
	}
	last := len(*list) - 1
	page := (*list)[last]
	*list = (*list)[:last]
	return page
}

// grow maps an arena. A server that gets no memory cannot go on: like the Go runtime itself, it ends with a clear word.
func (p *Pages) grow() {
	base := mapBytes(arenaPages * store.PageSize)
	if base == nil {
		panic("offheap: out of memory: the kernel refuses another 4 MiB; lower maxmemory or raise the container's limit")
	}
	for i := arenaPages - 1; i >= 0; i-- { // lowest first out
		p.cold = append(p.cold, (*store.Page)(unsafe.Add(base, i*store.PageSize)))
	}
}

// FreePage implements store.Pages.
func (p *Pages) FreePage(page *store.Page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.warm) < warmPages {
		p.warm = append(p.warm, page)
		return
	}
	if err := unix.Madvise(page[:], unix.MADV_DONTNEED); err != nil {
		panic(fmt.Sprintf("offheap: the kernel refuses to take a page back: %v", err))
	}
	p.cold = append(p.cold, page)
}

// AllocBlob implements store.Pages. When the process has no mappings left the memory comes from the Go heap.
func (p *Pages) AllocBlob(n int) (b []byte, zero bool) {
	size := (n + osPage - 1) &^ (osPage - 1)
	if b := p.takeKept(size); b != nil {
		return b, false
	}
	if base := mapBytes(size); base != nil {
		return unsafe.Slice((*byte)(base), size), true
	}
	return make([]byte, n|1), true // an odd length marks it
}

// takeKept returns the latest of the freed blobs of a size, whose memory is the most likely to be in a cache.
func (p *Pages) takeKept(size int) []byte {
	if size > keptBlob {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.kept) - 1; i >= 0; i-- {
		if b := p.kept[i]; len(b) == size {
			p.kept = slices.Delete(p.kept, i, i+1)
			p.bytes -= size
			return b
		}
	}
	return nil
}

// FreeBlob implements store.Pages.
func (p *Pages) FreeBlob(b []byte) {
	if len(b)%osPage != 0 || len(b) == 0 {
		return
	}
	if len(b) > keptBlob {
		unmap(b)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = append(p.kept, b)
	p.bytes += len(b)
	for len(p.kept) > keptBlobs || p.bytes > keptBytes { // what is of a size that nobody wants any more goes first
		p.bytes -= len(p.kept[0])
		unmap(p.kept[0])
		p.kept = slices.Delete(p.kept, 0, 1)
	}
}

func unmap(b []byte) {
	if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))); err != nil {
		// A hole would need one mapping more than the process may have: the memory goes, its addresses stay.
		if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
			panic(fmt.Sprintf("offheap: the kernel refuses to take memory back: %v", err))
		}
	}
}

func mapBytes(n int) unsafe.Pointer {
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	return base
}
