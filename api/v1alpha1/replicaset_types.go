package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReplicaSet keeps one replicated data set: a master and its replicas. Plain `kubectl get replicaset`
// names the one of apps/v1; use `urs` or `replicasets.understudy.dev`.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=replicasets,singular=replicaset,shortName=urs,categories=all
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.members,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:printcolumn:name="Master",type=string,JSONPath=`.status.master`
// +kubebuilder:printcolumn:name="In Sync",type=string,JSONPath=`.status.inSync`,description="members in sync of members asked for, the master included"
// +kubebuilder:printcolumn:name="Term",type=integer,JSONPath=`.status.term.number`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Condition",type=string,JSONPath=`.status.phase`,description="the condition that most needs attention"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 52",message="metadata.name must have at most 52 characters: names of pods and services are made from it"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must begin with a letter and hold only a-z, 0-9 and '-': services are named after it"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.master) || self.spec.master.size() == 0 || (self.spec.master.startsWith(self.metadata.name + '-') && self.spec.master.substring(self.metadata.name.size() + 1).matches('^(0|[1-9][0-9]?)$'))",message="spec.master must name a member: the set's name, '-', and the member's index"
type ReplicaSet struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:default={}
	// +optional
	Spec ReplicaSetSpec `json:"spec,omitempty"`
	// +optional
	Status ReplicaSetStatus `json:"status,omitempty"`
}

// ReplicaSetList is a list of ReplicaSets.
//
// +kubebuilder:object:root=true
type ReplicaSetList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ReplicaSet `json:"items"`
}

// ReplicaSetSpec is what the user asks for.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replication) || self.replication.minReplicasToWrite < self.members",message="replication.minReplicasToWrite must be below members: the master is not its own replica"
// +kubebuilder:validation:XValidation:rule="!has(self.replication) || self.replication.synchronousReplicas < self.members",message="replication.synchronousReplicas must be below members: the master is not its own replica"
// +kubebuilder:validation:XValidation:rule="!has(self.persistence) || self.persistence.by == 'All' || self.members > 1",message="persistence.by: Replicas needs at least two members: a lone member is the master"
// +kubebuilder:validation:XValidation:rule="!has(self.persistence) || !has(oldSelf.persistence) || self.persistence.mode == oldSelf.persistence.mode || (self.members > 1 && oldSelf.members > 1)",message="persistence.mode cannot change in a set of one member: the restart would lose its data. Scale to two members first"
// +kubebuilder:validation:XValidation:rule="!has(self.persistence) || !has(oldSelf.persistence) || self.persistence.mode != 'None' || oldSelf.persistence.mode == 'None' || self.members == oldSelf.members",message="change members and switch persistence off in two steps, so that a full copy of the data always stays"
// +kubebuilder:validation:XValidation:rule="!has(self.replicaOf)",message="replicaOf is not yet supported"
type ReplicaSetSpec struct {
	// How many members the set has: one master, the others replicas.
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=15
	// +optional
	Members int32 `json:"members"`

	// The member asked to be master, such as orders-1. It is a request: acted on once per change, and
	// spent by an unplanned failover, so that the operator never fights over it. Empty: no wish.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Master string `json:"master,omitempty"`

	// Who replicates from whom.
	// +kubebuilder:default={}
	// +optional
	Topology Topology `json:"topology"`

	// What is kept on disk.
	// +kubebuilder:default={}
	// +optional
	Persistence Persistence `json:"persistence"`

	// The password of the set.
	// +kubebuilder:default={}
	// +optional
	Auth Auth `json:"auth"`

	// How writes reach the replicas.
	// +kubebuilder:default={}
	// +optional
	Replication Replication `json:"replication"`

	// An outside master which the whole set follows. Not yet supported.
	// +optional
	ReplicaOf *ReplicaOf `json:"replicaOf,omitempty"`

	// What happens when the master is lost.
	// +kubebuilder:default={}
	// +optional
	Failover Failover `json:"failover"`

	// Further directives of the server, as in redis.conf. Directives that the operator owns are refused.
	// A changeable one is set live; another one is rolled out, replicas first.
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-z][a-z0-9_-]*$'))",message="directives are written in lower case"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['port','bind','bind-source-addr','unixsocket','unixsocketperm','protected-mode','dir','dbfilename','daemonize','supervised','pidfile','logfile','include','loadmodule','aclfile','user','rename-command','databases-dir','set-uid','pod-uid','managed','supervise','pod-name','data-dir','state-dir','password-file','http-addr','primary-port']))",message="this directive is owned by the operator and cannot be set in config"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['slaveof','replicaof','masterauth','masteruser','requirepass','slave-read-only','replica-read-only','slave-priority','replica-priority']) && !k.startsWith('slave-announce-') && !k.startsWith('replica-announce-'))",message="topology and credentials are owned by the operator: use spec.master, spec.replicaOf and spec.auth"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('tls-') && !k.startsWith('management-') && !k.startsWith('cluster-'))",message="tls-*, management-* and cluster-* are owned by the operator and cannot be set in config"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('min-slaves-') && !k.startsWith('min-replicas-') && !(k in ['repl-backlog-size','repl-disk-backlog-size','synchronous-replicas','slave-serve-stale-data','replica-serve-stale-data']))",message="use spec.replication for this directive"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['save','appendonly','appendfilename','appenddirname']))",message="use spec.persistence for this directive"
	// +optional
	Config map[string]ConfigValue `json:"config,omitempty"`

	// Commands under other names; an empty name takes the command away.
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[A-Za-z][A-Za-z0-9|._-]*$'))",message="renameCommands holds command names"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k.lowerAscii() in ['auth','hello','ping','sync','psync','replconf']))",message="AUTH, HELLO, PING, SYNC, PSYNC and REPLCONF are needed for replication and cannot be renamed"
	// +optional
	RenameCommands map[string]CommandName `json:"renameCommands,omitempty"`

	// The server's image. Empty: the image that the operator came with when it first saw the set, recorded
	// in status.image, so that an upgrade of the operator restarts nothing.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Image string `json:"image,omitempty"`

	// Stops every change by the operator: no failover, no repair, no rollout. The operator goes on giving
	// the master its lease, so the data set stays writable.
	// +kubebuilder:default=false
	// +optional
	Paused bool `json:"paused"`

	// What the members' pods look like.
	// +kubebuilder:default={}
	// +optional
	Template MemberTemplate `json:"template"`
}

