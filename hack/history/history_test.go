package history

import (
	"flag"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

var (
	rounds = flag.Int("rounds", 1, "how often every fault happens")
	seed   = flag.Uint64("seed", 0, "of clients and of the order of faults; 0: a fresh one")
)

const clients = 6

// fault hurts the set while clients work, and leaves a master that is not hurt.
type fault struct {
	name   string
	happen func(s *set, o *operator, rng *rand.Rand)
	kind   bool // nothing may be lost even with k = 0
}

var faults = []fault{
	{"the master is killed", func(s *set, o *operator, _ *rand.Rand) {
		o.master.signal(syscall.SIGKILL)
		o.depose(nil)
	}, false},
	{"the master is killed while its stream stands still", func(s *set, o *operator, _ *rand.Rand) {
		old := o.master
		s.starve(old, true)
		time.Sleep(lease / 2) // its right to write lasts longer
		old.signal(syscall.SIGKILL)
		o.depose(nil)
		s.starve(old, false)
	}, false},
	{"a replica is killed", func(s *set, o *operator, rng *rand.Rand) {
		o.other(rng).signal(syscall.SIGKILL)
		time.Sleep(300 * time.Millisecond)
	}, true},
	{"the master is stopped and goes on after its successor has begun", func(s *set, o *operator, _ *rand.Rand) {
		old := o.master
		old.signal(syscall.SIGSTOP)
		o.depose(nil)
		time.Sleep(200 * time.Millisecond)
		old.signal(syscall.SIGCONT)
	}, false},
	{"the master is cut off, but not from its clients", func(s *set, o *operator, _ *rand.Rand) {
		old := o.master
		s.isolate(old, true)
		o.depose(nil)
		time.Sleep(200 * time.Millisecond)
		s.isolate(old, false)
	}, false},
	{"all streams stand still", func(s *set, o *operator, _ *rand.Rand) {
		s.starve(o.master, true)
		time.Sleep(2 * lease)
		s.starve(o.master, false)
	}, true},
	{"a replica is stopped for a while", func(s *set, o *operator, rng *rand.Rand) {
		n := o.other(rng)
		n.signal(syscall.SIGSTOP)
		time.Sleep(lease)
		n.signal(syscall.SIGCONT)
	}, true},
	{"the master is killed after k has become one more", func(s *set, o *operator, _ *rand.Rand) {
		o.change(o.k + 1)
		time.Sleep(100 * time.Millisecond)
		o.master.signal(syscall.SIGKILL)
		o.depose(nil)
		o.settle()
		o.change(o.k - 1)
	}, false},
	{"a switchover", func(s *set, o *operator, rng *rand.Rand) { o.switchover(o.other(rng)) }, true},
	{"a switchover while the target's stream is slow", func(s *set, o *operator, rng *rand.Rand) {
		target, link := o.other(rng), o.master
		link.feeds[target.name].Slow(20 * time.Millisecond)
		o.switchover(target)
		link.feeds[target.name].Slow(0)
	}, true},
}

func (o *operator) other(rng *rand.Rand) *node {
	for {
		if n := o.s.nodes[rng.IntN(len(o.s.nodes))]; n != o.master {
			return n
		}
	}
}

func theSeed(t *testing.T) uint64 {
	s := *seed
	if s == 0 {
		s = rand.Uint64() >> 32
	}
	t.Logf("seed %d", s)
	return s
}

// round is one fault, with clients before, during and after it.
func (s *set) round(t *testing.T, o *operator, f fault, number int, seed uint64) *recorder {
	c := s.crowd(t, number, clients, seed)
	rng := rand.New(rand.NewPCG(seed, uint64(number)<<32))
	c.busy(25)
	time.Sleep(200*time.Millisecond + time.Duration(rng.IntN(200))*time.Millisecond)
	f.happen(s, o, rng)
	time.Sleep(300 * time.Millisecond)
	o.settle()
	c.busy(25)
	c.end()
	return c.rec
}

// TestHistories: with k = 1 every history is linearizable, whatever happens to the members, and nothing acknowledged is lost.
func TestHistories(t *testing.T) {
	seed := theSeed(t)
	s := startSet(t)
	o := appoint(t, s, 1)
	all, unsure := 0, 0
	for number := range *rounds * len(faults) {
		f := faults[number%len(faults)]
		rec := s.round(t, o, f, number, seed)
		verdict, n, unknown := rec.judge(time.Minute)
		_, lost, _ := rec.lost()
		if verdict != porcupine.Ok || lost > 0 {
			t.Fatalf("round %d, %s: the checker says %s of %d operations, %d of unknown outcome; %d elements of lists are lost", number, f.name, verdict, n, unknown, lost)
		}
		all, unsure = all+n, unsure+unknown
	}
	t.Logf("k = 1: %d rounds, %d terms, %d operations, %d of unknown outcome: every history is linearizable, nothing is lost", *rounds*len(faults), o.term, all, unsure)
}

// TestHistoriesWithoutTheWait is what the wait is for: with k = 0 the checker rejects the history of a master that is killed with
// writes that nobody has. What is lost is the end of its reign and nothing else (S5).
func TestHistoriesWithoutTheWait(t *testing.T) {
	seed := theSeed(t)
	s := startSet(t)
	o := appoint(t, s, 0)
	rejected, acknowledged, lost, losing, number := 0, 0, 0, 0, 0
	enough := *rounds * len(faults)
	// How much is written while a stream stands still is up to the machine, so the faults go round until something is lost.
	for ; number < enough || (rejected == 0 || lost == 0) && number < 10*enough; number++ {
		f := faults[number%len(faults)]
		rec := s.round(t, o, f, number, seed)
		verdict, _, _ := rec.judge(time.Minute)
		a, gone, torn := rec.lost()
		acknowledged, lost = acknowledged+a, lost+gone
		if gone > 0 {
			losing++
		}
		if verdict == porcupine.Illegal {
			rejected++
		}
		if torn > 0 {
			t.Errorf("round %d, %s: %d of what was lost has a later survivor of the same reign", number, f.name, torn)
		}
		if f.kind && gone > 0 {
			t.Errorf("round %d, %s: %d elements are lost without a reason", number, f.name, gone)
		}
	}
	if rejected == 0 || lost == 0 {
		t.Errorf("replies that wait for nobody lose nothing in %d rounds: %d histories rejected, %d elements lost", number, rejected, lost)
	}
	t.Logf("k = 0: %d rounds, %d terms: %d of %d acknowledged elements lost in %d rounds; %d histories rejected", number, o.term, lost, acknowledged, losing, rejected)
}
