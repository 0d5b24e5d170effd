package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/understudy-db/understudy/controllers/setup"
	"github.com/understudy-db/understudy/hack/internal/testbed"
)

// fault is something that goes wrong with the master or the operators. do breaks it and returns what mends it.
type fault struct {
	name string
	do   func(ctx context.Context, w *world, master string) (mend func(context.Context) error, err error)
}

// sides of a partition, seen from the master.
type sides struct{ in, out bool }

var (
	bothWays = sides{in: true, out: true}
	inward   = sides{in: true}
	outward  = sides{out: true}
)

var faults = []fault{
	{"master stopped", func(ctx context.Context, w *world, master string) (func(context.Context) error, error) {
		return func(ctx context.Context) error { return w.set.Thaw(ctx, master) }, w.set.Freeze(ctx, master)
	}},
	{"master cut from replicas and operators", cut(bothWays, bothWays)},
	{"master cut from replicas", cut(bothWays, sides{})},
	{"master cut from operators", cut(sides{}, bothWays)},
	{"nothing reaches the master from the others", cut(inward, inward)},
	{"nothing reaches the others from the master", cut(outward, outward)},
	{"the operators do not hear the master", cut(sides{}, outward)},
	{"the replicas do not hear the master", cut(outward, sides{})},
	{"process killed", func(ctx context.Context, w *world, master string) (func(context.Context) error, error) {
		return mended, w.set.KillProcess(ctx, master)
	}},
	{"node off the network", func(ctx context.Context, w *world, master string) (func(context.Context) error, error) {
		return w.nodeFault(ctx, master, "cut-node", "heal-node")
	}},
	{"node killed", func(ctx context.Context, w *world, master string) (func(context.Context) error, error) {
		return w.nodeFault(ctx, master, "kill-node", "restart-node")
	}},
	{"operators killed", func(ctx context.Context, w *world, _ string) (func(context.Context) error, error) {
		_, err := w.bed.Kubectl(ctx, "-n", testbed.OperatorNamespace, "delete", "pods", "-l", operatorLabel, "--force", "--grace-period=0")
		return mended, err
	}},
	{"leading operator stopped, then two of them", func(ctx context.Context, w *world, _ string) (func(context.Context) error, error) {
		return w.freezeLeader(ctx)
	}},
	{"a second operator that leads without an election", func(ctx context.Context, w *world, _ string) (func(context.Context) error, error) {
		return w.rogueOperator(ctx)
	}},
}

const operatorLabel = "app.kubernetes.io/instance=" + testbed.Release

func mended(context.Context) error { return nil }

// fault breaks one thing, lets it act, mends it, and waits until the set is ready.
func (w *world) fault(ctx context.Context, f fault, act time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	master, err := w.master(ctx)
	if err != nil {
		return err
	}
	mend, err := f.do(ctx, w, master)
	if err != nil {
		return err
	}
	time.Sleep(act)
	if err := errors.Join(mend(ctx), w.bed.Heal(ctx)); err != nil {
		return err
	}
	return w.ready(ctx, 3*time.Minute)
}

// cut drops packets between the master and the replicas, and the operators; clients still reach it.
func cut(replicas, operators sides) func(context.Context, *world, string) (func(context.Context) error, error) {
	return func(ctx context.Context, w *world, master string) (func(context.Context) error, error) {
		ours, err := w.set.Pod(ctx, master)
		if err != nil {
			return nil, err
		}
		rs, err := w.set.Get(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range rs.Status.Members {
			if m.Name == master || replicas == (sides{}) {
				continue
			}
			pod, err := w.set.Pod(ctx, m.Name)
			if err != nil {
				return nil, err
			}
			if err := w.drop(ctx, ours.Status.PodIP, pod.Status.PodIP, replicas); err != nil {
				return nil, err
			}
		}
		if operators == (sides{}) {
			return mended, nil
		}
		ips, err := w.bed.Kubectl(ctx, "-n", testbed.OperatorNamespace, "get", "pods", "-l", operatorLabel, "-o", "jsonpath={.items[*].status.podIP}")
		if err != nil {
			return nil, err
		}
		for _, ip := range strings.Fields(ips) {
			if err := w.drop(ctx, ours.Status.PodIP, ip, operators); err != nil {
				return nil, err
			}
		}
		return mended, nil
	}
}

// drop drops packets from ours to other (out) and from other to ours (in), until Heal.
func (w *world) drop(ctx context.Context, ours, other string, s sides) error {
	var errs []error
	if s.out {
		_, err := w.bed.Tool(ctx, "block", ours, other)
		errs = append(errs, err)
	}
	if s.in {
		_, err := w.bed.Tool(ctx, "block", other, ours)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// nodeFault breaks the node of the master by one verb of the cluster tool and mends it by another.
func (w *world) nodeFault(ctx context.Context, master, breaks, mends string) (func(context.Context) error, error) {
	pod, err := w.set.Pod(ctx, master)
	if err != nil {
		return nil, err
	}
	_, err = w.bed.Tool(ctx, breaks, pod.Spec.NodeName)
	return func(ctx context.Context) error {
		_, err := w.bed.Tool(ctx, mends, pod.Spec.NodeName)
		return err
	}, err
}

// freezeLeader stops the operator that leads. The other takes over while it is stopped; once it goes on, it believes for
// a moment that it still leads.
func (w *world) freezeLeader(ctx context.Context) (func(context.Context) error, error) {
	holder, err := w.bed.Kubectl(ctx, "-n", testbed.OperatorNamespace, "get", "lease", setup.LeaseName, "-o", "jsonpath={.spec.holderIdentity}")
	if err != nil {
		return nil, err
	}
	pod, _, _ := strings.Cut(holder, "_")
	id, err := w.bed.Kubectl(ctx, "-n", testbed.OperatorNamespace, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
	if err != nil {
		return nil, err
	}
	send := func(ctx context.Context, s syscall.Signal) error {
		_, err := w.bed.Tool(ctx, "signal", id, fmt.Sprint(int(s)))
		return err
	}
	return func(ctx context.Context) error { return send(ctx, syscall.SIGCONT) }, send(ctx, syscall.SIGSTOP)
}

// rogueOperator runs one more operator on this machine, which never asks for the lease.
func (w *world) rogueOperator(ctx context.Context) (func(context.Context) error, error) {
	program := filepath.Join(w.bed.Root, "bin", "rogue-operator")
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", w.bed.Root, "-o", program, "./controllers").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(life, program, "--server-image", testbed.Built(image).Server.String(), "--watch-namespaces", w.namespace,
		"--namespace", testbed.OperatorNamespace, "--metrics-addr", "0", "--probe-addr", "0")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.bed.Kubeconfig)
	if err := cmd.Start(); err != nil {
		kill()
		return nil, err
	}
	return func(context.Context) error {
		kill()
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() > 0 {
			return fmt.Errorf("the second operator ended by itself: %w", err)
		}
		return nil
	}, nil
}
