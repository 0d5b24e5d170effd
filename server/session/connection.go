package session

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"github.com/understudy-db/understudy/server/acl"
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
)

func fold(b []byte, word string) bool { return strings.EqualFold(string(b), word) }

func ping(ctx *command.Ctx) {
	switch {
	case len(ctx.Args) > 2:
		ctx.Out.Error("wrong number of arguments for 'ping' command")
	case engine.Of(ctx) != nil && engine.Of(ctx).Has(engine.Subscribed) && ctx.Out.Proto() == 2:
		ctx.Out.Array(2)
		ctx.Out.BulkString("pong")
		if len(ctx.Args) == 2 {
			ctx.Out.Bulk(ctx.Args[1])
		} else {
			ctx.Out.BulkString("")
		}
	case len(ctx.Args) == 2:
		ctx.Out.Bulk(ctx.Args[1])
	default:
		ctx.Out.RawString("+PONG\r\n")
	}
}

func quit(ctx *command.Ctx) {
	ctx.Out.OK()
	engine.Of(ctx).Set(engine.CloseAfter)
}

func (srv *Server) reset(ctx *command.Ctx) {
	s := self(ctx)
	srv.unsubscribeAll(s)
	srv.followSubscriptions(s)
	srv.unmonitor(s)
	srv.e.Reset(&s.Client)
	s.Name = ""
	s.become(srv.users.def)
	if !srv.users.def.NoPass() || !srv.users.def.Enabled() {
		s.Set(engine.NeedAuth)
	}
	ctx.Out.SetProto(2)
	ctx.Out.Simple("RESET")
}

func (srv *Server) selectDB(ctx *command.Ctx) {
	n, ok := resp.ParseInt(ctx.Args[1])
	switch {
	case !ok:
		ctx.Out.Error(errInteger)
	case n != int64(int32(n)):
		ctx.Out.Error("value is out of range, value must between -2147483648 and 2147483647")
	case n < 0 || n >= int64(srv.e.Store().Databases()):
		ctx.Out.Error("DB index is out of range")
	default:
		engine.Of(ctx).DB = int(n)
		ctx.Out.OK()
	}
}

const errWrongPass = "-WRONGPASS invalid username-password pair or user is disabled."

func (srv *Server) auth(ctx *command.Ctx) {
	user, pass := "default", ctx.Args[1]
	switch len(ctx.Args) {
	case 2:
		if srv.users.def.NoPass() {
			ctx.Out.Error("AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
			return
		}
	case 3:
		user, pass = string(ctx.Args[1]), ctx.Args[2]
	default:
		ctx.Out.Error(errSyntax)
		return
	}
	if !srv.authenticate(self(ctx), user, pass, string(ctx.Args[0])) {
		ctx.Out.Error(errWrongPass)
		return
	}
	ctx.Out.OK()
}

// authenticate makes s a client of the user who has the name and the password; word is the command that asked.
func (srv *Server) authenticate(s *Session, name string, pass []byte, word string) bool {
	u := srv.users.byName[name]
	if s.Expelled() || u == nil || !u.Enabled() || !u.Knows(pass) && !(u == srv.users.def && (srv.acceptsAlso(pass) || srv.acceptsOld(pass))) {
		srv.logf("AUTH failed: client id=%d addr=%s", s.Num, s.Owner.RemoteAddr())
		at := acl.AtTop
		if s.Has(engine.InMulti) {
			at = acl.InMulti
		}
		srv.logDenial(s, acl.Entry{Reason: acl.DeniedAuth, Context: at, Object: word, User: name})
		return false
	}
	s.become(u)
	s.Clear(engine.NeedAuth)
	return true
}

// AcceptAlso lets a second password of the default user in beside its own, "" none: for a rotation, during which some still know the old
// one and some the new one.
func (srv *Server) AcceptAlso(password string) { srv.second.Store(&password) }

func (srv *Server) acceptsAlso(pass []byte) bool {
	p := srv.second.Load()
	return p != nil && *p != "" && samePassword(*p, pass)
}

// AcceptOld lets in besides who gives a password of which only a hash is known, nil nobody: for a server that started in the
// midst of a rotation. The function is called with the engine's lock held.
func (srv *Server) AcceptOld(matches func(pass []byte) bool) { srv.old.Store(&matches) }

func (srv *Server) acceptsOld(pass []byte) bool {
	matches := srv.old.Load()
	return matches != nil && *matches != nil && (*matches)(pass)
}

// samePassword compares in a time that tells nothing about the password, its length included.
func samePassword(want string, got []byte) bool {
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256(got)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// helloOptions is what HELLO asks for.
type helloOptions struct {
	proto      int
	user, pass []byte
	auth       bool
	name       []byte
	named      bool
}

func parseHello(args [][]byte) (o helloOptions, problem string) {
	if len(args) == 0 {
		return o, ""
	}
	n, ok := resp.ParseInt(args[0])
	switch {
	case !ok:
		return o, "Protocol version is not an integer or out of range"
	case n < 2 || n > 3:
		return o, "-NOPROTO unsupported protocol version"
	}
	o.proto = int(n)
	for i := 1; i < len(args); i++ {
		left := len(args) - 1 - i
		switch {
		case fold(args[i], "auth") && left >= 2:
			o.auth, o.user, o.pass = true, args[i+1], args[i+2]
			i += 2
		case fold(args[i], "setname") && left >= 1:
			o.named, o.name = true, args[i+1]
			i++
		default:
			return o, "Syntax error in HELLO option '" + string(args[i]) + "'"
		}
	}
	return o, ""
}

func (srv *Server) hello(ctx *command.Ctx) {
	s := self(ctx)
	o, problem := parseHello(ctx.Args[1:])
	switch {
	case problem != "":
	case o.named && !validName(o.name): // nothing has changed then: neither who the client is
		problem = errName
	case o.auth && !srv.authenticate(s, string(o.user), o.pass, string(ctx.Args[0])):
		problem = errWrongPass
	case s.Has(engine.NeedAuth):
		problem = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	}
	if problem != "" {
		ctx.Out.Error(problem)
		return
	}
	if o.named {
		s.Name = string(o.name)
	}
	if o.proto != 0 {
		s.Proto = o.proto
		ctx.Out.SetProto(o.proto)
	}
	role := "master"
	if srv.e.Is(engine.Replica) {
		role = "replica"
	}
	w := ctx.Out
	w.Map(7)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(Version)
	w.BulkString("proto")
	w.Int(int64(s.Proto))
	w.BulkString("id")
	w.Int(s.Num)
	w.BulkString("mode")
	w.BulkString("standalone")
	w.BulkString("role")
	w.BulkString(role)
	w.BulkString("modules")
	w.Array(0)
}
