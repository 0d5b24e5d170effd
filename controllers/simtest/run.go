package simtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
)

// Result is what a run came to.
type Result struct {
	Seed      int64
	Violation string // "" if every invariant held and the world settled
	Acks      int
	FullSyncs int
	Wipes     int
	Terms     member.Term
	Changes   int // masters recorded after the first
	Override  bool
	Lost      bool // a write that every voter held is gone
	Longest   time.Duration
	Settled   time.Duration // after the faults ended
}

func (r Result) String() string {
	return fmt.Sprintf("seed %d: acks %d, terms to %d, masters %d, full syncs %d, wipes %d, override %v, settled after %v: %s",
		r.Seed, r.Acks, r.Terms, r.Changes, r.FullSyncs, r.Wipes, r.Override, r.Settled, r.Violation)
}

// DefaultSpec is three members without persistence: the dangerous case.
func DefaultSpec() plan.Spec {
	return plan.Spec{Name: "orders", UID: "set-1", Members: 3, Shape: plan.Star, FanOut: 2, Persist: plan.PersistNone,
		Lease: 2 * time.Second, Automatic: true, Strict: true, Revision: "r1", ConfigVersion: "c1", AuthVersion: "a1",
		ColdStart: 5 * time.Second, SwitchTimeout: 2 * time.Second}
}

// Random derives a world from a seed: shape, persistence, sizes, faults.
func Random(seed int64) Options {
	opt := Options{Seed: seed, Spec: DefaultSpec(), Nodes: 4, Faults: AllFaults(time.Second), For: 14 * time.Second, Settle: 60 * time.Second}
	pick := func(n int) int { return int((uint64(seed)*0x9e3779b97f4a7c15>>33 + uint64(seed)) % uint64(n)) }
	s := &opt.Spec
	s.Members = []int{3, 3, 3, 2, 5, 4, 1}[pick(7)]
	s.Shape = []plan.Shape{plan.Star, plan.Star, plan.Chain, plan.Tree}[pick(4)]
	s.Persist = []plan.PersistOn{plan.PersistNone, plan.PersistAll, plan.PersistReplicas, plan.PersistNone}[pick(4)]
	opt.AOF = pick(2) == 0
	opt.InPlace = pick(5) == 0
	if pick(11) < 4 && s.Members >= 3 {
		s.K = 1
	}
	opt.Faults.Switches = pick(17)%3 == 0
	opt.Faults.Every = []time.Duration{600 * ms, 1200 * ms, 2500 * ms}[pick(13)%3]
	return opt
}

// Run lives through a world.
func Run(opt Options) Result { return newWorld(opt).live() }

func (w *World) live() Result {
	opt := w.opt
	if opt.Script != nil {
		opt.Script(w)
	}
	w.watchIDs()
	w.startFaults()
	w.run(opt.For)
	if opt.Settle == 0 {
		return w.result() // only the invariants matter
	}
	w.heal()
	settled := w.settle()
	r := w.result()
	r.Settled = settled
	return r
}

func (w *World) watchIDs() {
	w.check.ids()
	w.after(200*ms, w.watchIDs)
}

// heal ends every fault.
func (w *World) heal() {
	w.quiet = true
	w.cuts = map[[2]string]int{}
	w.slow = 0
	w.api.up = true
	for _, n := range w.nodes {
		n.up = true
	}
	w.tracef("faults end")
}

// settle runs until the set is as wished and stays so for a while.
func (w *World) settle() time.Duration {
	begin := w.now
	good := 0
	for w.now < begin+w.opt.Settle && w.check.broken == "" {
		w.run(w.now + 250*ms)
		w.cuts, w.slow = map[[2]string]int{}, 0
		if why := w.unsettled(); why != "" {
			good = 0
			w.check.stalls = why
		} else if good++; good == 8 {
			return w.now - begin
		}
		// What nobody can prove a person must decide, once the wait is long enough. The word names
		// the term, so it does not outlive the decision.
		if t := w.api.status.Term.Number; w.now > begin+w.opt.Settle/2 && good == 0 && w.acceptTerm != t && w.master() == nil {
			w.acceptLoss()
		}
	}
	if w.check.broken == "" {
		w.check.fail("does not settle: %s", w.check.stalls)
	}
	return 0
}

// acceptLoss is a person's word that what cannot be reached is gone, for the present term.
func (w *World) acceptLoss() {
	w.acceptTerm = w.api.status.Term.Number
	w.check.override = true
	w.tracef("a person accepts loss in term %d: %s: %s", w.acceptTerm, w.check.stalls, w.check.stalled)
}

// unsettled says what is not as it should be, "" if nothing.
func (w *World) unsettled() string {
	t, spec := w.api.status.Term, w.api.spec
	if t.Master == nil {
		return fmt.Sprintf("term %d has no master", t.Number)
	}
	var out []string
	var master *server
	n := 0
	for _, p := range w.pods {
		if !p.obj {
			continue
		}
		n++
		if p.srv == nil {
			return p.name + " does not run"
		}
		if p.revision != spec.Revision {
			out = append(out, p.name+" has an old revision")
		}
		if p.srv.auth != spec.AuthVersion {
			out = append(out, p.name+" has an old password")
		}
		if p.uid == t.Master.Voter {
			master = p.srv
		}
	}
	if master == nil {
		return "the master's pod is gone"
	}
	if n != spec.Members {
		out = append(out, fmt.Sprintf("%d pods for %d members", n, spec.Members))
	}
	if master.m.Role() != member.RoleMaster || master.clock() >= master.m.WriteDeadline() {
		return "the master does not write"
	}
	for _, p := range w.pods {
		s := p.srv
		if !p.obj || s == master {
			continue
		}
		if s.m.Role() != member.RoleReplica || s.link == nil || !s.link.up || !s.link.caught || s.m.Term() != t.Number {
			trip := ""
			if s.link != nil {
				trip = s.link.trip
			}
			out = append(out, fmt.Sprintf("%s is %s in term %d: %s", p.name, s.m.Role(), s.m.Term(), trip))
			continue
		}
		if com := s.log.common(master.log); com != s.log.end() || master.log.end()-com > 200 {
			out = append(out, fmt.Sprintf("%s equals the master up to %d of %d", p.name, com, s.log.end()))
		}
		if !t.Rosters.Has(p.uid) {
			out = append(out, p.name+" is no voter")
		}
	}
	if len(t.Rosters.New.Voters) != spec.Members || t.Rosters.Old != nil {
		out = append(out, fmt.Sprintf("%d voters for %d members", len(t.Rosters.New.Voters), spec.Members))
	}
	return strings.Join(out, "; ")
}

func (w *World) result() Result {
	c := &w.check
	r := Result{Seed: w.opt.Seed, Violation: c.broken, Acks: c.acks, FullSyncs: c.fullSyncs, Wipes: c.wipes,
		Terms: w.api.status.Term.Number, Changes: c.failovers, Override: c.override, Longest: c.longest}
	if m := w.master(); m != nil && c.confirmed != nil {
		r.Lost = !m.log.contains(c.confirmed.offset, c.confirmed.sum)
	}
	return r
}

// master is the running process of the recorded master, nil if there is none.
func (w *World) master() *server {
	t := w.api.status.Term
	if t.Master == nil {
		return nil
	}
	return w.check.running(t.Master.Incarnation)
}
