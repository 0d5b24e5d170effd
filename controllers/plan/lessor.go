package plan

import (
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// Lessor is the leader's gate for leases of one set. It runs off the work queue: memberclient asks it
// for every LeaseRequest; the Decision's GrantLeases and StopLeases set it. Not safe for concurrent
// use.
type Lessor struct {
	reign *Reign
	since time.Duration // of the leadership under which status was read
	last  time.Duration
}

// Grants lets requests of this reign pass. The caller holds a quorum read of status, begun after it
// took the lead at since, that records the reign (rule 8).
func (l *Lessor) Grants(r Reign, since time.Duration) { l.reign, l.since = &r, since }

// Stop ends all leases; nothing is granted until the next Grants.
func (l *Lessor) Stop() { l.reign = nil }

// Last is when the last lease was granted, 0 if never.
func (l *Lessor) Last() time.Duration { return l.last }

// Ask answers a request. now and the leadership's bounds are readings taken after the request arrived: a leader
// whose leadership had run out by then could grant a lease that its successor does not wait for, and one that
// leads again does not know yet whom a leader in between recorded.
func (l *Lessor) Ask(q member.LeaseRequest, now, leadsSince, leadsUntil time.Duration) (member.Lease, bool) {
	if l.reign == nil || now >= leadsUntil || l.since != leadsSince {
		return member.Lease{}, false
	}
	if q.Term != l.reign.Term || q.Incarnation != l.reign.Incarnation || q.Voter != l.reign.Voter {
		return member.Lease{}, false
	}
	l.last = now
	return member.Lease{LeaseRequest: q}, true
}
