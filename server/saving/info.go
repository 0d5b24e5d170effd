package saving

import (
	"github.com/understudy-db/understudy/server/engine"
)

// info writes the section's lines in Redis' order; what belongs to a forked child stands at its resting value, for the
// tools that read it. The lock is held.
func (s *Saver) info(w *engine.InfoWriter) {
	state := s.e.State()
	w.Field("loading", state&engine.Loading != 0)
	w.Field("async_loading", state&engine.AsyncLoading != 0)
	w.Field("current_cow_peak", 0)
	w.Field("current_cow_size", 0)
	w.Field("current_cow_size_age", 0)
	var done, total int
	took := int64(-1)
	background := false
	if r := s.running; r != nil {
		p := r.snap.Progress()
		done, total = p.KeysDone, p.Keys
		background = r.background
		took = int64(s.now().Sub(r.began).Seconds())
	}
	background = background || s.o.Syncing != nil && s.o.Syncing()
	if r := s.aof.rewriting; r != nil {
		done, total = r.keysDone()
	}
	percent := 0.0
	if total > 0 {
		percent = 100 * float64(done) / float64(total)
	}
	w.Fieldf("current_fork_perc", "%.2f", percent)
	w.Field("current_save_keys_processed", done)
	w.Field("current_save_keys_total", total)
	w.Field("rdb_changes_since_last_save", s.e.Dirty())
	w.Field("rdb_bgsave_in_progress", background)
	w.Field("rdb_last_save_time", s.lastSave.Unix())
	w.Field("rdb_last_bgsave_status", status(s.lastOK))
	last := int64(-1)
	if !s.lastTry.IsZero() && s.lastTook > 0 {
		last = int64(s.lastTook.Seconds())
	}
	w.Field("rdb_last_bgsave_time_sec", last)
	w.Field("rdb_current_bgsave_time_sec", took)
	w.Field("rdb_saves", s.saves)
	w.Field("rdb_last_cow_size", 0)
	w.Field("rdb_last_load_keys_expired", s.load.expired)
	w.Field("rdb_last_load_keys_loaded", s.load.keys)
	s.aof.info(w)
	if state&engine.Loading != 0 {
		s.loadingInfo(w)
	}
}

func (s *Saver) loadingInfo(w *engine.InfoWriter) {
	l, loaded := &s.load, s.bytesLoaded.Load()
	w.Field("loading_start_time", l.began.Unix())
	w.Field("loading_total_bytes", l.total)
	w.Field("loading_rdb_used_mem", 0)
	w.Field("loading_loaded_bytes", loaded)
	percent, eta := 0.0, int64(1)
	if l.total > 0 {
		percent = 100 * float64(loaded) / float64(l.total)
	}
	if loaded > 0 {
		elapsed := s.now().Sub(l.began).Seconds()
		eta = int64(elapsed * float64(l.total-loaded) / float64(loaded))
	}
	w.Fieldf("loading_loaded_perc", "%.2f", percent)
	w.Field("loading_eta_seconds", eta)
}

func status(ok bool) string {
	if ok {
		return "ok"
	}
	return "err"
}
