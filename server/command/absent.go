package command

import "strings"

// Absent are the commands of Redis 7.0 that this server does not have, subcommands under their full name, with the reason. A
// test compares them with a redis-server's list; docs/commands.md shows them.
var Absent = map[string]string{
	"module": "modules are code for redis-server's process",
}

// Lacks tells whether a name, "parent|sub" for a subcommand, is that of a command that Redis has and this server has not.
func Lacks(name string) bool {
	name = strings.ToLower(name)
	parent, sub, has := strings.Cut(name, "|")
	return Absent[name] != "" || has && sub != "" && Absent[parent] != ""
}
