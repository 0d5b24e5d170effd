package session

import (
	"net"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
)

// masterLink owns the session that stands for the link to the master.
type masterLink struct {
	remote, local string
	kill          func()
}

func (m *masterLink) Post(fn func())                              { go fn() }
func (m *masterLink) Deliver(engine.Ticket, func(w *resp.Writer)) {}
func (m *masterLink) Push(uint64, []byte)                         {}
func (m *masterLink) Kill(string)                                 { m.kill() }
func (m *masterLink) Detach(func(net.Conn, []byte))               {}
func (m *masterLink) RemoteAddr() string                          { return m.remote }
func (m *masterLink) LocalAddr() string                           { return m.local }

// OpenMaster makes the link to the master one of the clients that CLIENT LIST shows and CLIENT KILL ends, as in Redis; its
// commands do not come by it. kill must not wait. Call closed once, without the lock, when the link has ended.
func (srv *Server) OpenMaster(remote, local string, kill func()) (closed func()) {
	s := &Session{srv: srv, Created: time.Now(), master: true}
	s.Owner, s.Client.Session, s.Proto = &masterLink{remote, local, kill}, s, 2
	s.LastUse = s.Created.Unix()
	r := &srv.clients
	r.mu.Lock()
	r.nextID++
	s.Num = r.nextID
	r.byID[s.Num] = s
	r.mu.Unlock()
	return func() { srv.Closed(s) }
}
