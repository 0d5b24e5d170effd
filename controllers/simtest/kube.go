package simtest

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
)

// api is the API server: the resource's status with a version, the leader lock, the pod objects.
type api struct {
	w       *World
	up      bool
	version int
	status  plan.Status
	spec    plan.Spec
	service plan.ServiceState
	holder  string
	renewed int // counts changes of the lock, as candidates observe them
	uids    int
	deaths  []tombstone
}

type tombstone struct {
	plan.Death
	at time.Duration
}

func newAPI(w *World) *api {
	return &api{w: w, up: true, version: 1, status: plan.Status{Lost: true, Version: "1"}, spec: w.opt.Spec}
}

// call is a request of an operator: fn runs at the server, done at the caller with ok false when the
// answer is lost or late (then nobody knows whether fn ran).
func (a *api) call(o *operator, fn func(), done func(ok bool)) {
	answered := false
	finish := func(ok bool) {
		if !answered {
			answered = true
			o.do(func() { done(ok) })
		}
	}
	o.timer(900*ms, func() { finish(false) })
	if !a.w.reach(o.site, "api") {
		return
	}
	a.w.after(a.w.latency(), func() {
		if !a.up || !a.w.reach(o.site, "api") {
			return
		}
		fn()
		if !a.w.reach("api", o.site) || (a.w.slow > 0 && a.w.chance(0.05)) {
			return
		}
		a.w.after(a.w.latency(), func() {
			if a.up && a.w.reach("api", o.site) {
				finish(true)
			}
		})
	})
}

func (a *api) read() plan.Status {
	s := a.status
	s.Version = strconv.Itoa(a.version)
	s.Term.Rosters = s.Term.Rosters.Clone()
	s.Term.Lineage = slices.Clone(s.Term.Lineage)
	s.History = slices.Clone(s.History)
	return s
}

// update is a compare-and-set on the resource.
func (a *api) update(expect string, change func(*plan.Status)) bool {
	if expect != strconv.Itoa(a.version) && !a.w.opt.Sim.BlindRecord {
		return false
	}
	change(&a.status)
	a.version++
	return true
}

type node struct {
	name string
	up   bool
	gone bool
}

// pod is one pod UID with what runs in it. obj tells whether the object exists, which is not the same.
type pod struct {
	w         *World
	name      string
	ordinal   int
	uid       member.Voter
	node      *node
	revision  string
	disk      *disk    // nil: memory only
	aside     []ledger // what it set aside before it gave way
	obj       bool
	deleting  bool
	ended     bool // no container will start again
	seenEnded bool // the API server knows
	removed   bool // nothing runs and nothing will
	starts    uint64
	container int
	kept      *keeper // the supervisor: lives as long as the container
	srv       *server
}

// keeper is the supervisor's memory.
type keeper struct {
	id     string
	record *recordBox
	incs   []member.Incarnation
	role   member.Role // last known, for the BootAsMaster mutation
}

// disk is a claim: it outlives pods.
type disk struct {
	record  *recordBox
	log     ledger
	history member.History
	any     bool
	maker   member.Voter // the pod it was made for
	whole   bool         // it holds all that its server held, which was whole
}

func (a *api) create(c plan.CreatePod) {
	for _, p := range a.w.pods {
		if p.obj && p.name == c.Name {
			return
		}
	}
	a.uids++
	p := &pod{w: a.w, name: c.Name, ordinal: c.Ordinal, uid: member.Voter(fmt.Sprintf("u%d", a.uids)), revision: c.Revision, obj: true}
	var ups []*node
	for _, n := range a.w.nodes {
		if !n.gone {
			ups = append(ups, n)
		}
	}
	p.node = ups[(c.Ordinal+a.uids)%len(ups)]
	if c.Persists {
		for _, old := range a.w.pods {
			if old.name == c.Name && old.disk != nil {
				p.disk = old.disk
			}
		}
		if p.disk == nil {
			p.disk = &disk{maker: p.uid}
		}
	}
	a.w.pods = append(a.w.pods, p)
	a.w.tracef("pod %s (%s) created on %s", p.name, p.uid, p.node.name)
	a.w.after(a.w.between(20*ms, 300*ms), p.startContainer)
}

