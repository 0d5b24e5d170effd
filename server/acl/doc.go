// Package acl holds the rules of users: it reads them, prints them, and tells what a user may do. It does not know who is
// connected, keeps no file and reads no clock; package session does.
//
// A User has passwords and one or more selectors. A command is allowed when one selector alone allows it with all its keys
// and channels: the root selector, or one of those in parentheses.
//
//	user alice on #<sha256> ~cached:* resetchannels &news:* -@all +@read (%W~log:* +xadd)
//	           |  |         |                       |       |            a further selector
//	           |  password  keys                    |       commands
//	           flags                                channels
//
// The words are those of Redis 7.0 (redis.conf, "ACL rules"), and so are the errors and the order in which a user is
// printed. Commands of Redis that this server does not have may be named in rules: a user's rules stay as they were written.
//
// Users change under the engine's exclusive lock and are read under either.
package acl
