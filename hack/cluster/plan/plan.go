// Package plan says what a cluster on this machine looks like before anything is started: its nodes, addresses, folders
// and the configuration files of every program. It is pure: it makes strings and paths and touches nothing.
//
// The picture: every node is a network namespace of its own; all hang off one bridge in the control plane's namespace,
// and one more veth pair ties this machine to that bridge.
//
//	this machine ── 10.90.0.254 ─┐
//	                             br0 10.90.0.1 (etcd, API server, controllers, scheduler)
//	n1 10.90.0.11 ───────────────┤      pods 10.244.1.0/24
//	n2 10.90.0.12 ───────────────┤      pods 10.244.2.0/24
//	n3 10.90.0.13 ───────────────┘      pods 10.244.3.0/24      services 10.96.0.0/16
package plan

import (
	"fmt"
	"path/filepath"
)

const (
	// Version is the Kubernetes release that hack/cluster/kube builds.
	Version = "v1.37.1"

	// MaxNodes keeps node addresses clear of HostIP; one machine carries far fewer.
	MaxNodes = 9

	ControlPlaneIP = "10.90.0.1"
	HostIP         = "10.90.0.254"
	NodeNet        = "10.90.0.0/24"
	PodNet         = "10.244.0.0/16"
	ServiceNet     = "10.96.0.0/16"
	ServiceIP      = "10.96.0.1" // kubernetes.default
	DNSIP          = "10.96.0.10"
	Domain         = "cluster.local"

	// HostLink is the end of the veth pair that stays in this machine's own namespace.
	HostLink = "understudy0"
	// Bridge is the switch in the control plane's namespace.
	Bridge = "br0"

	// PauseImage and DNSImage are built here; no registry is involved.
	PauseImage = "localhost/pause:1"
	DNSImage   = "localhost/coredns:1.15.0"
)

// Plan is one cluster. The zero value is not valid; use New.
type Plan struct {
	Dir   string // everything the cluster writes is below this folder
	Bin   string // folder with etcd, kube-apiserver, ... kubectl
	Nodes []Node
}

// Node is one Kubernetes node.
type Node struct {
	Name   string // n1, n2, ...: node name and host name
	Index  int    // from 1
	IP     string
	PodNet string
	Dir    string // configuration, logs and disk of this node
	Cgroup string // top-level cgroup that holds all its pods
}

// New plans a cluster of n nodes with its state below dir, an absolute path.
func New(dir, bin string, n int) (*Plan, error) {
	if n < 1 || n > MaxNodes {
		return nil, fmt.Errorf("a cluster has 1 to %d nodes, not %d", MaxNodes, n)
	}
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("state folder %q is not an absolute path", dir)
	}
	p := &Plan{Dir: dir, Bin: bin}
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("n%d", i)
		p.Nodes = append(p.Nodes, Node{
			Name:   name,
			Index:  i,
			IP:     fmt.Sprintf("10.90.0.%d", 10+i),
			PodNet: fmt.Sprintf("10.244.%d.0/24", i),
			Dir:    filepath.Join(dir, "nodes", name),
			Cgroup: "understudy-" + name,
		})
	}
	return p, nil
}

// Node returns the node of that name ("n2") or number ("2").
func (p *Plan) Node(name string) (Node, error) {
	for _, n := range p.Nodes {
		if n.Name == name || fmt.Sprint(n.Index) == name {
			return n, nil
		}
	}
	return Node{}, fmt.Errorf("no node %q: this cluster has n1 to n%d", name, len(p.Nodes))
}

// PKI is the folder of keys, certificates and kubeconfigs.
func (p *Plan) PKI() string { return filepath.Join(p.Dir, "pki") }

// Kubeconfig is the administrator's, for kubectl on this machine.
func (p *Plan) Kubeconfig() string { return filepath.Join(p.Dir, "kubeconfig") }

// Log is the log file of a control plane program.
func (p *Plan) Log(program string) string { return filepath.Join(p.Dir, "log", program+".log") }

// Images is the folder of image archives that every node imports when it starts.
func (p *Plan) Images() string { return filepath.Join(p.Dir, "images") }

// Socket is where the supervisor listens.
func (p *Plan) Socket() string { return filepath.Join(p.Dir, "supervisor.sock") }

// Netns is the file that pins a network namespace: "cp" or a node's name.
func (p *Plan) Netns(name string) string { return filepath.Join(p.Dir, "netns", name) }

// Program is the path of one of the cluster's programs.
func (p *Plan) Program(name string) string { return filepath.Join(p.Bin, name) }

// Disk is the folder that a node sees as path (such as /var/lib/kubelet). It survives a restart of the node.
func (n Node) Disk(path string) string { return filepath.Join(n.Dir, "disk", path) }

// File is a configuration or log file of the node.
func (n Node) File(name string) string { return filepath.Join(n.Dir, name) }

// Link is the node's port on the bridge: taking it down cuts the node off.
func (n Node) Link() string { return "port-" + n.Name }

// MAC is the hardware address of the node's link. It outlives a restart, as a real machine's does: with a new one the
// other nodes would send to the old one until their neighbour tables notice, for seconds.
func (n Node) MAC() string { return fmt.Sprintf("02:00:0a:5a:00:%02x", 10+n.Index) }
