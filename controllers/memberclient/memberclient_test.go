package memberclient_test

import (
	"crypto/tls"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/memberclient"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
	"github.com/understudy-db/understudy/controllers/simtest/fakemember"
)

const (
	lease  = 500 * time.Millisecond
	within = time.Minute // generous: the machine may be busy with other things
)

var key = types.NamespacedName{Namespace: "shop", Name: "orders"}

// leader leads until told otherwise.
type leader struct{ until, again atomic.Int64 }

func (l *leader) Until() time.Duration { return time.Duration(l.until.Load()) }
func (l *leader) Since() time.Duration { return time.Duration(l.again.Load()) }
func (l *leader) Identity() string     { return "test" }

type fixture struct {
	t         *testing.T
	world     *fakemember.World
	pool      *memberclient.Pool
	leader    *leader
	wakes     atomic.Int64
	authority *resources.Authority
	rs        *v1alpha1.ReplicaSet
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, leader: &leader{}, world: fakemember.NewWorld(memberclient.BootTime)}
	f.leader.until.Store(1 << 62)
	f.rs = &v1alpha1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "set-uid"}}
	var err error
	if f.authority, err = resources.NewAuthority("set-uid", time.Now()); err != nil {
		t.Fatal(err)
	}
	f.pool = memberclient.NewPool(memberclient.Config{Clock: memberclient.BootTime, Leadership: f.leader, Log: logr.Discard(),
		Wake: func(types.NamespacedName) { f.wakes.Add(1) }})
	t.Cleanup(func() {
		f.pool.Close()
		f.world.Close()
	})
	return f
}

func (f *fixture) member(name, setUID string) (*fakemember.Member, memberclient.Endpoint) {
	f.t.Helper()
	pair, err := f.authority.Member(f.rs, resources.Env{}, name, time.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		f.t.Fatal(err)
	}
	m, err := f.world.Run(fakemember.Pod{SetUID: setUID, Name: name, Voter: member.Voter("uid-" + name), Cert: cert, CA: f.authority.Pair.CertPEM, Password: "p1"})
	if err != nil {
		f.t.Fatal(err)
	}
	return m, memberclient.Endpoint{Name: name, Voter: member.Voter("uid-" + name), Addr: m.Addr()}
}

func (f *fixture) creds(a *resources.Authority) memberclient.Credentials {
	f.t.Helper()
	pair, err := a.Operator(time.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		f.t.Fatal(err)
	}
	return memberclient.Credentials{TLS: func(name string) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: f.authority.Pool(), Certificates: []tls.Certificate{cert}, ServerName: name}
	}}
}

func (f *fixture) connect(eps ...memberclient.Endpoint) *memberclient.Set {
	set := f.pool.Set(key, "set-uid")
	set.Connect(f.creds(f.authority), lease, eps)
	return set
}

func (f *fixture) eventually(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	f.t.Fatalf("not in %v: %s", within, what)
}

func one(set *memberclient.Set) memberclient.Facts {
	if facts := set.Facts(); len(facts) == 1 {
		return facts[0]
	}
	return memberclient.Facts{}
}

// reign makes the only member master of term 1 and returns its reign.
func (f *fixture) reign(set *memberclient.Set, lose bool) plan.Reign {
	f.t.Helper()
	f.eventually("met", func() bool { return one(set).Connected && one(set).Report != nil })
	facts := one(set)
	inc := facts.Report.Identity.Incarnation
	to := plan.Target{Name: facts.Name, Voter: facts.Voter, Incarnation: inc, Met: true}
	order := member.Order{Term: 1, For: inc, Met: true}
	if err := set.Send(to, member.Adopt{Order: order}); err != nil {
		f.t.Fatal(err)
	}
	f.eventually("adopted", func() bool { a := one(set).Answer; return a != nil && a.Term == 1 })
	voters := []member.Voter{facts.Voter}
	if lose { // voters that never vouch: only leases keep it writable
		voters = append(voters, "uid-other-1", "uid-other-2")
	}
	roster := member.Rosters{New: member.Roster{Version: 1, Voters: voters}}
	if err := set.Send(to, member.Promote{Order: order, Voter: facts.Voter, Rosters: roster, ReplID: "r", Lease: lease}); err != nil {
		f.t.Fatal(err)
	}
	return plan.Reign{Term: 1, Name: facts.Name, Voter: facts.Voter, Incarnation: inc, ReplID: "r"}
}

