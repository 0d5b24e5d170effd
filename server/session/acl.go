package session

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"

	"github.com/understudy-db/understudy/server/acl"
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/settings"
)

func (srv *Server) attachACL() {
	for name, h := range map[string]command.Handler{
		"setuser": srv.aclSetUser, "getuser": srv.aclGetUser, "deluser": srv.aclDelUser, "list": srv.aclList, "users": srv.aclUsers,
		"whoami": aclWhoAmI, "cat": srv.aclCat, "genpass": aclGenPass, "log": srv.aclLog, "load": srv.aclLoad, "save": srv.aclSave,
		"dryrun": srv.aclDryRun, "help": aclHelp,
	} {
		srv.e.Table.Attach("acl|"+name, h)
	}
}

func (srv *Server) aclSetUser(ctx *command.Ctx) {
	name := string(ctx.Args[2])
	if !acl.ValidName(name) {
		ctx.Out.Error(acl.ErrName.Error())
		return
	}
	words := make([]string, 0, len(ctx.Args)-3)
	for _, a := range ctx.Args[3:] {
		words = append(words, string(a))
	}
	rules, unmatched, ok := acl.MergeSelectors(words)
	if !ok {
		ctx.Out.Error("Unmatched parenthesis in acl selector starting at '" + unmatched + "'.")
		return
	}
	us := &srv.users
	old, try := us.byName[name], us.space.NewUser(name)
	if old != nil {
		try = old.Clone()
	}
	if err := try.ApplyAll(rules); err != nil {
		ctx.Out.Error("Error in ACL SETUSER modifier " + err.Error())
		return
	}
	if old == nil {
		us.byName[name] = try
	} else {
		old.Become(try)
		srv.silence(self(ctx), old)
		srv.changed(old)
	}
	ctx.Out.OK()
}

func (srv *Server) aclGetUser(ctx *command.Ctx) {
	u := srv.users.byName[string(ctx.Args[2])]
	if u == nil {
		ctx.Out.Null()
		return
	}
	d, w := u.Describe(), ctx.Out
	w.Map(6)
	w.BulkString("flags")
	w.Set(len(d.Flags))
	for _, f := range d.Flags {
		w.BulkString(f)
	}
	w.BulkString("passwords")
	w.Array(len(d.Passwords))
	for _, p := range d.Passwords {
		w.BulkString(p)
	}
	writeSelector(w, d.Selectors[0])
	w.BulkString("selectors")
	w.Array(len(d.Selectors) - 1)
	for _, s := range d.Selectors[1:] {
		w.Map(3)
		writeSelector(w, s)
	}
}

func writeSelector(w *resp.Writer, s acl.Selector) {
	for _, f := range [][2]string{{"commands", s.Commands}, {"keys", s.Keys}, {"channels", s.Channels}} {
		w.BulkString(f[0])
		w.BulkString(f[1])
	}
}

func (srv *Server) aclDelUser(ctx *command.Ctx) {
	us := &srv.users
	for _, name := range ctx.Args[2:] {
		if string(name) == us.def.Name {
			ctx.Out.Error("The 'default' user cannot be removed")
			return
		}
	}
	n := 0
	for _, name := range ctx.Args[2:] {
		u := us.byName[string(name)]
		if u == nil {
			continue
		}
		n++
		delete(us.byName, u.Name)
		srv.expel(self(ctx), func(o *acl.User) bool { return o == u })
	}
	ctx.Out.Int(int64(n))
}

func (srv *Server) aclList(ctx *command.Ctx) {
	list := srv.users.sorted()
	ctx.Out.Array(len(list))
	for _, u := range list {
		ctx.Out.BulkString("user " + u.String())
	}
}

func (srv *Server) aclUsers(ctx *command.Ctx) {
	list := srv.users.sorted()
	ctx.Out.Array(len(list))
	for _, u := range list {
		ctx.Out.BulkString(u.Name)
	}
}

func aclWhoAmI(ctx *command.Ctx) { ctx.Out.BulkString(self(ctx).userName()) }

func badSubcommand(ctx *command.Ctx) {
	ctx.Out.Error("unknown subcommand or wrong number of arguments for '" + string(ctx.Args[1]) + "'. Try " + strings.ToUpper(ctx.Cmd.Parent.Name) + " HELP.")
}

func (srv *Server) aclCat(ctx *command.Ctx) {
	if len(ctx.Args) > 3 {
		badSubcommand(ctx)
		return
	}
	if len(ctx.Args) == 2 {
		names := command.AllCategories.Names()
		ctx.Out.Array(len(names))
		for _, n := range names {
			ctx.Out.BulkString(n)
		}
		return
	}
	cat, ok := command.CategoryByName(lower(ctx.Args[2]))
	if !ok {
		ctx.Out.Error("Unknown category '" + string(ctx.Args[2]) + "'")
		return
	}
	mark, n := ctx.Out.DeferArray(), 0
	for _, c := range srv.e.Table.All() {
		if c.Categories&cat != 0 {
			ctx.Out.BulkString(c.FullName)
			n++
		}
	}
	ctx.Out.SetArrayLen(mark, n)
}

