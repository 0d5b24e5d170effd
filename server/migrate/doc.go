// Package migrate is MIGRATE: keys go to another server, which says that it has them, and only then leave this one.
//
//	handler (lock)      goroutine (no lock)                 end (lock)
//	dump the keys ────▶ AUTH, SELECT, RESTORE..., replies ─▶ still the same value? delete it, and propagate DEL
//	                          ▲                              another one? ──┐
//	                          └──────── RESTORE ... REPLACE ◀── dump again ─┘
//
// The client waits; others do not. Redis holds everything up instead, so that nobody changes a key under way; here a key
// is deleted only when its value and its expiry are those that were sent, else it is sent again. After some rounds of
// that, and where nothing may wait (in a transaction or a script), the lock is held as in Redis.
//
// It must not look into values: package snapshot dumps them.
package migrate
