package engine

import "github.com/understudy-db/understudy/server/command"

// Where is the place at which a client's user may be refused.
type Where uint8

// Places.
const (
	AtTop Where = iota
	InQueue
	AtExec
	InScript
	JustAsked // nothing is refused, so nothing is logged
)

// Limits are those of a client's user. They are asked with the lock held in either mode.
type Limits interface {
	// Refuse answers the error for a command that the user may not run, "" when it may.
	Refuse(cmd *command.Cmd, args [][]byte, where Where) string
	// ReadsAll tells whether the user may read keys that the command's arguments do not name.
	ReadsAll(cmd *command.Cmd, args [][]byte) bool
}

// Limit sets what asks for the client's permissions, nil for a client that may do everything: such a client's commands
// stay on the fast path. The lock must be held exclusively, or the client not have begun. What others decide about a client
// stands apart from its Flags, which its owner reads without the lock: it holds for the very next command.
func (c *Client) Limit(l Limits) {
	c.limits = l
	if c.guards &^= limited; l != nil {
		c.guards |= limited
	}
}

// Expel makes the client a stranger: its user is no more. The lock must be held exclusively.
func (c *Client) Expel() { c.guards |= NeedAuth }

// Expelled tells whether Expel was called.
func (c *Client) Expelled() bool { return c.guards&NeedAuth != 0 }

// ActFor gives c, which runs a script's commands, the limits of the script's caller. outer is nil when nobody called.
func (c *Client) ActFor(outer *Client) {
	if outer != nil {
		c.Limit(outer.limits)
	}
}

// Forbidden answers why the client's user may not run a command, or "".
func (c *Client) Forbidden(cmd *command.Cmd, args [][]byte, where Where) string {
	if c.limits == nil {
		return ""
	}
	return c.limits.Refuse(cmd, args, where)
}

// place is where a command of c meets its user's limits.
func (c *Client) place() Where {
	if c.Has(InMulti) {
		return InQueue
	}
	return AtTop
}

// ReadsAll implements command.Client.
func (c *Client) ReadsAll(cmd *command.Cmd, args [][]byte) bool {
	return c.limits == nil || c.limits.ReadsAll(cmd, args)
}
