package plan

import (
	"fmt"
	"slices"

	"github.com/understudy-db/understudy/api/member"
)

// changeRoster moves the voters towards the members in sync (rule 3): record the joint roster, let
// the master take it, and when it confirms and k voters hold that place record the new one alone.
func (p *pass) changeRoster(m *Member) {
	t := p.o.Status.Term
	r := m.Report.Rosters
	if r == nil {
		return
	}
	if !r.Equal(t.Rosters) {
		p.do(TakeRoster{p.target(m), t.Number, t.Rosters}, "the master counts by another roster")
		if !p.mut.FinalAtOnce {
			return
		}
	}
	next := t
	voters := p.voters(m)
	k := p.k(len(voters))
	same := slices.Equal(voters, t.Rosters.New.Voters) && k == t.Rosters.New.K
	if t.Rosters.Old != nil && !m.Report.RosterHeld && !p.mut.FinalAtOnce {
		if !same { // the new voters went away before it was final: aim elsewhere from the same old roster
			next.Rosters.New = member.Roster{Version: t.Rosters.New.Version + 1, Voters: voters, K: k}
			p.do(RecordTerm{p.o.Status.Version, next}, fmt.Sprintf("voters shall rather be %v", voters))
		}
		return
	}
	if t.Rosters.Old != nil {
		next.Rosters = member.Rosters{New: t.Rosters.New}
		if p.do(RecordTerm{p.o.Status.Version, next}, "the master confirmed the roster and enough voters hold that place") {
			p.do(TakeRoster{p.target(m), t.Number, next.Rosters}, "final")
		}
		return
	}
	if same {
		return
	}
	old := t.Rosters.New
	next.Rosters = member.Rosters{New: member.Roster{Version: old.Version + 1, Voters: voters, K: k}, Old: &old}
	if p.mut.FinalAtOnce {
		next.Rosters.Old = nil
	}
	why := fmt.Sprintf("voters shall be %v", voters)
	if p.do(RecordTerm{p.o.Status.Version, next}, why) {
		p.do(TakeRoster{p.target(m), t.Number, next.Rosters}, why)
	}
}

// voters is the roster as it shall be: the master, wanted voters whose pod still exists, and wanted
// members in sync. A roster does not shrink to the master alone because others are gone: that would
// take the last check from it.
func (p *pass) voters(master *Member) []member.Voter {
	t := p.o.Status.Term
	out := []member.Voter{master.Pod.UID}
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if m.Pod.UID == "" || !p.wanted(m) || p.leavingForGood(m) {
			continue
		}
		if t.Rosters.New.Has(m.Pod.UID) || p.inSync(m) {
			out = append(out, m.Pod.UID)
		}
	}
	out = sortedVoters(out)
	if len(out) < 2 && p.members() > 1 && len(t.Rosters.New.Voters) > 1 {
		return t.Rosters.New.Voters
	}
	return out
}

func (p *pass) leavingForGood(m *Member) bool { return m.Pod.Ended || m.Pod.NodeGone }