// TestLeasesNeedALeader is rule 8: a lease is granted for the recorded reign only, and only while the
// leadership read after the request is unexpired.
func TestLeasesNeedALeader(t *testing.T) {
	f := newFixture(t)
	_, ep := f.member("orders-0", "set-uid")
	set := f.connect(ep)
	reign := f.reign(set, true)
	writable := func() bool { r := one(set).Report; return r != nil && r.Writable }
	f.eventually("master", func() bool { return one(set).Report.Role == member.RoleMaster })
	time.Sleep(2 * lease / 3)
	if writable() {
		t.Fatal("writable without a grant")
	}
	other := reign
	other.Incarnation = "9-other"
	set.GrantLeases(other, 0)
	time.Sleep(2 * lease / 3)
	if writable() || set.LastLease() != 0 {
		t.Fatal("a lease for another incarnation was used")
	}
	set.GrantLeases(reign, 0)
	f.eventually("writable by lease", writable)
	f.leader.until.Store(int64(memberclient.BootTime()))
	f.eventually("not writable after the leadership ended", func() bool { return !writable() })
	f.leader.until.Store(1 << 62)
	f.eventually("writable again", writable)
	f.leader.again.Store(7) // leads anew: another may have led in between
	f.eventually("not writable in a leadership that has not read status", func() bool { return !writable() })
	set.GrantLeases(reign, 7)
	f.eventually("writable once it has", writable)
	set.StopLeases()
	last := set.LastLease()
	f.eventually("not writable after the leases ended", func() bool { return !writable() })
	if set.LastLease() != last {
		t.Error("a lease was granted after StopLeases")
	}
}

// TestDeathIsProven is rule 10: the supervisor's word and the newer incarnation, and the order to the
// old one is not taken for the new one.
func TestDeathIsProven(t *testing.T) {
	f := newFixture(t)
	m, ep := f.member("orders-0", "set-uid")
	set := f.connect(ep)
	reign := f.reign(set, false)
	set.GrantLeases(reign, 0)
	f.eventually("writable", func() bool { r := one(set).Report; return r.Writable })
	wakes := f.wakes.Load()
	m.Crash("signal: killed")
	f.eventually("death heard", func() bool { return len(set.Deaths()) > 0 })
	if d := set.Deaths()[0]; d.Incarnation != reign.Incarnation || d.Proof != plan.ProofSupervisor || d.Cause != "signal: killed" {
		t.Errorf("proof %+v", d)
	}
	f.eventually("a death wakes the reconciler", func() bool { return f.wakes.Load() > wakes })
	f.eventually("the next incarnation, parked", func() bool {
		r := one(set).Report
		return r != nil && r.Identity.Incarnation.NewerThan(reign.Incarnation) && r.Role == member.RoleParked
	})
	if one(set).Answer != nil {
		t.Error("an answer must die with its incarnation")
	}
	to := plan.Target{Name: ep.Name, Voter: ep.Voter, Incarnation: reign.Incarnation}
	if err := set.Send(to, member.Park{Order: member.Order{Term: 2, For: reign.Incarnation}}); err != nil {
		t.Fatal(err)
	}
	f.eventually("refused", func() bool { r := one(set).Refused; return r != nil && r.Code == member.RefusedIncarnation })
}

