package transport

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parking is how a loop waits when nothing came for a while: as any goroutine that waits for a descriptor. A system call
// that the scheduler knows of would be the shorter way to wait, but not to wake up: after some time the scheduler's watcher
// takes the loop's processor away, and each time that it does, and each time that a call comes back to a scheduler at rest,
// it looks after everybody every 20 us for a millisecond. With a client that pauses now and then this took a tenth of the
// processor time.
//
//	runtime's epoll -- gate -- (while parked) loop's epoll -- sockets
//
// The runtime watches a gate, since it cannot be told to look away for a while: if it watched the loop's epoll instance
// itself, every event would wake one of its threads too.
type parking struct {
	gate *os.File // an epoll instance; nil: the runtime cannot wait for it
	raw  syscall.RawConn
	fd   int
	look func(uintptr) (done bool)
	n    int // events that look found
}

func (p *parking) init(l *loop) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	if unix.SetNonblock(fd, true) != nil { // what tells os.NewFile that it can be waited for
		unix.Close(fd)
		return
	}
	gate := os.NewFile(uintptr(fd), "gate")
	raw, err := gate.SyscallConn()
	if err != nil || gate.SetReadDeadline(time.Time{}) != nil {
		gate.Close()
		return
	}
	p.gate, p.raw, p.fd = gate, raw, fd
	p.look = func(uintptr) bool {
		p.n = rawEpollWait(l.epfd, l.events[:], 0)
		return p.n > 0
	}
}

// wait waits for events of an epoll instance until d has passed, and returns how many look found; ok is false when it could
// not wait.
func (p *parking) wait(epfd int, d time.Duration) (n int, ok bool) {
	if p.gate == nil || p.gate.SetReadDeadline(time.Now().Add(d)) != nil {
		return 0, false
	}
	if unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, epfd, &unix.EpollEvent{Events: unix.EPOLLIN}) != nil {
		return 0, false
	}
	p.n = 0
	_ = p.raw.Read(p.look)                                 // fails when the time is over: there is nothing then
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, epfd, nil) // fails only when it is not there
	return p.n, true
}

func (p *parking) close() {
	if p.gate != nil {
		p.gate.Close()
	}
}

// parkMost is how many connections a loop may have that parks: the kernel looks at each of them whenever the gate begins to
// watch the loop's epoll instance, for wakes that go round in a circle: 90 ns for each.
const parkMost = 128

// parks tells how an idle loop waits. While goroutines of the server itself may keep all processors its own thread does, since
// nobody might ask the runtime's poller for long.
func (l *loop) parks() bool { return l.live <= parkMost && !l.lane.Rivals() }

// unpark makes parked loops look again how they should wait.
func (t *Server) unpark() {
	for _, l := range t.loops {
		if l.parked.Load() {
			l.post(func() {})
		}
	}
}

// sleep waits for events until it is time to look at something else, and returns how many there are.
func (l *loop) sleep() int {
	d := l.untilCron()
	if l.parks() {
		l.parked.Store(true)
		n, ok := 0, false
		if l.parks() { // still, now that unpark sees it
			n, ok = l.poll.wait(l.epfd, d)
		}
		l.parked.Store(false)
		if ok {
			return n
		}
	}
	n, _ := unix.EpollWait(l.epfd, l.events[:], int(d/time.Millisecond))
	return max(n, 0)
}
