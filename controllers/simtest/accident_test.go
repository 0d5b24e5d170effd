package simtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// The accident that this project exists to prevent: master A without persistence dies and is back at
// once, empty; replicas B and C would copy the emptiness. They must keep everything, and A must come
// back as a replica with exactly one full sync.

var accidentWays = map[string]func(*World, *server){
	"process":   func(w *World, m *server) { m.crash() },
	"container": func(w *World, m *server) { m.pod.killContainer("out of memory") },
	"pod":       func(w *World, m *server) { m.pod.forceDelete(); m.pod.killContainer("killed") },
	"node":      func(w *World, m *server) { w.nodeDown(m.pod.node, 6*sec) },
}

var accidentMoments = map[string]struct {
	before func(*World) // 2 s before
	just   func(*World) // just before
	extra  int          // full syncs that belong to the moment
}{
	"idle":       {func(w *World) { w.opt.NoClient = true }, func(*World) {}, 0},
	"load":       {func(*World) {}, func(*World) {}, 0},
	"sync":       {func(w *World) { w.after(1700*ms, func() { w.api.spec.Members = 4 }) }, func(*World) {}, 1},
	"switchover": {func(*World) {}, func(w *World) { w.api.spec.Request = "orders-1" }, 0},
}

func accident(way, moment string, operatorDown bool, change func(*Options)) (Result, int, int) {
	opt := quietWorld()
	opt.Nodes = 3 // one member each
	opt.For = 16 * sec
	if operatorDown {
		opt.For = 75 * sec
	}
	before := 0
	m := accidentMoments[moment]
	opt.Script = func(w *World) {
		w.after(2*sec, func() { m.before(w) })
		w.after(4*sec-12*ms, func() { m.just(w) })
		w.after(4*sec, func() {
			before = w.check.fullSyncs
			if a := w.master(); a != nil {
				accidentWays[way](w, a)
			}
			if operatorDown {
				for _, o := range w.ops {
					o.crash(60 * sec)
				}
			}
		})
	}
	if change != nil {
		change(&opt)
	}
	w := newWorld(opt)
	r := w.live()
	return r, r.FullSyncs - before, m.extra
}

func TestTheAccident(t *testing.T) {
	for way := range accidentWays {
		for moment := range accidentMoments {
			for _, down := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/operatorDown=%v", way, moment, down), func(t *testing.T) {
					r, loads, extra := accident(way, moment, down, nil)
					if r.Violation != "" {
						t.Fatalf("%s", r)
					}
					if r.Lost {
						t.Error("a write that all replicas had confirmed is gone")
					}
					want(t, r.Wipes, 0, "replicas wiped")
					want(t, loads, 1+extra, "full syncs after the kill")
				})
			}
		}
	}
}

// TestTheAccidentWithoutTheGuard: the test above can fail.
func TestTheAccidentWithoutTheGuard(t *testing.T) {
	r, _, _ := accident("process", "load", true, func(o *Options) {
		o.Fence.GuardOff, o.Fence.ParkedFeeds = true, true
	})
	if r.Wipes == 0 {
		t.Fatalf("guard off, and nobody was wiped: %s", r)
	}
}

// TestTheAccidentRestartedAsMaster: parked boot and S4 are what keeps the set when the guard sleeps.
func TestTheAccidentRestartedAsMaster(t *testing.T) {
	r, _, _ := accident("process", "load", true, func(o *Options) { o.Sim.BootAsMaster = true })
	if r.Violation == "" {
		t.Fatalf("a master came back in its old role, and nothing broke: %s", r)
	}
}

// TestFailoverIsQuick: the crash of the process is proven by the supervisor, so no promise is waited for.
func TestFailoverIsQuick(t *testing.T) {
	worst := time.Duration(0)
	for s := int64(1); s <= 50; s++ {
		opt := quietWorld()
		opt.Seed = s
		var killed, back time.Duration
		opt.Script = func(w *World) {
			w.after(3*sec, func() {
				old := w.master()
				killed = w.now
				old.crash()
				var poll func()
				poll = func() {
					if m := w.master(); m != nil && m != old && m.m.Role() == member.RoleMaster && m.clock() < m.m.WriteDeadline() {
						back = w.now
						return
					}
					w.after(ms, poll)
				}
				poll()
			})
		}
		r := newWorld(opt).live()
		if r.Violation != "" || back == 0 {
			t.Fatalf("%s", r)
		}
		worst = max(worst, back-killed)
	}
	t.Logf("worst of 50: %v", worst)
	if worst > 500*ms {
		t.Errorf("from kill to the first writable master: %v", worst)
	}
}
