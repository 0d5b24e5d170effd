//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/understudy-db/understudy/hack/internal/images"
	"github.com/understudy-db/understudy/hack/internal/testbed"
)

// bed is the one cluster of the run.
var bed *testbed.Bed

const (
	nodes      = 3
	probeImage = "localhost/probe:e2e"
	imageTag   = "e2e"
)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "end to end")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	bed, err = testbed.Own(ctx, nodes, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	Expect(bed.LoadSpecs(ctx, images.Spec{Ref: probeImage, Package: "./hack/e2e/probe", Program: "/probe"})).To(Succeed())
}, NodeTimeout(25*time.Minute))

// namespace makes a namespace for one spec, and afterwards keeps what a failure needs and deletes it.
func namespace(ctx context.Context, base string) string {
	GinkgoHelper()
	name := fmt.Sprintf("%s-%d", base, time.Now().UnixNano()%1e9)
	_, err := bed.Kubectl(ctx, "create", "namespace", name)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			keepArtefacts(ctx, name)
		}
		_, err := bed.Kubectl(ctx, "delete", "namespace", name, "--wait=false")
		Expect(err).NotTo(HaveOccurred())
	}, NodeTimeout(time.Minute))
	return name
}

// keepArtefacts writes the state of the namespace, of the operator and of the cluster into bin/e2e/<spec>.
func keepArtefacts(ctx context.Context, ns string) {
	folder := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789", r) {
			return r
		}
		return '-'
	}, strings.ToLower(CurrentSpecReport().LeafNodeText))
	dir := filepath.Join(bed.Root, "bin", "e2e", folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		GinkgoLogr.Error(err, "no artefacts")
		return
	}
	for file, args := range map[string][]string{
		"objects.yaml":    {"-n", ns, "get", "all,pvc,configmaps,endpointslices,replicasets.understudy.dev", "-o", "yaml"},
		"pods.txt":        {"-n", ns, "describe", "pods"},
		"events.txt":      {"get", "events.events.k8s.io", "-A", "--sort-by=.metadata.creationTimestamp"},
		"nodes.txt":       {"describe", "nodes"},
		"operator.log":    {"-n", testbed.OperatorNamespace, "logs", "--all-containers", "--prefix", "--tail=-1", "-l", "app.kubernetes.io/instance=" + testbed.Release},
		"members.log":     {"-n", ns, "logs", "--all-containers", "--prefix", "--tail=-1", "-l", "app.kubernetes.io/component=member"},
		"operator-up.txt": {"-n", testbed.OperatorNamespace, "describe", "pods"},
	} {
		out, err := bed.Kubectl(ctx, args...)
		if err != nil {
			out += "\n" + err.Error()
		}
		_ = os.WriteFile(filepath.Join(dir, file), []byte(out), 0o644)
	}
	GinkgoWriter.Printf("artefacts: %s\n", dir)
}

// timed runs f and puts how long it took into the report.
func timed(what string, f func()) time.Duration {
	GinkgoHelper()
	start := time.Now()
	f()
	d := time.Since(start)
	AddReportEntry(what, d.Round(10*time.Millisecond).String(), ReportEntryVisibilityAlways)
	return d
}

// kubectl runs kubectl and fails the spec when it fails.
func kubectl(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, err := bed.Kubectl(ctx, args...)
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(out)
}

// tool runs a verb of hack/cluster and fails the spec when it fails.
func tool(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, err := bed.Tool(ctx, args...)
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(out)
}

func apply(ctx context.Context, manifest string) {
	GinkgoHelper()
	Expect(bed.Apply(ctx, manifest)).To(Succeed())
}