// TestSilenceIsSilence: a stopped process is reported as lost after a lease, nothing more, and heard
// again when it goes on.
func TestSilenceIsSilence(t *testing.T) {
	f := newFixture(t)
	m, ep := f.member("orders-0", "set-uid")
	set := f.connect(ep)
	f.eventually("connected", func() bool { return one(set).Connected && one(set).Report != nil })
	m.Stop()
	f.eventually("lost", func() bool { return !one(set).Connected && one(set).LostAt > 0 })
	if len(set.Deaths()) != 0 {
		t.Error("silence proves nothing")
	}
	m.Continue()
	f.eventually("heard again", func() bool { return one(set).Connected })
}

// TestAFailedWriteEndsTheConnection: on a connection that takes no more a member could not be asked for a sign of life, and one
// with nothing to tell would never be heard again.
func TestAFailedWriteEndsTheConnection(t *testing.T) {
	f := newFixture(t)
	pair, err := f.authority.Member(f.rs, resources.Env{}, "orders-0", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	id := member.Identity{SetUID: "set-uid", Name: "orders-0", Voter: "uid-orders-0", Incarnation: member.NewIncarnation(1, 7)}
	hello, err := member.Encode(member.Frame{Message: member.Hello{Oldest: member.OldestVersion, Newest: member.ProtocolVersion, Member: &id, SetUID: id.SetUID}})
	if err != nil {
		t.Fatal(err)
	}
	var greeted atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := conn.Write(hello); err == nil { // and then it reads nothing
				greeted.Add(1)
			}
		}
	}()
	set := f.connect(memberclient.Endpoint{Name: id.Name, Voter: id.Voter, Addr: l.Addr().String()})
	order := member.Configure{Set: map[string]string{"maxmemory": strings.Repeat("1", member.MaxLine/2)}}
	send := func() bool {
		return set.Send(plan.Target{Name: id.Name, Voter: id.Voter, Incarnation: id.Incarnation}, order) == nil
	}
	f.eventually("met", send)
	first := greeted.Load()
	f.eventually("full", func() bool {
		for range 100 {
			if !send() {
				return true
			}
		}
		return false
	})
	f.eventually("met again", func() bool { return greeted.Load() > first })
}

func TestForeignersAreNotMet(t *testing.T) {
	f := newFixture(t)
	_, foreign := f.member("orders-0", "other-set")
	set := f.connect(foreign)
	_, ep := f.member("orders-1", "set-uid")
	wrongPod := ep
	wrongPod.Voter, wrongPod.Name = "uid-recreated", "orders-1"
	set.Connect(f.creds(f.authority), lease, []memberclient.Endpoint{foreign, wrongPod})
	time.Sleep(300 * time.Millisecond)
	for _, facts := range set.Facts() {
		if facts.Connected || facts.Report != nil {
			t.Errorf("met %+v", facts)
		}
	}
	strange, err := resources.NewAuthority("set-uid", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	set.Connect(f.creds(strange), lease, []memberclient.Endpoint{ep})
	time.Sleep(300 * time.Millisecond)
	if one(set).Connected {
		t.Error("a member took the word of another authority's operator")
	}
	set.Connect(f.creds(f.authority), lease, nil)
	set.Connect(f.creds(f.authority), lease, []memberclient.Endpoint{ep})
	f.eventually("the right authority is met", func() bool { return one(set).Connected })
}

func TestASetMadeAgainStartsWithoutFacts(t *testing.T) {
	f := newFixture(t)
	_, ep := f.member("orders-0", "set-uid")
	set := f.connect(ep)
	f.eventually("connected", func() bool { return one(set).Connected })
	again := f.pool.Set(key, "another-uid")
	if again == set || len(again.Facts()) != 0 {
		t.Error("facts of a deleted set live on")
	}
	if err := set.Send(plan.Target{Name: "orders-0", Voter: ep.Voter}, member.Ask{}); err == nil || !strings.Contains(err.Error(), "not connected") {
		t.Errorf("the old set still sends: %v", err)
	}
}
