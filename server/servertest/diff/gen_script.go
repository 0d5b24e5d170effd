package diff

import (
	"slices"
	"strings"
)

// scripted is how a script begins that the generator made.
const scripted = "EVAL"

// wrappers are scripts that run the command in ARGV and let its reply pass through Lua in some way.
var wrappers = []string{
	"return redis.call(unpack(ARGV))",
	"return redis.pcall(unpack(ARGV))",
	"redis.setresp(3) return redis.pcall(unpack(ARGV))",
	"redis.call('INCR', 'scripted') return redis.call(unpack(ARGV))",
	"redis.call('SELECT', '3') return redis.pcall(unpack(ARGV))",
	"local r = redis.pcall(unpack(ARGV)) return {type(r), r, #ARGV}",
	"local r = redis.pcall(unpack(ARGV)) if type(r) == 'table' and r.err then return redis.error_reply(r.err) end return cmsgpack.unpack(cmsgpack.pack(r))",
	"redis.pcall(unpack(ARGV)) return redis.pcall(unpack(ARGV))",
	"redis.replicate_commands() redis.set_repl(redis.REPL_ALL) return redis.pcall(unpack(ARGV))",
}

// script makes a script around a random command. Its keys are not declared, which is allowed without cluster mode.
func (g *Gen) script() []string {
	args := g.Next()
	for len(args) > 200 || len(args) > 1 && strings.EqualFold(args[1], "idletime") { // unpack has a limit; a small number in there is not known to be a time
		args = g.Next()
	}
	return slices.Concat([]string{scripted, pick(g, wrappers), "0"}, args)
}
