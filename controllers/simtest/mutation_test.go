package simtest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// mutation turns one rule off. A rule that can go without a violation guards nothing, or the world is
// too kind to it.
type mutation struct {
	rule string // of the protocol, or the invariant
	name string
	set  func(*Options)
	want string // what must break
	// first seed known to break, so that the test is quick; others are tried after it
	seed int64
	pick func(*Options) // narrows the worlds to those that can tell
}

// mutations that the simulation must notice. Rules whose loss needs a rarer accident than these worlds
// have are turned off one by one in the packages' own TestRules; docs/fencing.md has the whole table.
var mutations = []mutation{
	{"1", "lease counts from its arrival", func(o *Options) { o.Fence.LeaseFromArrival = true }, "S1", 152, lateLease},
	{"1", "voucher counts from its arrival", func(o *Options) { o.Fence.VoucherFromArrival = true }, "S1", 1, lateVoucher},
	{"clocks", "no drift is taken off", func(o *Options) { o.Fence.NoDrift = true }, "S1", 1, sharpEdge},
	{"2", "fencing off", func(o *Options) { o.Fence.NoWriteCheck = true }, "S1", 1, cutOff},
	{"2", "no second check before replies leave", func(o *Options) { o.Sim.OneCheck = true }, "S1", 1, sleeper},
	{"4", "an adopting master goes on writing", func(o *Options) { o.Fence.KeepWriting = true }, "S1", 1, switchover},
	{"4", "waiting clients are answered after an adoption", func(o *Options) { o.Sim.ForgetOnStop = true }, "S1", 1, cutOffUnconfirmed},
	{"5", "no wait for promises", func(o *Options) { o.Plan.NoWait = true }, "S1", 1, sharpEdge},
	{"5", "voters tell the age of their first promise, not of the last", func(o *Options) { o.Fence.QuietSinceFirst = true }, "S1", 1, sharpEdge},
	{"6", "no count of holders with k", func(o *Options) { o.Plan.NoHold = true }, "S6", 6, k1},
	{"6", "those that are not whole count", func(o *Options) { o.Plan.NotWhole = true }, "S6", 105, k1},
	{"6", "everybody claims to be whole", func(o *Options) { o.Fence.WholeAlways = true }, "S6", 105, k1},
	{"6", "an answer outlives its incarnation", func(o *Options) { o.Plan.StaleAnswers = true }, "S7", 1, adopterCrashes},
	{"7", "record without compare-and-set", func(o *Options) { o.Sim.BlindRecord = true }, "S", 5, nil},
	{"7", "promote before the record", func(o *Options) { o.Sim.PromoteFirst = true }, "S7", 1, nil},
	{"8", "leases by a leader that is one no more", func(o *Options) { o.Sim.NoLeaderCheck = true }, "S1", 1, oldLeader},
	{"8", "leases by what was known before taking the lead", func(o *Options) { o.Sim.StaleLeases = true }, "S1", 8, leadsAgain},
	{"10", "silence is taken for death", func(o *Options) { o.Sim.GuessDeath = true }, "S1", 1, cutFromOperators},
	{"11", "rejoin without the history table", func(o *Options) { o.Fence.BlindJoin = true }, "rule 11", 1, cutOff},
	{"12", "lost status needs no counts", func(o *Options) { o.Plan.LostNoWait = true }, "S", 1, lostBehindACut},
	{"12", "data is taken for lost unheard", func(o *Options) { o.Plan.LossIsNoMatter = true }, "S2", 1, lastOneUnheard},
	{"13", "the target is promoted whatever the final offset", func(o *Options) { o.Plan.BlindSwitch, o.Plan.NoPause = true, true }, "S5", 1, switchover},
	{"13", "the appointed successor is promoted whatever the final offset", func(o *Options) { o.Plan.BlindSwitch = true }, "S5", 1, laggard},
	{"13", "the successor is promoted before the old master adopted", func(o *Options) { o.Plan.HastyTakeover = true }, "S1", 1, switchover},
	{"4", "whom a switchover appointed is forgotten when it is given up", func(o *Options) { o.Plan.ForgetAppoint = true }, "S1", 1, unconfirmed},
	{"S2", "guard off", func(o *Options) { o.Fence.GuardOff, o.Fence.ParkedFeeds = true, true }, "S2", 4, nil},
	{"S3", "back in the old role", func(o *Options) { o.Sim.BootAsMaster = true }, "S", 1, nil},
	{"S4", "a master is restarted in place", func(o *Options) { o.Plan.RestartMaster, o.Sim.RestartMaster = true, true }, "S", 1, crashMaster},
	{"S5", "the highest offset, whatever its term", func(o *Options) { o.Plan.OffsetOnly = true }, "S5", 1, longTail},
	{"S6", "replies leave before k voters hold what they reflect", func(o *Options) { o.Fence.NoCommitWait = true }, "S6", 24, k1},
	{"S9", "the old replication ID goes on", func(o *Options) { o.Fence.ReuseReplID = true }, "S9", 1, nil},
}

func k1(o *Options) {
	o.Spec.Members, o.Spec.K = max(3, o.Spec.Members), 1
}

