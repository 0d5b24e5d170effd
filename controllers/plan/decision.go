package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// Decision is what a pass wants done.
type Decision struct {
	Steps      []Step
	Conditions []Condition
	Members    []MemberStatus
	// Status holds the small facts to write at the end of the pass (SpentRequest, AuthVersion,
	// AuthStep, History). Term changes only through RecordTerm.
	Status Status
	// Again is when to look again if no event comes: an absolute time of the operator's clock, 0 if
	// only an event can change the decision.
	Again time.Duration
	// Held: a switchover holds clients, and the pass has orders for members only. Nothing else is read or written meanwhile.
	Held bool
	// Offsets: what holds the pass up is an offset, which moves without telling, so members are asked.
	Offsets bool
}

// Step is one action and why it is taken.
type Step struct {
	Action Action
	Why    string
}

// Action is one of the structs below. String is stable and short: stories are compared by it.
type Action interface {
	fmt.Stringer
	// Disruptive actions take something away from the set; a pass has at most one.
	Disruptive() bool
}

// Target names exactly one process.
type Target struct {
	Name        string
	Voter       member.Voter
	Incarnation member.Incarnation
	// Met: the leader quorum-read status after it met the incarnation (rule 9); goes into the Order.
	Met bool
}

// CreatePod makes the pod (and claim) of an ordinal that has none.
type CreatePod struct {
	Name     string
	Ordinal  int
	Revision string
	Persists bool
}

// DeletePod deletes this very pod.
type DeletePod struct {
	Name string
	UID  member.Voter
}

// StopLeases ends the leases for a reign in this leader before anything else happens (rule 4).
type StopLeases struct{ Term member.Term }

// RecordTerm writes status.term by compare-and-set on Expect (the resource version that was read);
// apply checks leadership immediately before. A conflict or an unknown outcome ends the pass and
// calls for a fresh quorum read.
type RecordTerm struct {
	Expect string
	Next   TermRecord
}

// GrantLeases lets this leader answer lease requests of the reign (see Lessor).
type GrantLeases struct{ Reign Reign }

// Adopt sends member.Adopt.
type Adopt struct {
	Target   Target
	Term     member.Term
	Handover bool
	Next     string // primary port of the member that is to become master, see member.Adopt
}

// Promote sends member.Promote with everything as recorded.
type Promote struct {
	Target Target
	Record TermRecord
	// After is where the old master ended, in a planned handover: the member adopts the term in the same step if it holds that.
	After *member.Position
	// Unfenced: failover.fencing is None, so the master writes without leases and vouchers (S1 is given up).
	Unfenced bool
}

// Follow sends member.Follow.
type Follow struct {
	Target   Target
	Term     member.Term
	Upstream member.Upstream
	Master   Reign
	GivenUp  member.History
	Primary  string // of the master, see Pod
}

// TakeRoster sends member.TakeRoster to the master.
type TakeRoster struct {
	Target  Target
	Term    member.Term
	Rosters member.Rosters
}

// Park sends member.Park.
type Park struct {
	Target Target
	Term   member.Term
}

// PauseClients sends member.Pause.
type PauseClients struct {
	Target Target
	Term   member.Term
	Length time.Duration
}

// ResumeClients sends member.Resume.
type ResumeClients struct {
	Target Target
	Term   member.Term
}

// SetConfig sends the directives of Spec.ConfigVersion that a restart is not needed for.
type SetConfig struct {
	Target  Target
	Term    member.Term
	Version string
}

// Rotate sends one step of a password change.
type Rotate struct {
	Target  Target
	Term    member.Term
	Step    member.Rotation
	Version string
}

// SaveData asks a member for a durable snapshot (S4).
type SaveData struct {
	Target Target
	Term   member.Term
}

// PointService makes the read-write Service lead to Master and the read-only one to Readers.
type PointService struct {
	Master  member.Voter
	Readers []member.Voter
}

// WriteObject writes an owned object again.
type WriteObject struct{ Kind, Name string }

// Event is for people (events.k8s.io).
type Event struct {
	Warning bool
	Reason  string
	Note    string
}

// Condition is one status condition; apply fills in times.
type Condition struct {
	Type    string
	True    bool
	Reason  string
	Message string
}

// Condition types.
const (
	ConditionReady        = "Ready"
	ConditionReconciling  = "Reconciling"
	ConditionStalled      = "Stalled"
	ConditionGuardTripped = "GuardTripped"
	ConditionDataLost     = "DataLost"
	ConditionDataSetAside = "DataSetAside"
	ConditionMemoryOnly   = "MemoryOnly"
	ConditionUnfenced     = "FencingOff"
)

// SyncState of a member in status.
type SyncState string

