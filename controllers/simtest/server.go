package simtest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// server is one incarnation: the driver of one fence.Machine with a data set.
type server struct {
	proc
	pod      *pod
	id       member.Identity
	m        *fence.Machine
	log      ledger
	history  member.History
	loading  bool
	link     *link
	feeds    []*feed
	waiting  []*reply
	relayed  map[member.Voter]fence.Voucher
	config   string
	auth     string
	authStep member.Rotation

	terminates  bool
	pausedUntil time.Duration
	persisted   bool
	fullSyncs   int
	armed       time.Duration
	lostRecord  bool
}

// reply is an executed write whose answer has not left yet.
type reply struct {
	term   member.Term
	offset int64
	sum    uint64
}

func newServer(p *pod) *server {
	w := p.w
	s := &server{proc: w.newProc(), pod: p, relayed: map[member.Voter]fence.Voucher{}}
	inc := member.NewIncarnation(p.starts, w.rng.Uint64())
	s.id = member.Identity{SetUID: w.opt.Spec.UID, Name: p.name, Voter: p.uid, ContainerID: p.kept.id, Incarnation: inc}
	p.kept.incs = append(p.kept.incs, inc)
	boot := fence.Boot{Whole: true}
	box := p.kept.record
	if box == nil && p.disk != nil {
		box = p.disk.record
	}
	if box != nil {
		boot.Record = new(fence.Record)
		if err := json.Unmarshal(box.data, boot.Record); err != nil {
			panic(err)
		}
	}
	s.lostRecord = boot.Record == nil
	if p.disk != nil && p.disk.any {
		s.log, s.history = p.disk.log, cloneHistory(p.disk.history)
		boot.Whole = w.opt.AOF && p.disk.whole
		s.persisted = true
	} else {
		boot.Whole = p.starts == 1 && boot.Record == nil && p.disk == nil && w.api.status.Lost
	}
	s.m = fence.New(fence.Config{ID: s.id, Mutation: w.opt.Fence}, boot)
	s.auth, s.config = w.api.spec.AuthVersion, w.api.spec.ConfigVersion
	p.srv = s
	w.tracef("%s starts as %s, record %v, %d entries [%s]", p.name, inc, box != nil, s.log.end(), s.history)
	s.execute(nil, s.m.Rejoin())
	if w.opt.Sim.BootAsMaster && p.kept.role == member.RoleMaster && boot.Record != nil {
		s.bootAsMaster(boot.Record.Term)
	}
	s.timer(w.between(0, 30*ms), s.client)
	s.timer(w.between(50*ms, 100*ms), s.second)
	return s
}

// bootAsMaster is what S3 forbids: mutations only.
func (s *server) bootAsMaster(t member.Term) {
	r := s.pod.w.api.status.Term
	o := member.Order{Term: t, For: s.id.Incarnation, Met: true}
	s.execute(nil, s.m.Handle(s.clock(), member.Promote{Order: o, Voter: s.id.Voter, Rosters: r.Rosters, ReplID: "again", Lease: s.pod.w.opt.Spec.Lease}))
}

// data is what the server would say about its data set now.
func (s *server) data() member.Data {
	return member.Data{History: cloneHistory(s.history), Offset: s.log.end(), Whole: s.m.Whole(), Loading: s.loading}
}

// crash ends the process; the supervisor lives.
func (s *server) crash() { s.kill("signal: killed", true) }

func (s *server) kill(cause string, report bool) {
	if !s.alive {
		return
	}
	s.alive = false
	s.pod.srv = nil
	s.w.tracef("%s %s dies: %s", s.pod.name, s.id.Incarnation, cause)
	if s.pod.disk != nil && s.w.opt.AOF {
		s.flush()
	}
	if s.pod.kept != nil {
		s.pod.kept.role = s.m.Role()
	}
	s.dropFeeds()
	if report && s.pod.node.up {
		s.pod.processDied(s.id.Incarnation, cause)
	}
}

