// Package diff runs the same random commands on a real redis-server and on ours and compares what comes back: replies,
// the data set at the end, and the effects on the replication stream.
//
// Commands are made from the argument shapes in the command table, so that a new row is tested as soon as it has a
// handler. The seed is printed; a sequence that once differed is kept as a table case in cases_test.go.
package diff
