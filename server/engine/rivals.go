package engine

import "sync/atomic"

// rivals are goroutines of the server itself that may keep processors for long.
type rivals struct {
	n  atomic.Int32
	on atomic.Pointer[func()]
}

// OnRivals sets what is told that such goroutines begin.
func (e *Engine) OnRivals(fn func()) { e.rivals.on.Store(&fn) }

func (e *Engine) rivalsBegin() {
	if fn := e.rivals.on.Load(); fn != nil {
		(*fn)()
	}
}

// Beside implements snapshot.Lock.
func (e *Engine) Beside() (done func()) {
	e.rivals.n.Add(1)
	e.rivalsBegin()
	return func() { e.rivals.n.Add(-1) }
}

// Rivals tells whether goroutines of the server may keep processors for long: a snapshot is made, a data set loads, or a cut
// is under way, as of the last Run.
func (l *Lane) Rivals() bool {
	return l.rivals || l.e.rivals.n.Load() > 0 || l.e.State()&(Loading|AsyncLoading) != 0
}
