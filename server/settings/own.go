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
	text("management-addr", ":16379").fixed(),
	text("management-cert-dir", "").fixed(),
	// probe-addr serves /livez, /readyz and /metrics over plain HTTP; empty: not served.
	text("probe-addr", "").fixed(),
	// password-file holds the password of requirepass and masterauth, so that it never stands in
	// arguments or in the environment; it is read again when it changes.
	text("password-file", "").fixed(),
}
