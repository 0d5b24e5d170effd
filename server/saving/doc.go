// Package saving keeps the data set on disk: save points, SAVE, BGSAVE, the save at shutdown, and the
// load at start. It decides when a snapshot is taken and how the file is replaced; package snapshot makes
// the image, package rdb the bytes.
//
// It is a package of its own, beside app, because three others need it through small interfaces (the
// session's SAVE family, the manager's "save now", the assembly's start and end) and because its promises
// are tested against a file system that fails at every call:
//
//   - The file under its name is always a whole one: the old until the new is durable. A snapshot is
//     written under a temporary name, synced, renamed, and the directory is synced.
//   - A failed save changes nothing on disk and is told: INFO's rdb_last_bgsave_status, and, while
//     stop-writes-on-bgsave-error is on and save points are set, -MISCONF for writes until a save succeeds.
//   - The file names the place of its data in the replication stream (repl-id, repl-offset,
//     repl-stream-db), so that a restarted server continues where the file ends (S8) and never under the
//     history that it had as master (S9: the caller opens a new ID there).
//
// State is guarded by the engine's lock: methods say whether the caller must hold it.
package saving
