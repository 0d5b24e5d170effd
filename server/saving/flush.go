package saving

import (
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
)

// afterFlush makes FLUSHALL what it is in Redis for the file: a save under way, of data that is gone, is given up; and
// with save points the empty data set is saved before the client is answered, so that a crash brings nothing back. Only
// that client waits.
func (s *Saver) afterFlush(flush command.Handler) command.Handler {
	return func(ctx *command.Ctx) {
		mark, errors := ctx.Out.Len(), ctx.Out.Errors()
		flush(ctx)
		if ctx.Out.Errors() != errors {
			return
		}
		if s.running != nil {
			s.running.stale.Store(true)
			s.running.snap.Cancel()
		}
		if len(s.cfg.SavePoints()) == 0 || s.closed {
			return
		}
		if !s.e.CanBlock(ctx) { // a transaction, or the master's stream: nobody to wait
			s.scheduled = true
			return
		}
		ctx.Out.Truncate(mark)
		w := s.e.Block(engine.Of(ctx), "flushall", 0, func(out *resp.Writer) { out.OK() }, nil)
		s.work.Go(func() {
			_ = s.SaveNow(s.ctx) // the flush stands either way, and ended() has logged what went wrong
			s.e.Exclusive(func() { w.Wake(func(out *resp.Writer) { out.OK() }) })
		})
	}
}
