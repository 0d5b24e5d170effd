package observe

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/memberclient"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
)

// Annotations that lead the operator to a member's ports other than the usual ones, for simulated
// members that share one address. The value is host:port.
const (
	AnnotationManagementAddr = "understudy.dev/management-addr"
	AnnotationDataAddr       = "understudy.dev/data-addr"
)

func managementAddr(p *corev1.Pod) string {
	return addr(p, AnnotationManagementAddr, resources.PortManagement)
}

func addr(p *corev1.Pod, annotation string, port int) string {
	if a := p.Annotations[annotation]; a != "" {
		return a
	}
	return net.JoinHostPort(p.Status.PodIP, strconv.Itoa(port))
}

func (o *Observer) member(ctx context.Context, rs *v1alpha1.ReplicaSet, name string, p *corev1.Pod, facts []memberclient.Facts, set *memberclient.Set) (plan.Member, error) {
	index, _ := resources.MemberIndex(rs.Name, name)
	m := plan.Member{Name: name, Ordinal: index}
	if p == nil {
		return m, nil
	}
	voter := member.Voter(p.UID)
	heard := false
	for _, f := range facts {
		if f.Voter == voter {
			heard = f.Report != nil || f.MetAt > 0
			m.Connected, m.LostAt, m.MetAt = f.Connected, f.LostAt, f.MetAt
			m.ReportAt, m.Answer, m.AnswerAt, m.Refused = f.ReportAt, f.Answer, f.AnswerAt, f.Refused
			m.Report = refusalOfNow(f, resources.ConfigVersion(rs))
		}
	}
	m.Pod = plan.Pod{
		UID: voter, Revision: p.Annotations[resources.AnnotationRevision], Persists: p.Annotations[resources.AnnotationPersists] == "true",
		Node: p.Spec.NodeName, Deleting: p.DeletionTimestamp != nil, Ended: ended(p), Ready: ready(p), Problem: problem(p),
	}
	if p.Status.PodIP != "" {
		m.Pod.Addr = addr(p, AnnotationDataAddr, resources.PortRedis)
		if resources.HasPrimary(p) {
			m.Pod.Primary = net.JoinHostPort(p.Status.PodIP, strconv.Itoa(resources.PortPrimary))
		}
	}
	m.Pod.NeverRan = !heard && neverRan(p) && !m.Pod.Persists
	if !m.Connected && p.Spec.NodeName != "" && !m.Pod.Ended {
		gone, err := o.Nodes.Gone(ctx, p.Spec.NodeName)
		if err != nil {
			return m, err
		}
		m.Pod.NodeGone = gone
	}
	for _, inc := range known(rs, voter, m.Report) {
		if cause, dead := KubeletProof(p, set, inc); dead {
			set.Died(plan.Death{Voter: voter, Incarnation: inc, Proof: plan.ProofKubelet, Cause: cause, Final: Final(p)})
		}
	}
	return m, nil
}

// refusalOfNow drops a member's refusal of directives that are no longer the wanted ones, so that
// corrected ones are tried.
func refusalOfNow(f memberclient.Facts, version string) *member.Report {
	if f.Report == nil || f.Report.ConfigBad == "" || strings.TrimSuffix(f.ConfigSent, MasterVariant) == version {
		return f.Report
	}
	r := *f.Report
	r.ConfigBad = ""
	return &r
}

// known are the incarnations of a pod that are of interest: the one that speaks and those on record.
func known(rs *v1alpha1.ReplicaSet, v member.Voter, r *member.Report) []member.Incarnation {
	var out []member.Incarnation
	if r != nil {
		out = append(out, r.Identity.Incarnation)
	}
	if t := rs.Status.Term; t != nil {
		for _, reign := range []*v1alpha1.Reign{t.Master, t.Unfenced, t.Appointed} {
			if reign != nil && member.Voter(reign.PodUID) == v && !slices.Contains(out, member.Incarnation(reign.Incarnation)) {
				out = append(out, member.Incarnation(reign.Incarnation))
			}
		}
	}
	return out
}

