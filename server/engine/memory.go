package engine

import "sync/atomic"

// memoryLimit is maxmemory.
type memoryLimit struct{ limit atomic.Int64 }

// SetMaxMemory sets the bytes that the data set may use; 0 means no limit.
func (e *Engine) SetMaxMemory(limit int64) { e.memory.limit.Store(limit) }

// judge answers OutOfMemory when the limit is exceeded. It runs once per hold: one batch may overshoot the limit by its
// own size.
func (m *memoryLimit) judge(l *Lane) State {
	limit := m.limit.Load()
	used := l.e.store.UsedBytes()
	if limit <= 0 || used <= limit {
		return 0
	}
	return OutOfMemory
}
