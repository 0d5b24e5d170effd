package transport

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The raw calls below are not seen by the Go scheduler. Reads and writes never block, since the descriptors are non-blocking.
// The wait for events may, for nap milliseconds, and rawSleep does, for a moment: the collector's signal ends both, so nobody
// waits for them for longer than the signal takes.

func rawEpollWait(epfd int, events []unix.EpollEvent, nap int) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(nap), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// rawRecv and rawSend are rawRead and rawWrite for sockets, without the way through the file system.
func rawRecv(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

func rawSend(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

func rawRead(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

// rawSendmsg is rawSend of several pieces.
func rawSendmsg(fd int, iov []unix.Iovec) (int, unix.Errno) {
	msg := unix.Msghdr{Iov: unsafe.SliceData(iov)}
	msg.SetIovlen(len(iov))
	n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return int(n), errno
}

func retry(errno unix.Errno) bool { return errno == unix.EAGAIN || errno == unix.EINTR }

// rawSleep sleeps for so long and not longer: by itself the kernel adds 50 us, to wake up for several timers at once.
func rawSleep(d time.Duration) {
	_, _, _ = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, 1, 0)
	ts := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0) // cut short is as good
}
