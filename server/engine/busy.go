package engine

import (
	"sync"
	"sync/atomic"
)

// busyness is the time in which one command has gone on for so long that others are refused instead of kept waiting.
type busyness struct {
	on  atomic.Bool
	why string // the error; guarded by the engine's lock

	mu   sync.Mutex
	over chan struct{} // closed at the end
}

// Busy reports whether a long command lets others in to be refused.
func (e *Engine) Busy() bool { return e.busy.on.Load() }

func (e *Engine) beginBusy(why string) {
	b := &e.busy
	b.mu.Lock()
	b.over = make(chan struct{})
	b.mu.Unlock()
	b.why = why
	b.on.Store(true)
}

func (e *Engine) endBusy() {
	b := &e.busy
	b.on.Store(false)
	b.mu.Lock()
	close(b.over)
	b.mu.Unlock()
}

// await waits for the end of a long command.
func (b *busyness) await() {
	b.mu.Lock()
	over := b.over
	b.mu.Unlock()
	if b.on.Load() {
		<-over
	}
}

// lock takes the lock exclusively, never in the middle of a long command.
func (e *Engine) lock() {
	for {
		e.lockAnyhow()
		if !e.busy.on.Load() {
			return
		}
		e.mu.Unlock()
		e.busy.await()
	}
}

// lockShared is lock for those who read.
func (e *Engine) lockShared() {
	for {
		e.mu.RLock()
		if !e.busy.on.Load() {
			return
		}
		e.mu.RUnlock()
		e.busy.await()
	}
}

// NewStandIn makes a lane for a goroutine that is in the middle of a long command of its own, to answer other clients
// meanwhile. It needs no lock: its goroutine has it.
func (e *Engine) NewStandIn() *Lane {
	l := e.NewLane()
	l.standIn = true
	return l
}
