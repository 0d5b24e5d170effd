package plan

import (
	"cmp"
	"slices"

	"github.com/understudy-db/understudy/api/member"
)

// follow makes every connected member but the master a replica at its place in the topology.
func (p *pass) follow(t TermRecord) {
	if t.Master == nil {
		return
	}
	up := p.upstreams(t)
	for _, m := range p.speaking() {
		if m.Pod.UID == t.Master.Voter {
			continue
		}
		want, ok := up[m.Name]
		if !ok {
			continue
		}
		r := m.Report
		switch {
		case r.Term == t.Number && r.Role == member.RoleReplica && r.Link != nil && r.Link.Upstream == want:
		case r.Role == member.RoleMaster && r.Term == t.Number:
		default:
			p.do(Follow{p.target(m), t.Number, want, *t.Master, t.GivenUp, p.byVoter(t.Master.Voter).Pod.Primary}, followWhy(r, t, want))
		}
	}
}

func followWhy(r *member.Report, t TermRecord, want member.Upstream) string {
	switch {
	case r.Term != t.Number:
		return "is not in the term"
	case r.Role != member.RoleReplica:
		return "is " + string(r.Role)
	}
	return "follows another upstream than " + want.Name
}

func (p *pass) upstream(m *Member, i member.Incarnation) member.Upstream {
	return member.Upstream{Name: m.Name, Addr: m.Pod.Addr, Voter: m.Pod.UID, Incarnation: i}
}

// upstreams is the topology: who follows whom, by name. Only a replica in sync feeds others, so a
// broken middle makes its replicas move up.
func (p *pass) upstreams(t TermRecord) map[string]member.Upstream {
	out := map[string]member.Upstream{}
	master := p.byVoter(t.Master.Voter)
	if master == nil {
		return out
	}
	top := p.upstream(master, t.Master.Incarnation)
	var rest []*Member
	for _, m := range p.speaking() {
		if m.Pod.UID != master.Pod.UID {
			rest = append(rest, m)
		}
	}
	slices.SortFunc(rest, func(a, b *Member) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	width := 0 // Star: unbounded
	switch p.o.Spec.Shape {
	case Chain:
		width = 1
	case Tree:
		width = max(1, p.o.Spec.FanOut)
	}
	feeders, used := []member.Upstream{top}, []int{0}
	for _, m := range rest {
		at := 0
		for width > 0 && at < len(feeders)-1 && used[at] >= width {
			at++
		}
		used[at]++
		out[m.Name] = feeders[at]
		if p.inSync(m) && !m.Pod.Deleting && !m.Report.Terminates {
			feeders, used = append(feeders, p.upstream(m, m.Report.Identity.Incarnation)), append(used, 0)
		}
	}
	return out
}
