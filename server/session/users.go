package session

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/acl"
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/pubsub"
	"github.com/understudy-db/understudy/server/settings"
)

// users are the accounts. The engine's lock guards them: exclusively for changes, in either mode for reads.
type users struct {
	space  acl.Space
	byName map[string]*acl.User
	def    *acl.User   // always the same one
	open   atomic.Bool // the default user needs no password

	logMu  sync.Mutex // reads that share the engine's lock are refused side by side
	log    acl.Log
	denied [acl.DeniedChannel + 1]atomic.Int64
}

func (srv *Server) initUsers() {
	us := &srv.users
	us.space = acl.Space{Table: srv.e.Table, AllChannels: func() bool { return srv.cfg.EnumName(settings.ACLPubSubDefault) == "allchannels" }}
	us.def = us.space.NewDefault()
	us.byName = map[string]*acl.User{us.def.Name: us.def}
	us.open.Store(true)
}

// LoadUsers brings the users that the configuration declares, in itself or in the file that aclfile names. It is called once,
// before the first client.
func (srv *Server) LoadUsers() error {
	declared := srv.cfg.Users()
	file := srv.cfg.String(settings.ACLFile)
	if len(declared) > 0 && file != "" {
		return errors.New("Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. " + //nolint:staticcheck // Redis' text
			"This setup is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in your redis.conf, but not both.")
	}
	if file != "" {
		list, err := srv.readUsers()
		if err != nil {
			return fmt.Errorf("Aborting Redis startup because of ACL errors: %w", err) //nolint:staticcheck // Redis' text
		}
		srv.adopt(list, true)
		return nil
	}
	var list []*acl.User
	for _, d := range declared {
		u, err := srv.users.space.Declare(d.Words, list)
		if err != nil {
			return &settings.Error{Source: d.Source, Line: d.Line, Text: d.Text, Reason: err.Error()}
		}
		list = append(list, u)
	}
	srv.adopt(list, false)
	return nil
}

// usersPath is where aclfile lies.
func (srv *Server) usersPath() string {
	path := srv.cfg.String(settings.ACLFile)
	if !filepath.IsAbs(path) {
		path = filepath.Join(srv.cfg.Dir(), path)
	}
	return path
}

func (srv *Server) readUsers() ([]*acl.User, error) {
	name := srv.cfg.String(settings.ACLFile)
	text, err := fsys.ReadFile(fsys.OS{}, srv.usersPath())
	if err != nil {
		return nil, fmt.Errorf("Error loading ACLs, opening file '%s': %s", name, settings.SystemText(err)) //nolint:staticcheck // Redis' text
	}
	return srv.users.space.ParseFile(name, string(text))
}

// adopt makes list all users that there are. Where it does not tell of the default user, that one is as at the beginning
// (whole) or stays. A password that is mounted is the default user's in any case: the replicas present it.
func (srv *Server) adopt(list []*acl.User, whole bool) {
	us := &srv.users
	us.byName = map[string]*acl.User{us.def.Name: us.def}
	fresh := us.space.NewDefault()
	for _, u := range list {
		if u.Name == us.def.Name {
			fresh, whole = u, true
			continue
		}
		us.byName[u.Name] = u
	}
	if whole {
		us.def.Become(fresh)
	}
	if srv.cfg.String(settings.PasswordFile) != "" {
		srv.applyPassword()
	}
	srv.changed(us.def)
}

// followPassword is requirepass: the one password of the default user.
func (srv *Server) followPassword() {
	srv.applyPassword()
	srv.changed(srv.users.def)
}

func (srv *Server) applyPassword() {
	rules := []string{"nopass"}
	if p := srv.cfg.String(settings.RequirePass); p != "" {
		rules = []string{"resetpass", ">" + p}
	}
	if err := srv.users.def.ApplyAll(rules); err != nil {
		panic("session: " + err.Err.Error()) // our own rules
	}
}

// changed carries new rules of a user to its clients, which may be in the middle of a batch: their next command meets the
// new rules. Clients that wait for a password that there is no more are let in.
func (srv *Server) changed(u *acl.User) {
	if u == srv.users.def {
		srv.users.open.Store(u.NoPass())
		r := &srv.clients
		r.mu.Lock()
		r.needAuth, r.limited = !u.NoPass() || !u.Enabled(), !u.Unrestricted()
		r.mu.Unlock()
	}
	for _, s := range srv.sorted() {
		if s.user.Load() != u {
			continue
		}
		s.limit()
		if u == srv.users.def && u.NoPass() && u.Enabled() {
			s.Owner.Post(func() { srv.e.Exclusive(func() { s.Clear(engine.NeedAuth) }) })
		}
	}
}

// become makes s a client of u.
func (s *Session) become(u *acl.User) {
	s.user.Store(u)
	s.limit()
}

