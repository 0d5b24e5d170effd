//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/understudy-db/understudy/hack/internal/images"
	"github.com/understudy-db/understudy/hack/internal/testbed"
)

// This container throws the cluster of the run away and makes another, so its operator has to be installed again: see
// installed.
var _ = Describe("the cluster's own life", Label("cluster"), Serial, func() {
	It("is removed without a trace after its supervisor was killed, and starts again within 20 seconds", func(ctx SpecContext) {
		state := filepath.Dir(bed.Kubeconfig)
		record, err := os.ReadFile(filepath.Join(state, "supervisor.pid"))
		Expect(err).NotTo(HaveOccurred())
		pid, err := strconv.Atoi(strings.Fields(string(record))[0])
		Expect(err).NotTo(HaveOccurred())

		Expect(syscall.Kill(pid, syscall.SIGKILL)).To(Succeed())
		Eventually(ctx, func() error { _, err := bed.Tool(ctx, "kubectl", "get", "--raw", "/readyz"); return err }).
			WithTimeout(10*time.Second).Should(HaveOccurred(), "the API server must die with the supervisor")
		timed("down after a crash", func() { tool(ctx, "down") })
		Expect(tool(ctx, "leftovers")).To(BeEmpty())

		took := timed("up", func() { bed, err = testbed.Own(ctx, nodes, GinkgoWriter) })
		operatorInstalled = false
		Expect(err).NotTo(HaveOccurred())
		Expect(took).To(BeNumerically("<", 20*time.Second), "a warm start must stay under 20 s")
		Expect(bed.LoadSpecs(ctx, images.Spec{Ref: probeImage, Package: "./hack/e2e/probe", Program: "/probe"})).To(Succeed())
	}, SpecTimeout(3*time.Minute))
})
