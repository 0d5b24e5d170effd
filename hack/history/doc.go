// Package history records what clients of a managed set of real processes asked and were answered, while members are killed,
// stopped and cut off and masters change, and lets a linearizability checker judge it (S6). With k = 1 every history must
// be accepted; with k = 0, which is the wait switched off, one must be rejected, and what was lost is counted.
//
//	clients (registers, counters, lists) --> proxies --> primary ports of three members --> the master
//	faults: kill -9, SIGSTOP, partitions, stalled streams; promotions and switchovers by a small operator
//
// It is a module of its own, so that the checker is no dependency of the product.
package history
