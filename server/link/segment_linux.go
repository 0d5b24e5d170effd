package link

import (
	"os"
	"syscall"
)

// beginWriteback starts to write a stretch of a file to disk and does not wait for it. It promises nothing, so that an error
// says nothing either.
func beginWriteback(f *os.File, from, n int64) {
	const write = 2 // SYNC_FILE_RANGE_WRITE
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) { _ = syscall.SyncFileRange(int(fd), from, n, write) })
}
