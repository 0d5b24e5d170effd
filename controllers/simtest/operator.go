package simtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
)

// Leader election as client-go does it, scaled as the design says.
const (
	lockDuration = 4 * time.Second
	lockDeadline = 3 * time.Second
	lockRetry    = 500 * ms
	heardFor     = 500 * ms // silence after which a member counts as not connected
)

// operator is one process of the operator: observe, apply, leases and leader election around the real
// plan.
type operator struct {
	proc
	n    int
	site string
	gen  int // of the process: a crash forgets everything

	leads      bool
	since      time.Duration
	leadsUntil time.Duration
	sawRenewed int
	sawHolder  string
	sawAt      time.Duration

	mem     map[member.Voter]*memory
	deaths  []plan.Death
	lessor  plan.Lessor
	granted time.Duration // since when it led when it granted last
	pods    []podView
	viewed  bool

	passing bool
	again   bool
	soonAt  time.Duration
	seen    string // the record as read last, and when it was first read so
	seenAt  time.Duration
	stale   *plan.Status // BlindRecord: what was read once
	kept    *kept        // what this process wrote itself, while a switchover holds clients
}

// kept is status as written by an operator, in the leadership since then.
type kept struct {
	status      plan.Status
	svc         plan.ServiceState
	spec        plan.Spec
	since, read time.Duration
}

// keptFor is for how long an operator goes by what it wrote itself.
const keptFor = 3 * time.Second

// memory is what the operator remembers of one pod.
type memory struct {
	inc      member.Incarnation
	metAt    time.Duration
	heardAt  time.Duration
	report   *member.Report
	reportAt time.Duration
	answer   *member.Adopted
	answerAt time.Duration
	refused  *member.Refusal
	key      string
}

// podView is the informer's copy of a pod object.
type podView struct {
	name     string
	ordinal  int
	pod      *pod
	deleting bool
	ended    bool
	nodeGone bool
	neverRan bool
	revision string
}

func newOperator(w *World, n int) *operator {
	o := &operator{n: n, site: fmt.Sprintf("op%d", n)}
	o.start(w)
	return o
}

func (o *operator) start(w *World) {
	gen := o.gen + 1
	*o = operator{proc: w.newProc(), n: o.n, site: o.site, gen: gen, mem: map[member.Voter]*memory{}}
	o.sawRenewed = -1
	o.loop(w.between(0, 100*ms), lockRetry, o.elect)
	o.loop(w.between(0, 100*ms), 60*ms, o.watch)
	o.loop(w.between(0, 100*ms), 120*ms, o.ask)
	o.loop(w.between(0, 100*ms), 250*ms, o.soon)
}

// loop runs fn every so often while this process lives.
func (o *operator) loop(first, every time.Duration, fn func()) {
	gen := o.gen
	var next func()
	next = func() {
		if o.gen == gen {
			fn()
			o.timer(every, next)
		}
	}
	o.timer(first, next)
}

func (o *operator) crash(back time.Duration) {
	if !o.alive {
		return
	}
	w := o.w
	w.tracef("%s crashes", o.site)
	o.alive = false
	o.gen++
	w.after(back, func() { o.start(w) })
}

// leading is asked at every use.
func (o *operator) leading() bool {
	return o.leads && (o.clock() < o.leadsUntil || o.w.opt.Sim.NoLeaderCheck)
}

func (o *operator) elect() {
	began := o.clock()
	gen := o.gen
	var holder string
	var renewed int
	won := false
	a := o.w.api
	expired := o.sawRenewed >= 0 && began-o.sawAt > lockDuration
	saw := o.sawRenewed
	a.call(o, func() {
		if a.holder == "" || a.holder == o.id() || (expired && a.renewed == saw) {
			a.holder = o.id()
			a.renewed++
			won = true
		}
		holder, renewed = a.holder, a.renewed
	}, func(ok bool) {
		if !ok || o.gen != gen {
			return
		}
		if o.sawRenewed != renewed || o.sawHolder != holder {
			o.sawRenewed, o.sawHolder, o.sawAt = renewed, holder, o.clock()
		}
		if !won {
			o.leads = false
			return
		}
		if !o.leads || began >= o.leadsUntil {
			// A new leadership: everything known about leases before it is void.
			o.leads, o.since = true, o.clock()
			o.w.tracef("%s leads", o.site)
		}
		o.leadsUntil = began + lockDeadline
		o.soon()
	})
}

func (o *operator) id() string { return fmt.Sprintf("%s/%d", o.site, o.gen) }

