package plan

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// depose begins a new term without a master (rule 4). target is the pod a switchover wants, "" if the
// master is to be replaced unplanned.
func (p *pass) depose(why string, target member.Voter) {
	t := p.o.Status.Term
	next := t
	next.Number, next.Reason, next.Target = t.Number+1, why, target
	if t.Master != nil {
		next.Unfenced = t.Master
	}
	next.Master = nil
	if p.mut.ForgetAppoint {
		next.Appointed = nil
	}
	if !p.mut.KeepLeasing {
		p.do(StopLeases{t.Number}, why)
	}
	if p.do(RecordTerm{p.o.Status.Version, next}, why) {
		p.askAll(next.Number, target, "every member is asked, the old master included")
	}
}

// recover begins above every term seen when the recorded one is behind: an old status was restored.
func (p *pass) recover() {
	next := p.o.Status.Term
	next.Number = p.highestSeen() + member.LostStatusJump
	next.Reason = "members know a higher term than status: it was restored from the past"
	if p.mut.NoJump {
		next.Number = p.highestSeen() + 1
	}
	// The recorded master need not be the one that reigns now: it is unknown (rule 12).
	next.Master, next.Unfenced, next.Appointed, next.Target = nil, nil, nil, ""
	p.do(StopLeases{p.o.Status.Term.Number}, next.Reason)
	if p.do(RecordTerm{p.o.Status.Version, next}, next.Reason) {
		p.event(true, "StatusLost", next.Reason)
		p.askAll(next.Number, "", next.Reason)
	}
}

// bootstrap gives a set without a term record its first (or, status wiped, its next) term. The roster
// is the pods that exist: all must have been created, so that each is on it.
func (p *pass) bootstrap() {
	var voters []member.Voter
	have := 0
	var version uint64
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if m.Pod.UID == "" {
			continue
		}
		voters = append(voters, m.Pod.UID)
		if m.Ordinal < p.o.Spec.Members {
			have++
		}
		if m.Report != nil && m.Report.Rosters != nil {
			version = max(version, m.Report.Rosters.New.Version)
			for _, r := range m.Report.Rosters.Each() {
				voters = append(voters, r.Voters...)
			}
		}
	}
	if have < p.o.Spec.Members || have == 0 {
		p.busy = "waiting for all pods to exist before the first term"
		return
	}
	seen := p.highestSeen()
	next := TermRecord{Number: 1, Reason: "first term of the set", Lease: p.o.Spec.Lease}
	if seen > 0 && !p.mut.NoJump {
		next.Number = seen + member.LostStatusJump
		next.Reason = "status was lost: the master is unknown"
	}
	voters = sortedVoters(voters)
	next.Rosters.New = member.Roster{Version: version + 1, Voters: voters, K: p.k(len(voters))}
	if len(p.speaking()) == 0 {
		p.busy = "waiting for a member to answer"
		return
	}
	if p.do(RecordTerm{p.o.Status.Version, next}, next.Reason) {
		p.askAll(next.Number, "", next.Reason)
	}
}

func (p *pass) k(voters int) int { return max(0, min(p.o.Spec.K, voters-1)) }

// askAll asks every member that has not answered for the term. target is the pod that a switchover wants.
func (p *pass) askAll(term member.Term, target member.Voter, why string) {
	next := ""
	if m := p.byVoter(target); m != nil {
		next = m.Pod.Primary
	}
	for _, m := range p.speaking() {
		if p.answer(m, term) != nil {
			continue
		}
		a := Adopt{Target: p.target(m), Term: term, Handover: target != ""}
		if m.Pod.UID != target {
			a.Next = next
		}
		p.do(a, why)
	}
}

