package plan

import (
	"slices"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// Mutation turns single rules off, for tests that show what each is for. Production code leaves it zero.
type Mutation struct {
	NoWait         bool // rule 5: promote without waiting for promises to run out
	NoCount        bool // rule 5: one adopter is enough
	NamesNotPods   bool // rule 3: a recreated pod of a voter's name counts
	NewRosterOnly  bool // rule 3: count in the new roster only
	FinalAtOnce    bool // rule 3: a roster is final without the master's word
	KeepLeasing    bool // rule 4: go on leasing while deposing (also consumed by Lessor)
	OffsetOnly     bool // S5: the highest offset, whatever its term
	AnyHistory     bool // S5, rule 6: also across unrelated histories
	NoHold         bool // rule 6: with k, promote without the count of whole adopters
	NotWhole       bool // rule 6: count those that are not whole
	StaleAnswers   bool // rule 6: consumed by the observer: an answer outlives its incarnation
	NoMet          bool // rule 9: claim to have met everybody
	NoJump         bool // rule 12: lost status begins at term 1 again
	LostNoWait     bool // rule 12: lost status needs no counts
	NoPause        bool // rule 13: switch over without a pause
	BlindSwitch    bool // rule 13: promote the target whatever the final offset
	Impatient      bool // rule 6: the first answer decides
	AnyLast        bool // rule 13: a new process of the old master's pod counts as the old master
	HastyTakeover  bool // rule 13: promote the successor before the old master adopted
	ForgetAppoint  bool // rule 4: forget whom a switchover that was given up appointed
	RestartMaster  bool // S4: appoint the same pod again
	LossIsNoMatter bool // rule 12: an empty set begins anew without accounting for all
	HastyLoss      bool // rule 12: a person's word gives up members that are about to answer
}

// answerGrace is what members get to answer once the old master is known to be fenced (rule 6).
const answerGrace = 100 * time.Millisecond

// Plan decides one pass.
func Plan(o Observed) Decision { return PlanMutated(o, Mutation{}) }

// PlanMutated is Plan with rules turned off. Tests only.
func PlanMutated(o Observed, m Mutation) Decision {
	p := &pass{o: o, mut: m, d: Decision{Status: o.Status}}
	if p.mayAct() {
		p.decide()
	}
	p.describe()
	return p.d
}

// pass is one pass in the making.
type pass struct {
	o    Observed
	mut  Mutation
	d    Decision
	took bool // a disruptive step was taken
	// stalled is why nothing moves, for the Stalled condition; later reasons do not overwrite.
	stalled string
	busy    string // why Reconciling
}

func (p *pass) mayAct() bool {
	l := p.o.Leader
	if p.o.Spec.Deleting {
		p.busy = "being deleted"
		return false
	}
	return l.Leads && l.StatusRead > 0 && l.StatusRead >= l.Since
}

func (p *pass) decide() {
	if p.o.Spec.Paused && !p.o.Status.Term.handing() { // a switchover under way ends first: clients are held
		if m := p.o.Status.Term.Master; m != nil {
			p.do(GrantLeases{*m}, "paused: only leases go on")
		}
		return
	}
	for _, obj := range p.o.Problem {
		p.do(WriteObject{obj.Kind, obj.Name}, obj.Why)
	}
	p.createPods()
	t := p.o.Status.Term
	switch {
	case p.o.Status.Lost || t.Number == 0:
		p.bootstrap()
	case p.highestSeen() > t.Number:
		p.recover()
	case t.handing():
		p.takeOver()
	case t.Master == nil:
		p.elect()
	default:
		p.reign()
	}
}

// do appends a step. Of disruptive ones only the first of a pass is taken; the rest wait for the next.
func (p *pass) do(a Action, why string) bool {
	if a.Disruptive() {
		if p.took {
			return false
		}
		p.took = true
	}
	p.d.Steps = append(p.d.Steps, Step{a, why})
	return true
}

// again asks for a pass at time t at the latest.
func (p *pass) again(t time.Duration) {
	if p.d.Again == 0 || t < p.d.Again {
		p.d.Again = t
	}
}

func (p *pass) stall(why string) {
	if p.stalled == "" {
		p.stalled = why
	}
}

func (p *pass) event(warning bool, reason, note string) {
	p.do(Event{warning, reason, note}, note)
}

// byVoter finds a member by pod UID.
func (p *pass) byVoter(v member.Voter) *Member {
	for i := range p.o.Members {
		if v != "" && p.o.Members[i].Pod.UID == v {
			return &p.o.Members[i]
		}
	}
	return nil
}

// speaking is the members with a pod whose present process has said something and is connected.
func (p *pass) speaking() []*Member {
	var out []*Member
	for i := range p.o.Members {
		if m := &p.o.Members[i]; m.Pod.UID != "" && m.Connected && m.Report != nil {
			out = append(out, m)
		}
	}
	return out
}

func (p *pass) target(m *Member) Target {
	return Target{Name: m.Name, Voter: m.Pod.UID, Incarnation: m.Report.Identity.Incarnation,
		Met: p.mut.NoMet || (m.MetAt > 0 && m.MetAt <= p.o.Leader.StatusRead)}
}

// highestSeen is the highest term that any member has reported or answered.
func (p *pass) highestSeen() member.Term {
	var t member.Term
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if m.Report != nil {
			t = max(t, m.Report.Term)
		}
		if m.Answer != nil {
			t = max(t, m.Answer.Term)
		}
		if m.Refused != nil {
			t = max(t, m.Refused.Term)
		}
	}
	return t
}