func aclGenPass(ctx *command.Ctx) {
	bits := int64(256)
	switch len(ctx.Args) {
	case 2:
	case 3:
		var ok bool
		if bits, ok = resp.ParseInt(ctx.Args[2]); !ok {
			ctx.Out.Error(errInteger)
			return
		}
	default:
		badSubcommand(ctx)
		return
	}
	if bits <= 0 || bits > 4096 {
		ctx.Out.Error("ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096")
		return
	}
	digits := int(bits+3) / 4
	b := make([]byte, (digits+1)/2)
	rand.Read(b)
	ctx.Out.BulkString(hex.EncodeToString(b)[:digits])
}

func (srv *Server) aclLog(ctx *command.Ctx) {
	us := &srv.users
	us.logMu.Lock()
	defer us.logMu.Unlock()
	count := int64(10)
	switch {
	case len(ctx.Args) > 3:
		badSubcommand(ctx)
		return
	case len(ctx.Args) == 3 && fold(ctx.Args[2], "reset"):
		us.log.Reset()
		ctx.Out.OK()
		return
	case len(ctx.Args) == 3:
		var ok bool
		if count, ok = resp.ParseInt(ctx.Args[2]); !ok {
			ctx.Out.Error(errInteger)
			return
		}
	}
	now, list := time.Now(), us.log.Latest(int(count))
	ctx.Out.Array(len(list))
	for _, e := range list {
		writeDenial(ctx.Out, e, now)
	}
}

func writeDenial(w *resp.Writer, e acl.Entry, now time.Time) {
	w.Map(10)
	w.BulkString("count")
	w.Int(e.Count)
	for _, f := range [][2]string{{"reason", e.Reason.String()}, {"context", string(e.Context)}, {"object", e.Object}, {"username", e.User}} {
		w.BulkString(f[0])
		w.BulkString(f[1])
	}
	w.BulkString("age-seconds")
	w.Double(float64(now.Sub(e.At).Milliseconds()) / 1000)
	w.BulkString("client-info")
	w.BulkString(e.Client)
	w.BulkString("entry-id")
	w.Int(e.ID)
	w.BulkString("timestamp-created")
	w.Int(e.Created.UnixMilli())
	w.BulkString("timestamp-last-updated")
	w.Int(e.At.UnixMilli())
}

const errNoUsersFile = "This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration."

func (srv *Server) aclLoad(ctx *command.Ctx) {
	if srv.cfg.String(settings.ACLFile) == "" {
		ctx.Out.Error(errNoUsersFile)
		return
	}
	list, err := srv.readUsers()
	if err != nil {
		srv.logf("%v", err)
		ctx.Out.Error(err.Error())
		return
	}
	srv.adopt(list, true)
	srv.expel(self(ctx), func(u *acl.User) bool { return u != srv.users.def && srv.users.byName[u.Name] != u })
	ctx.Out.OK()
}

func (srv *Server) aclSave(ctx *command.Ctx) {
	if srv.cfg.String(settings.ACLFile) == "" {
		ctx.Out.Error(errNoUsersFile)
		return
	}
	if err := srv.saveUsers(); err != nil {
		srv.logf("Saving the ACL file failed: %v", err)
		ctx.Out.Error("There was an error trying to save the ACLs. Please check the server logs for more information")
		return
	}
	ctx.Out.OK()
}

func (srv *Server) aclDryRun(ctx *command.Ctx) {
	u := srv.users.byName[string(ctx.Args[2])]
	if u == nil {
		ctx.Out.Error("User '" + string(ctx.Args[2]) + "' not found")
		return
	}
	args := ctx.Args[3:]
	cmd := srv.e.Table.Resolve(args)
	if cmd == nil || len(cmd.Subs) > 0 && len(args) > 1 {
		ctx.Out.Error("Command '" + string(args[0]) + "' not found")
		return
	}
	if !cmd.ArityOK(len(args)) {
		ctx.Out.Error(cmd.ArityError())
		return
	}
	d := u.Check(cmd, args)
	switch d.Reason {
	case acl.Allowed:
		ctx.Out.OK()
	case acl.DeniedCommand:
		ctx.Out.BulkString("This user has no permissions to run the '" + cmd.FullName + "' command")
	default:
		ctx.Out.BulkString("This user has no permissions to access the '" + string(args[d.Pos]) + "' " + d.Reason.String())
	}
}

func aclHelp(ctx *command.Ctx) {
	help(ctx, "ACL",
		"CAT [<category>]", "    List all commands that belong to <category>, or all command categories", "    when no category is specified.",
		"DELUSER <username> [<username> ...]", "    Delete a list of users.",
		"DRYRUN <username> <command> [<arg> ...]", "    Returns whether the user can execute the given command without executing the command.",
		"GETUSER <username>", "    Get the user's details.",
		"GENPASS [<bits>]", "    Generate a secure 256-bit user password. The optional `bits` argument can", "    be used to specify a different size.",
		"LIST", "    Show users details in config file format.",
		"LOAD", "    Reload users from the ACL file.",
		"LOG [<count> | RESET]", "    Show the ACL log entries.",
		"SAVE", "    Save the current config to the ACL file.",
		"SETUSER <username> <attribute> [<attribute> ...]", "    Create or modify a user with the specified attributes.",
		"USERS", "    List all the registered usernames.",
		"WHOAMI", "    Return the current connection username.")
}
