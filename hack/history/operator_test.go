package history

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

const within = 2 * time.Minute // generous: the machine may be busy with other things

// operator is the fencing protocol's other half, as small as it can be: it grants no lease, so the longest promise is a
// voucher's, and it never forgets, so nothing has to be recorded.
type operator struct {
	t       *testing.T
	s       *set
	k       int
	version uint64 // of the roster
	term    member.Term
	master  *node
	inc     member.Incarnation
	stop    chan struct{}
	stopped sync.WaitGroup
	mu      sync.Mutex // a pass of tend, or a change of the master
}

func appoint(t *testing.T, s *set, k int) *operator {
	o := &operator{t: t, s: s, k: k, version: 1, stop: make(chan struct{})}
	o.depose(nil)
	o.stopped.Go(func() {
		for {
			select {
			case <-o.stop:
				return
			case <-time.After(50 * time.Millisecond):
				o.tend()
			}
		}
	})
	t.Cleanup(func() { close(o.stop); o.stopped.Wait() })
	o.settle()
	return o
}

func (o *operator) order(inc member.Incarnation) member.Order {
	return member.Order{Term: o.term, For: inc, Met: true, Leader: "test"}
}

func addr(port int) string { return fmt.Sprint("127.0.0.1:", port) }

// tend leads members to the master of the term.
func (o *operator) tend() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.s.nodes {
		if n == o.master {
			continue
		}
		r, err := n.report()
		if err != nil || (r.Role == member.RoleReplica && r.Term == o.term && r.Link != nil && r.Link.Upstream.Incarnation == o.inc) {
			continue
		}
		up := member.Upstream{Name: o.master.name, Addr: addr(o.master.feeds[n.name].Port()), Voter: o.master.voter(), Incarnation: o.inc}
		_, _, _ = n.call(func(inc member.Incarnation) member.Message { // the next pass sees what came of it
			return member.Follow{Order: o.order(inc), Upstream: up, Master: o.inc, MasterPod: o.master.voter(), Primary: addr(o.master.relay.Port())}
		})
	}
}

// settle waits until the master may write and everybody else is whole and in sync.
func (o *operator) settle() {
	o.t.Helper()
	var last string
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		last = ""
		for _, n := range o.s.nodes {
			r, err := n.report()
			switch {
			case err != nil:
				last += fmt.Sprintf(" %s: %v;", n.name, err)
			case n == o.master && r.Writable:
			case n != o.master && r.Role == member.RoleReplica && r.Term == o.term && r.Link != nil && r.Link.InSync && r.Data.Whole:
			default:
				last += fmt.Sprintf(" %s: %+v;", n.name, r)
			}
		}
		if last == "" {
			return
		}
	}
	o.t.Fatalf("the set does not settle in term %d under %s:%s", o.term, o.master.name, last)
}

// answer is an adoption; it dies with its incarnation.
type answer struct {
	n   *node
	inc member.Incarnation
	a   member.Adopted
	at  time.Time
}

// depose ends the present reign and begins another: rules 4 to 7. target is whom a switchover wants, nil for the best.
func (o *operator) depose(target *node) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.term++
	answers := map[*node]answer{}
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		dead := o.askAll(answers, target)
		if !o.fenced(answers, dead) || !o.held(answers) || (target != nil && !dead && !o.adopted(answers)) {
			continue
		}
		if best := choose(answers, target); best != nil && o.promote(answers[best], answers) {
			return
		}
	}
	o.t.Fatalf("term %d does not begin: %+v", o.term, answers)
}

// askAll collects adoptions, and the proof that the master's process is dead: a newer one in the same pod.
func (o *operator) askAll(answers map[*node]answer, target *node) (dead bool) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, n := range o.s.nodes {
		all.Go(func() {
			m, inc, err := n.call(func(inc member.Incarnation) member.Message {
				return member.Adopt{Order: o.order(inc), Handover: target != nil}
			})
			mu.Lock()
			defer mu.Unlock()
			dead = dead || (n == o.master && inc != "" && inc.NewerThan(o.inc))
			if old, ok := answers[n]; ok && inc != "" && old.inc != inc {
				delete(answers, n)
			}
			if a, ok := m.(member.Adopted); err == nil && ok && a.Term == o.term {
				at := time.Now()
				if old, ok := answers[n]; ok {
					at = old.at
				}
				answers[n] = answer{n, inc, a, at}
			}
		})
	}
	all.Wait()
	return dead
}

