package transport

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parking is how a loop waits when nothing came for a while: as any goroutine that waits for a descriptor, here for that of
// its epoll instance. A system call that the scheduler knows of would be the shorter way to wait, but not to wake up: after
// some time the scheduler's watcher takes the loop's processor away, and each time that it does, and each time that a call
// comes back to a scheduler at rest, it looks after everybody every 20 us for a millisecond. With a client that pauses
// now and then this took a tenth of the processor time.
type parking struct {
	file *os.File // the epoll instance; nil: the runtime cannot wait for it
	raw  syscall.RawConn
	look func(fd uintptr) (done bool)
	n    int // events that look found
}

func (p *parking) init(l *loop) {
	if unix.SetNonblock(l.epfd, true) != nil { // what tells os.NewFile that it can be waited for
		return
	}
	file := os.NewFile(uintptr(l.epfd), "epoll")
	p.file = file
	raw, err := file.SyscallConn()
	if err != nil || file.SetReadDeadline(time.Time{}) != nil {
		return
	}
	p.raw = raw
	p.look = func(fd uintptr) bool {
		p.n = rawEpollWait(int(fd), l.events[:], 0)
		return p.n > 0
	}
}

func (p *parking) close(epfd int) {
	if p.file != nil {
		p.file.Close()
		return
	}
	unix.Close(epfd)
}

// sleep waits for events until it is time to look at something else, and returns how many there are. While goroutines of the
// server itself may keep all processors the loop's own thread waits, since nobody might ask the runtime's poller for long.
func (l *loop) sleep() int {
	d := l.untilCron()
	if l.poll.raw == nil || l.lane.Rivals() {
		n, _ := unix.EpollWait(l.epfd, l.events[:], int(d/time.Millisecond))
		return max(n, 0)
	}
	l.poll.n = 0
	if l.poll.file.SetReadDeadline(time.Now().Add(d)) == nil {
		_ = l.poll.raw.Read(l.poll.look) // fails when the time is over: there is nothing then
	}
	return l.poll.n
}
