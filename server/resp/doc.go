// Package resp is the codec of the Redis serialization protocol, versions 2 and 3: Writer appends replies to a byte
// slice, Parser finds complete commands in one, AppendCommand encodes a command as the replication stream carries it,
// and Reader reads replies for those who are clients themselves.
//
// The package touches no socket, starts no goroutine and keeps no clock: bytes come in and go out as arguments. Limits
// and error texts of the parser are those of Redis 7 (networking.c), since clients and tests match on them.
package resp
