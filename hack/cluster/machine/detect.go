// Package machine is what the cluster needs of the machine it runs on: rights, packages, control groups, network
// namespaces and links. It changes nothing but what it makes itself, and can undo all of that.
package machine

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Facts is what this machine turned out to be.
type Facts struct {
	Root       bool
	CgroupV2   bool
	InitReaps  bool     // process 1 is an init that reaps what it inherits
	Missing    []string // Debian packages whose programs are not there
	Runc       string
	Addressing string // why the cluster's addresses cannot be used; empty when they can
}

// need is a program or file and the Debian package that has it.
type need struct{ pkg, program string }

var needs = []need{
	{"containerd", "containerd"}, {"containerd", "ctr"}, {"runc", "runc"},
	{"containernetworking-plugins", "/usr/lib/cni/bridge"}, {"containernetworking-plugins", "/usr/lib/cni/host-local"},
	{"containernetworking-plugins", "/usr/lib/cni/portmap"},
	{"nftables", "nft"}, {"iptables", "iptables"}, {"conntrack", "conntrack"}, {"iproute2", "ip"},
	{"util-linux", "nsenter"}, {"util-linux", "unshare"}, {"mount", "mount"},
	{"kmod", "modprobe"},
}

// Detect looks at the machine; it changes nothing.
func Detect(networks []string) Facts {
	f := Facts{Root: os.Geteuid() == 0, CgroupV2: exists("/sys/fs/cgroup/cgroup.controllers"), InitReaps: initReaps()}
	seen := map[string]bool{}
	for _, n := range needs {
		if lookPath(n.program) == "" && !seen[n.pkg] {
			seen[n.pkg] = true
			f.Missing = append(f.Missing, n.pkg)
		}
	}
	f.Runc = lookPath("runc")
	f.Addressing = overlap(networks)
	return f
}

// String describes the machine in one line.
func (f Facts) String() string {
	cgroups := "v1"
	if f.CgroupV2 {
		cgroups = "v2"
	}
	init := "process 1 reaps"
	if !f.InitReaps {
		init = "process 1 does not reap"
	}
	return fmt.Sprintf("%s/%s, %d cores, cgroups %s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cgroups, init)
}

// initReaps guesses from process 1's name; only a message depends on it.
func initReaps() bool {
	b, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		return false
	}
	switch strings.TrimSpace(string(b)) {
	case "systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "runit", "s6-svscan":
		return true
	}
	return false
}

// lookPath also finds programs of the sbin folders, which a user's PATH often lacks.
func lookPath(program string) string {
	if filepath.IsAbs(program) {
		if exists(program) {
			return program
		}
		return ""
	}
	for dir := range strings.SplitSeq(os.Getenv("PATH")+":"+SystemPath, ":") {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// SystemPath is the PATH of the cluster's processes.
const SystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// InstallPackages installs Debian packages; it asks the archive for its list first.
func InstallPackages(packages []string, log string) error {
	if lookPath("apt-get") == "" {
		return fmt.Errorf("this machine has no apt-get: install what these Debian packages hold by hand: %s", strings.Join(packages, " "))
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, packages...)} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = f, f
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w: see %s", strings.Join(args, " "), err, log)
		}
	}
	return nil
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// LoadModules loads the kernel modules that a node needs; a kernel that has them built in needs none, and one that has
// them not at all makes the node's own start fail with a message.
func LoadModules() {
	for file, module := range map[string]string{"/proc/sys/net/bridge": "br_netfilter", "/sys/module/overlay": "overlay", "/sys/module/nf_tables": "nf_tables"} {
		if !exists(file) {
			_ = run("modprobe", module)
		}
	}
}

// run runs a program; its output is part of the error.
func run(args ...string) error {
	_, err := output(args...)
	return err
}

func output(args ...string) ([]byte, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":"+SystemPath)
	if path := lookPath(args[0]); path != "" {
		cmd.Path, cmd.Err = path, nil
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return out, nil
}
