// Package script runs Lua scripts and functions: EVAL, FCALL and what belongs to them.
//
// There are two Lua states, one for scripts and one for functions; the engine's exclusive lock guards both. A script
// executes commands through an engine.Nest: its writes are the effects of one unit (MULTI/EXEC in the stream), the script
// itself is never replicated, the clock stands still and random numbers start anew with every call.
//
//	host.go      commands, checks before a run, the running script, busy servers and SCRIPT KILL
//	eval.go      EVAL and SCRIPT       function.go, library.go  FCALL and FUNCTION
//	sandbox.go   what a script can see  api.go  redis.*         convert.go  replies to values and back
//	cjson.go msgpack.go structlib.go bit.go: the libraries
//
// Lua itself is github.com/yuin/gopher-lua. The state's context is a counter that the interpreter asks before every
// instruction (ticker.go): there a long script lets the engine answer others, and a killed one ends.
package script
