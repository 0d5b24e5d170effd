package fakemember

import (
	"errors"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// session is an operator's connection. Lines leave through a queue, so that the world never waits.
type session struct {
	conn net.Conn
	out  chan member.Frame
}

func (s *session) send(f member.Frame) {
	if s == nil {
		return
	}
	select {
	case s.out <- f:
	default: // a peer that does not read loses the connection
		_ = s.conn.Close()
	}
}

func (m *Member) accept() {
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			return
		}
		m.world.done.Go(func() { m.serve(conn) })
	}
}

func (m *Member) serve(conn net.Conn) {
	defer conn.Close()
	r := member.NewReader(conn)
	f, err := member.ReadFrame(r)
	if err != nil {
		return
	}
	hello, ok := f.Message.(member.Hello)
	if !ok || hello.SetUID != m.id.SetUID {
		write(conn, member.Frame{Message: member.Refusal{Code: member.RefusedForeign, Why: "another set"}})
		return
	}
	s := &session{conn: conn, out: make(chan member.Frame, 1024)}
	m.world.done.Go(func() {
		for f := range s.out {
			if !write(conn, f) {
				_ = conn.Close()
			}
		}
	})
	defer close(s.out)
	if !m.greet(s) {
		return
	}
	defer m.leave(s)
	for {
		f, err := member.ReadFrame(r)
		var unknown *member.UnknownKindError
		if errors.As(err, &unknown) {
			continue
		}
		if err != nil {
			return
		}
		m.hear(s, f)
	}
}

func write(conn net.Conn, f member.Frame) bool {
	line, err := member.Encode(f)
	if err != nil {
		panic(err)
	}
	_, err = conn.Write(line)
	return err == nil
}

func (m *Member) greet(s *session) bool {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.proc == nil {
		return false
	}
	id := m.proc.id
	s.send(member.Frame{Message: member.Hello{Oldest: member.OldestVersion, Newest: member.ProtocolVersion, Member: &id, SetUID: m.id.SetUID}})
	if m.death != nil {
		s.send(member.Frame{Message: *m.death})
	}
	s.send(member.Frame{Message: m.word(m.world.clock())})
	m.sessions = append(m.sessions, s)
	return true
}

func (m *Member) leave(s *session) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.sessions = slices.DeleteFunc(m.sessions, func(o *session) bool { return o == s })
}

// hear waits while the container is stopped, as a socket's buffer would.
func (m *Member) hear(s *session, f member.Frame) {
	for {
		m.world.mu.Lock()
		if !m.stopped || m.proc == nil {
			break
		}
		m.world.mu.Unlock()
		time.Sleep(tick)
	}
	defer m.world.mu.Unlock()
	p := m.proc
	if p == nil {
		return
	}
	now := m.world.clock()
	switch msg := f.Message.(type) {
	case member.Ask:
		s.send(member.Frame{Re: f.ID, Message: m.word(now)})
	case member.Configure:
		if msg.Set["maxmemory-policy"] == "bad" {
			p.configBad = "maxmemory-policy: bad is not a policy"
			s.send(member.Frame{Re: f.ID, Message: member.Refusal{Code: member.RefusedInvalid, Why: p.configBad}})
			break
		}
		p.configBad = ""
		p.config, p.directive = msg.Version, maps.Clone(msg.Set)
		s.send(member.Frame{Re: f.ID, Message: member.Done{Term: p.machine.Term(), Incarnation: p.id.Incarnation}})
	case member.Rotate:
		if msg.Version != m.authFile {
			s.send(member.Frame{Re: f.ID, Message: member.Refusal{Code: member.RefusedInvalid, Why: "the mounted file has another version"}})
			return
		}
		p.auth, p.authStep = msg.Version, msg.Step
		s.send(member.Frame{Re: f.ID, Message: member.Done{Term: p.machine.Term(), Incarnation: p.id.Incarnation}})
	case member.Save:
		p.saved = m.Persists
		s.send(member.Frame{Re: f.ID, Message: member.Done{Term: p.machine.Term(), Incarnation: p.id.Incarnation}})
	case member.Promote:
		m.do(s, f.ID, p.machine.TakeOver(now, msg, p.data()))
	default:
		m.do(s, f.ID, p.machine.Handle(now, f.Message))
	}
	m.report(now)
}
