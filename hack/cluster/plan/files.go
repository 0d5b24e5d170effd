package plan

import (
	"fmt"
	"path/filepath"
	"strings"
)

// LocalPath is the folder on a node under which the volume provisioner makes one folder per volume.
const LocalPath = "/var/lib/local-path"

// PrivateDirs are the folders of which every node has its own, kept on its disk.
var PrivateDirs = []string{
	"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/etc/cni", "/var/log", "/etc/kubernetes", LocalPath,
}

// Snapshotter says where containerd keeps the file systems of containers; overlayfs wherever the kernel has it.
const Snapshotter = "overlayfs"

// Files returns a node's configuration files by name relative to its folder.
func (p *Plan) Files(n Node, runc string) map[string]string {
	return map[string]string{
		"cni.conflist":    cniConfig(n),
		"containerd.toml": containerdConfig(runc),
		"kubelet.yaml":    p.kubeletConfig(n),
		"kube-proxy.yaml": p.proxyConfig(),
		"resolv.conf":     "nameserver " + DNSIP + "\n",
	}
}

func cniConfig(n Node) string {
	return fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
`, n.PodNet)
}

// containerdConfig suits containerd 1.6 and 1.7. Without CAP_SYS_RESOURCE a sandbox may not lower its own OOM score;
// unless that is restricted every sandbox dies with "can't get final child's PID from pipe: EOF".
func containerdConfig(runc string) string {
	return fmt.Sprintf(`version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %q
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = %q
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
`, PauseImage, Snapshotter, runc)
}

func (p *Plan) kubeletConfig(n Node) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /%s
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
address: %s
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %s}}
authorization: {mode: Webhook}
tlsCertFile: %s
tlsPrivateKeyFile: %s
clusterDNS: [%s]
clusterDomain: %s
resolvConf: %s
enforceNodeAllocatable: [pods]
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 5s
nodeLeaseDurationSeconds: 20
registerNode: true
`, n.Cgroup, n.IP, filepath.Join(p.PKI(), "ca.crt"), filepath.Join(p.PKI(), n.Name+".crt"), filepath.Join(p.PKI(), n.Name+".key"),
		DNSIP, Domain, n.File("resolv.conf"))
}

func (p *Plan) proxyConfig() string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: %s
clientConnection: {kubeconfig: %s}
conntrack: {maxPerCore: 0, min: 0}
metricsBindAddress: 127.0.0.1:10249
`, PodNet, filepath.Join(p.PKI(), "kube-proxy.kubeconfig"))
}

// Command is one program of the control plane, run in the namespace "cp".
type Command struct {
	Name string
	Args []string // Args[0] is the program's path
}

// Etcd keeps no promise about power loss (no fsync): the cluster is thrown away by down.
func (p *Plan) Etcd() Command {
	return Command{"etcd", []string{p.Program("etcd"), "--data-dir", filepath.Join(p.Dir, "etcd"),
		"--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
		"--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync", "--log-level", "warn"}}
}

// APIServer listens on ControlPlaneIP:6443. Pods leave a lost node after 10 s rather than the usual 5 minutes.
func (p *Plan) APIServer() Command {
	pki := func(name string) string { return filepath.Join(p.PKI(), name) }
	return Command{"kube-apiserver", []string{p.Program("kube-apiserver"),
		"--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", "--advertise-address=" + ControlPlaneIP, "--secure-port=6443",
		"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"), "--client-ca-file=" + pki("ca.crt"),
		"--kubelet-client-certificate=" + pki("kubelet-client.crt"), "--kubelet-client-key=" + pki("kubelet-client.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + pki("sa.pub"),
		"--service-account-signing-key-file=" + pki("sa.key"), "--service-cluster-ip-range=" + ServiceNet,
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--enable-aggregator-routing=true", "--profiling=false",
		"--default-not-ready-toleration-seconds=10", "--default-unreachable-toleration-seconds=10", "--v=1"}}
}

// ControllerManager uses one client for all its controllers: with a service account each it would take 5 s to start.
func (p *Plan) ControllerManager() Command {
	pki := func(name string) string { return filepath.Join(p.PKI(), name) }
	own := pki("kube-controller-manager.kubeconfig")
	return Command{"kube-controller-manager", []string{p.Program("kube-controller-manager"),
		"--kubeconfig=" + pki("admin.kubeconfig"), "--authentication-kubeconfig=" + own, "--authorization-kubeconfig=" + own,
		"--service-account-private-key-file=" + pki("sa.key"), "--root-ca-file=" + pki("ca.crt"),
		"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
		"--use-service-account-credentials=false", "--kube-api-qps=500", "--kube-api-burst=1000", "--leader-elect=false",
		"--allocate-node-cidrs=false", "--bind-address=127.0.0.1",
		"--node-monitor-period=1s", "--node-monitor-grace-period=12s"}}
}

// Scheduler is upstream's default scheduler.
func (p *Plan) Scheduler() Command {
	own := filepath.Join(p.PKI(), "kube-scheduler.kubeconfig")
	return Command{"kube-scheduler", []string{p.Program("kube-scheduler"), "--kubeconfig=" + own,
		"--authentication-kubeconfig=" + own, "--authorization-kubeconfig=" + own, "--leader-elect=false", "--bind-address=127.0.0.1"}}
}

// Provisioner makes a folder on a node's disk, and a local volume for it, for each claim.
func (p *Plan) Provisioner() Command {
	return Command{"local-path", []string{p.Program("local-path"), "--kubeconfig=" + filepath.Join(p.PKI(), "admin.kubeconfig"),
		"--disks=" + filepath.Join(p.Dir, "nodes", "%s", "disk"), "--path=" + LocalPath}}
}

// Kubelet and KubeProxy run inside the node.
func (p *Plan) Kubelet(n Node) Command {
	return Command{"kubelet", []string{p.Program("kubelet"), "--config=" + n.File("kubelet.yaml"),
		"--kubeconfig=" + filepath.Join(p.PKI(), n.Name+".kubeconfig"), "--node-ip=" + n.IP, "--hostname-override=" + n.Name, "--v=2"}}
}

func (p *Plan) KubeProxy(n Node) Command {
	return Command{"kube-proxy", []string{p.Program("kube-proxy"), "--config=" + n.File("kube-proxy.yaml"), "--hostname-override=" + n.Name}}
}

// Containerd runs inside the node, from the distribution's package.
func (p *Plan) Containerd(n Node) Command {
	return Command{"containerd", []string{"containerd", "--config", n.File("containerd.toml")}}
}

// String names the cluster's shape in one line.
func (p *Plan) String() string {
	names := make([]string, len(p.Nodes))
	for i, n := range p.Nodes {
		names[i] = n.Name
	}
	return fmt.Sprintf("Kubernetes %s, nodes %s", Version, strings.Join(names, " "))
}
