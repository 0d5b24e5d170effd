package plan

import (
	"fmt"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// A planned switchover from m to x (rule 13):
//
//	RecordTerm{t+1, x appointed, m unfenced}    m goes on under t; clients notice nothing
//	PauseClients m                              the stream comes to its end, x gets all of it
//	Adopt m                                     m answers with its final place: it is fenced
//	Promote x, after that place                 x adopts t+1 and reigns, if it holds exactly that
//	RecordTerm{t+1, x master}                   clients write already
//
// So nothing is written to the API server while clients are held. What makes it safe: x is recorded before it is promoted (rule
// 7), and nobody else ever is in that term; x is promoted only when m itself has adopted the term, never because m is silent or
// dead or promises ran out: then the term is given up, and so it is when x does not come up to m in time. The next term's record
// keeps both as unfenced, since x may have been promoted by a leader that nobody hears any more.

// Times of a switchover. Clients are held no longer than handoverLimit, and a little for giving the role back.
const (
	handoverLimit = time.Second
	handoverRetry = 100 * time.Millisecond // for orders that were lost
	handoverLook  = 20 * time.Millisecond  // for offsets, which move without telling
)

// handing: the master of the term is appointed, and is not known to reign yet.
func (t *TermRecord) handing() bool {
	return t.Master == nil && t.Unfenced != nil && t.Appointed != nil && t.Appointed.Term == t.Number
}

// reserve records the next term with x as its master, while m goes on until it has adopted that term.
func (p *pass) reserve(m, x *Member, why string) {
	t, inc := p.o.Status.Term, x.Report.Identity.Incarnation
	next := t
	next.Number, next.Reason, next.Target = t.Number+1, why, x.Pod.UID
	next.Master, next.Unfenced = nil, t.Master
	next.Lease = p.o.Spec.Lease // the longest promise of both
	next.Appointed = &Reign{Term: next.Number, Name: x.Name, Voter: x.Pod.UID, Incarnation: inc, ReplID: replID(p.o.Spec.UID, next.Number, inc)}
	if p.do(RecordTerm{p.o.Status.Version, next}, why) {
		p.do(PauseClients{p.target(m), t.Number, p.o.Spec.SwitchTimeout}, why)
	}
}

// holdAndDepose is a switchover without an appointment: the master is chosen when the old one has adopted the term.
func (p *pass) holdAndDepose(m, x *Member, why string) {
	switch {
	case !m.Report.Paused:
		p.do(PauseClients{p.target(m), p.o.Status.Term.Number, p.o.Spec.SwitchTimeout}, why)
	case x.Report.Data.Offset < m.Report.Data.Offset || x.ReportAt == 0:
		p.again(p.o.Now + handoverLook)
	default:
		p.depose(why, x.Pod.UID)
	}
}

// takeOver goes on with a switchover from wherever it stands.
func (p *pass) takeOver() {
	t := p.o.Status.Term
	p.busy = t.Reason
	m, x := p.byVoter(t.Unfenced.Voter), p.byVoter(t.Appointed.Voter)
	if p.reigns(x) {
		p.confirm(x)
		return
	}
	if d, ok := p.dead(t.Unfenced.Voter, t.Unfenced.Incarnation); ok {
		p.depose(fmt.Sprintf("%s died (%s: %s) before it had handed over", t.Unfenced.Name, d.Proof, d.Cause), "")
		return
	}
	last := p.lastOf(m)
	if last == nil {
		if why := p.suspect(*t.Unfenced, m); why != "" {
			p.depose(why, "")
			return
		}
		p.do(GrantLeases{*t.Unfenced}, "master until it has adopted the next term")
		if m == nil || !m.Connected || m.Report == nil {
			p.busy = t.Unfenced.Name + " is not heard"
			return
		}
	}
	switch why := p.hopeless(x, last); {
	case why != "" && last == nil && !m.Report.Paused && m.Report.Term < t.Number:
		p.do(PauseClients{p.target(m), t.Unfenced.Term, p.o.Spec.SwitchTimeout}, why)
		p.again(p.o.Now + handoverRetry)
	case why != "":
		p.depose(why, t.Unfenced.Voter)
	case last == nil:
		p.hold(m, x)
	default:
		p.promote(x, last.Data.Position())
	}
}

// lastOf is the adoption of the term by the old master itself, nil while there is none. Where it ended is final.
func (p *pass) lastOf(m *Member) *member.Adopted {
	t := p.o.Status.Term
	if m == nil {
		return nil
	}
	if a := p.answer(m, t.Number); a != nil && a.Incarnation == t.Unfenced.Incarnation {
		return a
	}
	if p.mut.HastyTakeover && m.Report != nil && m.Report.Paused {
		return &member.Adopted{Term: t.Number, Data: m.Report.Data}
	}
	return nil
}

// hopeless tells why the switchover is given up, "" if it is not.
func (p *pass) hopeless(x *Member, last *member.Adopted) string {
	t := p.o.Status.Term
	name := t.Appointed.Name
	if x == nil || x.Report == nil || x.Report.Identity.Incarnation != t.Appointed.Incarnation || !x.Connected || x.Pod.Deleting || x.Report.Terminates {
		return name + " cannot take over any more"
	}
	if last != nil && !last.Data.Whole {
		return t.Unfenced.Name + " lacks data"
	}
	if a := p.answer(x, t.Number); a != nil && last != nil && a.Data.Position() != last.Data.Position() {
		return fmt.Sprintf("%s holds %v, %s ended at %v", name, a.Data.Position(), t.Unfenced.Name, last.Data.Position())
	}
	if until := p.o.Leader.TermSeen + handoverLimit; p.o.Now >= until {
		return name + " did not take over in time"
	} else {
		p.again(until)
	}
	return ""
}

// hold pauses clients, waits until x holds what m does, and lets m adopt the term.
func (p *pass) hold(m, x *Member) {
	t := p.o.Status.Term
	first := p.o.Leader.TermSeen + handoverRetry
	switch {
	case m.Report.Term < t.Number && !m.Report.Paused && p.o.Now < first:
		p.d.Held = true // the order went out with the record
		p.again(first)
	case m.Report.Term < t.Number && !m.Report.Paused:
		p.do(PauseClients{p.target(m), t.Unfenced.Term, p.o.Spec.SwitchTimeout}, t.Reason)
		p.again(p.o.Now + handoverRetry)
	case m.Report.Term < t.Number && x.Report.Data.Position() != m.Report.Data.Position() && !p.mut.BlindSwitch:
		p.d.Held, p.d.Offsets = true, true
		p.again(p.o.Now + handoverLook)
	default:
		p.d.Held = true
		p.do(Adopt{Target: p.target(m), Term: t.Number, Handover: true, Next: x.Pod.Primary}, "its clients are held, and "+x.Name+" holds all it has")
		p.again(p.o.Now + handoverRetry)
	}
}

// promote lets x reign from where m ended. A member of an older build does not know how to adopt in the same step: it refuses,
// and is asked to adopt first.
func (p *pass) promote(x *Member, end member.Position) {
	t := p.o.Status.Term
	p.d.Held = true
	p.again(p.o.Now + handoverLook)
	if p.mut.BlindSwitch {
		end = x.Report.Data.Position()
	}
	adopted := p.answer(x, t.Number) != nil
	switch {
	case !adopted && (x.Report.Data.Loading || x.Report.Data.Position() != end):
		p.d.Offsets = true
		return
	case !adopted && x.Refused != nil && x.Refused.Code == member.RefusedRole:
		p.do(Adopt{Target: p.target(x), Term: t.Number, Handover: true}, "it does not take over in one step")
		return
	}
	why := fmt.Sprintf("%s adopted the term itself and ended at %v", t.Unfenced.Name, end)
	t.Master = t.Appointed
	p.do(GrantLeases{*t.Appointed}, why)
	p.do(Promote{Target: p.target(x), Record: t, After: &end, Unfenced: !p.o.Spec.Strict}, why)
}

// reigns tells whether x says that it is the master appointed, and how its data came to that.
func (p *pass) reigns(x *Member) bool {
	t := p.o.Status.Term
	if x == nil || x.Report == nil || x.Report.Role != member.RoleMaster || x.Report.Reign != t.Number || x.Report.Identity.Incarnation != t.Appointed.Incarnation {
		return false
	}
	h := x.Report.Data.History
	return len(h) > 0 && h[len(h)-1].Term == t.Number
}

// confirm records the master that reigns already.
func (p *pass) confirm(x *Member) {
	t := p.o.Status.Term
	next := t
	next.Master, next.Unfenced, next.Appointed, next.Target = t.Appointed, nil, nil, ""
	next.Gone, next.Disks, next.Lineage = nil, nil, x.Report.Data.History
	why := x.Name + " has taken over"
	p.do(GrantLeases{*next.Master}, why)
	p.follow(next)
	if !p.do(RecordTerm{p.o.Status.Version, next}, why) {
		return
	}
	p.d.Status.Term = next
	from, start := t.Unfenced.Name, next.Lineage[len(next.Lineage)-1].Start
	p.event(false, "MasterChanged", fmt.Sprintf("term %d: %s is master (was %q): %s", t.Number, x.Name, from, t.Reason))
	p.record(Failover{Term: t.Number, From: from, To: x.Name, Reason: t.Reason, Offset: start})
	p.d.Status.SpentRequest = p.o.Spec.Request
}

// Appoints tells whether the pass records whom a switchover appoints.
func (d Decision) Appoints() bool {
	for _, s := range d.Steps {
		if r, ok := s.Action.(RecordTerm); ok && r.Next.handing() {
			return true
		}
	}
	return false
}
