package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/machine"
	"github.com/understudy-db/understudy/hack/cluster/nodeinit"
	"github.com/understudy-db/understudy/hack/cluster/pki"
	"github.com/understudy-db/understudy/hack/cluster/plan"
	"github.com/understudy-db/understudy/hack/cluster/supervise"
)

// UpOptions say what cluster is wanted.
type UpOptions struct {
	Nodes  int
	Images []string // archives that every node imports, besides the cluster's own
}

const startTimeout = 3 * time.Minute

// Up brings a cluster up and returns when its nodes are ready and its DNS answers. What a crashed command left is
// removed first.
func (d *Driver) Up(ctx context.Context, o UpOptions) error {
	if d.Running() {
		p, _, err := d.load()
		if err == nil && len(p.Nodes) == o.Nodes {
			d.say("already up: %s", p)
			return d.Load(ctx, o.Images...)
		}
		return errors.New("a cluster of another shape is up: end it first with `make cluster-down`")
	}
	runc, err := d.checkMachine()
	if err != nil {
		return err
	}
	bin, err := d.Programs(ctx)
	if err != nil {
		return err
	}
	images, err := d.systemImages(ctx)
	if err != nil {
		return err
	}
	images = append(images, o.Images...)
	d.say("programs and images are there")

	p, err := plan.New(d.Dir, bin, o.Nodes)
	if err != nil {
		return err
	}
	if err := d.clean(p); err != nil {
		return fmt.Errorf("cannot remove what an earlier cluster left: %w", err)
	}
	if err := d.begin(p, record{Nodes: o.Nodes, Bin: bin, Runc: runc, Images: images, Started: time.Now()}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := d.startAll(ctx, p, runc, images); err != nil {
		return fmt.Errorf("%w\nThe half-started cluster is left for a look; `make cluster-down` removes it", err)
	}
	d.say("up: %s", p)
	d.usage(p)
	return nil
}

// checkMachine installs what is missing when it may, and says what it found.
func (d *Driver) checkMachine() (runc string, err error) {
	networks := []string{plan.NodeNet, plan.PodNet, plan.ServiceNet}
	f := machine.Detect(networks)
	d.say("machine: %s", f)
	if !f.Root {
		return "", errors.New("a cluster needs root (namespaces, mounts, control groups): run it with sudo")
	}
	if len(f.Missing) > 0 {
		log := filepath.Join(os.TempDir(), "understudy-apt.log")
		d.say("installing Debian packages: %s", strings.Join(f.Missing, " "))
		if err := machine.InstallPackages(f.Missing, log); err != nil {
			return "", err
		}
		if f = machine.Detect(networks); len(f.Missing) > 0 {
			return "", fmt.Errorf("still missing after installation: %s: see %s", strings.Join(f.Missing, " "), log)
		}
	}
	if f.Addressing != "" {
		return "", errors.New(f.Addressing)
	}
	machine.LoadModules()
	return f.Runc, nil
}

// begin makes the state folder, keys and network, and starts the supervisor.
func (d *Driver) begin(p *plan.Plan, r record) error {
	for _, dir := range []string{filepath.Join(d.Dir, "log"), filepath.Join(d.Dir, "bin")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := d.save(r); err != nil {
		return err
	}
	if err := d.startSupervisor(); err != nil {
		return err
	}
	if err := pki.Write(p); err != nil {
		return err
	}
	if err := machine.MakeControlPlane(p); err != nil {
		return err
	}
	for _, n := range p.Nodes {
		if err := machine.MakeNode(p, n); err != nil {
			return err
		}
	}
	d.say("keys and network")
	return machine.RouteServices(p.Nodes[0])
}

// startAll starts nodes and control plane together: a node imports its images while the API server starts.
func (d *Driver) startAll(ctx context.Context, p *plan.Plan, runc string, images []string) error {
	for _, c := range []plan.Command{p.Etcd(), p.APIServer()} {
		if err := d.startControl(p, c); err != nil {
			return err
		}
	}
	for _, n := range p.Nodes {
		if err := d.startNode(p, n, runc, images); err != nil {
			return err
		}
	}
	api, err := newAPI(p)
	if err != nil {
		return err
	}
	if err := d.wait(ctx, "the API server", api.ready); err != nil {
		return err
	}
	d.say("API server ready")
	for _, c := range []plan.Command{p.ControllerManager(), p.Scheduler(), p.Provisioner()} {
		if err := d.startControl(p, c); err != nil {
			return err
		}
	}
	if err := d.applyAddons(ctx, p); err != nil {
		return err
	}
	if err := d.wait(ctx, "the nodes", func(ctx context.Context) error { return api.nodesReady(ctx, p.Nodes, time.Time{}) }); err != nil {
		return err
	}
	d.say("nodes ready")
	if err := d.wait(ctx, "DNS", api.dnsReady); err != nil {
		return err
	}
	return nil
}

func (d *Driver) startControl(p *plan.Plan, c plan.Command) error {
	return d.supervisor().Start(supervise.Spec{
		Name: c.Name, Log: p.Log(c.Name), Env: environment(),
		Args: append([]string{"nsenter", "--net=" + p.Netns(machine.ControlPlane), "--"}, c.Args...),
	})
}

// startNode writes a node's files and starts its process 1 in namespaces of its own. The network namespace must exist.
func (d *Driver) startNode(p *plan.Plan, n plan.Node, runc string, images []string) error {
	if err := os.MkdirAll(n.Dir, 0o755); err != nil {
		return err
	}
	files := p.Files(n, runc)
	for name, content := range files {
		if err := os.WriteFile(n.File(name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := machine.MakeCgroup(n.Cgroup); err != nil {
		return err
	}
	spec := nodeinit.Spec{Node: n, CNI: files["cni.conflist"], Images: images, Env: environment(),
		Authority: filepath.Join(p.PKI(), "ca.crt"),
		Services:  []plan.Command{p.Containerd(n), p.Kubelet(n), p.KubeProxy(n)}}
	if err := writeJSON(n.File("node.json"), spec); err != nil {
		return err
	}
	return d.supervisor().Start(supervise.Spec{
		Name: nodeProcess(n), Log: n.File("init.log"), Env: environment(),
		Args: []string{"nsenter", "--net=" + p.Netns(n.Name), "--",
			"unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "--kill-child",
			d.self(), "node-init", n.File("node.json")},
	})
}

func nodeProcess(n plan.Node) string { return "node-" + n.Name }

func environment() []string { return []string{"PATH=" + machine.SystemPath, "HOME=/root"} }

// wait asks until the answer is nil. It fails early, with the end of the log, when a process of the cluster has died.
func (d *Driver) wait(ctx context.Context, what string, ask func(context.Context) error) error {
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if dead := d.deadProcess(); dead != nil {
			return fmt.Errorf("waiting for %s: %w", what, dead)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: last answer: %w: logs are in %s", what, ctx.Err(), err, d.Dir)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d *Driver) deadProcess() error {
	states, err := d.supervisor().List()
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Exit != "" {
			return fmt.Errorf("%s has ended (%s); the end of %s:\n%s", s.Name, s.Exit, s.Log, tail(s.Log, 12))
		}
	}
	return nil
}

func (d *Driver) usage(p *plan.Plan) {
	fmt.Fprintf(d.Out, `
  kubectl:            go run ./hack/cluster kubectl get pods -A
  your own kubectl:   export KUBECONFIG=%s
  Services, pods and node ports answer from this machine: any ClusterIP, pod IP, or %s:<nodePort>
  end it:             make cluster-down
`, p.Kubeconfig(), p.Nodes[0].IP)
}

// each runs f for all nodes at once.
func each(nodes []plan.Node, f func(plan.Node) error) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = f(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
