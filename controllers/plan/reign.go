package plan

import (
	"fmt"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// reign looks after a set whose term has a recorded master.
func (p *pass) reign() {
	t := p.o.Status.Term
	m := p.byVoter(t.Master.Voter)
	if d, ok := p.dead(t.Master.Voter, t.Master.Incarnation); ok {
		if p.mut.RestartMaster && m != nil {
			p.restartInPlace(m)
			return
		}
		p.lose(fmt.Sprintf("%s died (%s: %s)", t.Master.Name, d.Proof, d.Cause))
		return
	}
	if why := p.suspect(*t.Master, m); why != "" {
		p.lose(why)
		return
	}
	p.do(GrantLeases{*t.Master}, "recorded master of the term")
	if m == nil || !m.Connected || m.Report == nil {
		p.busy = t.Master.Name + " is not heard"
		p.follow(t)
		return
	}
	if !p.masterNow(m) {
		p.busy = m.Name + " is to be promoted"
		p.do(Promote{Target: p.target(m), Record: t, Unfenced: !p.o.Spec.Strict}, "recorded as master, not yet promoted")
		return
	}
	p.follow(t)
	if p.handOver(m) {
		return
	}
	p.changeRoster(m)
	p.credentials()
	p.configure()
	p.save()
	p.replacePods(m)
}

// restartInPlace is what S4 forbids; only a mutation comes here.
func (p *pass) restartInPlace(m *Member) {
	if m.Report == nil || !m.Connected || m.Report.Role != member.RoleParked {
		return
	}
	t := p.o.Status.Term
	next := t
	next.Number++
	r := *t.Master
	r.Term, r.Incarnation = next.Number, m.Report.Identity.Incarnation
	r.ReplID = replID(p.o.Spec.UID, r.Term, r.Incarnation)
	next.Master = &r
	p.do(RecordTerm{p.o.Status.Version, next}, "mutated: restart in place")
	p.do(Adopt{Target: p.target(m), Term: next.Number}, "mutated")
	p.do(Promote{Target: p.target(m), Record: next, Unfenced: !p.o.Spec.Strict}, "mutated")
}

// masterNow tells whether the member reports the recorded reign.
func (p *pass) masterNow(m *Member) bool {
	t := p.o.Status.Term
	return m.Report != nil && m.Report.Role == member.RoleMaster && m.Report.Reign == t.Number &&
		m.Report.Identity.Incarnation == t.Master.Incarnation
}

// lose deposes a master that must be replaced unplanned, unless only a person may.
func (p *pass) lose(why string) {
	if !p.o.Spec.Automatic {
		p.stall(why + "; failover is manual: kubectl understudy promote")
		want := p.byName(p.o.Spec.Request)
		if !p.requested() || want == nil {
			return
		}
		p.depose(why, want.Pod.UID) // the wish decides among equals; the most data still wins
		return
	}
	p.depose(why, "")
}

// Silence is how long a member says nothing until it counts as lost: six heartbeats, as for the replicas of a master. It is no
// bound that safety rests on: the promises of a lease are waited for besides.
func Silence(lease time.Duration) time.Duration { return lease * 3 / 4 }

// suspect tells why a silent master must be deposed: its peers do not hear it either (rule 4). "" if it need not.
func (p *pass) suspect(reign Reign, m *Member) string {
	s := p.o.Spec
	since := p.o.Leader.Since
	if m != nil {
		if m.Connected {
			return ""
		}
		since = max(since, m.LostAt)
	}
	after := s.SuspectAfter
	if after == 0 {
		after = Silence(s.Lease)
	}
	if p.o.Now < since+after {
		p.again(since + after)
		return ""
	}
	if s.AcceptLoss && m == nil {
		return reign.Name + " is silent, its pod is deleted, and a person takes it for dead"
	}
	for _, r := range p.rosters() {
		down := 0
		for i := range p.o.Members {
			v := &p.o.Members[i]
			if p.isVoter(r, v) && v.Pod.UID != reign.Voter && v.Connected && v.Report != nil && !p.hears(v, reign, len(p.o.Members)) {
				down++
			}
		}
		if down < r.Blocking() {
			p.stall(fmt.Sprintf("%s is silent, but only %d of %d needed voters have lost it too", reign.Name, down, r.Blocking()))
			return ""
		}
	}
	return reign.Name + " is silent and its replicas have lost it"
}

// hears tells whether a member's chain of links reaches the master. A silent link does not: a lost node closes
// no connection, and Redis's repl-timeout would take a minute to notice.
func (p *pass) hears(m *Member, reign Reign, depth int) bool {
	r := m.Report
	if depth == 0 || r == nil || r.Link == nil || !r.Link.Up || r.Link.Silent || r.Term != reign.Term {
		return false
	}
	if r.Link.Upstream.Voter == reign.Voter {
		return true
	}
	up := p.byVoter(r.Link.Upstream.Voter)
	return up != nil && up.Connected && p.hears(up, reign, depth-1)
}

// requested: spec.master names another member than the recorded master and is not spent.
func (p *pass) requested() bool {
	s := p.o.Spec
	return s.Request != "" && s.Request != p.o.Status.SpentRequest
}

// handOver moves the role by plan (rule 13): asked for by spec.master, by a master that terminates, by
// a pod that must be replaced. It reports whether the rest of the pass should wait.
func (p *pass) handOver(m *Member) bool {
	t := p.o.Status.Term
	target, why := p.successor(m)
	if target == nil {
		if m.Report.Paused {
			p.do(ResumeClients{p.target(m), t.Number}, "no switchover is wanted")
		}
		return false
	}
	p.busy = why
	if t.Rosters.Old != nil {
		p.changeRoster(m)
		return true
	}
	if again := p.o.Leader.TermSeen + p.o.Spec.Lease; p.failedJustNow() && p.o.Now < again {
		p.again(again)
		return false
	}
	switch {
	case p.mut.NoPause:
		p.depose(why, target.Pod.UID)
	case p.o.Spec.Lease < t.Lease: // one record cannot hold two lengths: the old master is fenced first
		p.holdAndDepose(m, target, why)
	default:
		p.reserve(m, target, why)
	}
	return true
}

// failedJustNow: the present reign is the outcome of a switchover that gave the role back. Clients get
// some time to live before the next attempt.
func (p *pass) failedJustNow() bool {
	h := p.o.Status.History
	return len(h) > 0 && h[len(h)-1].Term == p.o.Status.Term.Number && h[len(h)-1].From == h[len(h)-1].To
}

// successor is who takes over by plan and why; nil when the master shall stay.
func (p *pass) successor(m *Member) (*Member, string) {
	if p.requested() {
		want := p.byName(p.o.Spec.Request)
		switch {
		case want == nil || !p.wanted(want):
			p.stall("spec.master names " + p.o.Spec.Request + ", which is no member")
		case want.Name == m.Name:
			p.d.Status.SpentRequest = p.o.Spec.Request
		case !p.ready(want):
			p.stall("switchover to " + want.Name + " waits until it is a voter in sync")
		default:
			return want, "spec.master asks for " + want.Name
		}
	}
	var why string
	switch {
	case m.Report.Terminates || m.Pod.Deleting:
		why = m.Name + " is being terminated"
	case !p.wanted(m):
		why = m.Name + " is to be removed"
	case m.Pod.Revision != p.o.Spec.Revision && p.othersCurrent(m):
		why = m.Name + " is to be replaced by the new revision, the last of all"
	default:
		return nil, ""
	}
	var best *Member
	for i := range p.o.Members {
		c := &p.o.Members[i]
		if c.Name != m.Name && p.ready(c) && p.wanted(c) && (best == nil || p.prefers(c, best)) {
			best = c
		}
	}
	if best == nil {
		p.stall(why + ", but no other member is a voter in sync")
	}
	return best, why
}

func (p *pass) prefers(a, b *Member) bool {
	if (a.Pod.Revision == p.o.Spec.Revision) != (b.Pod.Revision == p.o.Spec.Revision) {
		return a.Pod.Revision == p.o.Spec.Revision
	}
	return p.rank(a) < p.rank(b)
}

// ready: fit to become master by plan.
func (p *pass) ready(m *Member) bool {
	return p.inSync(m) && p.electable(m) && !m.Report.Terminates && !m.Pod.Deleting
}

func (p *pass) byName(name string) *Member {
	for i := range p.o.Members {
		if p.o.Members[i].Name == name && p.o.Members[i].Pod.UID != "" {
			return &p.o.Members[i]
		}
	}
	return nil
}

// othersCurrent: every wanted member but the master runs the new revision and is in sync.
func (p *pass) othersCurrent(master *Member) bool {
	n := 0
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if m.Name == master.Name || !p.wanted(m) {
			continue
		}
		if m.Pod.Revision != p.o.Spec.Revision || !p.inSync(m) {
			return false
		}
		n++
	}
	return n == p.members()-1 && n > 0
}