func (p *pod) startContainer() {
	if p.ended || p.removed || p.kept != nil || p.deleting {
		return
	}
	if !p.node.up {
		p.w.after(500*ms, p.startContainer)
		return
	}
	// A claim is mounted by one pod at a time.
	for _, other := range p.w.pods {
		if other != p && p.disk != nil && other.disk == p.disk && other.kept != nil {
			p.w.after(200*ms, p.startContainer)
			return
		}
	}
	p.container++
	p.kept = &keeper{id: fmt.Sprintf("%s/c%d", p.uid, p.container)}
	p.startProcess()
}

func (p *pod) startProcess() {
	if p.kept == nil || p.srv != nil || !p.node.up {
		return
	}
	p.starts++
	newServer(p)
}

// processDied is the supervisor's view: it reports at once and starts a parked one.
func (p *pod) processDied(inc member.Incarnation, cause string) {
	k := p.kept
	if k == nil {
		return
	}
	d := plan.Death{Voter: p.uid, Incarnation: inc, Proof: plan.ProofSupervisor, Cause: cause}
	for range 3 {
		for _, o := range p.w.ops {
			p.w.datagram(p.node.name, o.site, func() { o.do(func() { o.heardDeath(d) }) })
		}
	}
	p.w.after(p.w.between(5*ms, 40*ms), func() {
		if p.kept == k {
			p.startProcess()
		}
	})
}

// killContainer ends supervisor and server together; the kubelet finds out and says so.
func (p *pod) killContainer(cause string) {
	k := p.kept
	if k == nil {
		return
	}
	p.kept = nil
	if p.srv != nil {
		p.srv.kill(cause, false)
	}
	if (p.disk == nil || p.w.opt.Spec.Persist == plan.PersistReplicas) && !p.w.opt.Sim.RestartMaster {
		p.ended = true // restartPolicy: Never (S4)
	}
	p.w.after(p.w.between(50*ms, 300*ms), func() { p.kubelet(k, cause) })
}

// kubelet posts the terminated state and restarts the container if it may.
func (p *pod) kubelet(k *keeper, cause string) {
	w := p.w
	if !p.node.up || !w.api.up || !w.reach(p.node.name, "api") {
		if !p.node.gone {
			w.after(200*ms, func() { p.kubelet(k, cause) })
		}
		return
	}
	if !p.obj {
		p.removed = true // nothing is left to post the state on
		return
	}
	for _, inc := range k.incs {
		w.api.deaths = append(w.api.deaths, tombstone{plan.Death{Voter: p.uid, Incarnation: inc, Proof: plan.ProofKubelet, Cause: cause, Final: p.deleting || p.ended}, w.now})
	}
	switch {
	case p.deleting:
		p.obj, p.removed = false, true
	case p.ended:
		p.seenEnded = true
	default:
		w.after(w.between(100*ms, 800*ms), p.startContainer)
	}
}

// delete is a graceful deletion: SIGTERM, a grace period, then the end.
func (p *pod) delete() {
	if p.deleting || !p.obj {
		return
	}
	p.deleting = true
	p.w.tracef("pod %s (%s) is being deleted", p.name, p.uid)
	p.terminate(p.w.now + 4*time.Second)
}

func (p *pod) terminate(deadline time.Duration) {
	w := p.w
	switch {
	case p.removed:
	case p.node.gone && w.api.up:
		p.obj, p.removed = false, true
	case !p.node.up || !w.api.up || !w.reach("api", p.node.name):
		w.after(300*ms, func() { p.terminate(deadline) })
	case p.kept == nil:
		p.obj, p.removed = false, true
		w.api.deaths = append(w.api.deaths, tombstone{plan.Death{Voter: p.uid, Proof: plan.ProofKubelet, Cause: "deleted, nothing runs", Final: true}, w.now})
	case p.srv != nil && p.srv.m.Role() == member.RoleMaster && w.now < deadline:
		p.srv.do(func() { p.srv.terminates = true })
		w.after(50*ms, func() { p.terminate(deadline) })
	default:
		p.killContainer("terminated")
	}
}

// forceDelete removes the object while the process goes on for a while.
func (p *pod) forceDelete() {
	if !p.obj {
		return
	}
	p.obj, p.deleting = false, true
	p.w.tracef("pod %s (%s) deleted by force", p.name, p.uid)
	p.w.after(p.w.between(0, 4000*ms), p.reap)
}

func (p *pod) reap() {
	w := p.w
	if !p.node.up || !w.reach("api", p.node.name) {
		w.after(300*ms, p.reap)
		return
	}
	if p.kept != nil {
		k := p.kept
		p.killContainer("killed after forced deletion")
		_ = k
	}
	p.removed = true
}
