// Package settings holds the server's directives: one table row per directive, and everything that
// reads or changes a value.
//
// A row (table.go) names the directive, its old alias, its kind, default, limits and mutability; a
// directive that is accepted only so that existing files load says why it has no effect, and one
// whose value would promise something that the server does not do refuses every value but the
// default. The names, defaults, limits and error texts are those of Redis 7.0 (`CONFIG GET *`, and
// the texts printed by redis-server on a bad file); directives of our own are in own.go.
//
// Values live in one atomic pointer per directive: reading one never locks, so handlers under the
// engine's lock and event loops read them directly:
//
//	cfg.Int(settings.MaxMemory)   cfg.Bool(settings.ReplicaReadOnly)   cfg.Enum(settings.LogLevel)
//
// Changes come from four places, in this order of precedence: the file (with `include`), standard
// input (`-`), `--directive value` flags, CONFIG SET. Whoever must act on a change registers a hook
// with OnChange; a hook that fails rolls the whole CONFIG SET back.
//
// The package must not open listeners, start goroutines or know what a directive does.
package settings
