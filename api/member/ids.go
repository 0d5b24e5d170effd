package member

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Term is the number of a reign. 0 means "none"; only the operator raises it.
type Term uint64

// LostStatusJump is added to the highest term seen when the recorded one was lost (rule 12), so that
// terms recorded but never seen by a surviving member stay below.
const LostStatusJump Term = 1 << 20

// Voter is a pod's UID. A recreated pod of the same name is another voter.
type Voter string

// Incarnation names one run of one server process, for ever: "<seq>-<nonce>". seq counts the process
// starts inside one pod UID (the supervisor keeps the count where it lives as long as the pod, such
// as an emptyDir), so two incarnations of one pod are ordered. nonce is random, so nobody has it twice.
type Incarnation string

// NewIncarnation forms the name of the seq-th process start (from 1) of a pod.
func NewIncarnation(seq uint64, nonce uint64) Incarnation {
	return Incarnation(fmt.Sprintf("%d-%016x", seq, nonce))
}

// Seq is the start's number within its pod, 0 when the text is not an incarnation.
func (i Incarnation) Seq() uint64 {
	head, _, ok := strings.Cut(string(i), "-")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(head, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// NewerThan tells whether i began after old, both of the same pod UID. It proves that old is dead
// (rule 10): a pod runs one server process at a time.
func (i Incarnation) NewerThan(old Incarnation) bool {
	return i != old && old.Seq() > 0 && i.Seq() > old.Seq()
}

// Identity is who a process is. It is what a Hello, a report and a proof of death are about.
type Identity struct {
	SetUID      string      `json:"set"`
	Name        string      `json:"name"` // pod name, for people; never compared
	Voter       Voter       `json:"pod"`  // pod UID
	ContainerID string      `json:"container,omitempty"`
	Incarnation Incarnation `json:"inc"`
}

// Roster names the voters whose vouchers and adoptions count, and how many of them must hold a write
// before its reply leaves.
type Roster struct {
	Version uint64  `json:"version"`
	Voters  []Voter `json:"voters"`      // sorted, no duplicates, at least one
	K       int     `json:"k,omitempty"` // synchronousReplicas, below len(Voters)
}

// Has tells whether v is on the roster.
func (r Roster) Has(v Voter) bool { return slices.Contains(r.Voters, v) }

// Quorum is n/2+1 for n voters, the master included.
func (r Roster) Quorum() int { return len(r.Voters)/2 + 1 }

// Vouchers is how many voters other than the master must vouch for it: quorum less itself.
func (r Roster) Vouchers() int { return r.Quorum() - 1 }

// Blocking is how many voters other than the master must have adopted a newer term so that no
// Vouchers() of the rest can be found: n-q+1.
func (r Roster) Blocking() int { return len(r.Voters) - r.Quorum() + 1 }

// Valid tells what is wrong with the roster, nil if nothing.
func (r Roster) Valid() error {
	if len(r.Voters) == 0 {
		return fmt.Errorf("roster %d has no voters", r.Version)
	}
	if r.K < 0 || r.K >= len(r.Voters) {
		return fmt.Errorf("roster %d: %d synchronous replicas of %d voters", r.Version, r.K, len(r.Voters))
	}
	if !slices.IsSorted(r.Voters) || len(slices.Compact(slices.Clone(r.Voters))) != len(r.Voters) {
		return fmt.Errorf("roster %d: voters are not sorted and distinct", r.Version)
	}
	return nil
}

// Rosters is what is in force: New, and until the change is final Old as well (rule 3: every count
// must hold in both).
type Rosters struct {
	New Roster  `json:"new"`
	Old *Roster `json:"old,omitempty"`
}

// Each is the rosters in which every count must hold, one or two.
func (r Rosters) Each() []Roster {
	if r.Old == nil {
		return []Roster{r.New}
	}
	return []Roster{r.New, *r.Old}
}

// Has tells whether v is a voter of every roster in force.
func (r Rosters) Has(v Voter) bool { return r.New.Has(v) && (r.Old == nil || r.Old.Has(v)) }

// K is the larger of the synchronous replicas in force.
func (r Rosters) K() int {
	if r.Old != nil && r.Old.K > r.New.K {
		return r.Old.K
	}
	return r.New.K
}

// Equal compares versions, voters and k.
func (r Rosters) Equal(o Rosters) bool {
	same := func(a, b Roster) bool {
		return a.Version == b.Version && a.K == b.K && slices.Equal(a.Voters, b.Voters)
	}
	return same(r.New, o.New) && (r.Old == nil) == (o.Old == nil) && (r.Old == nil || same(*r.Old, *o.Old))
}

// Clone copies deeply.
func (r Rosters) Clone() Rosters {
	r.New.Voters = slices.Clone(r.New.Voters)
	if r.Old != nil {
		old := *r.Old
		old.Voters = slices.Clone(old.Voters)
		r.Old = &old
	}
	return r
}