// answer is the member's adoption of the term by its present incarnation, nil if none (rule 6: an
// answer dies with its incarnation).
func (p *pass) answer(m *Member, term member.Term) *member.Adopted {
	a := m.Answer
	if a == nil || a.Term != term || m.Pod.UID == "" {
		return nil
	}
	if p.mut.StaleAnswers {
		return a
	}
	if m.Report == nil || a.Incarnation != m.Report.Identity.Incarnation {
		return nil
	}
	if _, dead := p.dead(m.Pod.UID, a.Incarnation); dead {
		return nil
	}
	return a
}

// isVoter tells whether the member is on the roster.
func (p *pass) isVoter(r member.Roster, m *Member) bool {
	return r.Has(m.Pod.UID) || (p.mut.NamesNotPods && m.Ordinal < p.o.Spec.Members)
}

// elect goes on with a term that has no master: ask, wait until fenced, choose, record, promote.
func (p *pass) elect() {
	t := p.o.Status.Term
	p.busy = t.Reason
	p.askAll(t.Number, t.Target, "has not adopted the term yet")
	if p.clearEnded() {
		return
	}
	fenced, how := p.fenced()
	if !fenced {
		p.stall(how)
		return
	}
	if !p.answersIn() {
		return
	}
	best, why := p.choose()
	if best == nil {
		p.stall(why)
		return
	}
	p.appoint(best, how+"; "+why)
}

// clearEnded makes room for new pods while there is no master. The proof of death goes into status
// before the pod that carries it goes.
func (p *pass) clearEnded() bool {
	t := p.o.Status.Term
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if m.Pod.UID == "" || m.Pod.Deleting || !m.Pod.Ended && !m.Pod.NodeGone {
			continue
		}
		if slices.Contains(t.Gone, m.Pod.UID) {
			return p.do(DeletePod{m.Name, m.Pod.UID}, "it ended and will not run again; a new one takes its place")
		}
		next := t
		next.Gone = append(slices.Clone(t.Gone), m.Pod.UID)
		if m.Pod.Persists && !slices.Contains(t.Disks, m.Name) {
			next.Disks = append(slices.Clone(t.Disks), m.Name)
		}
		return p.do(RecordTerm{p.o.Status.Version, next}, m.Name+" ended for good: noted before its pod is deleted")
	}
	return false
}

// fenced tells whether nobody who may have been master can write any more (rule 5).
func (p *pass) fenced() (ok bool, how string) {
	reigns := p.o.Status.Term.unfenced()
	if len(reigns) == 0 {
		return p.fencedUnknown()
	}
	for _, u := range slices.Backward(reigns) {
		if ok, how = p.fencedReign(u); !ok {
			break
		}
	}
	return ok, how
}

// unfenced is who may still write: the last recorded master, and whom a switchover that was given up had appointed. None:
// status was lost, and it may be anybody.
func (t *TermRecord) unfenced() (out []Reign) {
	if t.Unfenced != nil {
		out = append(out, *t.Unfenced)
	}
	if t.Unfenced != nil && t.Appointed != nil {
		out = append(out, *t.Appointed)
	}
	return out
}

func (p *pass) fencedReign(u Reign) (bool, string) {
	t := p.o.Status.Term
	if m := p.byVoter(u.Voter); m != nil {
		if a := p.answer(m, t.Number); a != nil && a.Incarnation == u.Incarnation {
			return true, u.Name + " adopted the term itself"
		}
	}
	if d, ok := p.dead(u.Voter, u.Incarnation); ok {
		return true, fmt.Sprintf("%s is dead (%s: %s)", u.Name, d.Proof, d.Cause)
	}
	if !p.o.Spec.Strict {
		return true, "fencing is off"
	}
	if p.o.Spec.AcceptLoss && p.byVoter(u.Voter) == nil {
		return true, u.Name + " is taken for dead by a person's word"
	}
	return p.promisesOver(u.Voter)
}