// watch refreshes the informer's copy of the pods.
func (o *operator) watch() {
	a := o.w.api
	var views []podView
	var dead []plan.Death
	a.call(o, func() {
		for _, p := range o.w.pods {
			if p.obj {
				views = append(views, podView{p.name, p.ordinal, p, p.deleting, p.seenEnded, p.node.gone, p.starts == 0, p.revision})
			}
		}
		for _, d := range a.deaths {
			if o.w.now-d.at < 2*time.Second || o.w.podObject(d.Voter) {
				dead = append(dead, d.Death)
			}
		}
	}, func(ok bool) {
		if !ok {
			return
		}
		o.pods, o.viewed = views, true
		for _, d := range dead {
			o.heardDeath(d)
		}
	})
}

func (w *World) podObject(v member.Voter) bool {
	for _, p := range w.pods {
		if p.uid == v {
			return p.obj
		}
	}
	return false
}

func (o *operator) heardDeath(d plan.Death) {
	for _, e := range o.deaths {
		if e.Voter == d.Voter && e.Incarnation == d.Incarnation && (e.Final || !d.Final) {
			return
		}
	}
	o.deaths = append(o.deaths, d)
	o.soon()
}

func (o *operator) ask() {
	if !o.leads {
		return
	}
	for _, v := range o.pods {
		o.send(v.pod, member.Ask{})
	}
	if o.w.opt.Sim.GuessDeath {
		o.guessDeath()
	}
}

// guessDeath is what rule 10 forbids; mutations only.
func (o *operator) guessDeath() {
	for _, v := range o.pods {
		if m := o.mem[v.pod.uid]; m != nil && m.inc != "" && o.clock()-m.heardAt > heardFor {
			o.heardDeath(plan.Death{Voter: v.pod.uid, Incarnation: m.inc, Proof: plan.ProofKubelet, Cause: "silence"})
		}
	}
}

// send gives a message to whatever process runs in the pod.
func (o *operator) send(p *pod, msg member.Message) {
	o.w.datagram(o.site, p.node.name, func() {
		if s := p.srv; s != nil {
			s.do(func() { s.order(o, msg) })
		}
	})
}

// heard is a message of a member.
func (o *operator) heard(uid member.Voter, inc member.Incarnation, msg member.Message) {
	now := o.clock()
	m := o.mem[uid]
	if m == nil {
		m = &memory{}
		o.mem[uid] = m
	}
	if m.inc != inc {
		if m.inc.NewerThan(inc) {
			return // late words of a process that is known to be over
		}
		stale := m.answer
		*m = memory{inc: inc, metAt: now}
		if o.w.opt.Plan.StaleAnswers {
			m.answer, m.answerAt = stale, now
		}
	}
	m.heardAt = now
	switch msg := msg.(type) {
	case member.LeaseRequest:
		o.leaseRequest(uid, msg)
	case member.Report:
		m.report, m.reportAt = &msg, now
		if key := reportKey(&msg); key != m.key {
			m.key = key
			o.soon()
		}
	case member.Adopted:
		if m.answer == nil || m.answer.Term < msg.Term {
			m.answer, m.answerAt = &msg, now
		}
		o.soon()
	case member.Refusal:
		m.refused = &msg
		o.soon()
	default:
		m.refused = nil
		o.soon()
	}
}

func reportKey(r *member.Report) string {
	k := fmt.Sprint(r.Role, r.Term, r.Reign, r.RosterHeld, r.Writable, r.Paused, r.Terminates, r.Auth, r.AuthStep, r.Config, r.Persisted)
	if r.Rosters != nil {
		k += fmt.Sprint(r.Rosters.New.Version, r.Rosters.Old != nil)
	}
	if r.Link != nil {
		k += fmt.Sprint(r.Link.Up, r.Link.InSync, r.Link.Syncing, r.Link.Upstream, r.Link.Trip != "")
	}
	return k
}

func (o *operator) leaseRequest(uid member.Voter, q member.LeaseRequest) {
	until := o.leadsUntil
	if o.w.opt.Sim.NoLeaderCheck {
		until = 1 << 62
	}
	if !o.leads {
		return
	}
	since := o.since
	if o.w.opt.Sim.StaleLeases {
		since = o.granted
	}
	l, ok := o.lessor.Ask(q, o.clock(), since, until)
	if !ok {
		return
	}
	for _, p := range o.w.pods {
		if p.uid == uid {
			o.send(p, l)
		}
	}
}

// soon asks for a pass.
func (o *operator) soon() {
	if o.passing {
		o.again = true
		return
	}
	if !o.leading() || !o.viewed {
		return
	}
	o.passing = true
	gen := o.gen
	o.timer(2*ms, func() {
		if o.gen == gen {
			o.pass()
		}
	})
}

