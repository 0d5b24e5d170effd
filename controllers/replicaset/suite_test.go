package replicaset_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/memberclient"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
	"github.com/understudy-db/understudy/controllers/setup"
	"github.com/understudy-db/understudy/controllers/simtest/fakemember"
)

const (
	within = 3 * time.Minute // generous: the machine may be busy with other things
	poll   = 50 * time.Millisecond
)

var (
	config *rest.Config
	k8s    client.Client
	world  *fakemember.World
)

func TestReplicaSet(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		const why = "NOT RUN: KUBEBUILDER_ASSETS is not set: run make test, which builds etcd and kube-apiserver"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(within)
	SetDefaultEventuallyPollingInterval(poll)
	RunSpecs(t, "ReplicaSet on a real API server")
}

var _ = BeforeSuite(func() {
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../../config/crd/bases"}, ErrorIfCRDPathMissing: true,
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: within}, ControlPlaneStartTimeout: within, ControlPlaneStopTimeout: within}
	var err error
	config, err = env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(env.Stop)
	scheme, err := setup.Scheme()
	Expect(err).NotTo(HaveOccurred())
	k8s, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	Expect(k8s.Create(context.Background(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}})).To(Succeed())
	world = fakemember.NewWorld(memberclient.BootTime)
	DeferCleanup(world.Close)
})

// story is a namespace with its kubelet and operators, and one set in it.
type story struct {
	ctx       context.Context
	namespace string
	kubelet   *kubelet
	key       types.NamespacedName
	written   []string
	operators atomic.Int32
}

var stories int

// begin makes a namespace. Operators are started by operator().
func begin(ctx context.Context) *story {
	stories++
	s := &story{ctx: ctx, namespace: fmt.Sprintf("story-%d", stories)}
	Expect(k8s.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}})).To(Succeed())
	s.kubelet = startKubelet(k8s, world, s.namespace)
	DeferCleanup(s.kubelet.close)
	s.key = types.NamespacedName{Namespace: s.namespace, Name: "orders"}
	return s
}

// operator starts an operator for the namespace and returns what stops it. One that ends by itself, because it lost its
// leadership, is started again, as its Deployment would.
func (s *story) operator(elect bool) (stop func()) {
	mgr := s.manager(elect)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(done)
		for {
			if err := mgr.Start(ctx); err == nil || ctx.Err() != nil {
				return
			}
			mgr = s.manager(elect)
		}
	}()
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cancel()
			<-done
		}
	}
	DeferCleanup(stop)
	return stop
}

// manager is one process of an operator.
func (s *story) manager(elect bool) manager.Manager {
	level := slog.LevelError
	if os.Getenv("OPERATOR_LOG") != "" {
		level = slog.LevelDebug
	}
	mgr, err := setup.Manager(config, setup.Options{ServerImage: "understudy/server:test", Routing: resources.RoutingSlice, WatchNamespaces: []string{s.namespace},
		LeaderElect: elect, Namespace: s.namespace, MetricsAddr: "0", ProbeAddr: "0", LogLevel: level, Workers: 4,
		ControllerName: fmt.Sprintf("%s-%d", s.namespace, s.operators.Add(1))})
	Expect(err).NotTo(HaveOccurred())
	return mgr
}

// create applies a set of three with these changes and a short lease.
func (s *story) create(change ...func(*v1alpha1.ReplicaSet)) {
	GinkgoHelper()
	rs := &v1alpha1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.key.Name}}
	rs.Spec.Members = 3
	rs.Spec.Persistence.Mode = v1alpha1.PersistenceNone
	for _, c := range change {
		c(rs)
	}
	Expect(k8s.Create(s.ctx, asUser(rs))).To(Succeed())
}

// asUser leaves out zero values, as a person's YAML does, so that the API server fills in defaults.
func asUser(rs *v1alpha1.ReplicaSet) client.Object {
	spec := map[string]any{"members": int64(rs.Spec.Members), "persistence": map[string]any{"mode": string(rs.Spec.Persistence.Mode)}}
	if rs.Spec.Persistence.Mode == v1alpha1.PersistenceRDB {
		spec["persistence"].(map[string]any)["storage"] = map[string]any{"whenDeleted": "Retain"}
	}
	if rs.Spec.Image != "" {
		spec["image"] = rs.Spec.Image
	}
	if rs.Spec.Auth.SecretName != "" {
		spec["auth"] = map[string]any{"secretName": rs.Spec.Auth.SecretName}
	}
	return unstructuredSet(rs.Namespace, rs.Name, spec)
}

func (s *story) get() *v1alpha1.ReplicaSet {
	GinkgoHelper()
	var rs v1alpha1.ReplicaSet
	Expect(k8s.Get(s.ctx, s.key, &rs)).To(Succeed())
	return &rs
}

