//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/hack/internal/respclient"
	"github.com/understudy-db/understudy/hack/internal/testbed"
)

const (
	setName = "orders"

	// memoryOnly is the dangerous case: a member that starts again is empty.
	memoryOnly = `{members: 3, persistence: {mode: None}}`
	// onDisk leaves everything to the CRD's defaults.
	onDisk = `{members: 3}`

	seedKeys = 500
)

// operatorInstalled is per cluster: a spec that replaces the cluster resets it.
var operatorInstalled bool

func installed(ctx context.Context) {
	GinkgoHelper()
	if operatorInstalled {
		return
	}
	Expect(bed.LoadImages(ctx, imageTag)).To(Succeed())
	Expect(bed.Install(ctx, testbed.Built(imageTag))).To(Succeed())
	Expect(bed.RestartOperator(ctx)).To(Succeed(), "the cluster may have been used with older images")
	operatorInstalled = true
}

// newSet applies a set of that spec in a namespace of its own and waits until it is ready.
func newSet(ctx context.Context, base, spec string) testbed.Set {
	GinkgoHelper()
	set := testbed.Set{Bed: bed, Namespace: namespace(ctx, base), Name: setName}
	timed("from kubectl apply to ready", func() {
		apply(ctx, fmt.Sprintf("apiVersion: understudy.dev/v1alpha1\nkind: ReplicaSet\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", setName, set.Namespace, spec))
		_, err := set.WaitReady(ctx)
		Expect(err).NotTo(HaveOccurred())
	})
	return set
}

