// Package observe reads the cluster and the members into plan.Observed: plain data, printable, and fit
// to be saved as a test case.
//
// The resource itself is read from a quorum at the start of every pass (protocol rules 7 to 9); pods
// and other owned objects come from the watch caches; what the members said comes from memberclient.
// The package must not decide and must not write.
package observe
