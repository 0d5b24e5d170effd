package fence

import (
	"fmt"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// Never is a deadline that does not come: the gate of a master that needs no promise.
const Never = time.Duration(1<<63 - 1)

// Config is what does not change during an incarnation.
type Config struct {
	ID member.Identity
	// Mutation is for tests only.
	Mutation Mutation
}

// Boot is what the process found when it started.
type Boot struct {
	// Record is nil when it was lost or there never was one.
	Record *Record
	// Whole: the data set recovered is all that the previous incarnation held, and that one was whole.
	// To have lost nothing at the last restart alone proves nothing about the one before.
	Whole bool
}

// Machine is the fencing state of one incarnation.
type Machine struct {
	id  member.Identity
	mut Mutation

	// rec.Term never decreases. A record with Term 0 is "no term": rule 9.
	rec Record
	// heard is a higher term followed on the word of peers, while rec.Term is lost; 0 otherwise.
	heard member.Term
	role  member.Role
	// spoken: the record was kept, or the operator has given this incarnation a term (S3).
	spoken bool
	// joined: under term(), a handshake found the own data on the master's line (or replaced it).
	joined bool
	whole  bool
	// adoptedAs remembers whether the adoption of rec.Term ended a reign, for repeated answers.
	wasMaster bool
	reign     member.Term // last term it was master of, 0 if never

	upstream  member.Upstream
	master    member.Incarnation
	masterPod member.Voter
	primary   string // where clients find the master, or the next one; "" when unknown

	said       said
	pauseUntil time.Duration // 0: no pause
	promises
}

// New is a process just started: parked (S3).
func New(c Config, b Boot) *Machine {
	m := &Machine{id: c.ID, mut: c.Mutation, role: member.RoleParked, whole: b.Whole || c.Mutation.WholeAlways}
	m.rec = Record{SetUID: c.ID.SetUID}
	if b.Record != nil && b.Record.SetUID == c.ID.SetUID {
		m.rec = *b.Record
		m.spoken = m.rec.Term > 0
	}
	return m
}

// term is the term under which it acts: the adopted one, or one known from peers alone.
func (m *Machine) term() member.Term { return max(m.rec.Term, m.heard) }

// Term is the highest adopted term, 0 if it was lost or never given.
func (m *Machine) Term() member.Term { return m.rec.Term }

// Role is the present role.
func (m *Machine) Role() member.Role { return m.role }

// Whole tells whether nothing is missing (rule 4).
func (m *Machine) Whole() bool { return m.whole }

// Upstream is who is followed; meaningful for a replica.
func (m *Machine) Upstream() member.Upstream { return m.upstream }

// Primary is where clients find the master of the term, "" when that is not known: a replica knows it, and who parked for a
// planned handover knows whom to ask first.
func (m *Machine) Primary() string {
	if m.role == member.RoleMaster {
		return ""
	}
	return m.primary
}

// Handle takes a message of an operator, or a Lease. The last effect is the answer to an order.
func (m *Machine) Handle(now time.Duration, msg member.Message) []Effect {
	if o, ok := msg.(member.Ordered); ok {
		if no := m.refuse(o.Given()); no != nil {
			return []Effect{Answer{*no}}
		}
	}
	switch msg := msg.(type) {
	case member.Adopt:
		return m.adopt(now, msg)
	case member.Promote:
		return m.TakeOver(now, msg, member.Data{})
	case member.Follow:
		return m.follow(msg)
	case member.TakeRoster:
		return m.takeRoster(msg)
	case member.Park:
		return m.park(msg)
	case member.Pause:
		m.pauseUntil = now + msg.Length
		return []Effect{PauseClients{Until: m.pauseUntil}, m.done()}
	case member.Resume:
		m.pauseUntil = 0
		return []Effect{ResumeClients{}, m.done()}
	case member.Lease:
		m.takeLease(now, msg)
		return nil
	}
	return []Effect{Answer{m.refusal(member.RefusedUnknown, "the fencing machine has no answer to %s", msg.Kind())}}
}

// refuse checks what every order must satisfy (rules 7 and 9).
func (m *Machine) refuse(o member.Order) *member.Refusal {
	var r member.Refusal
	switch {
	case o.For != m.id.Incarnation && !m.mut.PromoteAnyone:
		r = m.refusal(member.RefusedIncarnation, "meant for %s, this is %s", o.For, m.id.Incarnation)
	case o.Term == 0:
		r = m.refusal(member.RefusedInvalid, "an order needs a term")
	case o.Term < m.term() && !m.mut.AnyTerm:
		r = m.refusal(member.RefusedTerm, "term %d is over, %d is known here", o.Term, m.term())
	case m.rec.Term == 0 && !o.Met && !m.mut.ObeyUnmet:
		r = m.refusal(member.RefusedUnmet, "no term here: read status again after meeting %s", m.id.Incarnation)
	default:
		return nil
	}
	return &r
}

func (m *Machine) refusal(code member.RefusalCode, format string, args ...any) member.Refusal {
	return member.Refusal{Code: code, Why: fmt.Sprintf(format, args...), Term: m.term()}
}

func (m *Machine) done() Effect {
	return Answer{member.Done{Term: m.rec.Term, Incarnation: m.id.Incarnation}}
}

// adopt takes a higher term and stops (rule 4). A repeated order is answered again as long as nothing
// has begun under the term.
func (m *Machine) adopt(now time.Duration, a member.Adopt) []Effect {
	if a.Term == m.rec.Term && m.role != member.RoleParked {
		return []Effect{Answer{m.refusal(member.RefusedRole, "already %s of term %d", m.role, m.rec.Term)}}
	}
	var out []Effect
	if a.Term > m.rec.Term {
		m.wasMaster = m.role == member.RoleMaster
		out = m.stop(a.Handover)
		m.primary = a.Next
		out = append(out, m.enter(Record{SetUID: m.id.SetUID, Term: a.Term})...)
	}
	return append(out, AnswerAdopted{member.Adopted{Term: m.rec.Term, Voter: m.id.Voter,
		Incarnation: m.id.Incarnation, WasMaster: m.wasMaster, Data: member.Data{Whole: m.whole}, Quiet: m.said.quiet(now)}})
}

// stop ends whatever is done under the present term: writing, feeding, applying, acknowledging.
func (m *Machine) stop(handover bool) []Effect {
	var out []Effect
	switch m.role {
	case member.RoleMaster:
		if m.mut.KeepWriting {
			return nil
		}
		out = append(out, StopWrites{KeepPaused: handover}, DropFeeds{}, BecomeParked{})
		m.promises = promises{}
	case member.RoleReplica:
		if m.mut.KeepAcking {
			return nil
		}
		out = append(out, DropFeeds{}, BecomeParked{})
	}
	m.become(member.RoleParked)
	m.joined, m.primary = false, ""
	return out
}

// enter makes r the record: the term rises, and it is durable before the answer leaves.
func (m *Machine) enter(r Record) []Effect {
	if r.Term < m.rec.Term && !m.mut.AnyTerm {
		panic(fmt.Sprintf("fence: term would fall from %d to %d", m.rec.Term, r.Term))
	}
	m.rec, m.heard, m.spoken = r, 0, true
	if m.mut.NoPersist {
		return nil
	}
	return []Effect{Persist{r}}
}

// become is the one place where the role changes.
func (m *Machine) become(to member.Role) {
	if m.role == member.RoleReplica && to == member.RoleMaster {
		panic("fence: a replica becomes master through Parked only: it must have adopted the term")
	}
	m.role = to
}

// TakeOver takes a promotion; has is the data set as it is. In a planned handover (Promote.After) a replica that holds all that
// the old master had when it adopted the term adopts it in the same step: nobody feeds it any more, so it cannot get past that
// place, and one record on disk does for both (rule 13).
func (m *Machine) TakeOver(now time.Duration, p member.Promote, has member.Data) []Effect {
	if no := m.refuse(p.Order); no != nil {
		return []Effect{Answer{*no}}
	}
	if m.role == member.RoleMaster && p.Term == m.rec.Term {
		return []Effect{m.done()}
	}
	if no := m.unfit(p, has); no != nil {
		return []Effect{Answer{*no}}
	}
	var out []Effect
	if m.role == member.RoleReplica {
		out = m.stop(false)
		m.rec.Term = p.Term
	}
	return append(out, m.promote(now, p)...)
}

// unfit tells why a promotion is refused, nil if it is not.
func (m *Machine) unfit(p member.Promote, has member.Data) *member.Refusal {
	takes := p.After != nil && m.role == member.RoleReplica && p.Term > m.rec.Term
	var r member.Refusal
	switch {
	case p.Voter != m.id.Voter && !m.mut.PromoteAnyone:
		r = m.refusal(member.RefusedIncarnation, "meant for pod %s", p.Voter)
	case !takes && (m.role != member.RoleParked || p.Term != m.rec.Term):
		r = m.refusal(member.RefusedRole, "%s in term %d: adopt term %d first", m.role, m.rec.Term, p.Term)
	case p.After != nil && (has.Loading || has.Position() != *p.After) && !m.mut.TakeBlindly:
		r = m.refusal(member.RefusedRole, "holds %v, the old master ended at %v", has.Position(), *p.After)
	case m.reign >= p.Term:
		r = m.refusal(member.RefusedRole, "reigned in term %d already", m.reign)
	case p.Rosters.New.Valid() != nil || p.Lease <= 0 || p.ReplID == "":
		r = m.refusal(member.RefusedInvalid, "promotion without roster, lease or replication ID")
	default:
		return nil
	}
	return &r
}

// promote begins a reign (rule 7). The term must have been adopted here: only then is the answer, by
// which this member was chosen, still true.
func (m *Machine) promote(now time.Duration, p member.Promote) []Effect {
	m.become(member.RoleMaster)
	m.reign, m.wasMaster, m.whole, m.pauseUntil = p.Term, false, true, 0
	m.master, m.masterPod = m.id.Incarnation, m.id.Voter
	m.promises = newPromises(now, p)
	out := m.enter(Record{SetUID: m.id.SetUID, Term: p.Term, GivenUp: p.GivenUp})
	out = append(out, BecomeMaster{Term: p.Term, ReplID: p.ReplID}, ResumeClients{})
	out = append(out, m.Tick(now)...)
	return append(out, m.done())
}

// follow makes it a replica. A higher term is adopted on the way.
func (m *Machine) follow(f member.Follow) []Effect {
	if m.role == member.RoleMaster && f.Term == m.rec.Term {
		return []Effect{Answer{m.refusal(member.RefusedRole, "master of term %d: a reign ends with a higher term only", m.rec.Term)}}
	}
	if f.Upstream.Voter == m.id.Voter {
		return []Effect{Answer{m.refusal(member.RefusedInvalid, "told to follow itself")}}
	}
	same := m.role == member.RoleReplica && m.rec.Term == f.Term && m.upstream == f.Upstream
	m.rec.GivenUp = f.GivenUp
	if same && m.spoken {
		m.primary = f.Primary
		return []Effect{m.done()}
	}
	var out []Effect
	moved := m.role == member.RoleMaster || m.wasMaster
	if f.Term > m.rec.Term {
		if f.Term != m.heard || m.role == member.RoleMaster {
			out = m.stop(false)
		}
		m.wasMaster = false
	}
	up := f.Upstream
	out = append(out, m.enter(Record{SetUID: m.id.SetUID, Term: f.Term, Upstream: &up, GivenUp: f.GivenUp, Primary: f.Primary})...)
	m.master, m.masterPod, m.primary = f.Master, f.MasterPod, f.Primary
	out = append(out, m.attach(up)...)
	if moved {
		m.wasMaster = false
		out = append(out, ResumeClients{}, CloseClients{})
	}
	return append(out, m.done())
}

func (m *Machine) attach(up member.Upstream) []Effect {
	if m.role == member.RoleReplica && m.upstream == up {
		return nil
	}
	m.upstream = up
	m.become(member.RoleReplica)
	return []Effect{BecomeReplica{Term: m.term(), Upstream: up}}
}

// park stops a replica. A master is only stopped by a higher term.
func (m *Machine) park(p member.Park) []Effect {
	if m.role == member.RoleMaster && p.Term == m.rec.Term {
		return []Effect{Answer{m.refusal(member.RefusedRole, "master of term %d: adopt a higher one", m.rec.Term)}}
	}
	out := m.stop(false)
	if p.Term > m.rec.Term {
		out = append(out, m.enter(Record{SetUID: m.id.SetUID, Term: p.Term})...)
	}
	return append(out, m.done())
}

// HearPeer takes the word of another member of the set while no operator has given a role: follow the
// master of the highest term told (S3). Without a kept record this grants no voucher.
func (m *Machine) HearPeer(r member.Report) []Effect {
	if m.role == member.RoleMaster || r.Identity.SetUID != m.id.SetUID || r.Master == nil || r.Term == 0 {
		return nil
	}
	known := m.term()
	if r.Term < known || r.Master.Voter == m.id.Voter {
		return nil
	}
	if m.role == member.RoleReplica && r.Term == known {
		return nil
	}
	out := m.stop(false)
	up := *r.Master
	m.master, m.masterPod, m.primary = up.Incarnation, up.Voter, ""
	if m.rec.Term == 0 {
		m.heard = r.Term
	} else if r.Term > m.rec.Term {
		out = append(out, m.enter(Record{SetUID: m.id.SetUID, Term: r.Term, Upstream: &up})...)
	}
	return append(out, m.attach(up)...)
}

// Rejoin is the first thing a restarted replica does with a kept record: follow whom it followed.
func (m *Machine) Rejoin() []Effect {
	if m.role != member.RoleParked || m.rec.Upstream == nil {
		return nil
	}
	m.primary = m.rec.Primary
	return m.attach(*m.rec.Upstream)
}

// Report fills in what the machine knows; the driver adds data, link, persistence and configuration.
func (m *Machine) Report(now time.Duration) member.Report {
	r := member.Report{Identity: m.id, Term: m.rec.Term, Role: m.role, Reign: m.reign, Data: member.Data{Whole: m.whole},
		Paused: m.pauseUntil > now}
	switch m.role {
	case member.RoleMaster:
		rosters := m.rosters.Clone()
		r.Rosters, r.RosterOffset, r.RosterHeld = &rosters, m.rosterOffset, m.held(m.rosters.New, m.rosterOffset)
		r.Writable = now < m.until()
		r.Master = &member.Upstream{Name: m.id.Name, Voter: m.id.Voter, Incarnation: m.id.Incarnation}
	case member.RoleReplica:
		r.Link = &member.Link{Upstream: m.upstream}
		if m.upstream.Incarnation == m.master {
			up := m.upstream
			r.Master = &up
		}
	}
	return r
}
