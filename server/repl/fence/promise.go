package fence

import (
	"slices"
	"sort"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// Several heartbeats and lease requests fit into one lease, so that a lost one costs nothing.
const (
	heartbeatsPerLease = 8
	requestsPerLease   = 6
	maxMarks           = 4096
)

// Voucher is a voter's word that it holds everything up to Offset and has adopted no term above Term.
type Voucher struct {
	Voter       member.Voter
	Incarnation member.Incarnation
	Term        member.Term
	Offset      int64
}

// mark says when the stream was made to reach offset.
type mark struct {
	offset int64
	at     time.Duration
}

type vouched struct {
	seq    uint64        // of the incarnation heard last
	offset int64         // held by that incarnation
	from   time.Duration // append time of the newest offset of this reign that it acknowledged
	any    bool
}

// promises is what a master holds; the zero value holds none.
type promises struct {
	lease        time.Duration // length as granted
	unfenced     bool          // writes need no promise
	leaseFrom    time.Duration
	leased       bool
	rosters      member.Rosters
	rosterOffset int64
	end          int64
	marks        []mark // ascending, of this reign only
	vouchers     map[member.Voter]vouched
	nextBeat     time.Duration
	nextAsk      time.Duration
	began        time.Duration // the reign
}

func newPromises(now time.Duration, p member.Promote) promises {
	return promises{began: now, lease: p.Lease, unfenced: p.Unfenced, rosters: p.Rosters.Clone(), vouchers: map[member.Voter]vouched{}}
}

// usable is how long a promise of length d is used: a tenth is left for drift between two clocks.
func (m *Machine) usable() time.Duration {
	if m.mut.NoDrift {
		return m.lease + m.lease/10
	}
	return m.lease - m.lease/10
}

// Gate is the write check (rule 2). A batch may execute while now < until; its replies may leave while
// the gate still has the same term and now < until. term is 0 when it is no master.
func (m *Machine) Gate() (term member.Term, until time.Duration) {
	if m.role != member.RoleMaster {
		return 0, 0
	}
	return m.reign, m.until()
}

// WriteDeadline is Gate's until: own clock, 0 when no write may be executed.
func (m *Machine) WriteDeadline() time.Duration {
	_, until := m.Gate()
	return until
}

func (m *Machine) until() time.Duration {
	if m.mut.NoWriteCheck || m.unfenced {
		return Never
	}
	until := Never
	for _, r := range m.counted() {
		until = min(until, m.vouchedUntil(r))
	}
	if m.leased {
		until = max(until, m.leaseFrom+m.usable())
	}
	return until
}

// counted is the rosters in which a count must hold (rule 3).
func (m *Machine) counted() []member.Roster {
	if m.mut.NewRosterOnly {
		return []member.Roster{m.rosters.New}
	}
	return m.rosters.Each()
}

// vouchedUntil is when fewer than quorum-1 vouchers of the roster will be fresh.
func (m *Machine) vouchedUntil(r member.Roster) time.Duration {
	need := r.Quorum()
	if r.Has(m.id.Voter) {
		need--
	}
	if need == 0 {
		return Never // a set of one voter needs no voucher
	}
	from := make([]time.Duration, 0, len(m.vouchers))
	for v, w := range m.vouchers {
		if w.any && v != m.id.Voter && (r.Has(v) || m.mut.AnyVoter) {
			from = append(from, w.from)
		}
	}
	if len(from) < need {
		return 0
	}
	slices.SortFunc(from, func(a, b time.Duration) int { return int(b - a) })
	return from[need-1] + m.usable()
}

// Appended tells that the stream now ends at end. stamp was read before the append began. Called for
// every batch; marks closer than a quarter of a heartbeat are merged into the earlier one's successor.
func (m *Machine) Appended(end int64, stamp time.Duration) {
	if m.role != member.RoleMaster {
		return
	}
	if end <= m.end && len(m.marks) > 0 {
		return
	}
	m.end = end
	if n := len(m.marks); n > 0 && stamp-m.marks[n-1].at < m.lease/heartbeatsPerLease/4 {
		return // an acknowledgement of end counts from the earlier mark: safe
	}
	m.marks = append(m.marks, mark{end, stamp})
	if len(m.marks) > maxMarks {
		m.marks = slices.Delete(m.marks, 0, maxMarks/2)
	}
}

// Acked takes a voucher, the replica's own or one relayed.
func (m *Machine) Acked(now time.Duration, v Voucher) {
	if m.role != member.RoleMaster || v.Term != m.reign || v.Voter == m.id.Voter || v.Offset > m.end {
		return
	}
	w, seq := m.vouchers[v.Voter], v.Incarnation.Seq()
	if seq < w.seq {
		return
	}
	if seq > w.seq {
		w.seq, w.offset = seq, 0
	}
	w.offset = max(w.offset, v.Offset)
	if at, ok := m.appendedAt(v.Offset); ok {
		if m.mut.VoucherFromArrival {
			at = now
		}
		w.from, w.any = max(w.from, at), true
	} else if m.mut.OldMarks {
		w.from, w.any = now, true
	}
	m.vouchers[v.Voter] = w
}

// appendedAt is when the newest mark covered by offset was appended. Offsets from before the reign
// have none: they say nothing about when the voter spoke.
func (m *Machine) appendedAt(offset int64) (time.Duration, bool) {
	i := sort.Search(len(m.marks), func(i int) bool { return m.marks[i].offset > offset })
	if i == 0 {
		return 0, false
	}
	return m.marks[i-1].at, true
}

// Synchronous is how many voters must hold a write before its reply leaves (S6), the most that any roster in force asks for,
// and whether so many vouch now. A reign begins with a benefit of the doubt: its voters need a moment to find it.
func (m *Machine) Synchronous(now time.Duration) (k int, there bool) {
	if m.role != member.RoleMaster || m.mut.NoCommitWait {
		return 0, true
	}
	there = true
	for _, r := range m.counted() {
		fresh := 0
		for v, w := range m.vouchers {
			if w.any && v != m.id.Voter && r.Has(v) && now < w.from+m.lease {
				fresh++
			}
		}
		k, there = max(k, r.K), there && (fresh >= r.K || now < m.began+m.lease)
	}
	return k, there
}

// Committed is the offset up to which replies may leave: k voters of every roster in force hold it
// (S6). Never a bound when k is 0.
func (m *Machine) Committed() int64 {
	out := int64(Never)
	if m.mut.NoCommitWait {
		return out
	}
	for _, r := range m.counted() {
		if r.K == 0 {
			continue
		}
		var held []int64
		for _, v := range r.Voters {
			if v != m.id.Voter {
				held = append(held, m.vouchers[v].offset)
			}
		}
		slices.Sort(held)
		if len(held) < r.K {
			return 0
		}
		out = min(out, held[len(held)-r.K])
	}
	return out
}

// held tells whether k voters of r, the master not counted, hold offset (rule 3).
func (m *Machine) held(r member.Roster, offset int64) bool {
	n := 0
	for _, v := range r.Voters {
		if v != m.id.Voter && m.vouchers[v].offset >= offset {
			n++
		}
	}
	return n >= r.K
}

// takeRoster takes the next roster, recorded before (rule 3): first joint with the old one, then alone.
func (m *Machine) takeRoster(t member.TakeRoster) []Effect {
	cur, next := m.rosters, t.Rosters
	switch {
	case m.role != member.RoleMaster || t.Term != m.reign:
		return []Effect{Answer{m.refusal(member.RefusedRole, "%s of term %d takes no roster of term %d", m.role, m.rec.Term, t.Term)}}
	case next.New.Valid() != nil:
		return []Effect{Answer{m.refusal(member.RefusedInvalid, "%v", next.New.Valid())}}
	case next.New.Version < cur.New.Version:
		return []Effect{Answer{m.refusal(member.RefusedInvalid, "roster %d is in force", cur.New.Version)}}
	case next.New.Version == cur.New.Version:
		if next.Old == nil {
			m.rosters.Old = nil
		}
		return []Effect{m.done()}
	case next.Old == nil || next.Old.Version != base(cur).Version:
		return []Effect{Answer{m.refusal(member.RefusedInvalid, "roster %d must follow roster %d jointly", next.New.Version, base(cur).Version)}}
	}
	m.rosters, m.rosterOffset = next.Clone(), m.end
	return []Effect{m.done()}
}

// base is the roster that stays in force until the next one is final. A change under way may be aimed
// elsewhere: every count holds in base all the while.
func base(r member.Rosters) member.Roster {
	if r.Old != nil {
		return *r.Old
	}
	return r.New
}

// takeLease takes a grant: the request's own stamp, echoed (rule 1).
func (m *Machine) takeLease(now time.Duration, l member.Lease) {
	if m.role != member.RoleMaster {
		return
	}
	mine := l.Term == m.reign && l.Incarnation == m.id.Incarnation && l.Stamp <= now
	if !mine && !m.mut.AnyLease {
		return
	}
	from := l.Stamp
	if m.mut.LeaseFromArrival {
		from = now
	}
	if m.leaseFrom < from || !m.leased {
		m.leaseFrom, m.leased = from, true
	}
}

// Tick does what is due: heartbeats, lease requests, the end of a pause. NextTick tells when to call.
func (m *Machine) Tick(now time.Duration) []Effect {
	var out []Effect
	if m.pauseUntil > 0 && now >= m.pauseUntil {
		m.pauseUntil = 0
		out = append(out, ResumeClients{})
	}
	if m.role != member.RoleMaster {
		return out
	}
	if now >= m.nextBeat && m.pauseUntil <= now { // a pause must let the stream come to its end (rule 13)
		m.nextBeat = now + m.lease/heartbeatsPerLease
		out = append(out, Heartbeat{})
	}
	if now >= m.nextAsk {
		m.nextAsk = now + m.lease/requestsPerLease
		out = append(out, Send{member.LeaseRequest{Term: m.reign, Voter: m.id.Voter, Incarnation: m.id.Incarnation, Stamp: now}})
	}
	return out
}

// NextTick is when Tick has something to do, Never if nothing is due.
func (m *Machine) NextTick() time.Duration {
	next := Never
	if m.pauseUntil > 0 {
		next = m.pauseUntil
	}
	if m.role == member.RoleMaster {
		next = min(next, m.nextAsk)
		if m.pauseUntil == 0 {
			next = min(next, m.nextBeat)
		}
	}
	return next
}

// Voucher is what this replica may say with an acknowledgement of offset, which it had reached at a time at the latest; false:
// nothing (S3).
func (m *Machine) Voucher(reached time.Duration, offset int64) (Voucher, bool) {
	if m.role != member.RoleReplica || !m.joined || (!m.spoken && !m.mut.VouchUnspoken) {
		return Voucher{}, false
	}
	v := Voucher{Voter: m.id.Voter, Incarnation: m.id.Incarnation, Term: m.term(), Offset: offset}
	m.said.note(reached, v, m.mut.QuietSinceFirst)
	return v, true
}

// said is the newest voucher that this incarnation gave, and when it had reached what that covers. To the master it counts from when that
// appended the offset, which is earlier; said again, it counts from the same instant. What an earlier incarnation said is older,
// but not known, so one that has said nothing tells nothing.
type said struct {
	any    bool
	term   member.Term
	offset int64
	at     time.Duration
}

func (s *said) note(reached time.Duration, v Voucher, first bool) {
	if s.any && (first || s.term == v.Term && s.offset == v.Offset) {
		return
	}
	*s = said{any: true, term: v.Term, offset: v.Offset, at: reached}
}

// quiet is for how long that is the newest.
func (s *said) quiet(now time.Duration) time.Duration {
	if !s.any {
		return 0
	}
	return max(now-s.at, 0)
}
