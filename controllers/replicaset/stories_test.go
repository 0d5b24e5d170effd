package replicaset_test

import (
	"context"
	"fmt"
	"maps"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
)

func unstructuredSet(namespace, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "understudy.dev/v1alpha1", "kind": "ReplicaSet",
		"metadata": map[string]any{"namespace": namespace, "name": name}, "spec": spec}}
}

func durable(rs *v1alpha1.ReplicaSet) { rs.Spec.Persistence.Mode = v1alpha1.PersistenceRDB }

var _ = Describe("a set", func() {
	var s *story
	BeforeEach(func(ctx SpecContext) {
		s = begin(context.Background())
	})

	It("is refused by the API server when it cannot be", func(ctx SpecContext) {
		for _, spec := range []map[string]any{
			{"members": int64(0)}, {"config": map[string]any{"port": "1"}}, {"persistence": map[string]any{"mode": "Tape"}},
			{"members": int64(2), "replication": map[string]any{"minReplicasToWrite": int64(2)}},
			{"members": int64(2), "replication": map[string]any{"synchronousReplicas": int64(2)}},
		} {
			err := k8s.Create(ctx, unstructuredSet(s.namespace, "bad", spec))
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v: %v", spec, err)
		}
	})

	It("becomes ready, fails over, and loses nothing", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		s.write(5)
		first := s.get()
		Expect(first.Status.History).To(HaveLen(1))

		By("crashing the master's process")
		s.kubelet.member(first.Status.Master).Crash("signal: killed")
		Eventually(func() string { return s.get().Status.Master }).ShouldNot(Or(Equal(first.Status.Master), BeEmpty()))
		s.settled(3)
		s.write(3)
		s.keptEverything()
		s.event("MasterChanged")
		second := s.get()
		Expect(second.Status.Term.Number).To(BeNumerically(">", first.Status.Term.Number))
		syncs := s.fullSyncs()
		for name, n := range syncs {
			want := 1 // its first, from the first master
			if name == second.Status.Master {
				want = n
			}
			Expect(n).To(BeNumerically("<=", max(want, 1)), "%v", syncs)
		}

		By("killing the whole container of the next master")
		s.kubelet.kill(ctx, second.Status.Master)
		Eventually(func() string { return s.get().Status.Master }).ShouldNot(Or(Equal(second.Status.Master), BeEmpty()))
		s.settled(3)
		s.keptEverything()
		s.write(2)
	})

	It("fails over when the master falls silent", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		s.write(3)
		master := s.get().Status.Master
		s.kubelet.vanish(master)
		Eventually(func() string { return s.get().Status.Master }).Should(And(Not(Equal(master)), Not(BeEmpty())), "%+v", s.get().Status.Conditions)
		Eventually(func() string { _, name := s.service(); return name }).ShouldNot(Equal(master))
		Expect(world.CheckOneWriter()).To(Succeed())
	})

	It("switches over by spec.master without a full sync", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		s.write(4)
		before, syncs := s.get(), s.fullSyncs()
		target := "orders-1"
		if before.Status.Master == target {
			target = "orders-2"
		}
		s.change(func(rs *v1alpha1.ReplicaSet) { rs.Spec.Master = target })
		Eventually(func() string { return s.get().Status.Master }).Should(Equal(target))
		s.settled(3)
		s.write(2)
		s.keptEverything()
		Expect(s.fullSyncs()).To(Equal(syncs))
		Expect(s.get().Status.SpentMaster).To(Equal(target))
	})

	It("repairs what is changed by hand", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		deleted := func(o client.Object, name string) {
			GinkgoHelper()
			key := types.NamespacedName{Namespace: s.namespace, Name: name}
			Expect(k8s.Get(ctx, key, o)).To(Succeed())
			uid := o.GetUID()
			Expect(k8s.Delete(ctx, o)).To(Succeed())
			Eventually(func(g Gomega) {
				g.Expect(k8s.Get(ctx, key, o)).To(Succeed())
				g.Expect(o.GetUID()).NotTo(Equal(uid))
			}).Should(Succeed())
		}
		for _, name := range []string{"orders", "orders-ro", "orders-members"} {
			deleted(&corev1.Service{}, name)
		}
		deleted(&corev1.ConfigMap{}, "orders-config")
		deleted(&policyv1.PodDisruptionBudget{}, "orders")
		deleted(&networkingv1.NetworkPolicy{}, "orders")
		deleted(&corev1.Secret{}, "orders-1-tls")

		By("changing a Service, a label, a replica's upstream")
		var svc corev1.Service
		s.edit("orders", &svc, func() { svc.Spec.Ports[0].Port = 1234 })
		var p corev1.Pod
		s.edit("orders-2", &p, func() { p.Labels = map[string]string{} })
		uid := p.UID
		replica := "orders-0"
		if s.get().Status.Master == replica {
			replica = "orders-1"
		}
		s.kubelet.member(replica).Detach()
		Eventually(func(g Gomega) {
			g.Expect(k8s.Get(ctx, s.key, &svc)).To(Succeed())
			g.Expect(svc.Spec.Ports[0].Port).To(BeEquivalentTo(6379))
			p := s.pod("orders-2")
			g.Expect(p.UID).To(Equal(uid), "a label is no reason to replace a pod")
			g.Expect(p.Labels).To(HaveKeyWithValue(resources.LabelSet, "orders"))
			g.Expect(s.kubelet.member(replica).Role()).To(Equal(member.RoleReplica))
		}).Should(Succeed())
		s.settled(3)

		By("emptying the read-only Service's endpoints, and adding a stranger to them")
		want := s.readers()
		var slice discoveryv1.EndpointSlice
		for _, change := range []func(){
			func() { slice.Endpoints = nil },
			func() {
				slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.255.255.1"}})
			},
		} {
			s.edit("orders-ro", &slice, change)
			Eventually(s.readers).Should(Equal(want))
		}

		By("deleting the password Secret")
		before := s.get().Status.AuthVersion
		Expect(before).NotTo(BeEmpty())
		deleted(&corev1.Secret{}, "orders-auth")
		Eventually(func() string { return s.get().Status.AuthVersion }).ShouldNot(Or(Equal(before), BeEmpty()))

		By("deleting a pod")
		deleted(&corev1.Pod{}, replica)
		s.settled(3)
	})

	It("grows and shrinks", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		s.write(2)
		s.change(func(rs *v1alpha1.ReplicaSet) { rs.Spec.Members = 5 })
		s.settled(5)
		s.keptEverything()
		s.change(func(rs *v1alpha1.ReplicaSet) { rs.Spec.Members = 2 })
		s.settled(2)
		Eventually(func() int { return len(s.pods()) }).Should(Equal(2))
		s.write(1)
		s.keptEverything()
	})

	It("rotates the password live and says nothing of it", func(ctx SpecContext) {
		s.operator(false)
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "mine"}, StringData: map[string]string{"password": "first-password"}}
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		s.create(func(rs *v1alpha1.ReplicaSet) { rs.Spec.Auth.SecretName = "mine" })
		s.settled(3)
		old, syncs := s.get().Status.AuthVersion, s.fullSyncs()
		s.edit("mine", secret, func() { secret.StringData = map[string]string{"password": "second-password"} })
		Eventually(func(g Gomega) {
			v := s.get().Status.AuthVersion
			g.Expect(v).NotTo(Or(Equal(old), BeEmpty()))
			for i := range 3 {
				auth, step := s.kubelet.member(resources.MemberName("orders", i)).Auth()
				g.Expect(auth).To(Equal(v))
				g.Expect(step).To(Equal(member.RotateDrop))
			}
		}).Should(Succeed())
		s.event("PasswordRotated")
		Expect(s.fullSyncs()).To(Equal(syncs))
		s.settled(3)
		expectNowhere(ctx, s.namespace, "first-password", "second-password")
	})

	It("rolls out a new image, replicas first, and loses nothing in memory", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		s.write(3)
		s.change(func(rs *v1alpha1.ReplicaSet) { rs.Spec.Image = "understudy/server:next" })
		Eventually(func(g Gomega) {
			for _, p := range s.pods() {
				g.Expect(p.Spec.Containers[0].Image).To(Equal("understudy/server:next"), p.Name)
			}
			g.Expect(s.pods()).To(HaveLen(3))
		}).Should(Succeed())
		s.settled(3)
		s.keptEverything()
		s.write(1)
	})

	It("sets changeable directives live, on one member first", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		uids := s.uids()
		s.change(func(rs *v1alpha1.ReplicaSet) {
			rs.Spec.Config = map[string]v1alpha1.ConfigValue{"maxmemory-policy": "bad"}
		})
		Eventually(func() string {
			c := meta.FindStatusCondition(s.get().Status.Conditions, plan.ConditionStalled)
			return c.Message
		}).Should(ContainSubstring("bad is not a policy"))
		bad := 0
		for i := range 3 {
			if s.kubelet.member(resources.MemberName("orders", i)).Directive("maxmemory-policy") == "bad" {
				bad++
			}
		}
		Expect(bad).To(BeZero())
		s.change(func(rs *v1alpha1.ReplicaSet) {
			rs.Spec.Config = map[string]v1alpha1.ConfigValue{"maxmemory-policy": "allkeys-lru"}
		})
		Eventually(func(g Gomega) {
			for i := range 3 {
				g.Expect(s.kubelet.member(resources.MemberName("orders", i)).Directive("maxmemory-policy")).To(Equal("allkeys-lru"))
			}
		}).Should(Succeed())
		s.settled(3)
		Expect(s.uids()).To(Equal(uids), "no restart")
	})

	It("does nothing but lease while paused", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		s.change(func(rs *v1alpha1.ReplicaSet) { rs.Spec.Paused = true })
		Eventually(func() bool { return meta.IsStatusConditionTrue(s.get().Status.Conditions, "Paused") }).Should(BeTrue())
		Expect(k8s.Delete(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "orders-ro"}})).To(Succeed())
		for i := range 3 {
			s.kubelet.member(resources.MemberName("orders", i)).Isolate(true) // no vouchers: leases alone carry it
		}
		lease := s.get().Spec.Failover.LeaseDuration.Duration
		for end := time.Now().Add(2 * lease); time.Now().Before(end); time.Sleep(lease / 10) { // the last vouchers are worth one
			Eventually(func() error {
				v, _ := s.service()
				return world.Write(v, "while paused")
			}).Should(Succeed())
		}
		Expect(apierrors.IsNotFound(k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: "orders-ro"}, &corev1.Service{}))).To(BeTrue())
		for i := range 3 {
			s.kubelet.member(resources.MemberName("orders", i)).Isolate(false)
		}
		s.change(func(rs *v1alpha1.ReplicaSet) { rs.Spec.Paused = false })
		s.settled(3)
		Eventually(func() error {
			return k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: "orders-ro"}, &corev1.Service{})
		}).Should(Succeed())
	})

	It("hands over when the master's pod is evicted", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		s.write(3)
		master, syncs := s.get().Status.Master, s.fullSyncs()
		Expect(k8s.Delete(ctx, s.pod(master))).To(Succeed())
		Eventually(func() string { return s.get().Status.Master }).ShouldNot(Or(Equal(master), BeEmpty()))
		s.settled(3)
		s.keptEverything()
		now := s.fullSyncs()
		for name, n := range syncs {
			if name != master {
				Expect(now[name]).To(Equal(n), "%s synced anew: %v, before %v", name, now, syncs)
			}
		}
		h := s.get().Status.History
		Expect(h[0].Lost).To(BeZero())
	})

	It("is made again with its data", func(ctx SpecContext) {
		s.operator(false)
		s.create(durable)
		s.settled(3)
		s.write(4)
		old := s.get()
		Expect(k8s.Delete(ctx, old)).To(Succeed())
		Eventually(func(g Gomega) { // the garbage collector's part, also for what a pass under way still made
			for _, p := range s.pods() {
				if p.DeletionTimestamp == nil {
					g.Expect(client.IgnoreNotFound(k8s.Delete(ctx, &p, client.GracePeriodSeconds(3)))).To(Succeed())
				}
			}
			g.Expect(s.pods()).To(BeEmpty())
		}).Should(Succeed())
		var claims corev1.PersistentVolumeClaimList
		Expect(k8s.List(ctx, &claims, client.InNamespace(s.namespace))).To(Succeed())
		Expect(claims.Items).To(HaveLen(3))
		for _, c := range claims.Items {
			Expect(c.OwnerReferences).To(BeEmpty(), "a retained claim has no owner")
		}
		s.create(durable)
		s.settled(3)
		s.keptEverything()
		s.write(1)
	})

	It("tells of images that cannot be pulled and pods that cannot be placed", func(ctx SpecContext) {
		s.operator(false)
		s.create(func(rs *v1alpha1.ReplicaSet) { rs.Spec.Image = "missing/image" })
		reason := func(name string) string {
			for _, m := range s.get().Status.Members {
				if m.Name == name {
					return m.Reason
				}
			}
			return ""
		}
		Eventually(func() string { return reason("orders-0") }).Should(ContainSubstring("ImagePullBackOff"))
		s.event("MemberNotRunning")
		Expect(meta.IsStatusConditionTrue(s.get().Status.Conditions, plan.ConditionStalled)).To(BeTrue())
		other := unstructuredSet(s.namespace, "placed", map[string]any{"members": int64(1), "image": "unschedulable"})
		Expect(k8s.Create(ctx, other)).To(Succeed())
		Eventually(func() string {
			var rs v1alpha1.ReplicaSet
			_ = k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: "placed"}, &rs)
			return fmt.Sprint(rs.Status.Members)
		}).Should(ContainSubstring("Unschedulable"))
	})

	It("writes nothing while idle", func(ctx SpecContext) {
		s.operator(false)
		s.create()
		s.settled(3)
		versions := func() map[string]string {
			out := map[string]string{"set": s.get().ResourceVersion}
			for _, p := range s.pods() {
				out[p.Name] = p.ResourceVersion
			}
			return out
		}
		last, since := versions(), time.Now()
		Eventually(func() time.Duration {
			if now := versions(); !maps.Equal(now, last) {
				last, since = now, time.Now()
			}
			return time.Since(since)
		}).Should(BeNumerically(">", 5*time.Second), "it is written all the time")
	})
})

