// Package command holds the command table: one row per command with its arity, flags, categories, key positions and
// documentation, and the handlers that need nothing but the store.
//
// A row is data. Everything that is checked alike for all commands (arity, authentication, memory, read-only, loading)
// is checked once, in the dispatcher, from the row's flags. A handler that needs more than the store (CONFIG, REPLICAOF,
// CLIENT, MULTI) is attached to its row by the package that owns the state.
//
// Handlers run under the engine's lock on a Ctx: they read Args, change the store, append one reply to Out and say what
// they did: Dirty and Propagate (the effect for replicas and file), Modified (WATCH, client-side caching), Notify
// (keyspace events). They never see a socket, a lock or a clock.
//
// Facts of the rows (arity, flags, key specs, argument shapes, versions) are those of Redis 7; the tests compare them
// with a redis-server where one is installed.
package command
