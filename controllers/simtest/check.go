package simtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
)

// checker holds the invariants against the truth.
type checker struct {
	w      *World
	broken string // the first violation; the world stops there

	ackedTerm member.Term
	ackedBy   member.Incarnation
	acks      int
	lastAck   time.Duration
	longest   time.Duration // without an acknowledgement
	newest    map[member.Term]*reply

	reigns    map[member.Term]plan.Reign
	ends      map[member.Term]plan.Reign // whom the master of a term was appointed to take over from
	left      map[member.Term]ledger     // and what that one held when it adopted the term
	promos    map[member.Term]member.Incarnation
	replids   map[string]member.Term
	fullSyncs int
	wipes     int
	failovers int
	reseeded  int             // members that gave way with data that a person had given up
	newLines  int             // histories begun from nothing
	override  bool            // a person accepted loss
	forsaken  map[string]bool // replication IDs of the histories that a person gave up
	confirmed *reply
	stalls    string // why the world has not settled
	stalled   string // what the operator says about it
}

func newChecker(w *World) checker {
	return checker{w: w, newest: map[member.Term]*reply{}, reigns: map[member.Term]plan.Reign{}, ends: map[member.Term]plan.Reign{}, left: map[member.Term]ledger{},
		promos: map[member.Term]member.Incarnation{}, replids: map[string]member.Term{}, forsaken: map[string]bool{}}
}

func (c *checker) fail(format string, args ...any) {
	if c.broken == "" {
		c.broken = fmt.Sprintf("%.3fs: ", c.w.now.Seconds()) + fmt.Sprintf(format, args...)
		c.w.tracef("VIOLATION %s", c.broken)
	}
}

// step: at any instant at most one running process may write (S1).
func (c *checker) step() {
	var open *server
	for _, p := range c.w.pods {
		s := p.srv
		if s == nil || !s.alive || s.paused > 0 {
			continue
		}
		if term, until := s.m.Gate(); term == 0 || s.clock() >= until {
			continue
		}
		if open != nil {
			c.fail("S1: %s and %s can both write", open.pod.name, p.name)
			return
		}
		open = s
	}
}

// acked: a reply left. Reigns acknowledge one after the other, never again after a later one (S1).
func (c *checker) acked(s *server, r *reply) {
	if r.term < c.ackedTerm {
		c.fail("S1: %s acknowledges a write of term %d after one of term %d was acknowledged by %s", s.pod.name, r.term, c.ackedTerm, c.ackedBy)
	}
	if r.term == c.ackedTerm && c.ackedBy != s.id.Incarnation {
		c.fail("S1: %s and %s both acknowledge in term %d", s.id.Incarnation, c.ackedBy, r.term)
	}
	c.ackedTerm, c.ackedBy = r.term, s.id.Incarnation
	c.acks++
	c.longest = max(c.longest, c.w.now-c.lastAck)
	c.lastAck = c.w.now
	// With fewer than k+1 voters the k in force is lower: only what it covers is promised (S6).
	if rosters := s.m.Report(s.clock()).Rosters; rosters != nil && rosters.K() > 0 {
		if n := c.newest[r.term]; n == nil || n.offset < r.offset {
			c.newest[r.term] = r
		}
	}
	c.confirm(s, r)
}

// confirm remembers the newest write that every voter holds, as WAIT with all replicas would.
func (c *checker) confirm(s *server, r *reply) {
	t := c.w.api.status.Term
	offset := r.offset
	for _, v := range t.Rosters.New.Voters {
		held := int64(0)
		for _, p := range c.w.pods {
			if p.uid == v && p.srv != nil {
				held = p.srv.log.common(s.log)
			}
		}
		offset = min(offset, held)
	}
	if offset > 0 && len(t.Rosters.New.Voters) > 1 {
		c.confirmed = &reply{term: r.term, offset: offset, sum: s.log.sum(offset)}
	}
}

// recorded: one term has one master incarnation, for ever (rule 7).
func (c *checker) recorded(t plan.TermRecord) {
	next := t.Master
	if a := t.Appointed; next == nil && a != nil && a.Term == t.Number {
		next = a
		c.ends[t.Number] = *t.Unfenced
	}
	if next == nil {
		return
	}
	old, ok := c.reigns[t.Number]
	if ok && old.Incarnation != next.Incarnation {
		c.fail("S7: term %d recorded for %s and for %s", t.Number, old.Incarnation, next.Incarnation)
	}
	if !ok && t.Number > 1 {
		c.failovers++
	}
	c.reigns[t.Number] = *next
}

