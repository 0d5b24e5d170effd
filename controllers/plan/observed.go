package plan

import (
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// Observed is everything a pass knows. Times are the operator's own monotonic clock (boot time), zero
// when the event never happened; they are comparable with Now and with nothing else.
type Observed struct {
	Now     time.Duration
	Leader  Leadership
	Spec    Spec
	Status  Status
	Members []Member       // pods of the set, by name; also those that are no longer wanted
	Deaths  []Death        // proofs heard since the incarnation was recorded; never guessed (rule 10)
	Service ServiceState   // where the read-write Service points now
	Problem []ObjectAction // owned objects (Services, Secrets, ...) that are missing or drifted
}

// Leadership is the operator's own right to act.
type Leadership struct {
	// Since is when this process began to lead without a break; no lease of its own is older.
	Since time.Duration
	// Leads is whether it led when Observed was completed. apply checks again before every
	// RecordTerm and memberclient before every lease (rules 7, 8).
	Leads bool
	// StatusRead is when the quorum read of Status that Observed holds was begun. Zero or before
	// Since: nothing that needs a record may be decided.
	StatusRead time.Duration
	// TermSeen is when this process first read the present master (or its absence) from status.
	TermSeen time.Duration
	// LastLease is when this process last granted a lease to the set, zero if never.
	LastLease time.Duration
}

// Shape of the replication topology.
type Shape string

// Shapes.
const (
	Star  Shape = "Star"
	Chain Shape = "Chain"
	Tree  Shape = "Tree"
)

// PersistOn says which members keep their data on disk.
type PersistOn string

// Choices of persistence.
const (
	PersistNone     PersistOn = "None"
	PersistAll      PersistOn = "All"
	PersistReplicas PersistOn = "Replicas"
)

// Spec is the wish, with defaults filled in.
type Spec struct {
	Name       string
	UID        string
	Members    int
	Request    string // spec.master: a wish acted on once per change (Status.SpentRequest)
	Priorities []string
	Shape      Shape
	FanOut     int
	Persist    PersistOn
	K          int // synchronousReplicas
	Lease      time.Duration
	// SuspectAfter is for how long the master must be silent before peers' word counts. 0: Silence of Lease.
	SuspectAfter time.Duration
	Automatic    bool // unplanned failover without a person
	Strict       bool // fencing; false trades S1 for availability
	Paused       bool
	Deleting     bool
	// Revision is the digest of everything in a pod that only a restart can change.
	Revision      string
	ConfigVersion string // digest of the directives that CONFIG SET can change
	AuthVersion   string // digest of the password Secret's content
	// ColdStart is for how long to wait for members that may hold more than those that answered.
	ColdStart time.Duration
	// AcceptLoss is a person's word that what cannot be reached is gone: voters that do not answer
	// are taken for dead and empty. The documented override of rule 12.
	AcceptLoss    bool
	SwitchTimeout time.Duration // for how long clients may be held in a switchover
}

// Status is what the resource's status says, read from a quorum.
type Status struct {
	// Version is the resource version for the compare-and-set.
	Version string
	// Lost: the resource has no term record. Either the set is new or its status was wiped; the
	// members tell which (rule 12).
	Lost         bool
	Term         TermRecord
	SpentRequest string
	// AuthVersion is the password that every member is known to use; a rotation ends by setting it.
	AuthVersion string
	// AuthStep is the step of a rotation in progress towards AuthTarget, "" if none.
	AuthStep   member.Rotation
	AuthTarget string
	History    []Failover // last ten
}

// TermRecord is status.term: the only truth about who may be master.
type TermRecord struct {
	Number  member.Term
	Master  *Reign // nil while a depose is under way
	Rosters member.Rosters
	// Unfenced is the last recorded master until a new one is recorded: it may still write (rule 4).
	Unfenced *Reign
	// Appointed is whom a planned switchover recorded as master of this term before the old one was fenced: it may reign
	// already, and only it ever will in that term. When the switchover is given up it stays in the next term's record, as
	// Unfenced does, until a master is recorded (rules 4, 13).
	Appointed *Reign
	// Gone is voters proven never to run again, noted before their pods, which hold the proof, are
	// deleted. Cleared when a master is recorded.
	Gone []member.Voter
	// Disks is the names of members whose pods, now gone, kept data on a disk: it is read before data is taken for
	// lost, wanted or not. Cleared when a master is recorded.
	Disks []string
	// Lease is the longest promise that may have been given under the reign in force or unfenced.
	Lease time.Duration
	// GivenUp is the reigns whose data a person gave up when a new history began: a member that comes
	// back with it sets it aside and takes the new data (S2). It holds for all later terms.
	GivenUp member.History
	// Lineage is the reigns of the set's data, oldest first: what "the set's history" means (rule 6).
	Lineage member.History
	// Target is the pod that a switchover in progress wants, "" in an unplanned failover.
	Target member.Voter
	// Reason is why the last change of Number was made.
	Reason string
}

// Reign is one master of one term, for ever the same (rule 7).
type Reign struct {
	Term        member.Term
	Name        string
	Voter       member.Voter
	Incarnation member.Incarnation
	ReplID      string
}

// Failover is one line of status.history.
type Failover struct {
	Term     member.Term
	From, To string
	Reason   string
	Offset   int64
	Lost     int64 // bytes of the old master's tail known to be set aside
}

// Member is one pod of the set with what its processes said.
type Member struct {
	Name    string // stable name: <set>-<ordinal>
	Ordinal int
	Pod     Pod
	// Connected: the management connection stands. LostAt is since when it does not (0 while it
	// does or when it never did).
	Connected bool
	LostAt    time.Duration
	MetAt     time.Duration  // when this incarnation was first heard (rule 9)
	Report    *member.Report // last word of the present incarnation, nil if it never spoke
	ReportAt  time.Duration
	// Answer is its adoption of the highest term it was asked for, by the present incarnation.
	Answer   *member.Adopted
	AnswerAt time.Duration
	Refused  *member.Refusal // answer to the last order, when that was a refusal
}

// Pod is the Kubernetes side of a member.
type Pod struct {
	UID      member.Voter // "" when no pod exists
	Addr     string       // host:port of the data listener
	Primary  string       // host:port of the listener for clients that want the master, "" when there is none
	Revision string       // Spec.Revision that the pod was made from
	Persists bool         // made with persistence on
	Node     string
	NodeGone bool // deleted or out-of-service: a proof of death
	Deleting bool
	// Ended: restartPolicy Never and all its containers ended, so it will never run again.
	Ended bool
	Ready bool
	// NeverRan: no container of it ever started, so it holds nothing and promised nothing.
	NeverRan bool
	// FreshClaim: its claim was made for it; no other pod ever wrote there.
	FreshClaim bool
	// Problem is why it does not run, for people ("ImagePullBackOff: ...", "Unschedulable: ...").
	Problem string
}

// Proof is how an incarnation is known to be dead (rule 10).
type Proof string

// Proofs of death.
const (
	ProofSupervisor Proof = "supervisor" // its own report for that incarnation
	ProofKubelet    Proof = "kubelet"    // terminated state for that container ID
	ProofNewer      Proof = "newer"      // a newer incarnation in the same pod UID
	ProofNode       Proof = "node"       // node deleted or out-of-service
)

// Death proves that an incarnation has ended.
type Death struct {
	Voter       member.Voter
	Incarnation member.Incarnation
	Proof       Proof
	Cause       string
	// Final: no later incarnation can begin in that pod (all its containers were seen terminated
	// while it was being deleted, or they never restart).
	Final bool
}

// ServiceState is where the Services point.
type ServiceState struct {
	Master  member.Voter
	Readers []member.Voter
}

// ObjectAction is an owned object to be written again, found by comparing with resources' desired form.
type ObjectAction struct {
	Kind, Name string
	Why        string
}