// change changes the spec as a person would, again when somebody else was faster.
func (s *story) change(f func(*v1alpha1.ReplicaSet)) {
	GinkgoHelper()
	var rs v1alpha1.ReplicaSet
	s.edit(s.key.Name, &rs, func() { f(&rs) })
}

// edit changes an object as kubectl edit would: what the operator writes between the reading and the writing makes the
// API server refuse the change, and it is made again on the newer object.
func (s *story) edit(name string, o client.Object, f func()) {
	GinkgoHelper()
	Expect(retry.RetryOnConflict(wait.Backoff{Duration: poll, Steps: int(within / poll)}, func() error {
		if err := k8s.Get(s.ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, o); err != nil {
			return err
		}
		f()
		return k8s.Update(s.ctx, o)
	})).To(Succeed())
}

// settled: ready, nothing to do, all members in sync, the Service leads to the master.
func (s *story) settled(members int) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		rs := s.get()
		g.Expect(rs.Status.InSync).To(Equal(fmt.Sprintf("%d/%d", members, members)), "phase %s, members %+v, conditions %+v", rs.Status.Phase, rs.Status.Members, rs.Status.Conditions)
		g.Expect(meta.IsStatusConditionTrue(rs.Status.Conditions, plan.ConditionReady)).To(BeTrue())
		g.Expect(meta.IsStatusConditionTrue(rs.Status.Conditions, plan.ConditionReconciling)).To(BeFalse(), "%+v", rs.Status.Conditions)
		g.Expect(rs.Status.ObservedGeneration).To(Equal(rs.Generation))
		g.Expect(rs.Status.Term.OldRoster).To(BeNil())
		g.Expect(rs.Status.Term.Roster.Voters).To(HaveLen(members))
		v, name := s.service()
		g.Expect(name).To(Equal(rs.Status.Master))
		g.Expect(v).To(Equal(member.Voter(rs.Status.Term.Master.PodUID)))
		g.Expect(s.readers()).To(HaveLen(members - 1))
	}).Should(Succeed())
}

// service is the pod behind the read-write Service.
func (s *story) service() (member.Voter, string) {
	var slice discoveryv1.EndpointSlice
	if k8s.Get(s.ctx, s.key, &slice) != nil || len(slice.Endpoints) != 1 {
		return "", ""
	}
	ref := slice.Endpoints[0].TargetRef
	return member.Voter(ref.UID), ref.Name
}

func (s *story) readers() []string {
	var slice discoveryv1.EndpointSlice
	if k8s.Get(s.ctx, types.NamespacedName{Namespace: s.namespace, Name: s.key.Name + "-ro"}, &slice) != nil {
		return nil
	}
	var out []string
	for _, e := range slice.Endpoints {
		if e.TargetRef == nil { // a stranger
			out = append(out, strings.Join(e.Addresses, ","))
			continue
		}
		out = append(out, e.TargetRef.Name)
	}
	return out
}

// write writes n values through the Service, waiting out what a client would wait out, and then until
// every member that can have them has them.
func (s *story) write(n int) {
	GinkgoHelper()
	for range n {
		value := fmt.Sprintf("value-%d", len(s.written))
		Eventually(func() error {
			v, _ := s.service()
			return world.Write(v, value)
		}).WithPolling(5 * time.Millisecond).Should(Succeed())
		s.written = append(s.written, value)
	}
	Eventually(func(g Gomega) {
		for _, p := range s.pods() {
			g.Expect(world.Values(member.Voter(p.UID))).To(Equal(s.written), p.Name)
		}
	}).Should(Succeed())
}

// keptEverything: every member holds every confirmed write, in order.
func (s *story) keptEverything() {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		for _, p := range s.pods() {
			g.Expect(world.Values(member.Voter(p.UID))).To(Equal(s.written), p.Name)
		}
	}).Should(Succeed())
	Expect(world.CheckOneWriter()).To(Succeed())
}

func (s *story) pods() []corev1.Pod {
	var list corev1.PodList
	Expect(k8s.List(s.ctx, &list, client.InNamespace(s.namespace), client.MatchingLabels{resources.LabelSet: s.key.Name})).To(Succeed())
	return list.Items
}

func (s *story) pod(name string) *corev1.Pod {
	GinkgoHelper()
	var p corev1.Pod
	Expect(k8s.Get(s.ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, &p)).To(Succeed())
	return &p
}

// fullSyncs are those of all present processes.
func (s *story) fullSyncs() map[string]int {
	out := map[string]int{}
	for _, p := range s.pods() {
		out[p.Name] = world.FullSyncs(member.Voter(p.UID))
	}
	return out
}

// event waits for an event of this reason.
func (s *story) event(reason string) {
	GinkgoHelper()
	Eventually(func() []string {
		var list eventsv1.EventList
		_ = k8s.List(s.ctx, &list, client.InNamespace(s.namespace))
		var out []string
		for _, e := range list.Items {
			out = append(out, e.Reason)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}).Should(ContainElement(reason))
}

func eventList() client.ObjectList { return &eventsv1.EventList{} }
