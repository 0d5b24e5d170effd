package memberclient

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
)

// maxDeaths bounds the proofs that a set remembers; only those of the master on record matter.
const maxDeaths = 64

// Facts are what is known of one pod's process.
type Facts struct {
	Name      string
	Voter     member.Voter
	Connected bool
	LostAt    time.Duration
	MetAt     time.Duration
	Report    *member.Report
	ReportAt  time.Duration
	Answer    *member.Adopted
	AnswerAt  time.Duration
	Refused   *member.Refusal
	// ConfigSent is the version of the last directives sent to the present incarnation.
	ConfigSent string

	incarnation member.Incarnation
	container   string
	heard       time.Duration
}

// Set holds the connections and facts of one resource. Its methods are safe for concurrent use.
type Set struct {
	pool *Pool
	key  types.NamespacedName
	uid  string

	mu     sync.Mutex
	creds  Credentials
	lease  time.Duration
	lessor plan.Lessor
	conns  map[member.Voter]*conn
	facts  map[member.Voter]*Facts
	deaths []plan.Death

	record   string // the term's record as read last, and since when it was read so
	recordAt time.Duration
	eager    bool
}

func newSet(p *Pool, key types.NamespacedName, uid string) *Set {
	return &Set{pool: p, key: key, uid: uid, lease: 2 * time.Second, conns: map[member.Voter]*conn{}, facts: map[member.Voter]*Facts{}}
}

// UID of the resource.
func (s *Set) UID() types.UID { return types.UID(s.uid) }

// Connect keeps exactly these members connected. lease is the set's lease duration.
func (s *Set) Connect(creds Credentials, lease time.Duration, want []Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.creds, s.lease = creds, lease
	for v, c := range s.conns {
		if !slices.ContainsFunc(want, func(e Endpoint) bool { return e == c.to }) {
			c.stop()
			delete(s.conns, v)
		}
	}
	for v := range s.facts {
		if !slices.ContainsFunc(want, func(e Endpoint) bool { return e.Voter == v }) {
			delete(s.facts, v)
		}
	}
	for _, e := range want {
		if s.conns[e.Voter] == nil {
			s.conns[e.Voter] = startConn(s, e)
		}
	}
}

func (s *Set) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lessor.Stop()
	for v, c := range s.conns {
		c.stop()
		delete(s.conns, v)
	}
}

// Eager makes every report wake the reconciler, also when only an offset moved, and asks all members
// for one now: for passes that wait for an offset.
func (s *Set) Eager(on bool) {
	s.mu.Lock()
	s.eager = on
	conns := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	if !on {
		return
	}
	for _, c := range conns {
		_ = c.send(member.Ask{}) // a broken connection shows itself in the facts
	}
}

// Send gives an order to exactly one process. It does not wait for the answer. An error means that the
// member cannot be reached now: a later pass tries again.
func (s *Set) Send(to plan.Target, m member.Message) error {
	s.mu.Lock()
	c, f := s.conns[to.Voter], s.facts[to.Voter]
	s.mu.Unlock()
	if c == nil || f == nil {
		return fmt.Errorf("%s is not connected: %s waits", to.Name, m.Kind())
	}
	if err := c.send(m); err != nil {
		return fmt.Errorf("%s to %s: %w", m.Kind(), to.Name, err)
	}
	if config, ok := m.(member.Configure); ok {
		s.mu.Lock()
		f.ConfigSent = config.Version
		s.mu.Unlock()
	}
	return nil
}

// GrantLeases lets requests of this reign pass, as long as this process leads without a break since then (S1, rule 8).
func (s *Set) GrantLeases(r plan.Reign, since time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lessor.Grants(r, since)
}

// StopLeases ends all leases of this set. When it returns no lease is granted any more.
func (s *Set) StopLeases() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lessor.Stop()
}

// LastLease is when the last lease was granted.
func (s *Set) LastLease() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lessor.Last()
}

