package engine

import (
	"sync"
	"time"
)

// pauser holds clients back (CLIENT PAUSE, a switchover). The pause ends by itself.
type pauser struct {
	mu    sync.Mutex
	until time.Time
	timer *time.Timer
	wake  []func()
}

// PauseMode says which commands are held back.
type PauseMode bool

// Modes.
const (
	PauseWrites PauseMode = false
	PauseAll    PauseMode = true
)

// Pause holds clients back for d from now. As in Redis a pause that is under way is never shortened nor weakened by
// another; Unpause ends it. After Pause returned no held-back command is executing any more. It must be called without
// the lock; handlers use PauseLocked.
func (e *Engine) Pause(mode PauseMode, d time.Duration) {
	e.Exclusive(func() { e.PauseLocked(mode, d) })
}

// PauseLocked is Pause for those who hold the lock exclusively.
func (e *Engine) PauseLocked(mode PauseMode, d time.Duration) {
	p := &e.pause
	p.mu.Lock()
	defer p.mu.Unlock()
	if mode == PauseAll || e.Is(pausedAll) {
		e.SetState(pausedAll|pausedWrites, 0)
	} else {
		e.SetState(pausedWrites, 0)
	}
	if end := time.Now().Add(d); end.After(p.until) {
		p.until = end
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timer = time.AfterFunc(time.Until(p.until), e.pauseEnds)
}

func (e *Engine) pauseEnds() {
	p := &e.pause
	p.mu.Lock()
	over := !time.Now().Before(p.until)
	p.mu.Unlock()
	if over {
		e.Unpause()
	}
}

// Unpause lets clients go on. It needs no lock.
func (e *Engine) Unpause() {
	p := &e.pause
	p.mu.Lock()
	if p.timer != nil {
		p.timer.Stop()
	}
	p.until, p.timer = time.Time{}, nil
	e.SetState(0, pausedAll|pausedWrites)
	wake := p.wake
	p.mu.Unlock()
	for _, fn := range wake {
		fn()
	}
}

// Paused tells whether clients are held back, and until when.
func (e *Engine) Paused() (mode PauseMode, until time.Time, on bool) {
	p := &e.pause
	p.mu.Lock()
	defer p.mu.Unlock()
	return PauseMode(e.Is(pausedAll)), p.until, e.Is(pausedWrites)
}

// Held tells without a lock whether writes are held back, and whether everything is.
func (e *Engine) Held() (writes, all bool) { return e.Is(pausedWrites), e.Is(pausedAll) }

// OnUnpause registers fn to be called, without the lock, when a pause has ended: loops look at their postponed
// clients then.
func (e *Engine) OnUnpause(fn func()) {
	e.pause.mu.Lock()
	e.pause.wake = append(e.pause.wake, fn)
	e.pause.mu.Unlock()
}

// HeldBack counts the clients that a pause holds back: INFO shows them as blocked. Their owners call it.
func (e *Engine) HeldBack(n int) { e.stats.blocked.Add(int64(n)) }

func (p *pauser) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
}
