package manage

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/manage/mtls"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl/fence"
	"github.com/understudy-db/understudy/server/servertest/pki"
	"github.com/understudy-db/understudy/server/store"
)

// fakeNode records what it is told.
type fakeNode struct {
	mu      sync.Mutex
	said    []string
	offset  atomic.Int64
	blocked chan struct{} // when set, everything that needs the engine's lock waits for it
	refuse  error
	status  Status
	tail    Tail
	tailErr error
	paused  atomic.Bool
}

func (n *fakeNode) say(format string, args ...any) {
	n.mu.Lock()
	blocked := n.blocked
	n.mu.Unlock()
	if blocked != nil {
		<-blocked
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, fmt.Sprintf(format, args...))
}

// hold makes everything that needs the engine's lock wait until release is called, or the test ends.
func (n *fakeNode) hold(t *testing.T) (release func()) {
	block := make(chan struct{})
	n.mu.Lock()
	n.blocked = block
	n.mu.Unlock()
	release = sync.OnceFunc(func() {
		n.mu.Lock()
		n.blocked = nil
		n.mu.Unlock()
		close(block)
	})
	t.Cleanup(release)
	return release
}

func (n *fakeNode) count(what string) (times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, said := range n.said {
		if said == what {
			times++
		}
	}
	return times
}

func (n *fakeNode) Park()                     { n.say("park") }
func (n *fakeNode) Follow(up member.Upstream) { n.say("follow %s", up.Name) }
func (n *fakeNode) DropFeeds()                { n.say("dropfeeds") }
func (n *fakeNode) CloseClients()             { n.say("closeclients") }
func (n *fakeNode) Pause(time.Duration)       { n.say("pause"); n.paused.Store(true) }
func (n *fakeNode) Resume()                   { n.say("resume"); n.paused.Store(false) }
func (n *fakeNode) Heartbeat()                { n.say("beat"); n.offset.Add(14) }
func (n *fakeNode) Remember()                 { n.say("remember") }
func (n *fakeNode) Lead(replid string) int64  { n.say("lead %s", replid); return n.offset.Load() }
func (n *fakeNode) Save(context.Context) error {
	n.say("save")
	return n.refuse
}
func (n *fakeNode) SaveTo(_ context.Context, path string) error {
	n.say("save to %s", filepath.Base(path))
	return n.refuse
}
func (n *fakeNode) Configure(set map[string]string) error {
	n.say("configure %v", set)
	return n.refuse
}
func (n *fakeNode) Rotate(step member.Rotation, password string) error {
	n.say("rotate %s %s", step, password)
	return n.refuse
}
func (n *fakeNode) Tail(from int64) (Tail, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tail, n.tailErr
}
func (n *fakeNode) Offset() int64 { return n.offset.Load() }
func (n *fakeNode) Loading() bool { return false }
func (n *fakeNode) Status() Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := n.status
	st.Paused = n.paused.Load()
	return st
}

func (n *fakeNode) heard(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.said {
		if s == text {
			return true
		}
	}
	return false
}

const (
	setUID  = "set-1"
	podUID  = member.Voter("pod-a")
	inc     = member.Incarnation("1-00000000000000aa")
	otherID = member.Voter("pod-b")
)

type world struct {
	t     *testing.T
	d     *Driver
	node  *fakeNode
	gate  *engine.Gate
	state State
	addr  string
	ca    *pki.Authority
	ln    net.Listener
}

func newWorld(t *testing.T, fs fsys.FS, adjust func(*Options)) *world {
	t.Helper()
	w := &world{t: t, node: &fakeNode{}, ca: pki.New(t)}
	if fs == nil {
		fs = fsys.OS{}
	}
	w.state = State{FS: fs, Dir: t.TempDir()}
	w.gate = engine.New(engine.Options{Store: store.New(store.Options{Databases: 1}), Log: oplog.New(oplog.Options{}), Table: command.NewTable()}).Gate()
	w.run(adjust)
	return w
}

