// Package manage is a member's side of the conversation with the operator: the management listener
// (lines of api/member over mutual TLS), the driver of the fencing machine (server/repl/fence), the
// durable record of the term, and the plain HTTP listener of /livez, /readyz and /metrics.
//
//	operator ==TLS==> conn --lease, ask--------------------> Driver.mu: fence.Machine --> engine.Gate
//	                   |                                        ^  effects
//	                   +--orders--> queue --> one goroutine ----+--> Node (link, engine, saving)
//
// # Locks
//
// Leases and questions must be answered while a long script holds the engine's lock, or a healthy master
// would be fenced. So nothing that a connection's goroutine does takes that lock: the machine has its own
// (Driver.mu, never held while an effect is carried out), the gate is atomic, reports read atomics. Orders
// that change the role need the engine's lock; they run one after the other in a goroutine of their own,
// in which waiting harms nobody. Heartbeats have another one.
//
// The functions for the replication links (Handshake) may be called with the engine's lock held; they
// take only Driver.mu.
//
// # What may not happen
//
// An answer never leaves before the effects in front of it took hold, the record of the term above all
// (rule 4): when the record cannot be written, the order stays unanswered and the connection ends. The
// gate opens only after every effect of a promotion; it closes with the first effect of an adoption.
package manage
