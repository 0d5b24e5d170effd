package resources

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

var (
	redisPort = corev1.ServicePort{Name: "redis", Port: PortRedis, TargetPort: intstr.FromInt32(PortRedis), Protocol: corev1.ProtocolTCP}
	// writePort is the read-write Service's: who connects there wants the master. So a node that has not yet heard of a new
	// master leads its clients right, and a switchover closes no connection.
	writePort = corev1.ServicePort{Name: "redis", Port: PortRedis, TargetPort: intstr.FromInt32(PortPrimary), Protocol: corev1.ProtocolTCP}
)

// Services are the read-write Service (the master), the read-only one (replicas in sync) and the
// headless one (all members under stable names, ready or not).
func Services(rs *v1alpha1.ReplicaSet, env Env) []*corev1.Service {
	service := func(name string, spec corev1.ServiceSpec) *corev1.Service {
		return &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: owned(rs, name), Spec: spec}
	}
	role := func(role string) map[string]string {
		if env.Routing != RoutingLabel {
			return nil
		}
		s := PodSelector(rs)
		s[LabelRole] = role
		return s
	}
	return []*corev1.Service{
		service(ServiceName(rs.Name), corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{writePort}, Selector: role(RoleMaster),
			// Labelled routing must not wait for a readiness probe: the label says who may write.
			PublishNotReadyAddresses: env.Routing == RoutingLabel}),
		service(ReadServiceName(rs.Name), corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{redisPort}, Selector: role(RoleReplica)}),
		service(HeadlessName(rs.Name), corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: corev1.ClusterIPNone, Selector: PodSelector(rs), PublishNotReadyAddresses: true,
			Ports: []corev1.ServicePort{redisPort,
				{Name: primaryName, Port: PortPrimary, TargetPort: intstr.FromInt32(PortPrimary), Protocol: corev1.ProtocolTCP},
				{Name: "management", Port: PortManagement, TargetPort: intstr.FromInt32(PortManagement), Protocol: corev1.ProtocolTCP},
				{Name: "http", Port: PortHTTP, TargetPort: intstr.FromInt32(PortHTTP), Protocol: corev1.ProtocolTCP}}}),
	}
}

// Endpoint is a pod behind a Service.
type Endpoint struct {
	Name string
	UID  types.UID
	IP   string
	Node string
	// Primary: it has the primary port, where the read-write Service leads.
	Primary bool
}

// Slice is the EndpointSlice that leads a Service to these pods. Without pods it stays, empty: the
// Service refuses at once instead of leading to a former master.
func Slice(rs *v1alpha1.ReplicaSet, service string, to []Endpoint) *discoveryv1.EndpointSlice {
	meta := owned(rs, service)
	meta.Labels[discoveryv1.LabelServiceName] = service
	meta.Labels[discoveryv1.LabelManagedBy] = "understudy.dev"
	port := int32(PortRedis)
	if service == ServiceName(rs.Name) && !slices.ContainsFunc(to, func(e Endpoint) bool { return !e.Primary }) {
		port = PortPrimary
	}
	s := &discoveryv1.EndpointSlice{
		TypeMeta:    metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta:  meta,
		AddressType: addressType(to),
		Endpoints:   []discoveryv1.Endpoint{},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr("redis"), Port: ptr(port), Protocol: ptr(corev1.ProtocolTCP)}},
	}
	to = slices.Clone(to)
	slices.SortFunc(to, func(a, b Endpoint) int { return compare(a.Name, b.Name) })
	for _, e := range to {
		ep := discoveryv1.Endpoint{
			Addresses:  []string{e.IP},
			Conditions: discoveryv1.EndpointConditions{Ready: ptr(true), Serving: ptr(true), Terminating: ptr(false)},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: rs.Namespace, Name: e.Name, UID: e.UID},
		}
		if e.Node != "" {
			ep.NodeName = ptr(e.Node)
		}
		s.Endpoints = append(s.Endpoints, ep)
	}
	return s
}

func addressType(to []Endpoint) discoveryv1.AddressType {
	for _, e := range to {
		for _, c := range e.IP {
			if c == ':' {
				return discoveryv1.AddressTypeIPv6
			}
		}
	}
	return discoveryv1.AddressTypeIPv4
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Budget lets an eviction take one member at a time.
func Budget(rs *v1alpha1.ReplicaSet) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: owned(rs, rs.Name),
		Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: ptr(intstr.FromInt32(1)),
			Selector:                   &metav1.LabelSelector{MatchLabels: PodSelector(rs)},
			UnhealthyPodEvictionPolicy: ptr(policyv1.AlwaysAllow)},
	}
}

// NetworkPolicy lets clients and members reach the data port and the primary port, and scrapers the http port; the management port is for
// the members of the set and for the operator.
func NetworkPolicy(rs *v1alpha1.ReplicaSet, env Env) *networkingv1.NetworkPolicy {
	port := func(p int32) networkingv1.NetworkPolicyPort {
		return networkingv1.NetworkPolicyPort{Protocol: ptr(corev1.ProtocolTCP), Port: ptr(intstr.FromInt32(p))}
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: owned(rs, rs.Name),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: PodSelector(rs)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{
				{Ports: []networkingv1.NetworkPolicyPort{port(PortRedis), port(PortPrimary), port(PortHTTP)}},
				{Ports: []networkingv1.NetworkPolicyPort{port(PortManagement)}, From: []networkingv1.NetworkPolicyPeer{
					{PodSelector: &metav1.LabelSelector{MatchLabels: PodSelector(rs)}},
					{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{MatchLabels: env.OperatorLabels}},
				}},
			},
		},
	}
}
