package snapshot

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Background makes the calling goroutine give way to the process's other threads, until it ends: it works for minutes and
// clients are waiting. It must not take locks that they take: it may be off the processor while it holds one.
func Background() { ownThread(backgroundNice) }

// backgroundNice is a third of the share of a thread of the usual priority; much less would keep the collector waiting,
// which stops all threads.
const backgroundNice = 5

// shortSlice is how long a thread runs before GiveWay lets another one have the processor, and what it loses in doing so.
const shortSlice = 100 * time.Microsecond

// ownThread gives the calling goroutine a thread of its own, which ends with it, of the given priority and with short
// slices: a thread that yields goes behind all who wait by one slice (sched(7), EEVDF; kernels before 6.12 have one length for all).
func ownThread(nice int) {
	runtime.LockOSThread()
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(nice), Runtime: uint64(shortSlice)}
	if unix.SchedSetAttr(0, &attr, 0) != nil { // forbidden, or an older kernel that takes no length
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice)
	}
}

// GiveWay lets whoever waits for this processor go first, other processes too: without it the kernel looks for somebody to
// wake only at its next tick, up to four milliseconds later. It is a system call, so that the collector waits for nobody who is in it.
func GiveWay() { _, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
