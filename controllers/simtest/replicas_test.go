package simtest

import (
	"fmt"
	"testing"

	"github.com/understudy-db/understudy/controllers/plan"
)

// Persistence by replicas: the master keeps nothing on its disk once a replica has saved, so what its disk holds is old. It
// must never be taken for the set's data, and a promoted replica saves on until another has (S4).

func byReplicas(o *Options) { o.Spec.Persist, o.AOF = plan.PersistReplicas, true }

// saved is the newest place on any disk that lies on the master's line.
func (w *World) saved() (best int64) {
	m := w.master()
	if m == nil {
		return 0
	}
	for _, p := range w.pods {
		if p.disk != nil && p.disk.any && p.disk.log.common(m.log) == p.disk.log.end() {
			best = max(best, p.disk.log.end())
		}
	}
	return best
}

// alwaysSaved fails the world when no disk holds what was saved a second ago.
func alwaysSaved(w *World) {
	var look func()
	look = func() {
		if m := w.master(); m != nil {
			if had := m.log.end(); w.saved() == 0 && had > 60 {
				w.check.fail("S4: %d entries, and nobody has any of it on a disk", had)
			}
		}
		w.after(20*ms, look)
	}
	w.after(2*sec, look)
}

// masterDisk is how much the disk of the present master holds.
func (w *World) masterDisk() int64 {
	if m := w.master(); m != nil && m.pod.disk != nil {
		return m.pod.disk.log.end()
	}
	return -1
}

func init() {
	stories = append(stories,
		story{"by-replicas", "files on replicas only: the master's disk stays behind; the master dies; the promoted replica saves on until another one has saved", byReplicas,
			func(w *World) {
				alwaysSaved(w)
				w.after(2900*ms, func() {
					if disk, end := w.masterDisk(), w.master().log.end(); disk > end/2 {
						w.check.fail("story: the master's disk holds %d of %d: it saves although replicas do", disk, end)
					}
				})
				atMaster(3*sec, func(w *World, m *server) { m.crash() })(w)
			},
			func(t *testing.T, w *World, r Result) {
				want(t, r.Changes, 1, "changes of master")
				want(t, w.check.newLines, 1, "histories begun")
				if disk, saved := w.masterDisk(), w.saved(); disk >= saved {
					t.Errorf("the new master's disk holds %d, the best of all %d: it was never relieved", disk, saved)
				}
			}},
		story{"by-replicas-power-cut", "files on replicas only, and a power cut: the master's old disk is not taken for the set's data, the replicas' are", byReplicas,
			func(w *World) {
				w.after(3*sec, func() {
					for _, p := range w.pods {
						p.killContainer("power cut")
					}
				})
			},
			func(t *testing.T, w *World, r Result) {
				want(t, w.check.newLines, 1, "histories begun")
				want(t, r.Wipes, 0, "members wiped")
				if m := w.master(); m.pod.name == "orders-1" {
					t.Errorf("the old master %s, whose disk is old, is master again", m.pod.name)
				}
			}},
		story{"by-replicas-smaller", "files on replicas only; the set is made smaller and loses everybody: the data is on disks of members that are not wanted any more", func(o *Options) { byReplicas(o); o.Seed = 3 },
			func(w *World) {
				w.after(3*sec, func() {
					if m := w.master(); m == nil || m.pod.ordinal != 0 {
						w.check.fail("story: orders-0, the one that is still wanted, is not the master, whose disk is old")
					}
					w.api.spec.Members = 1
					for _, p := range w.pods {
						p.killContainer("power cut")
					}
				})
			},
			func(t *testing.T, w *World, r Result) {
				want(t, w.check.newLines, 1, "histories begun")
				want(t, len(w.api.status.Term.Rosters.New.Voters), 1, "voters")
			}},
	)
}

// TestTheAccidentByReplicas: the master comes back at once with the old file that it kept.
func TestTheAccidentByReplicas(t *testing.T) {
	for way := range accidentWays {
		for moment := range accidentMoments {
			for _, down := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/operatorDown=%v", way, moment, down), func(t *testing.T) {
					r, loads, extra := accident(way, moment, down, func(o *Options) {
						byReplicas(o)
						script := o.Script
						o.Script = func(w *World) { script(w); alwaysSaved(w) }
					})
					if r.Violation != "" {
						t.Fatalf("%s", r)
					}
					if r.Lost {
						t.Error("a write that all replicas had confirmed is gone")
					}
					want(t, r.Wipes, 0, "replicas wiped")
					if loads > 1+extra {
						t.Errorf("%d full syncs after the kill, at most %d are due", loads, 1+extra)
					}
				})
			}
		}
	}
}

// TestTheAccidentByReplicasWithoutTheGuard: the test above can fail.
func TestTheAccidentByReplicasWithoutTheGuard(t *testing.T) {
	r, _, _ := accident("process", "load", true, func(o *Options) {
		byReplicas(o)
		o.Fence.GuardOff, o.Fence.ParkedFeeds = true, true
	})
	if r.Violation == "" {
		t.Fatalf("guard off, and nothing broke: %s", r)
	}
}
