package saving

import "github.com/understudy-db/understudy/server/engine"

// info writes the lines of INFO's section persistence that tell of the append-only file. The engine's lock is held.
func (a *appender) info(w *engine.InfoWriter) {
	last, now := int64(-1), int64(-1)
	if a.rewrites > 0 || a.fails > 0 {
		last = int64(a.lastTook.Seconds())
	}
	if a.rewriting != nil {
		now = int64(a.s.now().Sub(a.rewriting.began).Seconds())
	}
	w.Field("aof_enabled", !a.is(appendOff))
	w.Field("aof_rewrite_in_progress", a.rewriting != nil)
	w.Field("aof_rewrite_scheduled", a.scheduled)
	w.Field("aof_last_rewrite_time_sec", last)
	w.Field("aof_current_rewrite_time_sec", now)
	w.Field("aof_last_bgrewrite_status", status(a.lastOK))
	w.Field("aof_rewrites", a.rewrites)
	w.Field("aof_rewrites_consecutive_failures", a.fails)
	w.Field("aof_last_write_status", status(!a.failed.Load()))
	w.Field("aof_last_cow_size", 0)
	w.Field("module_fork_in_progress", 0)
	w.Field("module_fork_last_cow_size", 0)
	if a.is(appendOff) {
		return
	}
	w.Field("aof_current_size", a.size.Load())
	w.Field("aof_base_size", a.baseSize.Load())
	w.Field("aof_pending_rewrite", 0)
	w.Field("aof_buffer_length", max(0, a.log.WholePos()-a.settled.Load()))
	w.Field("aof_pending_bio_fsync", a.syncing.Load())
	w.Field("aof_delayed_fsync", a.delayed.Load())
}
