package fakemember

import (
	"reflect"
	"slices"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// heartbeat is the entry that carries no value.
const heartbeat = ""

// process is one run of the server.
type process struct {
	id        member.Identity
	machine   *fence.Machine
	log       []string
	history   member.History
	link      *link
	fullSyncs int
	config    string
	configBad string
	directive map[string]string
	auth      string
	authStep  member.Rotation
	saved     bool
	terminate bool
	said      *member.Report
}

// link is a replica's way to its upstream.
type link struct {
	up     member.Upstream
	joined bool
	end    int64 // of the master at the handshake
	trip   string
	inSync bool
}

func (p *process) offset() int64 { return int64(len(p.log)) }

func (p *process) data() member.Data {
	return member.Data{History: slices.Clone(p.history), Offset: p.offset(), Whole: p.machine.Whole()}
}

// start runs a new process, parked. record and data are what the last one left behind.
func (m *Member) start(record *fence.Record, log []string, history member.History) {
	m.seq++
	id := m.id
	id.Incarnation = member.NewIncarnation(m.seq, m.world.nonce())
	p := &process{id: id, log: log, history: history, auth: m.authFile, saved: m.Persists && len(log) > 0}
	p.machine = fence.New(fence.Config{ID: id}, fence.Boot{Record: record, Whole: m.Persists || record == nil})
	m.proc = p
	m.do(nil, 0, p.machine.Rejoin())
}

func (m *Member) append(value string, now time.Duration) {
	m.proc.log = append(m.proc.log, value)
	m.proc.machine.Appended(m.proc.offset(), now)
}

// do carries out effects in order. c and re are where an answer goes.
func (m *Member) do(c *session, re uint64, effects []fence.Effect) {
	p := m.proc
	for _, e := range effects {
		switch e := e.(type) {
		case fence.Persist:
			r := e.Record
			m.record = &r
		case fence.BecomeParked:
			p.link = nil
		case fence.DropFeeds:
			for _, o := range m.world.members {
				if o.proc != nil && o.proc.link != nil && o.proc.link.up.Incarnation == p.id.Incarnation {
					o.proc.link.joined = false
				}
			}
		case fence.BecomeReplica:
			p.link = &link{up: e.Upstream}
		case fence.BecomeMaster:
			p.link = nil
			p.history = p.history.Reign(e.Term, e.ReplID, p.offset())
		case fence.Heartbeat:
			m.append(heartbeat, m.world.clock())
		case fence.AnswerAdopted:
			a := e.Adopted
			whole := a.Data.Whole
			a.Data = p.data()
			a.Data.Whole = whole
			c.send(member.Frame{Re: re, Message: a})
		case fence.Answer:
			msg := e.Message
			if d, ok := msg.(member.Done); ok {
				d.Offset = p.offset()
				msg = d
			}
			c.send(member.Frame{Re: re, Message: msg})
		case fence.Send:
			for _, s := range m.sessions {
				s.send(member.Frame{Message: e.Message})
			}
		}
	}
}

// follow moves the link: handshake, stream, acknowledgement.
func (m *Member) follow(now time.Duration) {
	p := m.proc
	if p.link == nil {
		return
	}
	up := m.world.members[p.link.up.Voter]
	if up == nil || up.proc == nil || up.stopped || up.proc.id.Incarnation != p.link.up.Incarnation || m.world.cut(m, up) {
		p.link.joined = false
		return
	}
	if !p.link.joined && !m.join(up) {
		return
	}
	p.log = append(p.log, up.proc.log[len(p.log):]...)
	p.history = slices.Clone(up.proc.history)
	if p.offset() >= p.link.end {
		p.link.inSync = true
		p.machine.CaughtUp()
	}
	p.saved = p.saved || m.Persists
	if v, ok := p.machine.Voucher(now, p.offset()); ok {
		m.world.vouch(up, v, now)
	}
}

// join is the handshake; both sides ask their own guard (S2).
func (m *Member) join(up *Member) bool {
	p, u := m.proc, up.proc
	offer, request := u.machine.Offer(u.data()), p.machine.Request(p.data())
	feed, load := u.machine.MayFeed(u.data(), request), p.machine.MayLoad(p.data(), offer)
	for _, v := range []fence.Verdict{feed, load} {
		if v.Sync == fence.Refuse {
			p.link.trip = ""
			if v.Code == member.RefusedGuard {
				p.link.trip = v.Why
			}
			return false
		}
	}
	if feed.Sync == fence.Full || load.Sync == fence.Full {
		p.fullSyncs++
		p.log = nil
	}
	p.link.joined, p.link.end, p.link.trip = true, u.offset(), ""
	p.machine.Joined()
	return true
}

// vouch relays a voucher to the top of the chain.
func (w *World) vouch(up *Member, v fence.Voucher, now time.Duration) {
	for range w.members {
		if up.proc.link == nil {
			up.proc.machine.Acked(now, v)
			return
		}
		next := w.members[up.proc.link.up.Voter]
		if next == nil || next.proc == nil || !up.proc.link.joined {
			return
		}
		up = next
	}
}

// report tells every operator what changed.
func (m *Member) report(now time.Duration) {
	r := m.word(now)
	if m.proc.said != nil && reflect.DeepEqual(m.proc.said.Still(), r.Still()) {
		return
	}
	m.proc.said = &r
	for _, s := range m.sessions {
		s.send(member.Frame{Message: r})
	}
}

func (m *Member) word(now time.Duration) member.Report {
	p := m.proc
	r := p.machine.Report(now)
	r.Data = p.data()
	r.Persists, r.Persisted = m.Persists, p.saved
	r.Config, r.ConfigBad = p.config, p.configBad
	r.Auth, r.AuthStep, r.AuthFile = p.auth, p.authStep, m.authFile
	r.Terminates, r.FullSyncs = p.terminate, uint64(p.fullSyncs)
	if p.link != nil {
		r.Link = &member.Link{Upstream: p.link.up, Up: p.link.joined, InSync: p.link.inSync && p.link.joined, Trip: p.link.trip}
	}
	return r
}