// dead tells whether an incarnation is proven dead (rule 10), and how.
func (p *pass) dead(v member.Voter, i member.Incarnation) (Death, bool) {
	for _, d := range p.o.Deaths {
		if d.Voter == v && (d.Incarnation == i || d.Final) {
			return d, true
		}
	}
	if slices.Contains(p.o.Status.Term.Gone, v) {
		return Death{v, i, ProofKubelet, "noted before its pod was deleted", true}, true
	}
	m := p.byVoter(v)
	if m == nil {
		return Death{}, false
	}
	if m.Pod.Ended {
		return Death{v, i, ProofKubelet, "all containers ended, none will start", true}, true
	}
	if m.Pod.NodeGone {
		return Death{v, i, ProofNode, "node " + m.Pod.Node + " is gone", true}, true
	}
	if m.Report != nil && m.Report.Identity.Incarnation.NewerThan(i) {
		return Death{v, i, ProofNewer, "incarnation " + string(m.Report.Identity.Incarnation) + " runs in the same pod", false}, true
	}
	return Death{}, false
}

// wanted tells whether a member has a place in the set as it shall be.
func (p *pass) wanted(m *Member) bool { return m.Ordinal < p.members() }

// members is how many members there shall be now. A single one that must be replaced gets a second
// one first, so that nothing is lost.
func (p *pass) members() int {
	n := p.o.Spec.Members
	if n != 1 {
		return n
	}
	t := p.o.Status.Term
	reign := t.Master
	if reign == nil {
		reign = t.Unfenced // a switchover in progress still counts with both
	}
	if reign == nil {
		return n
	}
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if m.Pod.UID == "" || m.Pod.UID != reign.Voter {
			continue
		}
		switch {
		case m.Ordinal == 0 && (m.Pod.Revision != p.o.Spec.Revision || m.Pod.Deleting || t.Target != ""):
			return 2
		case m.Ordinal == 1 && (t.Master == nil || !p.settledReplica(0) || !p.electable(p.byOrdinal(0)) ||
			p.byOrdinal(0).Pod.Revision != p.o.Spec.Revision):
			return 2
		}
	}
	return n
}

func (p *pass) settledReplica(ordinal int) bool {
	m := p.byOrdinal(ordinal)
	return m != nil && p.inSync(m)
}

func (p *pass) byOrdinal(ordinal int) *Member {
	for i := range p.o.Members {
		if m := &p.o.Members[i]; m.Ordinal == ordinal && m.Pod.UID != "" {
			return m
		}
	}
	return nil
}

// inSync: a connected replica that follows under the recorded term and has caught up.
func (p *pass) inSync(m *Member) bool {
	r := m.Report
	return m.Connected && r != nil && r.Role == member.RoleReplica && r.Term == p.o.Status.Term.Number &&
		r.Link != nil && r.Link.Up && r.Link.InSync && !r.Data.Loading
}

func (p *pass) rosters() []member.Roster {
	t := p.o.Status.Term.Rosters
	if p.mut.NewRosterOnly {
		return []member.Roster{t.New}
	}
	return t.Each()
}

func sortedVoters(v []member.Voter) []member.Voter {
	out := slices.Clone(v)
	slices.Sort(out)
	return slices.Compact(out)
}
