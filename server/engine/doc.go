// Package engine executes commands: it is the only writer of the store and the only owner of its lock.
//
// An event loop hands a Lane (one per loop) the commands that it has parsed; the lane takes the lock once for a hold of
// at most 256 commands or 200 us, shared when all of them only read, exclusive otherwise, runs the checks that are alike
// for all commands (dispatch.go), calls the handlers, and appends what they did to the one log (propagate.go) before it
// lets go. Replies are in the lane's Writer afterwards; whether they may leave is the Gate's word (invariant S1).
//
//	loop: read, parse --> Lane.Run: [lock] check, execute, propagate [unlock] --> Gate.MayLeave --> write
//
// Others reach the data through Exclusive, Shared and Background, and a replica's link through an Applier.
//
// The package must not know sockets, configuration files or roles' reasons: those who do set its State, its Gate and its
// Config.
package engine