// ConfigValue is the value of a directive: one line.
//
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]*$`
type ConfigValue string

// CommandName is the new name of a command, or empty.
//
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._-]*$`
type CommandName string

// Topology says who replicates from whom.
//
// +kubebuilder:validation:XValidation:rule="!has(self.shape) || self.shape == 'Tree' || !has(self.fanOut)",message="fanOut belongs to shape: Tree"
// +kubebuilder:validation:XValidation:rule="!has(self.shape) || self.shape != 'Tree' || has(self.fanOut)",message="shape: Tree needs fanOut"
type Topology struct {
	// Star: every replica follows the master. Chain: each follows the one before it. Tree: each feeds at
	// most fanOut others.
	// +kubebuilder:default=Star
	// +kubebuilder:validation:Enum=Star;Chain;Tree
	// +optional
	Shape TopologyShape `json:"shape"`
	// How many replicas one member feeds in a Tree.
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=15
	// +optional
	FanOut *int32 `json:"fanOut,omitempty"`
}

// TopologyShape is Star, Chain or Tree.
type TopologyShape string

// The shapes.
const (
	Star  TopologyShape = "Star"
	Chain TopologyShape = "Chain"
	Tree  TopologyShape = "Tree"
)

// Persistence says what is kept on disk.
//
// +kubebuilder:validation:XValidation:rule="!has(self.storage) || !has(oldSelf.storage) || self.storage.className == oldSelf.storage.className || self.mode == 'None'",message="persistence.storage.className cannot change: a claim keeps its class"
type Persistence struct {
	// None keeps the data in memory only: a member that restarts comes back empty and is filled by the
	// others. RDB saves snapshots. AOF appends every write to a file; the directive appendfsync in config says
	// when it is synced: everysec, or always, before a reply leaves. RDBAndAOF does both.
	// +kubebuilder:default=RDB
	// +kubebuilder:validation:Enum=None;RDB;AOF;RDBAndAOF
	// +optional
	Mode PersistenceMode `json:"mode"`
	// Which members save: all, or the replicas only, which takes the work off the master.
	// +kubebuilder:default=All
	// +kubebuilder:validation:Enum=All;Replicas
	// +optional
	By PersistenceBy `json:"by"`
	// When a snapshot is saved, in the modes with RDB: pairs of seconds and changes, as the save directive of
	// redis.conf.
	// +kubebuilder:default="3600 1 300 100 60 10000"
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[0-9]+ [0-9]+( [0-9]+ [0-9]+)*$`
	// +optional
	Save string `json:"save"`
	// Each member's claim.
	// +kubebuilder:default={}
	// +optional
	Storage Storage `json:"storage"`
}

// PersistenceMode says in which form data is kept on disk.
type PersistenceMode string

// The modes.
const (
	PersistenceNone      PersistenceMode = "None"
	PersistenceRDB       PersistenceMode = "RDB"
	PersistenceAOF       PersistenceMode = "AOF"
	PersistenceRDBAndAOF PersistenceMode = "RDBAndAOF"
)

// PersistenceBy says which members save.
type PersistenceBy string

// The choices.
const (
	PersistByAll      PersistenceBy = "All"
	PersistByReplicas PersistenceBy = "Replicas"
)

// Storage describes each member's claim.
type Storage struct {
	// The claim's size. It may grow, never shrink.
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="persistence.storage.size must be positive"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",message="persistence.storage.size cannot shrink"
	// +optional
	Size resource.Quantity `json:"size"`
	// The storage class; empty is the cluster's default.
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ClassName string `json:"className"`
	// What happens to the claims when the set is deleted. Retained claims are adopted again by a set of the
	// same name.
	// +kubebuilder:default=Retain
	// +kubebuilder:validation:Enum=Retain;Delete
	// +optional
	WhenDeleted RetentionPolicy `json:"whenDeleted"`
}

// RetentionPolicy is Retain or Delete.
type RetentionPolicy string

// The policies.
const (
	Retain RetentionPolicy = "Retain"
	Delete RetentionPolicy = "Delete"
)

// Auth names the password.
type Auth struct {
	// A Secret in the same namespace with the key "password". A change of it rotates the password live.
	// Empty: the operator makes a Secret named after the set, with a random password.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	SecretName string `json:"secretName,omitempty"`
}

// Replication says how writes reach the replicas.
type Replication struct {
	// The master refuses writes while fewer replicas than this are connected and fresh.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinReplicasToWrite int32 `json:"minReplicasToWrite"`
	// How long ago a replica may have acknowledged and still count as fresh.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]+(s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="replication.minReplicasMaxLag must be at least 1s"
	// +kubebuilder:validation:Type=string
	// +optional
	MinReplicasMaxLag metav1.Duration `json:"minReplicasMaxLag"`
	// How many replicas must hold everything that a reply of the master reflects before it leaves, reads included; a promotion then
	// waits for enough members that one of them must have it. While a set has fewer voters than that and one more, as when it is
	// new, so many as there are.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	// +optional
	SynchronousReplicas int32 `json:"synchronousReplicas"`
	// How much of the stream is kept in memory for replicas that were cut off.
	// +kubebuilder:default="64Mi"
	// +optional
	BacklogSize resource.Quantity `json:"backlogSize"`
	// How much of the stream may be kept on disk beyond that for a replica that is connected and slow, so that it is not synced
	// anew. It lies on the member's claim: at most a quarter of persistence.storage.size is used, and nothing in a set without
	// storage. 0: none.
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="!quantity(string(self)).isLessThan(quantity('0'))",message="replication.diskBacklogSize must not be negative"
	// +optional
	DiskBacklogSize resource.Quantity `json:"diskBacklogSize"`
	// Whether a replica answers reads while it has lost its master.
	// +kubebuilder:default=true
	// +optional
	ServeStaleData *bool `json:"serveStaleData"`
}

// ReplicaOf is an outside master.
type ReplicaOf struct {
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host"`
	// +kubebuilder:default=6379
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port"`
	// +kubebuilder:validation:MaxLength=253
	// +optional
	SecretName string `json:"secretName,omitempty"`
}