// flush writes the data set to the disk.
func (s *server) flush() {
	d := s.pod.disk
	if d == nil {
		return
	}
	if s.loading { // what the disk has is older than what was given up for the load
		d.whole = false
		return
	}
	d.whole = s.m.Whole() && !s.relieved() // what was missing before is missing from the file too
	if s.relieved() {
		return
	}
	d.log, d.history, d.any = s.log.cut(s.log.end()), cloneHistory(s.history), len(s.history) > 0
	s.persisted = d.any
}

// relieved: with persistence on replicas only a master stops to write its disk once another member has
// saved data of this reign (S4).
func (s *server) relieved() bool {
	if s.w.opt.Spec.Persist != plan.PersistReplicas || s.m.Role() != member.RoleMaster {
		return false
	}
	for _, p := range s.w.pods {
		if p != s.pod && p.srv != nil && p.disk != nil && p.disk.any && p.disk.log.common(s.log) == p.disk.log.end() && p.disk.history.At(p.disk.log.end()).Term == s.m.Term() {
			return true
		}
	}
	return false
}

// second is the slow work: saving, asking peers when nobody gave a role, link timeouts.
func (s *server) second() {
	if s.w.chance(0.3) && s.link == nil || s.pod.disk != nil && s.w.chance(0.3) {
		s.flush()
	}
	if s.m.Role() == member.RoleParked {
		s.askPeers()
	}
	s.checkLink()
	s.timer(200*ms, s.second)
}

func (s *server) askPeers() {
	for _, p := range s.w.pods {
		if p == s.pod || p.removed {
			continue
		}
		peer := p
		s.w.datagram(s.pod.node.name, peer.node.name, func() {
			if q := peer.srv; q != nil {
				q.do(func() {
					r := q.report()
					s.w.datagram(peer.node.name, s.pod.node.name, func() {
						s.do(func() { s.execute(nil, s.m.HearPeer(r)) })
					})
				})
			}
		})
	}
}

func (s *server) report() member.Report {
	r := s.m.Report(s.clock())
	r.Data = s.data()
	r.Persisted, r.Persists = s.persisted, s.pod.disk != nil
	r.Config, r.Auth, r.AuthStep, r.Terminates = s.config, s.auth, s.authStep, s.terminates
	if r.Role == member.RoleMaster && r.Master != nil {
		r.Master.Addr = string(s.pod.uid)
	}
	if r.Link != nil && s.link != nil {
		r.Link.Up = s.link.up
		r.Link.Syncing = s.link.syncing
		r.Link.InSync = s.link.up && s.link.caught
		r.Link.Trip = s.link.trip
	}
	return r
}

// order is a message of an operator.
func (s *server) order(from *operator, msg member.Message) {
	switch msg := msg.(type) {
	case member.Ask:
		s.answer(from, s.report())
		return
	case member.Configure:
		s.config = msg.Version
	case member.Rotate:
		if mounted := s.w.api.spec.AuthVersion; msg.Version != mounted {
			s.answer(from, member.Refusal{Code: member.RefusedInvalid, Why: "the mounted file holds another version", Term: s.m.Term()})
			return
		}
		s.auth, s.authStep = msg.Version, msg.Step
	case member.Save:
		s.flush()
	case member.Promote:
		s.execute(from, s.m.TakeOver(s.clock(), msg, s.data()))
		s.arm()
		s.answer(from, s.report())
	default:
		s.execute(from, s.m.Handle(s.clock(), msg))
		s.arm()
		s.answer(from, s.report())
	}
}

func (s *server) answer(to *operator, msg member.Message) {
	if to == nil {
		return
	}
	uid, inc := s.id.Voter, s.id.Incarnation
	s.w.datagram(s.pod.node.name, to.site, func() { to.do(func() { to.heard(uid, inc, msg) }) })
}

