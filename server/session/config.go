package session

import (
	"errors"
	"strings"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/settings"
)

func (srv *Server) configGet(ctx *command.Ctx) {
	patterns := make([]string, 0, len(ctx.Args)-2)
	for _, a := range ctx.Args[2:] {
		patterns = append(patterns, string(a))
	}
	pairs := srv.cfg.Get(patterns...)
	ctx.Out.Map(len(pairs))
	for _, p := range pairs {
		ctx.Out.BulkString(p.Name)
		ctx.Out.BulkString(p.Value)
	}
}

func (srv *Server) configSet(ctx *command.Ctx) {
	if len(ctx.Args)%2 != 0 {
		ctx.Out.Error(errSyntax)
		return
	}
	var pairs []settings.Pair
	for i := 2; i < len(ctx.Args); i += 2 {
		pairs = append(pairs, settings.Pair{Name: string(ctx.Args[i]), Value: string(ctx.Args[i+1])})
	}
	err := srv.cfg.Set(settings.SetContext{
		Protected: srv.enabled(settings.EnableProtectedConfigs, self(ctx)),
		Loading:   srv.e.State()&(engine.Loading|engine.AsyncLoading) != 0,
	}, pairs...)
	switch {
	case err == nil:
		ctx.Out.OK()
	case errors.Is(err, settings.ErrLoading):
		ctx.Out.Error("-" + err.Error())
	default:
		ctx.Out.Error(err.Error())
	}
}

// enabled answers an enable-* directive for a client: no, yes, or from this machine only.
func (srv *Server) enabled(k settings.EnumKey, s *Session) bool {
	switch srv.cfg.Enum(k) {
	case settings.ActionYes:
		return true
	case settings.ActionLocal:
		return s != nil && (s.Path != "" || s.Remote.Addr().IsLoopback())
	}
	return false
}

func (srv *Server) configRewrite(ctx *command.Ctx) {
	if err := srv.cfg.RewriteFile(fsys.OS{}); err != nil {
		srv.logf("CONFIG REWRITE failed: %v", err)
		ctx.Out.Error(err.Error())
		return
	}
	srv.logf("CONFIG REWRITE executed with success.")
	ctx.Out.OK()
}

func (srv *Server) configResetStat(ctx *command.Ctx) {
	srv.e.ResetStats()
	srv.accepted.Store(0)
	srv.rejected.Store(0)
	srv.evicted.Store(0)
	srv.before = srv.traffic()
	ctx.Out.OK()
}

func configHelp(ctx *command.Ctx) {
	help(ctx, "CONFIG",
		"GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values.",
		"SET <directive> <value>", "    Set the configuration <directive> to <value>.",
		"RESETSTAT", "    Reset statistics reported by the INFO command.",
		"REWRITE", "    Rewrite the configuration file.")
}

// watchSettings follows the directives that the engine and the sessions obey. Hooks run with the lock held (CONFIG SET
// is a command) or before anybody is served.
func (srv *Server) watchSettings() {
	on := func(fn func(), keys ...string) {
		fn()
		srv.cfg.OnChange(func() error { fn(); return nil }, keys...)
	}
	on(srv.followLimits, "proto-max-bulk-len", "lazyfree-lazy-user-del", "lazyfree-lazy-user-flush", "lazyfree-lazy-expire", "lazyfree-lazy-eviction", "lazyfree-lazy-server-del",
		"maxmemory", "maxmemory-policy", "notify-keyspace-events", "hash-max-listpack-entries", "hash-max-listpack-value", "set-max-intset-entries",
		"zset-max-listpack-entries", "zset-max-listpack-value", "hll-sparse-max-bytes", "stream-node-max-bytes", "stream-node-max-entries", "rdbcompression", "lfu-log-factor", "lfu-decay-time")
	on(func() { srv.port.Store(srv.cfg.Int(settings.Port)) }, "port")
	on(func() { srv.e.SetMaxMemory(srv.cfg.Int(settings.MaxMemory)) }, "maxmemory")
	on(func() { srv.maxBulk.Store(srv.cfg.Int(settings.ProtoMaxBulkLen)) }, "proto-max-bulk-len")
	on(srv.followClientLimit, "maxmemory-clients", "maxmemory")
	on(func() { srv.e.SetReplicaIgnoresMaxMemory(srv.cfg.Bool(settings.ReplicaIgnoreMaxMemory)) }, "replica-ignore-maxmemory")
	on(func() {
		srv.e.SetEviction(engine.NewEviction(srv.cfg.EnumName(settings.MaxMemoryPolicy), int(srv.cfg.Int(settings.MaxMemorySamples)),
			int(srv.cfg.Int(settings.MaxMemoryEvictionTenacity))))
	}, "maxmemory-policy", "maxmemory-samples", "maxmemory-eviction-tenacity")
	on(func() { srv.e.PutState(engine.ReadOnly, srv.cfg.Bool(settings.ReplicaReadOnly)) }, "replica-read-only")
	on(func() { srv.e.PutState(engine.ServeStale, srv.cfg.Bool(settings.ReplicaServeStaleData)) }, "replica-serve-stale-data")
	on(func() { srv.e.SetLatencyTracking(srv.cfg.Bool(settings.LatencyTracking)) }, "latency-tracking")
	on(func() { srv.e.SetReplyLimit(int64(srv.cfg.OutputLimits()[settings.ClassNormal].Hard)) }, "client-output-buffer-limit")
	on(srv.followMinReplicas, "min-replicas-to-write", "min-replicas-max-lag")
	on(func() { srv.e.SetTrackingTableMax(srv.cfg.Int(settings.TrackingTableMaxKeys)) }, "tracking-table-max-keys")
	on(srv.followPassword, "requirepass")
	on(func() { srv.e.SetExpireEffort(srv.cfg.Int(settings.ActiveExpireEffort)) }, "active-expire-effort")
	on(func() {
		srv.e.SetSpikeThreshold(time.Duration(srv.cfg.Int(settings.LatencyMonitorThreshold)) * time.Millisecond)
	}, "latency-monitor-threshold")
	on(srv.followSlowlog, "slowlog-log-slower-than", "slowlog-max-len")
}

