package resources

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

// Labels and annotations of owned objects.
const (
	LabelSet       = "understudy.dev/set"
	LabelMember    = "understudy.dev/member"
	LabelRole      = "understudy.dev/role"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "understudy"

	AnnotationRevision = "understudy.dev/revision"
	AnnotationPersists = "understudy.dev/persists"
	// AnnotationAuthSeen changes when the password Secret does: a changed pod is synced by its kubelet at
	// once, and with it the mounted file, instead of within its minute.
	AnnotationAuthSeen = "understudy.dev/auth-seen"

	RoleMaster  = "master"
	RoleReplica = "replica"
)

// Ports of a member. See docs/server-contract.md.
const (
	PortRedis      = 6379
	PortPrimary    = 6378 // any member's, and always the master's: members relay
	PortManagement = 7946
	PortHTTP       = 8080
)

// User is the user and group of every process of ours.
const User int64 = 65532

// Env is what a set's objects depend on besides the resource.
type Env struct {
	// Image is the resolved server image of the set.
	Image string
	// Routing says how the Services follow the master.
	Routing Routing
	// ClusterDomain ends the DNS names in certificates, such as cluster.local.
	ClusterDomain string
	// OperatorLabels select the operator's pods, which may reach the management port.
	OperatorLabels map[string]string
}

// Routing is how the read-write and read-only Services follow roles.
type Routing string

const (
	// RoutingSlice: Services without selector, EndpointSlices written by the operator in one step.
	RoutingSlice Routing = "slice"
	// RoutingLabel: Services that select the role label of ready pods.
	RoutingLabel Routing = "label"
)

// MemberName is the name of the member with this index, and of its pod.
func MemberName(set string, index int) string { return fmt.Sprintf("%s-%d", set, index) }

// MemberIndex is the index in a member's name; ok is false for a name of another set.
func MemberIndex(set, name string) (index int, ok bool) {
	rest, found := strings.CutPrefix(name, set+"-")
	if !found {
		return 0, false
	}
	index, err := strconv.Atoi(rest)
	return index, err == nil && index >= 0 && MemberName(set, index) == name
}

// Names of the owned objects.
func ServiceName(set string) string         { return set }
func ReadServiceName(set string) string     { return set + "-ro" }
func HeadlessName(set string) string        { return set + "-members" }
func ConfigName(set string) string          { return set + "-config" }
func AuthoritySecretName(set string) string { return set + "-ca" }
func TLSSecretName(member string) string    { return member + "-tls" }
func ClaimName(member string) string        { return "data-" + member }

// AuthSecretName is the Secret with the password: the user's, or the one that the operator makes.
func AuthSecretName(rs *v1alpha1.ReplicaSet) string {
	if rs.Spec.Auth.SecretName != "" {
		return rs.Spec.Auth.SecretName
	}
	return rs.Name + "-auth"
}

// SetLabels select everything of a set.
func SetLabels(rs *v1alpha1.ReplicaSet) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":     "understudy-server",
		"app.kubernetes.io/instance": rs.Name,
		LabelManagedBy:               ManagedBy,
		LabelSet:                     rs.Name,
	}
}

// PodSelector selects the members' pods.
func PodSelector(rs *v1alpha1.ReplicaSet) map[string]string {
	return map[string]string{LabelSet: rs.Name, "app.kubernetes.io/component": "member"}
}

// MemberLabels are the labels of a member's pod that the operator keeps, the role excepted.
func MemberLabels(rs *v1alpha1.ReplicaSet, name string) map[string]string {
	l := maps.Clone(rs.Spec.Template.Labels)
	if l == nil {
		l = map[string]string{}
	}
	maps.Copy(l, SetLabels(rs))
	maps.Copy(l, PodSelector(rs))
	l[LabelMember] = name
	return l
}

// OwnerRef makes rs the controller of an object.
func OwnerRef(rs *v1alpha1.ReplicaSet) metav1.OwnerReference {
	return *metav1.NewControllerRef(rs, v1alpha1.GroupVersion.WithKind("ReplicaSet"))
}

func owned(rs *v1alpha1.ReplicaSet, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: rs.Namespace, Labels: SetLabels(rs), OwnerReferences: []metav1.OwnerReference{OwnerRef(rs)}}
}

func ptr[T any](v T) *T { return &v }