// execute carries out effects in order, as server/manage and server/link shall.
func (s *server) execute(from *operator, effects []fence.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case fence.StopWrites:
			if s.w.opt.Sim.ForgetOnStop {
				s.timer(s.w.between(0, 500*ms), s.leave)
				break
			}
			s.waiting = nil
		case fence.DropFeeds:
			s.dropFeeds()
		case fence.Persist:
			s.persist(e.Record)
		case fence.BecomeParked:
			s.w.tracef("%s parks in term %d", s.pod.name, s.m.Term())
			s.link, s.loading = nil, false
		case fence.BecomeReplica:
			s.w.tracef("%s follows %s in term %d", s.pod.name, e.Upstream.Name, e.Term)
			s.connect()
		case fence.BecomeMaster:
			s.becomeMaster(e)
		case fence.PauseClients:
			s.pausedUntil = e.Until
		case fence.ResumeClients:
			s.pausedUntil = 0
		case fence.AnswerAdopted:
			a := e.Adopted
			whole := a.Data.Whole
			a.Data = s.data()
			a.Data.Whole = whole
			s.w.check.ended(s, a.Term)
			s.w.tracef("%s adopts term %d at %v [%s]", s.pod.name, a.Term, a.Data.Position(), a.Data.History)
			s.answer(from, a)
		case fence.Answer:
			s.answerOrder(from, e.Message)
		case fence.Send:
			for _, o := range s.w.ops {
				s.answer(o, e.Message)
			}
		case fence.Heartbeat:
			s.write(s.w.rng.Uint64())
		case fence.CloseClients:
		default:
			panic(fmt.Sprintf("simtest: effect %T", e))
		}
	}
}

func (s *server) answerOrder(from *operator, msg member.Message) {
	if d, ok := msg.(member.Done); ok {
		d.Offset = s.log.end()
		msg = d
	}
	if r, ok := msg.(member.Refusal); ok {
		s.w.tracef("%s refuses: %s", s.pod.name, r.Why)
	}
	s.answer(from, msg)
}

func (s *server) persist(r fence.Record) {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	if s.pod.kept != nil {
		s.pod.kept.record = &recordBox{b}
	}
	if s.pod.disk != nil {
		s.pod.disk.record = &recordBox{b}
	}
}

func (s *server) becomeMaster(e fence.BecomeMaster) {
	s.w.check.promoted(s, e.Term)
	s.w.tracef("%s becomes master of term %d at %d [%s]", s.pod.name, e.Term, s.log.end(), s.history)
	s.link = nil
	replid := e.ReplID
	if s.w.opt.Fence.ReuseReplID && len(s.history) > 0 {
		return // the old reign goes on in the history, as if nothing had happened
	}
	s.history = s.history.Reign(e.Term, replid, s.log.end())
	s.flush()
}

// arm makes sure that Tick runs when it is due.
func (s *server) arm() {
	next := s.m.NextTick()
	if next == fence.Never || (s.armed > 0 && s.armed <= next && s.armed > s.clock()) {
		return
	}
	s.armed = next
	s.timer(next-s.clock()+time.Microsecond, func() {
		s.armed = 0
		s.execute(nil, s.m.Tick(s.clock()))
		s.arm()
	})
}

// write appends one entry and lets the feeds run. The stamp is read before.
func (s *server) write(id uint64) {
	stamp := s.clock()
	s.log.append(id)
	s.m.Appended(s.log.end(), stamp)
	s.pump()
}

// client tries to write, always and everywhere.
func (s *server) client() {
	s.timer(s.w.between(10*ms, 50*ms), s.client)
	if s.w.opt.NoClient {
		return
	}
	now := s.clock()
	term, until := s.m.Gate()
	if term == 0 || now >= until || now < s.pausedUntil {
		return
	}
	s.write(s.w.rng.Uint64())
	r := &reply{term: term, offset: s.log.end(), sum: s.log.sum(s.log.end())}
	s.waiting = append(s.waiting, r)
	s.w.after(s.w.between(0, 2*ms), func() { s.do(s.leave) })
}

// leave is the second half of the write check: replies go only under the term that executed them,
// while the gate is open, and when enough voters hold what they reflect.
func (s *server) leave() {
	now := s.clock()
	term, until := s.m.Gate()
	committed := s.m.Committed()
	rest := s.waiting[:0]
	for _, r := range s.waiting {
		fresh := term == r.term && now < until
		if s.w.opt.Sim.OneCheck || s.w.opt.Sim.ForgetOnStop {
			fresh = true
		}
		switch {
		case !fresh: // the connection is closed
		case r.offset > committed:
			rest = append(rest, r)
		default:
			s.w.check.acked(s, r)
		}
	}
	s.waiting = rest
}
