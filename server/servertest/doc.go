// Package servertest is what tests of replication need: servers of ours in the test's own process, real redis-servers on
// TCP ports, links between them that break on command, and the check with which such a test ends: equal digests at equal
// offsets. It is for tests only.
package servertest
