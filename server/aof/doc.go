// Package aof is the append-only file's format: the manifest that names its parts, the commands in them, and the notes
// between the commands. It reads and writes over io.Reader, io.Writer and fsys; it knows neither the engine nor the log,
// and decides nothing: package saving does.
//
// A directory (appenddirname) holds the parts, as Redis 7 writes them:
//
//	appendonly.aof.manifest         which parts there are, in the order in which they are loaded
//	appendonly.aof.2.base.rdb       the data set at one moment (.base.aof: as commands)
//	appendonly.aof.5.incr.aof       what happened since, ...
//	appendonly.aof.6.incr.aof       ... the last one is appended to
//
// The manifest has a line for each part:
//
//	file <name> seq <number> type <b: base | i: increment | h: history, to be deleted>
//
// It is replaced in one step (written aside, synced, renamed, directory synced), so after a crash at any moment it names
// either the old parts or the new ones, whole.
//
// A part of commands is
//
//	(*<n>\r\n ($<length>\r\n<bytes>\r\n)*n   |   #<note>\r\n)*
//
// Lines with # are skipped by redis-server and redis-check-aof. Besides #TS:<unix seconds> (aof-timestamp-enabled) there
// are notes of our own, which map positions in the file to places in the replication stream:
//
//	#understudy:at <replication ID> <offset>   the bytes of the commands that follow are the stream's, from this offset on
//	#understudy:own                            they are this server's own (a writable replica's): nobody counts them
//	#understudy:aux <name> <i>/<n> <text>      a part of a text that an RDB would hold as an auxiliary field
//	#understudy:end                            nothing is known of what follows: the server ended in order
//
// So the place at the end of the last whole unit (a command, or MULTI to EXEC) is exact wherever the file was torn, for a
// note at each break of the stream and not one byte between. Commands before the first note have no place: another server
// wrote them. An old append-only file is one part of commands by the name of appendfilename, with an RDB before the
// commands if it begins with REDIS.
package aof