func (w *world) run(adjust func(*Options)) {
	w.t.Helper()
	o := Options{Identity: member.Identity{SetUID: setUID, Name: "a", Voter: podUID, Incarnation: inc}, State: w.state, Gate: w.gate, Node: w.node, Logf: w.t.Logf}
	if adjust != nil {
		adjust(&o)
	}
	d, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.d = d
	id, err := mtls.New(w.ca.Dir("understudy://"+setUID+"/member/a"), setUID)
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.ln, w.addr = ln, ln.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Serve(ln, id)
	}()
	d.Start()
	w.t.Cleanup(func() {
		ln.Close()
		<-done
		d.Close()
	})
}

// caller is a hand-driven peer.
type caller struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
	id uint64
}

func (w *world) dial(uri string) *caller {
	w.t.Helper()
	nc, err := tls.Dial("tcp", w.addr, w.ca.Client(uri))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	return &caller{t: w.t, nc: nc, r: member.NewReader(nc)}
}

// operator greets. As an operator does, it dials again when it was too slow to be waited for.
func (w *world) operator() *caller {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		c, err := w.greet()
		if err == nil {
			return c
		}
		if time.Now().After(end) {
			w.t.Fatalf("greeting: %v", err)
		}
	}
}

func (w *world) greet() (*caller, error) {
	nc, err := tls.Dial("tcp", w.addr, w.ca.Client("understudy://"+setUID+"/operator"))
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { nc.Close() })
	c := &caller{t: w.t, nc: nc, r: member.NewReader(nc), id: 1}
	line, err := member.Encode(member.Frame{ID: c.id, Message: member.Hello{Oldest: 1, Newest: 1, Leader: "op", SetUID: setUID}})
	if err == nil {
		_, err = nc.Write(line)
	}
	if err != nil {
		return nil, err
	}
	_ = nc.SetReadDeadline(time.Now().Add(30 * time.Second))
	f, err := member.ReadFrame(c.r)
	if err != nil {
		return nil, err
	}
	if h, ok := f.Message.(member.Hello); !ok || h.Member == nil || h.Member.Incarnation != inc {
		w.t.Fatalf("answered %+v", f.Message)
	}
	return c, nil
}

func (c *caller) say(m member.Message) uint64 {
	c.t.Helper()
	c.id++
	line, err := member.Encode(member.Frame{ID: c.id, Message: m})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.nc.Write(line); err != nil {
		c.t.Fatal(err)
	}
	return c.id
}

func (c *caller) next() member.Frame {
	c.t.Helper()
	_ = c.nc.SetReadDeadline(time.Now().Add(30 * time.Second))
	f, err := member.ReadFrame(c.r)
	if err != nil {
		c.t.Fatalf("reading: %v", err)
	}
	return f
}

// ask says m and waits for its answer, past reports and lease requests.
func (c *caller) ask(m member.Message) member.Message {
	c.t.Helper()
	id := c.say(m)
	for {
		if f := c.next(); f.Re == id {
			return f.Message
		}
	}
}

func (c *caller) leaseRequest() member.LeaseRequest {
	c.t.Helper()
	for {
		if q, ok := c.next().Message.(member.LeaseRequest); ok {
			return q
		}
	}
}

func order1(term member.Term) member.Order {
	return member.Order{Term: term, For: inc, Met: true, Leader: "op"}
}