// Facts of all members that are to be connected, by name.
func (s *Set) Facts() []Facts {
	now := s.pool.cfg.Clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Facts, 0, len(s.facts))
	for _, f := range s.facts {
		c := *f
		if c.Connected && now-c.heard > plan.Silence(s.lease) {
			c.Connected, c.LostAt = false, c.heard
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Facts) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// TermSeen notes the term's record as just read and tells since when it has been read so.
func (s *Set) TermSeen(t plan.TermRecord, now time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprint(t.Number, t.Master != nil)
	if key != s.record {
		s.record, s.recordAt = key, now
	}
	return s.recordAt
}

// Deaths are the proofs heard so far.
func (s *Set) Deaths() []plan.Death {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deaths)
}

// Container tells which incarnation was last met in a container, for the kubelet's proof.
func (s *Set) Container(v member.Voter) (id string, inc member.Incarnation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.facts[v]; f != nil {
		return f.container, f.incarnation
	}
	return "", ""
}

// Died records a proof of death that came from elsewhere (the kubelet's report, a node declared gone).
func (s *Set) Died(d plan.Death) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.died(d)
}

func (s *Set) died(d plan.Death) bool {
	if slices.ContainsFunc(s.deaths, func(o plan.Death) bool {
		return o.Voter == d.Voter && o.Incarnation == d.Incarnation && (o.Final || !d.Final)
	}) {
		return false
	}
	if len(s.deaths) == maxDeaths {
		s.deaths = slices.Delete(s.deaths, 0, 1)
	}
	s.deaths = append(s.deaths, d)
	return true
}

// meet notes that the incarnation speaks. A newer one in the same pod proves the older one dead; an
// older one is a late line and is not met.
func (s *Set) meet(e Endpoint, id member.Identity, now time.Duration) (f *Facts, ok bool) {
	f = s.facts[e.Voter]
	if f == nil {
		f = &Facts{Name: e.Name, Voter: e.Voter}
		s.facts[e.Voter] = f
	}
	switch {
	case id.Incarnation == f.incarnation:
	case f.incarnation == "" || id.Incarnation.NewerThan(f.incarnation):
		if f.incarnation != "" {
			s.died(plan.Death{Voter: e.Voter, Incarnation: f.incarnation, Proof: plan.ProofNewer, Cause: "a newer process runs in the same pod"})
		}
		*f = Facts{Name: e.Name, Voter: e.Voter, Connected: f.Connected, incarnation: id.Incarnation, MetAt: now}
	default:
		return f, false
	}
	if id.ContainerID != "" {
		f.container = id.ContainerID
	}
	f.heard = now
	return f, true
}

// take handles one message and returns the answer to send, if any, and whether the reconciler should
// look.
func (s *Set) take(e Endpoint, m member.Message) (answer member.Message, wake bool) {
	now := s.pool.cfg.Clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts[e.Voter]
	if f == nil { // no longer wanted
		return nil, false
	}
	silent := now-f.heard > plan.Silence(s.lease)
	f.heard = now
	switch m := m.(type) {
	case member.LeaseRequest:
		// Rule 8: leadership is read after the request arrived; its end first, so that it is never the end of a later one.
		until := s.pool.cfg.Leadership.Until()
		if lease, ok := s.lessor.Ask(m, now, s.pool.cfg.Leadership.Since(), until); ok {
			return lease, silent
		}
		return nil, silent
	case member.Report:
		f, ok := s.meet(e, m.Identity, now)
		if !ok {
			return nil, false
		}
		wake = silent || s.eager || f.Report == nil || !sameWord(*f.Report, m)
		f.Report, f.ReportAt = &m, now
	case member.Adopted:
		if m.Incarnation != f.incarnation {
			return nil, false
		}
		wake = f.Answer == nil || m.Term >= f.Answer.Term
		if wake {
			f.Answer, f.AnswerAt = &m, now
		}
	case member.Done:
		f.Refused, wake = nil, true
	case member.Refusal:
		wake = f.Refused == nil || *f.Refused != m
		f.Refused = &m
	case member.Death:
		wake = s.died(plan.Death{Voter: e.Voter, Incarnation: m.Identity.Incarnation, Proof: plan.ProofSupervisor, Cause: m.Cause})
	case member.Handover:
		wake = true
	}
	return nil, wake || silent
}

// sameWord compares reports without what moves all the time.
func sameWord(a, b member.Report) bool {
	return reflect.DeepEqual(a.Still(), b.Still())
}

func (s *Set) wake() { s.pool.cfg.Wake(s.key) }
