package script

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	lua "github.com/yuin/gopher-lua"
)

func itoa(n int) string { return strconv.Itoa(n) }

// script is a compiled script.
type script struct {
	fn    *lua.LFunction
	flags flags
	body  string
	bytes int64 // what all of it takes
}

// codeOverhead is what a script takes besides its text and its code, roughly.
const codeOverhead = 400

func digest(body []byte) string {
	sum := sha1.Sum(body)
	return hex.EncodeToString(sum[:])
}

// flushScripts forgets all scripts, their state included.
func (h *Host) flushScripts() {
	if h.scripts != nil {
		h.scripts.l.Close()
	}
	h.scripts, h.cache = newState(h, scriptChunk), map[string]*script{}
	h.weigh()
}

// numKeys splits the arguments behind a script into keys and others.
func numKeys(c *command.Ctx, notInteger string) (keys, argv [][]byte, ok bool) {
	n, isInt := resp.ParseInt(c.Args[2])
	switch {
	case !isInt:
		c.Out.Error(notInteger)
	case n > int64(len(c.Args)-3):
		c.Out.Error("Number of keys can't be greater than number of args")
	case n < 0:
		c.Out.Error("Number of keys can't be negative")
	default:
		return c.Args[3 : 3+n], c.Args[3+n:], true
	}
	return nil, nil, false
}

const errNoScript = "-NOSCRIPT No matching script. Please use EVAL."

func (h *Host) eval(c *command.Ctx, known, ro bool) {
	d := debugged(c)
	if cl := engine.Of(c); d == nil && cl != nil && cl.Has(engine.DebugsScripts) && h.e.CanBlock(c) {
		if known && len(c.Args[1]) == 2*sha1.Size {
			c.Out.Error("Please use EVAL instead of EVALSHA for debugging")
			return
		}
		if !known {
			h.beginDebug(c)
			return
		}
	}
	if known && len(c.Args[1]) != 2*sha1.Size {
		c.Out.Error(errNoScript)
		return
	}
	keys, argv, ok := numKeys(c, "value is not an integer or out of range")
	if !ok {
		return
	}
	var sum string
	if known {
		sum = strings.ToLower(string(c.Args[1]))
		if h.cache[sum] == nil {
			c.Out.Error(errNoScript)
			return
		}
	} else {
		sum = digest(c.Args[1])
	}
	sc := h.cache[sum]
	if sc == nil {
		var problem string
		if sc, problem = h.create(string(c.Args[1]), sum); problem != "" {
			c.Out.Error(problem)
			return
		}
	}
	h.execute(c, &run{s: h.scripts, fn: sc.fn, name: sum, flags: sc.flags, ro: ro, debug: d}, keys, argv)
}

// create compiles a script and keeps it.
func (h *Host) create(body, sum string) (*script, string) {
	f, code, problem := shebang(body)
	if problem != "" {
		return nil, problem
	}
	fn, problem := h.scripts.compile(h.scripts.l, code, scriptChunk)
	if problem != "" {
		return nil, "Error compiling script (new function): " + problem
	}
	clip(fn.Proto)
	sc := &script{fn: fn, flags: f, body: body, bytes: int64(len(body)) + weight(fn.Proto) + codeOverhead}
	h.cache[sum] = sc
	h.e.AddCodeBytes(sc.bytes)
	return sc, ""
}

// shebang reads the line "#!lua flags=a,b" and answers the code with that line left empty.
func shebang(body string) (f flags, code, problem string) {
	if !strings.HasPrefix(body, "#!") {
		return compat, body, ""
	}
	line, rest, ok := strings.Cut(body, "\n")
	if !ok {
		return 0, "", "Invalid script shebang"
	}
	words, ok := shellWords(line)
	if !ok || len(words) == 0 {
		return 0, "", "Invalid engine in script shebang"
	}
	if words[0] != "#!lua" {
		return 0, "", "Unexpected engine in script shebang: " + words[0]
	}
	for _, w := range words[1:] {
		list, is := strings.CutPrefix(w, "flags=")
		switch {
		case w == "":
			continue
		case !is:
			return 0, "", "Unknown lua shebang option: " + w
		case list == "":
			continue
		}
		for _, name := range strings.Split(list, ",") {
			flag := flagByName(name)
			if flag == 0 {
				return 0, "", "Unexpected flag in script shebang: " + name
			}
			f |= flag
		}
	}
	return f, "\n" + rest, ""
}

