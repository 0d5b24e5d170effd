package plan

import (
	"fmt"
	"slices"

	"github.com/understudy-db/understudy/api/member"
)

// choose picks the next master among the adopters of the term (rule 6, S5), or says what is missing.
func (p *pass) choose() (*Member, string) {
	t := p.o.Status.Term
	var with []*Member // adopters with the set's history that are voters of every roster
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if p.answer(m, t.Number) != nil && p.ofTheSet(m) && p.electable(m) {
			with = append(with, m)
		}
	}
	if len(with) == 0 || p.o.Spec.AcceptLoss {
		return p.chooseWithout() // or a person said: of whoever is left, voter or not
	}
	if why := p.held(); why != "" {
		return nil, why
	}
	if why := p.cold(with); why != "" {
		return nil, why
	}
	best := with[0]
	for _, m := range with[1:] {
		if p.better(m, best) {
			best = m
		}
	}
	a := p.answer(best, t.Number)
	return best, fmt.Sprintf("%s holds the most, %v, of %d that answered", best.Name, a.Data.Position(), len(with))
}

// electable: a voter of the roster in which every promise of the last reign was counted. While a change
// is under way that is the old one; a new one alone does not see all holders.
func (p *pass) electable(m *Member) bool {
	r := p.o.Status.Term.Rosters
	if r.Old != nil && !p.mut.NewRosterOnly {
		return p.isVoter(*r.Old, m)
	}
	return p.isVoter(r.New, m)
}

// ofTheSet tells whether the adopter's data belongs to the set's history.
func (p *pass) ofTheSet(m *Member) bool {
	t := p.o.Status.Term
	d := p.answer(m, t.Number).Data
	if d.Loading || d.Empty() {
		return p.mut.AnyHistory && !d.Loading
	}
	if len(t.Lineage) == 0 || p.mut.AnyHistory {
		return true // status was lost: the histories themselves must agree (unrelated)
	}
	common, related := d.History.Common(d.Offset, t.Lineage, d.Offset)
	return related && common > 0 // a reign that began with nothing shares nothing
}

// better orders candidates: by position, then the switchover's target, then the old master if it need
// not go, then priorities, then ordinal.
func (p *pass) better(a, b *Member) bool {
	t := p.o.Status.Term
	pa, pb := p.answer(a, t.Number).Data.Position(), p.answer(b, t.Number).Data.Position()
	if p.mut.OffsetOnly {
		pa.Term, pb.Term = 0, 0
	}
	if p.mut.BlindSwitch && t.Target != "" && (a.Pod.UID == t.Target || b.Pod.UID == t.Target) {
		return a.Pod.UID == t.Target
	}
	if pa != pb {
		return pb.Less(pa)
	}
	return p.rank(a) < p.rank(b)
}

func (p *pass) rank(m *Member) int {
	t := p.o.Status.Term
	leaving := m.Pod.Deleting || m.Report == nil || m.Report.Terminates || !p.wanted(m)
	switch {
	case t.Target != "" && m.Pod.UID == t.Target && !leaving:
		return 0
	case leaving:
		return 1 << 20
	case t.first() && m.Name == p.o.Spec.Request: // a new set begins with the master it asks for
		return 0
	case t.Unfenced != nil && m.Pod.UID == t.Unfenced.Voter:
		return 1
	}
	if i := slices.Index(p.o.Spec.Priorities, m.Name); i >= 0 {
		return 2 + i
	}
	return 1<<10 + m.Ordinal
}

// first: no member has ever been master.
func (t *TermRecord) first() bool { return len(t.Lineage) == 0 && t.Number < member.LostStatusJump }

// held checks that one adopter must hold every acknowledged write (S6): with k of the others holding
// each, so many whole ones that all the missing are fewer than k, or the old master itself, whole.
func (p *pass) held() string {
	t := p.o.Status.Term
	if p.mut.NoHold {
		return ""
	}
	reigns := t.unfenced()
	if len(reigns) == 0 {
		reigns = []Reign{{}} // unknown
	}
	for _, r := range p.rosters() {
		if r.K == 0 || p.o.Spec.AcceptLoss {
			continue
		}
		for _, u := range reigns { // each may have acknowledged writes of its own
			if why := p.heldOf(r, u); why != "" {
				return why
			}
		}
	}
	return ""
}

