package observe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/memberclient"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
	"github.com/understudy-db/understudy/controllers/status"
)

// AnnotationAcceptLoss is a person's word that members which cannot be reached are gone for ever. Its
// value must be the number of the term in status (0 without one), so that it holds for one election.
const AnnotationAcceptLoss = "understudy.dev/accept-loss"

// switchTimeout is for how long clients may be held in a switchover.
const switchTimeout = 3 * time.Second

// Observer reads.
type Observer struct {
	// Cache answers from the watches, Live from the API server's quorum.
	Cache, Live client.Reader
	Clock       func() time.Duration
	Leadership  memberclient.Leadership
	Nodes       *Nodes
}

// View is an observation with the objects behind it.
type View struct {
	plan.Observed
	RS *v1alpha1.ReplicaSet
	// Env is what the set's objects are made from.
	Env  resources.Env
	Pods map[string]*corev1.Pod // by name
	// AuthSeen is the resource version of the password Secret.
	AuthSeen string
}

// Resource reads the resource from a quorum. since is when the read began.
func (o *Observer) Resource(ctx context.Context, key types.NamespacedName) (rs *v1alpha1.ReplicaSet, since time.Duration, err error) {
	since = o.Clock()
	rs = &v1alpha1.ReplicaSet{}
	if err := o.Live.Get(ctx, key, rs); err != nil {
		return nil, 0, err
	}
	return rs, since, nil
}

// Pods lists the set's pods from the cache, by name.
func (o *Observer) Pods(ctx context.Context, rs *v1alpha1.ReplicaSet) (map[string]*corev1.Pod, error) {
	var list corev1.PodList
	if err := o.Cache.List(ctx, &list, client.InNamespace(rs.Namespace), client.MatchingLabels{resources.LabelManagedBy: resources.ManagedBy}); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	out := map[string]*corev1.Pod{}
	for i := range list.Items {
		p := &list.Items[i]
		if ref := controllerOf(p); ref == rs.UID {
			if _, ok := resources.MemberIndex(rs.Name, p.Name); ok {
				out[p.Name] = p
			}
		}
	}
	return out, nil
}

func controllerOf(o client.Object) types.UID {
	for _, r := range o.GetOwnerReferences() {
		if r.Controller != nil && *r.Controller {
			return r.UID
		}
	}
	return ""
}

// Endpoints are the management listeners of pods that have an address.
func Endpoints(pods map[string]*corev1.Pod) []memberclient.Endpoint {
	var out []memberclient.Endpoint
	for name, p := range pods {
		if p.Status.PodIP != "" && !ended(p) {
			out = append(out, memberclient.Endpoint{Name: name, Voter: member.Voter(p.UID), Addr: managementAddr(p)})
		}
	}
	return out
}

// Observe completes the view. since is when the quorum read of rs began.
func (o *Observer) Observe(ctx context.Context, rs *v1alpha1.ReplicaSet, env resources.Env, since time.Duration, pods map[string]*corev1.Pod, set *memberclient.Set) (View, error) {
	v, err := o.members(ctx, rs, env, pods, set)
	if err != nil {
		return v, err
	}
	if v.Service, err = o.service(ctx, rs, env, pods); err != nil {
		return v, err
	}
	if !rs.Spec.Paused {
		if v.Problem, err = o.drift(ctx, rs, env, pods); err != nil {
			return v, err
		}
	}
	o.last(&v, since, set)
	return v, nil
}

// Again is the view before with what members have said since, and with the pods as they are now: for passes that give orders only
// (plan.Decision.Held). The resource is the one of the view before, since is when that was read or written.
func (o *Observer) Again(ctx context.Context, before View, since time.Duration, set *memberclient.Set) (View, error) {
	pods, err := o.Pods(ctx, before.RS)
	if err != nil {
		return View{}, err
	}
	v, err := o.members(ctx, before.RS, before.Env, pods, set)
	v.Service = before.Service
	o.last(&v, since, set)
	return v, err
}

// members is what the resource, the pods and the members say.
func (o *Observer) members(ctx context.Context, rs *v1alpha1.ReplicaSet, env resources.Env, pods map[string]*corev1.Pod, set *memberclient.Set) (View, error) {
	v := View{RS: rs, Env: env, Pods: pods}
	v.Spec = spec(rs, env)
	v.Status = status.Read(rs)
	if v.Spec.Request == "" { // taken back: the same wish later is a new one
		v.Status.SpentRequest = ""
	}
	facts := set.Facts()
	for _, name := range names(rs, pods) {
		m, err := o.member(ctx, rs, name, pods[name], facts, set)
		if err != nil {
			return v, err
		}
		v.Members = append(v.Members, m)
	}
	roleVersions(&v)
	auth(&v)
	v.Deaths = set.Deaths()
	return v, nil
}

