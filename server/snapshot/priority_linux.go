package snapshot

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Background makes the calling goroutine give way to the process's other threads, until it ends: it works for minutes and
// clients are waiting. It must not take locks that they take: it may be off the processor while it holds one.
func Background() {
	runtime.LockOSThread() // the thread ends with the goroutine
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, backgroundNice)
}

// backgroundNice is a third of the share of a thread of the usual priority; much less would keep the collector waiting,
// which stops all threads.
const backgroundNice = 5