// heldOf counts in one roster for one master.
func (p *pass) heldOf(r member.Roster, u Reign) string {
	others, whole := 0, 0
	for _, v := range r.Voters {
		old := v == u.Voter
		if !old {
			others++
		}
		m := p.byVoter(v)
		if m == nil {
			continue
		}
		a := p.answer(m, p.o.Status.Term.Number)
		switch {
		case a == nil || a.Data.Loading || !(a.Data.Whole || p.mut.NotWhole):
		case old && a.Incarnation == u.Incarnation:
			whole = len(r.Voters)
		case !old:
			whole++
		}
	}
	if u.Voter == "" && others > 0 {
		others-- // one of them is the unknown master: if it is missing, the count is of the rest
	}
	if need := others - r.K + 1; whole < need {
		return fmt.Sprintf("%d whole adopters, %d are needed so that one holds every acknowledged write", whole, need)
	}
	return ""
}

// cold: when nobody answered that ran through, somebody missing may hold more. Wait for all, but not
// for ever (rule 12).
func (p *pass) cold(with []*Member) string {
	t := p.o.Status.Term
	first := p.o.Now
	for _, m := range with {
		if p.answer(m, t.Number).Data.Whole {
			return ""
		}
		first = min(first, m.AnswerAt)
	}
	missing := p.unaccounted()
	if missing == "" || p.o.Now >= first+p.o.Spec.ColdStart {
		return ""
	}
	p.again(first + p.o.Spec.ColdStart)
	return "cold start: waiting for " + missing + ", which may hold more"
}

// unaccounted names a voter that may hold data and has not answered, "" if there is none.
func (p *pass) unaccounted() string {
	t := p.o.Status.Term
	for _, r := range p.rosters() {
		for _, v := range r.Voters {
			m := p.byVoter(v)
			switch {
			case m == nil && p.gone(v):
			case m == nil:
				return "pod " + string(v)
			case p.answer(m, t.Number) != nil && !p.answer(m, t.Number).Data.Loading, m.Pod.NeverRan:
			case m.Pod.Ended && !m.Pod.Persists, m.Pod.NodeGone && !m.Pod.Persists:
			default:
				return m.Name
			}
		}
	}
	return p.unaccountedPods()
}

// late: a person's word gives up what cannot be reached, not what is only about to answer. A pod that was made for this
// term, or a process met just now, gets the time of a cold start.
func (p *pass) late() bool {
	if p.mut.HastyLoss {
		return false
	}
	from := p.o.Leader.TermSeen
	for _, m := range p.speaking() {
		if p.answer(m, p.o.Status.Term.Number) == nil {
			from = max(from, m.MetAt)
		}
	}
	p.again(from + p.o.Spec.ColdStart)
	return p.o.Now < from+p.o.Spec.ColdStart
}

// firstWaited: in a set's very first term a member that cannot start (no image, no node) must not hold
// up the others for ever. Should it hold data of a deleted set of the same name after all, the guard
// keeps it, unrelated, for a person to decide.
func (p *pass) firstWaited() bool {
	t := p.o.Status.Term
	if !t.first() {
		return false
	}
	first := p.o.Now
	for i := range p.o.Members {
		if m := &p.o.Members[i]; p.answer(m, t.Number) != nil {
			first = min(first, m.AnswerAt)
		}
	}
	p.again(first + p.o.Spec.ColdStart)
	return p.o.Now >= first+p.o.Spec.ColdStart
}

