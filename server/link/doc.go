// Package link drives the state machines of package repl over sockets: it is the replication of one server, as master of
// its replicas and as replica of its master, with the commands that steer and show it (REPLICAOF, SYNC, PSYNC, REPLCONF,
// WAIT, ROLE, FAILOVER, the replication section of INFO).
//
// It decides nothing about the protocol (repl does), keeps no byte of the stream (oplog does) and executes no command
// (engine does).
//
//	node.go        the Node: role, settings, clock                cron.go      what time brings: PING, timeouts, limits, TTL
//	upstream.go    the link to the master: dial, read, act        peer.go      one replica: its two goroutines
//	receive.go     the payload of a full sync, loaded beside      snapshot.go  cuts for waiting replicas, to disk or straight to
//	               the old data and swapped in in one step                     their sockets
//	stream.go      the stream: whole transactions, verbatim log   commands.go, wait.go, failover.go, info.go
//
// Locks: the engine's lock comes first, Node.mu second; nobody waits for the engine while holding Node.mu. Handlers run
// with the engine's lock held. The upstream's machine belongs to the upstream's goroutine alone; what others may know of
// it is published in atomics. A peer's machine is guarded by Node.mu.
package link
