package command

// Absent are the commands of Redis 7.0 that this server does not have, subcommands under their full name, with the reason. A
// test compares them with a redis-server's list; docs/commands.md shows them.
var Absent = map[string]string{
	"asking":              reasonCluster,
	"cluster":             reasonCluster,
	"dump":                "not yet",
	"latency":             "not yet; `INFO latencystats` and `SLOWLOG` are there",
	"memory|doctor":       "not yet",
	"memory|malloc-stats": "not yet",
	"memory|purge":        "not yet",
	"memory|stats":        "not yet",
	"migrate":             "not yet",
	"module":              "modules are code for redis-server's process",
	"readonly":            reasonCluster,
	"readwrite":           reasonCluster,
	"restore":             "not yet",
	"restore-asking":      reasonCluster,
}

const (
	reasonCluster = "there is no cluster mode: a set is one master and its replicas"
)