// Failover says what happens when the master is lost.
type Failover struct {
	// Automatic promotes the best replica; Manual waits for spec.master to change.
	// +kubebuilder:default=Automatic
	// +kubebuilder:validation:Enum=Automatic;Manual
	// +optional
	Mode FailoverMode `json:"mode"`
	// How long a master may accept writes without hearing from the operator or from a quorum of its
	// replicas. Shorter means a faster failover, and less patience with slow networks.
	// +kubebuilder:default="2s"
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]+(ms|s|m))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('500ms') && duration(self) <= duration('60s')",message="failover.leaseDuration must be between 500ms and 60s"
	// +kubebuilder:validation:Type=string
	// +optional
	LeaseDuration metav1.Duration `json:"leaseDuration"`
	// Strict never promotes before the old master is proven unable to write. None trades this for
	// availability: two masters may then accept writes at once, and one of the two histories is lost.
	// +kubebuilder:default=Strict
	// +kubebuilder:validation:Enum=Strict;None
	// +optional
	Fencing Fencing `json:"fencing"`
	// Whether a former master gets its role back by itself. Only Never.
	// +kubebuilder:default=Never
	// +kubebuilder:validation:Enum=Never
	// +optional
	Failback string `json:"failback"`
	// How long a set whose members all restarted waits for those that are still missing, before it starts
	// with the ones that are there.
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]+(s|m|h))+$`
	// +kubebuilder:validation:Type=string
	// +optional
	ColdStartTimeout metav1.Duration `json:"coldStartTimeout"`
}

// FailoverMode is Automatic or Manual.
type FailoverMode string

// The modes.
const (
	FailoverAutomatic FailoverMode = "Automatic"
	FailoverManual    FailoverMode = "Manual"
)

// Fencing is Strict or None.
type Fencing string

// The choices.
const (
	FencingStrict Fencing = "Strict"
	FencingNone   Fencing = "None"
)

// MemberTemplate is what the user may say about the members' pods.
type MemberTemplate struct {
	// Further labels of the pods.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('understudy.dev/') && !k.startsWith('app.kubernetes.io/'))",message="labels of understudy.dev/ and app.kubernetes.io/ are the operator's"
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Further annotations of the pods.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('understudy.dev/'))",message="annotations of understudy.dev/ are the operator's"
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// Requests and limits of the server. maxmemory and the collector's limit follow from limits.memory.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// Empty: members are spread over nodes where that is possible.
	// +optional
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// +kubebuilder:default=IfNotPresent
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy"`
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// How long a member may take to hand over and save before it is killed.
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=3600
	// +optional
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds"`
}
