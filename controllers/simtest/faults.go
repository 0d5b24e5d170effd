package simtest

import (
	"fmt"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
)

// Faults says what goes wrong. Every is the mean time between two faults, 0 for none.
type Faults struct {
	Every    time.Duration
	Network  bool // cuts, one and two way, and a slow lossy network
	Crashes  bool // processes, containers
	Pods     bool // deletion, graceful and by force
	Nodes    bool
	Pauses   bool // SIGSTOP
	Operator bool // crashes and pauses of the operators, the API server down
	Wishes   bool // scale, switchover, rolling change, rotation
	Switches bool // one switchover after the other, besides
}

// AllFaults is everything at once.
func AllFaults(every time.Duration) Faults {
	return Faults{every, true, true, true, true, true, true, true, false}
}

func (w *World) startFaults() {
	if w.opt.Faults.Every == 0 {
		return
	}
	var next func()
	next = func() {
		if w.quiet {
			return
		}
		w.oneFault()
		w.after(w.between(w.opt.Faults.Every/4, w.opt.Faults.Every*7/4), next)
	}
	w.after(w.between(1500*ms, 4000*ms), next)
	if w.opt.Faults.Switches {
		w.after(w.between(1500*ms, 3000*ms), w.switches)
	}
}

// switches asks for another master again and again; every second time something befalls those who are concerned.
func (w *World) switches() {
	if w.quiet {
		return
	}
	w.wishMaster()
	if w.chance(0.5) {
		w.after(w.between(0, 300*ms), func() {
			kinds := []func(){w.faultCut, w.faultIsolate, w.faultCrash, w.faultPause, w.faultOperator, w.faultAPI, w.faultSlow}
			if !w.quiet {
				kinds[w.rng.Intn(len(kinds))]()
			}
		})
	}
	w.after(w.between(400*ms, 2500*ms), w.switches)
}

func (w *World) wishMaster() {
	s := &w.api.spec
	s.Request = fmt.Sprintf("%s-%d", s.Name, w.rng.Intn(max(1, s.Members)))
	w.tracef("wish: master %s", s.Request)
}

func (w *World) oneFault() {
	f := w.opt.Faults
	var kinds []func()
	add := func(on bool, fns ...func()) {
		if on {
			kinds = append(kinds, fns...)
		}
	}
	add(f.Network, w.faultCut, w.faultCut, w.faultIsolate, w.faultSlow)
	add(f.Crashes, w.faultCrash, w.faultCrash, w.faultContainer)
	add(f.Pods, w.faultDelete)
	add(f.Nodes, w.faultNode)
	add(f.Pauses, w.faultPause, w.faultPause)
	add(f.Operator, w.faultOperator, w.faultAPI)
	add(f.Wishes, w.faultWish)
	if len(kinds) > 0 {
		kinds[w.rng.Intn(len(kinds))]()
	}
}

// victim is a running server, the master every second time.
func (w *World) victim() *server {
	var all []*server
	for _, p := range w.pods {
		if p.srv != nil {
			all = append(all, p.srv)
			if p.srv.m.Role() == member.RoleMaster && w.chance(0.5) {
				return p.srv
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[w.rng.Intn(len(all))]
}

func (w *World) sites() []string {
	s := []string{"api", "op0", "op1"}
	for _, n := range w.nodes {
		s = append(s, n.name)
	}
	return s
}

func (w *World) cutFor(a, b string, both bool, d time.Duration) {
	w.tracef("cut %s -> %s (both ways: %v) for %v", a, b, both, d)
	w.cut(a, b, 1)
	if both {
		w.cut(b, a, 1)
	}
	w.after(d, func() {
		w.cut(a, b, -1)
		if both {
			w.cut(b, a, -1)
		}
	})
}

func (w *World) faultCut() {
	s := w.sites()
	a, b := s[w.rng.Intn(len(s))], s[w.rng.Intn(len(s))]
	if a != b {
		w.cutFor(a, b, w.chance(0.5), w.between(300*ms, 8*time.Second))
	}
}

// faultIsolate cuts one node from a group of the others.
func (w *World) faultIsolate() {
	v := w.victim()
	if v == nil {
		return
	}
	n, d, both := v.pod.node.name, w.between(500*ms, 9*time.Second), w.chance(0.7)
	for _, s := range w.sites() {
		if s != n && w.chance(0.8) {
			w.cutFor(n, s, both, d)
		}
	}
}

func (w *World) faultSlow() {
	w.slow++
	w.tracef("network troubled")
	w.after(w.between(time.Second, 8*time.Second), func() { w.slow-- })
}

func (w *World) faultCrash() {
	if v := w.victim(); v != nil {
		v.crash()
	}
}

func (w *World) faultContainer() {
	if v := w.victim(); v != nil {
		v.pod.killContainer("out of memory")
	}
}

func (w *World) faultDelete() {
	v := w.victim()
	if v == nil {
		return
	}
	if w.chance(0.6) {
		v.pod.delete()
	} else {
		v.pod.forceDelete()
	}
}

func (w *World) faultNode() {
	v := w.victim()
	if v == nil {
		return
	}
	w.nodeDown(v.pod.node, w.between(time.Second, 8*time.Second))
}

// nodeDown ends everything on a node; its kubelet reports when it is back.
func (w *World) nodeDown(n *node, back time.Duration) {
	if !n.up {
		return
	}
	w.tracef("%s goes down", n.name)
	n.up = false
	for _, p := range w.pods {
		if p.node == n && p.kept != nil {
			p.killContainer("node lost")
		}
	}
	w.after(back, func() {
		w.tracef("%s is back", n.name)
		n.up = true
	})
}

func (w *World) faultPause() {
	if v := w.victim(); v != nil {
		w.pauseFor(&v.proc, v.pod.name, w.between(100*ms, 7*time.Second))
	}
}

func (w *World) pauseFor(p *proc, name string, d time.Duration) {
	w.tracef("%s is stopped for %v", name, d)
	p.stop()
	w.after(d, func() {
		w.tracef("%s continues", name)
		p.cont()
	})
}

func (w *World) faultOperator() {
	o := w.ops[w.rng.Intn(len(w.ops))]
	if !o.alive {
		return
	}
	if w.chance(0.5) {
		o.crash(w.between(200*ms, 5*time.Second))
		return
	}
	gen := o.gen
	w.tracef("%s is stopped", o.site)
	o.stop()
	w.after(w.between(500*ms, 8*time.Second), func() {
		if o.gen == gen {
			o.cont()
		}
	})
}

func (w *World) faultAPI() {
	if !w.api.up {
		return
	}
	w.tracef("API server down")
	w.api.up = false
	w.after(w.between(300*ms, 6*time.Second), func() { w.api.up = true })
}

// faultWish changes the resource.
func (w *World) faultWish() {
	s := &w.api.spec
	switch w.rng.Intn(5) {
	case 0:
		s.Members = 1 + w.rng.Intn(4)
		if w.opt.Spec.K > 0 {
			s.Members = max(s.Members, w.opt.Spec.K+2)
		}
		w.tracef("wish: %d members", s.Members)
	case 1, 2:
		w.wishMaster()
	case 3:
		s.Revision += "+"
		w.tracef("wish: revision %s", s.Revision)
	case 4:
		s.AuthVersion += "*"
		w.tracef("wish: password %s", s.AuthVersion)
	}
}

// wipe loses the status, as a restored backup without it does.
func (a *api) wipe() {
	a.w.tracef("status is wiped")
	a.status = plan.Status{Lost: true, AuthVersion: a.status.AuthVersion}
	a.version++
}
