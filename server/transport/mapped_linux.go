package transport

import "golang.org/x/sys/unix"

// The buffer of a command that is longer than what a loop keeps of buffers is a mapping of its own once a megabyte of it has come. It has the
// announced length, since memory is taken only where bytes arrive: nothing is copied while it fills, and all of it goes back to the system
// when the command is done. On the heap its predecessors and itself would stay until the collector comes by.

const (
	mappedFrom = spareBytes
	mappedAt   = 1 << 20 // the first bytes take a huge page, twice as much
)

// mapBuffer returns an empty buffer for n bytes, nil when the system has none.
func mapBuffer(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // fewer faults, where the kernel has such pages
	return b[:0]
}

// mapped tells whether b is a buffer of this kind, or one of its length that had to be of the heap.
func mapped(b []byte) bool { return cap(b) > mappedFrom }

// remap makes b, which no batch refers to, as long as n bytes without a copy; nil when that cannot be.
func remap(b []byte, n int) []byte {
	if !mapped(b) {
		return nil
	}
	grown, err := unix.Mremap(b[:cap(b)], n, unix.MREMAP_MAYMOVE)
	if err != nil { // of the heap, or there is no room
		return nil
	}
	return grown[:len(b)]
}

// bury gives a mapping back to the system when the batch at hand, which may refer to it, is done, and so is the one that a stand-in
// interrupts. Others are the collector's.
func (l *loop) bury(b []byte) {
	if !mapped(b) {
		return
	}
	l.buried = append(l.buried, b)
	if len(l.batch) == 0 {
		l.unmap()
	}
}

// unmap gives back what was buried.
func (l *loop) unmap() {
	if l.inside {
		return
	}
	for _, b := range l.buried {
		_ = unix.Munmap(b[:cap(b)]) // the only error is that it is of the heap
	}
	clear(l.buried)
	l.buried = l.buried[:0]
}
