package simtest

import (
	"slices"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// link is a replica's connection to its upstream.
type link struct {
	up      bool
	syncing bool
	caught  bool
	master  bool // the upstream is the term's master: caught up means whole
	target  int64
	trip    string
	heardAt time.Duration // own clock
	tried   time.Duration
	src     *server
	offered bool // a connection has one handshake, however often the network repeats its packets
	started bool
}

// feed is the other end.
type feed struct {
	to    *server
	link  *link
	sent  int64
	ready time.Duration // true time before which nothing may arrive: one connection keeps order
	dead  bool
}

const linkTimeout = 600 * ms

// connect opens a link to the present upstream, forgetting any other.
func (s *server) connect() {
	l := &link{heardAt: s.clock(), tried: s.clock()}
	s.link = l
	up := s.m.Upstream()
	var at *pod
	for _, p := range s.w.pods {
		if p.uid == up.Voter {
			at = p
		}
	}
	if at == nil {
		return
	}
	q := s.m.Request(s.data())
	s.w.datagram(s.pod.node.name, at.node.name, func() {
		if u := at.srv; u != nil {
			u.do(func() { u.greet(s, l, q) })
		}
	})
}

// checkLink gives up a silent link and tries again.
func (s *server) checkLink() {
	if s.m.Role() != member.RoleReplica || s.link == nil {
		return
	}
	l, now := s.link, s.clock()
	switch {
	case l.up && now-l.heardAt > linkTimeout, !l.up && !l.syncing && now-l.tried > 150*ms, l.syncing && now-l.heardAt > 3*time.Second:
		s.link.up = false
		s.connect()
	}
}

// greet is the feeder's side of the handshake.
func (u *server) greet(r *server, l *link, q fence.SyncRequest) {
	v := u.m.MayFeed(u.data(), q)
	offer := u.m.Offer(u.data())
	back := func(fn func()) {
		u.w.datagram(u.pod.node.name, r.pod.node.name, func() {
			r.do(func() {
				if r.link == l {
					fn()
				}
			})
		})
	}
	if v.Sync == fence.Refuse {
		back(func() { r.refused(l, u, "feeder: "+v.Why, v.Code) })
		return
	}
	back(func() { r.offered(l, u, q, offer) })
}

func (s *server) refused(l *link, u *server, why string, code member.RefusalCode) {
	l.up = false
	if code == member.RefusedGuard {
		l.trip = why
	}
	s.w.tracef("%s is not fed by %s: %s", s.pod.name, u.pod.name, why)
}

// offered is the replica's side: it asks its own guard, then takes the stream or a copy.
func (s *server) offered(l *link, u *server, q fence.SyncRequest, o fence.SyncOffer) {
	if l.offered {
		return
	}
	l.offered = true
	v := s.m.MayLoad(s.data(), o)
	if v.Sync == fence.Refuse {
		s.refused(l, u, "replica: "+v.Why, v.Code)
		return
	}
	if v.SetAside {
		s.pod.aside = append(s.pod.aside, s.log.cut(s.log.end()))
	}
	l.heardAt, l.syncing = s.clock(), true
	from := s.log.end()
	if v.Sync == fence.Full {
		from = -1
		if s.w.opt.InPlace {
			s.w.check.dropped(s, u)
			s.dropFeeds()
			s.loading = true
			s.log, s.history = ledger{}, nil
			s.m.Lost()
		}
	}
	s.w.datagram(s.pod.node.name, u.pod.node.name, func() {
		u.do(func() { u.start(s, l, q, from, o) })
	})
}

// start begins to feed, from an offset or with a copy of everything.
func (u *server) start(r *server, l *link, q fence.SyncRequest, from int64, o fence.SyncOffer) {
	if v := u.m.MayFeed(u.data(), q); v.Sync == fence.Refuse || l.started {
		return
	}
	l.started = true
	f := &feed{to: r, link: l, sent: from}
	cur := u.m.Offer(u.data())
	if cur.Term != o.Term || cur.Master != o.Master {
		return // the role moved between offer and start
	}
	if from < 0 {
		f.sent = u.log.end()
		snap, history := u.log.cut(u.log.end()), cloneHistory(u.history)
		delay := u.w.between(30*ms, 400*ms)
		f.ready = u.w.now + delay
		u.feeds = append(u.feeds, f)
		u.w.after(delay, func() {
			if u.alive && u.w.reach(u.pod.node.name, r.pod.node.name) && !f.dead {
				r.do(func() { r.load(l, u, snap, history, cur) })
			} else {
				f.dead = true
			}
		})
		return
	}
	if u.log.end() < from {
		return
	}
	u.feeds = append(u.feeds, f)
	has := u.log.cut(u.log.end())
	u.carry(f, func() { r.join(l, u, cur, has) })
	u.pump()
}

// load swaps in a full copy.
func (s *server) load(l *link, u *server, snap ledger, history member.History, o fence.SyncOffer) {
	if s.link != l || s.m.MayLoad(s.data(), o).Sync == fence.Refuse {
		return
	}
	s.w.check.loaded(s, u, snap, history)
	s.fullSyncs++
	s.dropFeeds()
	s.loading = false
	s.log, s.history = snap, history
	s.joined(l, u, o)
}

// join continues from the own end. has is what the feeder held when it said so: the word may have waited in a stopped
// process while the feeder went over to another line.
func (s *server) join(l *link, u *server, o fence.SyncOffer, has ledger) {
	if s.link != l {
		return
	}
	s.w.check.joinedAt(s, u, has)
	s.history = cloneHistory(o.Data.History)
	s.joined(l, u, o)
}

func (s *server) joined(l *link, u *server, o fence.SyncOffer) {
	l.up, l.syncing, l.trip, l.heardAt = true, false, "", s.clock()
	l.master, l.target, l.src = o.Master, o.Data.Offset, u
	s.m.Joined()
	s.w.tracef("%s joined %s at %d", s.pod.name, u.pod.name, s.log.end())
	s.progress()
}

func (s *server) progress() {
	if l := s.link; l != nil && !l.caught && s.log.end() >= l.target {
		l.caught = true
		if l.master {
			s.m.CaughtUp()
		}
	}
	s.ack()
}

// carry sends something down a feed, in order, unless the connection broke.
func (u *server) carry(f *feed, fn func()) {
	at := max(u.w.now+u.w.latency(), f.ready)
	f.ready = at
	u.w.after(at-u.w.now, func() {
		if f.dead || !u.w.reach(u.pod.node.name, f.to.pod.node.name) {
			f.dead = true
			return
		}
		f.to.do(fn)
	})
}

// pump sends what every feed lacks.
func (u *server) pump() {
	u.feeds = slices.DeleteFunc(u.feeds, func(f *feed) bool { return f.dead || !f.to.alive })
	for _, f := range u.feeds {
		if f.sent >= u.log.end() {
			continue
		}
		from, part := f.sent, u.log.cut(u.log.end())
		f.sent = u.log.end()
		u.carry(f, func() { f.to.stream(f, u, from, part) })
	}
}

// stream applies entries.
func (s *server) stream(f *feed, u *server, from int64, part ledger) {
	l := s.link
	if l == nil || l != f.link || !l.up {
		return
	}
	if from != s.log.end() {
		s.w.tracef("%s: stream from %s at %d, own end %d", s.pod.name, u.pod.name, from, s.log.end())
		l.up = false
		return
	}
	s.w.check.applied(s, part)
	s.log = ledger{append(s.log.cut(from).sums, part.sums[from:]...)}
	l.heardAt = s.clock()
	s.progress()
	s.pump()
}

// ack sends the applied offset with the own voucher and those heard from below.
func (s *server) ack() {
	l := s.link
	if l == nil || !l.up || l.src == nil {
		return
	}
	var words []fence.Voucher
	if v, ok := s.m.Voucher(l.heardAt, s.log.end()); ok {
		words = append(words, v)
	}
	var below []member.Voter
	for v := range s.relayed {
		below = append(below, v)
	}
	slices.Sort(below)
	for _, v := range below {
		words = append(words, s.relayed[v])
	}
	if len(words) == 0 {
		return
	}
	s.sendAck(l.src, words)
}

func (s *server) sendAck(u *server, words []fence.Voucher) {
	s.w.datagram(s.pod.node.name, u.pod.node.name, func() { u.do(func() { u.acks(words) }) })
}

// acks takes vouchers; a master counts them, a middle one relays.
func (u *server) acks(words []fence.Voucher) {
	if u.m.Role() == member.RoleMaster {
		for _, v := range words {
			u.m.Acked(u.clock(), v)
		}
		u.leave()
		return
	}
	news := false
	for _, v := range words {
		old, ok := u.relayed[v.Voter]
		if v.Voter != u.id.Voter && (!ok || old.Term < v.Term || old.Offset < v.Offset || v.Incarnation.NewerThan(old.Incarnation)) {
			u.relayed[v.Voter], news = v, true
		}
	}
	if news {
		u.ack()
	}
}

func (s *server) dropFeeds() {
	for _, f := range s.feeds {
		f.dead = true
		r, l := f.to, f.link
		s.w.datagram(s.pod.node.name, r.pod.node.name, func() {
			r.do(func() {
				if r.link == l {
					l.up, l.syncing = false, false
				}
			})
		})
	}
	s.feeds = nil
}
