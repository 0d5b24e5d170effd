//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
)

// probes is one probe per node, behind a Service with a node port.
const probes = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: probe, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: probe}}
  template:
    metadata: {labels: {app: probe}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: probe, image: %[2]s, args: [serve], ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {name: probe, namespace: %[1]s}
spec: {type: NodePort, selector: {app: probe}, ports: [{port: 80, targetPort: 8080}]}
`

// keeper is one pod with a claim; it is not root, so the volume must honour its fsGroup.
const keeper = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: keep, namespace: %[1]s}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper, namespace: %[1]s}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, fsGroup: 65532}
  tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists}, {key: node.kubernetes.io/not-ready, operator: Exists}]
  containers:
  - name: probe
    image: %[2]s
    args: [serve]
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: keep}}]
`

type probePod struct{ name, ip, node string }

func probePods(ctx context.Context, ns string) []probePod {
	GinkgoHelper()
	var pods []probePod
	out := kubectl(ctx, "-n", ns, "get", "pods", "-l", "app=probe", "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.podIP} {.spec.nodeName}{"\n"}{end}`)
	for line := range strings.Lines(out) {
		var p probePod
		_, err := fmt.Sscan(line, &p.name, &p.ip, &p.node)
		Expect(err).NotTo(HaveOccurred())
		pods = append(pods, p)
	}
	return pods
}

var httpClient = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func get(url string) (string, error) {
	resp, err := httpClient.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return strings.TrimSpace(string(b)), err
}

// answered waits for an answer: a busy machine may be slower than the client, whose patience is for pods that are gone.
func answered(ctx context.Context, url string, want types.GomegaMatcher) {
	GinkgoHelper()
	Eventually(ctx, func() (string, error) { return get(url) }).WithTimeout(30*time.Second).Should(want, url)
}

func ready(ctx context.Context, ns string) {
	GinkgoHelper()
	apply(ctx, fmt.Sprintf(probes, ns, probeImage))
	kubectl(ctx, "-n", ns, "rollout", "status", "daemonset/probe", "--timeout=60s")
}

func nodeReady(ctx context.Context, node string) string {
	return kubectl(ctx, "get", "node", node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
}

var _ = Describe("the cluster", Label("cluster"), func() {
	It("runs pods that reach each other by name, address and Service, on all nodes and from this machine", func(ctx SpecContext) {
		ns := namespace(ctx, "net")
		timed("probe on three nodes ready", func() { ready(ctx, ns) })
		pods := probePods(ctx, ns)
		Expect(pods).To(HaveLen(nodes))
		all := []string{}
		for _, p := range pods {
			all = append(all, p.name)
		}

		By("DNS and Service from a pod on each node: every pod answers")
		for _, p := range pods {
			seen := map[string]bool{}
			Eventually(ctx, func(g Gomega) {
				out, err := bed.Kubectl(ctx, "-n", ns, "exec", p.name, "--", "/probe", "get", "http://probe."+ns+".svc.cluster.local")
				g.Expect(err).NotTo(HaveOccurred())
				seen[strings.TrimSpace(out)] = true
				g.Expect(seen).To(HaveLen(nodes))
			}).WithTimeout(30 * time.Second).WithPolling(10 * time.Millisecond).Should(Succeed())
		}

		By("pod, Service and node port from this machine")
		svc := strings.Fields(kubectl(ctx, "-n", ns, "get", "service", "probe", "-o", "jsonpath={.spec.clusterIP} {.spec.ports[0].nodePort}"))
		for _, url := range []string{"http://" + pods[0].ip + ":8080", "http://" + svc[0], "http://10.90.0.11:" + svc[1], "http://10.90.0.13:" + svc[1]} {
			answered(ctx, url, BeElementOf(all))
		}

		By("logs and port-forward")
		Expect(kubectl(ctx, "-n", ns, "logs", pods[1].name)).To(Equal("serving as " + pods[1].name))
		forward := bed.KubectlCommand(ctx, "-n", ns, "port-forward", "pod/"+pods[2].name, ":8080")
		out, err := forward.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(forward.Start()).To(Succeed())
		line, err := bufio.NewReader(out).ReadString('\n')
		Expect(err).NotTo(HaveOccurred())
		_, address, _ := strings.Cut(line, "Forwarding from ")
		address, _, _ = strings.Cut(address, " ")
		answered(ctx, "http://"+address, Equal(pods[2].name))
		Expect(forward.Process.Kill()).To(Succeed())
		_ = forward.Wait()
	}, SpecTimeout(3*time.Minute))

	It("keeps a claim's data when its pod is made again, and when its node loses power", func(ctx SpecContext) {
		ns := namespace(ctx, "disk")
		manifest := fmt.Sprintf(keeper, ns, probeImage)
		up := func() (ip, node string) {
			GinkgoHelper()
			kubectl(ctx, "-n", ns, "wait", "--for=condition=Ready", "pod/keeper", "--timeout=60s")
			f := strings.Fields(kubectl(ctx, "-n", ns, "get", "pod", "keeper", "-o", "jsonpath={.status.podIP} {.spec.nodeName}"))
			return f[0], f[1]
		}
		apply(ctx, manifest)
		ip, node := up()
		Eventually(ctx, func(g Gomega) {
			resp, err := httpClient.Post("http://"+ip+":8080/file", "text/plain", strings.NewReader("kept"))
			g.Expect(err).NotTo(HaveOccurred())
			resp.Body.Close()
			g.Expect(resp.StatusCode).To(Equal(http.StatusOK), "a pod that is not root must be able to write its volume")
		}).WithTimeout(30 * time.Second).Should(Succeed())

		kubectl(ctx, "-n", ns, "delete", "pod", "keeper")
		apply(ctx, manifest)
		ip, again := up()
		Expect(again).To(Equal(node), "a local volume binds its pod to its node")
		answered(ctx, "http://"+ip+":8080/file", Equal("kept"))

		tool(ctx, "kill-node", node)
		timed("restart of a node until it is ready", func() { tool(ctx, "restart-node", node) })
		timed("and until its pod serves again", func() {
			Eventually(ctx, func() (string, error) {
				ip := kubectl(ctx, "-n", ns, "get", "pod", "keeper", "-o", "jsonpath={.status.podIP}")
				return get("http://" + ip + ":8080/file")
			}).WithTimeout(time.Minute).WithPolling(20 * time.Millisecond).Should(Equal("kept"))
		})

		By("the volume goes with its claim")
		volume := kubectl(ctx, "-n", ns, "get", "pvc", "keep", "-o", "jsonpath={.spec.volumeName}")
		folder := filepath.Join(filepath.Dir(bed.Kubeconfig), "nodes", node, "disk/var/lib/local-path", volume)
		Expect(folder).To(BeADirectory())
		kubectl(ctx, "-n", ns, "delete", "pod/keeper", "pvc/keep")
		Eventually(ctx, func() (string, error) { return bed.Kubectl(ctx, "get", "pv", volume, "--ignore-not-found") }).
			WithTimeout(30 * time.Second).Should(BeEmpty())
		Expect(folder).NotTo(BeADirectory())
	}, SpecTimeout(3*time.Minute))

	It("loses a node that is killed, and gets it back", func(ctx SpecContext) {
		ns := namespace(ctx, "kill")
		ready(ctx, ns)
		victim := probePods(ctx, ns)[0]
		DeferCleanup(func(ctx SpecContext) { tool(ctx, "restart-node", victim.node) })
		killed := time.Now()
		timed("kill-node", func() { tool(ctx, "kill-node", victim.node) })
		_, err := get("http://" + victim.ip + ":8080")
		Expect(err).To(HaveOccurred(), "a dead node's pod must not answer")
		Eventually(ctx, func() string { return nodeReady(ctx, victim.node) }).WithTimeout(40 * time.Second).WithPolling(200 * time.Millisecond).Should(Equal("Unknown"))
		AddReportEntry("kill-node until NotReady", time.Since(killed).Round(100*time.Millisecond).String(), ReportEntryVisibilityAlways)
		timed("restart-node", func() { tool(ctx, "restart-node", victim.node) })
		Expect(nodeReady(ctx, victim.node)).To(Equal("True"))
	}, SpecTimeout(3*time.Minute))

	It("cuts a node off and heals it while its containers go on", func(ctx SpecContext) {
		ns := namespace(ctx, "cut")
		ready(ctx, ns)
		victim := probePods(ctx, ns)[0]
		id := func() string {
			return kubectl(ctx, "-n", ns, "get", "pod", victim.name, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
		}
		before := id()
		DeferCleanup(func(ctx SpecContext) { tool(ctx, "heal-node", victim.node) })
		tool(ctx, "cut-node", victim.node)
		_, err := get("http://" + victim.ip + ":8080")
		Expect(err).To(HaveOccurred(), "a pod behind the cut must not answer")
		Expect(tool(ctx, "node-exec", victim.node, "--", "ctr", "-n", "k8s.io", "tasks", "ls")).To(ContainSubstring(strings.TrimPrefix(before, "containerd://")))
		tool(ctx, "heal-node", victim.node)
		timed("heal-node until the pod answers", func() {
			Eventually(ctx, func() (string, error) { return get("http://" + victim.ip + ":8080") }).
				WithTimeout(20 * time.Second).WithPolling(20 * time.Millisecond).Should(Equal(victim.name))
		})
		Expect(id()).To(Equal(before), "the container must be the same")
	}, SpecTimeout(3*time.Minute))

	It("blocks one direction between two pods", func(ctx SpecContext) {
		ns := namespace(ctx, "block")
		ready(ctx, ns)
		pods := probePods(ctx, ns)
		DeferCleanup(func(ctx SpecContext) { tool(ctx, "unblock") })
		reach := func(from, to probePod) error {
			_, err := bed.Kubectl(ctx, "-n", ns, "exec", from.name, "--", "/probe", "get", "http://"+net.JoinHostPort(to.ip, "8080"))
			return err
		}
		Expect(reach(pods[0], pods[1])).To(Succeed())
		tool(ctx, "block", pods[0].ip, pods[1].ip)
		Expect(reach(pods[0], pods[1])).NotTo(Succeed())
		Expect(reach(pods[0], pods[2])).To(Succeed(), "a third pod is not concerned")
		tool(ctx, "unblock")
		Expect(reach(pods[0], pods[1])).To(Succeed())
	}, SpecTimeout(2*time.Minute))
})
