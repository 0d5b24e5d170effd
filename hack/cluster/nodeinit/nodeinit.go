// Package nodeinit is process 1 of a node: it turns fresh namespaces into something that looks like a machine of its own
// to containerd and the kubelet, starts them, restarts them when they crash, and reaps.
//
// It runs in new mount, PID, UTS and IPC namespaces inside the node's network namespace. When it dies, by any signal, the
// kernel ends every process of the node: that is how a node is killed.
package nodeinit

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/plan"
)

// Spec is what the driver tells a node; it travels as a JSON file.
type Spec struct {
	Node      plan.Node
	CNI       string // conflist to install
	Images    []string
	Authority string         // certificate that the API server's is signed with
	Services  []plan.Command // in order of start: containerd first
	Env       []string
}

const (
	containerdSocket = "/run/containerd/containerd.sock"
	containerdWait   = 30 * time.Second
	restartDelay     = time.Second
)

// Run is the life of a node; it returns only on an error that makes the node useless.
func Run(specFile string) error {
	b, err := os.ReadFile(specFile)
	if err != nil {
		return err
	}
	var spec Spec
	if err := json.Unmarshal(b, &spec); err != nil {
		return fmt.Errorf("%s: %w", specFile, err)
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("node-init is process %d: it must be process 1 of its own PID namespace", os.Getpid())
	}
	if err := prepare(spec); err != nil {
		return err
	}
	return newSystem(spec).run()
}

// prepare makes the mounts and kernel settings of the node.
func prepare(spec Spec) error {
	if err := syscall.Sethostname([]byte(spec.Node.Name)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	// volumes that the kubelet mounts must reach containers, but nothing may reach the machine outside
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make / shared: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("private /run: %w", err)
	}
	for _, dir := range []string{"/run/lock", "/run/netns"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, dir := range plan.PrivateDirs {
		if err := bindDir(spec.Node.Disk(dir), dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll("/etc/cni/net.d", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile("/etc/cni/net.d/10-bridge.conflist", []byte(spec.CNI), 0o644); err != nil {
		return err
	}
	return kernelSettings(spec.Node)
}

// bindDir shows the folder from as dir. The mount point itself must exist on the machine; it stays, empty, afterwards.
func bindDir(from, dir string) error {
	for _, d := range []string{from, dir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := syscall.Mount(from, dir, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, dir, err)
	}
	return nil
}

// kernelSettings sets what belongs to the node's network namespace. The kubelet would also write three settings of the
// whole machine unless they already read as it wants: it is shown private files in their place.
func kernelSettings(n plan.Node) error {
	for path, value := range map[string]string{
		"/proc/sys/vm/overcommit_memory": "1", "/proc/sys/kernel/panic": "10", "/proc/sys/kernel/panic_on_oops": "1",
	} {
		private := n.File("sysctl-" + filepath.Base(path))
		if err := os.WriteFile(private, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(private, path, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("private %s: %w", path, err)
		}
	}
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/bridge/bridge-nf-call-iptables"} {
		if err := os.WriteFile(path, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("%w: is the kernel module br_netfilter loaded?", err)
		}
	}
	return nil
}

// system runs the services. Only its one goroutine waits for children, so that each exit is seen exactly once.
type system struct {
	spec     Spec
	services map[int]plan.Command // by process number
	restarts chan plan.Command
	children chan os.Signal
	stop     chan os.Signal
}

func newSystem(spec Spec) *system {
	s := &system{spec: spec, services: map[int]plan.Command{}, restarts: make(chan plan.Command, 8),
		children: make(chan os.Signal, 1), stop: make(chan os.Signal, 1)}
	signal.Notify(s.children, syscall.SIGCHLD)
	signal.Notify(s.stop, syscall.SIGTERM)
	return s
}

func (s *system) run() error {
	for i, c := range s.spec.Services {
		if err := s.start(c); err != nil {
			return err
		}
		if i == 0 {
			if err := s.importImages(); err != nil {
				return err
			}
			waitForAPIServer(s.spec.Authority)
		}
	}
	log.Printf("node %s runs", s.spec.Node.Name)
	for {
		select {
		case <-s.children:
			s.reap()
		case c := <-s.restarts:
			if err := s.start(c); err != nil {
				return err
			}
		case <-s.stop:
			return nil // the kernel ends everything else with process 1
		}
	}
}

func (s *system) start(c plan.Command) error {
	p, err := s.spawn(c)
	if err != nil {
		return err
	}
	s.services[p.Pid] = c
	return nil
}

func (s *system) spawn(c plan.Command) (*os.Process, error) {
	logFile, err := os.OpenFile(s.spec.Node.File(c.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	program, err := exec.LookPath(c.Args[0])
	if err != nil {
		return nil, err
	}
	p, err := os.StartProcess(program, c.Args, &os.ProcAttr{Dir: "/", Env: s.spec.Env, Files: []*os.File{nil, logFile, logFile}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	return p, nil
}

// importImages waits for containerd and gives it the images that no registry has. It runs before reap, so it may wait
// for its own child.
func (s *system) importImages() error {
	deadline := time.Now().Add(containerdWait)
	for {
		conn, err := net.Dial("unix", containerdSocket)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("containerd does not answer after %s: see %s", containerdWait, s.spec.Node.File("containerd.log"))
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, image := range s.spec.Images {
		p, err := s.spawn(ImportCommand(image))
		if err != nil {
			return err
		}
		state, err := p.Wait()
		if err != nil {
			return err
		}
		if !state.Success() {
			return fmt.Errorf("import of %s: %s: see %s", image, state, s.spec.Node.File("import.log"))
		}
	}
	return nil
}

// waitForAPIServer spares the kubelet its first failures, after which it would wait for seconds. A server that never
// comes is the kubelet's to report.
func waitForAPIServer(authority string) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		log.Print(err)
		return
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get("https://" + plan.ControlPlaneIP + ":6443/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
}

// ImportCommand makes the images of an archive known to the node's containerd.
func ImportCommand(archive string) plan.Command {
	return plan.Command{Name: "import", Args: []string{"ctr", "-n", "k8s.io", "images", "import", "--snapshotter", plan.Snapshotter, archive}}
}

func (s *system) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
		c, ours := s.services[pid]
		if !ours {
			continue // left to process 1 by a container's shim
		}
		delete(s.services, pid)
		log.Printf("%s ended (exit %d, signal %v); starting it again in %s", c.Name, status.ExitStatus(), status.Signal(), restartDelay)
		time.AfterFunc(restartDelay, func() { s.restarts <- c })
	}
}
