package session

import (
	"strings"
	"time"

	"github.com/understudy-db/understudy/server/acl"
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
)

const errName = "Client names cannot contain spaces, newlines or special characters."

// validName allows the printable characters without the space.
func validName(name []byte) bool {
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

func clientID(ctx *command.Ctx) { ctx.Out.Int(self(ctx).Num) }

func clientGetName(ctx *command.Ctx) {
	if name := self(ctx).Name; name != "" {
		ctx.Out.BulkString(name)
		return
	}
	ctx.Out.Null()
}

func (srv *Server) clientSetName(ctx *command.Ctx) {
	if !validName(ctx.Args[2]) {
		ctx.Out.Error(errName)
		return
	}
	self(ctx).Name = string(ctx.Args[2])
	ctx.Out.OK()
}

func clientSetInfo(ctx *command.Ctx) {
	s, value := self(ctx), ctx.Args[3]
	field := &s.LibName
	switch {
	case fold(ctx.Args[2], "lib-name"):
	case fold(ctx.Args[2], "lib-ver"):
		field = &s.LibVer
	default:
		ctx.Out.Error("Unrecognized option '" + string(ctx.Args[2]) + "'")
		return
	}
	if !validName(value) {
		ctx.Out.Error(strings.ToLower(string(ctx.Args[2])) + " cannot contain spaces, newlines or special characters.")
		return
	}
	*field = string(value)
	ctx.Out.OK()
}

func clientReply(ctx *command.Ctx) {
	c := engine.Of(ctx)
	switch {
	case fold(ctx.Args[2], "on"):
		c.ReplyOn()
		ctx.Out.OK()
	case fold(ctx.Args[2], "off"):
		c.Set(engine.ReplyOff)
	case fold(ctx.Args[2], "skip"):
		c.SkipNextReply()
	default:
		ctx.Out.Error(errSyntax)
	}
}

func clientNoEvict(ctx *command.Ctx) { switchFlag(ctx, engine.NoEvict) }
func clientNoTouch(ctx *command.Ctx) { switchFlag(ctx, engine.NoTouch) }

func switchFlag(ctx *command.Ctx, f engine.ClientFlags) {
	switch {
	case fold(ctx.Args[2], "on"):
		engine.Of(ctx).Set(f)
	case fold(ctx.Args[2], "off"):
		engine.Of(ctx).Clear(f)
	default:
		ctx.Out.Error(errSyntax)
		return
	}
	ctx.Out.OK()
}

func (srv *Server) clientPause(ctx *command.Ctx) {
	mode := engine.PauseAll
	switch {
	case len(ctx.Args) > 4:
		badSubcommand(ctx)
		return
	case len(ctx.Args) == 4 && fold(ctx.Args[3], "write"):
		mode = engine.PauseWrites
	case len(ctx.Args) == 4 && !fold(ctx.Args[3], "all"):
		ctx.Out.Error("CLIENT PAUSE mode must be WRITE or ALL")
		return
	}
	ms, ok := resp.ParseInt(ctx.Args[2])
	switch {
	case !ok:
		ctx.Out.Error("timeout is not an integer or out of range")
	case ms < 0:
		ctx.Out.Error("timeout is negative")
	case ms > 1<<53:
		ctx.Out.Error("timeout is out of range")
	default:
		srv.e.PauseLocked(mode, time.Duration(ms)*time.Millisecond)
		ctx.Out.OK()
	}
}

func (srv *Server) clientUnpause(ctx *command.Ctx) {
	srv.e.Unpause()
	ctx.Out.OK()
}

func (srv *Server) clientUnblock(ctx *command.Ctx) {
	text := ""
	switch {
	case len(ctx.Args) > 4:
		badSubcommand(ctx)
		return
	case len(ctx.Args) == 4 && fold(ctx.Args[3], "error"):
		text = "-UNBLOCKED client unblocked via CLIENT UNBLOCK"
	case len(ctx.Args) == 4 && !fold(ctx.Args[3], "timeout"):
		ctx.Out.Error("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	}
	id, ok := resp.ParseInt(ctx.Args[2])
	if !ok {
		ctx.Out.Error(errInteger)
		return
	}
	if s := srv.byID(id); s != nil && srv.e.Unblock(&s.Client, text) {
		ctx.Out.Int(1)
		return
	}
	ctx.Out.Int(0)
}

func (srv *Server) byID(id int64) *Session {
	srv.clients.mu.Lock()
	defer srv.clients.mu.Unlock()
	return srv.clients.byID[id]
}

func (srv *Server) clientKill(ctx *command.Ctx) {
	old := len(ctx.Args) == 3
	f, problem := srv.parseKill(ctx.Args[2:])
	if problem != "" {
		ctx.Out.Error(problem)
		return
	}
	me, killed := self(ctx), 0
	for _, s := range srv.sorted() {
		if !f.matches(s) || (s == me && f.skipMe) {
			continue
		}
		killed++
		srv.kill(me, s, "CLIENT KILL")
	}
	switch {
	case !old:
		ctx.Out.Int(int64(killed))
	case killed == 0:
		ctx.Out.Error("No such client")
	default:
		ctx.Out.OK()
	}
}

// killFilter is what CLIENT KILL names.
type killFilter struct {
	id          int64
	addr, laddr string
	kind        string
	user        *acl.User
	skipMe      bool
}

func (srv *Server) parseKill(args [][]byte) (f killFilter, problem string) {
	if len(args) == 1 {
		return killFilter{addr: string(args[0])}, ""
	}
	f.skipMe = true
	if len(args)%2 != 0 {
		return f, errSyntax
	}
	for i := 0; i < len(args); i += 2 {
		value := args[i+1]
		switch strings.ToLower(string(args[i])) {
		case "id":
			id, ok := resp.ParseInt(value)
			if !ok || id < 1 {
				return f, "client-id should be greater than 0"
			}
			f.id = id
		case "type":
			if f.kind = clientType(value); f.kind == "" {
				return f, "Unknown client type '" + string(value) + "'"
			}
		case "addr":
			f.addr = string(value)
		case "laddr":
			f.laddr = string(value)
		case "user":
			if f.user = srv.users.byName[string(value)]; f.user == nil {
				return f, "No such user '" + string(value) + "'"
			}
		case "skipme":
			switch {
			case fold(value, "yes"):
				f.skipMe = true
			case fold(value, "no"):
				f.skipMe = false
			default:
				return f, errSyntax
			}
		default:
			return f, errSyntax
		}
	}
	return f, ""
}

func (f *killFilter) matches(s *Session) bool {
	return !s.gone && (f.id == 0 || f.id == s.Num) && (f.addr == "" || f.addr == s.Owner.RemoteAddr()) &&
		(f.laddr == "" || f.laddr == s.Owner.LocalAddr()) && (f.kind == "" || f.kind == s.kind()) &&
		(f.user == nil || s.user.Load() == f.user)
}

// clientType reads a class of clients; the empty string means that there is none of that name.
func clientType(b []byte) string {
	switch t := strings.ToLower(string(b)); t {
	case "normal", "pubsub", "master", "replica":
		return t
	case "slave":
		return "replica"
	}
	return ""
}

// kind is the class of a client.
func (s *Session) kind() string {
	switch {
	case s.master:
		return "master"
	case s.Has(engine.IsReplica):
		return "replica"
	case s.Has(engine.Subscribed):
		return "pubsub"
	}
	return "normal"
}

func clientHelp(ctx *command.Ctx) {
	help(ctx, "CLIENT",
		"CACHING (YES|NO)", "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
		"GETREDIR", "    Return the client ID we are redirecting to when tracking is enabled.",
		"GETNAME", "    Return the name of the current connection.",
		"ID", "    Return the ID of the current connection.",
		"INFO", "    Return information about the current client connection.",
		"KILL <ip:port>", "    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]", "    Kill connections. Options are:",
		"    * ADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made from the specified address",
		"    * LADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made to specified local address",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Kill connections by type.",
		"    * USER <username>", "      Kill connections authenticated by <username>.",
		"    * SKIPME (YES|NO)", "      Skip killing current connection (default: yes).",
		"LIST [options ...]", "    Return information about client connections. Options:",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Return clients of specified type.",
		"UNPAUSE", "    Stop the current client pause, resuming traffic.",
		"PAUSE <timeout> [WRITE|ALL]", "    Suspend all, or just write, clients for <timeout> milliseconds.",
		"REPLY (ON|OFF|SKIP)", "    Control the replies sent to the current connection.",
		"SETNAME <name>", "    Assign the name <name> to the current connection.",
		"SETINFO <option> <value>", "    Set client meta attr. Options are:", "    * LIB-NAME: the client lib name.", "    * LIB-VER: the client lib version.",
		"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]", "         [OPTIN] [OPTOUT] [NOLOOP]", "    Control server assisted client side caching.",
		"TRACKINGINFO", "    Report tracking status for the current connection.",
		"UNBLOCK <clientid> [TIMEOUT|ERROR]", "    Unblock the specified blocked client.",
		"NO-EVICT (ON|OFF)", "    Protect current client connection from eviction.",
		"NO-TOUCH (ON|OFF)", "    Will not touch LRU/LFU stats when this mode is on.")
}
