// Package simtest is a fake world in which the real fencing machines (server/repl/fence) and the real
// plan (controllers/plan) live through faults, driven by one seeded scheduler: no goroutine, no clock,
// no socket. The same seed gives the same trace.
//
// The world has nodes, pods, containers and processes with drifting clocks; a network that loses,
// delays, duplicates and reorders; an API server with compare-and-set; kubelets; two operators with
// leader election; clients that try to write to everybody, always. S1 to S9 are checked at every step
// against the true contents of every log, not against what anybody believes. When the faults stop the
// world must settle: one master, every member in sync, equal data.
//
//	go test ./controllers/simtest -run Seeds -seeds 2000          many seeds
//	go test ./controllers/simtest -run Seeds -seed 4711 -trace    one seed, told step by step
//	go test ./controllers/simtest -run Seeds -minutes 3           for as long
//	go test ./controllers/simtest -run Stories -rewrite           golden stories again
//
// The package models the drivers (what server/manage, server/link and the operator's own packages do
// around the pure cores); it must not copy their decisions: those come from the real code.
package simtest
