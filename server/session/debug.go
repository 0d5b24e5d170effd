package session

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/store"
)

// debugCommands are the subcommands by name, with the least and the greatest number of arguments after it (-1: any).
var debugCommands = map[string]struct {
	min, max int
	run      func(srv *Server, ctx *command.Ctx, args [][]byte)
}{
	"sleep":                        {1, 1, (*Server).debugSleep},
	"digest":                       {0, 0, (*Server).debugDigest},
	"digest-value":                 {0, -1, (*Server).debugDigestValue},
	"populate":                     {1, 3, (*Server).debugPopulate},
	"set-active-expire":            {1, 1, (*Server).debugActiveExpire},
	"change-repl-id":               {0, 0, (*Server).debugChangeReplID},
	"reload":                       {0, 3, (*Server).debugReload},
	"object":                       {1, 2, (*Server).debugObject},
	"log":                          {1, 1, (*Server).debugLog},
	"quicklist-packed-threshold":   {1, 1, (*Server).debugPlainElements},
	"listpack":                     {1, 1, (*Server).debugListpack},
	"quicklist":                    {1, 2, (*Server).debugListpack},
	"protocol":                     {1, 1, (*Server).debugProtocol},
	"config-rewrite-force-all":     {0, 0, (*Server).debugRewriteAll},
	"loadaof":                      {0, 0, (*Server).debugLoadAOF},
	"aof-flush-sleep":              {1, 1, (*Server).debugAOFSleep},
	"set-skip-checksum-validation": {1, 1, (*Server).debugAnyChecksum},
	"ziplist":                      {1, 1, (*Server).debugListpack},
	"jmap":                         {0, 0, (*Server).debugNothing},
	"replybuffer":                  {2, 2, (*Server).debugNothing},
	"pause-cron":                   {1, 1, (*Server).debugPauseCron},
	"replicate":                    {1, -1, (*Server).debugReplicate},
	"set-disable-deny-scripts":     {1, 1, (*Server).debugDenyScripts},
	"segfault":                     {0, 0, (*Server).debugSegfault},
	"help":                         {0, 0, (*Server).debugHelp},
}

func (srv *Server) debug(ctx *command.Ctx) {
	if why := srv.protected(engine.Of(ctx), ctx.Cmd); why != "" {
		ctx.Out.Error(why)
		return
	}
	args := ctx.Args[2:]
	sub, ok := debugCommands[lower(ctx.Args[1])]
	if !ok || len(args) < sub.min || (sub.max >= 0 && len(args) > sub.max) {
		ctx.Out.Error("unknown subcommand or wrong number of arguments for '" + string(ctx.Args[1]) + "'. Try DEBUG HELP.")
		return
	}
	sub.run(srv, ctx, args)
}

// debugDenyScripts lets scripts run what they else may not.
func (srv *Server) debugDenyScripts(ctx *command.Ctx, args [][]byte) {
	srv.e.LetScripts(string(args[0]) == "1")
	ctx.Out.OK()
}

// debugSegfault does not come back: the signal ends the process.
func (srv *Server) debugSegfault(ctx *command.Ctx, _ [][]byte) {
	if srv.crash == nil {
		ctx.Out.Error("this server does not crash on demand")
		return
	}
	srv.crash()
}

// debugSleep holds the lock and the loop, on purpose: it stands for a command that takes long.
func (srv *Server) debugSleep(ctx *command.Ctx, args [][]byte) {
	seconds, err := strconv.ParseFloat(string(args[0]), 64)
	if err != nil || seconds < 0 {
		ctx.Out.Error("value is not a valid float")
		return
	}
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	ctx.Out.OK()
}

func (srv *Server) debugDigest(ctx *command.Ctx, _ [][]byte) {
	write := func(w *resp.Writer, sum digest) { w.Simple(hex.EncodeToString(sum[:])) }
	if ctx.Env.GoOn(ctx, func() *command.Long { return beginDigest(srv.e.Store()).long(ctx.Out.Proto(), write) }) {
		return
	}
	d := beginDigest(srv.e.Store())
	defer d.cut.End()
	for !d.cut.Step(digestStep) {
	}
	write(ctx.Out, d.total())
}