var _ = Describe("two operators", func() {
	It("take over from each other without two writers", func(ctx SpecContext) {
		s := begin(context.Background())
		stopFirst := s.operator(true)
		s.create()
		s.settled(3)
		s.write(2)
		s.operator(true)
		stopFirst()
		master := s.get().Status.Master
		s.kubelet.member(master).Crash("signal: killed")
		Eventually(func() string { return s.get().Status.Master }).ShouldNot(Or(Equal(master), BeEmpty()))
		s.settled(3)
		s.keptEverything()
		s.write(2)
	})
})

func (s *story) uids() map[string]types.UID {
	out := map[string]types.UID{}
	for _, p := range s.pods() {
		out[p.Name] = p.UID
	}
	return out
}

// expectNowhere greps everything in the namespace but Secrets.
func expectNowhere(ctx context.Context, namespace string, words ...string) {
	GinkgoHelper()
	for _, list := range []client.ObjectList{&v1alpha1.ReplicaSetList{}, &corev1.PodList{}, &corev1.ConfigMapList{}, &corev1.ServiceList{}, eventList()} {
		Expect(k8s.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
		text := fmt.Sprintf("%+v", list)
		for _, w := range words {
			Expect(text).NotTo(ContainSubstring(w), "%T", list)
		}
	}
}
