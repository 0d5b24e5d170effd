package engine

import "github.com/understudy-db/understudy/server/store"

// ReplaceData makes another data set the server's in one step: a full sync. n is a sibling of the store and empty
// afterwards. The lock must be held exclusively.
func (e *Engine) ReplaceData(n *store.Store) {
	e.store.Adopt(n)
	e.own = nil
	e.bg.env.Flushed(-1)
}