func (srv *Server) debugDigestValue(ctx *command.Ctx, keys [][]byte) {
	ctx.Out.Array(len(keys))
	for _, key := range keys {
		var sum digest
		if e, ok := ctx.DB.Peek(key); ok {
			sum.mixEntry(e)
		}
		ctx.Out.Simple(hex.EncodeToString(sum[:]))
	}
}

// debugPopulate creates count keys "prefix:n" with values "value:n", padded with zero bytes up to size. Keys that are
// there stay as they are. Like Redis it does not propagate them.
func (srv *Server) debugPopulate(ctx *command.Ctx, args [][]byte) {
	count, ok := resp.ParseInt(args[0])
	if !ok || count < 0 {
		ctx.Out.Error("value is out of range, must be positive")
		return
	}
	prefix, size := "key", int64(0)
	if len(args) > 1 {
		prefix = string(args[1])
	}
	if len(args) > 2 {
		if size, ok = resp.ParseInt(args[2]); !ok || size < 0 {
			ctx.Out.Error("value is out of range, must be positive")
			return
		}
	}
	var key, value []byte
	for i := range count {
		key = strconv.AppendInt(append(append(key[:0], prefix...), ':'), i, 10)
		if _, found := ctx.DB.Peek(key); found {
			continue
		}
		value = strconv.AppendInt(append(value[:0], "value:"...), i, 10)
		if size > 0 {
			value = append(value, make([]byte, max(0, int(size)-len(value)))...)[:size]
		}
		ctx.DB.SetString(key, value, 0)
		ctx.Modified(key)
	}
	ctx.Out.OK()
}

func (srv *Server) debugActiveExpire(ctx *command.Ctx, args [][]byte) {
	srv.e.SetActiveExpire(string(args[0]) != "0")
	ctx.Out.OK()
}

func (srv *Server) debugChangeReplID(ctx *command.Ctx, _ [][]byte) {
	srv.logf("Changing replication IDs after receiving change-repl-id")
	srv.e.Log.Forget()
	ctx.Out.OK()
}

// debugPauseCron holds back what a signal asks for.
func (srv *Server) debugPauseCron(ctx *command.Ctx, args [][]byte) {
	srv.cronPaused.Store(string(args[0]) != "0")
	ctx.Out.OK()
}

// CronPaused tells whether DEBUG PAUSE-CRON is in effect.
func (srv *Server) CronPaused() bool { return srv.cronPaused.Load() }

// debugReplicate puts any command into the replication stream, as it is.
func (srv *Server) debugReplicate(ctx *command.Ctx, args [][]byte) {
	srv.e.Propagate(-1, oplog.ToReplicas, args...)
	ctx.Out.OK()
}

