// Package snapshot writes a consistent image of the store as an RDB while writes go on, without fork, and loads one.
//
//	          under the exclusive lock                      no lock
//	walk (slices <= 150 us) --+
//	                          +-> encoder -> queue of pieces -> writer -> sink
//	writes' pre-images -------+                 |   ^
//	                                            v   |
//	                                        spill file
//
// The cut itself is package store's. Here its image becomes bytes (encode.go), waits in a bounded queue (queue.go) and
// goes to the sink from a goroutine of its own (snapshot.go). The walk pauses while the queue is full; pre-images
// cannot wait, so behind a slow sink they go to a spill file. When that fails, or is too slow as well, the snapshot
// fails; a write never does and never waits.
package snapshot
