package engine

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Forever is the deadline of a gate that nobody manages.
const Forever = math.MaxInt64

// Gate holds a master's right to acknowledge writes (S1, write check of the fencing protocol): a deadline on the boot
// clock, and an epoch that changes whenever the right changes hands. It is read before a hold executes a write and again
// before replies leave; a process that slept in between finds the deadline passed and must close those connections.
//
// All methods may be called from anywhere, without the engine's lock.
type Gate struct {
	deadline atomic.Int64
	epoch    atomic.Uint64
	now      func() int64
	acks     *ackLog // nil unless RecordAcks was called
}

func newGate(now func() int64) *Gate {
	g := &Gate{now: now}
	if now == nil {
		g.now = BootTime
	}
	g.deadline.Store(Forever)
	return g
}

// BootTime reads CLOCK_BOOTTIME in nanoseconds: it goes on while the machine sleeps.
func BootTime() int64 {
	var ts unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return time.Now().UnixNano() // not reached on Linux; a clock that may only run ahead closes the gate early
	}
	return ts.Nano()
}

// SetDeadline allows writes until the given boot time (Forever: without end) under the present epoch.
func (g *Gate) SetDeadline(bootNS int64) { g.deadline.Store(bootNS) }

// Deadline is the boot time until which writes are allowed.
func (g *Gate) Deadline() int64 { return g.deadline.Load() }

// Close takes the right away and ends the epoch: replies of writes that were executed but have not left never will. Who
// must know that nothing is executing any more, to name a final offset, calls it under Engine.Exclusive.
func (g *Gate) Close() {
	g.deadline.Store(0)
	g.epoch.Add(1)
}

// Grant starts a new epoch, a term as master, with writes allowed until bootNS.
func (g *Gate) Grant(bootNS int64) {
	g.deadline.Store(0)
	g.epoch.Add(1)
	g.deadline.Store(bootNS)
}

// Open reports whether writes are allowed now.
func (g *Gate) Open() bool {
	d := g.deadline.Load()
	return d == Forever || (d != 0 && g.now() < d)
}

// Ticket names the epoch under which a write was executed. The zero Ticket stands for no write at all.
type Ticket struct{ epoch uint64 }

// enter returns a ticket when the gate is open.
func (g *Gate) enter() (Ticket, bool) {
	epoch := g.epoch.Load() // before the deadline is read, so that a change in between is noticed later
	return Ticket{epoch + 1}, g.Open()
}

// MayLeave reports whether replies to writes executed under t may be sent now.
func (g *Gate) MayLeave(t Ticket) bool {
	if t.epoch == 0 {
		return true
	}
	may := g.Open() && g.epoch.Load()+1 == t.epoch
	if may && g.acks != nil {
		g.acks.add(t.epoch-1, g.now())
	}
	return may
}
