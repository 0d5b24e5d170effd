package fence

import (
	"fmt"
	"slices"

	"github.com/understudy-db/understudy/api/member"
)

// SyncRequest is what a replica says about itself before it is fed.
type SyncRequest struct {
	Identity member.Identity
	Term     member.Term
	Data     member.Data
}

// SyncOffer is what a feeder says about itself before it feeds.
type SyncOffer struct {
	Identity member.Identity
	Term     member.Term
	// Master: the feeder is the term's master, so Data.Offset is the master's end (rule 4, whole).
	Master bool
	Data   member.Data
}

// Sync is how a replica continues.
type Sync int

// Ways to continue.
const (
	Refuse  Sync = iota
	Partial      // own data is a prefix: stream from own offset
	Full         // load everything
)

// Verdict is a guard's decision. Both sides reach theirs alone (S2).
type Verdict struct {
	Sync Sync
	// Common is the offset up to which both data sets are equal; From there the own tail is not on
	// the master's line. SetAside: write that tail to a file before it is gone, then roll back to
	// Common from the own file, or load everything (rule 11). Unrelated: nothing is shared, so the
	// whole data set is what must be kept in a file.
	Common    int64
	SetAside  bool
	Unrelated bool
	Code      member.RefusalCode
	Why       string
}

func no(code member.RefusalCode, format string, args ...any) Verdict {
	return Verdict{Code: code, Why: fmt.Sprintf(format, args...)}
}

// Request is this member's side of the handshake.
func (m *Machine) Request(d member.Data) SyncRequest {
	return SyncRequest{Identity: m.id, Term: m.term(), Data: d}
}

// Offer is the feeder's side of it.
func (m *Machine) Offer(d member.Data) SyncOffer {
	return SyncOffer{Identity: m.id, Term: m.term(), Master: m.role == member.RoleMaster, Data: d}
}

// MayFeed decides whether this member, holding own, feeds the requester (S2, S3).
func (m *Machine) MayFeed(own member.Data, q SyncRequest) Verdict {
	switch {
	case q.Identity.SetUID != m.id.SetUID:
		return no(member.RefusedForeign, "replica is of set %q, this is %q", q.Identity.SetUID, m.id.SetUID)
	case m.mut.ParkedFeeds && m.role == member.RoleParked && m.mut.GuardOff:
		return Verdict{Sync: Full}
	case m.role == member.RoleParked:
		return no(member.RefusedRole, "parked: feeds nobody")
	case m.role == member.RoleReplica && !m.joined:
		return no(member.RefusedRole, "replica has not joined its master in term %d yet", m.term())
	case q.Term != m.term() && !m.mut.GuardOff:
		return no(member.RefusedTerm, "replica is in term %d, this is term %d", q.Term, m.term())
	case own.Loading:
		return no(member.RefusedRole, "loading")
	}
	return m.relate(q.Data, own, m.rec.GivenUp)
}

// MayLoad decides whether this member, holding own, takes what the feeder offers (S2).
func (m *Machine) MayLoad(own member.Data, o SyncOffer) Verdict {
	switch {
	case m.role != member.RoleReplica:
		return no(member.RefusedRole, "%s: follows nobody", m.role)
	case o.Identity.SetUID != m.id.SetUID:
		return no(member.RefusedForeign, "feeder is of set %q, this is %q", o.Identity.SetUID, m.id.SetUID)
	case m.mut.GuardOff:
		return m.relate(own, o.Data, nil)
	case o.Identity.Incarnation != m.upstream.Incarnation || o.Identity.Voter != m.upstream.Voter:
		return no(member.RefusedIncarnation, "upstream is %s of pod %s now, told to follow %s of pod %s",
			o.Identity.Incarnation, o.Identity.Voter, m.upstream.Incarnation, m.upstream.Voter)
	case o.Term != m.term():
		return no(member.RefusedTerm, "feeder is in term %d, this is term %d", o.Term, m.term())
	case o.Master && o.Identity.Incarnation != m.master && m.master != "":
		return no(member.RefusedIncarnation, "%s claims term %d, its master is %s", o.Identity.Incarnation, o.Term, m.master)
	case len(o.Data.History) == 0 && (own.Empty() || own.Loading):
		return no(member.RefusedInvalid, "feeder has no history to give: data without one is related to nobody's")
	}
	return m.relate(own, o.Data, m.rec.GivenUp)
}

// relate compares the replica's data with the feeder's. givenUp is what the term lets go.
func (m *Machine) relate(own, feeder member.Data, givenUp member.History) Verdict {
	if m.mut.BlindJoin && own.Offset <= feeder.Offset {
		return Verdict{Sync: Partial, Common: own.Offset}
	}
	if own.Empty() || own.Loading {
		return Verdict{Sync: Full}
	}
	common, related := own.History.Common(own.Offset, feeder.History, feeder.Offset)
	related = related && common > 0 // a reign that began with nothing shares nothing
	switch {
	case !related && (own.Wrote(givenUp) || m.mut.GuardOff || m.mut.GiveUpAll && len(givenUp) > 0):
		return Verdict{Sync: Full, SetAside: true, Unrelated: true}
	case !related:
		return no(member.RefusedGuard, "replica holds %d bytes of history [%s]; the feeder's [%s] at %d is unrelated",
			own.Offset, own.History, feeder.History, feeder.Offset)
	case common == own.Offset:
		return Verdict{Sync: Partial, Common: common}
	case leaves(own, feeder, common) || m.mut.GuardOff:
		return Verdict{Sync: Full, Common: common, SetAside: true}
	}
	return no(member.RefusedGuard, "feeder at %d is older than the replica at %d of the same history", feeder.Offset, own.Offset)
}

// leaves tells whether the feeder's line goes another way than own does behind their common offset: it
// holds something else there, or a reign that own does not know begins there.
func leaves(own, feeder member.Data, common int64) bool {
	if feeder.Offset > common {
		return true
	}
	for _, e := range feeder.History {
		if e.Start == common && !slices.Contains(own.History, e) {
			return true
		}
	}
	return false
}

// Joined tells that a handshake with the present upstream ended well: the own data is (now) a prefix
// of the master's line.
func (m *Machine) Joined() {
	if m.role == member.RoleReplica {
		m.joined = true
	}
}

// CaughtUp tells that everything up to the end offset, which the term's master itself named at the
// handshake (SyncOffer.Master), is applied: whole again (rule 4).
func (m *Machine) CaughtUp() {
	if m.role == member.RoleReplica && m.joined {
		m.whole = true
	}
}

// Lost tells that data was given up in place (a load that replaces before it is complete).
func (m *Machine) Lost() {
	m.whole = m.mut.WholeAlways
}