// seed writes keys through the read-write Service and returns when both replicas have confirmed them.
func seed(ctx context.Context, set testbed.Set) {
	GinkgoHelper()
	c, err := set.Connect(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer c.Close()
	for n := range seedKeys {
		_, err := c.Do("SET", fmt.Sprintf("seed:%d", n), fmt.Sprint(n))
		Expect(err).NotTo(HaveOccurred())
	}
	Eventually(ctx, func() (int64, error) { return c.Int("WAIT", "2", "1000") }).WithTimeout(time.Minute).Should(BeEquivalentTo(2), "both replicas must have the keys before anything is broken")
}

// seedHeldBy counts the seeded keys that a connection's server holds.
func seedHeldBy(c *respclient.Client) int {
	GinkgoHelper()
	held := 0
	for n := range seedKeys {
		v, found, err := c.String("GET", fmt.Sprintf("seed:%d", n))
		Expect(err).NotTo(HaveOccurred())
		if found && v == fmt.Sprint(n) {
			held++
		}
	}
	return held
}

// everyMemberHoldsTheSeed asks each member itself: no key lost, no replica wiped.
func everyMemberHoldsTheSeed(ctx context.Context, set testbed.Set) {
	GinkgoHelper()
	rs, err := set.Get(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(rs.Status.Members).To(HaveLen(int(rs.Spec.Members)))
	for _, m := range rs.Status.Members {
		c, err := set.ConnectMember(ctx, m.Name)
		Expect(err).NotTo(HaveOccurred())
		Expect(seedHeldBy(c)).To(Equal(seedKeys), m.Name)
		c.Close()
	}
}

// fullSyncs is the sum over all living server processes of the full resyncs that they have served.
func fullSyncs(ctx context.Context, set testbed.Set) map[string]string {
	GinkgoHelper()
	counts := map[string]string{}
	rs, err := set.Get(ctx)
	Expect(err).NotTo(HaveOccurred())
	for _, m := range rs.Status.Members {
		c, err := set.ConnectMember(ctx, m.Name)
		Expect(err).NotTo(HaveOccurred())
		info, err := c.Info("stats")
		Expect(err).NotTo(HaveOccurred())
		Expect(info).To(HaveKey("sync_full"))
		counts[m.Name] = info["sync_full"]
		c.Close()
	}
	return counts
}

func served(counts map[string]string, member string) int {
	GinkgoHelper()
	n := 0
	_, err := fmt.Sscan(counts[member], &n)
	Expect(err).NotTo(HaveOccurred())
	return n
}

func masterOf(ctx context.Context, set testbed.Set) string {
	GinkgoHelper()
	rs, err := set.Get(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(rs.Status.Master).NotTo(BeEmpty())
	return rs.Status.Master
}

// report puts what a writing client saw into the report.
func report(r testbed.Result) {
	AddReportEntry("writing client", fmt.Sprintf("%d acknowledged, %d errors (first: %v), longest pause %s",
		len(r.Acked), r.Errors, r.First, r.Gap.Round(time.Millisecond)), ReportEntryVisibilityAlways)
}

// loss is a way to lose a member; after the loss of a node the node is started again.
type loss struct {
	deed func(testbed.Set, context.Context, string) error
	node bool
}

var _ = Describe("a replica set", Label("operator"), func() {
	BeforeEach(func(ctx SpecContext) { installed(ctx) }, NodeTimeout(15*time.Minute))

	It("becomes ready from a sample and serves through its Services", func(ctx SpecContext) {
		set := newSet(ctx, "sample", onDisk)
		seed(ctx, set)
		everyMemberHoldsTheSeed(ctx, set)

		password, err := set.Password(ctx)
		Expect(err).NotTo(HaveOccurred())
		ro, err := respclient.Connect(ctx, set.Dial("-ro"), password, 2*time.Second)
		Expect(err).NotTo(HaveOccurred())
		defer ro.Close()
		Expect(seedHeldBy(ro)).To(Equal(seedKeys))
		_, err = ro.Do("SET", "x", "1")
		Expect(err).To(MatchError(HavePrefix("READONLY")), "the read-only Service must lead to a replica")
		Expect(set.TryPassword(ctx, "wrong")).To(MatchError(HavePrefix("WRONGPASS")))

		By("the columns that kubectl prints")
		Expect(kubectl(ctx, "-n", set.Namespace, "get", "urs")).To(And(ContainSubstring(masterOf(ctx, set)), ContainSubstring("3/3")))
	}, SpecTimeout(4*time.Minute))

	DescribeTable("keeps every key when a master without persistence is lost",
		func(ctx SpecContext, lose loss) {
			set := newSet(ctx, "lose", memoryOnly)
			seed(ctx, set)
			old, before := masterOf(ctx, set), fullSyncs(ctx, set)
			load := set.StartLoad(ctx, "live", 2*time.Millisecond)
			_, err := load.NextWrite(ctx)
			Expect(err).NotTo(HaveOccurred())

			pod, err := set.Pod(ctx, old)
			Expect(err).NotTo(HaveOccurred())
			begin := time.Now()
			Expect(lose.deed(set, ctx, old)).To(Succeed())
			rs, err := set.WaitMaster(ctx, old)
			Expect(err).NotTo(HaveOccurred())
			at, err := load.NextWrite(ctx)
			result := load.Stop()
			report(result)
			Expect(err).NotTo(HaveOccurred(), set.Describe())
			AddReportEntry("loss until a write is accepted", at.Sub(begin).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)

			if lose.node {
				tool(ctx, "restart-node", pod.Spec.NodeName)
			}
			_, err = set.WaitReady(ctx)
			Expect(err).NotTo(HaveOccurred())
			everyMemberHoldsTheSeed(ctx, set)
			winner := rs.Status.Master
			Expect(served(fullSyncs(ctx, set), winner)-served(before, winner)).To(Equal(1),
				"exactly the lost member, which came back empty, may need a full sync (S8)")
		},
		Entry("its server process is killed", loss{deed: testbed.Set.KillProcess}, SpecTimeout(4*time.Minute)),
		Entry("its container is killed", loss{deed: testbed.Set.KillContainer}, SpecTimeout(4*time.Minute)),
		Entry("its pod is deleted by force", loss{deed: testbed.Set.ForceDelete}, SpecTimeout(4*time.Minute)),
		Entry("its node is killed", loss{deed: testbed.Set.KillNode, node: true}, SpecTimeout(6*time.Minute)),
	)

	It("rotates its password without dropping a connection or a replication link", func(ctx SpecContext) {
		set := newSet(ctx, "rotate", memoryOnly)
		seed(ctx, set)
		open, err := set.Connect(ctx)
		Expect(err).NotTo(HaveOccurred())
		defer open.Close()
		old, err := set.Password(ctx)
		Expect(err).NotTo(HaveOccurred())
		master, before := masterOf(ctx, set), fullSyncs(ctx, set)

		fresh := rand.Text()
		timed("rotation until the old password is refused", func() {
			Expect(set.Rotate(ctx, fresh)).To(Succeed())
			Eventually(ctx, func(g Gomega) {
				g.Expect(set.TryPassword(ctx, fresh)).To(Succeed())
				g.Expect(set.TryPassword(ctx, old)).To(MatchError(HavePrefix("WRONGPASS")))
			}).WithTimeout(2 * time.Minute).WithPolling(200 * time.Millisecond).Should(Succeed())
		})
		_, err = open.Do("SET", "after", "rotation")
		Expect(err).NotTo(HaveOccurred(), "a connection from before the rotation must go on")
		_, err = set.WaitReady(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(masterOf(ctx, set)).To(Equal(master))
		Expect(fullSyncs(ctx, set)).To(Equal(before), "a rotation needs no full sync")
		everyMemberHoldsTheSeed(ctx, set)

		By("the passwords stand nowhere but in the Secret")
		for _, args := range [][]string{{"get", "pods,configmaps,services,urs", "-o", "yaml"}, {"get", "events.events.k8s.io", "-o", "yaml"},
			{"logs", "-l", "app.kubernetes.io/component=member", "--tail=-1"}} {
			out := kubectl(ctx, append([]string{"-n", set.Namespace}, args...)...)
			for _, secret := range []string{old, fresh} {
				Expect(strings.Contains(out, secret)).To(BeFalse(), "kubectl %s shows a password", strings.Join(args, " "))
			}
		}
	}, SpecTimeout(5*time.Minute))

	It("switches over by hand without losing a write", func(ctx SpecContext) {
		set := newSet(ctx, "switch", memoryOnly)
		seed(ctx, set)
		old, before := masterOf(ctx, set), fullSyncs(ctx, set)
		rs, err := set.Get(ctx)
		Expect(err).NotTo(HaveOccurred())
		target := ""
		for _, m := range rs.Status.Members {
			if m.Name != old {
				target = m.Name
			}
		}
		load := set.StartLoad(ctx, "live", time.Millisecond)
		_, err = load.NextWrite(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(set.RequestMaster(ctx, target)).To(Succeed())
		_, err = set.Wait(ctx, "to have master "+target, func(rs *v1alpha1.ReplicaSet) bool { return rs.Status.Master == target })
		Expect(err).NotTo(HaveOccurred())
		_, err = load.NextWrite(ctx)
		result := load.Stop()
		report(result)
		Expect(err).NotTo(HaveOccurred(), set.Describe())

		_, err = set.WaitReady(ctx)
		Expect(err).NotTo(HaveOccurred())
		c, err := set.Connect(ctx)
		Expect(err).NotTo(HaveOccurred())
		defer c.Close()
		Expect(result.Missing(c)).To(BeEmpty(), "a planned switchover loses no acknowledged write")
		Expect(fullSyncs(ctx, set)).To(Equal(before), "a planned switchover needs no full sync")
		everyMemberHoldsTheSeed(ctx, set)
	}, SpecTimeout(4*time.Minute))
})