// fencedUnknown is rule 12: any voter may be the master. All of them is proof, otherwise the counts.
func (p *pass) fencedUnknown() (bool, string) {
	if p.mut.LostNoWait {
		return true, "mutated"
	}
	all := true
	for _, r := range p.rosters() {
		for _, v := range r.Voters {
			m := p.byVoter(v)
			all = all && m != nil && (p.answer(m, p.o.Status.Term.Number) != nil || m.Pod.NeverRan)
		}
	}
	if all {
		return true, "every voter adopted the term"
	}
	if p.o.Spec.AcceptLoss {
		return true, "voters that do not answer are taken for dead by a person's word"
	}
	return p.promisesOver("")
}

// promisesOver: in every roster n-q+1 voters other than the master adopted, and the longest promise
// has run out since the later of the last lease and the last counted adoption.
func (p *pass) promisesOver(master member.Voter) (bool, string) {
	t := p.o.Status.Term
	since := max(p.o.Leader.Since, p.o.Leader.LastLease)
	for _, r := range p.rosters() {
		need := r.Blocking()
		if p.mut.NoCount {
			need = 1
		}
		var at []time.Duration
		for i := range p.o.Members {
			m := &p.o.Members[i]
			if p.isVoter(r, m) && m.Pod.UID != master && p.answer(m, t.Number) != nil {
				at = append(at, p.promisedAt(m))
			}
		}
		if len(at) < need {
			return false, fmt.Sprintf("%d of %d voters adopted term %d; %d are needed besides the old master", len(at), len(r.Voters), t.Number, need)
		}
		slices.Sort(at)
		since = max(since, at[need-1])
	}
	until := since + t.Lease
	if p.o.Now < until && !p.mut.NoWait {
		p.again(until)
		return false, fmt.Sprintf("promises to the old master run for %v more", until-p.o.Now)
	}
	return true, "enough voters adopted and all promises to the old master ran out"
}

// promisedAt is when, at the latest, the member made its last promise to a master of an earlier term: a while before it adopted,
// if it tells so. Without that the time in which a lost master was silent would be waited for twice.
func (p *pass) promisedAt(m *Member) time.Duration {
	return m.AnswerAt - m.Answer.Quiet
}

// handedOver: in a switchover the old master itself has adopted the term, and so has its successor, who holds as much. Nobody
// can hold more than the master did at its end, so nobody else is waited for while clients are paused.
func (p *pass) handedOver() bool {
	t := p.o.Status.Term
	if t.Target == "" || t.Unfenced == nil {
		return false
	}
	if a := t.Appointed; a != nil && (p.byVoter(a.Voter) == nil || p.answer(p.byVoter(a.Voter), t.Number) == nil) {
		return false // it may have reigned, and hold more
	}
	m, next := p.byVoter(t.Unfenced.Voter), p.byVoter(t.Target)
	if m == nil || next == nil {
		return false
	}
	last, has := p.answer(m, t.Number), p.answer(next, t.Number)
	if last == nil || has == nil {
		return false
	}
	same := last.Incarnation == t.Unfenced.Incarnation || p.mut.AnyLast
	return same && last.Data.Whole && has.Data.Whole && last.Data.Position() == has.Data.Position()
}

// answersIn gives members that can still be heard a moment to answer, so that the best is among them.
func (p *pass) answersIn() bool {
	if p.mut.Impatient || p.handedOver() {
		return true
	}
	t := p.o.Status.Term
	var first time.Duration
	missing := 0
	for i := range p.o.Members {
		m := &p.o.Members[i]
		switch {
		case p.answer(m, t.Number) != nil:
			if first == 0 || m.AnswerAt < first {
				first = m.AnswerAt
			}
		case m.Pod.UID != "" && t.Rosters.Has(m.Pod.UID) && !m.Pod.Ended && !m.Pod.NeverRan:
			missing++
		}
	}
	if missing == 0 {
		return true
	}
	if first == 0 {
		return false
	}
	p.again(first + answerGrace)
	return p.o.Now >= first+answerGrace
}

