package plan

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func newPlan(t *testing.T, nodes int) *Plan {
	t.Helper()
	p, err := New("/state", "/bin", nodes)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAddressesAreDistinctAndInTheirNetworks(t *testing.T) {
	in := func(network, ip string) bool {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		return n.Contains(net.ParseIP(ip))
	}
	seen := map[string]string{ControlPlaneIP: "control plane", HostIP: "this machine"}
	for _, n := range newPlan(t, MaxNodes).Nodes {
		if who, taken := seen[n.IP]; taken {
			t.Errorf("%s has the address of %s", n.Name, who)
		}
		seen[n.IP] = n.Name
		podIP, _, err := net.ParseCIDR(n.PodNet)
		if err != nil || !in(NodeNet, n.IP) || !in(PodNet, podIP.String()) {
			t.Errorf("%s has address %s and pods %s: %v", n.Name, n.IP, n.PodNet, err)
		}
	}
	if !in(ServiceNet, DNSIP) || !in(ServiceNet, ServiceIP) {
		t.Error("DNS and API server must have Service addresses")
	}
}

func TestBadShapesAreRefused(t *testing.T) {
	for _, nodes := range []int{-1, 0, MaxNodes + 1} {
		if _, err := New("/state", "/bin", nodes); err == nil {
			t.Errorf("%d nodes: accepted", nodes)
		}
	}
	if _, err := New("state", "/bin", 1); err == nil {
		t.Error("a relative state folder would depend on the caller's folder")
	}
	if _, err := newPlan(t, 2).Node("n3"); err == nil {
		t.Error("n3 of a cluster of two")
	}
	if n, err := newPlan(t, 2).Node("2"); err != nil || n.Name != "n2" {
		t.Errorf("node 2 is %q, %v", n.Name, err)
	}
}

// TestFilesParse reads each rendered file with a parser of its format, and the values that a node cannot do without.
func TestFilesParse(t *testing.T) {
	p := newPlan(t, 3)
	for _, n := range p.Nodes {
		files := p.Files(n, "/usr/sbin/runc")
		var kubelet, proxy map[string]any
		var cni struct{ Plugins []map[string]any }
		for name, into := range map[string]any{"kubelet.yaml": &kubelet, "kube-proxy.yaml": &proxy} {
			if err := yaml.UnmarshalStrict([]byte(files[name]), into); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := json.Unmarshal([]byte(files["cni.conflist"]), &cni); err != nil {
			t.Fatal(err)
		}
		if kubelet["cgroupRoot"] != "/"+n.Cgroup || kubelet["address"] != n.IP || fmt.Sprint(kubelet["clusterDNS"]) != "["+DNSIP+"]" {
			t.Errorf("%s: kubelet is configured as %v", n.Name, kubelet)
		}
		if proxy["clusterCIDR"] != PodNet || len(cni.Plugins) != 2 || !strings.Contains(files["cni.conflist"], n.PodNet) {
			t.Errorf("%s: proxy %v, CNI %v", n.Name, proxy, cni)
		}
		if !strings.Contains(files["containerd.toml"], "restrict_oom_score_adj = true") {
			t.Error("without it every sandbox dies where CAP_SYS_RESOURCE is missing")
		}
	}
}

func TestNodesShareNoFolder(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range newPlan(t, MaxNodes).Nodes {
		for _, dir := range PrivateDirs {
			if d := n.Disk(dir); seen[d] {
				t.Errorf("%s is used twice", d)
			} else {
				seen[d] = true
			}
		}
	}
}