// quiet makes a world without random faults, in which script runs.
func quiet(o *Options, script func(*World)) {
	seed := o.Seed
	*o = quietWorld()
	o.Seed, o.Script = seed, script
}

func crashMaster(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) { m.crash() }))
}

func switchover(o *Options) {
	quiet(o, func(w *World) {
		w.after(3*sec, func() {
			for _, p := range w.pods {
				if p.srv != nil && p.srv.m.Role() == member.RoleReplica {
					w.api.spec.Request = p.name
				}
			}
		})
	})
}

// laggard: the successor loses the stream just before the switchover begins, and does not know it yet.
func laggard(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		for _, p := range w.pods {
			if p.srv != nil && p.srv.m.Role() == member.RoleReplica && p.node != m.pod.node {
				w.cutFor(m.pod.node.name, p.node.name, false, 9*sec)
				w.after(100*ms, func() { w.api.spec.Request = p.name })
				return
			}
		}
	}))
	o.Nodes = 3
}

// unconfirmed: a switchover's successor reigns, and then the leader loses the API server, so that its successor finds only the
// appointment, and does not hear the one appointed.
func unconfirmed(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		to := w.pods[0]
		for _, p := range w.pods {
			if p != m.pod && p.srv != nil {
				to = p
			}
		}
		w.api.spec.Request = to.name
		var look func()
		look = func() {
			s := to.srv
			if term, until := s.m.Gate(); term == 0 || s.clock() >= until {
				w.after(200*time.Microsecond, look)
				return
			}
			for _, op := range w.ops {
				if op.leading() {
					w.cutFor(op.site, "api", true, 12*sec)
				} else {
					w.cutFor(op.site, to.node.name, true, 12*sec)
				}
			}
		}
		look()
	}))
	o.Nodes, o.For = 3, 18*sec
}

// cutOff: the master and nobody else is cut from everything.
func cutOff(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) { isolate(w, m.pod.node.name, 9*sec) }))
}

// cutFromOperators: the master and its replicas go on without the operators.
func cutFromOperators(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		w.cutFor("op0", m.pod.node.name, true, 9*sec)
		w.cutFor("op1", m.pod.node.name, true, 9*sec)
	}))
	o.Nodes = 3
}

// sharpEdge makes the promises count to the last moment: the master lives by vouchers alone, all its
// replicas lose it at one instant and say so at once, and the clocks differ by all they may: the
// operators' run fast, the master's slow.
func sharpEdge(o *Options) {
	quiet(o, func(w *World) {
		w.after(3*sec, func() {
			m := w.master()
			m.retime(0.955)
			for _, op := range w.ops {
				op.retime(1.045)
				w.cutFor(op.site, m.pod.node.name, true, 12*sec)
			}
			w.after(5*sec+w.between(0, 200*ms), func() {
				for _, p := range w.pods {
					if s := p.srv; s != nil && s != m {
						w.cutFor(p.node.name, m.pod.node.name, true, 7*sec)
						if s.link != nil {
							s.link.up = false
						}
					}
				}
			})
		})
	})
	o.Nodes = 3
	o.For = 18 * sec
}

// retime changes a clock's rate without a jump.
func (p *proc) retime(rate float64) {
	now := p.clock()
	p.rate = rate
	p.offset = now - time.Duration(float64(p.w.now)*rate)
}

// sleeper stops the master between the execution of a write and its reply.
func sleeper(o *Options) {
	quiet(o, func(w *World) {
		var look func()
		look = func() {
			if m := w.master(); m != nil && len(m.waiting) > 0 {
				w.pauseFor(&m.proc, m.pod.name, 9*sec)
				return
			}
			w.after(200*time.Microsecond, look)
		}
		w.after(3*sec, look)
	})
	o.For = 16 * sec
}

// lateLease: leases reach the master seconds late, just when it loses everything else.
func lateLease(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		for _, op := range w.ops {
			w.cutFor(op.site, m.pod.node.name, true, 12*sec)
		}
		for _, p := range w.pods {
			if p != m.pod {
				w.cutFor(p.node.name, m.pod.node.name, true, 12*sec)
			}
		}
		l := member.Lease{LeaseRequest: member.LeaseRequest{Term: m.m.Term(), Voter: m.id.Voter, Incarnation: m.id.Incarnation, Stamp: m.clock()}}
		for at := sec; at < 8*sec; at += 500 * ms {
			w.after(at, func() { m.do(func() { m.order(nil, l) }) })
		}
	}))
	o.Nodes = 3
}

// lateVoucher: acknowledgements of what was appended long ago reach the master, just when it has lost everything else.
func lateVoucher(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		isolate(w, m.pod.node.name, 12*sec)
		for _, p := range w.pods {
			if p == m.pod || p.srv == nil {
				continue
			}
			v := fence.Voucher{Voter: p.uid, Incarnation: p.srv.id.Incarnation, Term: m.m.Term(), Offset: m.log.end()}
			for at := sec; at < 8*sec; at += 500 * ms {
				w.after(at, func() { m.do(func() { m.acks([]fence.Voucher{v}) }) })
			}
		}
	}))
	o.Nodes = 3
}