// appoint records the master of the term and promotes it (rule 7).
func (p *pass) appoint(best *Member, why string) {
	t := p.o.Status.Term
	a := p.answer(best, t.Number)
	reign := Reign{Term: t.Number, Name: best.Name, Voter: best.Pod.UID, Incarnation: a.Incarnation,
		ReplID: replID(p.o.Spec.UID, t.Number, a.Incarnation)}
	next := t
	next.Master, next.Unfenced, next.Appointed, next.Target, next.Reason = &reign, nil, nil, "", why
	next.Lease, next.Gone, next.Disks = p.o.Spec.Lease, nil, nil
	next.Lineage = a.Data.History.Reign(t.Number, reign.ReplID, a.Data.Offset)
	if a.Data.Empty() && p.o.Spec.AcceptLoss {
		next.GivenUp = giveUp(t.GivenUp, t.Lineage)
	}
	switch {
	case !p.electable(best):
		next.Rosters = p.freshRosters()
	case !t.Rosters.Has(best.Pod.UID): // of the old roster only: the change under way is given up
		back := *t.Rosters.Old
		back.Version = t.Rosters.New.Version + 1
		next.Rosters = member.Rosters{New: back}
	}
	from, lost := "", int64(0)
	if t.Unfenced != nil {
		from = t.Unfenced.Name
		if m := p.byVoter(t.Unfenced.Voter); m != nil {
			if old := p.answer(m, t.Number); old != nil {
				lost = max(0, old.Data.Offset-a.Data.Offset)
			}
		}
	}
	if !p.do(RecordTerm{p.o.Status.Version, next}, why) {
		return
	}
	p.do(GrantLeases{reign}, why)
	p.do(Promote{Target: p.target(best), Record: next, Unfenced: !p.o.Spec.Strict}, why)
	p.d.Status.Term = next
	p.follow(next)
	p.event(t.Target == "" && from != "", "MasterChanged", fmt.Sprintf("term %d: %s is master (was %q): %s", t.Number, best.Name, from, why))
	p.record(Failover{t.Number, from, best.Name, t.Reason, a.Data.Offset, lost})
	if p.o.Status.AuthVersion == "" {
		p.d.Status.AuthVersion = p.o.Spec.AuthVersion // what the first pods were made with
	}
	if best.Name == p.o.Spec.Request || !t.first() && (t.Target == "" || t.Target == best.Pod.UID) {
		p.d.Status.SpentRequest = p.o.Spec.Request // done, or overtaken by an unplanned failover
	} // else a switchover gave the role back, or the member asked for was not there at the beginning: it is tried again
}

// record notes a change of master for people. The last ten stay.
func (p *pass) record(f Failover) {
	h := append(slices.Clone(p.o.Status.History), f)
	p.d.Status.History = h[max(0, len(h)-10):]
}

// giveUp adds a lineage to what was given up before. The newest stay: the older a copy, the less likely it comes back.
func giveUp(before, lineage member.History) member.History {
	out := slices.Clone(before)
	for _, e := range lineage {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out[max(0, len(out)-member.MaxHistory):]
}

func (p *pass) freshRosters() member.Rosters {
	var voters []member.Voter
	for i := range p.o.Members {
		if m := &p.o.Members[i]; p.answer(m, p.o.Status.Term.Number) != nil {
			voters = append(voters, m.Pod.UID)
		}
	}
	voters = sortedVoters(voters)
	return member.Rosters{New: member.Roster{Version: p.o.Status.Term.Rosters.New.Version + 1, Voters: voters, K: p.k(len(voters))}}
}

// replID is the replication ID of a reign: 40 hex digits, different for every (set, term, incarnation).
func replID(set string, t member.Term, i member.Incarnation) string {
	sum := sha1.Sum([]byte(fmt.Sprintf("%s\n%d\n%s", set, t, i)))
	return hex.EncodeToString(sum[:])
}
