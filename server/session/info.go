package session

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-db/understudy/server/acl"
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/pubsub"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/store"
	"golang.org/x/sys/unix"
)

func (srv *Server) info(ctx *command.Ctx) {
	sections := make([]string, 0, len(ctx.Args)-1)
	for _, a := range ctx.Args[1:] {
		sections = append(sections, string(a))
	}
	ctx.Out.Verbatim("txt", string(srv.e.Info(sections...)))
}

// registerInfo fills the sections that this package knows. Persistence and replication add theirs.
func (srv *Server) registerInfo() {
	e := srv.e
	e.RegisterInfo("server", srv.infoServer)
	e.RegisterInfo("clients", srv.infoClients)
	e.RegisterInfo("memory", srv.infoMemory)
	e.RegisterInfo("stats", srv.infoStats)
	e.RegisterInfo("cpu", infoCPU)
	e.RegisterInfo("modules", func(*engine.InfoWriter) {})
	e.RegisterInfo("commandstats", srv.infoCommands)
	e.RegisterInfo("errorstats", srv.infoErrors)
	e.RegisterInfo("latencystats", srv.infoLatency)
	e.RegisterInfo("cluster", func(w *engine.InfoWriter) { w.Field("cluster_enabled", 0) })
	e.RegisterInfo("keyspace", srv.infoKeyspace)
	e.RegisterInfo("understudy", func(w *engine.InfoWriter) { w.Field("understudy_version", srv.version) })
}

func (srv *Server) infoServer(w *engine.InfoWriter) {
	now := time.Now()
	up := int64(now.Sub(srv.start) / time.Second)
	var uts unix.Utsname
	_ = unix.Uname(&uts) // fails for a bad address only
	exe, _ := os.Executable()
	w.Field("redis_version", Version)
	w.Field("redis_git_sha1", "00000000")
	w.Field("redis_git_dirty", 0)
	w.Field("redis_build_id", "0")
	w.Field("redis_mode", "standalone")
	w.Field("understudy_version", srv.version)
	w.Field("os", unix.ByteSliceToString(uts.Sysname[:])+" "+unix.ByteSliceToString(uts.Release[:])+" "+unix.ByteSliceToString(uts.Machine[:]))
	w.Field("arch_bits", 64)
	w.Field("monotonic_clock", "POSIX clock_gettime")
	w.Field("multiplexing_api", "epoll")
	w.Field("atomicvar_api", "go")
	w.Field("go_version", runtime.Version())
	w.Field("process_id", pid())
	w.Field("process_supervised", "no")
	w.Field("run_id", srv.runID)
	w.Field("tcp_port", srv.port.Load())
	w.Field("server_time_usec", now.UnixMicro())
	w.Field("uptime_in_seconds", up)
	w.Field("uptime_in_days", up/86400)
	w.Field("hz", srv.cfg.Int(settings.Hz))
	w.Field("configured_hz", srv.cfg.Int(settings.Hz))
	w.Field("lru_clock", now.Unix()&(1<<24-1))
	w.Field("executable", exe)
	w.Field("config_file", srv.cfg.File())
	w.Field("io_threads_active", 0)
}

func (srv *Server) infoClients(w *engine.InfoWriter) {
	var maxIn, maxOut int64
	normal := 0
	srv.each(func(s *Session) {
		if !s.Has(engine.IsReplica) {
			normal++
		}
		maxIn, maxOut = max(maxIn, s.QueryBytes.Load()), max(maxOut, s.OutputBytes.Load())
	})
	w.Field("connected_clients", normal)
	w.Field("cluster_connections", 0)
	w.Field("maxclients", srv.cfg.Int(settings.MaxClients))
	w.Field("client_recent_max_input_buffer", maxIn)
	w.Field("client_recent_max_output_buffer", maxOut)
	w.Field("blocked_clients", srv.e.Totals().Blocked)
	tracking, _, _, _ := srv.e.TrackingStats()
	w.Field("tracking_clients", tracking)
	w.Field("clients_in_timeout_table", srv.e.Totals().Blocked)
}

