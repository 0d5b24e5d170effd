package fakemember

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// Member is a pod of a set: its supervisor and the process in it.
type Member struct {
	world    *World
	id       member.Identity
	Persists bool
	listener net.Listener

	// Guarded by the world's lock.
	proc     *process
	record   *fence.Record
	seq      uint64
	sessions []*session
	authFile string
	stopped  bool // SIGSTOP
	death    *member.Death
	isolated bool
}

// Pod describes the pod to run.
type Pod struct {
	SetUID   string
	Name     string
	Voter    member.Voter
	Persists bool
	Cert     tls.Certificate
	CA       []byte // PEM
	Password string // version
	// Left is what an earlier pod on the same claim left behind.
	Left *Disk
}

// Disk is the content of a claim.
type Disk struct {
	Record  *fence.Record
	Log     []string
	History member.History
}

// Run starts a pod's supervisor and process.
func (w *World) Run(p Pod) (*Member, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.CA) {
		return nil, fmt.Errorf("no authority for %s", p.Name)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{p.Cert},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
	if err != nil {
		return nil, err
	}
	m := &Member{world: w, Persists: p.Persists, listener: l, authFile: p.Password,
		id: member.Identity{SetUID: p.SetUID, Name: p.Name, Voter: p.Voter, ContainerID: "containerd://" + string(p.Voter)}}
	w.mu.Lock()
	w.members[p.Voter] = m
	disk := Disk{}
	if p.Left != nil && p.Persists {
		disk = *p.Left
	}
	m.start(disk.Record, slices.Clone(disk.Log), slices.Clone(disk.History))
	w.mu.Unlock()
	w.done.Go(m.accept)
	return m, nil
}

// Addr is the management listener's address.
func (m *Member) Addr() string { return m.listener.Addr().String() }

// Crash kills the server process; the supervisor proves it and starts the next one, parked.
func (m *Member) Crash(cause string) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.proc == nil {
		return
	}
	m.death = &member.Death{Identity: m.proc.id, Cause: cause}
	for _, s := range m.sessions {
		s.send(member.Frame{Message: *m.death})
	}
	log, history := m.proc.log, m.proc.history
	if !m.Persists {
		log, history = nil, nil
	}
	m.start(m.record, slices.Clone(log), slices.Clone(history))
}

// Stop and Continue are SIGSTOP and SIGCONT for the whole container.
func (m *Member) Stop()     { m.freeze(true) }
func (m *Member) Continue() { m.freeze(false) }

func (m *Member) freeze(on bool) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.stopped = on
}

// Terminate is SIGTERM: a master asks to be relieved.
func (m *Member) Terminate() {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.proc == nil {
		return
	}
	m.proc.terminate = true
	if term, _ := m.proc.machine.Gate(); term > 0 {
		for _, s := range m.sessions {
			s.send(member.Frame{Message: member.Handover{Term: term, Incarnation: m.proc.id.Incarnation, Why: "SIGTERM"}})
		}
	}
}

// Relieved tells whether the member is not master, so that it may exit.
func (m *Member) Relieved() bool {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	return m.proc == nil || m.proc.machine.Role() != member.RoleMaster
}

// Role is RoleParked for a member whose process is gone.
func (m *Member) Role() member.Role {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.proc == nil {
		return member.RoleParked
	}
	return m.proc.machine.Role()
}

// SetPassword is a change of the mounted file.
func (m *Member) SetPassword(version string) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.authFile = version
}

// Auth is the password version in use and the last step taken towards it.
func (m *Member) Auth() (string, member.Rotation) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.proc == nil {
		return "", ""
	}
	return m.proc.auth, m.proc.authStep
}

// Directive is a directive as last configured.
func (m *Member) Directive(name string) string {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.proc == nil {
		return ""
	}
	return m.proc.directive[name]
}

// Detach makes a replica lose its upstream, as a REPLICAOF typed by hand would: the member leaves its
// role and waits for the operator's word.
func (m *Member) Detach() {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if p := m.proc; p != nil {
		m.do(nil, 0, p.machine.Handle(m.world.clock(), member.Park{Order: member.Order{Term: p.machine.Term(), For: p.id.Incarnation}}))
	}
}

// Remove ends the pod and gives what its claim holds.
func (m *Member) Remove() Disk {
	m.world.mu.Lock()
	var d Disk
	if m.proc != nil {
		d = Disk{Record: m.record, Log: m.proc.log, History: m.proc.history}
	}
	m.proc = nil
	if m.world.members[m.id.Voter] == m {
		delete(m.world.members, m.id.Voter)
	}
	sessions := slices.Clone(m.sessions)
	m.world.mu.Unlock()
	_ = m.listener.Close()
	for _, s := range sessions {
		_ = s.conn.Close()
	}
	return d
}

// Isolate cuts the member's links to other members; the operator still reaches it.
func (m *Member) Isolate(on bool) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.isolated = on
}

func (w *World) cut(a, b *Member) bool { return a.isolated || b.isolated }

func (w *World) nonce() uint64 { return uint64(w.clock()) }