// ended: a master adopts the term in which another is appointed to take over from it.
func (c *checker) ended(s *server, t member.Term) {
	if old, ok := c.ends[t]; ok && old.Incarnation == s.id.Incarnation {
		c.left[t] = s.log.cut(s.log.end())
	}
}

// tookOver: who was appointed before the old master was fenced holds all that this one had when it ended (S5, rule 13).
func (c *checker) tookOver(s *server, t member.Term) {
	left, ok := c.left[t]
	if com := s.log.common(left); ok && (com < left.end() || com < s.log.end()) {
		c.fail("S5: %s takes over with %d, %s ended at %d, equal up to %d", s.pod.name, s.log.end(), c.ends[t].Name, left.end(), com)
	}
}

// promoted: a reign begins only when it is recorded (S7), once, and holds every acknowledged write
// when k voters must (S6).
func (c *checker) promoted(s *server, t member.Term) {
	if r, ok := c.reigns[t]; !ok || r.Incarnation != s.id.Incarnation {
		c.fail("S7: %s becomes master of term %d, recorded is %q", s.id.Incarnation, t, r.Incarnation)
	}
	if old, ok := c.promos[t]; ok && old != s.id.Incarnation {
		c.fail("S7: %s and %s were both master of term %d", old, s.id.Incarnation, t)
	}
	c.promos[t] = s.id.Incarnation
	c.tookOver(s, t)
	if s.loading {
		c.fail("S5: %s is promoted while it loads", s.pod.name)
	}
	if s.log.end() == 0 { // whatever history it has heard of
		c.newLine(s, t)
	}
	if c.w.opt.Spec.K > 0 && !c.override {
		for term, r := range c.newest {
			if term < t && !s.log.contains(r.offset, r.sum) {
				c.fail("S6: master of term %d lacks the write at %d acknowledged in term %d", t, r.offset, term)
			}
		}
	}
}

// newLine: a history begins from nothing. That is right only when nobody holds any other.
func (c *checker) newLine(s *server, t member.Term) {
	c.newLines++
	for _, p := range c.w.pods {
		held := int64(0)
		if p.srv != nil && p.obj {
			held = p.srv.log.end()
		}
		if p.disk != nil && p.disk.any && p.name != s.pod.name {
			held = max(held, p.disk.log.end())
		}
		if held > 0 && !c.override && p != s.pod {
			c.fail("S2: %s begins a new history in term %d while %s holds %d", s.pod.name, t, p.name, held)
		}
	}
	if c.override {
		for _, old := range c.reigns {
			c.forsaken[old.ReplID] = old.Term < t
		}
	}
	c.newest, c.confirmed = map[member.Term]*reply{}, nil // all is lost, and said so
}

// decided: the one appointed holds at least as much as every other that adopted and was heard (S5).
func (c *checker) decided(ob plan.Observed, d plan.Decision) {
	taking := 0
	for _, st := range d.Steps {
		if st.Action.Disruptive() {
			taking++
		}
	}
	if taking > 1 {
		c.fail("plan: %d disruptive steps in one pass: %s", taking, d)
	}
	for _, cond := range d.Conditions {
		if cond.Type == plan.ConditionStalled {
			c.stalled = cond.Message
		}
	}
	for _, st := range d.Steps {
		rec, ok := st.Action.(plan.RecordTerm)
		if !ok || rec.Next.Master == nil || ob.Status.Term.Master != nil {
			continue
		}
		best := c.running(rec.Next.Master.Incarnation)
		if best == nil {
			continue
		}
		for i := range ob.Members {
			m := &ob.Members[i]
			if m.Answer == nil || m.Answer.Term != rec.Next.Number || !rec.Next.Rosters.Has(m.Pod.UID) {
				continue
			}
			q := c.running(m.Answer.Incarnation)
			if q == nil || q == best || q.m.Term() != rec.Next.Number {
				continue
			}
			if com := q.log.common(best.log); com == best.log.end() && com < q.log.end() {
				c.fail("S5: %s is appointed with %d, %s holds %d of the same history", best.pod.name, best.log.end(), q.pod.name, q.log.end())
			}
			if len(q.history) > 0 && best.log.end() == 0 && q.log.end() > 0 {
				c.fail("S5: %s is appointed empty while %s holds %d", best.pod.name, q.pod.name, q.log.end())
			}
			if a, b := q.history.At(q.log.end()), best.history.At(best.log.end()); b.Term < a.Term {
				c.fail("S5: %s (%v) is appointed over %s (%v)", best.pod.name, b, q.pod.name, a)
			}
		}
	}
}

