package settings

// ours marks a directive that is given at start. CONFIG GET shows it under its exact name only: tools that set what
// CONFIG GET * shows know which of Redis's directives cannot be set, and not that ours cannot.
func (d Directive) ours() Directive { return d.fixed().with(flagHidden) }

// own lists the directives that Redis does not have.
var own = []Directive{
	// The guard of a server that nobody manages (invariant S2): a server that booted empty refuses to
	// feed a full sync to a replica that presents an unrelated, non-empty history, and a replica keeps
	// its data when an automatic reconnect meets such a server.
	boolean("full-sync-guard", true),
	// repl-rewind-heartbeats: a stream that ends with heartbeats which the master to follow never got goes back to where the two
	// part, instead of a full sync. A managed member always does; redis-server, whose tests count full syncs, never.
	boolean("repl-rewind-heartbeats", false),
	// repl-disk-backlog-size is how much of the stream may wait on disk, in dir, for replicas that are slower than the
	// writes; 0: they are served from memory and dropped by client-output-buffer-limit, as in Redis.
	memory("repl-disk-backlog-size", "0", 0, maxInt64),
	// synchronous-replicas is how many replicas must hold everything that a reply reflects before it leaves (invariant S6); a
	// managed member is told by its operator instead. synchronous-timeout, in milliseconds, ends the wait with an error
	// that calls the outcome unknown.
	integer("synchronous-replicas", "0", 0, 64),
	integer("synchronous-timeout", "2000", 1, maxInt32),
	// Managed mode: parked boot, roles under terms, orders over the management listener.
	boolean("managed", false).ours().with(flagBareYes),
	boolean("supervise", false).ours().with(flagBareYes),
	text("set-uid", "").ours(),  // of the ReplicaSet this server is a member of; a foreign one is refused
	text("pod-uid", "").ours(),  // of the pod: the voter's identity
	text("pod-name", "").ours(), // of the pod: the member's name
	text("management-addr", ":7946").ours(),
	text("management-cert-dir", "").ours(), // tls.crt, tls.key, ca.crt; read again when they change
	// http-addr serves /livez, /readyz and /metrics over plain HTTP; empty: not served.
	text("http-addr", "").ours(),
	// password-file holds the password, so that it never stands in arguments or in the environment;
	// it is read again when it changes.
	text("password-file", "").ours(),
	// state-dir keeps what must outlive the process but not the pod: the count of starts, sockets,
	// spill files. Empty: dir.
	text("state-dir", "").ours(),
	// primary-port is for clients that want the master of the set, whichever member that is: a member that is not relays
	// them. 0: there is none.
	integer("primary-port", "0", 0, 65535).ours(),
	// ack-log keeps, in the named file, the intervals of the boot clock in which writes were
	// acknowledged: evidence for tests that there is never more than one writer. Empty: not kept.
	text("ack-log", "").ours(),
}
