package session

import (
	"strings"
	"sync"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/settings"
)

// slowLog keeps the latest commands that took long. Reads that share the engine's lock may add at the same time.
type slowLog struct {
	mu      sync.Mutex
	next    int64
	entries []slowEntry // oldest first
}

type slowEntry struct {
	id         int64
	when       int64
	took       time.Duration
	args       []string
	addr, name string
}

// Redis' limits of an entry.
const (
	slowMaxArgs = 32
	slowMaxArg  = 128
)

func (srv *Server) noteSlow(c *engine.Client, cmd *command.Cmd, args [][]byte, took time.Duration) {
	limit := int(srv.cfg.Int(settings.SlowlogMaxLen))
	if cmd.Flags&command.SkipSlowlog != 0 || limit <= 0 {
		return
	}
	e := slowEntry{when: time.Now().Unix(), took: took, args: shownArgs(cmd, args)}
	if s := Of(c); s != nil {
		e.addr, e.name = s.Owner.RemoteAddr(), s.Name
	}
	l := &srv.slow
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.next
	l.next++
	l.entries = append(l.entries, e)
	if over := len(l.entries) - limit; over > 0 {
		l.entries = append(l.entries[:0:0], l.entries[over:]...)
	}
}

// shownArgs shortens what is long and hides what is secret.
func shownArgs(cmd *command.Cmd, args [][]byte) (shown []string) {
	secret := secrets(cmd, args)
	for i, a := range args {
		if i == slowMaxArgs-1 && len(args) > slowMaxArgs {
			return append(shown, "... ("+itoa(len(args)-i)+" more arguments)")
		}
		text := string(a[:min(len(a), slowMaxArg)])
		if more := len(a) - slowMaxArg; more > 0 {
			text += "... (" + itoa(more) + " more bytes)"
		}
		if secret[i] {
			text = "(redacted)"
		}
		shown = append(shown, text)
	}
	return shown
}

// secrets are the positions of passwords among the arguments.
func secrets(cmd *command.Cmd, args [][]byte) map[int]bool {
	hide := map[int]bool{}
	switch cmd.FullName {
	case "config|set":
		for i := 2; i+1 < len(args); i += 2 {
			if d := settings.Lookup(string(args[i])); d != nil && d.Sensitive() {
				hide[i+1] = true
			}
		}
	case "auth":
		for i := 1; i < len(args) && len(args) <= 3; i++ {
			hide[i] = true
		}
	case "acl|setuser":
		for i := 2; i < len(args); i++ {
			hide[i] = true
		}
	case "migrate":
		for i := 6; i < len(args) && !strings.EqualFold(string(args[i]), "keys"); i++ {
			switch left := len(args) - 1 - i; {
			case strings.EqualFold(string(args[i]), "auth") && left >= 1:
				hide[i+1] = true
				i++
			case strings.EqualFold(string(args[i]), "auth2") && left >= 2:
				hide[i+1], hide[i+2] = true, true
				i += 2
			}
		}
	case "hello":
		for i := 2; i+2 < len(args); i++ {
			if strings.EqualFold(string(args[i]), "auth") {
				hide[i+1], hide[i+2] = true, true
			}
		}
	}
	return hide
}

func (srv *Server) slowlogGet(ctx *command.Ctx) {
	count := int64(10)
	if len(ctx.Args) > 3 {
		ctx.Out.Error("unknown subcommand or wrong number of arguments for '" + string(ctx.Args[1]) + "'. Try SLOWLOG HELP.")
		return
	}
	if len(ctx.Args) == 3 {
		n, ok := resp.ParseInt(ctx.Args[2])
		if !ok || n < -1 {
			ctx.Out.Error("count should be greater than or equal to -1")
			return
		}
		count = n
	}
	l := &srv.slow
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.entries)
	if count >= 0 {
		n = int(min(count, int64(n)))
	}
	ctx.Out.Array(n)
	for i := range n {
		l.entries[len(l.entries)-1-i].write(ctx.Out)
	}
}

func (e *slowEntry) write(w *resp.Writer) {
	w.Array(6)
	w.Int(e.id)
	w.Int(e.when)
	w.Int(e.took.Microseconds())
	w.Array(len(e.args))
	for _, a := range e.args {
		w.BulkString(a)
	}
	w.BulkString(e.addr)
	w.BulkString(e.name)
}

func (srv *Server) slowlogLen(ctx *command.Ctx) {
	srv.slow.mu.Lock()
	defer srv.slow.mu.Unlock()
	ctx.Out.Int(int64(len(srv.slow.entries)))
}

func (srv *Server) slowlogReset(ctx *command.Ctx) {
	srv.slow.mu.Lock()
	defer srv.slow.mu.Unlock()
	srv.slow.entries = nil
	ctx.Out.OK()
}

func slowlogHelp(ctx *command.Ctx) {
	help(ctx, "SLOWLOG",
		"GET [<count>]", "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
		"    Entries are made of:", "    id, timestamp, time in microseconds, arguments array, client IP and port,", "    client name",
		"LEN", "    Return the length of the slowlog.",
		"RESET", "    Reset the slowlog.")
}