// last adds time and leadership.
func (o *Observer) last(v *View, since time.Duration, set *memberclient.Set) {
	// Time and leadership last: nothing in the observation is younger than they are.
	v.Now = o.Clock()
	leads := v.Now < o.Leadership.Until() // before Since: never the end of a later leadership than the beginning
	v.Leader = plan.Leadership{Since: o.Leadership.Since(), Leads: leads, StatusRead: since, LastLease: set.LastLease(),
		TermSeen: set.TermSeen(v.Status.Term, v.Now)}
}

// names are the members that shall be and those that are.
func names(rs *v1alpha1.ReplicaSet, pods map[string]*corev1.Pod) []string {
	var out []string
	for i := range int(rs.Spec.Members) {
		out = append(out, resources.MemberName(rs.Name, i))
	}
	for name := range pods {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		i, _ := resources.MemberIndex(rs.Name, a)
		j, _ := resources.MemberIndex(rs.Name, b)
		return i - j
	})
	return out
}

func spec(rs *v1alpha1.ReplicaSet, env resources.Env) plan.Spec {
	s := rs.Spec
	out := plan.Spec{
		Name: rs.Name, UID: string(rs.UID), Members: int(s.Members), Request: s.Master, Shape: plan.Shape(s.Topology.Shape),
		Persist: plan.PersistNone, K: int(s.Replication.SynchronousReplicas), Lease: s.Failover.LeaseDuration.Duration,
		Automatic: s.Failover.Mode != v1alpha1.FailoverManual, Strict: s.Failover.Fencing != v1alpha1.FencingNone,
		Paused: s.Paused, Deleting: rs.DeletionTimestamp != nil, ColdStart: s.Failover.ColdStartTimeout.Duration,
		SwitchTimeout: switchTimeout, Revision: resources.Revision(rs, env), ConfigVersion: resources.ConfigVersion(rs),
	}
	if s.Topology.FanOut != nil {
		out.FanOut = int(*s.Topology.FanOut)
	}
	if resources.Persists(rs) {
		out.Persist = plan.PersistAll
		if s.Persistence.By == v1alpha1.PersistByReplicas {
			out.Persist = plan.PersistReplicas
		}
	}
	term := int64(0)
	if rs.Status.Term != nil {
		term = rs.Status.Term.Number
	}
	out.AcceptLoss = rs.Annotations[AnnotationAcceptLoss] == fmt.Sprint(term)
	return out
}

// auth reads the password's version off the mounted files: a rotation is wanted when all members that
// speak see the same new one. The first version of a set is taken as it is.
func auth(v *View) {
	file, agreed, used := "", true, true
	for _, m := range v.Members {
		if m.Report == nil || !m.Connected {
			continue
		}
		f := m.Report.AuthFile
		agreed = agreed && f != "" && (file == "" || f == file)
		file = f
		used = used && m.Report.Auth == f
	}
	v.Spec.AuthVersion = v.Status.AuthVersion
	switch {
	case file == "" || !agreed:
	case v.Status.AuthVersion != "" || !used:
		v.Spec.AuthVersion = file
	default:
		v.Spec.AuthVersion, v.Status.AuthVersion = file, file
	}
}

// MasterVariant marks the version of directives in which a master does not save (persistence by
// replicas).
const MasterVariant = "-master"

// roleVersions makes the plan see a member's directives as in force only if they are the ones of its
// role: with persistence by replicas a master stops saving once a replica holds a durable copy.
func roleVersions(v *View) {
	if v.Spec.Persist != plan.PersistReplicas {
		return
	}
	for i := range v.Members {
		r := v.Members[i].Report
		if r == nil {
			continue
		}
		c := *r
		base, isMaster := strings.CutSuffix(r.Config, MasterVariant)
		if isMaster != MasterRests(v.Observed, v.Members[i]) {
			base = ""
		}
		c.Config = base
		v.Members[i].Report = &c
	}
}

// MasterRests tells whether this member is the master of a set that persists by replicas, and another
// member holds a durable copy, so that it need not save (S4).
func MasterRests(o plan.Observed, m plan.Member) bool {
	if o.Spec.Persist != plan.PersistReplicas || m.Report == nil || m.Report.Role != member.RoleMaster {
		return false
	}
	return slices.ContainsFunc(o.Members, func(c plan.Member) bool {
		return c.Name != m.Name && c.Connected && c.Report != nil && c.Report.Role == member.RoleReplica && c.Report.Persisted
	})
}
