package app

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

// set is a number of members and the operator's ends of their connections: the test is the operator.
type set struct {
	t       *testing.T
	members []*leader
	term    member.Term
	master  *leader
}

// startSet makes the first of the named members master of the others.
func startSet(t *testing.T, names ...string) *set {
	t.Helper()
	ca := pki.New(t)
	s := &set{t: t}
	var pods []*pod
	for i, n := range names {
		pods = append(pods, startPod(t, ca, n, "--save", "", "--repl-backlog-size", "64mb", "--io-threads", strconv.Itoa(1+i)))
	}
	for _, p := range pods {
		s.members = append(s.members, p.meet(""))
	}
	s.lead(s.members[0])
	return s
}

// lead begins a term with l as its master.
func (s *set) lead(l *leader) {
	s.t.Helper()
	s.adopt(l)
	s.reign(l)
}

// reign makes l the master of the present term.
func (s *set) reign(l *leader) {
	s.t.Helper()
	var names []string
	for _, m := range s.members {
		names = append(names, m.p.name)
	}
	promote(l, s.term, roster(uint64(s.term), names...))
	s.master = l
	for _, m := range s.members {
		if m != l {
			s.follow(m)
		}
	}
	s.settled()
}

// adopt begins a term without a master; next is to become it.
func (s *set) adopt(next *leader) {
	s.t.Helper()
	s.term++
	for _, m := range s.members {
		a := member.Adopt{Order: m.order(s.term), Handover: true}
		if m != next {
			a.Next = next.p.primary()
		}
		mustBe[member.Adopted](s.t, m.ask(a))
	}
}

func (s *set) follow(m *leader) {
	s.t.Helper()
	mustBe[member.Done](s.t, m.ask(member.Follow{Order: m.order(s.term), Upstream: s.master.upstream(), Master: s.master.inc(),
		MasterPod: s.master.hello.Member.Voter, Primary: s.master.p.primary()}))
}

func (s *set) settled() {
	s.t.Helper()
	s.master.eventually("writable", func(r member.Report) bool { return r.Writable })
	for _, m := range s.members {
		if m != s.master {
			m.eventually("in sync", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
		}
	}
}

// pause holds the master's clients until the other has everything (rule 13).
func (s *set) pause(to *leader) {
	s.t.Helper()
	mustBe[member.Done](s.t, s.master.ask(member.Pause{Order: s.master.order(s.term), Length: 10 * time.Second}))
	end := s.master.report().Data.Offset
	to.eventually("at the master's end", func(r member.Report) bool { return r.Data.Offset == end })
}

// switchOver moves the role as the operator does.
func (s *set) switchOver(to *leader) {
	s.t.Helper()
	s.pause(to)
	s.lead(to)
}

func (p *pod) primary() string { return fmt.Sprintf("127.0.0.1:%d", p.primaryPort) }

// wants connects with the primary port.
func (p *pod) wants() *client {
	p.t.Helper()
	nc, err := net.Dial("tcp", p.primary())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	return &client{p.t, nc, resp.NewReader(nc)}
}

func (c *client) must(want string, words ...string) {
	c.t.Helper()
	if got := c.do(words...); got != want {
		c.t.Fatalf("%s: %s, want %s", strings.Join(words, " "), got, want)
	}
}

func (c *client) send(words ...string) {
	c.t.Helper()
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	if _, err := c.nc.Write(resp.AppendCommand(nil, args...)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) reply() string {
	_ = c.nc.SetDeadline(time.Now().Add(patience))
	v, err := c.r.Read()
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return v.String()
}

// told reads a line of INFO understudy, asked on the ordinary port.
func (p *pod) told(field string) int {
	p.t.Helper()
	for _, line := range strings.Split(p.client().do("INFO", "understudy"), `\r\n`) {
		if v, ok := strings.CutPrefix(strings.Trim(line, `"`), field+":"); ok {
			n, err := strconv.Atoi(v)
			if err != nil {
				p.t.Fatal(err)
			}
			return n
		}
	}
	p.t.Fatalf("%s: no %s in INFO understudy", p.name, field)
	return 0
}

// counter increments a number of its own over one connection, several commands at a time. Each reply must be the next
// number: a command lost, executed twice, or out of order shows at once.
type counter struct {
	nc    net.Conn
	key   string
	acked atomic.Int64
	worst time.Duration
	err   error
}

func count(t *testing.T, p *pod, n int, stop *atomic.Bool, wg *sync.WaitGroup) *counter {
	t.Helper()
	c := p.wants()
	c.must("OK", "AUTH", "pw")
	c.must("OK", "SELECT", strconv.Itoa(n%4))
	k := &counter{nc: c.nc, key: fmt.Sprintf("counter:%d", n)}
	wg.Go(func() {
		for i := n; !stop.Load() && k.err == nil; i++ {
			k.err = k.round(c, 1+i%8)
		}
	})
	return k
}

func (k *counter) round(c *client, depth int) error {
	var batch []byte
	for range depth {
		batch = resp.AppendCommand(batch, []byte("INCR"), []byte(k.key))
	}
	_ = k.nc.SetDeadline(time.Now().Add(patience))
	sent := time.Now()
	if _, err := k.nc.Write(batch); err != nil {
		return err
	}
	for range depth {
		v, err := c.r.Read()
		if err != nil {
			return err
		}
		if want := fmt.Sprintf("(integer) %d", k.acked.Load()+1); v.String() != want {
			return fmt.Errorf("answered %s, want %s", v, want)
		}
		k.acked.Add(1)
	}
	k.worst = max(k.worst, time.Since(sent))
	return nil
}

// TestSwitchoversUnderLoad: connections of the primary port see no error, whoever is master, and every command is executed
// once and in order (S1, S5, S8).
func TestSwitchoversUnderLoad(t *testing.T) {
	s := startSet(t, "a", "b", "c")
	a, b, c := s.members[0], s.members[1], s.members[2]
	var stop atomic.Bool
	var wg sync.WaitGroup
	var all []*counter
	for n := range 50 {
		all = append(all, count(t, s.members[n%3].p, n, &stop, &wg)) // those that begin at a replica are relayed from the start
	}
	for round, to := range []*leader{b, a, c, b, a} {
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		s.switchOver(to)
		t.Logf("round %d: %v for the switchover to %s", round, time.Since(began), to.p.name)
	}
	time.Sleep(100 * time.Millisecond)
	stop.Store(true)
	wg.Wait()
	var worst time.Duration
	total := int64(0)
	check := a.p.client()
	for n, k := range all {
		if k.err != nil {
			t.Errorf("%s, after %d replies: %v", k.key, k.acked.Load(), k.err)
		}
		check.must("OK", "SELECT", strconv.Itoa(n%4))
		check.must(strconv.Quote(fmt.Sprint(k.acked.Load())), "GET", k.key)
		worst = max(worst, k.worst)
		total += k.acked.Load()
	}
	t.Logf("%d commands, none waited longer than %v", total, worst)
	for _, m := range s.members {
		if n := m.report().FullSyncs; n > 1 {
			t.Errorf("%s loaded %d full syncs, want the one at its start at most", m.p.name, n)
		}
		if n := m.p.told("primary_without_master"); n != 0 {
			t.Errorf("%s found no master for %d connections", m.p.name, n)
		}
	}
	if b.p.told("primary_relays_home") == 0 || b.p.told("primary_relays_given_back") == 0 || a.p.told("primary_sessions_carried") == 0 {
		t.Error("no connection was carried, given back or taken home: the test tests nothing")
	}
}