// adopted tells whether the master itself has: what it holds, all that it acknowledged, is then among the answers. A
// switchover waits for it, however long the machine makes it silent.
func (o *operator) adopted(answers map[*node]answer) bool {
	a, ok := answers[o.master]
	return ok && a.inc == o.inc
}

func (o *operator) fenced(answers map[*node]answer, dead bool) bool {
	if o.master == nil || dead || o.adopted(answers) {
		return o.master != nil || len(answers) == len(o.s.nodes)
	}
	others, last := 0, time.Time{}
	for n, a := range answers {
		if n != o.master {
			others++
			if a.at.After(last) {
				last = a.at
			}
		}
	}
	return others >= 2 && time.Since(last) > lease*12/10
}

// held is rule 6: n-k whole adopters besides the old master, or itself, whole.
func (o *operator) held(answers map[*node]answer) bool {
	if o.master == nil || o.k == 0 {
		return len(answers) > 0
	}
	whole := 0
	for n, a := range answers {
		switch {
		case !a.a.Data.Whole || a.a.Data.Loading:
		case n == o.master && a.inc == o.inc:
			return true
		case n != o.master:
			whole++
		}
	}
	return whole >= len(o.s.nodes)-o.k
}

// choose is the best of the adopters; in a switchover the target if it holds all that the old master does.
func choose(answers map[*node]answer, target *node) (best *node) {
	for n, a := range answers {
		switch {
		case a.a.Data.Loading:
		case best == nil, answers[best].a.Data.Position().Less(a.a.Data.Position()):
			best = n
		case answers[best].a.Data.Position() == a.a.Data.Position() && (n == target || (best != target && n.name < best.name)):
			best = n
		}
	}
	return best
}

func (o *operator) promote(a answer, answers map[*node]answer) bool {
	var id [20]byte
	rand.Read(id[:])
	o.master, o.inc = a.n, a.inc // from here on it may reign, whatever is heard of it
	m, _, err := a.n.call(func(member.Incarnation) member.Message {
		return member.Promote{Order: o.order(a.inc), Voter: a.n.voter(), ReplID: hex.EncodeToString(id[:]), Lease: lease,
			Rosters: member.Rosters{New: o.roster(o.k)}}
	})
	if _, ok := m.(member.Done); err != nil || !ok {
		o.t.Logf("promotion of %s in term %d: %+v, %v", a.n.name, o.term, m, err)
		o.term++ // what became of it is not known: this term is spent, and it is the one to be fenced
		clear(answers)
		return false
	}
	return true
}

func (o *operator) roster(k int) member.Roster {
	var voters []member.Voter
	for _, n := range o.s.nodes {
		voters = append(voters, n.voter())
	}
	return member.Roster{Version: o.version, Voters: voters, K: k}
}

// obeyed gives the master an order until it says that it is done: one that is not answered in time is given again.
func (o *operator) obeyed(order func(member.Incarnation) member.Message) (done member.Done) {
	o.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		m, _, err := o.master.call(order)
		done, ok := m.(member.Done)
		if err == nil && ok {
			return done
		}
		if err == nil || time.Now().After(end) {
			o.t.Fatalf("%s answers %+v, %v", o.master.name, m, err)
		}
	}
}

// change makes k another number (rule 3): jointly with the old one until k voters hold the place at which the master took it.
func (o *operator) change(k int) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	old := o.roster(o.k)
	o.version++
	take := func(r member.Rosters) {
		o.obeyed(func(inc member.Incarnation) member.Message { return member.TakeRoster{Order: o.order(inc), Rosters: r} })
	}
	take(member.Rosters{New: o.roster(k), Old: &old})
	for end := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		if r, err := o.master.report(); err == nil && r.RosterHeld {
			break
		}
		if time.Now().After(end) {
			o.t.Fatalf("k = %d is not held", k)
		}
	}
	take(member.Rosters{New: o.roster(k)})
	o.k = k
}

// switchover is rule 13.
func (o *operator) switchover(target *node) {
	o.t.Helper()
	done := o.obeyed(func(inc member.Incarnation) member.Message {
		return member.Pause{Order: o.order(inc), Length: 2 * time.Second}
	})
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if r, err := target.report(); err == nil && r.Data.Offset >= done.Offset {
			break
		}
	}
	o.depose(target)
}
