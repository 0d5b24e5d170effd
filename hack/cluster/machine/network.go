package machine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/understudy-db/understudy/hack/cluster/plan"
)

// Network namespaces are pinned by a bind mount on a file of the cluster's own folder, not below /run/netns: so that
// nothing of ours stands in a shared place, and one folder tells all that is left to undo.

// ControlPlane is the name of the control plane's network namespace.
const ControlPlane = "cp"

// MakeControlPlane makes the control plane's namespace with the bridge, and ties this machine to it.
func MakeControlPlane(p *plan.Plan) error {
	file := p.Netns(ControlPlane)
	if err := makeNetns(file); err != nil {
		return err
	}
	in := func(args ...string) error { return inNetns(file, args...) }
	return firstError(
		func() error { return in("ip", "link", "set", "lo", "up") },
		func() error { return in("ip", "link", "add", plan.Bridge, "type", "bridge") },
		func() error { return in("ip", "addr", "add", plan.ControlPlaneIP+"/24", "dev", plan.Bridge) },
		func() error { return in("ip", "link", "set", plan.Bridge, "up") },
		func() error { return in("sysctl", "-qw", "net.ipv4.ip_forward=1") },
		func() error {
			return run("ip", "link", "add", plan.HostLink, "type", "veth", "peer", "name", "host", "netns", file)
		},
		func() error { return in("ip", "link", "set", "host", "master", plan.Bridge, "up") },
		func() error { return run("ip", "addr", "add", plan.HostIP+"/24", "dev", plan.HostLink) },
		func() error { return run("ip", "link", "set", plan.HostLink, "up") },
	)
}

// MakeNode makes a node's namespace, fresh as after a reboot, and plugs it into the bridge.
func MakeNode(p *plan.Plan, n plan.Node) error {
	file, cp := p.Netns(n.Name), p.Netns(ControlPlane)
	if err := RemoveNode(p, n); err != nil {
		return err
	}
	if err := makeNetns(file); err != nil {
		return err
	}
	in := func(args ...string) error { return inNetns(file, args...) }
	steps := []func() error{
		func() error { return in("ip", "link", "set", "lo", "up") },
		func() error {
			return run("ip", "link", "add", "eth0", "address", n.MAC(), "netns", file, "type", "veth", "peer", "name", n.Link(), "netns", cp)
		},
		func() error { return inNetns(cp, "ip", "link", "set", n.Link(), "master", plan.Bridge, "up") },
		func() error { return in("ip", "addr", "add", n.IP+"/24", "dev", "eth0") },
		func() error { return in("ip", "link", "set", "eth0", "up") },
		func() error { return in("ip", "route", "add", "default", "via", plan.ControlPlaneIP) },
		func() error { return inNetns(cp, "ip", "route", "replace", n.PodNet, "via", n.IP) },
		func() error { return run("ip", "route", "replace", n.PodNet, "via", n.IP, "dev", plan.HostLink) },
	}
	for _, other := range p.Nodes {
		if other.Index != n.Index {
			steps = append(steps, func() error { return in("ip", "route", "add", other.PodNet, "via", other.IP) })
		}
	}
	return firstError(steps...)
}

// RemoveNode removes a node's namespace; its end of the veth pair goes with it.
func RemoveNode(p *plan.Plan, n plan.Node) error {
	if exists(p.Netns(ControlPlane)) && exists(p.Netns(n.Name)) {
		_ = inNetns(p.Netns(ControlPlane), "ip", "link", "del", n.Link()) // the kernel would do it, but only some time later
	}
	return removeNetns(p.Netns(n.Name))
}

// RouteServices sends this machine's traffic for Service addresses through a node, which translates it.
func RouteServices(n plan.Node) error {
	return run("ip", "route", "replace", plan.ServiceNet, "via", n.IP, "dev", plan.HostLink)
}

