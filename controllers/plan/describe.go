package plan

import (
	"fmt"
	"slices"

	"github.com/understudy-db/understudy/api/member"
)

// describe fills in what status and Services shall say. It decides nothing.
func (p *pass) describe() {
	t := p.o.Status.Term
	ready, synced := p.pointServices()
	for i := range p.o.Members {
		p.d.Members = append(p.d.Members, p.memberStatus(&p.o.Members[i]))
	}
	cond := func(kind string, on bool, reason, message string) {
		p.d.Conditions = append(p.d.Conditions, Condition{kind, on, reason, message})
	}
	want := p.o.Spec.Members
	switch {
	case t.Master == nil:
		cond(ConditionReady, false, "NoMaster", fmt.Sprintf("term %d has no master yet", t.Number))
	case !ready:
		cond(ConditionReady, false, "MasterNotWritable", t.Master.Name+" accepts no writes")
	default:
		cond(ConditionReady, true, "MasterWritable", fmt.Sprintf("%s is master, %d of %d members in sync", t.Master.Name, synced+1, want))
	}
	if p.busy == "" && synced+1 < want {
		p.busy = fmt.Sprintf("%d of %d members in sync", synced+1, want)
	}
	cond(ConditionReconciling, p.busy != "", word(p.busy != "", "Working", "Settled"), p.busy)
	cond(ConditionStalled, p.stalled != "", word(p.stalled != "", "Waiting", "Moving"), p.stalled)
	trip := ""
	for _, m := range p.o.Members {
		if m.Report != nil && m.Report.Link != nil && m.Report.Link.Trip != "" {
			trip = m.Name + ": " + m.Report.Link.Trip
		}
	}
	cond(ConditionGuardTripped, trip != "", word(trip != "", "Refused", "Quiet"), trip)
	if files, all := p.setAside(); all || files != "" {
		cond(ConditionDataSetAside, files != "", word(files != "", "FilesKept", "None"), files)
	}
	cond(ConditionMemoryOnly, p.o.Spec.Persist == PersistNone, word(p.o.Spec.Persist == PersistNone, "NoPersistence", "Persistent"),
		word(p.o.Spec.Persist == PersistNone, "data lives in memory only: losing all members at once loses it", ""))
	cond(ConditionUnfenced, !p.o.Spec.Strict, word(!p.o.Spec.Strict, "None", "Strict"),
		word(!p.o.Spec.Strict, "two masters may accept writes for a while during a partition", ""))
}

// setAside names the files in which members keep what only they had (rule 11). all: every member has spoken, so that none
// named means that there is none.
func (p *pass) setAside() (files string, all bool) {
	all = true
	for _, m := range p.o.Members {
		switch {
		case m.Report == nil:
			all = false
		case m.Report.Divergent != "" && files != "":
			files += ", " + m.Name + " " + m.Report.Divergent
		case m.Report.Divergent != "":
			files = "writes that no other member has are kept by " + m.Name + " in " + m.Report.Divergent
		}
	}
	return files, all
}

func word(on bool, a, b string) string {
	if on {
		return a
	}
	return b
}

// pointServices compares where the Services lead with where they should. Until a new master can write everything
// stands: moving the address early gains nothing, and kube-proxy takes over one change at once but the next only a second
// later, so a change of the readers just before would make every writer wait for that second. When the role moves,
// readers that only lost their upstream for a moment stay.
func (p *pass) pointServices() (ready bool, synced int) {
	t := p.o.Status.Term
	var readers []member.Voter
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if t.Master == nil || m.Pod.UID == "" {
			continue
		}
		if p.inSync(m) {
			synced++
		}
		if p.inSync(m) || p.stillReads(m) {
			readers = append(readers, m.Pod.UID)
		}
	}
	readers = sortedVoters(readers)
	if t.Master == nil || !p.o.Leader.Leads {
		return false, synced
	}
	m := p.byVoter(t.Master.Voter)
	ready = m != nil && m.Connected && p.masterNow(m) && m.Report.Writable
	if !ready || p.o.Spec.Paused {
		return ready, synced
	}
	if at := t.Master.Voter; at != p.o.Service.Master || !slices.Equal(readers, p.o.Service.Readers) {
		p.do(PointService{at, readers}, "the role or the members in sync changed")
	}
	return ready, synced
}

// stillReads: a member behind the read-only Service whose link is on its way up again serves on for a lease.
func (p *pass) stillReads(m *Member) bool {
	r := m.Report
	if !m.Connected || r == nil || !slices.Contains(p.o.Service.Readers, m.Pod.UID) || m.Pod.UID == p.o.Status.Term.Master.Voter {
		return false
	}
	if r.Role == member.RoleMaster || r.Data.Loading || r.Data.Empty() || r.Link == nil || r.Link.Syncing || r.Link.InSync && r.Link.Up {
		return false
	}
	p.again(p.o.Now + p.o.Spec.Lease)
	return r.Link.DownFor < p.o.Spec.Lease
}

func (p *pass) memberStatus(m *Member) MemberStatus {
	s := MemberStatus{Name: m.Name, Role: member.RoleParked, Sync: Down, Reason: m.Pod.Problem}
	r := m.Report
	if r == nil || !m.Connected {
		if s.Reason == "" {
			s.Reason = "not heard"
		}
		return s
	}
	s.Role, s.Incarnation, s.Persisted = r.Role, r.Identity.Incarnation, r.Persisted
	switch {
	case r.Role == member.RoleMaster:
		s.Sync = InSync
	case r.Role == member.RoleParked || r.Link == nil:
		s.Sync = Parked
	default:
		s.Upstream = r.Link.Upstream.Name
		switch {
		case p.inSync(m):
			s.Sync = InSync
		case r.Link.Syncing:
			s.Sync = Syncing
		default:
			s.Sync, s.Reason = CatchingUp, r.Link.Trip
		}
	}
	return s
}