func promotion(term member.Term, lease time.Duration, voters ...member.Voter) member.Promote {
	return member.Promote{Order: order1(term), Voter: podUID, ReplID: strings.Repeat("a", 40), Lease: lease,
		Rosters: member.Rosters{New: member.Roster{Version: 1, Voters: voters}}}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func TestParkedBoot(t *testing.T) { // S3
	w := newWorld(t, nil, nil)
	if w.gate.Open() {
		t.Error("a process just started may write")
	}
	c := w.operator()
	r, ok := c.next().Message.(member.Report)
	if !ok || r.Role != member.RoleParked || r.Writable || r.Identity.Voter != podUID {
		t.Errorf("first report %+v", r)
	}
	if no, ok := c.ask(member.Adopt{Order: member.Order{Term: 1, For: inc}}).(member.Refusal); !ok || no.Code != member.RefusedUnmet {
		t.Errorf("an order that has not met this process: %+v", no)
	}
	if no, ok := c.ask(promotion(1, time.Second, podUID)).(member.Refusal); !ok || no.Code != member.RefusedRole {
		t.Errorf("a promotion without adoption: %+v", no)
	}
}

func TestLeaseOpensAndEndsTheGate(t *testing.T) { // rules 1, 2
	w := newWorld(t, nil, nil)
	w.node.offset.Store(100)
	c := w.operator()
	if a, ok := c.ask(member.Adopt{Order: order1(1)}).(member.Adopted); !ok || a.Data.Offset != 100 || a.Term != 1 {
		t.Fatalf("adopt: %+v", a)
	}
	const lease = 2 * time.Second // what is asked for must be answered, and looked at, within it
	if done, ok := c.ask(promotion(1, lease, podUID, otherID, "pod-c")).(member.Done); !ok || done.Term != 1 {
		t.Fatalf("promote: %+v", done)
	}
	if !w.node.heard("lead " + strings.Repeat("a", 40)) {
		t.Error("the node does not lead")
	}
	if w.gate.Open() {
		t.Error("open without a lease or a voucher")
	}
	q := c.leaseRequest()
	c.say(member.Lease{LeaseRequest: q})
	eventually(t, "the gate opens with a lease", w.gate.Open)
	if until := time.Duration(w.gate.Deadline()); until != q.Stamp+lease-lease/10 {
		t.Errorf("the lease runs until %v, asked at %v", until, q.Stamp)
	}
	time.Sleep(lease)
	if w.gate.Open() {
		t.Error("open after the lease ran out")
	}
	r := w.d.Report()
	if r.Role != member.RoleMaster || r.Writable || len(r.Data.History) != 1 || r.Data.History[0].Start != 100 {
		t.Errorf("report %+v", r)
	}
}

func TestVouchersOpenTheGate(t *testing.T) { // rule 1
	w := newWorld(t, nil, nil)
	c := w.operator()
	c.ask(member.Adopt{Order: order1(1)})
	c.ask(promotion(1, time.Second, podUID, otherID, "pod-c"))
	eventually(t, "a heartbeat", func() bool { return w.node.offset.Load() > 0 })
	vouch := func(voter string, offset int64) {
		w.d.Vouched([]string{"VOUCH", voter, "1-00000000000000bb", "1", fmt.Sprint(offset)})
	}
	vouch("stranger", 14)
	if w.gate.Open() {
		t.Error("a stranger's voucher counts (rule 3)")
	}
	vouch("pod-b", 0)
	if w.gate.Open() {
		t.Error("an offset of before the reign vouches")
	}
	eventually(t, "a voter's voucher opens the gate", func() bool { vouch("pod-b", w.node.offset.Load()); return w.gate.Open() })
}

// TestLeasesDoNotWaitForTheEngine: with the engine's lock held for ever by a script, heartbeats and orders
// wait, leases and questions do not.
func TestLeasesDoNotWaitForTheEngine(t *testing.T) {
	w := newWorld(t, nil, nil)
	c := w.operator()
	c.ask(member.Adopt{Order: order1(1)})
	c.ask(promotion(1, 2*time.Second, podUID, otherID, "pod-c"))
	release := w.node.hold(t)
	c.say(member.Pause{Order: order1(1), Length: 10 * time.Millisecond}) // waits for the lock
	end := time.Now().Add(3 * time.Second)                               // longer than one lease lasts
	closed := 0
	for granted := 0; time.Now().Before(end); granted++ {
		c.say(member.Lease{LeaseRequest: c.leaseRequest()})
		if _, ok := c.ask(member.Ask{}).(member.Report); !ok {
			t.Fatal("no report while the lock is held")
		}
		if granted > 0 && !w.gate.Open() {
			closed++
		}
	}
	if closed > 0 {
		t.Errorf("the gate was closed %d times though leases were granted", closed)
	}
	release()
}

// TestNobodyIsFedBeforeTheReignHasAHistory: between the order and its end the history lacks the new reign. A replica that
// joined then was related to nobody in the next term, and was refused for ever.
func TestNobodyIsFedBeforeTheReignHasAHistory(t *testing.T) { // S2
	w := newWorld(t, nil, nil)
	c := w.operator()
	c.ask(member.Adopt{Order: order1(1)})
	release := w.node.hold(t)
	c.say(promotion(1, 400*time.Millisecond, podUID, otherID, "pod-c")) // waits for the engine's lock in Lead
	hello := encode(fence.SyncRequest{Identity: member.Identity{SetUID: setUID, Voter: otherID, Incarnation: "1-b"}, Term: 1})
	early := func() string { _, refusal := w.d.Admit(hello); return refusal }
	for end := time.Now().Add(30 * time.Second); !strings.Contains(early(), "only beginning"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("while the reign begins a replica is told %q", early())
		}
	}
	release()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		answer, refusal := w.d.Admit(hello)
		if refusal == "" {
			var o fence.SyncOffer
			if err := decode(answer, &o); err != nil || len(o.Data.History) == 0 {
				t.Fatalf("offer %+v, %v: a master's offer must name its history", o, err)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after the reign began: %s", refusal)
		}
	}
}