func (srv *Server) infoStats(w *engine.InfoWriter) {
	t := srv.e.Totals()
	n, rate := srv.traffic().less(srv.before), srv.rates.latest()
	w.Field("total_connections_received", srv.accepted.Load())
	w.Field("total_commands_processed", t.Commands)
	w.Field("instantaneous_ops_per_sec", int64(rate.ops))
	w.Field("total_net_input_bytes", n.in+n.linkIn)
	w.Field("total_net_output_bytes", n.out+n.linkOut)
	w.Field("total_net_repl_input_bytes", n.linkIn)
	w.Field("total_net_repl_output_bytes", n.linkOut)
	w.Fieldf("instantaneous_input_kbps", "%.2f", (rate.in+rate.linkIn)/1024)
	w.Fieldf("instantaneous_output_kbps", "%.2f", (rate.out+rate.linkOut)/1024)
	w.Fieldf("instantaneous_input_repl_kbps", "%.2f", rate.linkIn/1024)
	w.Fieldf("instantaneous_output_repl_kbps", "%.2f", rate.linkOut/1024)
	w.Field("rejected_connections", srv.rejected.Load())
	w.Field("expired_keys", t.Expired)
	w.Field("expired_stale_perc", "0.00")
	w.Field("expired_time_cap_reached_count", srv.e.ExpireCapped())
	w.Field("expire_cycle_cpu_milliseconds", srv.e.ExpireSpent().Milliseconds())
	w.Field("evicted_keys", t.Evicted)
	w.Field("evicted_clients", srv.evicted.Load())
	exceeded, now := srv.e.OverLimit()
	w.Field("total_eviction_exceeded_time", exceeded.Milliseconds())
	w.Field("current_eviction_exceeded_time", now.Milliseconds())
	w.Field("keyspace_hits", t.Hits)
	w.Field("keyspace_misses", t.Misses)
	w.Field("pubsub_channels", srv.hub.Count(pubsub.Channel))
	w.Field("pubsub_patterns", srv.hub.Count(pubsub.Pattern))
	w.Field("pubsubshard_channels", srv.hub.Count(pubsub.Shard))
	w.Field("latest_fork_usec", 0)
	forks := int64(0)
	if srv.keeper != nil {
		forks = srv.keeper.Begun()
	}
	w.Field("total_forks", forks)
	w.Field("migrate_cached_sockets", srv.migrated())
	for _, none := range []string{"slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses",
		"active_defrag_key_hits", "active_defrag_key_misses", "total_active_defrag_time", "current_active_defrag_time"} {
		w.Field(none, 0)
	}
	_, keys, items, prefixes := srv.e.TrackingStats()
	w.Field("tracking_total_keys", keys)
	w.Field("tracking_total_items", items)
	w.Field("tracking_total_prefixes", prefixes)
	w.Field("unexpected_error_replies", 0)
	w.Field("total_error_replies", t.Errors)
	w.Field("dump_payload_sanitizations", 0)
	w.Field("total_reads_processed", n.reads)
	w.Field("total_writes_processed", n.writes)
	for _, none := range []string{"io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks", "reply_buffer_expands"} {
		w.Field(none, 0) // there are neither such threads nor such buffers
	}
	for reason, name := range map[acl.Reason]string{acl.DeniedAuth: "auth", acl.DeniedCommand: "cmd", acl.DeniedKey: "key", acl.DeniedChannel: "channel"} {
		w.Field("acl_access_denied_"+name, srv.users.denied[reason].Load())
	}
}

func infoCPU(w *engine.InfoWriter) {
	var self, children unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &self) // fails for a bad address only
	_ = unix.Getrusage(unix.RUSAGE_CHILDREN, &children)
	for _, f := range []struct {
		name string
		t    unix.Timeval
	}{
		{"used_cpu_sys", self.Stime}, {"used_cpu_user", self.Utime},
		{"used_cpu_sys_children", children.Stime}, {"used_cpu_user_children", children.Utime},
	} {
		w.Fieldf(f.name, "%d.%06d", f.t.Sec, f.t.Usec)
	}
}

func (srv *Server) infoCommands(w *engine.InfoWriter) {
	srv.e.Commands(func(cmd *command.Cmd, s engine.CommandStats) {
		us := s.Nanos / 1000
		w.Fieldf("cmdstat_"+cmd.FullName, "calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			s.Calls, us, float64(s.Nanos)/1000/float64(max(s.Calls, 1)), s.Rejected, s.Failed)
	})
}

func (srv *Server) infoLatency(w *engine.InfoWriter) {
	percentiles := srv.cfg.Percentiles()
	srv.e.Latencies(func(cmd *command.Cmd, h *engine.Histogram) {
		words := make([]string, len(percentiles))
		for i, p := range percentiles {
			words[i] = "p" + strconv.FormatFloat(p, 'f', -1, 64) + "=" + strconv.FormatFloat(float64(h.Percentile(p))/1000, 'f', 3, 64)
		}
		w.Field("latency_percentiles_usec_"+cmd.FullName, strings.Join(words, ","))
	})
}

func (srv *Server) infoErrors(w *engine.InfoWriter) {
	srv.e.Errors(func(code string, n int64) { w.Fieldf("errorstat_"+code, "count=%d", n) })
}

func (srv *Server) infoKeyspace(w *engine.InfoWriter) {
	st := srv.e.Store()
	for i := range st.Databases() {
		if db := st.DB(i); db.Len() > 0 {
			w.Fieldf("db"+itoa(i), "keys=%d,expires=%d,avg_ttl=%d", db.Len(), db.Expires(), averageTTL(db))
		}
	}
}

// ttlSamples are the keys whose average is shown: Redis, too, judges by those that its cycle has met.
const ttlSamples = 64

// averageTTL estimates how many milliseconds the keys of a database that expire have left.
func averageTTL(db *store.DB) int64 {
	now, sum, n := time.Now().UnixMilli(), 0.0, 0.0
	db.Sample(rand.Uint64(), ttlSamples, true, func(e store.Entry) {
		if left := e.ExpireAt() - now; left > 0 {
			sum += float64(left)
			n++
		}
	})
	return int64(sum / max(n, 1))
}

// human prints bytes as Redis does.
func human(n int64) string {
	switch f := float64(n); {
	case n < 1<<10:
		return fmt.Sprintf("%dB", n)
	case n < 1<<20:
		return fmt.Sprintf("%.2fK", f/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.2fM", f/(1<<20))
	case n < 1<<40:
		return fmt.Sprintf("%.2fG", f/(1<<30))
	default:
		return fmt.Sprintf("%.2fT", f/(1<<40))
	}
}

func percent(a, b int64) float64 { return 100 * float64(a) / float64(max(b, 1)) }

// ResidentBytes is the resident set of this process, 0 where /proc does not tell.
func ResidentBytes() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(data), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

func systemMemory() int64 {
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
}

// InfoText is INFO for those without a client, as for a report or a metrics page.
func (srv *Server) InfoText(sections ...string) string {
	var text []byte
	srv.e.Exclusive(func() { text = srv.e.Info(sections...) })
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}
