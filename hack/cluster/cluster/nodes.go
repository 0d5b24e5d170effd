package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/machine"
	"github.com/understudy-db/understudy/hack/cluster/nodeinit"
	"github.com/understudy-db/understudy/hack/cluster/plan"
)

// KillNode ends everything on a node at once, as pulling its plug does. The disk stays.
func (d *Driver) KillNode(name string) error {
	p, n, err := d.loadNode(name)
	if err != nil {
		return err
	}
	if err := d.kill(p, n); err != nil {
		return err
	}
	d.say("%s is dead", n.Name)
	return d.routeServices(p)
}

func (d *Driver) kill(p *plan.Plan, n plan.Node) error {
	if err := d.supervisor().Stop(nodeProcess(n), 0); err != nil {
		return err
	}
	if err := machine.RemoveNode(p, n); err != nil {
		return err
	}
	return machine.RemoveCgroup(n.Cgroup)
}

// RestartNode starts a node again on the same disk, killing it first if it runs, and waits until it reports ready.
func (d *Driver) RestartNode(ctx context.Context, name string) error {
	p, r, err := d.load()
	if err != nil {
		return err
	}
	n, err := p.Node(name)
	if err != nil {
		return err
	}
	if err := d.kill(p, n); err != nil {
		return err
	}
	begin := time.Now().Truncate(time.Second) // the API's times have whole seconds
	if err := machine.MakeNode(p, n); err != nil {
		return err
	}
	if err := d.startNode(p, n, r.Runc, r.Images); err != nil {
		return err
	}
	api, err := newAPI(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err = poll(ctx, 50*time.Millisecond, func() error { return api.nodesReady(ctx, []plan.Node{n}, begin) })
	if err != nil {
		return fmt.Errorf("%s does not become ready: %w: see the logs in %s", n.Name, err, n.Dir)
	}
	d.say("%s runs again and is ready", n.Name)
	return d.routeServices(p)
}

// CutNode takes a node off the network; what runs on it goes on. HealNode undoes it.
func (d *Driver) CutNode(name string) error { return d.setLink(name, false, "is cut off") }

// HealNode puts a node back on the network.
func (d *Driver) HealNode(name string) error { return d.setLink(name, true, "is on the network again") }

func (d *Driver) setLink(name string, up bool, message string) error {
	p, n, err := d.loadNode(name)
	if err != nil {
		return err
	}
	if !d.alive(n) {
		return fmt.Errorf("%s is dead: start it with `restart-node %s`", n.Name, n.Name)
	}
	if err := machine.SetLink(p, n, up); err != nil {
		return err
	}
	d.say("%s %s", n.Name, message)
	return d.routeServices(p)
}

// Block drops packets from one address to another, in that direction only, on every node. Unblock undoes every Block.
func (d *Driver) Block(from, to string) error {
	return d.onLiveNodes(func(p *plan.Plan, n plan.Node) error { return machine.Block(p, n, from, to) })
}

// Unblock undoes every Block.
func (d *Driver) Unblock() error { return d.onLiveNodes(machine.Unblock) }

func (d *Driver) onLiveNodes(f func(*plan.Plan, plan.Node) error) error {
	p, _, err := d.load()
	if err != nil {
		return err
	}
	return each(p.Nodes, func(n plan.Node) error {
		if !d.alive(n) {
			return nil
		}
		return f(p, n)
	})
}

// routeServices keeps Service addresses reachable from this machine: through the node that it was as long as that lives and
// is not cut, so that connections live on, else through the first one that is.
func (d *Driver) routeServices(p *plan.Plan) error {
	var use *plan.Node
	for i, n := range p.Nodes {
		if !d.alive(n) || !machine.LinkUp(p, n) {
			continue
		}
		if machine.ServicesThrough(n) {
			return nil
		}
		if use == nil {
			use = &p.Nodes[i]
		}
	}
	if use != nil {
		return machine.RouteServices(*use)
	}
	d.say("no node is left: Service addresses do not answer")
	return nil
}

func (d *Driver) alive(n plan.Node) bool {
	states, err := d.supervisor().List()
	if err != nil {
		return false
	}
	for _, s := range states {
		if s.Name == nodeProcess(n) {
			return s.Exit == ""
		}
	}
	return false
}

// Load gives images to every live node; a node that restarts imports them again.
func (d *Driver) Load(ctx context.Context, archives ...string) error {
	if len(archives) == 0 {
		return nil
	}
	p, r, err := d.load()
	if err != nil {
		return err
	}
	for _, a := range archives {
		if _, err := os.Stat(a); err != nil {
			return err
		}
		if !slices.Contains(r.Images, a) {
			r.Images = append(r.Images, a)
		}
	}
	if err := d.save(r); err != nil {
		return err
	}
	for _, a := range archives {
		err := each(p.Nodes, func(n plan.Node) error {
			if !d.alive(n) {
				return nil
			}
			return d.NodeExec(ctx, n.Name, nodeinit.ImportCommand(a).Args, nil)
		})
		if err != nil {
			return fmt.Errorf("image %s: %w", a, err)
		}
		d.say("loaded %s", a)
	}
	return nil
}

// NodeExec runs a program inside a node. Its output goes to out, or into the error when out is nil.
func (d *Driver) NodeExec(ctx context.Context, name string, args []string, out *os.File) error {
	_, n, err := d.loadNode(name)
	if err != nil {
		return err
	}
	pid, err := d.initPID(n)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(pid), "-m", "-p", "-u", "-i", "-n", "--"}, args...)...)
	cmd.Env = environment()
	if out != nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, os.Stderr
		return cmd.Run()
	}
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s on %s: %w: %s", args[0], n.Name, err, strings.TrimSpace(string(b)))
	}
	return nil
}

// initPID is a node's process 1 as this machine numbers it: the only child of the process that the supervisor started.
func (d *Driver) initPID(n plan.Node) (int, error) {
	states, err := d.supervisor().List()
	if err != nil {
		return 0, err
	}
	for _, s := range states {
		if s.Name != nodeProcess(n) || s.Exit != "" {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", s.PID, s.PID))
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(string(b)))
	}
	return 0, fmt.Errorf("%s is dead: start it with `restart-node %s`", n.Name, n.Name)
}

// Signal sends a signal to every process of a container, found by its ID in the control groups of a node's pods, or only
// to those that its process 1 has started. It returns how many got it.
func (d *Driver) Signal(containerID string, sig syscall.Signal, childrenOnly bool) (int, error) {
	if _, id, ok := strings.Cut(containerID, "://"); ok {
		containerID = id
	}
	if len(containerID) < 12 {
		return 0, errors.New("that is no container ID")
	}
	pids, err := machine.ProcessesOf(containerID, childrenOnly)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			return 0, err
		}
	}
	return len(pids), nil
}
