package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-db/understudy/hack/internal/testbed"
)

// The accident of the mission: master A without persistence, replicas B and C. A dies and would come back empty at once.
// Whatever WAIT 2 had confirmed must still be on every member, nobody may be wiped, and exactly one full sync is due: A's.

type moment struct {
	name  string
	begin func(ctx context.Context, w *world) (stop func(), err error)
}

type way struct {
	name string
	lose func(s testbed.Set, ctx context.Context, member string) error
	node bool
}

var moments = []moment{
	{"idle", func(context.Context, *world) (func(), error) { return func() {}, nil }},
	{"under load", underLoad},
	{"during a full sync", duringSync},
	{"during a switchover", duringSwitchover},
}

var ways = []way{
	{name: "process", lose: testbed.Set.KillProcess},
	{name: "container", lose: testbed.Set.KillContainer},
	{name: "pod", lose: testbed.Set.ForceDelete},
	{name: "node", lose: testbed.Set.KillNode, node: true},
}

func accident(ctx context.Context, w *world, o options, r *report) error {
	var failed []error
	n := 0
	for _, up := range []bool{true, false} {
		for _, wy := range ways {
			for _, m := range moments {
				name := fmt.Sprintf("%s, %s, operator %s", wy.name, m.name, map[bool]string{true: "up", false: "down for 60 s"}[up])
				if !strings.Contains(name, o.only) {
					continue
				}
				n++
				begin := time.Now()
				err := accidentCase(ctx, w, fmt.Sprintf("acc%d", n), m, wy, up)
				verdict := "nothing lost, nobody wiped, one full sync"
				if err != nil {
					verdict = "FAILED: " + strings.SplitN(err.Error(), "\n", 2)[0]
					failed = append(failed, fmt.Errorf("%s: %w", name, err))
				}
				r.line("%-50s %4.0f s  %s", name, time.Since(begin).Seconds(), verdict)
				fmt.Fprintln(w.out, r.lines[len(r.lines)-1])
			}
		}
	}
	r.fact("cases", n, "")
	r.fact("cases that lost a confirmed key, wiped a replica or synced too often", len(failed), "0")
	return errors.Join(failed...)
}

func accidentCase(ctx context.Context, w *world, name string, m moment, wy way, operatorUp bool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Minute)
	defer cancel()
	if err := w.apply(ctx, name, memoryOnly); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.remove(context.WithoutCancel(ctx))) }()
	if err := w.seed(ctx, "seed:"); err != nil {
		return err
	}
	a, err := w.master(ctx)
	if err != nil {
		return err
	}
	before, err := w.allFullSyncs(ctx)
	if err != nil {
		return err
	}
	stop, err := m.begin(ctx, w)
	if err != nil {
		return err
	}
	defer stop()
	if now, err := w.master(ctx); err == nil {
		a = now
	}
	if !operatorUp {
		if err := w.scaleOperator(ctx, 0); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.scaleOperator(context.WithoutCancel(ctx), 2)) }()
	}
	pod, err := w.set.Pod(ctx, a)
	if err != nil {
		return err
	}
	was, err := w.incarnation(ctx, a)
	if err != nil {
		return err
	}
	if err := wy.lose(w.set, ctx, a); err != nil {
		return err
	}
	if !operatorUp {
		time.Sleep(time.Minute)
		if err := w.scaleOperator(ctx, 2); err != nil {
			return err
		}
	}
	stop()
	if wy.node {
		if _, err := w.set.WaitMaster(ctx, a); err != nil {
			return err
		}
		if _, err := w.bed.Tool(ctx, "restart-node", pod.Spec.NodeName); err != nil {
			return err
		}
	}
	if err := w.back(ctx, a, was); err != nil {
		return err
	}
	if err := w.everyMemberHolds(ctx, "seed:"); err != nil {
		return err
	}
	return w.oneFullSync(ctx, a, before, m.name)
}

// oneFullSync counts the full syncs that the survivors served since before: the lost member's own. A sync that was under
// way when its master died is begun again by the same replica, which is one more.
func (w *world) oneFullSync(ctx context.Context, lost string, before map[string]int, when string) error {
	after, err := w.allFullSyncs(ctx)
	if err != nil {
		return err
	}
	n := 0
	for name, count := range after {
		if name != lost {
			n += count - before[name]
		}
	}
	most := 1
	if when == "during a full sync" {
		most = 2
	}
	if n < 1 || n > most {
		return fmt.Errorf("%d full syncs, want exactly the lost member's (at most %d here)", n, most)
	}
	return nil
}

func (w *world) scaleOperator(ctx context.Context, replicas int) error {
	args := []string{"-n", testbed.OperatorNamespace, "scale", "deployment", "-l", "app.kubernetes.io/instance=" + testbed.Release, fmt.Sprintf("--replicas=%d", replicas)}
	if _, err := w.bed.Kubectl(ctx, args...); err != nil {
		return err
	}
	if replicas == 0 {
		_, err := w.bed.Kubectl(ctx, "-n", testbed.OperatorNamespace, "wait", "pods", "-l", "app.kubernetes.io/instance="+testbed.Release, "--for=delete", "--timeout=60s")
		return err
	}
	return nil
}

func underLoad(ctx context.Context, w *world) (func(), error) {
	load := w.write(ctx, w.service, "load:")
	err := load.next(ctx)
	return load.end, err
}

// duringSync kills a replica's process first: it comes back empty and fully syncs while the master is lost.
func duringSync(ctx context.Context, w *world) (func(), error) {
	rs, err := w.set.Get(ctx)
	if err != nil {
		return nil, err
	}
	replica, err := another(rs)
	if err != nil {
		return nil, err
	}
	return func() {}, w.set.KillProcess(ctx, replica)
}

func duringSwitchover(ctx context.Context, w *world) (func(), error) {
	load := w.write(ctx, w.service, "load:")
	if err := load.next(ctx); err != nil {
		return load.end, err
	}
	rs, err := w.set.Get(ctx)
	if err != nil {
		return load.end, err
	}
	target, err := another(rs)
	if err != nil {
		return load.end, err
	}
	return load.end, w.set.RequestMaster(ctx, target)
}
