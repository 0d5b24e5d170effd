package command

import (
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Outer is what Enter puts aside: the command that runs others (a script).
type Outer struct {
	cmd    *Cmd
	args   [][]byte
	out    *resp.Writer
	client Client
	db     *store.DB
	index  int
	limit  int64
	from   int
	skip   Skip
	inner  bool
	blocks bool
}

// Enter lets the running command execute others through the same context. Their effects gather as those of a
// transaction do.
func (c *Ctx) Enter() Outer {
	o := Outer{cmd: c.Cmd, args: c.Args, out: c.Out, client: c.Client, db: c.DB, index: c.DBIndex, limit: c.ReplyLimit, from: c.replyFrom, skip: c.Skip, inner: c.inner, blocks: !c.NoBlocking}
	c.ReplyLimit, c.inner, c.NoBlocking = 0, false, true
	return o
}

// Leave makes the outer command the running one again. It has no effect of its own: those of the inner commands are all.
func (c *Ctx) Leave(o Outer) {
	c.Cmd, c.Args, c.Out, c.Client, c.DB, c.DBIndex = o.cmd, o.args, o.out, o.client, o.db, o.index
	c.ReplyLimit, c.replyFrom, c.Skip = o.limit, o.from, o.skip
	c.dirty, c.explicit, c.forced, c.skip = 0, true, false, 0
	c.wroteInside = c.wroteInside || c.inner
	c.inner, c.NoBlocking = o.inner, !o.blocks
}

// FinishInner closes an inner command.
func (c *Ctx) FinishInner() {
	c.Finish()
	c.inner = c.inner || c.dirty > 0
}
