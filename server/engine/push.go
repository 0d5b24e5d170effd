package engine

import (
	"github.com/understudy-db/understudy/server/command"
)

// OnNotify sets the sink of keyspace events. fn runs with the lock held, in either mode, so it may be called from several
// lanes at once. Call it before clients come.
func (e *Engine) OnNotify(fn func(db int, class command.EventClass, event string, key []byte)) {
	e.notify = fn
}

// Receive lets c be pushed to from now on. The lock must be held exclusively.
func (c *Client) Receive() {
	if !c.receives.Load() {
		c.ran.Store(2)
		c.receives.Store(true)
	}
}

// Push sends c bytes that are no reply: after the replies of all its commands executed so far, the one that is executing
// included, and before any later one. p is shared by all who get it. The lock must be held, in either mode, and c must
// have called Receive.
func (c *Client) Push(p []byte) {
	if c.Owner != nil {
		c.Owner.Push((c.ran.Load()+1)&^1, p)
	}
}