// unaccountedPods looks beyond the voters: a pod not yet admitted may hold what all voters lost, and a
// claim outlives its pod, so what a lost voter wrote may come back with the next pod of its name.
func (p *pass) unaccountedPods() string {
	t := p.o.Status.Term
	for i := range p.o.Members {
		m := &p.o.Members[i]
		fresh := m.Pod.NeverRan && (!m.Pod.Persists || m.Pod.FreshClaim)
		memoryGone := !m.Pod.Persists && (m.Pod.Ended || m.Pod.NodeGone)
		if m.Pod.UID == "" || fresh || memoryGone {
			continue
		}
		if a := p.answer(m, t.Number); a == nil || a.Data.Loading {
			return m.Name
		}
	}
	for ord := 0; p.o.Spec.Persist != PersistNone && ord < p.o.Spec.Members; ord++ {
		if p.byOrdinal(ord) == nil {
			return fmt.Sprintf("the disk of %s-%d", p.o.Spec.Name, ord)
		}
	}
	for _, ord := range p.disksToRead() {
		if p.byOrdinal(ord) == nil {
			return fmt.Sprintf("the disk of %s-%d", p.o.Spec.Name, ord)
		}
	}
	return ""
}

// gone: no process of the pod will ever run again. A proof for one incarnation is not enough: a later
// one may run in a pod whose object is gone.
func (p *pass) gone(v member.Voter) bool {
	if slices.Contains(p.o.Status.Term.Gone, v) || p.o.Spec.AcceptLoss {
		return true
	}
	return slices.ContainsFunc(p.o.Deaths, func(d Death) bool { return d.Voter == v && d.Final })
}

// chooseWithout is for terms in which no electable adopter has the set's history: a member that is no
// voter but holds it, or else a new history (rule 12). Every voter must be accounted for.
func (p *pass) chooseWithout() (*Member, string) {
	t := p.o.Status.Term
	if missing := p.unaccounted(); missing != "" && !p.mut.LossIsNoMatter {
		switch {
		case p.o.Spec.AcceptLoss && p.late():
			return nil, "a person accepted the loss of what cannot be reached; " + missing + " may only be late"
		case !p.o.Spec.AcceptLoss && !p.firstWaited():
			return nil, "nobody that answered holds the set's data; " + missing + " may"
		}
	}
	var best *Member
	var loading string
	for i := range p.o.Members {
		m := &p.o.Members[i]
		a := p.answer(m, t.Number)
		if a == nil {
			continue
		}
		if a.Data.Loading {
			loading = m.Name
			continue
		}
		if !a.Data.Empty() && !p.ofTheSet(m) {
			continue // unrelated: never replaced silently, never promoted
		}
		if best == nil || p.better(m, best) {
			best = m
		}
	}
	switch {
	case best == nil && loading != "":
		return nil, loading + " is loading"
	case best == nil:
		return nil, "no member without unrelated data answered"
	}
	a := p.answer(best, t.Number)
	if !a.Data.Empty() {
		if p.o.Spec.AcceptLoss {
			return best, best.Name + " holds the most of what is left; a person accepted the loss of the rest"
		}
		if t.Rosters.K() > 0 {
			return nil, best.Name + " is no voter, so acknowledged writes may be missing; no voter holds the set's data any more: a person must accept the loss"
		}
		return best, best.Name + " is no voter but holds the set's history; no voter does"
	}
	switch {
	case len(t.Lineage) > 0 && p.o.Spec.AcceptLoss:
		p.event(true, "DataLost", "a person gave up the data of members that cannot be reached: a new history begins on "+best.Name)
		p.d.Conditions = append(p.d.Conditions, Condition{ConditionDataLost, true, "GivenUp", "a person gave up the set's data in term " + fmt.Sprint(t.Number)})
		return best, "nobody that can be reached holds the set's data, and a person gave it up: a new history begins"
	case len(t.Lineage) > 0:
		p.event(true, "DataLost", "every member lost its data: a new history begins on "+best.Name)
		p.d.Conditions = append(p.d.Conditions, Condition{ConditionDataLost, true, "AllLost", "every member lost its data in or before term " + fmt.Sprint(t.Number)})
		return best, "all is lost: a new history begins"
	}
	return best, "the set's first history begins"
}
