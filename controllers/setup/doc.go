// Package setup assembles the operator: flags, scheme, caches, leader election, the controller.
//
// It holds no logic of its own but one thing: Leadership, which knows until when this process leads for
// sure. Protocol rules 7 and 8 hang on it.
package setup
