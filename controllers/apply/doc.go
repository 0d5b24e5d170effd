// Package apply carries out what was decided: one idempotent function per action.
//
// Steps run in order and the first failure ends the pass, since later steps may depend on it (a
// promotion depends on its record). An order to a member is sent, not awaited: its answer wakes a new
// pass. The package must not decide; where an action turns out to be impossible it says so and leaves
// the rest to the next observation.
package apply
