package session

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/relay"
)

// carried is a session on its way to the server that has become the master.
type carried struct {
	engine.Carried
	Name    string `json:"name,omitempty"`
	LibName string `json:"lib,omitempty"`
	LibVer  string `json:"ver,omitempty"`
	User    string `json:"user,omitempty"` // but for default
}

// Reasons why a session's state cannot leave this server.
var (
	errClings = errors.New("its subscriptions or its role are bound to this server")
	errUser   = errors.New("its user cannot be vouched for without a password of the default user")
	errTooBig = errors.New("its transaction is too big to be carried")
)

// Pack is the session's state for another server, nil for a session that has reached nothing yet, and whether it has
// authenticated itself: one that needed no password here has not. Only its owner may ask, outside of a batch.
func (s *Session) Pack() (state []byte, auth bool, err error) {
	switch {
	case s.Clings():
		return nil, false, errClings
	case s.Has(engine.NeedAuth) || (s.LastCmd == nil && s.restored == nil):
		return nil, false, nil
	}
	k := carried{Carried: s.Client.Pack(), Name: s.Name, LibName: s.LibName, LibVer: s.LibVer}
	auth = !s.srv.users.open.Load()
	switch u := s.user.Load(); {
	case u == s.srv.users.def:
	case u == nil || !auth:
		return nil, false, errUser
	default:
		k.User = u.Name
	}
	state, err = json.Marshal(k)
	if err == nil && len(state) > relay.MaxState {
		err = errTooBig
	}
	return state, auth, err
}

// Unpack makes a new session what another member says it was. refusal is "" when that is done. The engine's lock must not
// be held.
func (srv *Server) Unpack(s *Session, q relay.Request) (refusal string) {
	srv.e.Exclusive(func() { // CLIENT LIST on another loop may be looking
		refusal = srv.unpack(s, q)
	})
	return refusal
}

func (srv *Server) unpack(s *Session, q relay.Request) (refusal string) {
	proven := q.Auth && s.Has(engine.NeedAuth)
	if proven && !srv.authenticate(s, srv.users.def.Name, []byte(q.Password), "relay") {
		return relay.WhyPassword
	}
	return srv.restore(s, q.State, proven)
}

// Restore makes a session what it was on this server, or on another one, before its connection was relayed. auth must be
// known to be true.
func (srv *Server) Restore(s *Session, state []byte, auth bool) (refusal string) {
	srv.e.Exclusive(func() {
		if auth {
			s.Clear(engine.NeedAuth)
		}
		refusal = srv.restore(s, state, auth)
	})
	return refusal
}

// restore reads a state. proven: whoever tells it may say as whom the client acts.
func (srv *Server) restore(s *Session, state []byte, proven bool) (refusal string) {
	if len(state) == 0 {
		return ""
	}
	var k carried
	if s.Has(engine.NeedAuth) { // who has not authenticated itself has reached nothing
		return relay.WhyState
	}
	if err := json.Unmarshal(state, &k); err != nil || !srv.e.Unpack(&s.Client, k.Carried) {
		return relay.WhyState
	}
	for _, word := range []string{k.Name, k.LibName, k.LibVer} {
		if !validName([]byte(word)) {
			return relay.WhyState
		}
	}
	if k.User != "" {
		u := srv.users.byName[k.User]
		if !proven || u == nil || !u.Enabled() {
			return relay.WhyState // another member has other users
		}
		s.become(u)
	}
	s.Name, s.LibName, s.LibVer, s.restored = k.Name, k.LibName, k.LibVer, state
	s.LastUse = time.Now().Unix()
	return ""
}