func (o *operator) passDone(at time.Duration) {
	o.passing = false
	if o.again {
		o.again = false
		o.soon()
		return
	}
	if at > 0 && (o.soonAt <= o.clock() || at < o.soonAt) {
		o.soonAt = at
		gen := o.gen
		o.timer(at-o.clock()+ms, func() {
			if o.gen == gen {
				o.soon()
			}
		})
	}
}

// pass reads status from a quorum, plans, and applies.
func (o *operator) pass() {
	gen, since, began := o.gen, o.since, o.clock()
	if o.passHeld() {
		return
	}
	var st plan.Status
	var svc plan.ServiceState
	var spec plan.Spec
	a := o.w.api
	a.call(o, func() { st, svc, spec = a.read(), a.service, a.spec }, func(ok bool) {
		if o.gen != gen {
			return
		}
		if !ok || !o.leading() || o.since != since {
			o.passDone(0)
			return
		}
		if o.w.opt.Sim.BlindRecord {
			if o.stale != nil && o.w.chance(0.7) {
				st = *o.stale
			}
			o.stale = &st
		}
		spec.AcceptLoss = o.w.acceptTerm > 0 && o.w.acceptTerm == st.Term.Number
		ob := o.observe(st, svc, spec, began)
		d := plan.PlanMutated(ob, o.w.opt.Plan)
		o.w.check.decided(ob, d)
		o.kept = &kept{status: st, svc: svc, spec: spec, since: since, read: ob.Now}
		o.apply(d, since, 0)
	})
}

// passHeld is a pass of a switchover that needs nothing from the API server; false: it needs an ordinary one.
func (o *operator) passHeld() bool {
	k := o.kept
	if k == nil {
		return false
	}
	if k.since != o.since || o.clock() > k.read+keptFor || !o.leading() {
		o.kept = nil
		return false
	}
	ob := o.observe(k.status, k.svc, k.spec, k.read)
	d := plan.PlanMutated(ob, o.w.opt.Plan)
	if !d.Held {
		return false
	}
	o.w.check.decided(ob, d)
	o.apply(d, k.since, 0)
	return true
}

func (o *operator) observe(st plan.Status, svc plan.ServiceState, spec plan.Spec, read time.Duration) plan.Observed {
	now := o.clock()
	if key := fmt.Sprint(st.Term.Number, st.Term.Master != nil); key != o.seen {
		o.seen, o.seenAt = key, now
	}
	ob := plan.Observed{Now: now, Spec: spec, Status: st, Service: svc, Deaths: slices.Clone(o.deaths),
		Leader: plan.Leadership{Since: o.since, Leads: o.leading(), StatusRead: read, LastLease: o.lessor.Last(), TermSeen: o.seenAt}}
	for _, v := range o.pods {
		m := plan.Member{Name: v.name, Ordinal: v.ordinal, Pod: plan.Pod{UID: v.pod.uid, Addr: string(v.pod.uid),
			Revision: v.revision, Persists: v.pod.disk != nil, Node: v.pod.node.name, NodeGone: v.nodeGone,
			FreshClaim: v.pod.disk != nil && v.pod.disk.maker == v.pod.uid,
			Deleting:   v.deleting, Ended: v.ended, NeverRan: v.neverRan}}
		if k := o.mem[v.pod.uid]; k != nil {
			m.MetAt, m.Report, m.ReportAt, m.Answer, m.AnswerAt, m.Refused = k.metAt, k.report, k.reportAt, k.answer, k.answerAt, k.refused
			m.Connected = now-k.heardAt <= heardFor && k.report != nil
			if !m.Connected {
				m.LostAt = k.heardAt + heardFor
			}
		}
		ob.Members = append(ob.Members, m)
	}
	slices.SortFunc(ob.Members, func(a, b plan.Member) int { return a.Ordinal - b.Ordinal })
	return ob
}

// apply carries out the steps from i on.
func (o *operator) apply(d plan.Decision, since time.Duration, i int) {
	if !o.leading() || (o.since != since && !o.w.opt.Sim.NoLeaderCheck) {
		o.passDone(0)
		return
	}
	if i == len(d.Steps) {
		o.finish(d)
		return
	}
	gen := o.gen
	next := func(ok bool) {
		switch {
		case o.gen != gen:
		case !ok:
			o.again = true
			o.passDone(0)
		default:
			o.apply(d, since, i+1)
		}
	}
	step := d.Steps[i]
	o.traceStep(step)
	if !o.applyKube(step.Action, next) {
		o.applyMember(step.Action, since)
		next(true)
	}
}

func (o *operator) traceStep(s plan.Step) {
	switch s.Action.(type) {
	case plan.GrantLeases, plan.PointService:
	default:
		o.w.tracef("%s: %s (%s)", o.site, s.Action, s.Why)
	}
}