// Sync states.
const (
	InSync     SyncState = "InSync"
	CatchingUp SyncState = "CatchingUp"
	Syncing    SyncState = "Syncing"
	Parked     SyncState = "Parked"
	Down       SyncState = "Down"
)

// MemberStatus is one line of status.members: nothing in it changes every second.
type MemberStatus struct {
	Name        string
	Role        member.Role
	Upstream    string
	Incarnation member.Incarnation
	Sync        SyncState
	Persisted   bool
	Reason      string
}

// Disruptive: what takes something away.
func (CreatePod) Disruptive() bool     { return false }
func (DeletePod) Disruptive() bool     { return true }
func (StopLeases) Disruptive() bool    { return false }
func (a RecordTerm) Disruptive() bool  { return a.Next.Master == nil }
func (GrantLeases) Disruptive() bool   { return false }
func (Adopt) Disruptive() bool         { return false }
func (Promote) Disruptive() bool       { return false }
func (Follow) Disruptive() bool        { return false }
func (TakeRoster) Disruptive() bool    { return false }
func (Park) Disruptive() bool          { return false }
func (PauseClients) Disruptive() bool  { return false }
func (ResumeClients) Disruptive() bool { return false }
func (SetConfig) Disruptive() bool     { return false }
func (Rotate) Disruptive() bool        { return false }
func (SaveData) Disruptive() bool      { return false }
func (PointService) Disruptive() bool  { return false }
func (WriteObject) Disruptive() bool   { return false }
func (Event) Disruptive() bool         { return false }

func (t Target) String() string { return t.Name + "/" + string(t.Incarnation) }

func (a CreatePod) String() string  { return "CreatePod " + a.Name }
func (a DeletePod) String() string  { return fmt.Sprintf("DeletePod %s (%s)", a.Name, a.UID) }
func (a StopLeases) String() string { return fmt.Sprintf("StopLeases term %d", a.Term) }
func (a RecordTerm) String() string {
	return "RecordTerm " + a.Next.String()
}
func (a GrantLeases) String() string {
	return fmt.Sprintf("GrantLeases term %d to %s", a.Reign.Term, a.Reign.Incarnation)
}
func (a Adopt) String() string { return fmt.Sprintf("Adopt %s term %d", a.Target, a.Term) }
func (a Promote) String() string {
	return fmt.Sprintf("Promote %s term %d", a.Target, a.Record.Number)
}
func (a Follow) String() string {
	return fmt.Sprintf("Follow %s -> %s term %d", a.Target, a.Upstream.Name, a.Term)
}
func (a TakeRoster) String() string {
	return fmt.Sprintf("TakeRoster %s %s term %d", a.Target, rostersString(a.Rosters), a.Term)
}
func (a Park) String() string { return fmt.Sprintf("Park %s term %d", a.Target, a.Term) }
func (a PauseClients) String() string {
	return fmt.Sprintf("PauseClients %s for %v", a.Target, a.Length)
}
func (a ResumeClients) String() string { return "ResumeClients " + a.Target.String() }
func (a SetConfig) String() string     { return fmt.Sprintf("SetConfig %s %s", a.Target, a.Version) }
func (a Rotate) String() string        { return fmt.Sprintf("Rotate %s %s %s", a.Target, a.Step, a.Version) }
func (a SaveData) String() string      { return "SaveData " + a.Target.String() }
func (a PointService) String() string {
	return fmt.Sprintf("PointService %s readers %v", a.Master, a.Readers)
}
func (a WriteObject) String() string { return "WriteObject " + a.Kind + "/" + a.Name }
func (a Event) String() string       { return "Event " + a.Reason + ": " + a.Note }

func rostersString(r member.Rosters) string {
	one := func(r member.Roster) string {
		v := make([]string, len(r.Voters))
		for i, x := range r.Voters {
			v[i] = string(x)
		}
		return fmt.Sprintf("#%d[%s]k%d", r.Version, strings.Join(v, " "), r.K)
	}
	if r.Old == nil {
		return one(r.New)
	}
	return one(*r.Old) + "=>" + one(r.New)
}

func (t TermRecord) String() string {
	who := "no master"
	switch {
	case t.Master != nil:
		who = t.Master.Name + "/" + string(t.Master.Incarnation)
	case t.handing():
		who = t.Appointed.Name + "/" + string(t.Appointed.Incarnation) + " appointed"
	}
	return fmt.Sprintf("%d %s %s", t.Number, who, rostersString(t.Rosters))
}

func (d Decision) String() string {
	var b strings.Builder
	for _, s := range d.Steps {
		fmt.Fprintf(&b, "%s: %s\n", s.Action, s.Why)
	}
	return b.String()
}
