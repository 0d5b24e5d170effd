package script

import (
	"errors"
	"time"

	"github.com/understudy-db/understudy/server/command"
)

func (h *Host) fcall(c *command.Ctx, ro bool) {
	f := h.lib.find(c.Args[1])
	if f == nil {
		c.Out.Error("Function not found")
		return
	}
	keys, argv, ok := numKeys(c, "Bad number of keys provided")
	if !ok {
		return
	}
	h.execute(c, &run{s: h.functions, fn: f.fn, name: f.name, flags: f.flags, ro: ro}, keys, argv)
}

func (h *Host) functionLoad(c *command.Ctx) {
	replace, at := false, 2
	for ; at < len(c.Args)-1; at++ {
		if !command.IsWord(c.Args[at], "replace") {
			c.Out.Error("Unknown option given: " + string(c.Args[at]))
			return
		}
		replace = true
	}
	n := h.lib.copy()
	name, err := h.createLibrary(&n, string(c.Args[at]), replace, !c.FromMaster)
	if err != nil {
		c.Out.Error(oneLine(err.Error()))
		return
	}
	h.lib = n
	h.weigh()
	c.Dirty(1)
	c.Out.BulkString(name)
}

func (h *Host) functionDelete(c *command.Ctx) {
	lib := h.lib.byName[string(c.Args[2])]
	if lib == nil {
		c.Out.Error("Library not found")
		return
	}
	h.lib.unlink(lib)
	h.weigh()
	c.Dirty(1)
	c.Out.OK()
}

func (h *Host) functionFlush(c *command.Ctx) {
	if len(c.Args) > 3 {
		c.Out.Error("unknown subcommand or wrong number of arguments for '" + string(c.Args[1]) + "'. Try FUNCTION HELP.")
		return
	}
	if len(c.Args) == 3 && !isSyncWord(c.Args[2]) {
		c.Out.Error("FUNCTION FLUSH only supports SYNC|ASYNC option")
		return
	}
	h.clearFunctions()
	c.Dirty(1)
	c.Out.OK()
}

// clearFunctions forgets all libraries, their state included unless one of its functions is running.
func (h *Host) clearFunctions() {
	h.lib.reset()
	h.weigh()
	if h.now == nil {
		h.functions.l.Close()
		h.functions = newState(h, functionChunk)
	}
}

func (h *Host) functionList(c *command.Ctx) {
	var pattern []byte
	withCode := false
	for i := 2; i < len(c.Args); i++ {
		switch {
		case !withCode && command.IsWord(c.Args[i], "withcode"):
			withCode = true
		case pattern == nil && command.IsWord(c.Args[i], "libraryname"):
			if i++; i >= len(c.Args) {
				c.Out.Error("library name argument was not given")
				return
			}
			pattern = c.Args[i]
		default:
			c.Out.Error("Unknown argument " + string(c.Args[i]))
			return
		}
	}
	mark, n := c.Out.DeferArray(), 0
	for _, lib := range h.lib.sorted() {
		if pattern == nil || command.MatchFold(pattern, []byte(lib.name)) {
			n++
			lib.describe(c, withCode)
		}
	}
	c.Out.SetArrayLen(mark, n)
}

func (l *library) describe(c *command.Ctx, withCode bool) {
	w := c.Out
	if withCode {
		w.Map(4)
	} else {
		w.Map(3)
	}
	w.BulkString("library_name")
	w.BulkString(l.name)
	w.BulkString("engine")
	w.BulkString("LUA")
	w.BulkString("functions")
	w.Array(len(l.functions))
	for _, f := range l.sorted() {
		w.Map(3)
		w.BulkString("name")
		w.BulkString(f.name)
		w.BulkString("description")
		if f.described {
			w.BulkString(f.description)
		} else {
			w.Null()
		}
		w.BulkString("flags")
		var names []string
		for _, known := range flagNames {
			if f.flags&known.flag != 0 {
				names = append(names, known.name)
			}
		}
		w.Set(len(names))
		for _, name := range names {
			w.Simple(name)
		}
	}
	if withCode {
		w.BulkString("library_code")
		w.BulkString(l.code)
	}
}