// TestAPauseIsReportedOnceItHolds: until the engine holds the writes, the offset of a report is not the last one (rule 13).
func TestAPauseIsReportedOnceItHolds(t *testing.T) {
	w := newWorld(t, nil, nil)
	c := w.operator()
	c.ask(member.Adopt{Order: order1(1)})
	c.ask(promotion(1, 400*time.Millisecond, podUID, otherID, "pod-c"))
	release := w.node.hold(t)
	c.say(member.Pause{Order: order1(1), Length: time.Minute})
	time.Sleep(50 * time.Millisecond) // the machine knows the pause, the engine cannot
	if r := c.ask(member.Ask{}).(member.Report); r.Paused {
		t.Error("a pause is reported that the engine does not hold yet")
	}
	release()
	for end := time.Now().Add(30 * time.Second); !c.ask(member.Ask{}).(member.Report).Paused; {
		if time.Now().After(end) {
			t.Fatal("the pause is never reported")
		}
	}
}

func TestAdoptionClosesTheGateAndIsDurableFirst(t *testing.T) { // rule 4
	var fail atomic.Bool
	fs := fsys.NewFaulty(fsys.OS{}, func(op fsys.Op) error {
		if fail.Load() && op.Name == "sync" {
			return syscall.EIO
		}
		return nil
	})
	w := newWorld(t, fs, nil)
	c := w.operator()
	c.ask(member.Adopt{Order: order1(1)})
	c.ask(promotion(1, time.Minute, podUID)) // a set of one needs no voucher
	eventually(t, "writes", w.gate.Open)
	fail.Store(true)
	c.say(member.Adopt{Order: order1(2)})
	for {
		_ = c.nc.SetReadDeadline(time.Now().Add(30 * time.Second))
		f, err := member.ReadFrame(c.r)
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("the connection stays open without an answer")
			}
			break
		}
		if _, ok := f.Message.(member.Adopted); ok {
			t.Fatal("answered although the record is not durable")
		}
	}
	if w.gate.Open() {
		t.Error("still writing after an adoption")
	}
	fail.Store(false)
	c = w.operator()
	a, ok := c.ask(member.Adopt{Order: order1(3)}).(member.Adopted)
	if !ok || a.Term != 3 {
		t.Fatalf("%+v", a)
	}
	if rec, err := w.state.LoadRecord(); err != nil || rec.Term != 3 || rec.SetUID != setUID {
		t.Errorf("record %+v %v", rec, err)
	}
	if !w.node.heard("dropfeeds") || !w.node.heard("park") {
		t.Errorf("the node heard %v", w.node.said)
	}
}

