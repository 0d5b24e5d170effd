package session

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/acl"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/pubsub"
)

// Session is one client.
type Session struct {
	engine.Client

	Name    string
	LibName string
	LibVer  string
	Created time.Time
	FD      int
	Remote  netip.AddrPort
	Local   netip.AddrPort
	Path    string // of the unix socket, when it came that way

	// QueryBytes and OutputBytes are what the owner buffers for the client, for CLIENT LIST.
	QueryBytes  atomic.Int64
	OutputBytes atomic.Int64
	// ArgvBytes are of whole arguments of an incomplete command; HeldBytes is what the owner's buffers take.
	ArgvBytes atomic.Int64
	HeldBytes atomic.Int64
	// PushBytes are the messages that wait for their place among the replies.
	PushBytes atomic.Int64

	user     atomic.Pointer[acl.User] // changes under the engine's exclusive lock; nil: the user was removed
	gone     bool                     // was closed by another client; guarded by the engine's lock
	subs     pubsub.Subscriptions     // guarded by the engine's lock
	subBytes int64                    // what they take; likewise
	class    atomic.Int32             // of client-output-buffer-limit

	master   bool // stands for the link to the master
	srv      *Server
	restored []byte // the state with which it came from another member
}

// registry finds sessions by number, in the order of their arrival.
type registry struct {
	mu     sync.Mutex
	byID   map[int64]*Session
	nextID int64

	needAuth, limited bool // of the default user: as what new sessions begin
}

// Open makes s a session of the server. owner must be ready to be called.
func (srv *Server) Open(s *Session, owner engine.Owner) {
	s.srv = srv
	s.Owner = owner
	s.Client.Session = s
	s.Proto = 2
	s.Created = time.Now()
	s.LastUse = s.Created.Unix()
	s.user.Store(srv.users.def)
	r := &srv.clients
	r.mu.Lock() // whoever changes the default user finds s in the list, or s finds what was changed
	if r.needAuth {
		s.Set(engine.NeedAuth)
	}
	if r.limited {
		s.Limit(s)
	}
	r.nextID++
	s.Num = r.nextID
	r.byID[s.Num] = s
	r.mu.Unlock()
	srv.e.AddClientBytes(sessionSize)
	srv.accepted.Add(1)
}

// Closed forgets s. Its owner calls it once, without the lock.
func (srv *Server) Closed(s *Session) {
	srv.clients.mu.Lock()
	delete(srv.clients.byID, s.Num)
	srv.clients.mu.Unlock()
	if !s.Bare() || s.Receives() {
		srv.e.Exclusive(func() {
			srv.unsubscribeAll(s)
			srv.unmonitor(s)
			srv.e.Forget(&s.Client)
		})
	}
	if !s.master { // whose buffers are the link's
		srv.e.AddClientBytes(-sessionSize - s.PushBytes.Load()) // nobody pushes to it any more
	}
}

// Count is the number of sessions.
func (srv *Server) Count() int {
	srv.clients.mu.Lock()
	defer srv.clients.mu.Unlock()
	return len(srv.clients.byID)
}

// each calls fn for the sessions in no order.
func (srv *Server) each(fn func(s *Session)) {
	r := &srv.clients
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.byID {
		fn(s)
	}
}

// sorted lists the sessions by number.
func (srv *Server) sorted() []*Session {
	r := &srv.clients
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Session, 0, len(r.byID))
	for _, s := range r.byID {
		list = append(list, s)
	}
	sortByID(list)
	return list
}

// userName is the user as whom the client acts.
func (s *Session) userName() string {
	if u := s.user.Load(); u != nil {
		return u.Name
	}
	return "(superuser)"
}

// Of returns the session behind a client, nil for one that has none.
func Of(c *engine.Client) *Session {
	if c == nil {
		return nil
	}
	s, _ := c.Session.(*Session)
	return s
}

// CloseNormal closes the connections of all normal clients: a member that was demoted does so, once the role has moved,
// so that they look for the master anew. Clients of the primary port need not: they stay, unless their session is bound to
// this server, and those that are blocked learn that what they wait for will not come. dropped counts those of them that
// were closed.
func (srv *Server) CloseNormal(why string) (dropped int) {
	all := srv.sorted()
	srv.e.Exclusive(func() {
		for _, s := range all {
			switch {
			case s.Has(engine.IsReplica) || s.master:
			case !s.Has(engine.WantsMaster):
				s.Owner.Kill(why)
			case s.Has(engine.Subscribed): // hears the messages of the stream: none is missed
			case s.Clings():
				dropped++
				s.Owner.Kill(why)
			case s.Blocked():
				srv.e.Interrupt(&s.Client)
			}
		}
	})
	return dropped
}
