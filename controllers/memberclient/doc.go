// Package memberclient keeps one mutually authenticated connection to the management listener of every
// member and turns what is said there into facts for package observe.
//
// Its one job is the conversation: it dials, greets, answers lease requests at once and off the work
// queue (through plan.Lessor, with the leadership read after the request arrived: protocol rule 8),
// carries orders, and remembers the last word of each incarnation, the proofs of death and the times.
// It wakes the reconciler when a fact changed. It must not decide anything: what the facts mean is
// plan's business, and silence is only reported as silence.
//
//	Pool -- one Set per resource -- one conn (goroutine) per pod UID
//
// # When a member counts as connected
//
// From Hello on, until the connection ends or nothing was heard for one lease although the member was
// asked in that time. The connection then stays open: a process that was stopped and goes on is
// heard again on it.
package memberclient
