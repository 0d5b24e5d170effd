package settings

// own lists the directives that Redis does not have.
var own = []Directive{
	// The guard of a server that nobody manages (invariant S2): a server that booted empty refuses to
	// feed a full sync to a replica that presents an unrelated, non-empty history, and a replica keeps
	// its data when an automatic reconnect meets such a server.
	boolean("full-sync-guard", true),
	// Managed mode: parked boot, roles under terms, orders over the management listener.
	boolean("managed", false).fixed().with(flagBareYes),
	boolean("supervise", false).fixed().with(flagBareYes),
	text("set-uid", "").fixed(),  // of the ReplicaSet this server is a member of; a foreign one is refused
	text("pod-uid", "").fixed(),  // of the pod: the voter's identity
	text("pod-name", "").fixed(), // of the pod: the member's name
	text("management-addr", ":7946").fixed(),
	text("management-cert-dir", "").fixed(), // tls.crt, tls.key, ca.crt; read again when they change
	// http-addr serves /livez, /readyz and /metrics over plain HTTP; empty: not served.
	text("http-addr", "").fixed(),
	// password-file holds the password, so that it never stands in arguments or in the environment;
	// it is read again when it changes.
	text("password-file", "").fixed(),
	// state-dir keeps what must outlive the process but not the pod: the count of starts, sockets,
	// spill files. Empty: dir.
	text("state-dir", "").fixed(),
	// ack-log keeps, in the named file, the intervals of the boot clock in which writes were
	// acknowledged: evidence for tests that there is never more than one writer. Empty: not kept.
	text("ack-log", "").fixed(),
}