// ServicesThrough tells whether this machine's traffic for Service addresses goes through a node.
func ServicesThrough(n plan.Node) bool {
	out, err := output("ip", "-o", "route", "show", plan.ServiceNet, "via", n.IP)
	return err == nil && len(out) > 0
}

// SetLink takes a node's port on the bridge up or down.
func SetLink(p *plan.Plan, n plan.Node, up bool) error {
	state := "down"
	if up {
		state = "up"
	}
	return inNetns(p.Netns(ControlPlane), "ip", "link", "set", n.Link(), state)
}

// LinkUp tells whether a node's port on the bridge is up.
func LinkUp(p *plan.Plan, n plan.Node) bool {
	out, err := output("nsenter", "--net="+p.Netns(ControlPlane), "--", "ip", "-o", "link", "show", "dev", n.Link(), "up")
	return err == nil && len(out) > 0
}

// LinkExists tells whether this machine's own namespace has a link of that name.
func LinkExists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

const blockTable = "understudy_block"

// Block drops, on one node, what goes from one address to another: in that direction only.
func Block(p *plan.Plan, n plan.Node, from, to string) error {
	for _, ip := range []string{from, to} {
		if net.ParseIP(ip).To4() == nil {
			return fmt.Errorf("%q is not an IPv4 address", ip)
		}
	}
	file := p.Netns(n.Name)
	for _, hook := range []string{"forward", "input", "output"} {
		chain := "{ type filter hook " + hook + " priority -200; }"
		if err := firstError(
			func() error { return inNetns(file, "nft", "add", "table", "inet", blockTable) },
			func() error { return inNetns(file, "nft", "add", "chain", "inet", blockTable, hook, chain) },
			func() error {
				return inNetns(file, "nft", "add", "rule", "inet", blockTable, hook, "ip", "saddr", from, "ip", "daddr", to, "counter", "drop")
			},
		); err != nil {
			return err
		}
	}
	return nil
}

// Unblock undoes every Block on a node.
func Unblock(p *plan.Plan, n plan.Node) error {
	file := p.Netns(n.Name)
	return firstError(
		func() error { return inNetns(file, "nft", "add", "table", "inet", blockTable) },
		func() error { return inNetns(file, "nft", "delete", "table", "inet", blockTable) },
	)
}

// RemoveNetwork undoes everything that the functions of this file make. Routes go with HostLink.
func RemoveNetwork(p *plan.Plan) error {
	var failed []error
	files, err := filepath.Glob(p.Netns("*"))
	failed = append(failed, err)
	for _, f := range files {
		failed = append(failed, removeNetns(f))
	}
	if LinkExists(plan.HostLink) {
		failed = append(failed, run("ip", "link", "del", plan.HostLink))
	}
	return errors.Join(failed...)
}

func makeNetns(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		return err
	}
	return run("unshare", "--net="+file, "true")
}

func removeNetns(file string) error {
	for syscall.Unmount(file, syscall.MNT_DETACH) == nil { // a crash may have left more than one mount
	}
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func inNetns(file string, args ...string) error {
	return run(append([]string{"nsenter", "--net=" + file, "--"}, args...)...)
}

// overlap says which of the machine's own networks collides with the cluster's.
func overlap(networks []string) string {
	links, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, link := range links {
		if link.Name == plan.HostLink {
			continue // left by an earlier cluster; down removes it
		}
		addrs, _ := link.Addrs()
		for _, a := range addrs {
			if n := collision(a.String(), networks); n != "" {
				return fmt.Sprintf("%s has address %s, which collides with the cluster's network %s", link.Name, a, n)
			}
		}
	}
	return ""
}

// collision returns the network that shares addresses with the one of an interface's address, such as 192.168.1.5/24.
func collision(address string, networks []string) string {
	_, theirs, err := net.ParseCIDR(address)
	if err != nil {
		return ""
	}
	for _, n := range networks {
		if _, ours, err := net.ParseCIDR(n); err == nil && (ours.Contains(theirs.IP) || theirs.Contains(ours.IP)) {
			return n
		}
	}
	return ""
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