func (h *Host) functionStats(c *command.Ctx) {
	w := c.Out
	w.Map(2)
	w.BulkString("running_script")
	if r := h.now; r == nil {
		w.Null()
	} else {
		w.Map(3)
		w.BulkString("name")
		w.BulkString(r.name)
		w.BulkString("command")
		w.Array(len(r.args))
		for _, a := range r.args {
			w.Bulk(a)
		}
		w.BulkString("duration_ms")
		w.Int(time.Since(r.began).Milliseconds())
	}
	w.BulkString("engines")
	w.Map(1)
	w.BulkString("LUA")
	w.Map(2)
	w.BulkString("libraries_count")
	w.Int(int64(len(h.lib.byName)))
	w.BulkString("functions_count")
	w.Int(int64(len(h.lib.functions)))
}

func (h *Host) functionDump(c *command.Ctx) { c.Out.Bulk(h.lib.dump()) }

func (h *Host) functionRestore(c *command.Ctx) {
	policy := "append"
	if len(c.Args) > 4 {
		c.Out.Error("unknown subcommand or wrong number of arguments for '" + string(c.Args[1]) + "'. Try FUNCTION HELP.")
		return
	}
	if len(c.Args) == 4 {
		policy = ""
		for _, p := range []string{"append", "replace", "flush"} {
			if command.IsWord(c.Args[3], p) {
				policy = p
			}
		}
		if policy == "" {
			c.Out.Error("Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
			return
		}
	}
	codes, err := parseDump(c.Args[2])
	if err == nil {
		err = h.restore(codes, policy)
	}
	if err != nil {
		c.Out.Error(oneLine(err.Error()))
		return
	}
	c.Dirty(1)
	c.Out.OK()
}

// restore takes libraries over, all or none.
func (h *Host) restore(codes []string, policy string) error {
	var n libraries
	n.reset()
	if policy != "flush" {
		n = h.lib.copy()
	}
	var given libraries
	given.reset()
	for _, code := range codes {
		if _, err := h.createLibrary(&given, code, false, false); err != nil {
			return err
		}
	}
	for _, lib := range given.sorted() {
		if old := n.byName[lib.name]; old != nil {
			if policy != "replace" {
				return errors.New("Library " + lib.name + " already exists")
			}
			n.unlink(old)
		}
	}
	for name := range given.functions {
		if n.functions[name] != nil {
			return errors.New("Function " + name + " already exists")
		}
	}
	for _, lib := range given.sorted() {
		n.link(lib)
	}
	h.lib = n
	h.weigh()
	return nil
}

func functionHelp(c *command.Ctx) {
	c.Help("FUNCTION",
		"LOAD [REPLACE] <FUNCTION CODE>", "    Create a new library with the given library name and code.",
		"DELETE <LIBRARY NAME>", "    Delete the given library.",
		"LIST [LIBRARYNAME PATTERN] [WITHCODE]", "    Return general information on all the libraries:", "    * Library name", "    * The engine used to run the Library", "    * Library description", "    * Functions list", "    * Library code (if WITHCODE is given)", "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
		"STATS", "    Return information about the current function running:", "    * Function name", "    * Command used to run the function", "    * Duration in MS that the function is running", "    If no function is running, return nil", "    In addition, returns a list of available engines.",
		"KILL", "    Kill the current running function.",
		"FLUSH [ASYNC|SYNC]", "    Delete all the libraries.", "    When called without the optional mode argument, the behavior is determined by the", "    lazyfree-lazy-user-flush configuration directive. Valid modes are:", "    * ASYNC: Asynchronously flush the libraries.", "    * SYNC: Synchronously flush the libraries.",
		"DUMP", "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
		"RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]", "    Restore the libraries represented by the given payload, it is possible to give a restore policy to", "    control how to handle existing libraries (default APPEND):", "    * FLUSH: delete all existing libraries.", "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.", "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old", "      libraries with the new libraries (notice that even on this option there is a chance of failure", "      in case of functions name conflict with another library).")
}
