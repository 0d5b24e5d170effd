package simtest

import (
	"container/heap"
	"fmt"
	"io"
	"math/rand"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/server/repl/fence"
)

const ms = time.Millisecond

// Mutation turns off rules that the drivers keep, as fence.Mutation and plan.Mutation do for the cores.
type Mutation struct {
	OneCheck      bool // rule 2: no second check before replies leave
	GuessDeath    bool // rule 10: silence is taken for death
	NoLeaderCheck bool // rules 7, 8: leadership is not checked again
	BlindRecord   bool // rule 7: no compare-and-set, status read once
	PromoteFirst  bool // rule 7: promote before the record
	StaleLeases   bool // rule 8: lease by what was known before taking the lead
	BootAsMaster  bool // S3: a process comes back in the role it had
	ForgetOnStop  bool // rule 4: waiting clients are answered after an adoption
	RestartMaster bool // S4: a master's container restarts in place
}

// Options describe one world.
type Options struct {
	Seed     int64
	Spec     plan.Spec
	Nodes    int
	AOF      bool // disks lose nothing
	InPlace  bool // full syncs drop the old data before the new is complete
	Faults   Faults
	For      time.Duration // how long faults go on
	Settle   time.Duration // how long the world gets to settle
	Fence    fence.Mutation
	Plan     plan.Mutation
	Sim      Mutation
	Trace    io.Writer
	Script   func(*World) // stories schedule their events here
	NoClient bool
}

type event struct {
	at  time.Duration
	seq uint64
	fn  func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || (q[i].at == q[j].at && q[i].seq < q[j].seq)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

// World is everything there is.
type World struct {
	opt   Options
	rng   *rand.Rand
	now   time.Duration // true time; nobody in the world can read it
	seq   uint64
	q     queue
	api   *api
	nodes []*node
	pods  []*pod // also those whose object is gone while a process may still run
	ops   []*operator
	cuts  map[[2]string]int // directed, counted: several faults may cut one way
	slow  int               // network in trouble
	check checker
	quiet bool // faults are over

	acceptTerm member.Term // the term for which a person accepted loss
}

func newWorld(opt Options) *World {
	w := &World{opt: opt, rng: rand.New(rand.NewSource(opt.Seed)), cuts: map[[2]string]int{}}
	w.check = newChecker(w)
	w.api = newAPI(w)
	for i := range opt.Nodes {
		w.nodes = append(w.nodes, &node{name: fmt.Sprintf("node%d", i), up: true})
	}
	for i := range 2 {
		w.ops = append(w.ops, newOperator(w, i))
	}
	return w
}

func (w *World) after(d time.Duration, fn func()) {
	w.seq++
	heap.Push(&w.q, event{w.now + max(d, 0), w.seq, fn})
}

func (w *World) tracef(format string, args ...any) {
	if w.opt.Trace != nil {
		fmt.Fprintf(w.opt.Trace, "%9.3f %s\n", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

func (w *World) run(until time.Duration) {
	for len(w.q) > 0 && w.check.broken == "" {
		if w.q[0].at > until {
			break
		}
		e := heap.Pop(&w.q).(event)
		w.now = e.at
		e.fn()
		w.check.step()
	}
	w.now = max(w.now, until)
}

func (w *World) chance(p float64) bool { return w.rng.Float64() < p }

func (w *World) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rng.Int63n(int64(b-a)+1))
}

// latency is mostly short; in a troubled network now and then very long.
func (w *World) latency() time.Duration {
	if w.slow > 0 && w.chance(0.08) {
		return w.between(50*ms, 4000*ms)
	}
	return w.between(200*time.Microsecond, 3*ms)
}

func (w *World) cut(a, b string, by int) {
	if a != b {
		w.cuts[[2]string{a, b}] += by
	}
}

func (w *World) reach(a, b string) bool { return w.cuts[[2]string{a, b}] == 0 }

// datagram models management traffic: lost, doubled, late, out of order. Stricter than TCP, which
// reorders only across connections.
func (w *World) datagram(from, to string, fn func()) {
	if !w.reach(from, to) || (w.slow > 0 && w.chance(0.05)) {
		return
	}
	deliver := func() {
		if w.reach(from, to) {
			fn()
		}
	}
	w.after(w.latency(), deliver)
	if w.slow > 0 && w.chance(0.05) {
		w.after(w.latency()+w.between(0, 2000*ms), deliver)
	}
}

// proc is something with a clock of its own that can be stopped and killed.
type proc struct {
	w      *World
	alive  bool
	paused int
	inbox  []func()
	offset time.Duration
	rate   float64
}

func (w *World) newProc() proc {
	// Any two rates are within 10 %.
	return proc{w: w, alive: true, offset: w.between(time.Second, 1000*time.Second), rate: 0.955 + 0.09*w.rng.Float64()}
}

// clock is its CLOCK_BOOTTIME.
func (p *proc) clock() time.Duration {
	return p.offset + time.Duration(float64(p.w.now)*p.rate)
}

// do runs fn in the process, now or when it is continued.
func (p *proc) do(fn func()) {
	switch {
	case !p.alive:
	case p.paused > 0:
		p.inbox = append(p.inbox, fn)
	default:
		fn()
	}
}

// timer runs fn in the process after d of its own clock.
func (p *proc) timer(d time.Duration, fn func()) {
	p.w.after(time.Duration(float64(d)/p.rate), func() { p.do(fn) })
}

func (p *proc) stop() { p.paused++ }

func (p *proc) cont() {
	if p.paused--; p.paused > 0 {
		return
	}
	todo := p.inbox
	p.inbox = nil
	// What waited is handled in some order, and every step can be interleaved with others.
	for i, j := range p.w.rng.Perm(len(todo)) {
		fn := todo[j]
		p.w.after(time.Duration(i)*10*time.Microsecond, func() { p.do(fn) })
	}
}