func (srv *Server) followLimits() {
	conf, st := &srv.e.Conf, srv.e.Store()
	policy := srv.cfg.EnumName(settings.MaxMemoryPolicy)
	conf.MaxBulk = srv.cfg.Int(settings.ProtoMaxBulkLen)
	conf.NoCompression = !srv.cfg.Bool(settings.RDBCompression)
	conf.OwnIntegers = srv.cfg.Int(settings.MaxMemory) > 0 && (strings.HasSuffix(policy, "-lru") || strings.HasSuffix(policy, "-lfu"))
	conf.LazyfreeUserDel = srv.cfg.Value("lazyfree-lazy-user-del") == "yes"
	conf.LazyfreeUserFlush = srv.cfg.Value("lazyfree-lazy-user-flush") == "yes"
	conf.LazyfreeExpire = srv.cfg.Value("lazyfree-lazy-expire") == "yes"
	conf.LazyfreeEviction = srv.cfg.Value("lazyfree-lazy-eviction") == "yes"
	conf.LazyfreeServerDel = srv.cfg.Value("lazyfree-lazy-server-del") == "yes"
	st.CountLazy(conf.LazyfreeServerDel)
	conf.NotifyEvents = command.EventClass(srv.cfg.NotifyEvents())
	st.Config.HashMaxListpackEntries = int(srv.cfg.Int(settings.HashMaxListpackEntries))
	st.Config.HashMaxListpackValue = int(srv.cfg.Int(settings.HashMaxListpackValue))
	conf.HLLSparseMax = srv.cfg.Int(settings.HLLSparseMaxBytes)
	st.Config.SetMaxIntsetEntries = int(srv.cfg.Int(settings.SetMaxIntsetEntries))
	st.Config.StreamNodeMaxBytes = srv.cfg.Int(settings.StreamNodeMaxBytes)
	st.Config.StreamNodeMaxEntries = srv.cfg.Int(settings.StreamNodeMaxEntries)
	st.Config.ZSetMaxListpackEntries = int(srv.cfg.Int(settings.ZSetMaxListpackEntries))
	st.Config.ZSetMaxListpackValue = int(srv.cfg.Int(settings.ZSetMaxListpackValue))
	st.Config.LFU = strings.HasSuffix(policy, "-lfu")
	st.Config.ClockCounts = st.Config.LFU || strings.HasSuffix(policy, "-lru")
	st.Config.LFULogFactor = int(srv.cfg.Int(settings.LFULogFactor))
	st.Config.LFUDecayTime = int(srv.cfg.Int(settings.LFUDecayTime))
}

func (srv *Server) followMinReplicas() {
	n := srv.cfg.Int(settings.MinReplicasToWrite)
	if srv.cfg.Int(settings.MinReplicasMaxLag) == 0 {
		n = 0
	}
	srv.e.SetMinReplicas(int(n))
}

func (srv *Server) followSlowlog() {
	us := srv.cfg.Int(settings.SlowlogLogSlowerThan)
	srv.e.SetSlow(time.Duration(us) * time.Microsecond)
}