// finish writes the small facts of status.
func (o *operator) finish(d plan.Decision) {
	a := o.w.api
	done := func(bool) { o.passDone(d.Again) }
	if d.Held {
		done(true)
		return
	}
	cur := a.status
	if o.kept != nil && !recorded(d) {
		o.kept = nil
	}
	if cur.SpentRequest == d.Status.SpentRequest && cur.AuthVersion == d.Status.AuthVersion && cur.AuthStep == d.Status.AuthStep && cur.AuthTarget == d.Status.AuthTarget && fmt.Sprint(cur.History) == fmt.Sprint(d.Status.History) {
		done(true)
		return
	}
	a.call(o, func() {
		a.update(fmt.Sprint(a.version), func(s *plan.Status) {
			s.SpentRequest, s.History = d.Status.SpentRequest, d.Status.History
			s.AuthVersion, s.AuthStep, s.AuthTarget = d.Status.AuthVersion, d.Status.AuthStep, d.Status.AuthTarget
		})
	}, done)
}

func recorded(d plan.Decision) bool {
	return slices.ContainsFunc(d.Steps, func(s plan.Step) bool { _, ok := s.Action.(plan.RecordTerm); return ok })
}

// applyKube is the actions that go to the API server.
func (o *operator) applyKube(act plan.Action, next func(bool)) bool {
	a := o.w.api
	switch act := act.(type) {
	case plan.RecordTerm:
		won := false
		var written plan.Status
		a.call(o, func() {
			won = a.update(act.Expect, func(s *plan.Status) {
				s.Lost, s.Term = false, act.Next
				o.w.check.recorded(act.Next)
			})
			written = a.read()
		}, func(ok bool) {
			if won = won && ok; won && o.kept != nil {
				o.kept.status = written
			} else {
				o.kept = nil
			}
			next(won)
		})
		if o.w.opt.Sim.PromoteFirst && act.Next.Master != nil {
			o.applyMember(plan.Promote{Target: plan.Target{Voter: act.Next.Master.Voter, Incarnation: act.Next.Master.Incarnation, Met: true}, Record: act.Next}, 0)
		}
	case plan.CreatePod:
		a.call(o, func() { a.create(act) }, next)
	case plan.DeletePod:
		a.call(o, func() {
			for _, p := range o.w.pods {
				if p.uid == act.UID {
					p.delete()
				}
			}
		}, next)
	case plan.PointService:
		a.call(o, func() { a.service = plan.ServiceState(act) }, next)
	default:
		return false
	}
	return true
}

// applyMember is the actions that go to a member, and those that stay here.
func (o *operator) applyMember(act plan.Action, since time.Duration) {
	order := func(t plan.Target, term member.Term) member.Order {
		return member.Order{Term: term, For: t.Incarnation, Met: t.Met, Leader: o.site}
	}
	to := func(t plan.Target, msg member.Message) {
		for _, p := range o.w.pods {
			if p.uid == t.Voter {
				o.send(p, msg)
			}
		}
	}
	switch act := act.(type) {
	case plan.StopLeases:
		o.lessor.Stop()
	case plan.GrantLeases:
		o.lessor.Grants(act.Reign, since)
		o.granted = since
	case plan.Adopt:
		to(act.Target, member.Adopt{Order: order(act.Target, act.Term), Handover: act.Handover, Next: act.Next})
	case plan.Promote:
		to(act.Target, member.Promote{Order: order(act.Target, act.Record.Number), Voter: act.Record.Master.Voter, Rosters: act.Record.Rosters.Clone(),
			ReplID: act.Record.Master.ReplID, GivenUp: act.Record.GivenUp, Lease: act.Record.Lease, After: act.After, Unfenced: act.Unfenced})
	case plan.Follow:
		to(act.Target, member.Follow{Order: order(act.Target, act.Term), Upstream: act.Upstream, Master: act.Master.Incarnation,
			MasterPod: act.Master.Voter, GivenUp: act.GivenUp, Primary: act.Primary})
	case plan.TakeRoster:
		to(act.Target, member.TakeRoster{Order: order(act.Target, act.Term), Rosters: act.Rosters.Clone()})
	case plan.Park:
		to(act.Target, member.Park{Order: order(act.Target, act.Term)})
	case plan.PauseClients:
		to(act.Target, member.Pause{Order: order(act.Target, act.Term), Length: act.Length})
	case plan.ResumeClients:
		to(act.Target, member.Resume{Order: order(act.Target, act.Term)})
	case plan.SetConfig:
		to(act.Target, member.Configure{Order: order(act.Target, act.Term), Version: act.Version})
	case plan.Rotate:
		to(act.Target, member.Rotate{Order: order(act.Target, act.Term), Step: act.Step, Version: act.Version})
	case plan.SaveData:
		to(act.Target, member.Save{Order: order(act.Target, act.Term)})
	}
}
