package engine

import "github.com/understudy-db/understudy/server/store"

// ReplaceData makes another data set the server's in one step: a full sync. n is a sibling of the store and empty
// afterwards. The lock must be held exclusively.
func (e *Engine) ReplaceData(n *store.Store) {
	e.bg.env.Flushed(-1) // while it can be seen what goes
	e.store.Adopt(n)
	e.own = nil
	for db, watched := range e.watched {
		e.bg.env.replaced(watched, db, -1, 0) // a key that came has changed as well
	}
}