func (s *Session) limit() {
	if u := s.user.Load(); u != nil && u.Unrestricted() {
		s.Limit(nil)
	} else {
		s.Limit(s)
	}
}

// expel closes the connections of users that are no more.
func (srv *Server) expel(me *Session, gone func(u *acl.User) bool) {
	for _, s := range srv.sorted() {
		if u := s.user.Load(); u == nil || !gone(u) {
			continue
		}
		s.user.Store(nil)
		s.Expel()
		srv.kill(me, s, "its user was removed")
	}
}

// kill closes a connection, the caller's own after its reply.
func (srv *Server) kill(me, s *Session, why string) {
	if s == me {
		me.Set(engine.CloseAfter)
		return
	}
	s.gone = true
	srv.e.Abandon(&s.Client)
	s.Owner.Kill(why)
}

// silence closes the clients of u that listen to what it may not hear any more.
func (srv *Server) silence(me *Session, u *acl.User) {
	may := u.Listening()
	if may == nil {
		return
	}
	for _, s := range srv.sorted() {
		if s.user.Load() != u || !s.subs.Any() {
			continue
		}
		for _, k := range []pubsub.Kind{pubsub.Channel, pubsub.Pattern, pubsub.Shard} {
			if slices.ContainsFunc(s.subs.Names(k), func(name string) bool { return !may(name, k == pubsub.Pattern) }) {
				srv.kill(me, s, "its user may not listen any more")
				break
			}
		}
	}
}

// Refuse implements engine.Limits.
func (s *Session) Refuse(cmd *command.Cmd, args [][]byte, where engine.Where) string {
	u := s.user.Load()
	if u == nil {
		return "-NOAUTH Authentication required."
	}
	d := u.Check(cmd, args)
	if d.Reason == acl.Allowed {
		return ""
	}
	if where != engine.JustAsked {
		if where == engine.AtTop || where == engine.InQueue {
			s.LastCmd = cmd // what CLIENT INFO shows in the log
		}
		s.srv.logDenial(s, acl.Entry{Reason: d.Reason, Context: contexts[where], Object: d.Object(cmd, args), User: u.Name})
	}
	return denialTexts(d.Reason, cmd, where)
}

var contexts = map[engine.Where]acl.Context{engine.AtTop: acl.AtTop, engine.InQueue: acl.InMulti, engine.AtExec: acl.InMulti, engine.InScript: acl.InScript}

// denialTexts are the errors, in the words that fit the place.
func denialTexts(r acl.Reason, cmd *command.Cmd, where engine.Where) string {
	texts := map[acl.Reason][3]string{
		acl.DeniedCommand: {"run the '" + cmd.FullName + "' command", "no permission to execute the command or subcommand", "can't run this command or subcommand"},
		acl.DeniedKey:     {"access one of the keys used as arguments", "no permission to touch the specified keys", "can't access at least one of the keys mentioned in the command arguments"},
		acl.DeniedChannel: {"access one of the channels used as arguments", "no permission to access one of the channels used as arguments", "can't publish to the channel mentioned in the command"},
	}[r]
	switch where {
	case engine.AtExec:
		return "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: " + texts[1]
	case engine.InScript:
		return "-ERR The user executing the script " + texts[2]
	}
	return "-NOPERM this user has no permissions to " + texts[0]
}

// ReadsAll implements engine.Limits.
func (s *Session) ReadsAll(cmd *command.Cmd, args [][]byte) bool {
	u := s.user.Load()
	return u != nil && u.ReadsAll(cmd, args)
}

func (srv *Server) logDenial(s *Session, e acl.Entry) {
	us := &srv.users
	us.denied[e.Reason].Add(1)
	e.At = time.Now()
	e.Client = string(s.appendInfo(nil, e.At))
	us.logMu.Lock()
	defer us.logMu.Unlock()
	us.log.Add(e, int(srv.cfg.Int(settings.ACLLogMaxLen)))
}

// sortedUsers lists the users by name.
func (us *users) sorted() []*acl.User {
	list := make([]*acl.User, 0, len(us.byName))
	for _, name := range slices.Sorted(maps.Keys(us.byName)) {
		list = append(list, us.byName[name])
	}
	return list
}

// userLines are the lines for CONFIG REWRITE; there are none when the users have a file of their own.
func (srv *Server) userLines() []string {
	lines := []string{}
	if srv.cfg.String(settings.ACLFile) != "" {
		return lines
	}
	for _, u := range srv.users.sorted() {
		lines = append(lines, "user "+u.String())
	}
	return lines
}

func (srv *Server) saveUsers() error {
	var b strings.Builder
	for _, u := range srv.users.sorted() {
		b.WriteString("user " + u.String() + "\n")
	}
	return fsys.ReplaceBytes(fsys.OS{}, srv.usersPath(), []byte(b.String()))
}
