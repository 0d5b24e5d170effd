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
}

// Reasons why a session's state cannot leave this server.
var (
	errClings = errors.New("its subscriptions or its role are bound to this server")
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
	state, err = json.Marshal(k)
	if err == nil && len(state) > relay.MaxState {
		err = errTooBig
	}
	return state, s.srv.password() != "", err
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
	if q.Auth && s.Has(engine.NeedAuth) && !srv.authenticate(s, "default", []byte(q.Password)) {
		return relay.WhyPassword
	}
	return srv.restore(s, q.State)
}

// Restore makes a session what it was on this server, or on another one, before its connection was relayed. auth must be
// known to be true.
func (srv *Server) Restore(s *Session, state []byte, auth bool) (refusal string) {
	srv.e.Exclusive(func() {
		if auth {
			s.Clear(engine.NeedAuth)
		}
		refusal = srv.restore(s, state)
	})
	return refusal
}

func (srv *Server) restore(s *Session, state []byte) (refusal string) {
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
	s.Name, s.LibName, s.LibVer, s.restored = k.Name, k.LibName, k.LibVer, state
	s.LastUse = time.Now().Unix()
	return ""
}
