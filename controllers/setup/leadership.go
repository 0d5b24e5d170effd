package setup

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Leader election: another process takes over at most about five seconds after a leader was lost.
const (
	LeaseDuration = 4 * time.Second
	RenewDeadline = 3 * time.Second
	RetryPeriod   = 500 * time.Millisecond
)

// drift is taken off what another process waits: any two clocks differ by at most a tenth in rate.
const drift = LeaseDuration / 10

// Leadership wraps the leader election's lock and watches what it writes. A renewal was asked for after
// Until was computed from, and others wait a whole LeaseDuration from when they first saw it: so until
// then, less the drift, nobody else can have taken over.
type Leadership struct {
	resourcelock.Interface
	clock func() time.Duration

	mu    sync.Mutex
	until time.Duration
	since time.Duration
}

// NewLeadership wraps a lock.
func NewLeadership(lock resourcelock.Interface, clock func() time.Duration) *Leadership {
	return &Leadership{Interface: lock, clock: clock}
}

// Create takes the lock for the first time.
func (l *Leadership) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.hold(r, func() error { return l.Interface.Create(ctx, r) })
}

// Update takes, renews or releases the lock.
func (l *Leadership) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.hold(r, func() error { return l.Interface.Update(ctx, r) })
}

func (l *Leadership) hold(r resourcelock.LeaderElectionRecord, write func() error) error {
	asked := l.clock()
	mine := r.HolderIdentity == l.Identity()
	if !mine { // released: it ends before the others hear of it
		l.mu.Lock()
		l.until = 0
		l.mu.Unlock()
	}
	if err := write(); err != nil || !mine {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if asked >= l.until { // it had run out: a new reign, others may have led in between
		l.since = l.clock()
	}
	l.until = max(l.until, asked+LeaseDuration-drift)
	return nil
}

// Until is the reading of the clock until which this process leads for sure.
func (l *Leadership) Until() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// Since is when it began to lead without a break.
func (l *Leadership) Since() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

// Alone is the leadership of a process that runs without leader election: for development and tests.
type Alone struct {
	Name  string
	Start time.Duration
}

// Until is never reached.
func (a Alone) Until() time.Duration { return 1<<63 - 1 }

// Since is the start of the process.
func (a Alone) Since() time.Duration { return a.Start }

// Identity is the process's name.
func (a Alone) Identity() string { return a.Name }