func TestReplicaRejoinsWithItsRecord(t *testing.T) { // S3
	w := newWorld(t, nil, nil)
	c := w.operator()
	up := member.Upstream{Name: "b", Addr: "b:6379", Voter: otherID, Incarnation: "1-00000000000000bb"}
	if _, ok := c.ask(member.Follow{Order: order1(4), Upstream: up, Master: up.Incarnation, MasterPod: up.Voter}).(member.Done); !ok {
		t.Fatal("follow was refused")
	}
	if !w.node.heard("follow b") {
		t.Error("the node does not follow")
	}
	if words := w.d.AckWords(10, 0); len(words) != 0 {
		t.Errorf("vouches before it joined: %v", words)
	}
	// The upstream answers the handshake.
	feeder := fence.New(fence.Config{ID: member.Identity{SetUID: setUID, Name: "b", Voter: otherID, Incarnation: up.Incarnation}}, fence.Boot{})
	feeder.Handle(0, member.Adopt{Order: member.Order{Term: 4, For: up.Incarnation, Met: true}})
	feeder.Handle(0, member.Promote{Order: member.Order{Term: 4, For: up.Incarnation}, Voter: otherID, ReplID: "x", Lease: time.Second,
		Rosters: member.Rosters{New: member.Roster{Version: 1, Voters: []member.Voter{otherID}}}})
	history := member.History{{Term: 4, ReplID: "x", Start: 0}}
	offer := feeder.Offer(member.Data{History: history, Offset: 50})
	foreign := offer
	foreign.Identity.SetUID = "set-2"
	if no := w.d.Offer(encode(foreign)); !strings.HasPrefix(no, string(member.RefusedForeign)) {
		t.Errorf("a foreign feeder: %q", no)
	}
	if no := w.d.Offer(encode(offer)); no != "" {
		t.Fatalf("refused: %s", no)
	}
	w.d.Joined(true)
	if words := w.d.AckWords(10, 0); len(words) != 5 || words[1] != string(podUID) || words[3] != "4" {
		t.Errorf("voucher %v", words)
	}
	if w.d.Report().Data.Whole {
		t.Error("whole before it caught up (rule 4)")
	}
	w.node.offset.Store(50)
	eventually(t, "whole", func() bool { return w.d.Report().Data.Whole })

	w.ln.Close()
	w.d.Close()
	w.node = &fakeNode{}
	w.run(func(o *Options) { o.Identity.Incarnation = "2-00000000000000aa" })
	eventually(t, "the restarted replica follows again", func() bool { return w.node.heard("follow b") })
	if w.gate.Open() {
		t.Error("a restarted replica may write")
	}
}

func TestReportsComeOnChange(t *testing.T) {
	w := newWorld(t, nil, nil)
	c := w.operator()
	c.next()
	w.node.mu.Lock()
	w.node.status.Persists = true
	w.node.mu.Unlock()
	w.d.Changed()
	for {
		if r, ok := c.next().Message.(member.Report); ok && r.Persists {
			break
		}
	}
	w.d.Leave("SIGTERM")
	for {
		if r, ok := c.next().Message.(member.Report); ok && r.Terminates {
			break
		}
	}
}

func TestDamagedRecordIsNotTakenForNone(t *testing.T) { // S3
	m := fsys.NewMem()
	s := State{FS: m, Dir: "/run"}
	if rec, err := s.LoadRecord(); rec != nil || err != nil {
		t.Errorf("%v %v", rec, err)
	}
	if err := fsys.ReplaceBytes(m, "/run/term.json", []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LoadRecord(); err == nil {
		t.Error("a damaged record was taken for none")
	}
}

func TestDeathsAreToldToLeaders(t *testing.T) { // rule 10
	death := member.Death{Identity: member.Identity{SetUID: setUID, Voter: podUID, Incarnation: "0-00000000000000aa"}, Cause: "signal: killed"}
	w := newWorld(t, nil, func(o *Options) { o.Deaths = []member.Death{death} })
	if got, ok := w.operator().next().Message.(member.Death); !ok || got != death {
		t.Errorf("after hello: %+v", got)
	}
}
