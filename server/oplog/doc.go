// Package oplog is the one log of the server: every write's effect is appended to it once, and replicas and the
// append-only file are cursors over the same bytes. It owns the replication ID pair, the offset, the backlog and the
// cursors; it knows nothing of commands, of the keyspace or of sockets.
//
//	physical:  |--run--|------run------|--run--|......|        blocks of 64 KiB, shared by all readers
//	targets:    R+F      R+F            F only   R only         one run per change of target, not per effect
//	offset:     .......................        ........         counts the bytes for replicas alone
//
// An offset is Redis' master_repl_offset: the number of stream bytes of this history, so that the byte numbered offset
// is the last one appended. PSYNC asks for the byte it wants next, offset+1; a Cursor is opened with the offset it
// already holds. Bytes for the file alone do not count (a replica never sees them).
//
// Who may call what: the methods under "Appending" and "History" are called by the one writer, with the engine lock
// held; cursors and the read-only methods may be used from any goroutine without it. Bytes that a cursor has returned
// never change and stay valid until that cursor advances past them.
//
// Invariants:
//   - blocks are contiguous: the first byte of a block is the successor of the last byte of the one before.
//   - a block is reused only when it left the backlog and no cursor stands on it or on an earlier one.
//   - an ID names one history for ever: whenever bytes could be lost between what was appended and what comes next
//     (backlog created or freed, promotion, restart), a new ID is opened (S9).
package oplog