// cutOffUnconfirmed: the master is cut off with clients that wait for a replica's word.
func cutOffUnconfirmed(o *Options) {
	cutOff(o)
	o.Spec.K = 1
}

// adopterCrashes: the replica that would be chosen answers, and its process dies while the promises to the master run out.
func adopterCrashes(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		isolate(w, m.pod.node.name, 9*sec)
		var look func()
		look = func() {
			for _, p := range w.pods { // the lowest ordinal wins among equals
				if s := p.srv; s != nil && p != m.pod {
					if s.m.Term() > m.m.Term() {
						w.after(50*ms, s.crash)
						return
					}
					break
				}
			}
			w.after(10*ms, look)
		}
		look()
	}))
	o.Nodes = 3
}

// leadsAgain: the leader loses the API server while the master loses everybody but this leader; its successor appoints
// another master, then dies, and the first leads again without reading status for a while.
func leadsAgain(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		first, second := w.ops[0], w.ops[1]
		if second.leading() {
			first, second = second, first
		}
		w.cutFor(first.site, "api", true, 10*sec)
		for _, s := range w.sites() {
			if s != m.pod.node.name && s != first.site {
				w.cutFor(m.pod.node.name, s, true, 30*sec)
			}
		}
		w.after(10*sec, func() { second.crash(20 * sec) })
		var look func()
		look = func() {
			if first.leads && w.now > 10*sec {
				w.api.up = false
				w.after(2*sec, func() { w.api.up = true })
				return
			}
			w.after(200*time.Microsecond, look)
		}
		w.after(10*sec, look)
	}))
	o.Nodes, o.For = 3, 30*sec
}

// oldLeader: the leader loses the API server but not the master, and goes on leasing; its successor
// sees the master's replicas lose it.
func oldLeader(o *Options) {
	quiet(o, func(w *World) {
		w.after(3*sec, func() {
			m := w.master()
			for _, op := range w.ops {
				if op.leading() {
					w.cutFor(op.site, "api", true, 20*sec)
				} else {
					w.cutFor(op.site, m.pod.node.name, true, 20*sec)
				}
			}
			w.after(4*sec, func() {
				for _, p := range w.pods {
					if p != m.pod {
						w.cutFor(p.node.name, m.pod.node.name, true, 16*sec)
					}
				}
			})
		})
	})
	o.Nodes = 3
	o.For = 20 * sec
}

// lostBehindACut: the status is wiped while the master cannot be heard.
func lostBehindACut(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		for _, op := range w.ops {
			w.cutFor(op.site, m.pod.node.name, true, 9*sec)
		}
		w.after(sec, w.api.wipe)
	}))
	o.Nodes = 3
}

// lastOneUnheard: all but one member lose everything, and that one cannot be heard for a while.
func lastOneUnheard(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		spared := false
		for _, p := range w.pods {
			if p.srv != nil && p != m.pod && !spared {
				spared = true
				w.cutFor(p.node.name, "op0", true, 4*sec)
				w.cutFor(p.node.name, "op1", true, 4*sec)
				continue
			}
			p.killContainer("out of memory")
		}
	}))
	o.Nodes = 3
}

// longTail: an old master comes back from disk with a longer tail of an older term than the data of
// its successors, and the present master dies.
func longTail(o *Options) {
	quiet(o, atMaster(3*sec, func(w *World, m *server) {
		old := m.pod
		for _, p := range w.pods {
			if p != old {
				w.cutFor(p.node.name, old.node.name, true, 30*sec)
			}
		}
		for range 500 { // a tail that nobody gets
			m.write(w.rng.Uint64())
		}
		w.after(100*ms, func() { m.crash() })
		w.after(4*sec, func() {
			if b := w.master(); b != nil {
				b.crash()
			}
		})
	}))
	o.Nodes, o.Spec.Persist, o.AOF = 3, plan.PersistAll, true
}

var mutationSeeds = flag.Int("mutation-seeds", 100, "how many worlds a mutation may survive")

// TestMutations shows for every rule that without it an invariant breaks.
func TestMutations(t *testing.T) {
	tries := int64(*mutationSeeds)
	only := os.Getenv("MUTATION")
	for _, m := range mutations {
		if only != "" && !strings.Contains(m.name, only) {
			continue
		}
		t.Run(fmt.Sprintf("rule %s/%s", m.rule, m.name), func(t *testing.T) {
			for i := int64(0); i < tries; i++ {
				s := i
				if i == 0 {
					s = m.seed
				}
				opt := Random(max(s, 1))
				if m.pick != nil {
					m.pick(&opt)
				}
				m.set(&opt)
				opt.Settle = 0
				r := Run(opt)
				if !strings.Contains(r.Violation, ": "+m.want) {
					continue
				}
				t.Logf("seed %d: %s", s, r.Violation)
				opt = Random(max(s, 1))
				if m.pick != nil {
					m.pick(&opt)
				}
				if r := Run(opt); r.Violation != "" {
					t.Errorf("the same world breaks with every rule on: %s", r)
				}
				return
			}
			t.Errorf("nothing broke in %d seeds", tries)
		})
	}
}
