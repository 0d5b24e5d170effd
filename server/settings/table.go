package settings

// Reasons of directives that are read, checked and shown, and change nothing.
const (
	notCluster   = "the server has no cluster mode"
	notTLS       = "client TLS is not served by this build"
	notAOF       = "the append-only file is not written by this build"
	notLists     = "lists are not stored by this build"
	notScripts   = "scripts are not run by this build"
	notTracking  = "client-side caching is not served by this build"
	notModules   = "modules are not loaded"
	notACLFile   = "users other than default are not kept by this build"
	notFork      = "nothing forks: snapshots are cut inside the process"
	notAllocator = "memory is kept in the server's own slabs, which need no defragmentation"
	notThreads   = "background work is scheduled by the Go runtime"
	notTitle     = "the process keeps its name"
	notSyslog    = "logs go to logfile or standard output"
	notLazy      = "big values are always released in the background"
	notRehash    = "tables grow in steps that never stall a batch"
	notCrashLog  = "the Go runtime prints the crash report"
	notLatency   = "latency is not monitored by this build"
	notOOMScore  = "there is no child process whose score would differ"
)

// table lists every directive of Redis 7.0, by kind; own.go adds ours.
var table = []Directive{
	boolean("rdbchecksum", true).fixed(),
	boolean("daemonize", false).fixed().inert("the server stays in the foreground: whatever started it keeps it"),
	boolean("io-threads-do-reads", false).fixed().inert("event loops always read and parse"),
	boolean("always-show-logo", false).fixed(),
	boolean("protected-mode", true),
	boolean("rdbcompression", true),
	boolean("rdb-del-sync-files", false).inert("files made for a full sync never stay"),
	boolean("activerehashing", true).inert(notRehash),
	boolean("stop-writes-on-bgsave-error", true),
	boolean("set-proc-title", true).fixed().inert(notTitle),
	boolean("dynamic-hz", true).inert(notThreads),
	boolean("lazyfree-lazy-eviction", false).inert(notLazy),
	boolean("lazyfree-lazy-expire", false).inert(notLazy),
	boolean("lazyfree-lazy-server-del", false).inert(notLazy),
	boolean("lazyfree-lazy-user-del", false).inert(notLazy),
	boolean("lazyfree-lazy-user-flush", false).inert(notLazy),
	boolean("repl-disable-tcp-nodelay", false),
	boolean("repl-diskless-sync", true),
	boolean("aof-rewrite-incremental-fsync", true).inert(notAOF),
	boolean("no-appendfsync-on-rewrite", false).inert(notAOF),
	boolean("cluster-require-full-coverage", true).inert(notCluster),
	boolean("rdb-save-incremental-fsync", true),
	boolean("aof-load-truncated", true).inert(notAOF),
	boolean("aof-use-rdb-preamble", true).inert(notAOF),
	boolean("aof-timestamp-enabled", false).inert(notAOF),
	boolean("cluster-replica-no-failover", false).alias("cluster-slave-no-failover").inert(notCluster),
	boolean("replica-lazy-flush", false).alias("slave-lazy-flush").inert(notLazy),
	boolean("replica-serve-stale-data", true).alias("slave-serve-stale-data"),
	boolean("replica-read-only", true).alias("slave-read-only"),
	boolean("replica-ignore-maxmemory", true).alias("slave-ignore-maxmemory"),
	boolean("jemalloc-bg-thread", true).inert(notAllocator),
	boolean("activedefrag", false).inert(notAllocator),
	boolean("syslog-enabled", false).fixed().inert(notSyslog),
	boolean("cluster-enabled", false).fixed().only(notCluster),
	boolean("appendonly", false).with(flagDenyLoading).only(notAOF + ": use save points"),
	boolean("cluster-allow-reads-when-down", false).inert(notCluster),
	boolean("cluster-allow-pubsubshard-when-down", true).inert(notCluster),
	boolean("crash-log-enabled", true).inert(notCrashLog),
	boolean("crash-memcheck-enabled", true).inert(notCrashLog),
	boolean("use-exit-on-panic", false).with(flagHidden).inert(notCrashLog),
	boolean("disable-thp", true).fixed().inert(notFork),
	boolean("cluster-allow-replica-migration", true).inert(notCluster),
	boolean("replica-announced", true),
	boolean("latency-tracking", true),
	boolean("aof-disable-auto-gc", false).inert(notAOF),
	boolean("replica-ignore-disk-write-errors", false).inert("a replica goes on when it cannot save"),
	boolean("tls-cluster", false).inert(notCluster),
	boolean("tls-replication", false).only(notTLS),
	boolean("tls-prefer-server-ciphers", false).inert(notTLS),
	boolean("tls-session-caching", true).inert(notTLS),

	text("aclfile", "").fixed().only(notACLFile),
	text("unixsocket", "").fixed(),
	text("pidfile", "").fixed(),
	text("replica-announce-ip", "").alias("slave-announce-ip"),
	text("masteruser", "").with(flagSensitive),
	text("cluster-announce-ip", "").inert(notCluster),
	text("cluster-config-file", "nodes.conf").fixed().inert(notCluster),
	text("cluster-announce-hostname", "").check(checkHostname).inert(notCluster),
	text("syslog-ident", "redis").fixed().inert(notSyslog),
	text("dbfilename", "dump.rdb").with(flagProtected).check(baseName("dbfilename", "filename", true)),
	text("appendfilename", "appendonly.aof").fixed().check(baseName("appendfilename", "filename", false)).inert(notAOF),
	text("appenddirname", "appendonlydir").fixed().check(baseName("appenddirname", "dirname", false)).inert(notAOF),
	text("server_cpulist", "").fixed().inert(notThreads),
	text("bio_cpulist", "").fixed().inert(notThreads),
	text("aof_rewrite_cpulist", "").fixed().inert(notThreads),
	text("bgsave_cpulist", "").fixed().inert(notThreads),
	text("ignore-warnings", "").inert("no warning of the system's settings is fatal"),
	text("proc-title-template", "{title} {listen-addr} {server-mode}").check(checkTitle).inert(notTitle),
	text("bind-source-addr", ""),
	text("logfile", "").fixed(),
	text("masterauth", "").with(flagSensitive),
	text("requirepass", "").with(flagSensitive),
	text("tls-cert-file", "").inert(notTLS),
	text("tls-key-file", "").inert(notTLS),
	text("tls-key-file-pass", "").with(flagSensitive).inert(notTLS),
	text("tls-client-cert-file", "").inert(notTLS),
	text("tls-client-key-file", "").inert(notTLS),
	text("tls-client-key-file-pass", "").with(flagSensitive).inert(notTLS),
	text("tls-dh-params-file", "").inert(notTLS),
	text("tls-ca-cert-file", "").inert(notTLS),
	text("tls-ca-cert-dir", "").inert(notTLS),
	text("tls-protocols", "").inert(notTLS),
	text("tls-ciphers", "").inert(notTLS),
	text("tls-ciphersuites", "").inert(notTLS),

	enum("supervised", "no", "upstart", "systemd", "auto", "no").fixed().inert("no readiness protocol of an init system is spoken"),
	enum("syslog-facility", "local0", "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7").fixed().inert(notSyslog),
	enum("repl-diskless-load", "disabled", "disabled", "on-empty-db", "swapdb").with(flagDenyLoading),
	enum("loglevel", "notice", "debug", "verbose", "notice", "warning"),
	enum("maxmemory-policy", "noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
		"allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"),
	enum("appendfsync", "everysec", "everysec", "always", "no").inert(notAOF),
	enum("oom-score-adj", "no", "no", "yes", "relative", "absolute").numbered(0, 1, 1, 2).inert(notOOMScore),
	enum("acl-pubsub-default", "resetchannels", "allchannels", "resetchannels").inert(notACLFile),
	enum("sanitize-dump-payload", "no", "no", "yes", "clients").inert("every payload is checked"),
	enum("enable-protected-configs", "no", "no", "yes", "local").fixed(),
	enum("enable-debug-command", "no", "no", "yes", "local").fixed(),
	enum("enable-module-command", "no", "no", "yes", "local").fixed().inert(notModules),
	enum("cluster-preferred-endpoint-type", "ip", "ip", "hostname", "unknown-endpoint").inert(notCluster),
	enum("propagation-error-behavior", "ignore", "ignore", "panic", "panic-on-replicas").inert("a command that a replica cannot apply ends its link"),
	enum("tls-auth-clients", "yes", "no", "yes", "optional").inert(notTLS),
	shutdownWords("shutdown-on-sigint"),
	shutdownWords("shutdown-on-sigterm"),

	integer("databases", "16", 1, maxInt32).fixed(),
	integer("port", "6379", 0, 65535),
	integer("io-threads", "1", 1, 128).fixed(), // the number of event loops; when nothing says it, it follows the cores
	integer("auto-aof-rewrite-percentage", "100", 0, maxInt32).inert(notAOF),
	integer("cluster-replica-validity-factor", "10", 0, maxInt32).alias("cluster-slave-validity-factor").inert(notCluster),
	integer("list-max-listpack-size", "-2", -maxInt32-1, maxInt32).alias("list-max-ziplist-size").inert(notLists),
	integer("tcp-keepalive", "300", 0, maxInt32),
	integer("cluster-migration-barrier", "1", 0, maxInt32).inert(notCluster),
	integer("active-defrag-cycle-min", "1", 1, 99).inert(notAllocator),
	integer("active-defrag-cycle-max", "25", 1, 99).inert(notAllocator),
	integer("active-defrag-threshold-lower", "10", 0, 1000).inert(notAllocator),
	integer("active-defrag-threshold-upper", "100", 0, 1000).inert(notAllocator),
	integer("lfu-log-factor", "10", 0, maxInt32),
	integer("lfu-decay-time", "1", 0, maxInt32),
	integer("replica-priority", "100", 0, maxInt32).alias("slave-priority"),
	integer("repl-diskless-sync-delay", "5", 0, maxInt32),
	integer("maxmemory-samples", "5", 1, maxInt32),
	integer("maxmemory-eviction-tenacity", "10", 0, 100),
	integer("timeout", "0", 0, maxInt32),
	integer("replica-announce-port", "0", 0, 65535).alias("slave-announce-port"),
	integer("tcp-backlog", "511", 0, maxInt32).fixed(),
	integer("cluster-port", "0", 0, 65535).fixed().inert(notCluster),
	integer("cluster-announce-bus-port", "0", 0, 65535).inert(notCluster),
	integer("cluster-announce-port", "0", 0, 65535).inert(notCluster),
	integer("cluster-announce-tls-port", "0", 0, 65535).inert(notCluster),
	integer("repl-timeout", "60", 1, maxInt32),
	integer("repl-ping-replica-period", "10", 1, maxInt32).alias("repl-ping-slave-period"),
	integer("list-compress-depth", "0", 0, maxInt32).inert(notLists),
	integer("rdb-key-save-delay", "0", -maxInt32-1, maxInt32).with(flagHidden),
	integer("key-load-delay", "0", -maxInt32-1, maxInt32).with(flagHidden),
	integer("active-expire-effort", "1", 1, 10).inert("the expiry cycle follows the number of expired keys"),
	integer("hz", "10", 0, maxInt32).check(clampHz).inert(notThreads),
	integer("min-replicas-to-write", "0", 0, maxInt32).alias("min-slaves-to-write"),
	integer("min-replicas-max-lag", "10", 0, maxInt32).alias("min-slaves-max-lag"),
	integer("watchdog-period", "0", 0, maxInt32).with(flagHidden).inert(notCrashLog),
	integer("shutdown-timeout", "10", 0, maxInt32),
	integer("repl-diskless-sync-max-replicas", "0", 0, maxInt32),
	integer("maxclients", "10000", 1, maxUint32),
	{Name: "unixsocketperm", kind: kindOctal, def: "0", lo: 0, hi: 0o777, flags: flagImmutable},
	integer("active-defrag-max-scan-fields", "1000", 1, maxInt64).inert(notAllocator),
	integer("slowlog-max-len", "128", 0, maxInt64),
	integer("acllog-max-len", "128", 0, maxInt64).inert(notACLFile),
	integer("busy-reply-threshold", "5000", 0, maxInt64).alias("lua-time-limit").inert(notScripts),
	integer("cluster-node-timeout", "15000", 0, maxInt64).inert(notCluster),
	integer("slowlog-log-slower-than", "10000", -1, maxInt64),
	integer("latency-monitor-threshold", "0", 0, maxInt64).inert(notLatency),
	integer("stream-node-max-entries", "100", 0, maxInt64),
	integer("hash-max-listpack-entries", "512", 0, maxInt64).alias("hash-max-ziplist-entries"),
	integer("set-max-intset-entries", "512", 0, maxInt64),
	integer("zset-max-listpack-entries", "128", 0, maxInt64).alias("zset-max-ziplist-entries"),
	integer("tracking-table-max-keys", "1000000", 0, maxInt64).inert(notTracking),
	integer("repl-backlog-ttl", "3600", 0, maxInt64),
	integer("loading-process-events-interval-bytes", "2097152", 1024, maxInt32).with(flagHidden),
	integer("tls-port", "0", 0, 65535).only(notTLS),
	integer("tls-session-cache-size", "20480", 0, maxInt32).inert(notTLS),
	integer("tls-session-cache-timeout", "300", 0, maxInt32).inert(notTLS),
	integer("socket-mark-id", "0", 0, maxUint32).fixed().inert("sockets are not marked"),

	memory("proto-max-bulk-len", "536870912", 1<<20, maxInt64),
	memory("repl-backlog-size", "1048576", 1, maxInt64).check(atLeast(16 << 10)),
	memory("maxmemory", "0", 0, -1).with(flagUnsigned),
	memory("cluster-link-sendbuf-limit", "0", 0, -1).with(flagUnsigned).inert(notCluster),
	memory("active-defrag-ignore-bytes", "104857600", 1, maxInt64).inert(notAllocator),
	memory("hash-max-listpack-value", "64", 0, maxInt64).alias("hash-max-ziplist-value"),
	memory("stream-node-max-bytes", "4096", 0, maxInt64),
	memory("zset-max-listpack-value", "64", 0, maxInt64).alias("zset-max-ziplist-value"),
	memory("hll-sparse-max-bytes", "3000", 0, maxInt64),
	memory("client-query-buffer-limit", "1073741824", 1<<20, maxInt64),
	{Name: "maxmemory-clients", kind: kindPercentOrMemory, def: "0", lo: -100, hi: maxInt64,
		Inert: "clients are limited one by one: client-output-buffer-limit, client-query-buffer-limit"},
	memory("auto-aof-rewrite-min-size", "67108864", 0, maxInt64).inert(notAOF),

	other("dir", "", &dirValue).with(flagProtected | flagDenyLoading),
	other("save", "3600 1 300 100 60 10000", &saveValue).with(flagMultiArg),
	other("client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", &outputLimitValue).with(flagMultiArg),
	other("oom-score-adj-values", "0 200 800", &oomScoreValue).with(flagMultiArg).inert(notOOMScore),
	other("notify-keyspace-events", "", &notifyValue),
	other("bind", "* -::*", &bindValue).with(flagMultiArg),
	other("replicaof", "", &replicaOfValue).alias("slaveof").with(flagMultiArg).fixed(),
	other("latency-tracking-info-percentiles", "50 99 99.9", &percentilesValue).with(flagMultiArg),
}

func shutdownWords(name string) Directive {
	d := enum(name, "default", "default", "save", "nosave", "now", "force").numbered(0, 1, 2, 4, 8).with(flagMultiArg)
	d.kind = kindEnumSet
	return d.check(func(v *value) error {
		if v.num&3 == 3 {
			return reason("shutdown options SAVE and NOSAVE can't be used simultaneously")
		}
		return nil
	})
}