// shellWords splits a first line.
func shellWords(line string) (words []string, ok bool) {
	list, ok := resp.SplitArgs([]byte(line), nil)
	for _, w := range list {
		words = append(words, string(w))
	}
	return words, ok
}

func (h *Host) scriptLoad(c *command.Ctx) {
	sum := digest(c.Args[2])
	if h.cache[sum] == nil {
		if _, problem := h.create(string(c.Args[2]), sum); problem != "" {
			c.Out.Error(problem)
			return
		}
	}
	c.Out.BulkString(sum)
}

func (h *Host) scriptExists(c *command.Ctx) {
	c.Out.Array(len(c.Args) - 2)
	for _, sum := range c.Args[2:] {
		n := int64(0)
		if h.cache[string(sum)] != nil {
			n = 1
		}
		c.Out.Int(n)
	}
}

func (h *Host) scriptFlush(c *command.Ctx) {
	if len(c.Args) > 3 || len(c.Args) == 3 && !isSyncWord(c.Args[2]) {
		c.Out.Error("SCRIPT FLUSH only support SYNC|ASYNC option")
		return
	}
	h.flushScripts()
	c.Out.OK()
}

func isSyncWord(w []byte) bool { return command.IsWord(w, "sync") || command.IsWord(w, "async") }

func scriptHelp(c *command.Ctx) {
	c.Help("SCRIPT",
		"DEBUG (YES|SYNC|NO)", "    Set the debug mode for subsequent scripts executed.",
		"EXISTS <sha1> [<sha1> ...]", "    Return information about the existence of the scripts in the script cache.",
		"FLUSH [ASYNC|SYNC]", "    Flush the Lua scripts cache. Very dangerous on replicas.", "    When called without the optional mode argument, the behavior is determined", "    by the lazyfree-lazy-user-flush configuration directive. Valid modes are:", "    * ASYNC: Asynchronously flush the scripts cache.", "    * SYNC: Synchronously flush the scripts cache.",
		"KILL", "    Kill the currently executing Lua script.",
		"LOAD <script>", "    Load a script into the scripts cache without executing it.")
}

// weigh tells the engine what scripts and functions take.
func (h *Host) weigh() {
	_, _, _, bytes := h.Memory()
	h.e.SetCodeBytes(bytes)
}

// Memory estimates what scripts and functions hold: their code, and how many there are.
func (h *Host) Memory() (scripts, functions, libraries int, bytes int64) {
	for _, s := range h.cache {
		bytes += s.bytes
	}
	for _, l := range h.lib.byName {
		bytes += l.bytes
	}
	return len(h.cache), len(h.lib.functions), len(h.lib.byName), bytes
}

// commandFlags are the flags of a command that runs a script: what the script declares replaces what the command must
// fear.
func (h *Host) commandFlags(cmd *command.Cmd, args [][]byte) command.Flags {
	f, ok := compat, len(args) > 1
	switch {
	case !ok:
	case cmd.Name == "eval" || cmd.Name == "eval_ro":
		if sc := h.cache[digest(args[1])]; sc != nil {
			f = sc.flags
		} else if declared, _, problem := shebang(string(args[1])); problem == "" {
			f = declared
		}
	case cmd.Name == "evalsha" || cmd.Name == "evalsha_ro":
		if sc := h.cache[strings.ToLower(string(args[1]))]; sc != nil {
			f = sc.flags
		}
	case cmd.Name == "fcall" || cmd.Name == "fcall_ro":
		if fn := h.lib.find(args[1]); fn != nil {
			f = fn.flags
		}
	}
	if f&compat != 0 {
		return cmd.Flags
	}
	flags := cmd.Flags &^ (command.Stale | command.DenyOOM | command.Write | command.MayReplicate)
	if f&noWrites == 0 {
		flags |= command.Write
		if f&allowOOM == 0 {
			flags |= command.DenyOOM
		}
	}
	if f&allowStale != 0 {
		flags |= command.Stale
	}
	return flags
}
