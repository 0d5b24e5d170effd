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
	Number int64 `json:"number"`
	// The master of this term; none between a deposition and the next promotion.
	// +optional
	Master *MasterRef `json:"master,omitempty"`
	// The master of an earlier term that is not yet proven unable to write.
	// +optional
	Unfenced *MasterRef `json:"unfenced,omitempty"`
	// The pods whose vouchers count.
	// +optional
	Roster *Roster `json:"roster,omitempty"`
	// The roster that is being taken into use; until the master confirms it every count must hold in both.
	// +optional
	NextRoster *Roster `json:"nextRoster,omitempty"`
	// The replication ID of the set's history under this term.
	// +optional
	ReplicationID string `json:"replicationID,omitempty"`
	// When the term was opened.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// MasterRef names one incarnation of one member as the master of a term.
type MasterRef struct {
	// The term which it was master of.
	Term int64 `json:"term"`
	// The member's name.
	Member string `json:"member"`
	// The pod's UID.
	PodUID types.UID `json:"podUID"`
	// The run of the server process.
	Incarnation string `json:"incarnation"`
}

// Roster is a list of voters together with the number of synchronous replicas it was made for.
type Roster struct {
	// Grows with every change of the roster within the life of the set.
	Generation int64 `json:"generation"`
	// +optional
	SynchronousReplicas int32 `json:"synchronousReplicas"`
	// +listType=map
	// +listMapKey=podUID
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Voters []Voter `json:"voters,omitempty"`
}

// Voter is a pod, by UID: a pod of the same name made again is another voter.
type Voter struct {
	Member string    `json:"member"`
	PodUID types.UID `json:"podUID"`
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
	// Failover, Switchover, FirstMaster, Reappointed or DataLost.
	Reason string `json:"reason"`
	// The last offset known of the old master.
	// +optional
	FromOffset int64 `json:"fromOffset,omitempty"`
	// The offset at which the new master took over.
	// +optional
	ToOffset int64 `json:"toOffset,omitempty"`
	// Bytes of the stream that the new master did not have, where the old one's end is known.
	// +optional
	Lost *int64 `json:"lost,omitempty"`
	// From the suspicion or request to the promotion.
	// +optional
	Duration string      `json:"duration,omitempty"`
	At       metav1.Time `json:"at"`
}
