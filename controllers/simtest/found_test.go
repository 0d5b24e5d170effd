package simtest

import (
	"bytes"
	"testing"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
)

// What random worlds found, told as stories: a seed tells another tale as soon as the world changes.

// impatient is a person who accepts loss in every term until there is a master again.
func impatient(w *World) {
	if w.api.status.Term.Master == nil || w.master() == nil {
		if t := w.api.status.Term.Number; w.acceptTerm != t {
			w.acceptLoss()
		}
		w.after(50*ms, func() { impatient(w) })
	}
}

// widowed makes a world in which the only member's pod is deleted by force and leaves no proof of its end; its successor has
// the disk, two more members are empty, and at 6 s a person accepts loss while the one with the data cannot be heard.
func widowed(lose func(*World, *pod)) func(*World) {
	return func(w *World) {
		atMaster(3*sec, func(w *World, m *server) {
			m.pod.forceDelete()
			m.pod.killContainer("killed")
		})(w)
		w.after(4*sec, func() { w.api.spec.Members = 3 })
		w.after(6*sec, func() {
			for _, p := range w.pods {
				if p.obj && p.disk != nil && p.disk.any {
					lose(w, p)
				}
			}
			impatient(w)
		})
	}
}

func persistent(o *Options) {
	o.Spec.Members, o.Spec.Persist, o.AOF = 1, plan.PersistAll, true
	o.For, o.Settle = 30*sec, 60*sec
}

func init() {
	stories = append(stories,
		story{"accept-loss-starting", "a person accepts loss while the only member with the data restarts: what is only late is waited for, nothing is lost",
			persistent,
			widowed(func(_ *World, p *pod) { p.killContainer("out of memory") }),
			func(t *testing.T, w *World, r Result) {
				want(t, w.check.newLines, 1, "histories begun")
				want(t, r.FullSyncs, 2, "full syncs")
			}},
		story{"accept-loss-late", "a person accepts loss, a new history begins, and the old data comes back on a node thought lost: it is set aside, then gives way",
			persistent,
			widowed(func(w *World, p *pod) { w.nodeDown(p.node, 20*sec) }),
			func(t *testing.T, w *World, r Result) {
				want(t, w.check.newLines, 2, "histories begun")
				want(t, w.check.reseeded, 1, "members that gave way with what was given up")
				want(t, r.Wipes, 0, "members wiped")
			}},
		story{"late-handshake", "a replica is stopped in the middle of a handshake and wakes up when its upstream has long gone over to another line",
			func(o *Options) { o.Seed, o.Spec.Members, o.For = 4, 4, 20*sec }, lateHandshake,
			func(t *testing.T, w *World, r Result) { want(t, r.Changes, 1, "changes of master") }},
		story{"not-whole-twice", "a member that came back with less restarts once more, keeping all of that: it must not count as whole, and a person is needed",
			func(o *Options) { byReplicas(o); o.Spec.K, o.Nodes = 1, 3 }, notWholeTwice,
			func(t *testing.T, w *World, r Result) {
				if !r.Override {
					t.Error("a master was found without a person")
				}
				if m := w.master(); m.pod.name != "orders-0" {
					t.Errorf("master is %s, not the one with everything", m.pod.name)
				}
			}},
	)
}

// notWholeTwice: a reigns with b in sync and c behind; a dies and comes back from its old disk; b reigns, alone, and dies; a
// dies once more. What b alone held was acknowledged.
func notWholeTwice(w *World) {
	atMaster(3*sec, func(w *World, a *server) {
		first := a.pod
		var b, c *pod
		for _, p := range w.pods {
			switch {
			case p == first:
			case b == nil:
				b = p
			default:
				c = p
			}
		}
		w.cutFor(first.node.name, c.node.name, true, 12*sec)
		w.after(sec, func() {
			w.cutFor(b.node.name, first.node.name, true, 8*sec)
			w.cutFor(b.node.name, c.node.name, true, 8*sec)
			a.crash()
		})
		w.after(2*sec, func() { first.srv.crash() })
		w.after(3*sec, func() { b.killContainer("out of memory") })
	})(w)
}

// lateHandshake: a and b, on one node, lose the others and have a tail of their own; b connects to a anew and is stopped
// before it hears the answer.
func lateHandshake(w *World) {
	atMaster(3*sec, func(w *World, a *server) {
		isolate(w, a.pod.node.name, 5*sec)
		var b *server
		for _, p := range w.pods {
			if p.srv != nil && p.srv.m.Role() == member.RoleReplica && (b == nil || p.node == a.pod.node) {
				b = p.srv
			}
		}
		w.cut(b.pod.node.name, a.pod.node.name, -w.cuts[[2]string{b.pod.node.name, a.pod.node.name}])
		w.cut(a.pod.node.name, b.pod.node.name, -w.cuts[[2]string{a.pod.node.name, b.pod.node.name}])
		w.after(400*ms, func() {
			b.do(b.connect)
			var look func()
			look = func() {
				if b.link != nil && b.link.syncing {
					w.pauseFor(&b.proc, b.pod.name, 8*sec)
					return
				}
				w.after(ms/10, look)
			}
			look()
		})
	})(w)
}

// found are seeds that once failed, with what they found.
var found = map[int64]string{
	1795383818: "a stopped replica reads an old upstream's word: the checker compared with what that upstream holds now",
	1795365983: "a person's word began a new history while the pod with the data was being made",
	1795367381: "the same, in the very pass that asked the member with the data",
	1795372228: "the same, one member",
	1802029549: "by replicas: the set was made smaller in order, and the master died before its own disk was up to date",
	1799021621: "a set made smaller lost everybody, and the disks of those not wanted any more were not read: data lost, and refused when it came back",
	1798020501: "a late order to use a password of before: a member looks into the mounted file; and a new password began in the middle of the steps",
	1797013170: "a member that was not whole restarted, lost nothing of what it had, and counted as whole",
	1795382954: "the same, two members with data",
}

func TestFoundSeeds(t *testing.T) {
	for s, what := range found {
		var trace bytes.Buffer
		opt := Random(s)
		opt.Trace = &trace
		if r := Run(opt); r.Violation != "" {
			t.Errorf("%s (%s)\n%s", r, what, tail(trace.String(), 30))
		}
	}
}