// KubeletProof tells whether the kubelet reports that the container of an incarnation terminated
// (rule 10). Under restartPolicy Never a pod has one container only, so its end is the end of every
// incarnation in it; else the container must be the one in which the incarnation was met.
func KubeletProof(p *corev1.Pod, set *memberclient.Set, inc member.Incarnation) (cause string, dead bool) {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name != resources.ContainerName || c.State.Terminated == nil {
			continue
		}
		t := c.State.Terminated
		met, in := set.Container(member.Voter(p.UID))
		same := met != "" && in == inc && t.ContainerID == met
		if same || p.Spec.RestartPolicy == corev1.RestartPolicyNever && c.RestartCount == 0 {
			return "container terminated: " + t.Reason + ", exit code " + strconv.Itoa(int(t.ExitCode)), true
		}
	}
	return "", false
}

// Final tells whether no process will ever run in the pod again: everything in it was seen terminated
// while it was being deleted or may not restart. The proof outlives the pod object.
func Final(p *corev1.Pod) bool {
	return ended(p) || p.DeletionTimestamp != nil && len(p.Status.ContainerStatuses) > 0 && allTerminated(p)
}

// ended: no container of the pod runs and none will again.
func ended(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		return allTerminated(p)
	}
	return p.Spec.RestartPolicy == corev1.RestartPolicyNever && len(p.Status.ContainerStatuses) > 0 && allTerminated(p)
}

func allTerminated(p *corev1.Pod) bool {
	return !slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.State.Terminated == nil })
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// cannotStart are the reasons for which the kubelet has not started a container and will not before
// somebody changes something.
var cannotStart = map[string]bool{"ErrImagePull": true, "ImagePullBackOff": true, "InvalidImageName": true, "ErrImageNeverPull": true,
	"CreateContainerConfigError": true, "CreateContainerError": true}

// neverRan: not scheduled, or held back before its first start.
func neverRan(p *corev1.Pod) bool {
	if p.Status.Phase != corev1.PodPending && p.Status.Phase != "" {
		return false
	}
	if p.Spec.NodeName == "" {
		return true
	}
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.RestartCount == 0 && c.State.Waiting != nil && cannotStart[c.State.Waiting.Reason] && c.LastTerminationState.Terminated == nil
	})
}

// problem is why a pod does not run, "" while nothing is known to be wrong.
func problem(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return "Unschedulable: " + c.Message
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" && w.Reason != "" {
			return w.Reason + ": " + w.Message
		}
		if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
			return "Terminated: exit code " + strconv.Itoa(int(t.ExitCode)) + ", " + t.Reason
		}
	}
	return ""
}

// Nodes tells whether a node is declared gone. It asks the API server at most once in a while for each
// node, and only when a member there is not heard: watching all nodes would cost more than it brings.
type Nodes struct {
	Live  client.Reader
	Clock func() time.Duration

	mu   sync.Mutex
	seen map[string]nodeWord
}

type nodeWord struct {
	gone bool
	at   time.Duration
}

// nodeWordLife is for how long an answer holds.
const nodeWordLife = 2 * time.Second

// Gone: the node is deleted, or carries the out-of-service taint that a person sets when it is off.
func (n *Nodes) Gone(ctx context.Context, name string) (bool, error) {
	now := n.Clock()
	n.mu.Lock()
	w, ok := n.seen[name]
	n.mu.Unlock()
	if ok && now-w.at < nodeWordLife {
		return w.gone, nil
	}
	var node corev1.Node
	err := n.Live.Get(ctx, types.NamespacedName{Name: name}, &node)
	w = nodeWord{at: now}
	switch {
	case apierrors.IsNotFound(err):
		w.gone = true
	case err != nil:
		return false, err
	default:
		w.gone = slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
	}
	n.mu.Lock()
	if n.seen == nil {
		n.seen = map[string]nodeWord{}
	}
	n.seen[name] = w
	n.mu.Unlock()
	return w.gone, nil
}