func (c *checker) running(i member.Incarnation) *server {
	for _, p := range c.w.pods {
		if p.srv != nil && p.srv.id.Incarnation == i {
			return p.srv
		}
	}
	return nil
}

// loaded: a full sync replaced what s held (S2, S8).
func (c *checker) loaded(s, from *server, snap ledger, h member.History) {
	c.fullSyncs++
	if s.log.end() == 0 {
		return
	}
	com := s.log.common(snap)
	old, next := s.history.At(s.log.end()), h.At(snap.end())
	switch {
	case snap.end() == 0:
		c.wipes++
		c.fail("S2: %s loses %d entries to the empty %s", s.pod.name, s.log.end(), from.pod.name)
	case com == 0 && c.gaveUp(s):
		c.reseeded++
	case com == 0:
		c.wipes++
		c.fail("S2: %s loses %d entries to an unrelated history of %s", s.pod.name, s.log.end(), from.pod.name)
	case com == s.log.end():
		c.fail("S8: %s loads everything though its %d entries are a prefix", s.pod.name, com)
	case com == snap.end():
		if top := h[len(h)-1]; top.Start != com || top.Term <= old.Term {
			c.fail("S2: %s at %v loads the older %v of the same history from %s", s.pod.name, old, next, from.pod.name)
		}
	}
	if com < s.log.end() && !s.setAside() {
		c.fail("rule 11: %s loses %d entries that it did not set aside", s.pod.name, s.log.end()-com)
	}
}

// gaveUp: a person gave up the history that all of this data was written in.
func (c *checker) gaveUp(s *server) bool {
	return c.forsaken[replidAt(s.history, s.log.end())]
}

func replidAt(h member.History, offset int64) (id string) {
	for _, e := range h {
		if e.Start < offset {
			id = e.ReplID
		}
	}
	return id
}

func (s *server) setAside() bool {
	return slices.ContainsFunc(s.pod.aside, func(l ledger) bool { return l.contains(s.log.end(), s.log.sum(s.log.end())) })
}

// dropped: a load in place gives up the old data before the new is there, so what is right is judged now.
func (c *checker) dropped(s, from *server) {
	if s.log.end() == 0 || !from.alive {
		return
	}
	if from.log.end() == 0 || s.log.common(from.log) == 0 && !c.gaveUp(s) {
		c.wipes++
		c.fail("S2: %s drops %d entries for %d unrelated ones of %s", s.pod.name, s.log.end(), from.log.end(), from.pod.name)
	}
}

// joinedAt: a partial resync continues a prefix of what the feeder held when it agreed (rule 11).
func (c *checker) joinedAt(s, from *server, has ledger) {
	if com := s.log.common(has); com < s.log.end() {
		c.fail("rule 11: %s continues at %d from %s, equal only up to %d", s.pod.name, s.log.end(), from.pod.name, com)
	}
}

func (c *checker) applied(s *server, part ledger) {
	if s.log.end() > 0 && part.end() >= s.log.end() && part.sum(s.log.end()) != s.log.sum(s.log.end()) {
		c.fail("rule 11: %s appends at %d behind entries that its upstream does not have", s.pod.name, s.log.end())
	}
}

// ids: a replication ID has one reign, and nobody appends to a history it had before (S9).
func (c *checker) ids() {
	for _, p := range c.w.pods {
		s := p.srv
		if s == nil {
			continue
		}
		if term, _ := s.m.Gate(); term > 0 {
			if n := len(s.history); n == 0 || s.history[n-1].Term != term {
				c.fail("S9: %s reigns in term %d in the history [%s]", s.pod.name, term, s.history)
			}
		}
		for _, e := range s.history {
			if t, ok := c.replids[e.ReplID]; ok && t != e.Term {
				c.fail("S9: replication ID of term %d used again in term %d", t, e.Term)
			}
			c.replids[e.ReplID] = e.Term
		}
	}
}
