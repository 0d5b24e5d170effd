package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ReplicaSetStatus is what the operator has recorded. Nothing in it changes every second.
type ReplicaSetStatus struct {
	// The generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// The member that is master now; empty while there is none.
	// +optional
	Master string `json:"master,omitempty"`
	// Members in sync of members asked for, the master included, such as 2/3.
	// +optional
	InSync string `json:"inSync,omitempty"`
	// The condition that most needs attention, in one word.
	// +optional
	Phase string `json:"phase,omitempty"`
	// Pods of the set, for the scale subresource.
	// +optional
	Replicas int32 `json:"replicas"`
	// The label selector of the pods, for the scale subresource.
	// +optional
	Selector string `json:"selector,omitempty"`
	// The server image in use when spec.image is empty.
	// +optional
	Image string `json:"image,omitempty"`
	// The last spec.master that was acted on or spent.
	// +optional
	SpentMaster string `json:"spentMaster,omitempty"`
	// The password version that every member is known to use, a keyed digest; the step of a rotation under way, and
	// the version that it is to bring.
	// +optional
	AuthVersion string `json:"authVersion,omitempty"`
	// +optional
	AuthStep string `json:"authStep,omitempty"`
	// +optional
	AuthTarget string `json:"authTarget,omitempty"`
	// Who may write. Only the operator's leader changes it, by compare-and-set on the resource version.
	// +optional
	Term *TermRecord `json:"term,omitempty"`
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Members []MemberStatus `json:"members,omitempty"`
	// The last ten changes of master, newest first.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +optional
	History []Transition `json:"history,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TermRecord is the record of a term: it says which incarnation of which pod may write, and who the
// voters are. It is written before anything is done about it (record, then promote).
type TermRecord struct {
	// The number of the term. It only grows.
	// +kubebuilder:validation:XValidation:rule="self >= oldSelf",message="a term never goes back"
	Number int64 `json:"number"`
	// The master; none between a deposition and the next promotion.
	// +optional
	Master *Reign `json:"master,omitempty"`
	// The last recorded master until a new one is recorded: it may still write.
	// +optional
	Unfenced *Reign `json:"unfenced,omitempty"`
	// The member that is to be master of this term and may be already: a planned switchover names it before clients are held.
	// It stays, besides the unfenced master, until a master is recorded.
	// +optional
	Appointed *Reign `json:"appointed,omitempty"`
	// Since when there was no master, kept until there is none again: from here the duration of a failover is counted.
	// +optional
	VacantSince *metav1.MicroTime `json:"vacantSince,omitempty"`
	// Voters proven never to run again, noted before their pods, which hold the proof, are deleted.
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Gone []types.UID `json:"gone,omitempty"`
	// Members whose pods, now gone, kept data on a disk. It is read before data is taken for lost.
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Disks []string `json:"disks,omitempty"`
	// The pods whose vouchers count.
	// +optional
	Roster Roster `json:"roster"`
	// The roster before, until the master confirmed the new one; until then every count must hold in both.
	// +optional
	OldRoster *Roster `json:"oldRoster,omitempty"`
	// The longest lease that may have been given under the reign in force or unfenced.
	// +optional
	Lease metav1.Duration `json:"lease"`
	// The reigns of the set's data, oldest first: what makes a data set the set's.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Lineage []Epoch `json:"lineage,omitempty"`
	// The reigns whose data a person gave up by accepting a loss, when a new history began: a member that
	// comes back with such data sets it aside in a file and takes the new data.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	GivenUp []Epoch `json:"givenUp,omitempty"`
	// The pod that a switchover under way wants.
	// +optional
	Target types.UID `json:"target,omitempty"`
	// Why the number was raised last.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// Reign names one incarnation of one member as the master of one term, for ever.
type Reign struct {
	Term int64 `json:"term"`
	// The member's name.
	Member string `json:"member"`
	// The pod's UID.
	PodUID types.UID `json:"podUID"`
	// The run of the server process.
	Incarnation string `json:"incarnation"`
	// The replication ID that the reign opens.
	// +optional
	ReplicationID string `json:"replicationID,omitempty"`
}

// Epoch is one reign in the life of the data: writes from the offset on were made in this term.
type Epoch struct {
	Term int64 `json:"term"`
	// +optional
	ReplicationID string `json:"replicationID"`
	// +optional
	Start int64 `json:"start"`
}

// Roster is a list of voters, with the number of synchronous replicas that it was made for.
type Roster struct {
	// Grows with every change of the roster within the life of the set.
	Version int64 `json:"version"`
	// +optional
	SynchronousReplicas int32 `json:"synchronousReplicas"`
	// UIDs of pods: a pod of the same name made again is another voter.
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Voters []types.UID `json:"voters,omitempty"`
}

// MemberStatus is one member as last seen.
type MemberStatus struct {
	Name string `json:"name"`
	// Master, Replica or Parked; empty while unknown.
	// +optional
	Role string `json:"role,omitempty"`
	// The member it replicates from.
	// +optional
	Upstream string `json:"upstream,omitempty"`
	// +optional
	PodUID types.UID `json:"podUID,omitempty"`
	// +optional
	Incarnation string `json:"incarnation,omitempty"`
	// InSync, CatchingUp, Syncing, Parked or Down.
	Sync SyncState `json:"sync"`
	// Whether the member has a snapshot on disk.
	// +optional
	Persisted bool `json:"persisted,omitempty"`
	// Why it is not in sync.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// SyncState says how far a member is.
//
// +kubebuilder:validation:Enum=InSync;CatchingUp;Syncing;Parked;Down
type SyncState string

// The states.
const (
	InSync     SyncState = "InSync"
	CatchingUp SyncState = "CatchingUp"
	Syncing    SyncState = "Syncing"
	Parked     SyncState = "Parked"
	Down       SyncState = "Down"
)

// Transition is one change of master.
type Transition struct {
	Term int64 `json:"term"`
	// +optional
	From string `json:"from,omitempty"`
	To   string `json:"to"`
	// Why: a failover with its cause, a switchover, the first start.
	// +optional
	Reason string `json:"reason,omitempty"`
	// The offset at which the new master took over.
	// +optional
	Offset int64 `json:"offset,omitempty"`
	// Bytes of the old master's tail that are known to be set aside.
	// +optional
	Lost int64 `json:"lost,omitempty"`
	// From the record that ended the old reign (its loss was certain, or a switchover was ready) until the new master was
	// seen to accept writes.
	// +optional
	Duration string `json:"duration,omitempty"`
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}