func (srv *Server) debugReload(ctx *command.Ctx, args [][]byte) {
	noFlush, noSave, merge := false, false, false
	for _, a := range args {
		switch {
		case fold(a, "merge"):
			merge = true
		case fold(a, "noflush"):
			noFlush = true
		case fold(a, "nosave"):
			noSave = true
		default:
			ctx.Out.Error("DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
			return
		}
	}
	if srv.keeper == nil {
		ctx.Out.Error("this server cannot save")
		return
	}
	if err := srv.keeper.Reload(noSave, noFlush, merge); err != nil {
		srv.logf("%v", err)
		ctx.Out.Error("Error trying to load the RDB dump, check server logs.")
		return
	}
	srv.logf("DB reloaded by DEBUG RELOAD")
	ctx.Out.OK()
}

func (srv *Server) debugLoadAOF(ctx *command.Ctx, _ [][]byte) {
	if srv.keeper == nil {
		ctx.Out.Error("this server cannot save")
		return
	}
	if err := srv.keeper.ReloadAppendOnly(ctx); err != nil {
		srv.logf("%v", err)
		ctx.Out.Error("Error trying to load the AOF files, check server logs.")
		return
	}
	srv.logf("Append Only File loaded by DEBUG LOADAOF")
	ctx.Out.OK()
}

func (srv *Server) debugAOFSleep(ctx *command.Ctx, args [][]byte) {
	n, ok := resp.ParseInt(args[0])
	if !ok || n < 0 || srv.keeper == nil {
		ctx.Out.Error("value is out of range, must be positive")
		return
	}
	srv.keeper.NapBeforeAppend(time.Duration(n) * time.Microsecond)
	ctx.Out.OK()
}

func (srv *Server) debugObject(ctx *command.Ctx, args [][]byte) {
	e, ok := ctx.DB.Peek(args[0])
	if !ok {
		ctx.Out.Error("no such key")
		return
	}
	ctx.Out.Simple("Value at:0x0 refcount:1 encoding:" + e.Encoding() + " serializedlength:" + itoa(serializedLength(e)) +
		" lru:" + itoa(int(e.Access())) + " lru_seconds_idle:" + itoa(int(e.IdleSeconds(ctx.Now))))
}

// serializedLength is about what the value takes in a dump.
func serializedLength(e store.Entry) int {
	n := 0
	switch e.Kind() {
	case store.String:
		n = e.StrLen() + 1
	case store.ListKind:
		l := e.List()
		l.Each(0, false, func(x store.Elem) bool {
			n += x.Len() + 2
			return true
		})
	case store.HashKind:
		h := e.Hash()
		h.Each(func(field, value []byte) bool {
			n += len(field) + len(value) + 2
			return true
		})
	case store.SetKind:
		s := e.Set()
		s.Each(func(member []byte) bool {
			n += len(member) + 1
			return true
		})
	}
	return n
}

func (srv *Server) debugRewriteAll(ctx *command.Ctx, _ [][]byte) {
	if err := srv.cfg.RewriteFileWhole(fsys.OS{}); err != nil {
		ctx.Out.Error(err.Error())
		return
	}
	ctx.Out.OK()
}

// debugLog writes a line into the log, by which tests mark where they are.
func (srv *Server) debugLog(ctx *command.Ctx, args [][]byte) {
	srv.logf("DEBUG LOG: %s", args[0])
	ctx.Out.OK()
}

// debugPlainElements sets the size from which an element of a list is kept, and saved, apart from others; 0 restores it.
func (srv *Server) debugPlainElements(ctx *command.Ctx, args [][]byte) {
	n, ok := settings.ParseMemory(string(args[0]))
	if !ok || n > 1<<32-1<<20 {
		ctx.Out.Error("argument must be a memory value bigger than 1 and smaller than 4gb")
		return
	}
	ctx.Store.Config.ListPlainElement = int(n)
	ctx.Out.OK()
}

// debugAnyChecksum lets RESTORE take payloads whose checksum is wrong, for tests that damage them.
func (srv *Server) debugAnyChecksum(ctx *command.Ctx, args [][]byte) {
	srv.e.Conf.AnyChecksum = string(args[0]) != "0"
	ctx.Out.OK()
}

// debugListpack prints what Redis prints of its structures into the log; here there is nothing to see.
func (srv *Server) debugListpack(ctx *command.Ctx, args [][]byte) {
	if _, ok := ctx.DB.Peek(args[0]); !ok {
		ctx.Out.Error("no such key")
		return
	}
	ctx.Out.Simple("The structure is not that of Redis")
}

// debugNothing answers the subcommands that only make sense for Redis' own allocator.
func (srv *Server) debugNothing(ctx *command.Ctx, _ [][]byte) { ctx.Out.OK() }

func (srv *Server) debugHelp(ctx *command.Ctx, _ [][]byte) {
	help(ctx, "DEBUG",
		"AOF-FLUSH-SLEEP <microseconds>", "    Sleep before each write to the append-only file.",
		"CHANGE-REPL-ID", "    Change the replication IDs of the instance.",
		"DIGEST", "    Output a hex signature representing the current DB content.",
		"DIGEST-VALUE <key> [<key> ...]", "    Output a hex signature of the values of all the specified keys.",
		"LOADAOF", "    Empty the data set and load the append-only file.",
		"OBJECT <key>", "    Show low level info about `key` and associated value.",
		"POPULATE <count> [<prefix>] [<size>]", "    Create <count> string keys named key:<num>.",
		"RELOAD [option ...]", "    Save the RDB on disk and reload it back to memory. Valid <option> values: MERGE, NOFLUSH, NOSAVE.",
		"SEGFAULT", "    Crash the server with sigsegv.",
		"SET-ACTIVE-EXPIRE <0|1>", "    Setting it to 0 disables expiring keys in background.",
		"SLEEP <seconds>", "    Stop the server for <seconds>. Decimals allowed.")
}

func itoa(n int) string { return strconv.Itoa(n) }

func lower(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		out[i] = c
	}
	return string(out)
}
