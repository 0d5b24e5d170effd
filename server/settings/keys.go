package settings

// Typed names of the directives that code reads. A name of the wrong type does not compile; a name
// that the table does not hold panics when the program starts.
type (
	BoolKey   struct{ index int }
	IntKey    struct{ index int } // numbers and memory sizes in bytes
	EnumKey   struct{ index int }
	StringKey struct{ index int }
)

func boolKey(name string) BoolKey { return BoolKey{keyOf(name, kindBool)} }
func intKey(name string) IntKey {
	return IntKey{keyOf(name, kindInt, kindMemory, kindOctal, kindPercentOrMemory)}
}
func enumKey(name string) EnumKey     { return EnumKey{keyOf(name, kindEnum, kindEnumSet)} }
func stringKey(name string) StringKey { return StringKey{keyOf(name, kindString)} }

func keyOf(name string, kinds ...kind) int {
	d := Lookup(name)
	if d == nil || d.Name != name {
		panic("settings: no directive " + name)
	}
	for _, k := range kinds {
		if d.kind == k {
			return d.index
		}
	}
	panic("settings: " + name + " is of another type")
}

var (
	CrashLogEnabled        = boolKey("crash-log-enabled")
	RDBChecksum            = boolKey("rdbchecksum")
	RDBCompression         = boolKey("rdbcompression")
	RDBDelSyncFiles        = boolKey("rdb-del-sync-files")
	RDBSaveIncremental     = boolKey("rdb-save-incremental-fsync")
	Daemonize              = boolKey("daemonize")
	AlwaysShowLogo         = boolKey("always-show-logo")
	SetProcTitle           = boolKey("set-proc-title")
	ProtectedMode          = boolKey("protected-mode")
	StopWritesOnSaveError  = boolKey("stop-writes-on-bgsave-error")
	ReplDisableTCPNoDelay  = boolKey("repl-disable-tcp-nodelay")
	ReplDisklessSync       = boolKey("repl-diskless-sync")
	ReplicaServeStaleData  = boolKey("replica-serve-stale-data")
	ReplicaReadOnly        = boolKey("replica-read-only")
	LatencyTracking        = boolKey("latency-tracking")
	ReplicaIgnoreMaxMemory = boolKey("replica-ignore-maxmemory")
	ReplicaAnnounced       = boolKey("replica-announced")
	AppendOnly             = boolKey("appendonly")
	AOFTimestamps          = boolKey("aof-timestamp-enabled")
	AOFLoadTruncated       = boolKey("aof-load-truncated")
	AOFUseRDBPreamble      = boolKey("aof-use-rdb-preamble")
	AOFRewriteIncremental  = boolKey("aof-rewrite-incremental-fsync")
	AOFDisableAutoGC       = boolKey("aof-disable-auto-gc")
	NoAppendFsyncOnRewrite = boolKey("no-appendfsync-on-rewrite")
	TLSReplication         = boolKey("tls-replication")
	TLSSessionCaching      = boolKey("tls-session-caching")
	FullSyncGuard          = boolKey("full-sync-guard")
	ReplRewindHeartbeats   = boolKey("repl-rewind-heartbeats")
	Managed                = boolKey("managed")
	Supervise              = boolKey("supervise")

	ProcTitleTemplate    = stringKey("proc-title-template")
	TLSCertFile          = stringKey("tls-cert-file")
	TLSKeyFile           = stringKey("tls-key-file")
	TLSKeyFilePass       = stringKey("tls-key-file-pass")
	TLSClientCertFile    = stringKey("tls-client-cert-file")
	TLSClientKeyFile     = stringKey("tls-client-key-file")
	TLSClientKeyFilePass = stringKey("tls-client-key-file-pass")
	TLSCACertFile        = stringKey("tls-ca-cert-file")
	TLSCACertDir         = stringKey("tls-ca-cert-dir")
	TLSProtocols         = stringKey("tls-protocols")
	TLSCiphers           = stringKey("tls-ciphers")
	TLSCipherSuites      = stringKey("tls-ciphersuites")
	UnixSocket           = stringKey("unixsocket")
	PidFile              = stringKey("pidfile")
	ReplicaAnnounceIP    = stringKey("replica-announce-ip")
	MasterUser           = stringKey("masteruser")
	ACLFile              = stringKey("aclfile")
	MasterAuth           = stringKey("masterauth")
	RequirePass          = stringKey("requirepass")
	DBFilename           = stringKey("dbfilename")
	AppendFilename       = stringKey("appendfilename")
	AppendDirName        = stringKey("appenddirname")
	LogFile              = stringKey("logfile")
	BindSourceAddr       = stringKey("bind-source-addr")
	ManagementAddr       = stringKey("management-addr")
	ManagementCertDir    = stringKey("management-cert-dir")
	HTTPAddr             = stringKey("http-addr")
	SetUID               = stringKey("set-uid")
	PodUID               = stringKey("pod-uid")
	PodName              = stringKey("pod-name")
	StateDir             = stringKey("state-dir")
	AckLog               = stringKey("ack-log")
	PasswordFile         = stringKey("password-file")

	TLSAuthClients         = enumKey("tls-auth-clients")
	AppendFsync            = enumKey("appendfsync")
	ReplDisklessLoad       = enumKey("repl-diskless-load")
	LogLevel               = enumKey("loglevel")
	MaxMemoryPolicy        = enumKey("maxmemory-policy")
	ACLPubSubDefault       = enumKey("acl-pubsub-default")
	EnableProtectedConfigs = enumKey("enable-protected-configs")
	EnableDebugCommand     = enumKey("enable-debug-command")
	EnableModuleCommand    = enumKey("enable-module-command")
	OOMScoreAdj            = enumKey("oom-score-adj")
	ShutdownOnSigint       = enumKey("shutdown-on-sigint")
	ShutdownOnSigterm      = enumKey("shutdown-on-sigterm")
	BusyReplyThreshold     = intKey("busy-reply-threshold")

	AutoAOFRewritePercentage  = intKey("auto-aof-rewrite-percentage")
	AutoAOFRewriteMinSize     = intKey("auto-aof-rewrite-min-size")
	Databases                 = intKey("databases")
	Port                      = intKey("port")
	TLSPort                   = intKey("tls-port")
	PrimaryPort               = intKey("primary-port")
	TCPKeepalive              = intKey("tcp-keepalive")
	TCPBacklog                = intKey("tcp-backlog")
	Timeout                   = intKey("timeout")
	MaxClients                = intKey("maxclients")
	UnixSocketPerm            = intKey("unixsocketperm")
	LFULogFactor              = intKey("lfu-log-factor")
	LFUDecayTime              = intKey("lfu-decay-time")
	MaxMemory                 = intKey("maxmemory")
	MaxMemorySamples          = intKey("maxmemory-samples")
	MaxMemoryEvictionTenacity = intKey("maxmemory-eviction-tenacity")
	MaxMemoryClients          = intKey("maxmemory-clients") // negative: percent of maxmemory
	TrackingTableMaxKeys      = intKey("tracking-table-max-keys")
	ReplicaPriority           = intKey("replica-priority")
	ReplicaAnnouncePort       = intKey("replica-announce-port")
	ReplDisklessSyncDelay     = intKey("repl-diskless-sync-delay")
	ReplDisklessMaxReplicas   = intKey("repl-diskless-sync-max-replicas")
	SynchronousReplicas       = intKey("synchronous-replicas")
	SynchronousTimeout        = intKey("synchronous-timeout")
	ReplTimeout               = intKey("repl-timeout")
	ReplPingReplicaPeriod     = intKey("repl-ping-replica-period")
	ReplBacklogSize           = intKey("repl-backlog-size")
	ReplBacklogTTL            = intKey("repl-backlog-ttl")
	ReplDiskBacklogSize       = intKey("repl-disk-backlog-size")
	MinReplicasToWrite        = intKey("min-replicas-to-write")
	MinReplicasMaxLag         = intKey("min-replicas-max-lag")
	ActiveExpireEffort        = intKey("active-expire-effort")
	Hz                        = intKey("hz")
	IOThreads                 = intKey("io-threads")
	ShutdownTimeout           = intKey("shutdown-timeout")
	SlowlogMaxLen             = intKey("slowlog-max-len")
	ACLLogMaxLen              = intKey("acllog-max-len")
	SlowlogLogSlowerThan      = intKey("slowlog-log-slower-than")
	LatencyMonitorThreshold   = intKey("latency-monitor-threshold")
	HashMaxListpackEntries    = intKey("hash-max-listpack-entries")
	HashMaxListpackValue      = intKey("hash-max-listpack-value")
	SetMaxIntsetEntries       = intKey("set-max-intset-entries")
	StreamNodeMaxBytes        = intKey("stream-node-max-bytes")
	StreamNodeMaxEntries      = intKey("stream-node-max-entries")
	HLLSparseMaxBytes         = intKey("hll-sparse-max-bytes")
	ZSetMaxListpackEntries    = intKey("zset-max-listpack-entries")
	ZSetMaxListpackValue      = intKey("zset-max-listpack-value")
	ProtoMaxBulkLen           = intKey("proto-max-bulk-len")
	ClientQueryBufferLimit    = intKey("client-query-buffer-limit")
	RDBKeySaveDelay           = intKey("rdb-key-save-delay")
	KeyLoadDelay              = intKey("key-load-delay")
)

// Values of enums that code compares with.
const (
	DisklessLoadDisabled  = 0
	DisklessLoadOnEmptyDB = 1
	DisklessLoadSwapDB    = 2

	FsyncEverySec = 0
	FsyncAlways   = 1
	FsyncNo       = 2

	LogDebug   = 0
	LogVerbose = 1
	LogNotice  = 2
	LogWarning = 3

	OOMScoreNo       = 0 // of oom-score-adj; yes is relative
	OOMScoreRelative = 1
	OOMScoreAbsolute = 2

	ActionNo    = 0 // of the enable-* directives
	ActionYes   = 1
	ActionLocal = 2

	// Bits of shutdown-on-sigint and shutdown-on-sigterm.
	ShutdownDefault = 0
	ShutdownSave    = 1
	ShutdownNoSave  = 2
	ShutdownNow     = 4
	ShutdownForce   = 8
)
